// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>

#include "runs.hpp"

namespace experiment {

/// A line of a summary that `attack` or `noise` left: one attack, or one level of noise.
struct Perturbed {
  Row network;
  std::string epochs, model;  ///< of the training, "200"; the checksum, by which models differ
  std::string kind, options;  ///< "universal", "deepfool", ..., "noise"; " --passes 1": what is not usual
  std::string p, units;       ///< "inf"; "pixels", "network"; of noise the energy: "raw", "centred"
  double size;                ///< xi or rho; 0 where there is none
  double images;              ///< held out
  double seed;
  double changed;  ///< share of held-out images with another label, not clipped
  double random;   ///< that under the control; 0 where there is none

  /// What runs that differ in models and seeds alone have in common; all but the rates.
  auto kind_of() const { return std::tie(network, epochs, kind, options, p, units, size, images); }
  auto run() const { return std::tuple_cat(kind_of(), std::tie(model, seed)); }
};

/// Reads what `attack` and `noise` left in all folders below one: files of JSON with a key `perturbation`. A
/// run that another file has too counts once. FormatError where one is no such summary.
std::vector<Perturbed> read_perturbed(std::filesystem::path const& folder);

/// Parted into runs that differ in their models and seeds alone.
std::vector<std::vector<Perturbed>> by_kind(std::vector<Perturbed> const& all);

/// Those of a network, a kind, a norm, units and a size.
std::vector<Perturbed> those(std::vector<Perturbed> const& all, Row const& network, std::string_view kind,
                             std::string_view p, std::string_view units, double size);

/// "12.34 +- 1.00 (3 runs, 1 model, 10000 images; --passes 1), random 0.50": changed labels in percent, of
/// runs that differ in their models and seeds alone.
std::string changed_text(std::vector<Perturbed> const& some);

/// Table 6 of the paper, with both readings of its xi; the commands of its Figures 3 and 4; what came out
/// here.
void print_table6(std::vector<Perturbed> const& all);
void print_figures_3_and_4(std::vector<Perturbed> const& all);

}  // namespace experiment
