// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/abi.hpp"
#include "detrame/core/host_device.hpp"

/// The terms that sums are made of.
namespace detrame::inline DETRAME_ABI::formula {

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

/// |x| where `seen` is not 0, else 0.
struct MagnitudeWhere {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x, Scalar seen) const {
    return seen != Scalar(0) ? Magnitude{}(x) : Scalar(0);
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

/// |f(args...)|
template <class F>
struct MagnitudeOf {
  F f;
  template <class... Scalars>
  DETRAME_HOST_DEVICE constexpr auto operator()(Scalars... args) const {
    return Magnitude{}(f(args...));
  }
};

/// (scale f(first, rest...))^2
template <class F>
struct ScaledSquare {
  F f;
  template <class Scalar, class... Rest>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar first, Scalar scale, Rest... rest) const {
    Scalar const v = scale * f(first, rest...);
    return v * v;
  }
};

/// p + min(s, p): terms and a shrinkage, which counts for no more than they do.
struct CappedSum {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar p, Scalar s) const {
    return p + (s < p ? s : p);
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
