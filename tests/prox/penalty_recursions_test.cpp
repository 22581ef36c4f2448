// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/convolutional_metric.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/tie.hpp"
#include "detrame/prox/bounds.hpp"
#include "detrame/prox/kink_margin.hpp"
#include "detrame/prox/synthesis_prox.hpp"
#include "detrame/prox/unrolled_prox_jvp.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "detrame/prox/unrolled_prox_until.hpp"
#include "laws/archetype.hpp"
#include "penalties.hpp"

/// Recursions with the penalties whose rules have data: a box, and Huber's.
namespace detrame {

using namespace detrame::test;

#define SCALARS Cpu<double>, Cpu<float>, archetype::Loops<double>
#define DOUBLES Cpu<double>, archetype::Loops<double>

namespace {

/// f(of, which curvatures its solutions must have) for each of the penalties.
template <class F>
void each_penalty(F const& f) {
  f(OfBox{-.25, .5}, std::array<Index, 3>{4, 0, 4});
  f(OfBox{0, limits::infinity<double>}, std::array<Index, 3>{4, 0, 4});
  f(OfHuber{.125, .5}, std::array<Index, 3>{4, 4, 0});
}

/// T updates on the host, in double.
template <class Rule>
Host unrolled_on_host(Rule const& A, Host const& W, Host const& h, Host const& b, Host const& Z, Index T) {
  Host U(Z.rows(), Z.cols());
  for (Index t = 0; t < T; ++t) {
    auto const V = product(W, mapped([](double u, double z) { return u - z; }, U, Z));
    U = host_matrix<double>(Z.rows(), Z.cols(), [&](Index i, Index j) {
      return static_cast<double>(A(h(i, 0) * Z(i, j) + V(i, j), b(i, 0)));
    });
  }
  return U;
}

/// Parameters of a recursion of k = 8 rows, |W~|_2 about .8.
struct Free {
  Index k = 8, N = 5;
  Host W = mapped([](double w) { return .14 * w; }, normal_matrix<double>(8, 8, seed(300)));
  Host h = uniform_matrix<double>(8, 1, seed(301), .5, 1), b = uniform_matrix<double>(8, 1, seed(302), 0, .2);
  Host Z = normal_matrix<double>(8, 5, seed(303)), U_bar = normal_matrix<double>(8, 5, seed(304));
};

}  // namespace

TEST_CASE_TEMPLATE("(M3) (M4) (C4) (C5) every scheme finds the solution in a box and with Huber's penalty", B,
                   SCALARS) {
  using Scalar = typename B::Scalar;
  B b;
  Index const k = 6, N = 9;
  auto const Q = rounded<double>(definite_matrix<Scalar>(k, 4, seed(50)));
  auto const z =
      rounded<double>(mapped([](Scalar t) { return t + t; }, normal_matrix<Scalar>(k, N, seed(51))));
  DenseMetric<B> const metric(b, in_memory_of(b, Q));
  each_penalty([&](auto const& of, std::array<Index, 3> least) {
    auto const psi = of(b, k, .0625);
    auto const u_star = by_gradients(Q, z, of, .0625, 1);
    auto const count = pieces(psi, rounded<Scalar>(u_star));
    for (std::size_t p = 0; p < 3; ++p) REQUIRE(count[p] >= least[p]);
    auto const check = [&](auto const& scheme) {
      Until const until{.tolerance = sizeof(Scalar) == 8 ? 1e-11 : 1e-5};
      auto const result = metric_prox(b, metric, psi, in_memory_of(b, z), scheme, until);
      CHECK(result.status == Status::residual_reached);
      auto const u = to_host(b, ConstView<B>(result.u));
      CHECK(result.bound < (sizeof(Scalar) == 8 ? 1e-8 : 1e-2));
      CHECK(max_abs_difference(rounded<double>(u), u_star) <=
            static_cast<double>(result.bound) + static_cast<double>(tolerance<Scalar>(k, 4)));
      CHECK(mapped([&](Scalar v) { return psi.activation()(v, Scalar(0)); }, u) == u);  // in the domain
      auto const early = metric_prox(b, metric, psi, in_memory_of(b, z), scheme, Unroll<2>{});
      CHECK(early.residual > result.residual);
      CHECK(max_abs_difference(in_double(b, ConstView<B>(early.u)), u_star) <=
            static_cast<double>(early.bound));
    };
    check(Jacobi{});
    check(ForwardBackward{.75});
    check(Gershgorin{});
    check(GaussSeidel{});
    check(Fista{});
    // powers of two: the same bits, statuses and counts                                               (U2)
    auto const by = [](double x) { return 8 * x; };
    auto const scaled = [&] {
      if constexpr (requires { of.low; })
        return OfBox{by(of.low), by(of.high)};
      else
        return OfHuber{by(of.delta), by(of.lambda)};
    }()(b, k, .0625);
    auto const here = metric_prox(b, metric, psi, in_memory_of(b, z), Fista{}),
               there = metric_prox(b, metric, scaled, in_memory_of(b, mapped(by, z)), Fista{});
    CHECK(in_double(b, ConstView<B>(there.u)) == mapped(by, in_double(b, ConstView<B>(here.u))));
    CHECK((here.iterations == there.iterations && here.column_status == there.column_status));
  });
}

TEST_CASE_TEMPLATE("(M3) (C2) a box without 0: a recursion starts at what is nearest to 0", B, SCALARS) {
  using Scalar = typename B::Scalar;
  B b;
  Index const k = 6, N = 5;
  auto const Q = rounded<double>(definite_matrix<Scalar>(k, 4, seed(50)));
  auto const z = rounded<double>(normal_matrix<Scalar>(k, N, seed(51)));
  DenseMetric<B> const metric(b, in_memory_of(b, Q));
  for (OfBox const of : {OfBox{.25, 1}, OfBox{-3, -.5}}) {
    auto const psi = of(b, k, 0);
    auto const u_star = by_gradients(Q, z, of, 0, 1);
    Until const until{.tolerance = sizeof(Scalar) == 8 ? 1e-11 : 1e-5};
    auto const check = [&](auto const& scheme) {
      auto const result = metric_prox(b, metric, psi, in_memory_of(b, z), scheme, until);
      CHECK(result.status == Status::residual_reached);
      CHECK(max_abs_difference(in_double(b, ConstView<B>(result.u)), u_star) <=
            static_cast<double>(result.bound) + static_cast<double>(tolerance<Scalar>(k, 4)));
    };
    check(Gershgorin{});
    check(GaussSeidel{});
    check(Fista{});
    auto const length = [&](ConstView<B> u) {  // of the largest error, in the norm of S
      auto const [tied, known] = detail::tied_contraction(b, metric, psi, Gershgorin{});
      auto const off = mapped([](double x, double y) { return x - y; }, in_double(b, u), u_star);
      return static_cast<double>(norm(b, Input<B>(known.S), in_memory_of(b, off)));
    };
    double const slack = static_cast<double>(tolerance<Scalar>(k, 4));
    auto const at_3 = metric_prox(b, metric, psi, in_memory_of(b, z), Gershgorin{}, Unroll<3>{});
    auto const bound = a_priori_bound(b, metric, psi, in_memory_of(b, z), Gershgorin{}, 3);
    REQUIRE(bound);
    CHECK(length(at_3.u) > slack);
    CHECK(length(at_3.u) <= static_cast<double>(*bound) + slack);
    auto const T = steps_for(b, metric, psi, in_memory_of(b, z), Gershgorin{}, Scalar(.01));
    REQUIRE(T);
    auto const at_T = metric_prox(b, metric, psi, in_memory_of(b, z), Gershgorin{}, Updates{*T});
    CHECK(length(at_T.u) <= .01 + slack);
    // nothing to do: solved at the start, which is not 0; far bounds are no divergence
    auto const still = metric_prox(b, metric, of(b, k, 0), zeros(b, k, N), Gershgorin{}, until);
    auto const point = of.low > 0 ? of.low : of.high;
    auto const there = metric_prox(b, metric, OfBox{point, point}(b, k, 0), zeros(b, k, N), Fista{});
    CHECK(still.status == Status::residual_reached);
    CHECK((there.status == Status::residual_reached && there.iterations == 0 && there.bound == 0));
    CHECK(in_double(b, ConstView<B>(there.u)) == Host(k, N, point));
  }
}

TEST_CASE_TEMPLATE("(U1) residual(...) is the share that results have, of the terms at the start", B,
                   SCALARS) {
  B b;
  auto const Q = host_matrix<double>(2, 2, [](Index i, Index j) { return i != j ? -1.5 : i == 0 ? 1. : 4.; });
  DenseMetric<B> const metric(b, in_memory_of(b, Q));  // at u = (1, 1), Q u = (-.5, 2.5)
  auto const psi = OfBox{1, 1000}(b, 2, 0);
  for (double size : {-.5, 1e-12, 0.}) {
    auto const z = in_memory_of(b, Host(2, 1, size));
    auto const at = metric_prox(b, metric, psi, z, Gershgorin{}, Updates{2});
    REQUIRE(at.residual > 0);
    REQUIRE(at.residual < 1);
    CHECK(in_double(b, ConstView<B>(residual(b, metric, psi, Input<B>(z), at.u)))(0, 0) ==
          doctest::Approx(static_cast<double>(at.residual)));
  }
}

TEST_CASE_TEMPLATE(
    "(K2) (K4) images, and codes of a dictionary, by recursions in a box and with Huber's penalty", B,
    DOUBLES) {
  B b;
  Index const k = 2, images = 2, sites = 9;
  ConvolutionalBlocks const shape{3, 3, 3, 1};
  auto kernel = symmetric_part(
      shape, mapped([](double w) { return .06 * w; }, normal_matrix<double>(k, 9 * k, seed(30))));
  for (Index c = 0; c < k; ++c) kernel(c, 4 * k + c) += 1;
  ConvolutionalMetric<B> const Q(b, shape, to_device(b, kernel));
  auto const z = normal_matrix<double>(k, images * sites, seed(31));
  auto const dense = to_host(b, detrame::dense(b, Q));
  auto const D = unit_norm_dictionary<double>(8, 5, seed(32)), x = normal_matrix<double>(8, 3, seed(33));
  Synthesis<B> const synthesis{to_device(b, D), .25, 0, 0, zeros(b, 5, 1)};
  auto const gram = host_matrix<double>(5, 5, [&](Index i, Index j) {
    double sum = i == j ? .25 : 0;
    for (Index l = 0; l < 8; ++l) sum += D(l, i) * D(l, j);
    return sum;
  });
  each_penalty([&](auto const& of, std::array<Index, 3>) {
    auto const result =
        metric_prox(b, Q, of(b, k, .1), to_device(b, z), Fista{}, Until{.tolerance = 1e-12, .limit = 2000});
    CHECK(result.status == Status::residual_reached);
    CHECK(max_abs_difference(reshaped(to_host(b, ConstView<B>(result.u)), k * sites, images),
                             by_gradients(dense, reshaped(z, k * sites, images), of, .1, 2)) <=
          result.bound + 1e-13);
    auto const codes = synthesis_prox(b, synthesis, of(b, 5, .1), to_device(b, x), Fista{},
                                      Until{.tolerance = 1e-12, .limit = 5000});
    CHECK(codes.status == Status::residual_reached);
    Host a(5, 3);  // by gradients of 1/2 <a, Q a> - <D^T x, a>
    auto const right = product(transposed(D), x);
    for (int t = 0; t < 6000; ++t) {
      auto const g = product(gram, a);
      a = host_matrix<double>(5, 3, [&](Index i, Index j) {
        return of.descend(a(i, j), g(i, j) + .1 * a(i, j) - right(i, j), 1 / (4 + of.curvature()));
      });
    }
    CHECK(max_abs_difference(to_host(b, ConstView<B>(codes.u)), a) <= codes.bound + 1e-13);
  });
}

TEST_CASE_TEMPLATE(
    "(M5) the unroll in a box and with Huber's penalty is the recursion, with or without states", B,
    SCALARS) {
  using Scalar = typename B::Scalar;
  B b;
  Free const d;
  auto const W = in_memory_of(b, d.W), h = in_memory_of(b, d.h), t = in_memory_of(b, d.b),
             Z = in_memory_of(b, d.Z);
  each_penalty([&](auto const& of, std::array<Index, 3> least) {
    auto const psi = of(b, d.k, 0);
    auto const A = psi.activation();
    Matrix<B> U = zeros(b, d.k, d.N), again = U, states = zeros(b, d.k, 2 * d.N);
    unrolled_prox(b, DenseBlocks{1}, A, W, h, t, Z, 3, U, states);
    auto const u = to_host(b, ConstView<B>(U));
    auto const count = pieces(psi, u);
    for (std::size_t p = 0; p < 3; ++p) REQUIRE(count[p] >= least[p]);
    CHECK(max_abs_difference(rounded<double>(u), unrolled_on_host(A, d.W, d.h, d.b, d.Z, 3)) <=
          static_cast<double>(tolerance<Scalar>(3 * d.k, 2)));
    unrolled_prox(b, DenseBlocks{1}, A, W, h, t, Z, 3, again);
    CHECK(to_host(b, ConstView<B>(again)) == u);
    auto const frame = b.lane().frame();
    prepare_unroll(b, DenseBlocks{1}, A, ConstView<B>(W), ConstView<B>(h), ConstView<B>(t), d.k, 3)(b.lane(),
                                                                                                    Z, again);
    CHECK(to_host(b, ConstView<B>(again)) == u);
    // (U3) (C3) to its fixed point, and how far from it
    Recurrence<B, DenseBlocks> const recurrence{
        {1}, in_memory_of(b, d.W), in_memory_of(b, d.h), in_memory_of(b, d.b)};
    auto const known = contraction(b, recurrence);
    REQUIRE(known.kappa < Scalar(1));
    auto const found =
        unrolled_prox(b, DenseBlocks{1}, A, W, h, t, Z,
                      Until{.tolerance = sizeof(Scalar) == 8 ? 1e-12 : 1e-5}, std::optional(known));
    CHECK(found.status == Status::residual_reached);
    auto const fixed = unrolled_on_host(A, d.W, d.h, d.b, d.Z, 400);
    auto const off = [&](ConstView<B> at) {
      return static_cast<double>(
          norm(b, Input<B>(known.S),
               in_memory_of(b, mapped([](double v, double w) { return v - w; }, in_double(b, at), fixed))));
    };
    double const slack = static_cast<double>(tolerance<Scalar>(d.k, 4));
    REQUIRE(found.bound);
    CHECK(off(found.u) <= static_cast<double>(*found.bound) + slack);
    auto const bound =
        a_posteriori_bound(b, recurrence, A, in_memory_of(b, d.Z), in_memory_of(b, rounded<double>(u)));
    REQUIRE(bound);
    CHECK(off(U) <= static_cast<double>(*bound));
    CHECK(off(U) > 1e-4);
    check_throws_with<DomainError>(
        [&] {
          Recurrence<B, DenseBlocks> const odd{
              {1}, in_memory_of(b, d.W), in_memory_of(b, d.h), in_memory_of(b, Host(d.k, 1, -1.))};
          a_priori_bound(b, odd, A, in_memory_of(b, d.Z), 3);
        },
        "must be >= 0");
  });
}

TEST_CASE_TEMPLATE("(M9) (A1) the unroll's pullback and tangent in a box and with Huber's penalty", B,
                   SCALARS) {
  using Scalar = typename B::Scalar;
  B b;
  Free const d;
  each_penalty([&](auto const& of, std::array<Index, 3>) {
    auto const A = of(b, d.k, 0).activation();
    for (Index T : {1, 2, 4}) {
      auto const W = in_memory_of(b, d.W), h = in_memory_of(b, d.h), t = in_memory_of(b, d.b),
                 Z = in_memory_of(b, d.Z), U_bar = in_memory_of(b, d.U_bar);
      auto const pullback = [&](Index columns) {
        Matrix<B> U = zeros(b, d.k, d.N), states = zeros(b, d.k, columns);
        Matrix<B> Z_bar = zeros(b, d.k, d.N), W_bar = zeros(b, d.k, d.k), h_bar = zeros(b, d.k, 1),
                  b_bar = zeros(b, d.k, 1);
        unrolled_prox(b, DenseBlocks{1}, A, W, h, t, Z, T, U, states);
        unrolled_prox_pullback(b, DenseBlocks{1}, A, W, h, t, Z, T, U, states, U_bar, Z_bar, W_bar, h_bar,
                               b_bar);
        return std::array{in_double(b, ConstView<B>(Z_bar)), in_double(b, ConstView<B>(W_bar)),
                          in_double(b, ConstView<B>(h_bar)), in_double(b, ConstView<B>(b_bar))};
      };
      auto const bar = pullback((T - 1) * d.N);
      CHECK(bar == pullback(0));
      if constexpr (requires { of.low; }) CHECK(max_abs(bar[3]) == 0);  // b does nothing in a box
      auto const dZ = rounded<double>(normal_matrix<Scalar>(d.k, d.N, seed(310))),
                 dW = rounded<double>(normal_matrix<Scalar>(d.k, d.k, seed(311))),
                 dh = rounded<double>(normal_matrix<Scalar>(d.k, 1, seed(312))),
                 db = rounded<double>(normal_matrix<Scalar>(d.k, 1, seed(313)));
      double const claimed = inner(bar[0], dZ) + inner(bar[1], dW) + inner(bar[2], dh) + inner(bar[3], db);
      Matrix<B> dU = zeros(b, d.k, d.N);
      unrolled_prox_jvp(b, DenseBlocks{1}, A, W, h, t, Z, T, in_memory_of(b, dW), in_memory_of(b, dh),
                        in_memory_of(b, db), in_memory_of(b, dZ), dU);
      REQUIRE(std::abs(claimed) > .01);
      double const size = norm(d.U_bar) * (norm(dZ) + norm(dW) + norm(dh) + norm(db));
      CHECK(std::abs(inner(in_double(b, ConstView<B>(dU)), d.U_bar) - claimed) <=
            static_cast<double>(tolerance<Scalar>(d.k * T + d.N, size)));
      if constexpr (sizeof(Scalar) == 8) {
        auto const margin = to_host(b, kink_margin(b, DenseBlocks{1}, A, W, h, t, Z, T));
        double const step = 1e-6;
        for (Index j = 0; j < d.N; ++j) REQUIRE(margin(0, j) > 50 * step);
        double const measured = slope_of(
            [&](double e) {
              auto const plus = [e](double x, double dx) { return x + e * dx; };
              return inner(unrolled_on_host(A, mapped(plus, d.W, dW), mapped(plus, d.h, dh),
                                            mapped(plus, d.b, db), mapped(plus, d.Z, dZ), T),
                           d.U_bar);
            },
            step);
        CHECK(measured == doctest::Approx(claimed).epsilon(1e-7));
      }
    }
  });
}

TEST_CASE_TEMPLATE("(A1) the kink margin in a box and with Huber's penalty, in closed form", B, SCALARS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const one = [&](double v) { return in_memory_of(b, Host(1, 1, v)); };
  auto const margin = [&](auto const& A, double z) {  // one update: the pre-activation is z
    auto const W = one(0), h = one(1), t = one(.5), Z = one(z);
    return to_host(b, kink_margin(b, DenseBlocks{1}, A, W, h, t, Z, 1))(0, 0);
  };
  formula::Clamp<Scalar> const box{Scalar(-1), Scalar(2)};
  CHECK(margin(box, 1.5) == Scalar(.5));
  CHECK(margin(box, -.75) == Scalar(.25));
  CHECK(margin(box, 3) == Scalar(1));
  formula::HuberShrinkage<Scalar> const huber{Scalar(.25)};  // kinks at 3/4 and -3/4, slope 1/3 within
  CHECK(margin(huber, 2) == Scalar(1.25));
  CHECK(margin(huber, -.375) == doctest::Approx(.375));
  CHECK(margin(huber, 0) == doctest::Approx(.75));
}

}  // namespace detrame
