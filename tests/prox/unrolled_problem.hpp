// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/operator/dense_blocks.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

/// A recursion and the unroll's maps on it, for the tests of both.
namespace detrame::test {

using formula::NonnegativeShrinkage;
using formula::SoftShrinkage;

/// A recursion of k = groups kg rows and what it is applied to, on the host, in double: |W~|_2 is about .8.
struct Data {
  DenseBlocks structure;
  Index k, N, T;
  HostMatrix<double> W, h, b, Z, U_bar;

  Data(Index groups, Index kg, Index N_, Index T_, std::uint64_t n)
      : structure{groups},
        k(groups * kg),
        N(N_),
        T(T_),
        W(mapped([=](double w) { return .4 * w / std::sqrt(static_cast<double>(kg)); },
                 normal_matrix<double>(kg, k, seed(n)))),
        h(uniform_matrix<double>(k, 1, seed(n + 1), .5, 1)),
        b(uniform_matrix<double>(k, 1, seed(n + 2), 0, .2)),
        Z(normal_matrix<double>(k, N, seed(n + 3))),
        U_bar(normal_matrix<double>(k, N, seed(n + 4))) {}
};

/// The same in the memory of a backend, and the maps under test.
template <Backend B, class A>
struct Unrolled {
  using Scalar = typename B::Scalar;
  struct Gradients {
    HostMatrix<Scalar> Z, W, h, b;
    bool operator==(Gradients const&) const = default;
  };

  B& backend;
  DenseBlocks structure;
  Index k, N, T;
  Matrix<B> W, h, b, Z, U_bar;

  Unrolled(B& backend_, Data const& d)
      : backend(backend_),
        structure(d.structure),
        k(d.k),
        N(d.N),
        T(d.T),
        W(device(d.W)),
        h(device(d.h)),
        b(device(d.b)),
        Z(device(d.Z)),
        U_bar(device(d.U_bar)) {}

  Matrix<B> device(HostMatrix<double> const& m) const { return to_device(backend, rounded<Scalar>(m)); }

  HostMatrix<Scalar> forward(Matrix<B>* states = nullptr) const {
    Matrix<B> U;
    resize(backend, U, k, N);
    unrolled_prox(backend, structure, A{}, W, h, b, Z, T, U, states ? View<B>(*states) : View<B>());
    return to_host(backend, U);
  }

  /// The cotangents, of which all but that of Z are added to `start`.
  Gradients pullback(bool store, Scalar start = 0) const {
    Matrix<B> U = zeros(backend, k, N), states = zeros(backend, k, store ? StoreStates::columns(T, N) : 0);
    unrolled_prox(backend, structure, A{}, W, h, b, Z, T, U, states);
    auto const filled = [&](Matrix<B> const& m) {
      return to_device(backend, HostMatrix<Scalar>(m.rows(), m.cols(), start));
    };
    Matrix<B> Z_bar, W_bar = filled(W), h_bar = filled(h), b_bar = filled(b);
    resize(backend, Z_bar, k, N);
    unrolled_prox_pullback(backend, structure, A{}, W, h, b, Z, T, U, states, U_bar, Z_bar, W_bar, h_bar,
                           b_bar);
    return {to_host(backend, Z_bar), to_host(backend, W_bar), to_host(backend, h_bar),
            to_host(backend, b_bar)};
  }

  /// That of Z alone.
  HostMatrix<Scalar> pullback_of_Z(bool store) const {
    Matrix<B> U = zeros(backend, k, N), states = zeros(backend, k, store ? StoreStates::columns(T, N) : 0);
    unrolled_prox(backend, structure, A{}, W, h, b, Z, T, U, states);
    Matrix<B> Z_bar = device(HostMatrix<double>(k, N, 7));
    unrolled_prox_pullback<A>(backend, structure, {}, W, h, b, Z, T, U, states, U_bar, Z_bar);
    return to_host(backend, Z_bar);
  }
};

/// A backend and one of the two activations.
template <class B, class A>
struct On {
  using Backend = B;
  using Activation = A;
};

}  // namespace detrame::test

// Every backend and scalar, and both activations, each on a host and on the archetype.
#define MODELS                                                          \
  On<Cpu<float>, NonnegativeShrinkage>, On<Cpu<double>, SoftShrinkage>, \
      On<archetype::Loops<float>, SoftShrinkage>, On<archetype::Loops<double>, NonnegativeShrinkage>
#define DOUBLES On<Cpu<double>, SoftShrinkage>, On<archetype::Loops<double>, NonnegativeShrinkage>
#define NONNEGATIVE On<Cpu<float>, NonnegativeShrinkage>, On<archetype::Loops<double>, NonnegativeShrinkage>
