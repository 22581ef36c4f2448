// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"
#include "ranges.hpp"
#include "text.hpp"

namespace experiment {

namespace {

/// --method and what not all methods have: the help says which do.
void add_methods(CLI::App& app, AttackSettings& s) {
  auto const text = [](std::string const& option, std::string const& what) {
    return what + " (" + std::string(methods_with(option)) + ")";
  };
  app.add_option(
         "--method", s.method,
         "universal: one perturbation of all images (arXiv 1610.08401); of each image its own: deepfool "
         "(1511.04599), fgsm, pgd, apgd (2003.01690)")
      ->check(CLI::IsMember(choices("method")))
      ->capture_default_str();
  app.add_option("--p", s.p, "of the norm in which a perturbation is small")
      ->check(CLI::IsMember(choices("p")))
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--xi", [&s](std::string const& list) { s.xi = joined(*numbers_in("xi", list), ","); },
         text("xi", "its largest norm, or a list of them, as .01,.03"))
      ->check(list_in_range("xi"));
  app.add_option("--units", s.units,
                 text("units", "of --xi, and of what is least: pixels of [0, 1], or what the network reads"))
      ->check(CLI::IsMember(choices("units")))
      ->capture_default_str();
  app.add_option("--steps", s.steps, text("steps", "at most; 10, 50, 40 and 100"))->check(in_range("steps"));
  app.add_option("--overshoot", s.overshoot, text("overshoot", "beyond the boundary, a part of the way"))
      ->check(in_range("overshoot"))
      ->capture_default_str();
  app.add_option("--delta", s.delta, text("delta", "done where the share 1 - delta has another label"))
      ->check(in_range("delta"))
      ->capture_default_str();
  app.add_option("--passes", s.passes, text("passes", "over the images, at most"))
      ->check(in_range("passes"))
      ->capture_default_str();
  app.add_option("--inner", s.inner, text("inner", "the norm of DeepFool; l2, whatever --p, as published"))
      ->check(CLI::IsMember(choices("inner")))
      ->capture_default_str();
  app.add_option("--images", s.images, text("images", "that build it, the first of those to train on"))
      ->check(in_range("images"))
      ->capture_default_str();
  app.add_flag("--as-published", s.as_published,
               text("as-published", "the rules of the original's program: no bound of passes, the last v"));
  app.add_option("--step-size", s.step_size, text("step-size", "in the units of --xi; 0: 2.5 xi / steps"))
      ->check(in_range("step-size"));
  app.add_option("--restarts", s.restarts,
                 text("restarts", "runs, each from a random start, of images that are not fooled yet"))
      ->check(in_range("restarts"))
      ->capture_default_str();
  app.add_option("--loss", s.loss, text("loss", "that is made large"))
      ->check(CLI::IsMember(choices("loss")))
      ->capture_default_str();
}

/// --out, which is not empty where it is said.
void add_folder(CLI::App& app, std::filesystem::path& out, std::string const& text) {
  app.add_option("--out", out, text)
      ->check(CLI::Validator(
          [](std::string const& name) {
            return std::string(name.empty() ? "is empty, must be the name of a folder" : "");
          },
          ""));
}

}  // namespace

void add_inspection(CLI::App& app, Inspected& asked, bool data) {
  app.add_option("--checkpoint", asked.checkpoint,
                 "a model: model.safetensors or step-N.model.safetensors (required)");
  add_place(app, asked.place);
  if (!data) return;
  app.add_option("--data", asked.data, data_set_text());
  app.add_option("--limit", asked.limit, "the first N test images alone; 0: all")->check(in_range("limit"));
}

void add_noise_options(CLI::App& app, NoiseAsked& asked) {
  add_inspection(app, asked.at, true);
  app.add_option_function<std::string>(
         "--rho", [&asked](std::string const& text) { asked.rho = *numbers_in("rho", text); },
         "a list of shares of each image's energy, as .01,.03,1 (.01,.03,.1,.3,1)")
      ->check(list_in_range("rho"));
  add_seeds(app, asked.seed, asked.seeds, "of the noise", "then mean and deviation");
  add_folder(app, asked.out, "folder for noise.csv and summary.json");
}

void add_attack_options(CLI::App& app, AttackSettings& s) {
  add_inspection(app, s.at, true);
  add_methods(app, s);
  auto* const seed =
      app.add_option("--seed", s.seeds,
                     message("of orders, random starts and the control (", methods_with("seeds"), ")"))
          ->check(is_seed());
  app.add_option("--seeds", s.seeds, "1..5 or 1,4,7: an attack with each, then mean and deviation (1)")
      ->check(list_in_range("seeds"))
      ->excludes(seed);
  add_folder(app, s.out, "folder for attack.csv, summary.json, v, and the state that --resume goes on from");
  app.add_flag("--resume", s.resume,
               "go on with the attack in --out, with the settings that it has; where there is none, start")
      ->needs("--out");
}

}  // namespace experiment
