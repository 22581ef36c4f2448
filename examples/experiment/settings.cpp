// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <sstream>

#include "detrame/io/metadata.hpp"
#include "detrame/optim/schedule.hpp"
#include "quoted.hpp"
#include "ranges.hpp"

namespace experiment {

namespace {

template <class Value>
std::string text(Value const& value) {
  if constexpr (std::is_same_v<Value, std::string>)
    return value;
  else if constexpr (std::is_same_v<Value, bool>)
    return value ? "1" : "0";
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
  bool const adamw = s.optimiser == "adamw";
  if (!s.given.contains("lr")) s.rate = adamw ? 1e-3 : set.rate;
  if (adamw && !s.given.contains("weight-decay")) s.weight_decay = AdamW().weight_decay;
  if (!s.given.contains("schedule-epochs")) s.schedule_epochs = s.epochs;
  if (is_twin(s) && !s.given.contains("steps")) s.steps = s.net == "detrame-deep-dictionary" ? 3 : 2;
}

/// " --out 'my run'", or " --out='-run'"; `word` is as a shell reads it.
std::string with_word(std::string const& option, std::string const& word) {
  bool const dash = word.starts_with('-') || word.starts_with("'-") || word.starts_with("$'-");
  return message(' ', option, dash ? '=' : ' ', word);
}
std::string with_value(std::string const& option, std::string const& value) {
  return with_word(option, shell_quoted(value));
}

/// What neither decides a number nor stands in a checkpoint.
std::string unstored_options(Settings const& s) {
  std::string options;
  if (s.given.contains("threads")) options += with_value("--threads", number_text(s.place.threads));
  if (s.save_every > 0) options += with_value("--save-every", number_text(s.save_every));
  return options;
}

/// The options of `train` that make a run with these settings, or its last part.
std::string part_of(Settings const& s) {
  Settings usual;
  usual.net = s.net;
  usual.dataset = s.dataset;
  usual.optimiser = s.optimiser;
  set_defaults(usual);
  usual.optimiser = Settings().optimiser;
  if (s.parts.empty()) usual.schedule_epochs = s.epochs;
  std::map<std::string, std::string> defaults;
  each_setting(usual, [&](char const* option, auto const& value) { defaults[option] = text(value); });
  std::string options = s.parts.empty() ? "" : " --resume --reschedule";
  each_setting(s, [&](char const* option, auto const& value) {
    std::string const name = option;
    bool const said = s.parts.empty() ? name == "net" || name == "depth" || name == "dataset" ||
                                            (name == "steps" && s.steps > 0) || text(value) != defaults[name]
                                      : name == "epochs" || is_of_the_schedule(name);
    if (said && is_flag(name))
      options += " --" + name;
    else if (said)
      options += with_word(key(option), name == "from" ? text(value) : shell_quoted(text(value)));
  });
  return options;
}

/// Settings that stand in no checkpoint of a program that had them not yet: there they are as by default.
constexpr std::array<std::string_view, 10> newer{"device",   "from",     "from-checksum", "schedule-epochs",
                                                 "schedule", "warm-up",  "optimiser",     "nesterov",
                                                 "clip",     "drop-last"};

/// A new schedule without a warm-up that ended before it, which is refused where it was asked for.
void require_warm_up_ahead(Settings& s, int epochs_done, bool given) {
  if (s.warm_up == 0 || s.warm_up > epochs_done) return;
  if (given)
    throw DomainError(message("--reschedule: --warm-up ", s.warm_up, " is counted from the first epoch, and ",
                              epochs_done, " are done: it would have no effect"));
  s.warm_up = 0;
}

}  // namespace

Settings stored_settings(TensorFile const& state) {
  Settings stored;
  each_setting(stored, [&](std::string const& option, auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if (!state.metadata.contains("--" + option) &&
        std::find(newer.begin(), newer.end(), option) != newer.end())
      return;
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
  });
  if (!state.metadata.contains("--schedule-epochs")) stored.schedule_epochs = stored.epochs;
  for (std::size_t i = 1; state.metadata.contains(message("part ", i)); ++i)
    stored.parts.push_back(text_of(state, message("part ", i)));
  if (state.metadata.contains("part began")) stored.part_began = number_of<int>(state, "part began");
  return stored;
}

bool is_of_the_schedule(std::string_view option) {
  return option == "lr" || option == "schedule" || option == "schedule-epochs" || option == "warm-up";
}

void begin_another_part(Settings& settings, Settings const& before, int epochs_done) {
  if (epochs_done == settings.part_began) return;
  settings.part_began = epochs_done;
  Settings part = before;
  part.epochs = epochs_done;
  settings.parts.push_back(part_of(part));
}

void complete(Settings& s) {
  set_defaults(s);
  DataSet const& set = find_data_set(s.dataset);
  bool const twin = is_twin(s);
  if (twin && s.steps < 1) throw DomainError(message("--steps ", s.steps, ": T must be >= 1 for ", s.net));
  if (!twin && s.given.contains("steps") && s.steps != 0)
    throw DomainError(message("--steps ", s.steps, ": ", s.net, " has no Q-metric ReLU; --net detrame-",
                              s.net, " is its twin that has"));
  if (s.given.contains("threads")) require_threads_of(s.place);
  if (s.schedule == "cosine" && s.epochs > s.schedule_epochs)
    throw DomainError(message(
        "--epochs ", s.epochs, ": the rate is 0 after the ", s.schedule_epochs,
        " epochs that its cosine is for (--schedule-epochs); --resume --reschedule makes another one"));
  s.data = data_folder(set, s.data);
}

void require_used(Settings const& s) {
  if (s.optimiser == "adamw")
    for (char const* const option : {"momentum", "nesterov"})
      if (s.given.contains(option))
        throw DomainError(message("--", option, ": that is SGD's, and --optimiser is adamw"));
  if (s.nesterov && s.momentum == 0) throw DomainError("--nesterov with --momentum 0, which must be > 0");
}

std::string command_of(Settings const& s) {
  std::string const begin = "detrame-experiment train",
                    end = with_value("--data", s.data) + with_value("--out", s.out) + unstored_options(s);
  std::string command;
  for (std::string const& part : s.parts) command += begin + part + end + " && ";
  return command + begin + part_of(s) + end;
}

std::string resume_command(Settings const& s) {
  std::string const command =
      "detrame-experiment train --resume" + with_value("--out", s.all_runs.empty() ? s.out : s.all_runs);
  return command + (s.given.contains("data") ? with_value("--data", s.data) : "") + unstored_options(s);
}

void store_settings(Settings const& settings, TensorFile& state) {
  each_setting(settings,
               [&](char const* option, auto const& value) { state.metadata[key(option)] = text(value); });
  for (std::size_t i = 0; i < settings.parts.size(); ++i)
    state.metadata[message("part ", i + 1)] = settings.parts[i];
  if (settings.part_began > 0) state.metadata["part began"] = number_text(settings.part_began);
}

Settings adopt_settings(Settings& settings, TensorFile const& state) {
  Settings const stored = stored_settings(state);
  bool const for_all_epochs = settings.reschedule && !settings.given.contains("schedule-epochs"),
             warm_up_given = settings.given.contains("warm-up");
  each_member([&](char const* option, auto member) {
    auto& value = member(settings);
    auto const& was = member(stored);
    std::string_view const name = option;
    bool const given = settings.given.contains(option), of_the_schedule = is_of_the_schedule(name),
               may_change = name == "epochs" || (of_the_schedule && settings.reschedule);
    if (given && value != was && !may_change)
      throw DomainError(message(
          settings.out.string(), " holds a run with --", option, " ", text(was), ", which cannot become ",
          text(value), " on the way",
          of_the_schedule ? " without --reschedule" : "; for another run name another folder with --out"));
    if (!(given && may_change)) value = was;
    settings.given.insert(option);  // decided
  });
  settings.parts = stored.parts;
  settings.part_began = stored.part_began;
  if (settings.reschedule) require_warm_up_ahead(settings, number_of<int>(state, "epoch"), warm_up_given);
  if (for_all_epochs) settings.schedule_epochs = settings.epochs;
  return stored;
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

std::vector<int> new_milestones(Settings const& s) {
  DataSet const& set = find_data_set(s.dataset);
  if (s.schedule == "cosine") return {};
  return step_schedule(s.rate, set.factor, s.schedule_epochs, set.shares).milestones;
}

TrainingOptions training_options(Settings const& s, std::vector<int> const& milestones) {
  Schedule schedule = StepSchedule{s.rate, find_data_set(s.dataset).factor, milestones};
  if (s.schedule == "cosine")
    schedule = CosineSchedule{.rate = s.rate, .length = std::max(1., static_cast<double>(s.schedule_epochs))};
  if (s.warm_up > 0) schedule = WarmUp{.then = schedule, .length = s.warm_up, .from = .1};
  TrainingOptions options{.epochs = s.epochs, .schedule = schedule, .seed = s.seed};
  auto const decays = s.decays == "all" ? Sgd::everything : Sgd::weights_only;
  if (s.optimiser == "adamw")
    options.optimiser =
        AdamW{.weight_decay = s.weight_decay, .decays = decays, .trains = Sgd::not_the_problem};
  else
    options.optimiser = Sgd{.momentum = s.momentum,
                            .weight_decay = s.weight_decay,
                            .nesterov = s.nesterov,
                            .decays = decays,
                            .trains = Sgd::not_the_problem};
  if (s.clip > 0) options.clip = Clip{s.clip};
  options.saving = {.steps = s.save_every, .seconds = 600};
  return options;
}

std::string schedule_text(Settings const& s, std::vector<int> const& milestones) {
  std::string text = message("from rate ", number_text(s.rate)), falls;
  for (int const milestone : milestones)
    if (milestone < s.epochs)
      falls += (falls.empty() ? message(", times ", find_data_set(s.dataset).factor, " after ") : ", ") +
               number_text(milestone);
  if (s.schedule == "cosine") text += message(" by half a cosine to 0 after ", s.schedule_epochs);
  if (s.warm_up > 0) falls += message(", warmed up for ", number_text(s.warm_up));
  return text + falls;
}

}  // namespace experiment
