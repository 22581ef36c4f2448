// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_margin.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "laws/archetype.hpp"
#include "laws/scaling_laws.hpp"

namespace detrame {

using namespace detrame::test;
using laws::MetricNumbers;
using laws::SynthesisNumbers;

#define BACKENDS Cpu<double>, Cpu<float>, archetype::Loops<double>

TEST_CASE_TEMPLATE("(M1) (U4) an enormous d_i does not hide what a small x owes elsewhere", Scalar, float,
                   double) {
  using B = Cpu<Scalar>;
  B b(1);
  Matrix<B> d = Matrix<B>::Zero(2, 1);
  d(1, 0) = std::ldexp(Scalar(1), std::numeric_limits<Scalar>::max_exponent - 5);  // holds u_1 at 0
  for (int power : {0, -30, -60, -100}) {
    CAPTURE(power);
    Scalar const x = std::ldexp(Scalar(1), power);
    Synthesis<B> const s{Matrix<B>::Identity(2, 2), Scalar(.5), Scalar(0), Scalar(0), d};
    auto const result = exact_synthesis(b, s, Matrix<B>::Constant(2, 1, x));
    CHECK(result.status == ExactStatus::optimal);
    CHECK(std::abs(result.u(0, 0) - x / Scalar(1.5)) <= 8 * std::numeric_limits<Scalar>::epsilon() * x);
    CHECK(result.u(1, 0) == 0);
  }
}

TEST_CASE_TEMPLATE("(U4) codes do not depend on the units of D, x, lambda, d", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const solve = [&](auto psi_of) {
    laws::scaling_laws(laws::dictionary<Scalar>(11), [&](SynthesisNumbers<Scalar> const& q) {
      Synthesis<B> const problem{to_device(b, q.D), q.alpha, Scalar(0), Scalar(0), to_device(b, q.d)};
      return laws::answer(b, exact_synthesis(b, problem, psi_of(q), to_device(b, q.x)));
    });
  };
  solve([&](auto const& q) {
    return NonnegativeElasticNet<B>(b, to_device(b, q.lambda), to_device(b, q.beta));
  });
  solve([&](auto const& q) { return ElasticNet<B>(b, to_device(b, q.lambda), to_device(b, q.beta)); });
}

TEST_CASE_TEMPLATE("(U4) nor do codes of images", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Window const w{4, 5, 3, 2, 1};
  Index const k = 3, m = 2;
  auto const small = [](double v) { return .1 * v; };
  SynthesisNumbers<Scalar> const p{normal_matrix<Scalar>(w.taps() * m, k, seed(10)),
                                   normal_matrix<Scalar>(m, 2 * w.sites(), seed(11)),
                                   rounded<Scalar>(mapped(small, normal_matrix<double>(k, 1, seed(12)))),
                                   Scalar(.3),
                                   uniform_matrix<Scalar>(k, 1, seed(13), .5, 2),
                                   uniform_matrix<Scalar>(k, 1, seed(14), 0, .1)};
  laws::scaling_laws(p, [&](SynthesisNumbers<Scalar> const& q) {
    ConvolutionalSynthesis<B> const problem{w,         to_device(b, q.D), q.alpha,
                                            Scalar(0), Scalar(0),         to_device(b, q.d)};
    ElasticNet<B> const psi(b, to_device(b, q.lambda), to_device(b, q.beta));
    ExactResult<B> result;
    exact_synthesis(b, problem, psi, to_device(b, q.x), result);
    return laws::answer(b, result);
  });
}

TEST_CASE_TEMPLATE("(U4) proximity operators do not depend on the units of Q, z, lambda", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const lambda = uniform_matrix<Scalar>(8, 1, seed(20), .05, .3),
             beta = uniform_matrix<Scalar>(8, 1, seed(21), 0, .1);
  auto const z = normal_matrix<Scalar>(8, 9, seed(22));
  auto const Q = definite_matrix<Scalar>(8, 30, seed(23));
  auto const run = [&](auto const& p, auto psi_of, auto metric) {
    laws::scaling_laws(p, [&](MetricNumbers<Scalar> const& q) {
      return laws::answer(b, exact_prox(b, metric(to_device(b, q.Q)), psi_of(q), to_device(b, q.z)));
    });
  };
  auto const nonnegative = [&](auto const& q) {
    return NonnegativeElasticNet<B>(b, to_device(b, q.lambda), to_device(b, q.beta));
  };
  auto const either_sign = [&](auto const& q) {
    return ElasticNet<B>(b, to_device(b, q.lambda), to_device(b, q.beta));
  };
  auto const dense = [&](Matrix<B> weights) { return DenseMetric<B>(b, std::move(weights)); };
  run(MetricNumbers<Scalar>{Q, z, lambda, beta}, nonnegative, dense);
  run(MetricNumbers<Scalar>{Q, z, lambda, beta}, either_sign, dense);
  auto const Q1 = definite_matrix<Scalar>(4, 10, seed(24)), Q2 = definite_matrix<Scalar>(4, 10, seed(25));
  auto const blocks =
      host_matrix<Scalar>(4, 8, [&](Index i, Index j) { return j < 4 ? Q1(i, j) : Q2(i, j - 4); });
  run(MetricNumbers<Scalar>{blocks, z, lambda, beta}, nonnegative,
      [&](Matrix<B> weights) { return BlockDiagonalMetric<B>(b, std::move(weights)); });

  ConvolutionalBlocks const shape{3, 4, 3, 1};
  auto kernel = symmetric_part(
      shape, mapped([](Scalar w) { return Scalar(.05) * w; }, normal_matrix<Scalar>(2, 18, seed(26))));
  for (Index c = 0; c < 2; ++c) kernel(c, 8 + c) += 1;
  MetricNumbers<Scalar> const images{kernel, normal_matrix<Scalar>(2, 24, seed(27)),
                                     uniform_matrix<Scalar>(2, 1, seed(28), .05, .3),
                                     uniform_matrix<Scalar>(2, 1, seed(29), 0, .1)};
  run(images, either_sign,
      [&](Matrix<B> weights) { return ConvolutionalMetric<B>(b, shape, std::move(weights)); });
}

}  // namespace detrame
