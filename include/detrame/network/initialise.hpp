// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/start.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "detrame/metric/tie.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// Makes a linear layer and the Q-metric ReLU behind it the tied layer of a random dictionary. W~ has `taps`
/// matrices a block.
template <Backend B>
void tie_pair(B& backend, Matrix<B>& W, Matrix<B>& W_tilde, Index taps, Matrix<B>& h, Matrix<B>& b,
              Random const& random, TiedValues const& tied) {
  using Scalar = typename B::Scalar;
  Index const k = W.rows(), m = W.cols(), kg = W_tilde.rows();
  HostMatrix<Scalar> D(m, k);
  fill_atoms(D, random, tied.atoms);
  HostMatrix<Scalar> blocks(kg, k);  // kg x k
  for (Index j = 0; j < k; ++j)
    for (Index i = 0; i < kg; ++i) {
      Index const l = j / kg * kg + i;
      for (Index s = 0; s < m; ++s) blocks(i, j) += D(s, l) * D(s, j);
      if (l == j) blocks(i, j) += static_cast<Scalar>(tied.alpha);
    }
  BlockDiagonalMetric<B> const Q(backend, to_device(backend, blocks));
  NonnegativeElasticNet<B> const psi(backend, k, static_cast<Scalar>(tied.lambda),
                                     static_cast<Scalar>(tied.beta));
  Recurrence<B> const recurrence = tie(backend, Q, psi, coordinate_step(backend, Q));
  auto const middle = to_host(backend, ConstView<B>(recurrence.W_tilde));  // kg x k
  HostMatrix<Scalar> kernel(kg, taps * k);
  for (Index j = 0; j < k; ++j)
    for (Index i = 0; i < kg; ++i) kernel(i, (j / kg * taps + taps / 2) * kg + j % kg) = middle(i, j);
  W_tilde = to_device(backend, kernel);
  h = recurrence.h;
  b = recurrence.b;
  HostMatrix<Scalar> const D_T = host_matrix<Scalar>(k, m, [&](Index i, Index j) { return D(j, i); });
  W = to_device(backend, D_T);
  for (Index first = 0; first < k; first += kg) {
    Matrix<B> const rhs =
        to_device(backend, host_matrix<Scalar>(kg, m, [&](Index i, Index j) { return D_T(first + i, j); }));
    definite_solve(backend, Q.weights().middle_cols(first, kg), ConstView<B>(rhs),
                   View<B>(W).middle_rows(first, kg));
  }
}

}  // namespace detail

/// Overwrites all parameters, a function of policy and seed alone. Every tensor draws from a stream of its
/// own, that of the n-th tensor with its role's number: networks with the same linear layers get the same W
/// from one seed, whatever stands between. No stream of `fit`, which are numbered from 0, is among them.
///
/// Requires  tied values in their ranges (alpha > 0, beta >= 0, lambda >= 0), spread >= 0, else DomainError:
///           what the policy's `check` says.
/// Ensures   what is in D0 by its role starts there, whatever the policy.
/// Tested    tests/network/initialise_test.cpp
template <Backend B, class Theta, StartPolicy Start>
void initialise(B& backend, Theta& theta, Start const& start, std::uint64_t seed) {
  start.check();
  std::map<std::uint32_t, std::uint64_t> seen;
  struct Pair {
    Matrix<B>*W = nullptr, *W_tilde = nullptr, *h = nullptr;
    Index taps = 1;
  } pair;  // that TiedStart is walking through
  visit(
      [&](std::string_view, auto const& role, Matrix<B>& p) {
        Random const random(seed, (std::uint64_t{role.stream} + 1) << 32 | seen[role.stream]++);
        HostMatrix<typename B::Scalar> values(p.rows(), p.cols());
        start.start(role, values, random);
        p = to_device(backend, values);
        if (role.taps > 0 && !role.free_diagonal)
          each_indexed(backend.lane(), formula::ZeroDiagonal{p.rows(), role.taps}, p);
        if constexpr (std::derived_from<Start, TiedStart>) {
          if (role.name == "weight") pair = {&p};
          if (role.name == "W_tilde") pair.W_tilde = &p, pair.taps = role.taps;
          if (role.name == "h") pair.h = &p;
          if (role.name == "b" && pair.W && pair.W_tilde && pair.h && pair.W->rows() == p.rows()) {
            detail::tie_pair(backend, *pair.W, *pair.W_tilde, pair.taps, *pair.h, p, random, start.tied);
            pair = {};  // a second Q-metric ReLU behind it must not tie it again
          }
        }
      },
      theta);
}

}  // namespace detrame::inline DETRAME_ABI
