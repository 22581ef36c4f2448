// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// A loss compares what a network returns with its targets: the mean over the columns of y.
///
///   value(b, y, t)            the loss; NaN where y has NaN
///   value(b, y, t, y_bar)     the same, and y_bar = its gradient with respect to y
///
/// Shapes    y, t, y_bar: classes x N; t is one-hot for labels, or soft. N = 0 gives 0.
/// Requires  equal shapes, else ShapeError.
template <class L, class B>
concept LossOn = Backend<B> && requires(L const loss, B& b, ConstView<B> y, View<B> y_bar) {
  { loss.value(b, y, y) } -> std::same_as<typename B::Scalar>;
  { loss.value(b, y, y, y_bar) } -> std::same_as<typename B::Scalar>;
};

namespace detail {
template <class View>
void require_as_y(char const* who, View const& y, char const* what, View const& t) {
  if (y.rows() != t.rows() || y.cols() != t.cols())
    throw ShapeError(
        message(who, ": y is ", y.rows(), " x ", y.cols(), ", ", what, t.rows(), " x ", t.cols()));
}
template <class View>
void require_targets(char const* who, View const& y, View const& t) {
  require_as_y(who, y, "the targets are ", t);
}

/// The mean over columns of sum_i term(y_ij, t_ij).
template <Backend B, class Term>
typename B::Scalar mean_of_terms(B& backend, ConstView<B> y, ConstView<B> t, Term const& term) {
  if (y.cols() == 0) return 0;
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  auto const sums = lane.scratch(1, y.cols());
  column_sums(lane, sums, term, y, t);
  return sum_to_host(lane, sums) / static_cast<typename B::Scalar>(y.cols());
}
}  // namespace detail

/// One-hot targets of labels 0, ..., classes - 1.
template <Backend B>
Matrix<B> one_hot(B& backend, std::span<int const> labels, int classes) {
  HostMatrix<typename B::Scalar> t(classes, static_cast<Index>(labels.size()));
  for (Index j = 0; j < t.cols(); ++j) {
    int const label = labels[static_cast<std::size_t>(j)];
    if (label < 0 || label >= classes)
      throw DomainError(message("one_hot: label ", j, " is ", label, ", must be in [0, ", classes, ")"));
    t(label, j) = 1;
  }
  return to_device(backend, t);
}

}  // namespace detrame::inline DETRAME_ABI
