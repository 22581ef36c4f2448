// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "detrame/io/metadata.hpp"
#include "detrame/io/safetensors.hpp"

namespace detrame {

/// A training run at one step, in two files: `model` is what predicts (parameters, running statistics), `state` what
/// training needs besides to go on (velocities, counters, what was measured).
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

/// What the file `latest` says: a step, and the checksums of the files of its pair, which the first form did
/// not have.
struct Latest {
  std::uint64_t step;
  std::optional<std::array<std::uint64_t, 2>> checksums;  ///< of model and state
};

inline std::string latest_text(Latest const& latest) {
  std::string text = step_name(latest.step) + "\n";
  if (latest.checksums)
    text += "form 2\nmodel " + hexadecimal_text((*latest.checksums)[0]) + "\nstate " +
            hexadecimal_text((*latest.checksums)[1]) + "\n";
  return text;
}

/// What latest_text wrote, and nothing else.
inline std::optional<Latest> latest_in(std::string_view text) {
  auto const step = step_in(text.substr(0, text.find('\n')));
  if (!step) return std::nullopt;
  if (Latest const first{*step, {}}; latest_text(first) == text) return first;
  Latest second{*step, std::array<std::uint64_t, 2>{}};
  if (latest_text(second).size() != text.size()) return std::nullopt;
  constexpr std::size_t digits = 16, between = std::string_view("\nstate ").size();
  char const* const state = text.data() + text.size() - 1 - digits;
  char const* const model = state - between - digits;
  std::from_chars(model, model + digits, (*second.checksums)[0], 16);
  std::from_chars(state, state + digits, (*second.checksums)[1], 16);
  return latest_text(second) == text ? std::optional(second) : std::nullopt;
}

inline std::optional<Latest> read_latest(std::filesystem::path const& folder) {
  auto const file = folder / "latest";
  if (std::error_code error; !std::filesystem::exists(std::filesystem::symlink_status(file, error)))
    return std::nullopt;
  std::ifstream in = open_file(file, "the file that names the latest checkpoint");
  std::array<char, 256> text{};
  in.read(text.data(), text.size());
  std::string_view const found(text.data(), static_cast<std::size_t>(in.gcount()));
  auto const latest = latest_in(found);
  if (!latest)
    throw FormatError(message(
        file.string(), ": expected step-N, form 2 and two checksums, or the one line step-N, found ",
        found.size(), found.size() == text.size() ? " bytes or more" : " bytes", " that are something else"));
  return latest;
}

/// The regular files of a folder; none where it cannot be read.
inline std::vector<std::filesystem::path> regular_files(std::filesystem::path const& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error, ignored;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (at->symlink_status(ignored).type() == std::filesystem::file_type::regular)
      files.push_back(at->path());
  return files;
}

/// The tag of the run in the metadata of a file; nothing where that cannot be read.
inline std::optional<std::string> run_of(std::filesystem::path const& file) try {
  std::ifstream in = open_file(file, "a safetensors file");
  auto start = read_safetensors_header(in, file.string());
  auto const found = start.header.metadata().find("run");
  return found == start.header.metadata().end() ? std::nullopt : std::optional(found->second);
} catch (FormatError const&) {
  return std::nullopt;
}

/// A file of a checkpoint, and the checksum of its bytes.
struct FileOfRun {
  TensorFile content;
  std::uint64_t checksum;
};

inline FileOfRun read_of_run(std::filesystem::path const& file, std::string_view what) {
  std::ifstream in = open_file(file, "a safetensors file");
  FileOfRun read{read_safetensors(in, file.string()), checksum_of(in, file.string())};
  if (auto const& found = text_of(read.content, "file"); found != what)
    throw FormatError(message(read.content.name, ": expected the file \"", what,
                              "\" of a checkpoint, found \"", found.substr(0, 40), "\""));
  return read;
}

/// Refuses a file with another checksum than `latest` has; and one that was written with a `latest` that has
/// checksums, where there are none.
inline void require_checksum(std::filesystem::path const& folder, FileOfRun const& file, Latest const& latest,
                             std::size_t which) {
  std::string const& name = file.content.name;
  if (!latest.checksums && file.content.metadata.contains("form"))
    throw FormatError(message((folder / "latest").string(), ": expected the checksum of ", name,
                              ", which was written with one, found none"));
  if (latest.checksums && file.checksum != (*latest.checksums)[which])
    throw FormatError(message(name, ": expected the checksum ", hexadecimal_text((*latest.checksums)[which]),
                              " that `latest` has for it, found ", hexadecimal_text(file.checksum),
                              ": the file is damaged, or another"));
}

}  // namespace detail

/// The step that the file `latest` of a folder names; nothing where there is no such file.
///
/// Ensures   FormatError if it is anything but what write_checkpoint writes, or the one line "step-N" that
///           versions before the checksums wrote.
inline std::optional<std::uint64_t> latest_step(std::filesystem::path const& folder) {
  auto const latest = detail::read_latest(folder);
  return latest ? std::optional(latest->step) : std::nullopt;
}

