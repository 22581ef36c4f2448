// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/limits.hpp"
#include "detrame/loss/concept.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {
/// A column of softmax cross-entropy, with z = (y - offset t) / temperature, m = max_i z_i and
/// s = sum_i exp(z_i - m):
///
///   loss = temperature sum_i t_i (log s + (m - z_i))
///   y_bar = scale (exp(z - m) / s sum_i t_i - t)  where y_bar is not empty
///
/// Moves y, t and y_bar once, as what is read again lies in a cache; two exponentials an entry.
template <class Scalar>
struct SoftmaxCrossEntropyColumn {
  Scalar scale, offset, temperature;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> y,
                                      MatrixView<Scalar const> t, MatrixView<Scalar> loss,
                                      MatrixView<Scalar> y_bar) const {
    Index const classes = y.rows();
    auto const z = [=, offset = offset, temperature = temperature](Index i) {
      return (y(i, j) - offset * t(i, j)) / temperature;
    };
    Scalar const m = team.max(classes, z, -limits::infinity<Scalar>);
    Scalar const s = team.sum(classes, [=](Index i) { return std::exp(z(i) - m); });
    Scalar const log_s = std::log(s);
    Scalar const term = team.sum(classes, [=](Index i) {
      Scalar const below =
          m - z(i);  // infinite for a class that is impossible: free where t does not ask for it
      return t(i, j) == Scalar(0) && below > limits::largest<Scalar> ? Scalar(0) : t(i, j) * (log_s + below);
    });
    team.once([=, temperature = temperature] { loss(0, j) = temperature * term; });
    if (y_bar.cols() == 0) return;
    Scalar const mass = team.sum(classes, [=](Index i) { return t(i, j); });
    team.each(classes, [=, scale = scale](Index i) {
      y_bar(i, j) = scale * (std::exp(z(i) - m) / s * mass - t(i, j));
    });
  }
};
}  // namespace detail

/// mean_j sum_i t_ij temperature (log sum_l exp z_lj - z_ij) with z = (y - offset t) / temperature, computed
/// from z - max z, so that it does not overflow.
///
///   y_bar = (softmax(z) sum_i t_i - t) / N
///
/// With offset 0 and temperature 1 it is softmax cross-entropy, and z = y. An offset asks for margins: a
/// true class counts for so much less than it scores. A small temperature weighs the classes that come near
/// to it alone; the factor in front keeps the size of the gradient.
///
/// Requires  offset finite, temperature > 0 and finite, else DomainError; y_bar does not overlap y or t.
/// Cost      one kernel for losses and gradient, then the sum of N losses.
/// Source    with both: arXiv 2208.03160 (AOL), section 5
/// Tested    tests/loss/loss_test.cpp
struct SoftmaxCrossEntropy {
  double offset = 0, temperature = 1;

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
  typename B::Scalar evaluate(B& backend, ConstView<B> y, ConstView<B> t, View<B> y_bar) const {
    using Scalar = typename B::Scalar;
    detail::require_targets("SoftmaxCrossEntropy", y, t);
    if (!std::isfinite(offset))
      throw DomainError(message("SoftmaxCrossEntropy: offset = ", offset, ", must be finite"));
    if (!(temperature > 0) || std::isinf(temperature))
      throw DomainError(
          message("SoftmaxCrossEntropy: temperature = ", temperature, ", must be > 0 and finite"));
    Index const N = y.cols();
    if (N == 0) return 0;
    auto const frame = backend.lane().frame();
    auto const loss = backend.lane().scratch(1, N);
    Scalar const scale = Scalar(1) / static_cast<Scalar>(N);
    each_column(backend, N, 0,
                detail::SoftmaxCrossEntropyColumn<Scalar>{scale, static_cast<Scalar>(offset),
                                                          static_cast<Scalar>(temperature)},
                y, t, loss, y_bar);
    return sum_to_host(backend.lane(), loss) / static_cast<Scalar>(N);
  }
};

}  // namespace detrame::inline DETRAME_ABI
