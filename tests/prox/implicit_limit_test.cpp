// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/prox/contraction.hpp"
#include "detrame/prox/kink_margin.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "laws/archetype.hpp"
#include "prox/problem.hpp"

namespace detrame {

using namespace detrame::test;
using formula::NonnegativeShrinkage;
using formula::SoftShrinkage;

#define MODELS Problem<Cpu<double>, NonnegativeShrinkage>, Problem<archetype::Loops<double>, SoftShrinkage>

TEST_CASE_TEMPLATE("(A4) the unrolled adjoint tends to the implicit one: kappa^T in Z, T kappa^T in W~", P,
                   MODELS) {
  using B = typename P::Backend;
  B b;
  Index const k = 8, N = 6;
  auto const V = normal_matrix<double>(k, 2 * k, seed(800));
  auto const gram = product(V, transposed(V));
  P const p(
      b, host_matrix<double>(k, k, [&](Index i, Index j) { return i == j ? 1 : .3 * gram(i, j) / (2. * k); }),
      normal_matrix<double>(k, N, seed(801)), .1, .05);
  Step<B> const step = coordinate_step(b, p.Q);
  auto const tied = tie(b, p.Q, p.psi, step);
  double const kappa = contraction(b, p.Q, p.psi, Jacobi{}).kappa;
  REQUIRE(kappa < .9);
  auto const U_bar = normal_matrix<double>(k, N, seed(802));
  auto const U_bar_device = to_device(b, U_bar);

  // The limit, from the exact solution: v solves (Q_AA + beta) v_A = u_bar_A; in terms of W~ it is S v.
  auto const exact = exact_prox(b, p.Q, p.psi, p.z);
  REQUIRE(exact.status == ExactStatus::optimal);
  auto const implicit = exact_prox_pullback(b, p.Q, p.psi, p.z, exact.u, U_bar_device);
  auto const u = to_host(b, ConstView<B>(exact.u)), z = to_host(b, ConstView<B>(p.z));
  auto const Sv =
      mapped([&](double v) { return (1 + p.beta) * v; }, to_host(b, ConstView<B>(implicit.v)));  // Theta = 1
  auto const W_limit = product(Sv, transposed(mapped([](double x, double y) { return x - y; }, u, z)));
  auto const Z_limit = to_host(b, ConstView<B>(implicit.z_bar));

  double margin =
      std::numeric_limits<double>::infinity();  // strict complementarity, at the last update of many
  auto const margins = to_host(
      b, kink_margin(b, tied.structure, typename P::Activation{}, tied.W_tilde, tied.h, tied.b, p.z, 200));
  for (Index j = 0; j < N; ++j) margin = std::min(margin, margins(0, j));
  REQUIRE(margin > 1e-4);

  double const size = norm(U_bar) * (1 + norm(u) + norm(z)) / (1 - kappa);
  for (Index T : {10, 20, 40, 80, 160}) {
    CAPTURE(T);
    Matrix<typename P::Backend> U = zeros(b, k, N), Z_bar = zeros(b, k, N), W_bar = zeros(b, k, k),
                                h_bar = zeros(b, k, 1), b_bar = zeros(b, k, 1);
    unrolled_prox(b, tied.structure, typename P::Activation{}, tied.W_tilde, tied.h, tied.b, p.z, T, U);
    unrolled_prox_pullback(b, tied.structure, typename P::Activation{}, tied.W_tilde, tied.h, tied.b, p.z, T,
                           U, {}, U_bar_device, Z_bar, W_bar, h_bar, b_bar);
    double const in_Z =
        norm(mapped([](double x, double y) { return x - y; }, to_host(b, ConstView<B>(Z_bar)), Z_limit));
    double const in_W =
        norm(mapped([](double x, double y) { return x - y; }, to_host(b, ConstView<B>(W_bar)), W_limit));
    double const rate = std::pow(kappa, static_cast<double>(T)), rounding = tolerance<double>(k * 20, size);
    CHECK(in_Z <= size * rate + rounding);
    CHECK(in_W <= size * static_cast<double>(T) * rate + rounding);
    if (T == 10) CHECK((in_Z > 1e3 * rounding && in_W > 1e3 * rounding));  // not vacuous
  }
}

}  // namespace detrame
