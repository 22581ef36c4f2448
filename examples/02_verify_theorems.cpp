// SPDX-License-Identifier: Apache-2.0
//
// Theorems 3.1 and 4.1 on a dictionary of your own: a text file with one row a line (atoms are columns), or a
// random one.   02_verify_theorems [FILE]
#include <detrame/detrame.hpp>
#include <fstream>
#include <iostream>
#include <sstream>

using namespace detrame;

namespace {

Eigen::MatrixXd read(char const* file) {
  std::ifstream stream(file);
  std::vector<std::vector<double>> rows;
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::vector<double> row;
    for (double value; words >> value;) row.push_back(value);
    if (!words.eof()) throw FormatError(message(file, ": line ", rows.size() + 1, " is not made of numbers"));
    if (!row.empty()) rows.push_back(row);
    if (rows.size() > 1 && !row.empty() && row.size() != rows.front().size())
      throw FormatError(message(file, ": line ", rows.size(), " has ", row.size(), " numbers, the first has ",
                                rows.front().size()));
  }
  if (rows.empty()) throw FormatError(message(file, ": expected a matrix, found nothing"));
  Eigen::MatrixXd D(static_cast<Index>(rows.size()), static_cast<Index>(rows.front().size()));
  for (Index i = 0; i < D.rows(); ++i)
    for (Index j = 0; j < D.cols(); ++j)
      D(i, j) = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
  return D;
}

}  // namespace

int main(int argc, char** argv) try {
  Cpu<double> cpu;
  std::srand(1);
  Eigen::MatrixXd const D = argc > 1 ? read(argv[1]) : Eigen::MatrixXd::Random(20, 30);  // m x k
  Eigen::MatrixXd const X = D * Eigen::MatrixXd::Random(D.cols(), 100).cwiseMax(0);      // m x N
  Synthesis<Cpu<double>> const problem{D, .1, .01, .1, Eigen::MatrixXd::Constant(D.cols(), 1, .05)};
  auto const Q = problem.metric(cpu);
  auto const psi = problem.penalty(cpu);

  // Theorem 3.1: the code is the prox of F x - c in the metric Q = D'D + alpha I.
  auto const [F, c] = transform(cpu, problem);
  Eigen::MatrixXd const Z = (F * X).colwise() - c.col(0);
  auto const code = require_optimal(exact_synthesis(cpu, problem, X));
  auto const prox = require_optimal(exact_prox(cpu, Q, psi, Z));
  std::cout << "Theorem 3.1, largest difference of both sides: " << (code.u - prox.u).cwiseAbs().maxCoeff()
            << '\n';

  // Theorem 4.1: the prox is a fixed point of the tied recursion, whatever its step (here eq. (24)).
  auto const tied = tie(cpu, Q, psi, coordinate_step(cpu, Q));
  Eigen::MatrixXd const G = tied.h.col(0).asDiagonal() * Z + tied.W_tilde * (prox.u - Z);
  Eigen::MatrixXd const next = (G.colwise() - tied.b.col(0)).cwiseMax(0);
  std::cout << "Theorem 4.1, how far the prox is from its update: " << (next - prox.u).cwiseAbs().maxCoeff()
            << '\n';

  double const kappa = contraction(cpu, Q, psi, Jacobi()).kappa;
  std::cout << "eq. (24) has kappa = " << kappa
            << (kappa < 1 ? ": certified\n" : ": no certificate, use Gershgorin()\n");
} catch (std::exception const& e) {
  std::cerr << "02_verify_theorems: " << e.what() << '\n';
  return 1;
}
