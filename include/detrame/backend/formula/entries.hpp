// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/host_device.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"

/// What is done to entries of matrices, with nothing of this library in it.
namespace detrame::inline DETRAME_ABI::formula {

struct Assign {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y = x;
  }
};

struct Add {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y += x;
  }
};

/// z <- x + y
struct Sum {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& z, Scalar x, Scalar y) const {
    z = x + y;
  }
};

struct Subtract {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y -= x;
  }
};

template <class Scalar>
struct Fill {
  Scalar value;
  DETRAME_HOST_DEVICE void operator()(Scalar& y) const { y = value; }
};

/// y <- scale y
template <class Scalar>
struct Scale {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y) const { y *= scale; }
};

/// y <- scale x
template <class Scalar>
struct Scaled {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const { y = scale * x; }
};

/// y <- y + scale x
template <class Scalar>
struct Axpy {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const { y += scale * x; }
};

/// y <- -y
struct Negate {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y) const {
    y = -y;
  }
};

/// s <- the power of two that brings a size s into [1, 2), as far as it and its inverse are normal numbers; 1
/// where s is 0 or not finite.
struct ScaleToOne {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& s) const {
    constexpr int most = limits::exponent<Scalar> - 3;
    int exponent = 0;
    if (s > Scalar(0) && s - s == Scalar(0)) exponent = std::ilogb(s);
    exponent = exponent > most ? most : (exponent < -most ? -most : exponent);
    s = std::scalbn(Scalar(1), -exponent);
  }
};

/// y <- sqrt(y) / scale
struct ScaledRoot {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar scale) const {
    y = std::sqrt(y) / scale;
  }
};

/// y <- y / x, and 0 where y is 0
struct DivideWhereNotZero {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    if (y != Scalar(0)) y /= x;
  }
};

/// s <- |x| + |y|
struct StoreMagnitudes {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& s, Scalar x, Scalar y) const {
    s = (x < Scalar(0) ? -x : x) + (y < Scalar(0) ? -y : y);
  }
};

/// y <- y + scale |x|; an infinite scale of x = 0 counts nothing.
struct AddScaledMagnitude {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x, Scalar scale) const {
    if (x != Scalar(0)) y += scale * (x < Scalar(0) ? -x : x);
  }
};

/// y <- max(y, x), NaN if either is.
struct Larger {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y = y < x || x != x ? x : y;
  }
};

/// y <- x - z
struct StoreDifference {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x, Scalar z) const {
    y = x - z;
  }
};

/// a_ii <- a_ii + value
template <class Scalar>
struct ShiftDiagonal {
  Scalar value;
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& a) const {
    if (i == j) a += value;
  }
};

/// Zero diagonal of the maps whose blocks stand side by side, each of `taps` square matrices of `rows` rows:
/// that of the middle tap. By default there is none. Without a branch,
/// so that a loop over i works on packets.
class ZeroDiagonal {
 public:
  constexpr ZeroDiagonal() = default;
  constexpr explicit ZeroDiagonal(Index rows, Index taps = 1)
      : of_block_(rows * taps), before_(taps / 2 * rows) {}
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p) const {
    p = i == j % of_block_ - before_ ? Scalar(0) : p;
  }

 private:
  Index of_block_ = 1, before_ = 1;  // columns
};

/// A product that is kept as it is: y <- v
struct Store {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y) const {
    y = v;
  }
};

/// A product and what is added to it, fused to v: y <- v + g.
struct StoreSum {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y, Scalar g) const {
    y = v + g;
  }
};

/// A product less what is beside it, fused to v: y <- v - c; of a linear layer, its bias.
struct StoreMinus {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y, Scalar c) const {
    y = v - c;
  }
};

/// y <- |x|
struct StoreMagnitude {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y = x < Scalar(0) ? -x : x;
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
