// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/robust/certify.hpp"
#include "network.hpp"

namespace experiment {

/// A model's twin in double, the same parameters on the CPU, and what is proved of the labels that it says
/// (docs/certificates.md), in terms of the host. It throws NotCertified where it refuses an image.
class HostCertifier : public HostMap<double> {
 public:
  virtual NetworkBound const& bound() const = 0;
  virtual Certificate certified(HostMatrix<double> const& x, double rho) = 0;
};

}  // namespace experiment
