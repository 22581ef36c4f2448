// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect.hpp"

namespace experiment {

/// What `certify` is told.
struct CertifyAsked {
  Inspected at;
  std::vector<double> epsilon;  ///< l2, in pixels of [0, 1]; empty: those that the data set's images have
  std::string attack = "pgd";
  std::filesystem::path out;  ///< where results go; empty: nowhere
  bool resume = false;
};

/// What is proved of a model's labels of the test images, by its twin in double: the claim, constants by
/// layer, clean, certified and attacked accuracy. Returns the exit status, 130 where it was interrupted.
/// Throws, naming the images, where an attack contradicts a certificate.
int certify_model(CertifyAsked asked);

}  // namespace experiment
