// SPDX-License-Identifier: Apache-2.0
//
// The prox of an elastic net in a metric Q: by a recursion, with what is known of its error, and exactly.
#include <detrame/detrame.hpp>
#include <iostream>

using namespace detrame;

int main() {
  Cpu<double> cpu;
  Eigen::MatrixXd Q(3, 3), z(3, 2);  // k x k, k x N: two problems, one a column
  Q << 1.0, 0.9, 0.9,                //
      0.9, 1.0, 0.9,                 //
      0.9, 0.9, 1.0;
  z << 1.0, 0.5,  //
      1.0, -0.5,  //
      1.0, 2.0;
  DenseMetric const metric(cpu, Q);
  NonnegativeElasticNet<Cpu<double>> const psi(cpu, 3, 0.1, 0.01);  // lambda |u|_1 + beta/2 |u|^2, u >= 0

  auto const exact = require_optimal(exact_prox(cpu, metric, psi, z));
  std::cout << "The exact prox, KKT residual " << (exact.largest_residual < 1e-14 ? "below" : "above")
            << " 1e-14:\n"
            << exact.u << "\n\n";

  // Updating all rows at once with the paper's weights: kappa >= 1, no bound, and it does not converge here.
  auto const paper = metric_prox(cpu, metric, psi, z, Jacobi(), Until{.tolerance = 1e-10, .limit = 1000});
  std::cout << "eq. (20) with eq. (24): kappa = " << contraction(cpu, metric, psi, Jacobi()).kappa
            << ", status " << name(paper.status) << '\n';

  // Row sums of |Q| in place of its diagonal: kappa < 1, and the number of updates is known before the run.
  auto const steps = steps_for(cpu, metric, psi, z, Gershgorin(), 1e-6);
  auto const safe = metric_prox(cpu, metric, psi, z, Gershgorin(), Until{.tolerance = 1e-10, .limit = 10000});
  std::cout << "Gershgorin: kappa = " << contraction(cpu, metric, psi, Gershgorin()).kappa << ", status "
            << name(safe.status) << '\n';
  std::cout << "  enough for 1e-6 in any case: " << steps.value()
            << " updates; used for 1e-10: " << safe.iterations << '\n';
  double const error = (safe.u - exact.u).colwise().norm().maxCoeff();
  std::cout << "  error " << (error <= safe.bound ? "within" : "BEYOND")
            << " the bound that needs no kappa\n";
  return error <= safe.bound ? 0 : 1;
}
