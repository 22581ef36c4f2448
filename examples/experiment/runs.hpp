// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace experiment {

/// What is left of a run: its summary.json, or an epochs.csv under a name that says which network it is of.
struct Run {
  std::string net;
  int depth, widen, steps;
  std::string dataset, seed;
  std::string others;  ///< options by which it differs from the protocol, but for the number of epochs
  bool finished;       ///< all the epochs that were asked for
  int epochs;
  double accuracy;  ///< of the last one, on the test images
  double train_images, seconds, images_per_second;
  double multiply_adds;  ///< 0 where that is not said, as is the next
  double test_seconds;   ///< an image
};

/// The network of a table's row, and its data.
struct Row {
  std::string net;
  int depth, widen, T;
  std::string dataset;

  friend auto operator<=>(Row const&, Row const&) = default;
};

/// The runs of a folder.
struct Runs {
  std::vector<Run> all;
  std::vector<std::string> left_out;  ///< files of epochs whose names do not say which network, or say more
};

/// Whether the text of a summary is one of `attack` or `noise`, not of a run.
bool is_of_perturbations(std::string const& text);

/// Reads summary.json in all folders below one, and files NAME.json beside them that are summaries too; of
/// NAME.csv without NAME.json, the name, DATASET-NET DEPTH[-WIDEN][-T STEPS][-seed N] without blanks, tells
/// the network, and settings are taken for the protocol's where rate and images are. FormatError where a
/// summary is none, or has numbers that cannot be.
Runs read_runs(std::filesystem::path const& folder);

/// The finished runs of a row, one a seed, that have the most epochs and differ from the protocol in nothing
/// else; with any settings, those of one kind, which have the most images and then the most epochs.
std::vector<Run> best_runs(std::vector<Run> const& runs, Row const& row, bool any_settings = false);

/// "82.00 +- 1.00": a mean and a deviation; those of some numbers, of more than one (n - 1).
std::string mean_text(double mean, double deviation);
std::string mean_text(std::vector<double> const& numbers);

/// "82.00 +- 1.00 (3 seeds, 8 of 200 epochs)": the mean and the deviation (n - 1) over some runs of one kind.
std::string accuracy_text(std::vector<Run> const& runs);

/// The run that did most multiply-adds in all, of exact dictionaries, whose work is mostly other, or of all
/// else; null where no run says how many.
Run const* longest(std::vector<Run> const& runs, bool of_exact_dictionaries);

}  // namespace experiment
