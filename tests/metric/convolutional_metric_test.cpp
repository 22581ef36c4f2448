// SPDX-License-Identifier: Apache-2.0
#include "detrame/metric/convolutional_metric.hpp"

#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/operator/norm_estimate.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

template <class Scalar>
HostMatrix<Scalar> random_kernel(ConvolutionalBlocks const& shape, Index k, std::uint64_t n) {
  return normal_matrix<Scalar>(shape.weight_rows(k), shape.weight_cols(k), seed(n));
}

/// The eigenvalues of the Toeplitz matrix of an image of this size.
SpectralRange<double> section_range(Cpu<double>& cpu, ConvolutionalBlocks const& shape,
                                    HostMatrix<double> const& Q) {
  auto const dense = to_device(cpu, shape.dense(cpu, to_device(cpu, Q)));
  auto const values = symmetric_eigenvalues(cpu, dense);
  return {values.front(), values.back()};
}

}  // namespace

TEST_CASE("(K2) the symmetric part makes a symmetric matrix, the nearest one, and is idempotent") {
  Cpu<double> cpu;
  ConvolutionalBlocks const shape{4, 3, 3, 2};
  auto const W = random_kernel<double>(shape, 4, 1), Q = symmetric_part(shape, W);
  auto const dense = shape.dense(cpu, to_device(cpu, Q));
  CHECK(dense == transposed(dense));
  CHECK(symmetric_part(shape, Q) == Q);
  // orthogonal: <W - Q, symmetric> = 0
  auto const rest = mapped([](double w, double q) { return w - q; }, W, Q);
  auto const other = symmetric_part(shape, random_kernel<double>(shape, 4, 2));
  CHECK(std::abs(inner(rest, other)) <= tolerance<double>(72, norm(rest) * norm(other)));
  CHECK(norm(rest) > .1);
}

TEST_CASE("(K3) the symbol's range holds the eigenvalues of every section, and is not much wider") {
  Cpu<double> cpu;
  for (Index kernel : {1, 3, 5}) {
    ConvolutionalBlocks const shape{1, 1, kernel};
    auto const Q = symmetric_part(shape, random_kernel<double>(shape, 2, static_cast<std::uint64_t>(kernel)));
    auto const range = spectral_range(cpu, shape, to_device(cpu, Q));
    SpectralRange<double> section{};
    for (Index size : {1, 2, 5, 9}) {
      section = section_range(cpu, {size, size + 1, kernel}, Q);
      CHECK(range.low <= section.low + 1e-12);
      CHECK(section.high <= range.high + 1e-12);
    }
    CHECK(range.high - range.low <= (kernel == 1 ? 1.0001 : 1.4) * (section.high - section.low));
  }
}

TEST_CASE("(K3) a grid alone misses the extremes of a symbol; the inflated value does not") {
  Cpu<double> cpu;
  // An eigenvalue cos(omega) cos(turn) + |sin(omega)| sin(turn) of two channels, largest at omega = turn:
  // half way between two frequencies of the grid.
  ConvolutionalBlocks const shape{1, 64, 3};
  double const turn = std::numbers::pi / 16;
  HostMatrix<double> Q(2, 18);
  auto const at = [&](Index o, Index i, Index dx) -> double& { return Q(o, (3 + dx + 1) * 2 + i); };
  for (Index c = 0; c < 2; ++c) at(c, c, 1) = at(c, c, -1) = std::cos(turn) / 2;
  at(0, 1, 1) = at(1, 0, -1) = std::sin(turn) / 2;
  at(0, 1, -1) = at(1, 0, 1) = -std::sin(turn) / 2;
  double grid_high = -10;
  detail::each_symbol(cpu, shape, to_device(cpu, Q), {1, 1}, {1, 1}, [&](auto const& A, Index kg) {
    grid_high = std::max(grid_high, detail::hermitian_range(cpu, A, kg).high);
  });
  CHECK(grid_high == doctest::Approx(std::cos(turn)));
  CHECK(grid_high < section_range(cpu, shape, Q).high);
  CHECK(section_range(cpu, shape, Q).high <= 1);
  CHECK(spectral_range(cpu, shape, to_device(cpu, Q)).high >= 1);
}

