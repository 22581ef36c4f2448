// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "detrame/core/version.hpp"
#include "detrame/io/metadata.hpp"
#include "inspect.hpp"
#include "options.hpp"
#include "quoted.hpp"
#include "ranges.hpp"
#include "signals.hpp"

namespace {

using namespace experiment;

/// Options whose description ends so must be said. CLI11's own `required` would ask for them before it names
/// an option that it does not know.
constexpr std::string_view required = " (required)";

void require_all(CLI::App const& app) {
  if (app.get_subcommands().empty()) throw CLI::RequiredError::Subcommand(1);
  for (auto const* option : app.get_subcommands()[0]->get_options())
    if (option->get_description().ends_with(required) && option->count() == 0)
      throw CLI::RequiredError(option->get_name());
}

/// What is written replaces nothing that is read.
void require_other_output(Inspected const& asked) {
  for (auto const& [option, file] :
       {std::pair("--checkpoint", model_in(asked.checkpoint)), std::pair("--input", asked.input)})
    if (std::error_code none; std::filesystem::equivalent(asked.output, file, none))
      throw DomainError(message("--output ", asked.output.string(), ": that is the file of ", option,
                                ", which it would replace"));
}

int run(int argc, char** argv) {
  Settings settings;
  Inspected asked;
  TableChoices table;
  CLI::App app("Trains the networks of arXiv 2002.07898v2 and looks at them.", "detrame-experiment");
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", message("detrame ", DETRAME_VERSION_MAJOR, ".", DETRAME_VERSION_MINOR,
                                            ".", DETRAME_VERSION_PATCH));
  app.set_help_all_flag("--help-all", "the options of all subcommands");

  auto* const training = app.add_subcommand("train", "train a network, or go on with it (--resume)");
  add_training(*training, settings);
  add_place(*training, settings.place);
  auto* const evaluation = app.add_subcommand("evaluate", "loss and accuracy of a model on the test images");
  add_inspection(*evaluation, asked, true);
  auto* const prediction = app.add_subcommand("predict", "scores of images in a file");
  add_inspection(*prediction, asked, false);
  auto* const gradient =
      app.add_subcommand("gradient", "the gradient of the mean loss over images in a file");
  add_inspection(*gradient, asked, false);
  for (auto* const command : {prediction, gradient}) {
    bool const predicts = command == prediction;
    command->add_option(
        "--input", asked.input,
        std::string("safetensors with `images`, N x C x H x W of F32 in [0, 1] or of U8, of which 255 is 1") +
            (predicts ? " (required)" : "; and `labels`, N whole numbers (required)"));
    command->add_option("--output", asked.output,
                        predicts ? "where `logits` go, N x classes (required)"
                                 : "where the gradients go, named as parameters are (required)");
  }
  auto* const depth = app.add_subcommand("depth", "accuracy and time of a model against T");
  add_inspection(*depth, asked, true);
  auto* const layers =
      app.add_subcommand("inspect", "Q-metric ReLUs of a model: a prox or not, how far from one");
  add_inspection(*layers, asked, true);
  NoiseAsked noise;
  AttackSettings attacked;
  auto* const noisy = app.add_subcommand("noise", "accuracy and labels of a model under Gaussian noise");
  add_noise_options(*noisy, noise);
  auto* const attacking = app.add_subcommand(
      "attack", "a model under perturbations that are made for it, of all images or of each");
  add_attack_options(*attacking, attacked);
  CertifyAsked certified;
  auto* const certifying =
      app.add_subcommand("certify", "what is proved of a model's labels, beside what attacks find");
  add_certify_options(*certifying, certified);
  auto* const info =
      app.add_subcommand("info", "a network: parameters, multiply-adds; all of them with no option");
  Settings described;
  add_network(*info, described);
  std::filesystem::path model;
  info->add_option("--checkpoint", model, "a model, in place of the network's name");
  auto* const tables =
      app.add_subcommand("table", "the paper's Tables 3 to 7 and Figures 2 to 4: commands and results");
  tables->add_option("--results", table.results, "folder with the folders that --out named");
  tables->add_option("--images-per-second", table.images_per_second, "throughput to guess times from")
      ->check(CLI::Range(0., 1e12));

  try {
    app.parse(argc, argv);
    require_all(app);
  } catch (CLI::ParseError const& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  for (auto const& [command, given] :
       {std::pair(training, &settings.given), std::pair(info, &described.given),
        std::pair(attacking, &attacked.given)})
    for (auto const* option : command->get_options())
      if (option->count() > 0) given->insert(option->get_name().substr(2));
  if (attacked.given.erase("seed") > 0) attacked.given.insert("seeds");

  if (!settings.from_file.empty()) settings.from = shell_quoted(settings.from_file);

  for (auto const& [command, place] :
       {std::pair(evaluation, &asked.place), std::pair(prediction, &asked.place),
        std::pair(gradient, &asked.place), std::pair(depth, &asked.place), std::pair(layers, &asked.place),
        std::pair(noisy, &noise.at.place), std::pair(attacking, &attacked.at.place),
        std::pair(certifying, &certified.at.place)})
    if (*command && command->count("--threads") > 0) require_threads_of(*place);

  if (*prediction || *gradient) require_other_output(asked);

  if (*training) {
    listen_to_signals();
    bool const several = !settings.seeds.empty() ||
                         (settings.resume && !settings.given.contains("seed") && has_seeds(settings.out));
    if (several) return train_seeds(settings);
    require_no_seeds(settings);
    return train(settings).status;
  }
  if (*evaluation) evaluate_model(asked);
  if (*prediction) predict_file(asked);
  if (*gradient) gradient_file(asked);
  if (*depth) print_depth(asked);
  if (*layers) inspect_layers(asked);
  if (*noisy) add_noise(noise);
  if (*attacking) return attack(attacked);
  if (*certifying) return certify_model(certified);
  if (*tables) print_tables(table);
  if (*info) {
    if (!model.empty())
      print_info(model);
    else if (described.given.empty())
      print_networks();
    else {
      described.data = ".";
      complete(described);
      print_info(network_of(described));
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  int const status = run(argc, argv);
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  std::fprintf(stderr, "detrame-experiment: the output could not all be written\n");
  return status == 0 ? 1 : status;
} catch (experiment::Diverged const& e) {
  std::fprintf(stderr, "detrame-experiment: %s\n", e.what());
  return 3;
} catch (experiment::WrongOption const& e) {
  std::fprintf(stderr, "detrame-experiment: %s\n", e.what());
  return 2;
} catch (std::exception const& e) {
  std::fprintf(stderr, "detrame-experiment: %s\n", e.what());
  return 1;
}
