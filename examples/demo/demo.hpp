// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "detrame/data/labelled.hpp"
#include "run.hpp"

/// The main job: theorems, training and the depth table on 1,797 real digits.
namespace demo {

/// The digits: 1,237 to train, 200 to choose T by, the last 360 to test.
struct Digits {
  detrame::LabelledImages<float> train, validation, test;
};

Digits read_digits(std::filesystem::path const& folder);

/// A dictionary of k of the training digits of norm 1, and other digits of norm 1 to code.
struct DigitDictionary {
  detrame::HostMatrix<double> D;  ///< m x k
  detrame::HostMatrix<double> X;  ///< m x N
};

DigitDictionary digit_dictionary(Digits const& digits, detrame::Index k);

/// Theorems 3.1 and 4.1 checked, eq. (20) with eq. (24) certified or refused: printed line by line.
void check_theorems(Digits const& digits);

/// Distance to the exact prox, bound and time against T, for five recursions, and the exact solver's time:
/// printed, and written to depth.csv.
void print_depth_table(Digits const& digits, std::filesystem::path const& out);

/// The three kinds of network trained over several seeds: printed, and written to training.csv.
void train_networks(Digits const& digits, int seeds, std::filesystem::path const& out);

/// Each is the network 64 -> 96 -> 64 -> 10, trained by Algorithm 2 with one thread.
Run train_plain(Digits const& digits, std::uint64_t seed);
Run train_detrame(int T, Digits const& digits, std::uint64_t seed);
Run train_dictionaries(Digits const& digits, std::uint64_t seed);

/// Writes text to a file beside its place, then renames: never half a file.
void write_file(std::filesystem::path const& file, std::string const& text);

}  // namespace demo
