// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/io/metadata.hpp"
#include "ranges.hpp"
#include "train.hpp"

namespace experiment {

/// f(name of the option, what gives the member of some settings) for each setting that decides the numbers.
template <class F>
void each_member(F&& f) {
  f("net", [](auto& s) -> auto& { return s.net; });
  f("depth", [](auto& s) -> auto& { return s.depth; });
  f("widen", [](auto& s) -> auto& { return s.widen; });
  f("steps", [](auto& s) -> auto& { return s.steps; });
  f("dataset", [](auto& s) -> auto& { return s.dataset; });
  f("epochs", [](auto& s) -> auto& { return s.epochs; });
  f("lr", [](auto& s) -> auto& { return s.rate; });
  f("batch", [](auto& s) -> auto& { return s.batch; });
  f("momentum", [](auto& s) -> auto& { return s.momentum; });
  f("weight-decay", [](auto& s) -> auto& { return s.weight_decay; });
  f("decays", [](auto& s) -> auto& { return s.decays; });
  f("initialiser", [](auto& s) -> auto& { return s.initialiser; });
  f("seed", [](auto& s) -> auto& { return s.seed; });
  f("limit", [](auto& s) -> auto& { return s.limit; });
  f("device", [](auto& s) -> auto& { return s.place.device; });
  f("schedule-epochs", [](auto& s) -> auto& { return s.schedule_epochs; });
  f("schedule", [](auto& s) -> auto& { return s.schedule; });
  f("warm-up", [](auto& s) -> auto& { return s.warm_up; });
  f("optimiser", [](auto& s) -> auto& { return s.optimiser; });
  f("nesterov", [](auto& s) -> auto& { return s.nesterov; });
  f("clip", [](auto& s) -> auto& { return s.clip; });
  f("drop-last", [](auto& s) -> auto& { return s.drop_last; });
  f("from", [](auto& s) -> auto& { return s.from; });
  f("from-checksum", [](auto& s) -> auto& { return s.from_checksum; });
}

/// f(name of the option, member) for each of them.
template <class S, class F>
void each_setting(S& s, F&& f) {
  each_member([&](char const* option, auto member) { f(option, member(s)); });
}

/// A setting as text.
template <class Value>
std::string setting_text(Value const& value) {
  if constexpr (std::is_same_v<Value, std::string>)
    return value;
  else if constexpr (std::is_same_v<Value, bool>)
    return value ? "1" : "0";
  else
    return number_text(value);
}

/// Takes one out of the metadata. FormatError where a value is out of its range.
template <class Value>
void take_setting(TensorFile const& state, std::string const& option, Value& value) {
  std::string wrong;
  if constexpr (std::is_same_v<Value, std::string>) {
    value = text_of(state, "--" + option);
    wrong = range_error(option, value);
  } else if constexpr (std::is_same_v<Value, bool>) {
    value = number_of<int>(state, "--" + option) != 0;
  } else {
    value = number_of<Value>(state, "--" + option);
    wrong = range_error(option, static_cast<double>(value));
  }
  if (!wrong.empty()) throw FormatError(message(state.name, ": __metadata__: --", option, ": ", wrong));
}

/// Options that have no value.
inline bool is_flag(std::string_view option) { return option == "nesterov" || option == "drop-last"; }

/// Whether an option is of the schedule of the rate, which --reschedule may change on the way.
bool is_of_the_schedule(std::string_view option);

/// What the network and the data set decide where it was not said.
void set_defaults(Settings& settings);

/// Refuses an option that a new run was given and would not use.
void require_used(Settings const& settings);

/// Goes on with another schedule after so many epochs: what was is a part of the command from now on.
void begin_another_part(Settings& settings, Settings const& before, int epochs_done);

/// Puts the settings into a checkpoint's state.
void store_settings(Settings const& settings, TensorFile& state);

/// Takes them out of it. FormatError where one is out of its range.
Settings stored_settings(TensorFile const& state);

/// Takes them out of it, but for what the command line may change on the way: --epochs, and with
/// --reschedule the schedule. Returns them as they are stored. FormatError where one is out of its range,
/// DomainError where the command line says otherwise of another.
Settings adopt_settings(Settings& settings, TensorFile const& state);

/// Puts the milestones of the rate into a checkpoint's state, as "3 5 7".
void store_milestones(std::vector<int> const& milestones, TensorFile& state);

/// Milestones as new: the data set's shares of --schedule-epochs; none of a cosine.
std::vector<int> new_milestones(Settings const& settings);

/// What `fit` is told of a run with these settings, besides what it calls.
TrainingOptions training_options(Settings const& settings, std::vector<int> const& milestones);

/// "from rate 0.05, times 0.2 after 1, 2"
std::string schedule_text(Settings const& settings, std::vector<int> const& milestones);

/// Takes milestones out of it, where they are: runs begun before they were stored rounded the data set's
/// shares of all the epochs that the schedule is for down, and go on so. FormatError where the text is
/// something else.
std::vector<int> milestones_of(TensorFile const& state, int epochs, std::vector<double> const& shares);

}  // namespace experiment
