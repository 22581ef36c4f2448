// SPDX-License-Identifier: Apache-2.0
#include "detrame/prox/kink_margin.hpp"
#include "detrame/prox/unrolled_prox_jvp.hpp"
#include "prox/unrolled_problem.hpp"

namespace detrame {

using namespace detrame::test;

TEST_CASE_TEMPLATE("(A1) <U_bar, dU> is <pullback(U_bar), (dW~, dh, db, dZ)>", Model, MODELS) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  using Scalar = typename B::Scalar;
  B backend;
  for (Index T : {0, 1, 2, 5}) {
    Data const d(T == 2 ? 3 : 1, 6, 17, T, 30);
    Unrolled<B, A> const unrolled(backend, d);
    auto const bar = unrolled.pullback(true);
    for (std::uint64_t direction = 0; direction < 3; ++direction) {
      auto const draw = [&](HostMatrix<double> const& m, std::uint64_t n) {
        return normal_matrix<Scalar>(m.rows(), m.cols(), seed(40 + 4 * direction + n));
      };
      auto const dW = draw(d.W, 0), dh = draw(d.h, 1), db = draw(d.b, 2), dZ = draw(d.Z, 3);
      auto dU = zeros(backend, d.k, d.N);
      unrolled_prox_jvp(backend, d.structure, A{}, unrolled.W, unrolled.h, unrolled.b, unrolled.Z, T,
                        to_device(backend, dW), to_device(backend, dh), to_device(backend, db),
                        to_device(backend, dZ), dU);
      double const terms[] = {inner(bar.W, dW), inner(bar.h, dh), inner(bar.b, db), inner(bar.Z, dZ)};
      double const lhs = inner(to_host(backend, dU), rounded<Scalar>(d.U_bar));
      double size = 0;
      for (double term : terms) size += std::abs(term);
      if (T > 0) REQUIRE(std::abs(lhs) > 0);
      CHECK(std::abs(lhs - (terms[0] + terms[1] + terms[2] + terms[3])) <=
            static_cast<double>(tolerance<Scalar>(d.k * T + d.N, size + 1)));
    }
  }
}

TEST_CASE_TEMPLATE("(A1) the pullback is the derivative: central differences where no kink is crossed", Model,
                   DOUBLES) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  B backend;
  for (Index T : {1, 2, 4}) {
    Data const d(1, 8, 5, T, 50);
    Unrolled<B, A> const at(backend, d);
    auto const bar = at.pullback(true);
    auto const margins = to_host(backend, kink_margin(backend, d.structure, A{}, at.W, at.h, at.b, at.Z, T));
    double const step = std::cbrt(std::numeric_limits<double>::epsilon());
    for (double margin : {margins(0, 0), margins(0, 1), margins(0, 4)}) REQUIRE(margin > 20 * step);
    for (std::uint64_t direction = 0; direction < 3; ++direction) {
      auto const draw = [&](HostMatrix<double> const& m, std::uint64_t n) {
        return normal_matrix<double>(m.rows(), m.cols(), seed(60 + 4 * direction + n));
      };
      auto const dW = draw(d.W, 0), dh = draw(d.h, 1), db = draw(d.b, 2), dZ = draw(d.Z, 3);
      auto const moved = [&](double s) {
        Data e = d;
        auto const plus = [s](double x, double dx) { return x + s * dx; };
        e.W = mapped(plus, d.W, dW), e.h = mapped(plus, d.h, dh), e.b = mapped(plus, d.b, db);
        e.Z = mapped(plus, d.Z, dZ);
        return Unrolled<B, A>(backend, e).forward();
      };
      auto const ahead = moved(step), behind = moved(-step), here = at.forward();
      auto const sign = [](double u) { return (u > 0) - (u < 0); };
      REQUIRE(mapped([&](double u, double v) { return double(sign(u) == sign(v)); }, ahead, here) ==
              HostMatrix<double>(d.k, d.N, 1));
      REQUIRE(mapped([&](double u, double v) { return double(sign(u) == sign(v)); }, behind, here) ==
              HostMatrix<double>(d.k, d.N, 1));
      double const measured = (inner(ahead, d.U_bar) - inner(behind, d.U_bar)) / (2 * step);
      double const claimed = inner(bar.W, dW) + inner(bar.h, dh) + inner(bar.b, db) + inner(bar.Z, dZ);
      double const scale =
          std::abs(claimed) + norm(d.U_bar) * std::pow(norm(dZ) + norm(dW), 2);  // third derivatives
      CHECK(std::abs(measured - claimed) <= 10 * step * step * scale);
    }
  }
}

