// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "data_sets.hpp"
#include "perturbations.hpp"
#include "published.hpp"

namespace experiment {

namespace {

using namespace detrame;

std::string name_of(Row const& model) {
  std::string text = message(model.net, " ", model.depth);
  if (model.widen != 1) text += message("-", model.widen);
  if (model.T > 0) text += message(", T = ", model.T);
  return text + ", " + model.dataset;
}

std::string command(std::string_view what, std::string const& options) {
  return message("detrame-experiment ", what, " --checkpoint MODEL --data DIR ", options, " --out DIR");
}

/// A reading of a xi whose unit the paper does not give.
struct Reading {
  double xi;
  std::string_view units, text;
};

/// What was run here of a kind, model by model, its sizes in a row.
void print_ours(std::vector<Perturbed> const& all, bool noise) {
  std::vector<Perturbed> left;
  for (Perturbed const& one : all)
    if ((one.kind == "noise") == noise && (noise || one.kind == "universal")) left.push_back(one);
  for (auto const& some : by_kind(left)) {
    Perturbed const& first = some[0];
    std::printf("  %-36s %s %-7s %s%s: %s\n", name_of(first.network).c_str(), noise ? "rho" : "xi ",
                message(first.size).c_str(), first.units.c_str(), noise ? "" : (", p = " + first.p).c_str(),
                changed_text(some).c_str());
  }
}

}  // namespace

void print_table6(std::vector<Perturbed> const& all) {
  std::printf(
      "\nTable 6. %% of test images with another label under a universal perturbation, p = inf. The unit of "
      "the paper's xi\nis not published: both plausible readings\n\n");
  for (auto const& row : published::table6) {
    bool const normalised = find_data_set(row.dataset).normalised;
    Reading const readings[] = {
        {row.xi, "pixels", "pixels of [0, 1]"},
        normalised ? Reading{row.xi, "network", "the normalised input"}
                   : Reading{255 * row.xi, "pixels", "pixels of [0, 1] that are divided by 255 once more"}};
    for (bool const twin : {false, true}) {
      Row const model{twin ? "detrame-wideresnet" : "wideresnet", 16, 8, twin ? row.T : 0,
                      std::string(row.dataset)};
      published::Accuracy const& paper = twin ? row.twin : row.original;
      std::printf("  %-36s xi = %-6s  paper %s\n", name_of(model).c_str(), message(row.xi).c_str(),
                  mean_text(paper.mean, paper.deviation).c_str());
      for (Reading const& reading : readings) {
        std::string ours;
        for (auto const& some : by_kind(those(all, model, "universal", "inf", reading.units, reading.xi)))
          ours += (ours.empty() ? "" : "; ") + changed_text(some);
        std::printf("    xi in %s: %s\n      %s\n", std::string(reading.text).c_str(),
                    ours.empty() ? "not run here" : ours.c_str(),
                    command("attack", message("--method universal --xi ", reading.xi,
                                              reading.units == "network" ? " --units network" : ""))
                        .c_str());
      }
    }
  }
}

void print_figures_3_and_4(std::vector<Perturbed> const& all) {
  std::printf(
      "\nFigure 3. %% with another label against xi, CIFAR-10, five runs each: PlainNet and ResNet with "
      "their "
      "twins; no figures are printed there\n\n  %s\n  python3 examples/python/plot_robustness.py "
      "DIR/attack.csv ... --output FILE\n\n",
      command("attack", "--xi .01,.02,.03,.04,.05 --seeds 1..5").c_str());
  print_ours(all, false);
  std::printf(
      "\nFigure 4. %% with another label under Gaussian noise, E |v|^2 = rho |x|^2, CIFAR-10, five runs "
      "each: "
      "ResNet110,\nPlainNet 9, WideResNet 16-8 and their twins; no figures are printed there\n\n  %s\n  "
      "python3 examples/python/plot_robustness.py DIR/noise.csv ... --output FILE\n\n",
      command("noise", "--rho .01,.03,.1,.3,1 --seeds 1..5").c_str());
  print_ours(all, true);
}

}  // namespace experiment
