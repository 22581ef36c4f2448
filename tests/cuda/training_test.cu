// SPDX-License-Identifier: Apache-2.0
#include "cuda/training_test.hpp"
#include "detrame/backend/cuda/backend.hpp"
#include "detrame/layer/check_pullback.hpp"

namespace detrame {

using namespace detrame::test;

/// A loss is off by what the sums of four steps round: some 2 * 9 * 4 terms a convolution, 30 sites * 16
/// samples a gradient.
template <class Scalar>
double rounding(double loss) {
  return static_cast<double>(tolerance<Scalar>(4 * (2 * 9 * 4 + 30 * 16), loss));
}

/// The losses and parameters of two runs in double.
void check_agree(Steps const& there, Steps const& here) {
  for (std::size_t i = 0; i < here.losses.size(); ++i)
    CHECK(std::abs(there.losses[i] - here.losses[i]) <= rounding<double>(here.losses[i]));
  REQUIRE(there.theta.size() == here.theta.size());
  for (std::size_t i = 0; i < here.theta.size(); ++i)
    CHECK(max_abs_difference(there.theta[i], here.theta[i]) <=
          rounding<double>(std::max(1., max_abs(here.theta[i]))));
}

TEST_CASE("(F3) steps of Algorithm 2 on a device have the losses and parameters of the CPU") {
  Cuda<double> b;
  Steps const there = some_steps(b), here = some_steps_on_cpu();
  REQUIRE(here.losses.back() < here.losses.front());
  check_agree(there, here);
}

TEST_CASE("(F3) so have steps of Nesterov's and of AdamW, clipped or not; the host waits for the norm too") {
  Cuda<double> b;
  Clip const clip{0.05};
  auto const check = [&](auto const& there, auto const& here) {
    REQUIRE_FALSE(here(clip).theta == here(std::nullopt).theta);
    check_agree(there(std::nullopt), here(std::nullopt));
    Steps const clipped = there(clip);
    check_agree(clipped, here(clip));
    for (std::size_t i = 1; i < clipped.calls.size(); ++i)
      CHECK(clipped.calls[i] == DeviceCalls{.allocations = 0, .waits = 2});
  };
  check([&](auto const& c) { return nesterov_steps(b, c); }, nesterov_steps_on_cpu);
  check([&](auto const& c) { return adam_w_steps(b, c); }, adam_w_steps_on_cpu);
}

TEST_CASE(
    "steps of Algorithm 2 in float: the first loss is that of double, and two runs have the same bits") {
  Cuda<float> b, other;
  Steps const first = some_steps(b), second = some_steps(b), third = some_steps(other);
  CHECK(std::abs(first.losses[0] - some_steps_on_cpu().losses[0]) <= rounding<float>(first.losses[0]));
  CHECK(first.losses.back() < first.losses.front());
  CHECK((first.losses == second.losses && first.theta == second.theta));
  CHECK((first.losses == third.losses && first.theta == third.theta));
}

TEST_CASE("from the second step on no device memory is taken, and the host waits for the loss alone") {
  Cuda<float> b;
  Steps const steps = some_steps(b);
  REQUIRE(steps.calls[0].allocations > 0);
  for (std::size_t i = 1; i < steps.calls.size(); ++i)
    CHECK(steps.calls[i] == DeviceCalls{.allocations = 0, .waits = 1});
}

TEST_CASE("the pullback of a network on a device is its gradient, by differences on the device") {
  using B = Cuda<double>;
  using Net =
      Bind<Stack<Convolution<3, 3>, QMetricReLU<Convolutional<3>, Unroll<2>>, GlobalAveragePool, Dense<2>>,
           Shape{2, 3, 4}, B>;
  B b;
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart{.spread = 0.8}, 1);
  auto const checks = check_pullback(b, net, theta, random_matrix(b, 2, 12 * 3, seed(2)));
  REQUIRE(checks.size() == 3 * 8);
  for (auto const& check : checks) {
    CAPTURE(check);
    CHECK(check.agrees());
  }
}

}  // namespace detrame
