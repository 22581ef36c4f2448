// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/loss/concept.hpp"

namespace detrame::inline DETRAME_ABI {

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
