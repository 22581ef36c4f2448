// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "detrame/backend/concept.hpp"
#include "detrame/exact/range.hpp"

namespace detrame::inline DETRAME_ABI {

namespace learn {

/// Moves the atoms first, ..., first + count - 1 one after the other, and keeps R = XA - D AA of these atoms
/// true; `moves`, m x count, is what was added to them. A kernel of each_column with one task.
template <class Scalar>
struct MoveAtoms {
  Index first, count;
  bool nonnegative;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index, Scalar*, MatrixView<Scalar const> AA,
                                      MatrixView<Scalar> R, MatrixView<Scalar> D,
                                      MatrixView<Scalar> moves) const {
    bool const clipped = nonnegative;
    Index const m = D.rows(), end = first + count;
    Scalar const least = limits::epsilon<Scalar> * team.max(AA.cols(), [=](Index l) { return AA(l, l); });
    for (Index j = first; j < end; ++j) {
      Scalar const weight = AA(j, j);
      Scalar* const move = &moves(0, j - first);
      if (!(weight > least)) {
        team.each(m, [=](Index i) { move[i] = Scalar(0); });
        continue;
      }
      team.each(m, [=](Index i) {
        Scalar const v = D(i, j) + R(i, j) / weight;
        move[i] = clipped && v < Scalar(0) ? Scalar(0) : v;
      });
      Scalar const length = exact::norm(team, m, [=](Index i) { return move[i]; });
      team.each(m, [=](Index i) {
        Scalar const d = length > Scalar(1) ? move[i] / length : move[i];
        move[i] = d - D(i, j);
        D(i, j) = d;
      });
      for (Index l = j; l < end; ++l) {
        Scalar const a = AA(l, j);
        if (a != Scalar(0)) team.each(m, [=](Index i) { R(i, l) -= move[i] * a; });
      }
    }
  }
};

}  // namespace learn

/// One sweep of block coordinate descent on the surrogate of a dictionary, atom after atom.            (O2)
///
///   f(D) = 1/2 <D, D AA> - <D, XA>,   |d_j| <= 1, and d_j >= 0 where `nonnegative`
///   d_j <- P(d_j + (XA - D AA)_j / AA_jj),   j = 0, ..., k - 1
///
/// Shapes    AA: k x k, symmetric, a sum of a a^T.  XA: m x k, that of x a^T.  D: m x k, with m >= 1.
/// Requires  shapes that agree, else ShapeError; atoms that are feasible, and finite sums: not checked.
/// Ensures   (1) each move is the exact minimum over that atom, the others held, up to rounding: f does not
///           rise. (2) |d_j| <= 1 up to rounding, and d_j >= 0 exactly where nonnegative. (3) An atom with
///           AA_jj <= eps max AA_ll stays as it is. (4) The same bits for any number of threads.
/// Cost      4 m k^2 flops; scratch m k.
/// Source    docs/maths.md (O2); Mairal, Bach, Ponce, Sapiro, arXiv 0908.0050, Algorithm 2.
/// Tested    tests/learn/update_dictionary_test.cpp
template <Backend B>
void update_dictionary(B& backend, Input<B> AA, Input<B> XA, bool nonnegative, Matrix<B>& D) {
  using Scalar = typename B::Scalar;
  constexpr Index together = 32;  // atoms whose moves reach the others in one product
  ConstView<B> const aa = AA, xa = XA;
  View<B> const d = D;
  Index const m = D.rows(), k = D.cols();
  if (m < 1) throw ShapeError(message("update_dictionary: D is ", m, " x ", k, ", must have a row"));
  require_shape("update_dictionary", "AA", aa, k, k);
  require_shape("update_dictionary", "XA", xa, m, k);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const R = lane.scratch(m, k);             // m x k, XA - D AA
  View<B> const moves = lane.scratch(m, together);  // m x together
  double const flops = 2 * static_cast<double>(m);
  each_chunk(backend, Batch{.columns = k, .flops = flops * static_cast<double>(k)}, m,
             [&](typename B::Lane& at, Columns c) {
               each(at, formula::Assign{}, columns(R, c), columns(xa, c));
               gemm(at, -1, d, Op::none, columns(aa, c), Op::none, 1, columns(R, c));
             });
  for (Index first = 0; first < k; first += together) {
    Index const count = std::min(together, k - first), next = first + count;
    each_column(backend, 1, 0, learn::MoveAtoms<Scalar>{first, count, nonnegative}, aa, R, d, moves);
    ConstView<B> const across = aa.middle_rows(first, count).middle_cols(next, k - next);  // count x others
    View<B> const others = R.middle_cols(next, k - next);
    each_chunk(backend, Batch{.columns = k - next, .flops = flops * static_cast<double>(count)}, m,
               [&](typename B::Lane& at, Columns c) {
                 gemm(at, -1, moves.middle_cols(0, count), Op::none, columns(across, c), Op::none, 1,
                      columns(others, c));
               });
  }
}

}  // namespace detrame::inline DETRAME_ABI