TEST_CASE("(A1) in float the gradients are those of double, but for rounding") {
  Cpu<float> single;
  archetype::Loops<double> twice;
  Data const d(1, 24, 50, 4, 70);
  auto const margins =
      to_host(twice, kink_margin(twice, d.structure, NonnegativeShrinkage{}, to_device(twice, d.W),
                                 to_device(twice, d.h), to_device(twice, d.b), to_device(twice, d.Z), 4));
  auto const f = Unrolled<Cpu<float>, NonnegativeShrinkage>(single, d).pullback(true);
  auto const g = Unrolled<archetype::Loops<double>, NonnegativeShrinkage>(twice, d).pullback(true);
  Index compared = 0;
  for (Index j = 0; j < d.N; ++j) {
    if (!(margins(0, j) > tolerance<float>(d.k * 4, 3))) continue;  // a mask may have flipped
    ++compared;
    for (Index i = 0; i < d.k; ++i)
      CHECK(std::abs(static_cast<double>(f.Z(i, j)) - g.Z(i, j)) <=
            static_cast<double>(tolerance<float>(d.k * 4, 3)));
  }
  CHECK(compared > d.N / 2);
}

TEST_CASE_TEMPLATE(
    "(A1) cotangents of parameters are added, that of Z is assigned; T = 0 and N = 0 add nothing", Model,
    MODELS) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  using Scalar = typename B::Scalar;
  B backend;
  for (Index T : {0, 1, 3})
    for (Index N : {0, 1, 40}) {
      Data const d(1, 7, N, T, 80);
      Unrolled<B, A> const unrolled(backend, d);
      auto const bar = unrolled.pullback(true), added = unrolled.pullback(true, Scalar(2));
      Scalar const tol = tolerance<Scalar>(7 * (N + 1), 10);
      auto const plus_2 = [](Scalar x) { return x + Scalar(2); };
      CHECK(max_abs_difference(added.W, mapped(plus_2, bar.W)) <= tol);
      CHECK(max_abs_difference(added.h, mapped(plus_2, bar.h)) <= tol);
      CHECK(max_abs_difference(added.b, mapped(plus_2, bar.b)) <= tol);
      CHECK(added.Z == bar.Z);
      if (T == 0 || N == 0) {
        CHECK(max_abs(bar.W) == 0);
        CHECK(max_abs(bar.h) == 0);
        CHECK(max_abs(bar.b) == 0);
        CHECK(max_abs(bar.Z) == 0);
      } else if (N == 40) {
        CHECK(max_abs(bar.W) > 0);
      }
    }
}

TEST_CASE_TEMPLATE("(A1) states that are computed once more give the same bits", Model, MODELS) {
  typename Model::Backend backend;
  for (Index T : {1, 2, 5})
    for (Index N : {1, 300}) {
      Unrolled<typename Model::Backend, typename Model::Activation> const unrolled(backend,
                                                                                   Data(2, 10, N, T, 90));
      CHECK(unrolled.pullback(true) == unrolled.pullback(false));
    }
}

TEST_CASE_TEMPLATE("(A1) the cotangent of Z by itself is that of all", Model, MODELS) {
  using Scalar = typename Model::Backend::Scalar;
  typename Model::Backend backend;
  for (Index T : {0, 1, 2, 5})
    for (Index N : {0, 1, 300}) {
      Unrolled<typename Model::Backend, typename Model::Activation> const unrolled(backend,
                                                                                   Data(2, 10, N, T, 90));
      auto const alone = unrolled.pullback_of_Z(true);
      CHECK(alone == unrolled.pullback_of_Z(false));
      CHECK(max_abs_difference(alone, unrolled.pullback(true).Z) <= tolerance<Scalar>(10 * T, 10));
    }
}

TEST_CASE_TEMPLATE("(A1) the margin is the distance of the pre-activations to the kinks", Model, MODELS) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  using Scalar = typename B::Scalar;
  B backend;
  auto const W = to_device(backend, HostMatrix<Scalar>(1, 1, Scalar(-.5)));
  auto const h = to_device(backend, HostMatrix<Scalar>(1, 1, 1)),
             b = to_device(backend, HostMatrix<Scalar>(1, 1, Scalar(.25)));
  auto const z =
      to_device(backend, host_matrix<Scalar>(1, 3, [](Index, Index j) {
                  return j == 0 ? Scalar(1) : j == 1 ? Scalar(-1) : std::numeric_limits<Scalar>::quiet_NaN();
                }));
  // G = 1.5 z; z = 1: pre-activations 1.5, then 1.5 - .5 (1.25) = .875; z = -1: -1.5
  auto const margin = [&](Index T, Index j) {
    return to_host(backend, kink_margin(backend, DenseBlocks{}, A{}, W, h, b, z, T))(0, j);
  };
  CHECK(margin(1, 0) == Scalar(1.25));
  CHECK(margin(2, 0) == Scalar(.625));
  CHECK(margin(1, 1) == (A::two_sided ? Scalar(1.25) : Scalar(1.75)));
  CHECK(std::isnan(margin(2, 2)));
  CHECK(margin(0, 0) == std::numeric_limits<Scalar>::infinity());
}

}  // namespace detrame
