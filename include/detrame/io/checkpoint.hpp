// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/io/metadata.hpp"
#include "detrame/io/safetensors.hpp"

namespace detrame {

/// A training run at one step, in two files: `model` is what predicts (parameters, running statistics),
/// `state` what training needs besides to go on (velocities, counters, what was measured).
struct Checkpoint {
  std::string tag;  ///< of the run: two runs never have the same
  std::uint64_t step = 0;
  TensorFile model, state;
};

namespace detail {

inline constexpr std::string_view model_end = ".model.safetensors", state_end = ".state.safetensors";

/// "step-12", the start of the names of both files.
inline std::string step_name(std::uint64_t step) { return "step-" + number_text(step); }

/// The step in "step-12", written as step_name writes it.
inline std::optional<std::uint64_t> step_in(std::string_view name) {
  if (!name.starts_with("step-")) return std::nullopt;
  std::uint64_t step = 0;
  char const* const last = name.data() + name.size();
  auto const [end, error] = std::from_chars(name.data() + 5, last, step);
  if (error != std::errc() || end != last || step_name(step) != name) return std::nullopt;
  return step;
}

/// What a file of checkpoints is called, without its end; nothing for other files.
inline std::optional<std::uint64_t> step_of_file(std::string_view file) {
  for (std::string_view const end : {model_end, state_end})
    if (file.ends_with(end)) return step_in(file.substr(0, file.size() - end.size()));
  return std::nullopt;
}

/// Whether a run that was killed left this file behind while it wrote.
inline bool is_unfinished(std::string_view file) {
  std::size_t const part = file.find(".part");
  return part != file.npos && (step_of_file(file.substr(0, part)) || file.substr(0, part) == "latest");
}

inline TensorFile read_of_run(std::filesystem::path const& file, std::string_view what) {
  TensorFile content = read_safetensors(file);
  if (auto const& found = text_of(content, "file"); found != what)
    throw FormatError(message(content.name, ": expected the file \"", what, "\" of a checkpoint, found \"",
                              found.substr(0, 40), "\""));
  return content;
}

}  // namespace detail

/// The step that the file `latest` of a folder names; nothing where there is no such file.
///
/// Ensures   FormatError if it is not the one line "step-N".
inline std::optional<std::uint64_t> latest_step(std::filesystem::path const& folder) {
  auto const file = folder / "latest";
  if (std::error_code error; !std::filesystem::exists(std::filesystem::symlink_status(file, error)))
    return std::nullopt;
  std::ifstream in = open_file(file, "the file that names the latest checkpoint");
  std::array<char, 64> text{};
  in.read(text.data(), text.size());
  std::string_view const line(text.data(), static_cast<std::size_t>(in.gcount()));
  auto const step = line.ends_with('\n') ? detail::step_in(line.substr(0, line.size() - 1)) : std::nullopt;
  if (!step)
    throw FormatError(message(file.string(), ": expected the one line step-N, found ", line.size(),
                              line.size() == text.size() ? " bytes or more" : " bytes",
                              " that are something else"));
  return step;
}

/// Writes a checkpoint into a folder, which may be interrupted at any moment:
///
///   step-N.model.safetensors, step-N.state.safetensors, then `latest`, each replaced as a whole
///
/// The keys "file", "run" and "step" of the metadata of both files are set to what they are, tag and N.
///
/// Requires  a folder that one run writes to, one call at a time; two checkpoints of one run at one step have
///           the same parameters; a tag, else DomainError.
/// Ensures   (1) whenever the process or the machine stops, `latest` names a pair that is whole: that from
///               before, or this one;
///           (2) afterwards the folder has this checkpoint and the one from before. Older ones and files that
///               were left unfinished are removed; where that fails, they stay.
///           (3) what cannot be written is a std::filesystem::filesystem_error, and leaves the pair from
///               before.
/// Tested    tests/io/checkpoint_test.cpp, tests/experiment/runner_test.py
inline void write_checkpoint(std::filesystem::path const& folder, Checkpoint checkpoint) {
  if (checkpoint.tag.empty()) throw DomainError("write_checkpoint: the tag of the run is empty");
  auto const previous = latest_step(folder);
  std::string const name = detail::step_name(checkpoint.step);
  auto const write = [&](TensorFile& content, std::string_view what, std::string_view end) {
    content.metadata["file"] = what;
    content.metadata["run"] = checkpoint.tag;
    content.metadata["step"] = number_text(checkpoint.step);
    write_safetensors(folder / (name + std::string(end)), content);
  };
  write(checkpoint.model, "model", detail::model_end);
  write(checkpoint.state, "state", detail::state_end);

  std::string const line = name + "\n";
  ReplacedFile latest(folder / "latest");
  latest.write(line.data(), line.size());
  latest.commit();

  std::vector<std::filesystem::path> old;
  for (auto const& entry : std::filesystem::directory_iterator(folder)) {
    std::string const file = entry.path().filename().string();
    auto const step = detail::step_of_file(file);
    if ((step && *step != checkpoint.step && step != previous) || detail::is_unfinished(file))
      old.push_back(entry.path());
  }
  for (std::error_code ignored; auto const& file : old) std::filesystem::remove(file, ignored);
}

/// The checkpoint that `latest` names.
///
/// Ensures   FormatError with the file, what was expected and what was found, where there is no `latest` or
///           it names no step, where a file of the pair is missing or malformed (read_safetensors), is the
///           other one, or has another tag or step than its name and its sibling say. Files that `latest`
///           does not name are not looked at.
/// Tested    tests/io/checkpoint_test.cpp
inline Checkpoint read_checkpoint(std::filesystem::path const& folder) {
  auto const step = latest_step(folder);
  if (!step)
    throw FormatError(message((folder / "latest").string(),
                              ": expected the file that names the latest checkpoint, found no such file"));
  auto const path = [&](std::string_view end) {
    return folder / (detail::step_name(*step) + std::string(end));
  };
  Checkpoint checkpoint{"", *step, detail::read_of_run(path(detail::model_end), "model"),
                        detail::read_of_run(path(detail::state_end), "state")};
  for (TensorFile const* file : {&checkpoint.model, &checkpoint.state})
    if (auto const found = number_of<std::uint64_t>(*file, "step"); found != *step)
      throw FormatError(message(file->name, ": expected step ", *step, ", found step ", found));
  checkpoint.tag = text_of(checkpoint.model, "run");
  if (std::string const& found = text_of(checkpoint.state, "run"); found != checkpoint.tag)
    throw FormatError(message(checkpoint.state.name, ": expected run ", checkpoint.tag.substr(0, 40),
                              " as in the model beside it, found run ", found.substr(0, 40)));
  return checkpoint;
}

}  // namespace detrame
