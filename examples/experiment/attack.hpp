// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect.hpp"

namespace experiment {

/// What `attack` is told: `at.limit` counts the held-out images, those to test. The first part decides which
/// numbers come out, and stands in the state that --resume goes on from.
struct AttackSettings {
  std::string method = "universal";
  std::string p = "inf";         ///< of the norm
  std::string xi;                ///< a list of radii
  std::string units = "pixels";  ///< of xi: pixels of [0, 1], or what the network reads
  double delta = .2, overshoot = .02;
  int passes = 5;
  std::string inner = "l2";  ///< the norm of the DeepFool in universal
  bool as_published = false;
  int steps = -1;        ///< -1: the method's own
  double step_size = 0;  ///< 0: 2.5 xi / steps
  int restarts = 1;
  std::string loss = "cross-entropy";
  Index images = 1000;  ///< that build a universal perturbation, the first to train on
  std::string seeds = "1";

  Inspected at;
  std::filesystem::path out;
  bool resume = false;
  std::set<std::string> given{};  ///< names of the options on the command line
};

/// f(name of the option, what gives the member of some settings) for each setting that decides the numbers,
/// the method first, which decides what others there are.
template <class F>
void each_attack_member(F&& f) {
  f("method", [](auto& s) -> auto& { return s.method; });
  f("p", [](auto& s) -> auto& { return s.p; });
  f("xi", [](auto& s) -> auto& { return s.xi; });
  f("units", [](auto& s) -> auto& { return s.units; });
  f("delta", [](auto& s) -> auto& { return s.delta; });
  f("overshoot", [](auto& s) -> auto& { return s.overshoot; });
  f("passes", [](auto& s) -> auto& { return s.passes; });
  f("inner", [](auto& s) -> auto& { return s.inner; });
  f("as-published", [](auto& s) -> auto& { return s.as_published; });
  f("steps", [](auto& s) -> auto& { return s.steps; });
  f("step-size", [](auto& s) -> auto& { return s.step_size; });
  f("restarts", [](auto& s) -> auto& { return s.restarts; });
  f("loss", [](auto& s) -> auto& { return s.loss; });
  f("images", [](auto& s) -> auto& { return s.images; });
  f("limit", [](auto& s) -> auto& { return s.at.limit; });
  f("seeds", [](auto& s) -> auto& { return s.seeds; });
  f("device", [](auto& s) -> auto& { return s.at.place.device; });
}

/// The steps of a method where none are asked for.
int usual_steps(std::string_view method);

/// The methods that have an option of `attack`; "" where all have.
std::string_view methods_with(std::string_view option);

/// WrongOption where an option was given that the method does not have, or two that do not go together; fills
/// in what the method decides.
void complete(AttackSettings& settings);

/// Puts the settings that the method has into a state, and takes them out where the command line says none.
/// FormatError where one is out of its range, DomainError where the command line says otherwise.
void store_settings(AttackSettings const& settings, TensorFile& state);
void adopt_settings(AttackSettings& settings, TensorFile const& state);

/// " --passes 1": the options that are not as usual, and the method, but for some.
std::string unusual_options(AttackSettings const& settings, std::span<std::string_view const> without = {});

/// The command that repeats an attack with these settings, and the one that goes on with it.
std::string command_of(AttackSettings const& settings);
std::string resume_command(AttackSettings const& settings);

/// Attacks a model. Returns the exit status, 130 where it was interrupted.
int attack(AttackSettings settings);

}  // namespace experiment
