// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runs.hpp"

namespace experiment {

/// A line of a summary that `attack` or `noise` left: one attack, or one level of noise.
struct Perturbed {
  Row model;
  std::string training_seed, kind;  ///< "1"; "universal", "deepfool", ..., "noise"
  std::string p, units;             ///< "inf"; "pixels", "network"; of noise the energy: "raw", "centred"
  double size;                      ///< xi or rho; 0 where there is none
  double changed;                   ///< share of held-out images with another label, not clipped
  double random;                    ///< that under the control; 0 where there is none
  double images;                    ///< held out
};

/// Reads what `attack` and `noise` left in all folders below one: files of JSON with a key `perturbation`.
/// FormatError where one is no such summary.
std::vector<Perturbed> read_perturbed(std::filesystem::path const& folder);

/// Those of a model, a kind, a norm, units and a size.
std::vector<Perturbed> those(std::vector<Perturbed> const& all, Row const& model, std::string_view kind,
                             std::string_view p, std::string_view units, double size);

/// "12.34 +- 1.00 (3 runs, 1 model, 10000 images), random 0.50": shares of changed labels, in percent.
std::string changed_text(std::vector<Perturbed> const& some);

/// Table 6 of the paper, with both readings of its xi; the commands of its Figures 3 and 4; what came out
/// here.
void print_table6(std::vector<Perturbed> const& all);
void print_figures_3_and_4(std::vector<Perturbed> const& all);

}  // namespace experiment
