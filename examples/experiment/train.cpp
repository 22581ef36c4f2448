// SPDX-License-Identifier: Apache-2.0
#include "train.hpp"

#include <array>
#include <cstdio>

#include "deep_dictionary.hpp"
#include "detrame/train/progress.hpp"
#include "folder_lock.hpp"
#include "settings.hpp"
#include "signals.hpp"
#include "status_line.hpp"

namespace experiment {

namespace {

/// A run in its folder: `fit`, with the data, the checkpoints and the results of its settings.
class Training {
 public:
  explicit Training(Settings settings) : s_(std::move(settings)), lock_(s_.out), checkpoints_(s_.out) {
    std::optional<Checkpoint> const& found = checkpoints_.found();
    require_possible(found);
    std::optional<Settings> before;
    if (found)
      before = adopt_settings(s_, found->state);
    else
      require_used(s_);
    constexpr std::array<std::string_view, 4> results{"model.safetensors", "epochs.csv", "classes.csv",
                                                      "summary.json"};
    remove_unfinished(s_.out, found ? found->tag : "", results);
    complete(s_);
    read_data();
    checkpoints_.describe = [this](Checkpoint& checkpoint) { describe_run(checkpoint); };
    if (found)
      go_on(*found, *before);
    else
      begin();
  }

  Ended run() {
    announce();
    // Streams of the order, of crops, and of dropout, which has the seed itself.
    Batching const batching{.size = s_.batch, .seed = s_.seed ^ 0x7368756666ull, .drop_last = s_.drop_last};
    TrainingSource source(train_, batching,
                          {set_->augmented, RandomCrop(s_.seed ^ 0x637261706f6e7321, protocol::padding)});
    TestSource tests(test_, {.size = test_batch, .shuffled = false});
    TrainingOptions options = training_options(s_, milestones_);
    options.on_step = [this](StepReport const& report) {
      if (report.validating && (!tally_ || tested_epoch_ != report.epoch)) {
        tally_.emplace(set_->classes);
        tested_epoch_ = report.epoch;
      }
      if (status_.shows()) status_.show(progress_text(report));
      return !interrupted();
    };
    options.on_epoch = [this](FitRecord const& record) {
      end_epoch(record);
      return !interrupted();
    };
    auto const tested = [this](Answers const& answers) {
      std::span<int const> const labels(test_.labels);
      tally_->add(answers.loss, answers.scores,
                  labels.subspan(static_cast<std::size_t>(tally_->samples()),
                                 static_cast<std::size_t>(answers.scores.cols())));
    };
    try {
      return end(model_.network->fit(source, tests, options, checkpoints_, tested));
    } catch (NotFinite const& what) {
      throw diverged(message("in epoch ", tested_epoch_, ": test ", what.what()));
    }
  }

 private:
  void require_possible(std::optional<Checkpoint> const& found) const {
    std::string const out = s_.out.string();
    if (found && !s_.resume)
      throw DomainError(message(out, " holds a run, at ", detail::step_name(found->step),
                                ": --resume goes on with it; for another run name another folder"));
    if (!found && s_.reschedule)
      throw DomainError(message("--reschedule: ", out, " has no run that could go on"));
    if (!found && s_.resume && !s_.given.contains("net") && !s_.given.contains("dataset"))
      throw DomainError(
          message(out, ": there is no checkpoint to go on from; with --net and --dataset a run starts"));
  }

  void read_data() {
    set_ = &find_data_set(s_.dataset);
    Entry const& entry = network_of(s_);
    train_ = read_images(*set_, s_.data, Part::train, s_.limit);
    test_ = read_images(*set_, s_.data, Part::test, 0);
    for (auto const* const part : {&train_, &test_})
      if (part->samples() == 0)
        throw FormatError(message(s_.data.string(), ": expected ", part == &train_ ? "training" : "test",
                                  " images, found none"));
    if (s_.drop_last && train_.samples() < s_.batch)
      throw DomainError(message("--drop-last: there is no other batch, as --batch ", s_.batch,
                                " is more than the ", train_.samples(), " training images",
                                s_.limit > 0 ? message(" (--limit ", s_.limit, ")") : ""));
    fingerprints_ = {fingerprint(train_), fingerprint(test_)};
    images_ = {train_.samples(), test_.samples(),
               std::vector<Index>(static_cast<std::size_t>(set_->classes))};
    for (int const label : test_.labels) ++images_.test_of[static_cast<std::size_t>(label)];
    model_ = {&entry, entry.make(s_.place), s_.dataset, {}};
    if (set_->normalised || entry.certified()) model_.scale = channel_statistics(train_);
    if (entry.certified()) model_.scale.deviation.assign(model_.scale.deviation.size(), 1);
    scale_images(train_, model_.scale);
    scale_images(test_, model_.scale);
  }

