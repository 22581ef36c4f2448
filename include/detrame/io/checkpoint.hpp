// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "detrame/io/metadata.hpp"
#include "detrame/io/safetensors.hpp"

namespace detrame::inline DETRAME_ABI {

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

/// What the file `latest` says: a step, and for model and state the checksums that each may have: one, or two
/// while the pair is replaced by another of the same step. None in the first form of the file.
struct Latest {
  std::uint64_t step;
  std::array<std::vector<std::uint64_t>, 2> checksums;
};

inline std::string latest_text(Latest const& latest) {
  std::string text = step_name(latest.step) + "\n";
  auto const& [model, state] = latest.checksums;
  if (model.empty()) return text;
  auto const line = [&](char const* what, std::vector<std::uint64_t> const& sums) {
    text += what + hexadecimal_text(sums[0]);
    if (sums.size() > 1) text += " or " + hexadecimal_text(sums[1]);
    text += '\n';
  };
  text += "form 2\n";
  line("model ", model);
  line("state ", state);
  return text;
}

/// What latest_text wrote, and nothing else.
inline std::optional<Latest> latest_in(std::string_view text) {
  auto const step = step_in(text.substr(0, text.find('\n')));
  if (!step) return std::nullopt;
  Latest latest{*step, {}};
  if (latest_text(latest) == text) return latest;
  std::string_view rest = text.substr(text.find('\n') + 1);
  auto const take_sum = [&](std::string_view before, std::vector<std::uint64_t>& sums) {
    constexpr std::size_t digits = 16;
    if (!rest.starts_with(before) || rest.size() < before.size() + digits) return false;
    std::from_chars(rest.data() + before.size(), rest.data() + before.size() + digits, sums.emplace_back(),
                    16);
    rest.remove_prefix(before.size() + digits);
    return true;
  };
  auto& [model, state] = latest.checksums;
  if (!take_sum("form 2\nmodel ", model)) return std::nullopt;
  take_sum(" or ", model);
  if (!take_sum("\nstate ", state)) return std::nullopt;
  take_sum(" or ", state);
  return latest_text(latest) == text ? std::optional(latest) : std::nullopt;
}

inline void write_latest(std::filesystem::path const& folder, Latest const& latest) {
  std::string const text = latest_text(latest);
  ReplacedFile file(folder / "latest");
  file.write(text.data(), text.size());
  file.commit();
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
  Checksum sum;
  TensorFile content = read_safetensors(in, file.string(), &sum);
  FileOfRun read{std::move(content), sum.value()};
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
  auto const& sums = latest.checksums[which];
  if (sums.empty() && file.content.metadata.contains("form"))
    throw FormatError(message((folder / "latest").string(), ": expected the checksum of ", name,
                              ", which was written with one, found none"));
  if (!sums.empty() && std::find(sums.begin(), sums.end(), file.checksum) == sums.end())
    throw FormatError(message(name, ": expected the checksum ", hexadecimal_text(sums[0]),
                              " that `latest` has for it, found ", hexadecimal_text(file.checksum),
                              ": the file is damaged, or another"));
}

/// The checksums that the files of a pair may have while they are replaced by these, which have the same
/// step: those of now too, where they are as `latest` says or it has none.
inline Latest both_pairs(std::filesystem::path const& folder, Latest const& now,
                         std::array<std::uint64_t, 2> const& next) {
  Latest both{now.step, {std::vector{next[0]}, std::vector{next[1]}}};
  std::string const name = step_name(now.step);
  for (std::size_t i = 0; i < 2; ++i) try {
      auto const file = folder / (name + std::string(i == 0 ? model_end : state_end));
      std::ifstream in = open_file(file, "a safetensors file");
      std::uint64_t const sum = checksum_of(in, file.string());
      auto const& known = now.checksums[i];
      if (sum != next[i] && (known.empty() || std::find(known.begin(), known.end(), sum) != known.end()))
        both.checksums[i].push_back(sum);
    } catch (FormatError const&) {  // there is no such file, so no pair from before
    }
  return both;
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
/// and 2. `latest` has four lines: step-N, form 2, and the checksum (CRC-64) of either file; while a pair is
/// replaced by another of the same step, both checksums that a file may have.
///
/// Requires  a folder that one run writes to, one call at a time; two checkpoints of one run at one step have
///           the same parameters; a tag, else DomainError.
/// Ensures   (1) whenever the process or the machine stops, `latest` names a pair that is whole: that from
///               before, or this one;
///           (2) afterwards the folder has this checkpoint and the one from before. Older ones with this tag
///               and what was left unfinished (remove_unfinished) are removed; where that fails, they stay,
///               as do all other files;
///           (3) what cannot be written is a std::filesystem::filesystem_error, and leaves the pair from
///               before.
/// Tested    tests/io/checkpoint_test.cpp, tests/experiment/runner_test.py
inline void write_checkpoint(std::filesystem::path const& folder, Checkpoint checkpoint) {
  if (checkpoint.tag.empty()) throw DomainError("write_checkpoint: the tag of the run is empty");
  auto const previous = detail::read_latest(folder);
  std::string const name = detail::step_name(checkpoint.step);
  auto const describe = [&](TensorFile& content, std::string_view what) {
    content.metadata["file"] = what;
    content.metadata["run"] = checkpoint.tag;
    content.metadata["step"] = number_text(checkpoint.step);
    content.metadata["form"] = "2";
  };
  describe(checkpoint.model, "model");
  describe(checkpoint.state, "state");
  if (previous && previous->step == checkpoint.step)
    detail::write_latest(folder, detail::both_pairs(folder, *previous,
                                                    {safetensors_checksum(checkpoint.model),
                                                     safetensors_checksum(checkpoint.state)}));
  auto const write = [&](TensorFile const& content, std::string_view end) {
    return std::vector{write_safetensors(folder / (name + std::string(end)), content)};
  };
  auto const model = write(checkpoint.model, detail::model_end);
  auto const state = write(checkpoint.state, detail::state_end);
  detail::write_latest(folder, {checkpoint.step, {model, state}});

  std::error_code ignored;
  for (auto const& file : detail::regular_files(folder)) {
    auto const step = detail::step_of_file(file.filename().string());
    if (step && *step != checkpoint.step && (!previous || *step != previous->step) &&
        detail::run_of(file) == checkpoint.tag)
      std::filesystem::remove(file, ignored);
  }
  remove_unfinished(folder, checkpoint.tag);
}

/// The checkpoint that `latest` names.
///
/// Ensures   FormatError with the file, what was expected and what was found, where there is no `latest` or
///           it names no step, where a file of the pair is missing or malformed (read_safetensors), is the
///           other one, has another tag or step than its name and its sibling say, or another checksum than
///           `latest` says: one flipped bit in any of the three is refused. A `latest` of one line has no
///           checksums, and its pair is read without. Files that `latest` does not name are not looked at.
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

}  // namespace detrame::inline DETRAME_ABI
