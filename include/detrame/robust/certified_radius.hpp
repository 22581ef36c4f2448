// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "detrame/core/host_matrix.hpp"
#include "detrame/robust/rounding.hpp"

namespace detrame::inline DETRAME_ABI {

/// The radius within which a sample keeps its label.                                                     (R5)
///
///   r = min(rho, min over all j != i of (y_i - y_j - 2 e_ij) / L_ij),   0 where a numerator is <= 0 or NaN
///
/// Shapes    y: scores of a sample, as computed at its centre.  L(j), e(j): with i = label, how much
///           y_i - y_j can change for each unit of distance without rounding, and how far the computed
///           difference can be from that at every point of the ball of radius rho; both from above.
/// Ensures   rounded down: at every x' with |x' - x|_2 <= r the computed y_i is the largest. 0 where rho is
///           not > 0.
/// Source    docs/maths.md (R5): over all j, since the second largest score need not be the one that is
///           reached first
/// Tested    tests/robust/certified_radius_test.cpp
template <class Scores, class Lipschitz, class Error>
double certified_radius(Scores const& y, Index classes, Index label, double rho, Lipschitz const& L,
                        Error const& e) {
  if (!(rho > 0) || !std::isfinite(y(label))) return 0;
  double radius = rho;
  for (Index j = 0; j < classes; ++j) {
    if (j == label) continue;
    double const size = std::abs(y(label)) + std::abs(y(j)) + 2 * e(j);
    double const numerator = (y(label) - y(j)) - 2 * e(j) - 4 * std::numeric_limits<double>::epsilon() * size;
    if (!(numerator > 0)) return 0;
    double const share = L(j) == 0 ? rho : detail::below(numerator / L(j));
    if (!(share > 0)) return 0;
    radius = std::min(radius, share);
  }
  return radius;
}

}  // namespace detrame::inline DETRAME_ABI