  void begin() {
    auto const own = s_.out / "model.safetensors";
    if (std::error_code none; !s_.from.empty() && std::filesystem::equivalent(s_.from_file, own, none))
      throw DomainError(message("--from ", s_.from, ": the run would replace it by its own ", own.string()));
    for (auto const& result : {own, s_.out / "summary.json"})
      if (!s_.resume && std::filesystem::exists(result))
        throw DomainError(message(result.string(), " is of a run that has no `latest` to go on from: name ",
                                  "another folder, or move it away; with --resume a new run replaces it"));
    milestones_ = new_milestones(s_);
    model_.network->start(s_.initialiser, s_.seed);
    if (s_.from.empty()) return;
    ModelFile const from = read_model(s_.from_file, s_.from_checksum);
    require_finite_tensors(from.content);
    s_.from_checksum = from.checksum;
    if (has_dictionaries_for(*model_.entry, from.content))
      start_from(from.content);
    else
      load_other(model_, from.content);
  }

  /// From a deep dictionary, and says how near it the network is.
  void start_from(TensorFile const& dictionaries) {
    auto const some = unpacked(subset(test_, 0, std::min<Index>(100, test_.samples())));
    notes_.start =
        distance_text(start_from_dictionaries(*model_.network, dictionaries, s_.place, some.images));
    if (auto const tested = test(*model_.network, test_, interrupted)) {
      std::array<char, 8> percent;
      std::snprintf(percent.data(), percent.size(), "%.2f", 100 * tested->accuracy());
      notes_.start += message(", test accuracy ", percent.data(), " %");
    }
    std::printf("at the start %s\n", notes_.start.c_str());
  }

  void go_on(Checkpoint const& found, Settings const& before) {
    TensorFile const& state = found.state;
    require_fingerprint(state, "fingerprint", fingerprints_[0], "training");
    if (state.metadata.contains("test fingerprint"))  // older runs have none
      require_fingerprint(state, "test fingerprint", fingerprints_[1], "test");
    int const epoch = number_of<int>(state, "epoch");
    Index const position = number_of<Index>(state, "position");
    if (s_.epochs != before.epochs && s_.epochs < epoch + (position > 0 ? 1 : 0))
      throw DomainError(message(s_.out.string(), " holds a run that has done ", epoch, " epochs and ",
                                position, " batches of the next: --epochs ", s_.epochs, " is less"));
    milestones_ = milestones_of(state, before.schedule_epochs, set_->shares);
    classes_ = class_rows(state, before.epochs, set_->classes);
    if (auto const start = state.metadata.find("start"); start != state.metadata.end())
      notes_.start = start->second;
    if (state.metadata.contains("problems"))
      solved_before_ = {number_of<Index>(state, "problems"), number_of<Index>(state, "solved again")};
    if (s_.reschedule && position == 0 && s_.epochs <= epoch)
      throw DomainError(message("--reschedule: ", s_.out.string(), " holds a run that has done ", epoch,
                                " epochs, with none to come: --epochs N, with N > ", epoch));
    if (s_.reschedule) {
      if (position > 0)
        throw DomainError(message("--reschedule: epoch ", epoch + 1, " is not done; --resume --epochs ",
                                  epoch + 1, " ends it first"));
      begin_another_part(s_, before, epoch);
      milestones_ = new_milestones(s_);
    }
    if (!s_.reschedule && s_.epochs == before.epochs) return;
    Checkpoint with_these = found;
    describe_run(with_these);
    write_checkpoint(s_.out, std::move(with_these));
    FitRecord record;
    if (auto const history = state.tensors.find("history"); history != state.tensors.end())
      record.take_history(host_matrix<double>(history->second, state.name + ": tensor history"));
    write_results(s_, model_, images_, record.history, classes_, notes_);  // no longer finished
  }

  void require_fingerprint(TensorFile const& state, char const* key, std::string const& now,
                           char const* what) const {
    if (auto const& was = text_of(state, key); was != now)
      throw DomainError(message(s_.data.string(), ": the ", what, " images are not those of the run in ",
                                s_.out.string(), ": their fingerprint is ", now, ", was ",
                                was.substr(0, 40)));
  }

