// SPDX-License-Identifier: Apache-2.0
#include <detrame/data/cifar.hpp>
#include <detrame/data/loader.hpp>
#include <detrame/data/normalise.hpp>
#include <detrame/data/svhn.hpp>
#include <detrame/detrame.hpp>
#include <detrame/io/parameters.hpp>

int version_in_b();

/// A sample in a dictionary of two atoms: what instantiates most of the backend.
template <class Scalar>
bool codes_a_sample() {
  using namespace detrame;
  using Matrix = typename Cpu<Scalar>::Matrix;
  Cpu<Scalar> cpu(1);
  Matrix D(2, 2), x(2, 1);
  D << 1, 0, 0, 1;
  x << 4.25, -1;
  Synthesis<Cpu<Scalar>> const problem{D, Scalar(2), Scalar(1), Scalar(.25), Matrix::Zero(2, 1)};
  auto const [F, c] = transform(cpu, problem);
  auto const code = exact_synthesis(cpu, problem, x);
  auto const u = metric_prox(cpu, problem.metric(cpu), problem.penalty(cpu), F * x - c, Jacobi(), Updates{2});
  Scalar const distance = (code.u - u.u).norm();
  return code.u(0, 0) == Scalar(1) && code.u(1, 0) == Scalar(0) &&  // (4.25 - .25) / (1 + 2 + 1)
         distance <= 8 * std::numeric_limits<Scalar>::epsilon();
}

int main() {
  return version_in_b() == DETRAME_VERSION && codes_a_sample<float>() && codes_a_sample<double>() ? 0 : 1;
}
