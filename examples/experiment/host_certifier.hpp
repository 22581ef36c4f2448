// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/robust/certify.hpp"
#include "network.hpp"

namespace experiment {

/// What is proved of the labels that a model's twin in double says, the same parameters on the CPU, in terms
/// of the host (docs/certificates.md).
///
/// Shapes    x: channels x (sites samples), as the network reads it
class HostCertifier {
 public:
  virtual ~HostCertifier() = default;

  virtual NetworkBound const& bound() const = 0;
  virtual Certificate certified(HostMatrix<double> const& x, double rho) = 0;
  /// The class of the largest score, the first where there are several; -1 of what the twin refuses.
  virtual std::vector<Index> labels(HostMatrix<double> const& x) = 0;
};

}  // namespace experiment
