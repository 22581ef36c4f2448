// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cuda/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "laws/scaling_laws.hpp"

/// The laws of tests/exact/scaling_test.cpp at a few powers, since an emulated device takes its time.
namespace detrame {

using namespace detrame::test;
using laws::MetricNumbers;
using laws::SynthesisNumbers;

namespace {

template <class Scalar>
std::vector<int> few_powers() {
  return sizeof(Scalar) == sizeof(float) ? std::vector{-44, 27} : std::vector{-250, 33};
}

}  // namespace

TEST_CASE_TEMPLATE("(U4) codes do not depend on the units of D, x, lambda, d", Scalar, float, double) {
  using B = Cuda<Scalar>;
  B b;
  auto const solve = [&](SynthesisNumbers<Scalar> const& q) {
    Synthesis<B> const problem{to_device(b, q.D), q.alpha, Scalar(0), Scalar(0), to_device(b, q.d)};
    ElasticNet<B> const psi(b, to_device(b, q.lambda), to_device(b, q.beta));
    return laws::answer(b, exact_synthesis(b, problem, psi, to_device(b, q.x)));
  };
  laws::scaling_laws(laws::dictionary<Scalar>(2), solve, few_powers<Scalar>());
}

TEST_CASE_TEMPLATE("(U4) nor do codes of images", Scalar, float, double) {
  using B = Cuda<Scalar>;
  B b;
  Window const w{2, 3, 3, 1, 1};
  Index const k = 2, m = 1;
  SynthesisNumbers<Scalar> const p{normal_matrix<Scalar>(w.taps() * m, k, seed(10)),
                                   normal_matrix<Scalar>(m, w.sites(), seed(11)),
                                   HostMatrix<Scalar>(k, 1, Scalar(.05)),
                                   Scalar(.3),
                                   uniform_matrix<Scalar>(k, 1, seed(13), .5, 2),
                                   uniform_matrix<Scalar>(k, 1, seed(14), 0, .1)};
  auto const solve = [&](SynthesisNumbers<Scalar> const& q) {
    ConvolutionalSynthesis<B> const problem{w,         to_device(b, q.D), q.alpha,
                                            Scalar(0), Scalar(0),         to_device(b, q.d)};
    ElasticNet<B> const psi(b, to_device(b, q.lambda), to_device(b, q.beta));
    ExactResult<B> result;
    exact_synthesis(b, problem, psi, to_device(b, q.x), result);
    return laws::answer(b, result);
  };
  laws::scaling_laws(p, solve, few_powers<Scalar>());
}

TEST_CASE_TEMPLATE("(U4) proximity operators do not depend on the units of Q, z, lambda", Scalar, float,
                   double) {
  using B = Cuda<Scalar>;
  B b;
  MetricNumbers<Scalar> const p{
      definite_matrix<Scalar>(8, 30, seed(23)), normal_matrix<Scalar>(8, 2, seed(22)),
      uniform_matrix<Scalar>(8, 1, seed(20), .05, .3), uniform_matrix<Scalar>(8, 1, seed(21), 0, .1)};
  auto const solve = [&](MetricNumbers<Scalar> const& q) {
    NonnegativeElasticNet<B> const psi(b, to_device(b, q.lambda), to_device(b, q.beta));
    return laws::answer(b, exact_prox(b, DenseMetric<B>(b, to_device(b, q.Q)), psi, to_device(b, q.z)));
  };
  laws::scaling_laws(p, solve, few_powers<Scalar>());
}

}  // namespace detrame
