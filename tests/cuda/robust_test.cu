// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/backend/cuda/backend.hpp"
#include "detrame/robust/apgd.hpp"
#include "detrame/robust/pgd.hpp"
#include "detrame/robust/pixel_scores.hpp"
#include "detrame/robust/universal_perturbation.hpp"
#include "robust/linear_scores.hpp"

/// Attacks of a linear map on a device are those on the CPU, up to rounding.
namespace detrame {

namespace {

/// What all attacks make of a few images, on the host.
template <Backend B>
std::vector<HostMatrix<double>> attacked(B& b) {
  test::LinearProblem const p(6);
  test::LinearScores linear(b, p.shape, p.W, p.c);
  PixelScores map(linear, {.1, .2, .3}, {.5, 1, 2});
  auto const x = p.images(b);
  auto const labels = predicted_labels(map, x);
  std::vector<HostMatrix<double>> all;
  auto const add = [&](auto const& m) { all.push_back(test::rounded<double>(m)); };
  for (AttackNorm const norm : {AttackNorm::l2, AttackNorm::l_inf}) {
    AttackRegion const region{norm, norm == AttackNorm::l2 ? .4 : .1};
    add(deep_fool(map, x, {.norm = norm, .classes = 5}).v);
    add(fgsm(map, x, labels, region).x);
    add(pgd(map, x, labels, {.region = region, .step = .03, .steps = 4, .random_start = true}).x);
    add(apgd(map, x, labels, {.region = region, .steps = 4, .loss = AttackLoss::dlr}).x);
    UniversalState<typename B::Scalar> state;
    UniversalOptions const options{
        .norm = norm, .xi = region.epsilon, .passes = 1, .inner = {.classes = 5, .steps = 4}};
    universal_perturbation(map, x, options, state);
    add(state.v);
  }
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("attacks on a device are those on the CPU", Scalar, float, double) {
  Cuda<Scalar> device;
  Cpu<Scalar> cpu;
  auto const there = attacked(device), here = attacked(cpu);
  REQUIRE(there.size() == here.size());
  for (std::size_t i = 0; i < here.size(); ++i) {
    CAPTURE(i);
    CHECK(test::max_abs(here[i]) > 0);
    CHECK(test::max_abs_difference(there[i], here[i]) <= double(test::tolerance<Scalar>(200, 1)));
  }
}

}  // namespace detrame
