// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/loss/concept.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// One-against-all hinge, (1 - s y)_+ with s = 2 t - 1.
struct HingeTerm {
  template <class Scalar>
  DETRAME_HOST_DEVICE Scalar operator()(Scalar y, Scalar t) const {
    return relu(Scalar(1) - (Scalar(2) * t - Scalar(1)) * y);
  }
};

/// Its derivative, 0 at the kink: y_bar <- -scale s 1[1 - s y > 0]
template <class Scalar>
struct HingePullback {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y_bar, Scalar y, Scalar t) const {
    Scalar const s = Scalar(2) * t - Scalar(1), slack = Scalar(1) - s * y;
    y_bar = slack != slack ? slack : (slack > Scalar(0) ? -scale * s : Scalar(0));
  }
};

}  // namespace formula

/// One-against-all hinge: mean_j sum_i (1 - s_ij y_ij)_+ with s = 2 t - 1 for one-hot targets t. At a kink
/// the derivative used is 0.
///
/// Tested    tests/loss/loss_test.cpp
struct Hinge {
  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t) const {
    detail::require_targets("Hinge", y, t);
    return detail::mean_of_terms(backend, y, t, formula::HingeTerm());
  }

  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t, View<B> y_bar) const {
    using Scalar = typename B::Scalar;
    detail::require_as_y<ConstView<B>>("Hinge", y, "y_bar is ", y_bar);
    Scalar const loss = value(backend, y, t);
    each(backend.lane(), formula::HingePullback<Scalar>{Scalar(1) / static_cast<Scalar>(y.cols())}, y_bar, y,
         t);
    return loss;
  }
};

}  // namespace detrame::inline DETRAME_ABI
