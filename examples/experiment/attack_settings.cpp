// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "attack.hpp"
#include "quoted.hpp"
#include "ranges.hpp"
#include "settings.hpp"

namespace experiment {

namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 13> methods{
    {{"xi", "universal fgsm pgd apgd"},
     {"delta", "universal"},
     {"overshoot", "universal deepfool"},
     {"passes", "universal"},
     {"inner", "universal"},
     {"as-published", "universal"},
     {"images", "universal"},
     {"steps", "universal deepfool pgd apgd"},
     {"step-size", "pgd"},
     {"restarts", "apgd"},
     {"loss", "fgsm pgd apgd"},
     {"seeds", "universal pgd apgd"},
     {"units", "universal deepfool"}}};

bool has(std::string_view method, std::string_view option) {
  std::string_view const all = methods_with(option);
  return all.empty() ||
         (' ' + std::string(all) + ' ').find(' ' + std::string(method) + ' ') != std::string::npos;
}

/// What decides no number.
std::string where(AttackSettings const& s) {
  std::string options;
  if (s.given.contains("data")) options += with_value("--data", s.at.data);
  if (!s.out.empty()) options += with_value("--out", s.out);
  if (s.given.contains("threads")) options += with_value("--threads", number_text(s.at.place.threads));
  return options;
}

}  // namespace

int usual_steps(std::string_view method) {
  return method == "universal" ? 10 : method == "deepfool" ? 50 : method == "pgd" ? 40 : 100;
}

std::string_view methods_with(std::string_view option) {
  auto const found =
      std::find_if(methods.begin(), methods.end(), [&](auto const& m) { return m.first == option; });
  return found == methods.end() ? "" : found->second;
}

void complete(AttackSettings& s) {
  for (std::string const& option : s.given)
    if (!has(s.method, option))
      throw WrongOption(
          message("--", option, ": --method ", s.method, " has none; these have: ", methods_with(option)));
  if (has(s.method, "xi") && s.xi.empty())
    throw WrongOption(message("--xi is required for --method ", s.method));
  if (s.as_published && s.given.contains("passes"))
    throw WrongOption("--passes: --as-published has no bound of passes");
  if (s.as_published && s.inner != "l2")
    throw WrongOption(message("--inner ", s.inner, ": l2 is --as-published"));
  if (s.steps < 0) s.steps = has(s.method, "steps") ? usual_steps(s.method) : 1;
}

void store_settings(AttackSettings const& s, TensorFile& state) {
  each_attack_member([&](std::string const& option, auto member) {
    if (has(s.method, option)) state.metadata["--" + option] = setting_text(member(s));
  });
}

void adopt_settings(AttackSettings& s, TensorFile const& state) {
  each_attack_member([&](std::string const& option, auto member) {  // the method comes first
    if (!has(s.method, option)) return;
    auto& value = member(s);
    std::remove_cvref_t<decltype(value)> was;
    take_setting(state, option, was);
    if (s.given.contains(option) && value != was)
      throw DomainError(message(s.out.string(), " holds an attack with --", option, " ", setting_text(was),
                                ", which cannot become ", setting_text(value),
                                " on the way; for another name another folder with --out"));
    value = was;
  });
}

std::string unusual_options(AttackSettings const& s, std::span<std::string_view const> without) {
  std::string options;
  AttackSettings usual;
  usual.steps = usual_steps(s.method);
  each_attack_member([&](std::string const& option, auto member) {
    std::string const text = setting_text(member(s));
    if (!has(s.method, option) || (option != "method" && text == setting_text(member(usual)))) return;
    if (std::find(without.begin(), without.end(), option) != without.end()) return;
    options += option == "as-published" ? " --as-published" : with_value("--" + option, text);
  });
  return options;
}

std::string command_of(AttackSettings const& s) {
  return "detrame-experiment attack" + with_value("--checkpoint", s.at.checkpoint) + unusual_options(s) +
         where(s);
}

std::string resume_command(AttackSettings const& s) {
  return "detrame-experiment attack --resume" + with_value("--checkpoint", s.at.checkpoint) + where(s);
}

}  // namespace experiment
