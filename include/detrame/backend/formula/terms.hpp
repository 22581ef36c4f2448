// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/host_device.hpp"

/// The terms that sums are made of.
namespace detrame::formula {

struct Identity {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x) const {
    return x;
  }
};

struct Negative {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x) const {
    return -x;
  }
};

struct Product {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x, Scalar y) const {
    return x * y;
  }
};

struct Square {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x) const {
    return x * x;
  }
};

struct Magnitude {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x) const {
    return x < Scalar(0) ? -x : x;
  }
};

struct Difference {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x, Scalar y) const {
    return x - y;
  }
};

struct SquaredDifference {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x, Scalar y) const {
    return (x - y) * (x - y);
  }
};

/// -sign(u) p
struct NegativeSigned {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar p) const {
    return u > Scalar(0) ? -p : (u < Scalar(0) ? p : Scalar(0));
  }
};

}  // namespace detrame::formula
