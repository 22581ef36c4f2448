// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/start.hpp"

namespace detrame::inline DETRAME_ABI {

/// Columns of one length, orthogonal to one another, where there are no more than rows; else rows. Of a
/// random normal matrix, by Gram and Schmidt, twice, in double: with independent signs it would be Haar's
/// measure.
template <class Scalar>
void fill_orthogonal(HostMatrix<Scalar>& p, Random const& random, double length) {
  bool const wide = p.cols() > p.rows();
  HostMatrix<double> Q(std::max(p.rows(), p.cols()), std::min(p.rows(), p.cols()));
  fill_normal(Q, random, 1);
  auto const inner = [&](Index a, Index b) {
    double sum = 0;
    for (Index i = 0; i < Q.rows(); ++i) sum += Q(i, a) * Q(i, b);
    return sum;
  };
  for (Index j = 0; j < Q.cols(); ++j)
    for (int pass = 0; pass < 2; ++pass) {
      for (Index l = 0; l < j; ++l) {
        double const along = inner(l, j);
        for (Index i = 0; i < Q.rows(); ++i) Q(i, j) -= along * Q(i, l);
      }
      double const norm = std::sqrt(inner(j, j));
      for (Index i = 0; i < Q.rows(); ++i) Q(i, j) /= norm;
    }
  for (Index j = 0; j < p.cols(); ++j)
    for (Index i = 0; i < p.rows(); ++i) p(i, j) = static_cast<Scalar>(length * (wide ? Q(j, i) : Q(i, j)));
}

namespace detail {
/// The part of a linear map's matrix, or of a dictionary's, that belongs to the middle of its window, made by
/// fill(part); 0 in all other taps. The taps are side by side in a weight, below one another in a dictionary.
template <class Scalar, class Fill>
void fill_middle(HostMatrix<Scalar>& p, Index taps, bool below, Fill const& fill) {
  Index const rows = below ? p.rows() / taps : p.rows(), cols = below ? p.cols() : p.cols() / taps,
              row = below ? taps / 2 * rows : 0, col = below ? 0 : taps / 2 * cols;
  HostMatrix<Scalar> middle(rows, cols);
  fill(middle);
  p = HostMatrix<Scalar>(p.rows(), p.cols());
  for (Index j = 0; j < cols; ++j)
    for (Index i = 0; i < rows; ++i) p(row + i, col + j) = middle(i, j);
}

template <class Fill>
void start_middle(auto const& role, auto& p, Random const& random, TiedValues const& tied, Fill const& fill) {
  role.start(p, random, ReluStart{tied});
  if (role.name == "dictionary" || role.name == "weight")
    fill_middle(p, role.window, role.name == "dictionary", fill);
}
}  // namespace detail

/// As ReluStart, but dictionaries and weights of linear layers are orthogonal, those of a window in its
/// middle and 0 elsewhere: D^T D = atoms^2 I or, with more atoms than channels, D D^T; W W^T = I or W^T W =
/// I. So nothing is lost on the way: with these D a reflected layer keeps norms.
///
/// Source    arXiv 1312.6120 (dense), 1806.05393 (windows)
/// Tested    tests/layer/orthogonal_start_test.cpp
struct OrthogonalStart {
  TiedValues tied{};

  void check() const { tied.check(); }
  void start(auto const& role, auto& p, Random const& random) const {
    detail::start_middle(role, p, random, tied, [&](auto& middle) {
      fill_orthogonal(middle, random, role.name == "dictionary" ? tied.atoms : 1);
    });
  }
};

/// As OrthogonalStart, with the identity in place of an orthogonal matrix, rows or columns of it repeated
/// where one side is longer: the delta of Dirac of a convolution.
///
/// Source    arXiv 1706.00388
/// Tested    tests/layer/orthogonal_start_test.cpp
struct DiracStart {
  TiedValues tied{};

  void check() const { tied.check(); }
  void start(auto const& role, auto& p, Random const& random) const {
    detail::start_middle(role, p, random, tied, [&](auto& middle) {
      using Scalar = std::remove_cvref_t<decltype(middle(0, 0))>;
      Index const side = std::min(middle.rows(), middle.cols());
      double const length = role.name == "dictionary" ? tied.atoms : 1;
      for (Index j = 0; j < middle.cols(); ++j)
        for (Index i = 0; i < middle.rows(); ++i)
          middle(i, j) = static_cast<Scalar>(i % side == j % side ? length : 0);
    });
  }
};

}  // namespace detrame::inline DETRAME_ABI
