// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <numbers>

#include "detrame/core/errors.hpp"
#include "detrame/core/parameters.hpp"

namespace detrame::inline DETRAME_ABI {

/// Normal entries.
template <class Scalar>
void fill_normal(HostMatrix<Scalar>& p, Random const& random, double deviation) {
  for (Index i = 0; i < p.rows() * p.cols(); ++i)
    p.data()[i] = static_cast<Scalar>(deviation * random.normal<double>(static_cast<std::uint64_t>(i)));
}

/// Entries uniform in [low, high].
template <class Scalar>
void fill_uniform(HostMatrix<Scalar>& p, Random const& random, double low, double high) {
  for (Index i = 0; i < p.rows() * p.cols(); ++i)
    p.data()[i] =
        static_cast<Scalar>(low + (high - low) * random.uniform<double>(static_cast<std::uint64_t>(i)));
}

/// Normal entries, then columns of one norm.
template <class Scalar>
void fill_atoms(HostMatrix<Scalar>& p, Random const& random, double length) {
  fill_normal(p, random, 1);
  for (Index j = 0; j < p.cols(); ++j) {
    double norm = 0;
    for (Index i = 0; i < p.rows(); ++i) norm += static_cast<double>(p(i, j)) * static_cast<double>(p(i, j));
    for (Index i = 0; i < p.rows(); ++i)
      p(i, j) = static_cast<Scalar>(length * (static_cast<double>(p(i, j)) / std::sqrt(norm)));
  }
}

/// The problem that tied parameters start from, in dictionary layers and in TiedStart.
struct TiedValues {
  double alpha = 0.5;
  double beta = 0.01;
  double lambda = 0.02;
  double atoms = 1;  ///< the norm of each atom

  void check() const {
    if (!(alpha > 0)) throw DomainError(message("initialise: alpha = ", alpha, ", must be > 0"));
    if (!(atoms > 0)) throw DomainError(message("initialise: atoms = ", atoms, ", must be > 0"));
    require_at_least("initialise", "beta", beta, 0.);
    require_at_least("initialise", "lambda", lambda, 0.);
  }
};

/// How parameters start: the numbers that roles read in Role::start, refused by `check` where they are out of
/// range, and `start`, which has the last word on each parameter. One of your own:
///
///   struct NarrowStart : ReluStart {
///     void start(auto const& role, auto& p, Random const& random) const {
///       role.start(p, random, *this);
///       if (role.name == "weight") fill_normal(p, random, 0.01);
///     }
///   };
///
/// Tested    tests/layer/start_test.cpp
template <class P>
concept StartPolicy = requires(P const policy, Role const role, HostMatrix<float>& p, Random const random) {
  { policy.tied } -> std::convertible_to<TiedValues>;
  policy.check();
  policy.start(role, p, random);
};

/// A Q-metric ReLU starts as a ReLU: W~ = 0, h = 1, b = 0.
struct ReluStart {
  TiedValues tied{};

  void check() const { tied.check(); }
  void start(auto const& role, auto& p, Random const& random) const { role.start(p, random, *this); }
};

/// A Q-metric ReLU starts with W~ normal of deviation spread / sqrt(inputs), zero diagonal, h = 1, b = 0.
struct RandomStart {
  double spread = 0.3;
  TiedValues tied{};

  void check() const {
    tied.check();
    require_at_least("initialise", "spread", spread, 0.);
  }
  void start(auto const& role, auto& p, Random const& random) const { role.start(p, random, *this); }
};

/// He's: as ReluStart, but W of linear layers normal of deviation gain / sqrt(inputs), those of a convolution
/// counted over its window. gain = sqrt 2 keeps the size of what ReLUs pass on.
///
/// Source    arXiv 1502.01852, eq. (10)
struct HeStart {
  double gain = std::numbers::sqrt2;
  TiedValues tied{};

  void check() const {
    tied.check();
    require_at_least("initialise", "gain", gain, 0.);
  }
  void start(auto const& role, auto& p, Random const& random) const {
    role.start(p, random, ReluStart{tied});
    if (role.name == "weight") fill_normal(p, random, gain / std::sqrt(static_cast<double>(p.cols())));
  }
};

/// Glorot's: as ReluStart, but W of linear layers normal of deviation gain sqrt(2 / (inputs + outputs)), both
/// of a convolution counted over its window.
///
/// Source    X. Glorot, Y. Bengio, AISTATS 2010, eq. (12)
struct GlorotStart {
  double gain = 1;
  TiedValues tied{};

  void check() const {
    tied.check();
    require_at_least("initialise", "gain", gain, 0.);
  }
  void start(auto const& role, auto& p, Random const& random) const {
    role.start(p, random, ReluStart{tied});
    if (role.name == "weight")
      fill_normal(p, random, gain * std::sqrt(2 / static_cast<double>(p.cols() + role.window * p.rows())));
  }
};

/// Line 2 of Algorithm 2: W, W~, h, b and c are random, within their constraints, and what else layers have
/// starts as under RandomStart. The laws are ours:                                                       (F4)
///
///   W normal of deviation 1 / sqrt(inputs), W~ as RandomStart has it,
///   h uniform in [0, 1], b in [0, 1 / sqrt(k)], c in [-1 / sqrt(k), 1 / sqrt(k)], for k channels
struct Algorithm2Start {
  double spread = 0.3;
  TiedValues tied{};

  void check() const { as_random().check(); }
  void start(auto const& role, auto& p, Random const& random) const {
    role.start(p, random, as_random());
    double const end = 1 / std::sqrt(static_cast<double>(std::max<Index>(p.rows(), 1)));
    if (role.name == "weight") fill_normal(p, random, 1 / std::sqrt(static_cast<double>(p.cols())));
    if (role.name == "bias") fill_uniform(p, random, -end, end);
    if (role.name == "h") fill_uniform(p, random, 0, 1);
    if (role.name == "b") fill_uniform(p, random, 0, end);
  }

 private:
  RandomStart as_random() const { return {spread, tied}; }
};

/// LISTA's: a linear layer and the Q-metric ReLU behind it start as the tied layer of a random dictionary D
/// with atoms of one norm: W = Q^{-1} D^T, c = 0 and eq. (24), which alone keeps W~ in D0; Q is
/// DᵀD + alpha I, restricted to the blocks of W~.                                                 (M2) (M7)
/// Where W and W~ have not the same rows, as with the parts of Mixed, both start as from ReluStart.
struct TiedStart {
  TiedValues tied{};

  void check() const { tied.check(); }
  void start(auto const& role, auto& p, Random const& random) const { role.start(p, random, *this); }
};

}  // namespace detrame::inline DETRAME_ABI
