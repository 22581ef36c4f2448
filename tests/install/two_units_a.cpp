// SPDX-License-Identifier: Apache-2.0
#include <detrame/data/cifar.hpp>
#include <detrame/data/loader.hpp>
#include <detrame/data/normalise.hpp>
#include <detrame/data/svhn.hpp>
#include <detrame/detrame.hpp>
#include <detrame/io/parameters.hpp>

int version_in_b();

/// A sample in a dictionary of two atoms: what instantiates most of the backend.
bool codes_a_sample() {
  using namespace detrame;
  Cpu<float> cpu(1);
  Eigen::MatrixXf D(2, 2), x(2, 1);
  D << 1, 0, 0, 1;
  x << 4.25, -1;
  Synthesis<Cpu<float>> const problem{D, 2, 1, .25, Eigen::MatrixXf::Zero(2, 1)};
  auto const [F, c] = transform(cpu, problem);
  auto const code = exact_synthesis(cpu, problem, x);
  auto const u = metric_prox(cpu, problem.metric(cpu), problem.penalty(cpu), F * x - c, Jacobi(), Updates{2});
  float const distance = (code.u - u.u).norm();
  return code.u(0, 0) == 1 && code.u(1, 0) == 0 &&  // (4.25 - .25) / (1 + 2 + 1)
         distance <= 8 * std::numeric_limits<float>::epsilon();
}

int main() { return version_in_b() == DETRAME_VERSION && codes_a_sample() ? 0 : 1; }