  /// What stands in a checkpoint besides what `fit` keeps there.
  void describe_run(Checkpoint& checkpoint) {
    describe(checkpoint.model, *model_.entry, *set_, model_.scale);
    auto &model = checkpoint.model.metadata, &state = checkpoint.state.metadata;
    model["epoch"] = state.at("epoch");
    model["seed"] = number_text(s_.seed);
    if (s_.from.empty())
      model["initialiser"] = s_.initialiser;
    else
      model["from"] = message(s_.from, ", checksum ", s_.from_checksum);
    store_settings(s_, checkpoint.state);
    store_milestones(milestones_, checkpoint.state);
    state["fingerprint"] = fingerprints_[0];
    state["test fingerprint"] = fingerprints_[1];
    notes_.solved = model_.network->solved_again();
    notes_.solved.problems += solved_before_.problems;
    notes_.solved.again += solved_before_.again;
    if (!notes_.start.empty()) state["start"] = notes_.start;
    if (notes_.solved.problems > 0) {
      state["problems"] = number_text(notes_.solved.problems);
      state["solved again"] = number_text(notes_.solved.again);
    }
    if (tally_ && state.at("epoch") == number_text(tested_epoch_) &&
        (classes_.empty() || classes_.back().epoch < tested_epoch_))
      classes_.push_back({tested_epoch_, tally_->seconds(), tally_->correct_of, tally_->positive_of});
    checkpoint.state.tensors["classes"] = class_tensor(classes_, set_->classes);
  }

  void announce() const {
    std::printf("%s on %s: %td images to train, %td to test, %d epochs %s, batches of %td, %s\n",
                options_of(*model_.entry).c_str(), s_.dataset.c_str(), images_.train, images_.test, s_.epochs,
                schedule_text(s_, milestones_).c_str(), s_.batch, s_.place.name().c_str());
    if (s_.epochs > s_.schedule_epochs)
      std::printf("the schedule is for %d epoch%s; --resume --reschedule makes another\n", s_.schedule_epochs,
                  s_.schedule_epochs == 1 ? "" : "s");
    if (auto const& found = checkpoints_.found(); found && found->step > 0) {
      int const epoch = number_of<int>(found->state, "epoch");
      Index const position = number_of<Index>(found->state, "position"),
                  batches = (images_.train + (s_.drop_last ? 0 : s_.batch - 1)) / s_.batch;
      double const time = epoch + static_cast<double>(position) / static_cast<double>(batches);
      std::printf("going on after epoch %d, batch %td", epoch, position);
      if (epoch < s_.epochs)
        std::printf(", at rate %.3g", training_options(s_, milestones_).schedule.at(time));
      std::printf("\n");
    }
    std::fflush(stdout);
  }

  void end_epoch(FitRecord const& record) {
    write_results(s_, model_, images_, record.history, classes_, notes_);
    status_.clear();
    EpochReport const& e = record.history.back();
    std::printf("epoch %3d/%d  rate %-8.3g loss %.4f  train %6.2f %%  test %6.2f %%  %8.1f images/s  %s\n",
                e.number, s_.epochs, e.rate, e.loss, 100 * e.accuracy, 100 * e.validation->accuracy,
                e.samples_per_second, clock_text(e.seconds).c_str());
    std::fflush(stdout);
  }

  Ended end(Fitted const& fitted) {
    status_.clear();
    FitRecord const& at = fitted.record;
    std::optional<double> accuracy;
    if (!at.history.empty() && at.history.back().validation)
      accuracy = at.history.back().validation->accuracy;
    if (fitted.status == FitStatus::stopped) {
      std::printf("Interrupted after %d epochs and %td batches; the checkpoint is %s. To go on:\n  %s\n",
                  at.epoch, at.position, (s_.out / detail::step_name(at.step)).c_str(),
                  resume_command(s_).c_str());
      return {130, accuracy};
    }
    if (fitted.status != FitStatus::finished) throw diverged(fitted.explanation);
    write_safetensors(s_.out / "model.safetensors", read_checkpoint(s_.out).model);
    write_results(s_, model_, images_, at.history, classes_, notes_);
    if (accuracy) std::printf("test accuracy %.2f %%. ", 100 * *accuracy);
    std::printf("Results are in %s: model.safetensors, epochs.csv, classes.csv, summary.json\n",
                s_.out.c_str());
    return {0, accuracy};
  }

  Diverged diverged(std::string const& what) {
    status_.clear();
    return Diverged(message("training diverged ", what, ". Nothing was written since the last checkpoint in ",
                            s_.out.string(), ". A smaller rate than --lr ", s_.rate, " may help."));
  }

  Settings s_;
  FolderLock lock_;
  TrainingCheckpoints checkpoints_;
  DataSet const* set_ = nullptr;
  ImageBytes<float> train_{}, test_{};
  Images images_{};
  std::array<std::string, 2> fingerprints_;  ///< of training and test images
  Model model_{};
  std::vector<int> milestones_;
  std::vector<ClassRow> classes_;  ///< of the last epochs that are done
  std::optional<Tally> tally_;     ///< of the epoch that is tested, or was last
  int tested_epoch_ = 0;
  Notes notes_{};
  SolvedAgain solved_before_{};  ///< before this process
  StatusLine status_ = status_line();
};

}  // namespace

Ended train(Settings settings, std::function<void()> const& begins) {
  MadeFolder const folder(settings.out);
  Training training(std::move(settings));
  begins();
  return training.run();
}

}  // namespace experiment
