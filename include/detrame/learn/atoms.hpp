// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "detrame/backend/concept.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/random.hpp"
#include "detrame/exact/range.hpp"

/// Samples that become atoms.
namespace detrame::inline DETRAME_ABI::learn {

/// The length of a sample, or of its positive part; one task a column.
template <class Scalar>
struct Length {
  bool nonnegative;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> x,
                                      MatrixView<Scalar> out) const {
    bool const clipped = nonnegative;
    Scalar const length = exact::norm(team, x.rows(), [=](Index i) {
      Scalar const v = x(i, j);
      return clipped && v < Scalar(0) ? Scalar(0) : v;
    });
    team.once([=] { out(0, j) = length; });
  }
};

/// An atom becomes one of unit norm, of its positive part where `nonnegative`; 0 stays. One task an atom.
template <class Scalar>
struct ToUnitNorm {
  bool nonnegative;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar> D) const {
    bool const clipped = nonnegative;
    team.each(D.rows(), [=](Index i) {
      if (clipped && D(i, j) < Scalar(0)) D(i, j) = Scalar(0);
    });
    Scalar const length = exact::norm(team, D.rows(), [=](Index i) { return D(i, j); });
    if (length > Scalar(0)) team.each(D.rows(), [=](Index i) { D(i, j) /= length; });
  }
};

/// k samples of length 1, or their positive parts where `nonnegative`, in an order that `random` says, none
/// of them 0; what lacks is random.
template <Backend B>
Matrix<B> first_atoms(B& backend, ConstView<B> x, Index k, bool nonnegative, Random const& random) {
  using Scalar = typename B::Scalar;
  Index const m = x.rows();
  Matrix<B> lengths;
  resize(backend, lengths, 1, x.cols());
  each_column(backend, x.cols(), 0, Length<Scalar>{nonnegative}, x, View<B>(lengths));
  HostMatrix<Scalar> const length = to_host(backend, lengths);  // 1 x N
  std::vector<Index> order(static_cast<std::size_t>(x.cols())), chosen;
  shuffle(random, order);
  for (Index const n : order)
    if (static_cast<Index>(chosen.size()) < k && length(0, n) > Scalar(0) &&
        length(0, n) <= limits::largest<Scalar>)
      chosen.push_back(n);
  Matrix<B> D = to_device(backend, host_matrix<Scalar>(m, k, [&](Index i, Index j) {
                            Scalar const v = random.normal<Scalar>(static_cast<std::uint64_t>(i + j * m));
                            return nonnegative ? std::abs(v) : v;
                          }));
  gather_columns(backend.lane(), x, std::span<Index const>(chosen),
                 View<B>(D).middle_cols(0, static_cast<Index>(chosen.size())));
  each_column(backend, k, 0, ToUnitNorm<Scalar>{nonnegative}, View<B>(D));
  return D;
}

}  // namespace detrame::inline DETRAME_ABI::learn
