// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/loss/concept.hpp"

namespace detrame {

/// mean_j sum_i t_ij (log sum_l exp y_lj - y_ij), computed from y - max y, so that it does not overflow.
///
///   y_bar = (softmax(y) sum_i t_i - t) / N
///
/// Tested    tests/loss/loss_test.cpp
struct SoftmaxCrossEntropy {
  template <Backend B>
  typename B::Scalar value(B& backend, typename B::ConstView y, typename B::ConstView t) const {
    return evaluate<B>(backend, y, t, [](auto&&...) {});
  }

  template <Backend B>
  typename B::Scalar value(B& backend, typename B::ConstView y, typename B::ConstView t,
                           typename B::View y_bar) const {
    using Scalar = typename B::Scalar;
    using ConstView = typename B::ConstView;
    detail::require_as_y<ConstView>("SoftmaxCrossEntropy", y, "y_bar is ", y_bar);
    return evaluate<B>(backend, y, t, [&](auto& lane, ConstView m, ConstView s) {
      auto const mass = lane.scratch(1, y.cols());
      column_sums(lane, mass, formula::Identity(), t);
      each(lane, formula::CrossEntropyPullback<Scalar>{Scalar(1) / static_cast<Scalar>(y.cols())}, y_bar, y,
           t, PerColumn{m}, PerColumn{s}, PerColumn{ConstView(mass)});
    });
  }

 private:
  template <Backend B, class Pullback>
  static typename B::Scalar evaluate(B& backend, typename B::ConstView y, typename B::ConstView t,
                                     Pullback&& pullback) {
    using ConstView = typename B::ConstView;
    detail::require_targets("SoftmaxCrossEntropy", y, t);
    if (y.cols() == 0) return 0;
    auto& lane = backend.lane();
    auto const frame = lane.frame();
    auto const m = lane.scratch(1, y.cols()), s = lane.scratch(1, y.cols()), loss = lane.scratch(1, y.cols());
    column_max(lane, m, formula::Identity(), y);
    column_sums(lane, s, formula::ExpDifference(), y, PerColumn{ConstView(m)});
    column_sums(lane, loss, formula::CrossEntropyTerm(), y, t, PerColumn{ConstView(m)},
                PerColumn{ConstView(s)});
    pullback(lane, ConstView(m), ConstView(s));
    return sum_to_host(lane, loss) / static_cast<typename B::Scalar>(y.cols());
  }
};

}  // namespace detrame
