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
  x << 2, -1;
  Synthesis<Cpu<Scalar>> const problem{D, Scalar(.5), Scalar(.25), Scalar(.25), Matrix::Zero(2, 1)};
  auto const code = require_optimal(exact_synthesis(cpu, problem, x));
  return code.u(0, 0) == Scalar(1) && code.u(1, 0) == Scalar(0);  // (2 - .25) / (1 + .5 + .25)
}

int main() {
  return version_in_b() == DETRAME_VERSION && codes_a_sample<float>() && codes_a_sample<double>() ? 0 : 1;
}
