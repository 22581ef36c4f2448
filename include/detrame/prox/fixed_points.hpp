// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "detrame/prox/unrolled_prox_until.hpp"

namespace detrame::inline DETRAME_ABI {

/// Of each sample, how its runs from several starts ended: entries 0, ..., samples - 1.
struct FixedPoints {
  std::vector<Index> distinct;   ///< how many fixed points were reached
  std::vector<Index> cycling;    ///< runs that ended in a cycle
  std::vector<Index> diverged;   ///< runs that left every bound, or what can be represented
  std::vector<Index> unsettled;  ///< runs that did neither within the limit, as where z = 0 and u tends to 0
};

/// The fixed points that a recursion of the form (20) reaches from several starts. There may be others: none
/// that repels is reached, but from itself.                                                       (F1) (U3)
///
///   u = A(h o Z + W~ (u - Z), b)
///
/// Two are distinct where they differ by more than `apart` times the larger one's largest entry.
///
/// Shapes    as in unrolled_prox; starts: k x N each. A sample is a column, or an image of a convolution.
/// Requires  those of unrolled_prox, for each start; apart >= 0, else DomainError.
/// Ensures   distinct <= the number of starts; <= 1 where kappa < 1 and `apart` is above what the tolerance
///           leaves.                                                                                   (C1)
/// Cost      a run of unrolled_prox for each start, whose end is kept on the host.
/// Tested    tests/prox/fixed_points_test.cpp
template <class Activation, Structure S, Backend B>
FixedPoints fixed_points(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                         ConstView<B> h, ConstView<B> b, ConstView<B> Z, std::span<Matrix<B> const> starts,
                         Until const& until, double apart = 1e-3) {
  using Scalar = typename B::Scalar;
  require_at_least("fixed_points", "apart", apart, 0.);
  std::vector<HostMatrix<Scalar>> ends;  // k x N, of each start
  std::vector<std::vector<Status>> status;
  for (Matrix<B> const& start : starts) {
    auto run = unrolled_prox(backend, structure, activation, W_tilde, h, b, Z, until, std::nullopt,
                             std::optional<ConstView<B>>(ConstView<B>(start)));
    ends.push_back(to_host(backend, ConstView<B>(run.u)));
    status.push_back(std::move(run.column_status));
  }
  Index const unit = batch_of(structure, Z.rows(), Z.cols(), 1).unit, N = Z.cols() / unit;
  auto const differ = [&](HostMatrix<Scalar> const& u, HostMatrix<Scalar> const& v, Index sample) {
    double size = 0, distance = 0;
    for (Index j = sample * unit; j < (sample + 1) * unit; ++j)
      for (Index i = 0; i < u.rows(); ++i) {
        double const a = static_cast<double>(u(i, j)), c = static_cast<double>(v(i, j));
        size = std::max({size, std::abs(a), std::abs(c)});
        distance = std::max(distance, std::abs(a - c));
      }
    return distance > apart * size;
  };
  std::vector<Index> const none(static_cast<std::size_t>(N), 0);
  FixedPoints out{none, none, none, none};
  for (std::size_t sample = 0; sample < none.size(); ++sample) {
    std::vector<std::size_t> found;  // starts whose ends differ
    for (std::size_t start = 0; start < starts.size(); ++start) {
      switch (status[start][sample]) {
        case Status::cycling: ++out.cycling[sample]; continue;
        case Status::diverged:
        case Status::not_finite: ++out.diverged[sample]; continue;
        case Status::iteration_limit:
        case Status::unrolled: ++out.unsettled[sample]; continue;
        case Status::all_zero:
        case Status::residual_reached:
        case Status::stalled: break;
      }
      bool known = false;
      for (std::size_t const other : found)
        known = known || !differ(ends[start], ends[other], static_cast<Index>(sample));
      if (!known) found.push_back(start);
    }
    out.distinct[sample] = static_cast<Index>(found.size());
  }
  return out;
}

}  // namespace detrame::inline DETRAME_ABI