/// Removes what a run that was killed left behind while it wrote into a folder: regular files called
/// NAME.part<pid>-<n> with digits for both (ReplacedFile), NAME a file of a checkpoint or one of `names`.
/// Those whose metadata name another run than `tag` stay, unless the tag is empty; so does what cannot be
/// removed, and every other file.
///
/// Tested    tests/io/checkpoint_test.cpp, tests/experiment/runner_test.py
inline void remove_unfinished(std::filesystem::path const& folder, std::string_view tag,
                              std::span<std::string_view const> names = {}) {
  std::error_code ignored;
  for (auto const& file : detail::regular_files(folder)) {
    std::string const called = file.filename().string();
    auto const target = replaced_target(called);
    if (!target || !(*target == "latest" || detail::step_of_file(*target) ||
                     std::find(names.begin(), names.end(), *target) != names.end()))
      continue;
    auto const run = detail::run_of(file);
    if (tag.empty() || !run || *run == tag) std::filesystem::remove(file, ignored);
  }
}

/// Writes a checkpoint into a folder, which may be interrupted at any moment:
///
///   step-N.model.safetensors, step-N.state.safetensors, then `latest`, each replaced as a whole
///
/// The keys "file", "run", "step" and "form" of the metadata of both files are set to what they are, tag, N
/// and 2. `latest` has four lines: step-N, form 2, and the checksum (CRC-64) of either file.
///
/// Requires  a folder that one run writes to, one call at a time; two checkpoints of one run at one step have the same
///           parameters; a tag, else DomainError.
/// Ensures   (1) whenever the process or the machine stops, `latest` names a pair that is whole: that from before, or
///               this one;
///           (2) afterwards the folder has this checkpoint and the one from before. Older ones with this tag
///               and what was left unfinished (remove_unfinished) are removed; where that fails, they stay,
///               as do all other files;
///           (3) what cannot be written is a std::filesystem::filesystem_error, and leaves the pair from before.
/// Tested    tests/io/checkpoint_test.cpp, tests/experiment/runner_test.py
inline void write_checkpoint(std::filesystem::path const& folder, Checkpoint checkpoint) {
  if (checkpoint.tag.empty()) throw DomainError("write_checkpoint: the tag of the run is empty");
  auto const previous = latest_step(folder);
  std::string const name = detail::step_name(checkpoint.step);
  auto const write = [&](TensorFile& content, std::string_view what, std::string_view end) {
    content.metadata["file"] = what;
    content.metadata["run"] = checkpoint.tag;
    content.metadata["step"] = number_text(checkpoint.step);
    content.metadata["form"] = "2";
    return write_safetensors(folder / (name + std::string(end)), content);
  };
  std::uint64_t const model = write(checkpoint.model, "model", detail::model_end);
  std::uint64_t const state = write(checkpoint.state, "state", detail::state_end);

  std::string const text = detail::latest_text({checkpoint.step, std::array{model, state}});
  ReplacedFile latest(folder / "latest");
  latest.write(text.data(), text.size());
  latest.commit();

  std::error_code ignored;
  for (auto const& file : detail::regular_files(folder)) {
    auto const step = detail::step_of_file(file.filename().string());
    if (step && *step != checkpoint.step && step != previous && detail::run_of(file) == checkpoint.tag)
      std::filesystem::remove(file, ignored);
  }
  remove_unfinished(folder, checkpoint.tag);
}

/// The checkpoint that `latest` names.
///
/// Ensures   FormatError with the file, what was expected and what was found, where there is no `latest` or it names no
///           step, where a file of the pair is missing or malformed (read_safetensors), is the other one, has
///           another tag or step than its name and its sibling say, or another checksum than `latest` says:
///           one flipped bit in any of the three is refused. A `latest` of one line has no checksums, and its
///           pair is read without. Files that `latest` does not name are not looked at.
/// Tested    tests/io/checkpoint_test.cpp
inline Checkpoint read_checkpoint(std::filesystem::path const& folder) {
  auto const latest = detail::read_latest(folder);
  if (!latest)
    throw FormatError(message((folder / "latest").string(),
                              ": expected the file that names the latest checkpoint, found no such file"));
  auto const path = [&](std::string_view end) {
    return folder / (detail::step_name(latest->step) + std::string(end));
  };
  detail::FileOfRun model = detail::read_of_run(path(detail::model_end), "model");
  detail::FileOfRun state = detail::read_of_run(path(detail::state_end), "state");
  for (detail::FileOfRun const* file : {&model, &state})
    if (auto const found = number_of<std::uint64_t>(file->content, "step"); found != latest->step)
      throw FormatError(
          message(file->content.name, ": expected step ", latest->step, ", found step ", found));
  std::string const tag = text_of(model.content, "run");
  if (std::string const& found = text_of(state.content, "run"); found != tag)
    throw FormatError(message(state.content.name, ": expected run ", tag.substr(0, 40),
                              " as in the model beside it, found run ", found.substr(0, 40)));
  detail::require_checksum(folder, model, *latest, 0);
  detail::require_checksum(folder, state, *latest, 1);
  return {tag, latest->step, std::move(model.content), std::move(state.content)};
}

}  // namespace detrame
