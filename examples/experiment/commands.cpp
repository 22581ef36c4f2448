// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "quoted.hpp"
#include "settings.hpp"

namespace experiment {

namespace {

/// What decides no number.
std::string other_options(Settings const& s) {
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
  each_setting(usual, [&](char const* option, auto const& value) { defaults[option] = setting_text(value); });
  std::string options = s.parts.empty() ? "" : " --resume --reschedule";
  each_setting(s, [&](char const* option, auto const& value) {
    std::string const name = option;
    bool const said = s.parts.empty()
                          ? name == "net" || name == "depth" || name == "dataset" ||
                                (name == "steps" && s.steps > 0) || setting_text(value) != defaults[name]
                          : name == "epochs" || is_of_the_schedule(name);
    if (said && is_flag(name))
      options += " --" + name;
    else if (said)
      options += with_word(std::string("--") + option,
                           name == "from" ? setting_text(value) : shell_quoted(setting_text(value)));
  });
  return options;
}

}  // namespace

void begin_another_part(Settings& settings, Settings const& before, int epochs_done) {
  if (epochs_done == settings.part_began) return;
  settings.part_began = epochs_done;
  Settings part = before;
  part.epochs = epochs_done;
  settings.parts.push_back(part_of(part));
}

std::string command_of(Settings const& s) {
  std::string const begin = "detrame-experiment train",
                    end = with_value("--data", s.data) + with_value("--out", s.out) + other_options(s);
  std::string command;
  for (std::string const& part : s.parts) command += begin + part + end + " && ";
  return command + begin + part_of(s) + end;
}

std::string resume_command(Settings const& s) {
  std::string const command =
      "detrame-experiment train --resume" + with_value("--out", s.all_runs.empty() ? s.out : s.all_runs);
  return command + (s.given.contains("data") ? with_value("--data", s.data) : "") + other_options(s);
}

}  // namespace experiment
