// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <random>

#include "detrame/io/checkpoint.hpp"
#include "detrame/io/parameters.hpp"

namespace detrame::inline DETRAME_ABI {

/// Sixteen random digits: the tag of a run.
inline std::string random_tag() {
  std::random_device device;
  std::string tag;
  for (int i = 0; i < 16; ++i) tag += "0123456789abcdef"[device() % 16];
  return tag;
}

/// The checkpoints of a training in a folder, for `fit`: those of write_checkpoint.
///
///   TrainingCheckpoints checkpoints("results/run");
///   fit(cpu, net, theta, source, options, validation, checkpoints);   // begins, or goes on
///
/// model: the parameters by name, and what they mean. state: the moments with their prefixes
/// ("velocity.0.W"), the best parameters likewise ("best.0.W") where they are kept, the numbers of the record
/// in the metadata ("epoch", "position", "next step", ...), its history as the tensor `history`, an epoch a
/// row.
///
/// Requires  a folder that one training writes to (write_checkpoint).
/// Ensures   (1) the constructor reads the checkpoint that is there; what is not one is a FormatError. `read`
///               gives it as often as it is asked, and after a `write` reads the folder again;
///           (2) `describe` may add to what is written;
///           (3) read: FormatError with the file, what was expected and what was found, where parameters,
///               moments or numbers are missing, or are not of this training; the state is then what it was.
/// Tested    tests/io/training_checkpoint_test.cpp, tests/experiment/runner_test.py
class TrainingCheckpoints {
 public:
  std::function<void(Checkpoint&)> describe{};

  explicit TrainingCheckpoints(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
    look();
    tag_ = found_ ? found_->tag : random_tag();
  }

  /// What the constructor found, or the last `read` after a `write`.
  std::optional<Checkpoint> const& found() const { return found_; }
  /// Of the run, which is in every file.
  std::string const& tag() const { return tag_; }
  /// The file of the state that read reads.
  std::string name() const { return found_ ? found_->state.name : folder_.string(); }

  template <class B, class State>
  void write(B& backend, State const& s) {
    Checkpoint checkpoint{tag_, s.record.step, {}, {}};
    store_parameters(backend, s.theta, checkpoint.model);
    store_conventions(s.theta, checkpoint.model);
    TensorFile& state = checkpoint.state;
    for (std::size_t i = 0; i < s.names.size(); ++i)
      store_parameters(backend, s.moments[i], state, s.names[i]);
    if (s.best != nullptr) store_parameters(backend, *s.best, state, best);
    s.record.each(s.record, [&](char const* name, auto n) { state.metadata[name] = number_text(n); });
    state.tensors["history"] = tensor(s.record.history_matrix());
    if (describe) describe(checkpoint);
    written_ = true;
    write_checkpoint(folder_, std::move(checkpoint));
  }

  template <class B, class State>
  bool read(B& backend, State const& s) {
    if (written_) look();
    if (!found_) return false;
    TensorFile const &model = found_->model, &state = found_->state;
    require_conventions(model);
    require_updates(s.theta, model);
    auto record = s.record;
    record.each(record, [&](char const* name, auto& n) {
      n = number_of<std::remove_cvref_t<decltype(n)>>(state, name);
    });
    if (record.step != found_->step)
      throw FormatError(message(state.name, ": __metadata__: next step: expected step ", found_->step,
                                ", that of the checkpoint, found step ", record.step));
    take_history(state, record);
    auto theta = s.theta;
    load_parameters(backend, theta, model);
    std::vector moments(s.moments.begin(), s.moments.end());
    for (std::size_t i = 0; i < s.names.size(); ++i) load_parameters(backend, moments[i], state, s.names[i]);
    if (s.best != nullptr) load_parameters(backend, *s.best, state, best);
    s.theta = std::move(theta);
    std::move(moments.begin(), moments.end(), s.moments.begin());
    s.record = std::move(record);
    return true;
  }

 private:
  static constexpr std::string_view best = "best.";

  template <class Record>
  static void take_history(TensorFile const& state, Record& record) {
    auto const found = state.tensors.find("history");
    if (found == state.tensors.end())
      throw FormatError(message(state.name, ": tensor history: expected one, found no such tensor"));
    auto const history = host_matrix<double>(found->second, state.name + ": tensor history");
    if (history.cols() != Record::columns)
      throw FormatError(message(state.name, ": tensor history: expected ", Record::columns,
                                " columns, found ", history.cols()));
    record.take_history(history);
  }

  void look() {
    found_ = latest_step(folder_) ? std::optional(read_checkpoint(folder_)) : std::nullopt;
    written_ = false;
  }

  std::filesystem::path folder_;
  std::optional<Checkpoint> found_;
  bool written_ = false;  ///< since the folder was read
  std::string tag_;
};

}  // namespace detrame::inline DETRAME_ABI
