// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/loss/concept.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// y_bar <- scale (y - t)
template <class Scalar>
struct ScaledDifference {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y_bar, Scalar y, Scalar t) const { y_bar = scale * (y - t); }
};

}  // namespace formula

/// mean_j 1/2 |y_j - t_j|^2, y_bar = (y - t) / N
///
/// Tested    tests/loss/loss_test.cpp
struct SquaredError {
  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t) const {
    detail::require_targets("SquaredError", y, t);
    return detail::mean_of_terms(backend, y, t, formula::SquaredDifference()) / 2;
  }

  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t, View<B> y_bar) const {
    using Scalar = typename B::Scalar;
    detail::require_as_y<ConstView<B>>("SquaredError", y, "y_bar is ", y_bar);
    Scalar const loss = value(backend, y, t);
    Scalar const scale = Scalar(1) / static_cast<Scalar>(y.cols());
    each(backend.lane(), formula::ScaledDifference<Scalar>{scale}, y_bar, y, t);
    return loss;
  }
};

}  // namespace detrame::inline DETRAME_ABI
