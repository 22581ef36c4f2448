// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "detrame/core/host_matrix.hpp"

namespace detrame::inline DETRAME_ABI {

/// A scaling s > 0 that makes diag(s) W as symmetric as the strongest entries of W ask for.             (F2)
///
///   s_i w_il = s_l w_li for every i, l, where W is symmetrisable
///
/// Shapes    s: one a row. component: which connected component of W's graph a row belongs to, from 0.
struct Symmetriser {
  std::vector<double> s;
  std::vector<Index> component;
  Index components = 0;
  double asymmetry = 0;    ///< the largest |s_i w_il - s_l w_li|, in units of size (below)
  Index row = 0, col = 0;  ///< where it is
};

namespace detail {

/// How strongly rows i and l are coupled, whatever s is: sqrt |w_il w_li / ((1 - w_ii) (1 - w_ll))|. At most
/// 1 where diag(s) (I - W) is symmetric and definite.
inline double coupling(HostMatrix<double> const& W, Index i, Index l) {
  double const self = std::abs((1 - W(i, i)) * (1 - W(l, l)));
  return std::sqrt(std::abs(W(i, l) * W(l, i)) / (self > 0 ? self : 1.0));
}

/// The unit in which the asymmetry of entry (i, l) is counted: what the entry can be at most, or what it is.
inline double entry_size(HostMatrix<double> const& W, std::vector<double> const& s, Index i, Index l) {
  auto const a = [&](Index r) { return std::abs(s[static_cast<std::size_t>(r)] * (1 - W(r, r))); };
  double const upper = s[static_cast<std::size_t>(i)] * W(i, l),
               lower = s[static_cast<std::size_t>(l)] * W(l, i);
  return std::max({std::sqrt(a(i) * a(l)), std::abs(upper), std::abs(lower)});
}

}  // namespace detail

/// Along a spanning tree of the strongest couplings (Prim), s_l = s_i |w_il / w_li|; couplings of at most
/// `negligible` connect nothing. In each component the mean of s is 1; its factor is free.               (F2)
///
/// Shapes    W: k x k, finite.
/// Cost      O(k^2)
/// Tested    tests/metric/untie_test.cpp
inline Symmetriser symmetriser(HostMatrix<double> const& W, double negligible) {
  Index const k = W.rows();
  std::size_t const n = static_cast<std::size_t>(k);
  Symmetriser out{std::vector<double>(n, 1.0), std::vector<Index>(n, -1), 0, 0.0, 0, 0};
  std::vector<double> strongest(n, 0.0);  // coupling to the tree so far
  std::vector<Index> parent(n, -1);
  for (Index added = 0; added < k; ++added) {
    Index next = -1;
    for (Index i = 0; i < k; ++i)
      if (out.component[static_cast<std::size_t>(i)] < 0 &&
          (next < 0 || strongest[static_cast<std::size_t>(i)] > strongest[static_cast<std::size_t>(next)]))
        next = i;
    std::size_t const i = static_cast<std::size_t>(next);
    if (strongest[i] > negligible) {
      out.component[i] = out.components - 1;
      out.s[i] =
          out.s[static_cast<std::size_t>(parent[i])] * std::abs(W(parent[i], next) / W(next, parent[i]));
    } else {
      out.component[i] = out.components++;
    }
    for (Index l = 0; l < k; ++l) {
      double const c = detail::coupling(W, next, l);
      if (c > strongest[static_cast<std::size_t>(l)]) {
        strongest[static_cast<std::size_t>(l)] = c;
        parent[static_cast<std::size_t>(l)] = next;
      }
    }
  }
  for (Index c = 0; c < out.components; ++c) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < n; ++i)
      if (out.component[i] == c) sum += out.s[i], count += 1;
    for (std::size_t i = 0; i < n; ++i)
      if (out.component[i] == c) out.s[i] *= count / sum;
  }
  for (Index l = 0; l < k; ++l)
    for (Index i = 0; i < l; ++i) {
      double const size = detail::entry_size(W, out.s, i, l);
      double const d = std::abs(out.s[static_cast<std::size_t>(i)] * W(i, l) -
                                out.s[static_cast<std::size_t>(l)] * W(l, i));
      if (size > 0 && d / size > out.asymmetry) {
        out.asymmetry = d / size;
        out.row = i;
        out.col = l;
      }
    }
  return out;
}

}  // namespace detrame::inline DETRAME_ABI
