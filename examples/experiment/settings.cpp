// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <sstream>

#include "detrame/io/metadata.hpp"
#include "quoted.hpp"
#include "ranges.hpp"

namespace experiment {

namespace {

template <class Value>
std::string text(Value const& value) {
  if constexpr (std::is_same_v<Value, std::string>)
    return value;
  else
    return number_text(value);
}

std::string key(char const* option) { return std::string("--") + option; }

std::string milestones_text(std::vector<int> const& milestones) {
  std::string text;
  for (int const milestone : milestones) text += (text.empty() ? "" : " ") + number_text(milestone);
  return text;
}

bool is_twin(Settings const& s) { return s.net.starts_with("detrame-"); }

/// What the network and the data set decide where it was not said.
void set_defaults(Settings& s) {
  DataSet const& set = find_data_set(s.dataset);
  if (!s.given.contains("epochs")) s.epochs = set.epochs;
  if (!s.given.contains("lr")) s.rate = set.rate;
  if (is_twin(s) && !s.given.contains("steps")) s.steps = 2;
}

/// " --out 'my run'"
std::string with_value(std::string const& option, std::string const& value) {
  return message(' ', option, value.starts_with('-') ? '=' : ' ', shell_quoted(value));
}

/// What neither decides a number nor stands in a checkpoint.
std::string unstored_options(Settings const& s) {
  std::string options;
  if (s.given.contains("threads")) options += with_value("--threads", number_text(s.place.threads));
  if (s.save_every > 0) options += with_value("--save-every", number_text(s.save_every));
  return options;
}

}  // namespace

void complete(Settings& s) {
  set_defaults(s);
  DataSet const& set = find_data_set(s.dataset);
  bool const twin = is_twin(s);
  if (twin && s.steps < 1) throw DomainError(message("--steps ", s.steps, ": T must be >= 1 for ", s.net));
  if (!twin && s.given.contains("steps") && s.steps != 0)
    throw DomainError(message("--steps ", s.steps, ": ", s.net, " has no Q-metric ReLU; --net detrame-",
                              s.net, " is its twin that has"));
  if (s.given.contains("threads")) require_threads_of(s.place);
  if (s.data.empty()) s.data = default_folder(set);
  if (s.data.empty())
    throw DomainError(message("--data is missing: a folder with ", s.dataset, ": ", set.files));
}

std::string command_of(Settings const& s) {
  Settings usual;
  usual.net = s.net;
  usual.dataset = s.dataset;
  set_defaults(usual);
  std::set<std::string> said{"net", "depth", "dataset"};
  if (s.steps > 0) said.insert("steps");
  std::map<std::string, std::string> defaults;
  each_setting(usual, [&](char const* option, auto const& value) { defaults[option] = text(value); });
  std::string command = "detrame-experiment train";
  each_setting(s, [&](char const* option, auto const& value) {
    if (said.contains(option) || text(value) != defaults[option])
      command += with_value(key(option), text(value));
  });
  return command + with_value("--data", s.data) + with_value("--out", s.out) + unstored_options(s);
}

std::string resume_command(Settings const& s) {
  std::string const command = "detrame-experiment train --resume" + with_value("--out", s.out);
  return command + (s.given.contains("data") ? with_value("--data", s.data) : "") + unstored_options(s);
}

void store_settings(Settings const& settings, TensorFile& state) {
  each_setting(settings,
               [&](char const* option, auto const& value) { state.metadata[key(option)] = text(value); });
}

void adopt_settings(Settings& settings, TensorFile const& state) {
  each_setting(settings, [&](char const* option, auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    Value stored;
    bool const older = !state.metadata.contains(key("device"));  // a run on the CPU
    if constexpr (std::is_same_v<Value, std::string>)
      stored = older && std::string_view(option) == "device" ? "cpu" : text_of(state, key(option));
    else
      stored = number_of<Value>(state, key(option));
    std::string wrong;
    if constexpr (std::is_same_v<Value, std::string>)
      wrong = range_error(option, stored);
    else
      wrong = range_error(option, static_cast<double>(stored));
    if (!wrong.empty()) throw FormatError(message(state.name, ": __metadata__: ", key(option), ": ", wrong));
    if (settings.given.contains(option) && value != stored)
      throw DomainError(message(settings.out.string(), " holds a run with --", option, " ", text(stored),
                                ", which cannot become ", text(value),
                                " on the way; for another run name another folder with --out"));
    value = stored;
    settings.given.insert(option);  // decided
  });
}

void store_milestones(std::vector<int> const& milestones, TensorFile& state) {
  state.metadata["milestones"] = milestones_text(milestones);
}

std::vector<int> milestones_of(TensorFile const& state, int epochs, std::vector<double> const& shares) {
  std::vector<int> milestones;
  if (!state.metadata.contains("milestones")) {
    constexpr double rounding = 1 + 4 * std::numeric_limits<double>::epsilon();
    for (double const share : shares) milestones.push_back(static_cast<int>(share * epochs * rounding));
    return milestones;
  }
  std::string const& text = text_of(state, "milestones");
  std::istringstream numbers(text);
  for (int milestone; numbers >> milestone;) milestones.push_back(milestone);
  int const last = std::max(epochs, 1);
  bool const in_range = std::all_of(milestones.begin(), milestones.end(),
                                    [&](int milestone) { return milestone >= 0 && milestone <= last; });
  if (!in_range || milestones_text(milestones) != text)
    throw FormatError(message(state.name, ": __metadata__: milestones: expected epochs in 0 ... ", last,
                              ", as in \"3 5 7\", found \"", text.substr(0, 40), "\""));
  return milestones;
}

}  // namespace experiment
