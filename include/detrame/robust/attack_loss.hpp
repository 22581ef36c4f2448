// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "detrame/core/errors.hpp"
#include "detrame/core/host_matrix.hpp"

namespace detrame::inline DETRAME_ABI {

/// What an attack makes large.
enum class AttackLoss {
  cross_entropy,  ///< log sum_i exp(y_i - y_label)
  dlr  ///< -(y_label - max_i y_i) / (y_1st - y_3rd), i not the label, 1st and 3rd the largest scores
};

namespace detail {
/// So many classes the loss needs.
constexpr Index least_classes(AttackLoss loss) { return loss == AttackLoss::dlr ? 3 : 2; }
}  // namespace detail

/// A number that grows with the loss of the scores in column j, in double, and a positive multiple of the
/// loss's gradient.
///
///   cross-entropy  t = log sum_i exp(y_i - y_label), i not the label: log(exp(loss) - 1)
///                  y_bar_i = exp(y_i - m), m the largest score but the label's; y_bar_label = -sum_i y_bar_i
///   dlr            the loss;  y_bar = (y_1st - y_3rd) times the gradient
///
/// Attacks compare losses and use directions alone. So cross-entropy is given in a form that no margin makes
/// 0, where the loss is from 745 on, and its gradient without the factor that is 0 of a label which is sure,
/// in float from a margin of 17 on where it is computed as softmax - 1.
///
/// Requires  label a class; at least two classes, three for dlr, else DomainError.
/// Ensures   largest |y_bar_i| between 1 and the number of classes for cross-entropy. Where the three largest
///           scores are equal, dlr is 0, and its y_bar that of y_other - y_label.
/// Source    arXiv 2003.01690, eq. 6
/// Tested    tests/robust/attack_loss_test.cpp
template <class Scalar>
double attack_loss(AttackLoss loss, HostMatrix<Scalar> const& y, Index j, int label,
                   HostMatrix<Scalar>& y_bar) {
  Index const classes = y.rows(), least = detail::least_classes(loss);
  if (classes < least)
    throw DomainError(message("attack_loss: ", classes, " classes, must be ", least, " at least"));
  if (label < 0 || label >= classes)
    throw DomainError(message("attack_loss: label ", label, ", must be in [0, ", classes, ")"));
  auto const score = [&](Index i) { return static_cast<double>(y(i, j)); };
  Index other = label == 0 ? 1 : 0;
  for (Index i = 0; i < classes; ++i)
    if (i != label && score(i) > score(other)) other = i;
  double const gap = score(other) - score(label);

  if (loss == AttackLoss::cross_entropy) {
    double sum = 0;
    for (Index i = 0; i < classes; ++i) {
      if (i == label) continue;
      double const p = std::exp(score(i) - score(other));
      y_bar(i, j) = static_cast<Scalar>(p);
      sum += p;
    }
    y_bar(label, j) = static_cast<Scalar>(-sum);
    return gap + std::log(sum);
  }

  Index order[3] = {-1, -1, -1};
  for (Index& place : order)
    for (Index i = 0; i < classes; ++i)
      if (i != order[0] && i != order[1] && (place < 0 || score(i) > score(place))) place = i;
  double const spread = score(order[0]) - score(order[2]), value = spread > 0 ? gap / spread : 0.;
  for (Index i = 0; i < classes; ++i) y_bar(i, j) = 0;
  y_bar(other, j) += Scalar(1), y_bar(label, j) -= Scalar(1);
  y_bar(order[0], j) -= static_cast<Scalar>(value), y_bar(order[2], j) += static_cast<Scalar>(value);
  return value;
}

}  // namespace detrame::inline DETRAME_ABI
