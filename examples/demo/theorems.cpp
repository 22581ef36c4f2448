// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "demo.hpp"
#include "detrame/detrame.hpp"

namespace demo {

using namespace detrame;

namespace {

using B = Cpu<double>;
using Matrix = B::Matrix;

Synthesis<B> problem(B& cpu, HostMatrix<double> const& D, double alpha) {
  return {to_device(cpu, D), alpha, 0.01, 0.1, zeros(cpu, D.cols(), 1)};
}

/// The right-hand side of Theorem 4.1 at u: row i solved with the others as they are.
Matrix coordinate_map(Matrix const& Q, Matrix const& Z, Matrix const& U, double lambda, double beta) {
  Matrix const QV = Q * (U - Z);  // k x N
  Matrix V = U;
  for (Index j = 0; j < U.cols(); ++j)
    for (Index i = 0; i < U.rows(); ++i) {
      double const others = QV(i, j) - Q(i, i) * (U(i, j) - Z(i, j));
      V(i, j) = std::max(0., (Q(i, i) * Z(i, j) - others - lambda) / (Q(i, i) + beta));
    }
  return V;
}

void check_one(B& cpu, Digits const& digits, Index k, double alpha) {
  auto const [D, X_host] = digit_dictionary(digits, k);
  Synthesis<B> const synthesis = problem(cpu, D, alpha);
  Matrix const X = to_device(cpu, X_host);
  auto const Q = synthesis.metric(cpu);
  auto const psi = synthesis.penalty(cpu);
  auto const [W, c] = transform(cpu, synthesis);
  Matrix const Z = (W * X).colwise() - c.col(0);  // k x N

  auto const code = require_optimal(exact_synthesis(cpu, synthesis, X));
  auto const prox = require_optimal(exact_prox(cpu, Q, psi, Z));
  Matrix const fixed = coordinate_map(dense(cpu, Q), Z, prox.u, synthesis.lambda, synthesis.beta);
  double const active = (code.u.array() > 0).cast<double>().mean();

  std::printf("  %3td atoms, alpha %-5g %5.1f %% active  3.1: %.1e   4.1: %.1e   KKT %.1e\n", k, alpha,
              100 * active, (code.u - prox.u).cwiseAbs().maxCoeff(), (fixed - prox.u).cwiseAbs().maxCoeff(),
              std::max(code.largest_residual, prox.largest_residual));

  auto const paper = metric_prox(cpu, Q, psi, Z, Jacobi(), Until{.tolerance = 1e-8, .limit = 1000});
  Index stuck = 0;
  for (Status const status : paper.column_status)
    stuck += status == Status::diverged || status == Status::cycling || status == Status::not_finite;
  double const kappa = contraction(cpu, Q, psi, Jacobi()).kappa;
  double const gershgorin = contraction(cpu, Q, psi, Gershgorin()).kappa;
  std::printf(
      "      eq. (20) with eq. (24): kappa = %.3g, %s; %td of %td samples diverge or cycle."
      " Gershgorin: kappa = %.5f\n",
      kappa, kappa < 1 ? "certified" : "refused", stuck, paper.u.cols(), gershgorin);
}

}  // namespace

void check_theorems(Digits const& digits) {
  std::printf(
      "1. The theorems, on dictionaries of digits (atoms of norm 1, 360 samples, beta .01, lambda .1, "
      "double)\n\n"
      "Theorem 3.1: the sparse code argmin_{a>=0} 1/2|x-Da|^2 + lambda|a|_1 + (alpha+beta)/2|a|^2 is the "
      "prox\n"
      "of F x in the metric Q = D'D + alpha I. Both sides are solved by the exact solver, from different "
      "data;\n"
      "the column 3.1 is the largest difference. Theorem 4.1: the prox is the fixed point of solving one row "
      "at\n"
      "a time; the column 4.1 is how far the solution is from that. KKT is the residual of the optimality\n"
      "conditions, a share of the terms that it is summed from, recomputed from the data. The paper then\n"
      "updates all rows at once, eq. (20) with the weights of eq. (24): a contraction where kappa < 1, "
      "refused\n"
      "a certificate otherwise.\n\n");
  B cpu;
  for (Index const k : {32, 64, 96})
    for (double const alpha : {0.01, 1.}) check_one(cpu, digits, k, alpha);
  std::printf(
      "\nDigits resemble one another, so D'D is far from diagonal and eq. (24) does not contract: use "
      "Gershgorin's\n"
      "weights, whose kappa is always below 1, or train the weights (part 3), which needs no "
      "convergence.\n\n");
}

}  // namespace demo
