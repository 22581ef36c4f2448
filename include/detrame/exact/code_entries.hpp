// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// The entries of a block of scaled codes that are not 0, column after column in ascending order: what a
/// certificate reads of u. NaN is not 0.
template <class Scalar>
class CodeEntries {
 public:
  /// Scalars of memory for a block of `width` columns.
  static constexpr Index scratch_size(Index n, Index width) {
    return n * width + integers(n * width + 1) + integers(width + 1);
  }

  CodeEntries(Index n, Index width, Scalar* scratch)
      : values_(scratch),
        rows_(reinterpret_cast<int*>(scratch + n * width)),
        ends_(reinterpret_cast<int*>(scratch + n * width + integers(n * width + 1))) {}

  /// Reads u(., first + c) 2^power(c) for c < count; writes them to `whole`, n x width side by side, too.
  template <class Team, class Power>
  void read(Team const& team, MatrixView<Scalar const> u, Index first, Index count, Index width,
            Power const& power, Scalar* whole) {
    Index const n = u.rows();
    for (Index i = 0; i < n * width; ++i) whole[i] = Scalar(0);
    int end = 0;
    ends_[0] = 0;
    for (Index c = 0; c < count; ++c) {
      Scalar const* const column = column_of(u, first + c);
      int const by = power(c);
      int const* const row = rows_ + end;
      Index const found = team.places_of_nonzeros(column, n, rows_ + end);
      for (Index p = 0; p < found; ++p)
        whole[row[p] * width + c] = values_[end + p] = scaled(column[row[p]], by);
      end += static_cast<int>(found);
      ends_[c + 1] = end;
    }
  }

  /// y += A v of column c, four columns of A at a time: product_chain(columns of A) roundings at most.
  template <class Team>
  void add_product(Team const& team, MatrixView<Scalar const> A, Index c, Scalar* y) const {
    for (int p = ends_[c]; p < ends_[c + 1]; p += 4) {
      Scalar const* a[4];
      Scalar v[4];
      for (int q = 0; q < 4; ++q) {
        bool const here = p + q < ends_[c + 1];
        a[q] = column_of(A, rows_[here ? p + q : p]);
        v[q] = here ? values_[p + q] : Scalar(0);
      }
      team.each(A.rows(), [=](Index i) {
        y[i] += (a[0][i] * v[0] + a[1][i] * v[1]) + (a[2][i] * v[2] + a[3][i] * v[3]);
      });
    }
  }

  /// sum f(i, v_i) of column c
  template <class F>
  Scalar sum(Index c, F const& f) const {
    Scalar total(0);
    for (int p = ends_[c]; p < ends_[c + 1]; ++p) total += f(rows_[p], values_[p]);
    return total;
  }

 private:
  static constexpr Index integers(Index count) { return scalars_for<Scalar, int>(count); }

  Scalar* values_;
  int *rows_, *ends_;
};

}  // namespace detrame::inline DETRAME_ABI::exact
