// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/limits.hpp"
#include "detrame/loss/concept.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {
/// A column of softmax cross-entropy, with m = max_i y_i and s = sum_i exp(y_i - m):
///
///   loss = sum_i t_i (log s + (m - y_i))
///   y_bar = scale (exp(y - m) / s sum_i t_i - t)  where y_bar is not empty
///
/// Moves y, t and y_bar once, as what is read again lies in a cache; two exponentials an entry.
template <class Scalar>
struct SoftmaxCrossEntropyColumn {
  Scalar scale;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> y,
                                      MatrixView<Scalar const> t, MatrixView<Scalar> loss,
                                      MatrixView<Scalar> y_bar) const {
    Index const classes = y.rows();
    Scalar const m = team.max(classes, [=](Index i) { return y(i, j); }, -limits::infinity<Scalar>);
    Scalar const s = team.sum(classes, [=](Index i) { return std::exp(y(i, j) - m); });
    Scalar const log_s = std::log(s);
    Scalar const term = team.sum(classes, [=](Index i) {
      Scalar const below =
          m - y(i, j);  // infinite for a class that is impossible: free where t does not ask for it
      return t(i, j) == Scalar(0) && below > limits::largest<Scalar> ? Scalar(0) : t(i, j) * (log_s + below);
    });
    team.once([=] { loss(0, j) = term; });
    if (y_bar.cols() == 0) return;
    Scalar const mass = team.sum(classes, [=](Index i) { return t(i, j); });
    team.each(classes, [=, scale = scale](Index i) {
      y_bar(i, j) = scale * (std::exp(y(i, j) - m) / s * mass - t(i, j));
    });
  }
};
}  // namespace detail

/// mean_j sum_i t_ij (log sum_l exp y_lj - y_ij), computed from y - max y, so that it does not overflow.
///
///   y_bar = (softmax(y) sum_i t_i - t) / N
///
/// Requires  y_bar does not overlap y or t.
/// Cost      one kernel for losses and gradient, then the sum of N losses.
/// Tested    tests/loss/loss_test.cpp
struct SoftmaxCrossEntropy {
  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t) const {
    return evaluate(backend, y, t, View<B>{});
  }

  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t, View<B> y_bar) const {
    detail::require_as_y<ConstView<B>>("SoftmaxCrossEntropy", y, "y_bar is ", y_bar);
    return evaluate(backend, y, t, y_bar);
  }

 private:
  template <Backend B>
  static typename B::Scalar evaluate(B& backend, ConstView<B> y, ConstView<B> t, View<B> y_bar) {
    using Scalar = typename B::Scalar;
    detail::require_targets("SoftmaxCrossEntropy", y, t);
    Index const N = y.cols();
    if (N == 0) return 0;
    auto const frame = backend.lane().frame();
    auto const loss = backend.lane().scratch(1, N);
    Scalar const scale = Scalar(1) / static_cast<Scalar>(N);
    each_column(backend, N, 0, detail::SoftmaxCrossEntropyColumn<Scalar>{scale}, y, t, loss, y_bar);
    return sum_to_host(backend.lane(), loss) / static_cast<Scalar>(N);
  }
};

}  // namespace detrame::inline DETRAME_ABI