TEST_CASE("(K3) norm_bound is above, power iteration below; the norm of the reshaped kernel is no bound") {
  Cpu<double> cpu;
  ConvolutionalBlocks const shape{12, 12, 3};
  auto const W = random_kernel<double>(shape, 3, 7);
  auto const W_b = to_device(cpu, W);
  std::vector<double> const ones(3, 1.);
  double const bound = norm_bound(cpu, shape, W_b, ones, ones),
               estimate = norm_estimate(cpu, shape, W_b, 3, 300);
  CHECK(norm_estimate(cpu, shape, W_b, 3, 3) < estimate);
  CHECK(estimate <= bound);
  CHECK(estimate >= .8 * bound);
  auto const dense = shape.dense(cpu, W_b), square = product(transposed(dense), dense);
  double const exact = std::sqrt(symmetric_eigenvalues(cpu, to_device(cpu, square)).back());
  CHECK(estimate <= exact * (1 + 1e-12));
  CHECK(exact <= bound);
  auto const reshaped_square = product(W, transposed(W));
  double const reshaped_norm = std::sqrt(symmetric_eigenvalues(cpu, to_device(cpu, reshaped_square)).back());
  CHECK(reshaped_norm < .95 * exact);
}

TEST_CASE_TEMPLATE("(M3) (K2) a convolutional metric is the matrix that it stands for", B, Cpu<float>,
                   Cpu<double>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  ConvolutionalBlocks const shape{4, 5, 3, 2};
  Index const k = 4, sites = shape.unit();
  auto W = mapped([](Scalar w) { return w / 12; }, random_kernel<Scalar>(shape, k, 3));
  for (Index c = 0; c < k; ++c) W(c % 2, (c / 2 * 9 + 4) * 2 + c % 2) += Scalar(2) + static_cast<Scalar>(c);
  ConvolutionalMetric<B> const Q(b, shape, to_device(b, symmetric_part(shape, W)));
  CHECK(Q.dim() == k);
  CHECK(Q.lambda_min() > Scalar(0));
  CHECK(Q.lambda_max() > Q.lambda_min());
  auto const dense = to_host(b, ConstView<B>(Q.dense(b)));
  auto const diagonal = to_host(b, ConstView<B>(Q.diagonal(b))),
             sums = to_host(b, ConstView<B>(Q.absolute_row_sums(b)));
  for (Index i = 0; i < k * sites; ++i) {
    CHECK(dense(i, i) == diagonal(i % k, 0));
    double sum = 0;
    for (Index l = 0; l < k * sites; ++l) sum += static_cast<double>(std::abs(dense(i, l)));
    double const bound = static_cast<double>(sums(i % k, 0)) + tolerance<Scalar>(18, 10);
    CHECK(sum <= bound);
    Index const y = i / k / 5, x = i / k % 5;
    if (y == 1 && x == 1) CHECK(sum >= bound - 2 * tolerance<Scalar>(18, 10));  // an inner site reaches it
  }
  auto const V = normal_matrix<Scalar>(k, 2 * sites, seed(9));
  auto const V_b = to_device(b, V);
  auto QV = zeros(b, k, 2 * sites);
  Q.apply(b.lane(), ConstView<B>(V_b), View<B>(QV));
  CHECK(max_abs_difference(reshaped(to_host(b, ConstView<B>(QV)), k * sites, 2),
                           product(dense, reshaped(V, k * sites, 2))) <= tolerance<Scalar>(18, 40));
}

TEST_CASE("a convolutional metric refuses what is none") {
  Cpu<double> cpu;
  ConvolutionalBlocks const shape{4, 4, 3};
  auto const metric = [&](HostMatrix<double> const& Q) {
    ConvolutionalMetric<Cpu<double>>(cpu, shape, to_device(cpu, Q));
  };
  HostMatrix<double> Q(2, 18);
  check_throws_with<DomainError>([&] { metric(Q); },
                                 "ConvolutionalMetric: Q is not definite for images of every size");
  Q(0, 8) = Q(1, 9) = 1;
  metric(Q);
  Q(0, 1) = .1;
  check_throws_with<DomainError>([&] { metric(Q); },
                                 "ConvolutionalMetric: Q is not symmetric: its entry (0, 1) is 0.1");
  Q(1, 16) = .1;
  metric(Q);
  Q(0, 0) = std::numeric_limits<double>::infinity();
  check_throws_with<DomainError>([&] { metric(Q); },
                                 "ConvolutionalMetric: Q has an entry inf, must be finite");
  check_throws_with<ShapeError>(
      [&] { metric(HostMatrix<double>(2, 2)); },
      "ConvolutionalMetric: Q is 2 x 2, with 1 groups of 2 channels and a kernel of 3 it must be 2 x 18");
}

}  // namespace detrame
