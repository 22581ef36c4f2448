// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <sstream>

#include "detrame/io/metadata.hpp"
#include "detrame/optim/schedule.hpp"
#include "ranges.hpp"
#include "text.hpp"

namespace experiment {

namespace {

std::string key(char const* option) { return std::string("--") + option; }

bool is_twin(Settings const& s) { return s.net.starts_with("detrame-"); }

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

/// What is wrong may be the run's, where one is gone on with.
[[noreturn]] void refuse(Settings const& s, std::string const& text) {
  if (s.resume) throw DomainError(text);
  throw WrongOption(text);
}

}  // namespace

void set_defaults(Settings& s) {
  DataSet const& set = find_data_set(s.dataset);
  if (!s.given.contains("epochs")) s.epochs = set.epochs;
  bool const adamw = s.optimiser == "adamw";
  if (!s.given.contains("lr")) s.rate = adamw ? 1e-3 : set.rate;
  if (adamw && !s.given.contains("weight-decay")) s.weight_decay = AdamW().weight_decay;
  if (!s.given.contains("schedule-epochs")) s.schedule_epochs = s.epochs;
  if (s.net == "certified" && !s.given.contains("initialiser")) s.initialiser = "orthogonal";
  if (is_twin(s) && !s.given.contains("steps")) s.steps = s.net == "detrame-deep-dictionary" ? 3 : 2;
}

Settings stored_settings(TensorFile const& state) {
  Settings stored;
  each_setting(stored, [&](std::string const& option, auto& value) {
    if (!state.metadata.contains("--" + option) &&
        std::find(newer.begin(), newer.end(), option) != newer.end())
      return;
    take_setting(state, option, value);
  });
  auto const take_other = [&](std::string const& option, auto& value) {
    if (!state.metadata.contains("--" + option)) return;
    take_setting(state, option, value);
    stored.given.insert(option);
  };
  take_other("threads", stored.place.threads);
  take_other("save-every", stored.save_every);
  if (!state.metadata.contains("--schedule-epochs")) stored.schedule_epochs = stored.epochs;
  for (std::size_t i = 1; state.metadata.contains(message("part ", i)); ++i)
    stored.parts.push_back(text_of(state, message("part ", i)));
  if (state.metadata.contains("part began")) stored.part_began = number_of<int>(state, "part began");
  return stored;
}

bool is_of_the_schedule(std::string_view option) {
  return option == "lr" || option == "schedule" || option == "schedule-epochs" || option == "warm-up";
}

void complete(Settings& s) {
  set_defaults(s);
  DataSet const& set = find_data_set(s.dataset);
  bool const twin = is_twin(s);
  if (twin && s.steps < 1) refuse(s, message("--steps ", s.steps, ": T must be >= 1 for ", s.net));
  if (!twin && s.given.contains("steps") && s.steps != 0)
    refuse(s, message("--steps ", s.steps, ": ", s.net, " has no Q-metric ReLU; --net detrame-", s.net,
                      " is its twin that has"));
  if (s.given.contains("threads")) require_threads_of(s.place);
  if (s.schedule == "cosine" && s.epochs > s.schedule_epochs)
    refuse(
        s,
        message(
            "--epochs ", s.epochs, ": the rate is 0 after the ", s.schedule_epochs,
            " epochs that its cosine is for (--schedule-epochs); --resume --reschedule makes another one"));
  s.data = data_folder(set, s.data);
}

Entry const& network_of(Settings const& s) {
  DataSet const& set = find_data_set(s.dataset);
  try {
    return find_network({s.net, s.depth, s.widen, s.steps, set.shape, set.classes});
  } catch (DomainError const& what) {
    refuse(s, what.what());
  }
}

void require_used(Settings const& s) {
  if (s.optimiser == "adamw")
    for (char const* const option : {"momentum", "nesterov"})
      if (s.given.contains(option))
        throw WrongOption(message("--", option, ": that is SGD's, and --optimiser is adamw"));
  if (s.nesterov && s.momentum == 0) throw WrongOption("--nesterov with --momentum 0, which must be > 0");
}

void store_settings(Settings const& settings, TensorFile& state) {
  each_setting(settings, [&](char const* option, auto const& value) {
    state.metadata[key(option)] = setting_text(value);
  });
  if (settings.given.contains("threads")) state.metadata["--threads"] = number_text(settings.place.threads);
  if (settings.save_every > 0) state.metadata["--save-every"] = number_text(settings.save_every);
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
          settings.out.string(), " holds a run with --", option, " ", setting_text(was),
          ", which cannot become ", setting_text(value), " on the way",
          of_the_schedule ? " without --reschedule" : "; for another run name another folder with --out"));
    if (!(given && may_change)) value = was;
    settings.given.insert(option);  // decided
  });
  auto const keep = [&](char const* option, auto member) {
    if (stored.given.contains(option) && settings.given.insert(option).second)
      member(settings) = member(stored);
  };
  keep("threads", [](auto& s) -> auto& { return s.place.threads; });
  keep("save-every", [](auto& s) -> auto& { return s.save_every; });
  settings.parts = stored.parts;
  settings.part_began = stored.part_began;
  if (settings.reschedule) require_warm_up_ahead(settings, number_of<int>(state, "epoch"), warm_up_given);
  if (for_all_epochs) settings.schedule_epochs = settings.epochs;
  return stored;
}

void store_milestones(std::vector<int> const& milestones, TensorFile& state) {
  state.metadata["milestones"] = joined(milestones, " ");
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
  if (!in_range || joined(milestones, " ") != text)
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
