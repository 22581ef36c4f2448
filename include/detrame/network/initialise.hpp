// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>

#include "detrame/layer/concept.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "detrame/metric/recurrence.hpp"

namespace detrame::inline DETRAME_ABI {

/// The problem that tied parameters start from, in dictionary layers and in TiedStart.
struct TiedValues {
  double alpha = 0.5;
  double beta = 0.01;
  double lambda = 0.02;
};

/// A Q-metric ReLU starts as a ReLU: W~ = 0, h = 1, b = 0.
struct ReluStart {
  TiedValues tied{};
};

/// A Q-metric ReLU starts with W~ normal of deviation spread / sqrt(inputs), zero diagonal, h = 1, b = 0.
struct RandomStart {
  double spread = 0.3;
  TiedValues tied{};
};

/// LISTA's: a linear layer and the Q-metric ReLU behind it start as the tied layer of a random dictionary D
/// with unit-norm atoms: W = Q^{-1} D^T, c = 0 and eq. (24), which alone keeps W~ in D0; Q is DᵀD + alpha I,
/// restricted to the blocks of W~.                                                                (M2) (M7)
/// Where W and W~ have not the same rows, as with the parts of Mixed, both start as from ReluStart.
struct TiedStart {
  TiedValues tied{};
};

namespace detail {

template <class Scalar>
HostMatrix<Scalar> scaled_normal(Random const& random, Index rows, Index cols, double deviation) {
  return host_matrix<Scalar>(rows, cols, [&](Index i, Index j) {
    return static_cast<Scalar>(deviation * random.normal<double>(static_cast<std::uint64_t>(i + j * rows)));
  });
}

/// A random dictionary of unit-norm atoms.
template <class Scalar>
HostMatrix<Scalar> unit_norm_atoms(Random const& random, Index m, Index k) {
  HostMatrix<Scalar> D = scaled_normal<Scalar>(random, m, k, 1);  // m x k
  for (Index j = 0; j < k; ++j) {
    double norm = 0;
    for (Index i = 0; i < m; ++i) norm += static_cast<double>(D(i, j)) * static_cast<double>(D(i, j));
    for (Index i = 0; i < m; ++i)
      D(i, j) = static_cast<Scalar>(static_cast<double>(D(i, j)) / std::sqrt(norm));
  }
  return D;
}

/// What every start does alike: weights normal of deviation 1 / sqrt(3 inputs), PyTorch's for its linear
/// layers, biases 0, h = 1, b = 0, W~ = 0; BatchNorm without effect; dictionaries random with unit-norm
/// atoms, shifts 0, alpha, beta, lambda as given.
template <Backend B>
void initialise_one(B& backend, Kind kind, Matrix<B>& p, Random const& random, TiedValues const& tied) {
  using Scalar = typename B::Scalar;
  auto const constant = [&](double value) {
    p = to_device(backend, HostMatrix<Scalar>(p.rows(), p.cols(), static_cast<Scalar>(value)));
  };
  switch (kind) {
    case Kind::weight:
      p = to_device(backend, scaled_normal<Scalar>(random, p.rows(), p.cols(),
                                                   std::sqrt(1. / (3 * static_cast<double>(p.cols())))));
      return;
    case Kind::dictionary:
      p = to_device(backend, unit_norm_atoms<Scalar>(random, p.rows(), p.cols()));
      return;
    case Kind::bias:
    case Kind::W_tilde:
    case Kind::b:
    case Kind::shift:
    case Kind::offset:
    case Kind::running_mean: return constant(0);
    case Kind::h:
    case Kind::gain:
    case Kind::running_variance: return constant(1);
    case Kind::lambda: return constant(tied.lambda);
    case Kind::alpha: return constant(tied.alpha);
    case Kind::beta: return constant(tied.beta);
  }
}

/// Makes a linear layer and the Q-metric ReLU behind it the tied layer of a random dictionary. W~ has `taps`
/// matrices a block.
template <Backend B>
void tie_pair(B& backend, Matrix<B>& W, Matrix<B>& W_tilde, Index taps, Matrix<B>& h, Matrix<B>& b,
              Random const& random, TiedValues const& tied) {
  using Scalar = typename B::Scalar;
  Index const k = W.rows(), m = W.cols(), kg = W_tilde.rows();
  Matrix<B> const D = to_device(backend, unit_norm_atoms<Scalar>(random, m, k));  // m x k
  HostMatrix<Scalar> const D_host = to_host(backend, D);
  HostMatrix<Scalar> blocks(kg, k);  // kg x k
  for (Index j = 0; j < k; ++j)
    for (Index i = 0; i < kg; ++i) {
      Index const l = j / kg * kg + i;
      for (Index s = 0; s < m; ++s) blocks(i, j) += D_host(s, l) * D_host(s, j);
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
  HostMatrix<Scalar> const D_T = host_matrix<Scalar>(k, m, [&](Index i, Index j) { return D_host(j, i); });
  W = to_device(backend, D_T);
  for (Index first = 0; first < k; first += kg) {
    Matrix<B> const rhs =
        to_device(backend, host_matrix<Scalar>(kg, m, [&](Index i, Index j) { return D_T(first + i, j); }));
    definite_solve(backend, Q.weights().middle_cols(first, kg), ConstView<B>(rhs),
                   View<B>(W).middle_rows(first, kg));
  }
}

}  // namespace detail

/// Overwrites all parameters, a function of start and seed alone. Every tensor draws from a stream of its
/// own, that of the n-th tensor of its kind: networks with the same linear layers get the same W from one
/// seed, whatever stands between. No stream of `fit`, which are numbered from 0, is among them.
///
/// Requires  tied values in their ranges (alpha > 0, beta >= 0, lambda >= 0), spread >= 0, else DomainError.
/// Tested    tests/network/initialise_test.cpp
template <Backend B, class Theta, class Start>
void initialise(B& backend, Theta& theta, Start const& start, std::uint64_t seed) {
  using Scalar = typename B::Scalar;
  if (!(start.tied.alpha > 0))
    throw DomainError(message("initialise: alpha = ", start.tied.alpha, ", must be > 0"));
  require_at_least("initialise", "beta", start.tied.beta, 0.);
  require_at_least("initialise", "lambda", start.tied.lambda, 0.);
  if constexpr (std::is_same_v<Start, RandomStart>)
    require_at_least("initialise", "spread", start.spread, 0.);
  std::array<std::uint64_t, kind_count> seen{};
  Index taps = 1;                                           // of its W~
  Matrix<B>*W = nullptr, *W_tilde = nullptr, *h = nullptr;  // of the pair that TiedStart is walking through
  visit(
      [&](std::string_view, Role role, Matrix<B>& p) {
        Kind const kind = role;
        auto const place = static_cast<std::size_t>(kind);
        Random const random(seed, (std::uint64_t{place + 1} << 32) + seen[place]++);
        detail::initialise_one(backend, kind, p, random, start.tied);
        if constexpr (std::is_same_v<Start, RandomStart>) {
          if (kind == Kind::W_tilde) {
            double const deviation = start.spread / std::sqrt(static_cast<double>(p.rows() * role.taps));
            p = to_device(backend, detail::scaled_normal<Scalar>(random, p.rows(), p.cols(), deviation));
            each_indexed(backend.lane(), formula::ZeroDiagonal{p.rows(), role.taps}, p);
          }
        } else if constexpr (std::is_same_v<Start, TiedStart>) {
          if (kind == Kind::weight) W = &p;
          if (kind == Kind::W_tilde) W_tilde = &p, taps = role.taps;
          if (kind == Kind::h) h = &p;
          if (kind == Kind::b && W != nullptr && W->rows() == p.rows()) {
            detail::tie_pair(backend, *W, *W_tilde, taps, *h, p, random, start.tied);
            W = nullptr;  // a second Q-metric ReLU behind it must not tie it again
          }
        } else {
          static_assert(std::is_same_v<Start, ReluStart>,
                        "initialise: a start is ReluStart, RandomStart or TiedStart");
        }
      },
      theta);
}

}  // namespace detrame::inline DETRAME_ABI
