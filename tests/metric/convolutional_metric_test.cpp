// SPDX-License-Identifier: Apache-2.0
#include "detrame/metric/convolutional_metric.hpp"

#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/convolutional_synthesis.hpp"
#include "detrame/metric/penalty.hpp"
#include "detrame/metric/tie_pullback.hpp"
#include "detrame/operator/norm_estimate.hpp"
#include "laws/archetype.hpp"
#include "metric/naive.hpp"

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
  detail::Symbol symbol(Q, 3, 0, {1, 1}, {1, 1});
  detail::each_frequency(symbol, detail::SymbolGrid(3), [&](auto const& A, Index kg) {
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
  auto const dense = to_host(b, ConstView<B>(detrame::dense(b, Q)));
  auto const diagonal = to_host(b, ConstView<B>(detrame::diagonal(b, Q))),
             sums = to_host(b, ConstView<B>(absolute_row_sums(b, Q)));
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

// ---- where the grid does not decide -----------------------------------------------------------------------

namespace {

/// A channel with the symbol 1 + c cos(omega_x), or, turned, 1 + c cos(omega_x + omega_y).
HostMatrix<double> cosine(double c, bool turned = false) {
  HostMatrix<double> Q(1, 9);
  Q(0, 4) = 1;
  Q(0, turned ? 0 : 3) = Q(0, turned ? 8 : 5) = c / 2;
  return Q;
}

}  // namespace

TEST_CASE_TEMPLATE(
    "(K3) a symbol 1 + c cos omega is definite for every c < 1, and is told from one that is not", B,
    Cpu<double>, Cpu<float>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  ConvolutionalBlocks const shape{4, 4, 3};
  for (bool turned : {false, true})
    for (double c : {.5, .95, .97, .99, .999}) {
      auto const range = spectral_range(b, shape, in_memory_of(b, cosine(c, turned)));
      CHECK(static_cast<double>(range.low) > 0);
      CHECK(static_cast<double>(range.low) <= (1 - c) * (1 + 1e-6) + 1e-7);
      CHECK(static_cast<double>(range.high) >= 1 + c - 1e-6);
      CHECK(static_cast<double>(range.high) <= 1 + 1.041 * c);
      CHECK(static_cast<double>(
                ConvolutionalMetric<B>(b, shape, in_memory_of(b, cosine(c, turned))).lambda_min()) ==
            static_cast<double>(range.low));
      // the other side: - the symbol, below 0
      auto const negative = mapped([](double q) { return -q; }, cosine(c, turned));
      auto const mirrored = spectral_range(b, shape, in_memory_of(b, negative));
      CHECK(mirrored.high == -range.low);
      CHECK(mirrored.low == -range.high);
    }
  check_throws_with<DomainError>([&] { ConvolutionalMetric<B>(b, shape, in_memory_of(b, cosine(1))); },
                                 "ConvolutionalMetric: Q is not definite for images of every size");
  // of two channels, with its lowest eigenvalue -1e-9 half way between two frequencies of the grid, which
  // sees more
  double const turn = std::numbers::pi / 16, c = 1 + 1e-9;
  HostMatrix<double> Q(2, 18);
  auto const at = [&](Index o, Index i, Index dx) -> double& { return Q(o, (3 + dx + 1) * 2 + i); };
  for (Index channel = 0; channel < 2; ++channel) {
    at(channel, channel, 0) = 1;
    at(channel, channel, 1) = at(channel, channel, -1) = -c * std::cos(turn) / 2;
  }
  at(0, 1, 1) = at(1, 0, -1) = -c * std::sin(turn) / 2;
  at(0, 1, -1) = at(1, 0, 1) = c * std::sin(turn) / 2;
  CHECK(spectral_range(b, shape, in_memory_of(b, Q)).lowest_seen > Scalar(.01));
  check_throws_with<DomainError>([&] { ConvolutionalMetric<B>(b, shape, in_memory_of(b, Q)); },
                                 "Q is not shown to be definite for images of every size");
}

TEST_CASE(
    "(K3) what a cell loses is enough: the symbol at its points is within it of the corners' interpolation") {
  HostMatrix<double> const W = normal_matrix<double>(2, 50, seed(40));
  detail::Symbol symbol(W, 5, 0, {1, 2}, {.5, 1});
  double const turn = 2 * std::numbers::pi;
  double largest = 0;
  for (std::uint64_t n = 0; n < 200; ++n) {
    auto const place = uniform_matrix<double>(6, 1, seed(50 + n));
    double const y = place(0, 0), x = place(1, 0), height = .1 * place(2, 0), width = .1 * place(3, 0),
                 t = place(4, 0), s = place(5, 0);
    detail::Symbol::Entries sum(4);
    auto const add = [&](double share, double at_y, double at_x) {
      auto const& A = symbol.at(at_y, at_x);
      for (std::size_t i = 0; i < 4; ++i) sum[i] += share * A[i];
    };
    add((1 - t) * (1 - s), y, x), add(t * (1 - s), y + height, x), add((1 - t) * s, y, x + width);
    add(t * s, y + height, x + width), add(-1, y + t * height, x + s * width);
    double square = 0;
    for (auto const& entry : sum) square += std::norm(entry);
    double const loss =
        turn * turn * (height * height * symbol.curvature_y + width * width * symbol.curvature_x) / 8;
    CHECK(std::sqrt(square / 2) <= loss + symbol.rounding());  // the spectral norm is at least that
    largest = std::max(largest, std::sqrt(square) / loss);
  }
  CHECK(largest > .1);
}

TEST_CASE(
    "a Cholesky factor shows what is definite, and nothing else; norms come from above, unscaled by range") {
  Cpu<double> b;
  auto const shown = [](HostMatrix<double> const& A, double rounding) {
    std::vector<double> H(static_cast<std::size_t>(A.rows() * A.cols()));
    for (Index j = 0; j < A.cols(); ++j)
      for (Index i = 0; i < A.rows(); ++i) H[static_cast<std::size_t>(i + j * A.rows())] = A(i, j);
    return detail::shown_definite(H, A.rows(), rounding);
  };
  auto const Q = definite_matrix<double>(9, 1e6, seed(60));  // lambda_min = 1e-6
  CHECK(shown(Q, 0));
  CHECK(shown(Q, .9e-6));
  CHECK_FALSE(shown(Q, 1.1e-6));
  CHECK_FALSE(shown(HostMatrix<double>(3, 3, 1.), 0));  // singular
  CHECK_FALSE(shown(HostMatrix<double>(2, 2, std::numeric_limits<double>::quiet_NaN()), 0));
  // [[1, i], [-i, 1 + t]] is definite for t > 0 alone
  for (double t : {-1e-9, 1e-9}) {
    std::vector<std::complex<double>> H{{1, 0}, {0, -1}, {0, 1}, {1 + t, 0}};
    CHECK(detail::shown_definite(H, 2, 0) == (t > 0));
  }
  for (double scale : {1., 1e-300, 1e300}) {
    auto const A = mapped([=](double a) { return scale * a; }, normal_matrix<double>(4, 7, seed(61)));
    auto const unit = mapped([=](double a) { return a / scale; }, A);
    double const exact =
        std::sqrt(symmetric_eigenvalues(b, to_device(b, product(unit, transposed(unit)))).back());
    double const bound = detail::norm_from_above(b, A) / scale;
    CHECK(bound >= exact * (1 - 1e-15));
    CHECK(bound <= exact * (1 + 1e-13));
  }
}

// ---- the adjoint of tie -----------------------------------------------------------------------------------

TEST_CASE_TEMPLATE(
    "(M6) (K2) tie_pullback of a kernel is the adjoint of tie, and of the steps, in symmetric directions", B,
    Cpu<double>, archetype::Loops<double>) {
  B b;
  using Q_type = ConvolutionalMetric<B>;
  ConvolutionalBlocks const shape{4, 5, 3, 2};
  Index const k = 4;
  auto W = mapped([](double w) { return w / 12; }, random_kernel<double>(shape, k, 70));
  for (Index c = 0; c < k; ++c) W(c % 2, (c / 2 * 9 + 4) * 2 + c % 2) += 2 + .5 * static_cast<double>(c);
  Q_type const Q(b, shape, to_device(b, symmetric_part(shape, W)));
  ElasticNet<B> const psi(b, to_device(b, uniform_matrix<double>(k, 1, seed(71), .1, 1)),
                          to_device(b, uniform_matrix<double>(k, 1, seed(72), .1, 1)));
  Step<B> const step{.75, to_device(b, uniform_matrix<double>(k, 1, seed(73), .5, 2))};
  Recurrence<B, ConvolutionalBlocks> const bar{shape, random_matrix(b, 2, 36, seed(74)),
                                               random_matrix(b, k, 1, seed(75)),
                                               random_matrix(b, k, 1, seed(76))};
  auto const inner_with_bar = [&](auto const& r) {
    return inner(to_host(b, r.W_tilde), to_host(b, bar.W_tilde)) + inner(to_host(b, r.h), to_host(b, bar.h)) +
           inner(to_host(b, r.b), to_host(b, bar.b));
  };
  auto const cotangent = tie_pullback(b, Q, psi, step, bar);
  auto const Q_bar = to_host(b, cotangent.Q_bar);
  CHECK(symmetric_part(shape, Q_bar) == Q_bar);
  for (std::uint64_t n = 0; n < 3; ++n) {
    auto const dQ = mapped([](double q) { return q / 8; },
                           symmetric_part(shape, random_kernel<double>(shape, k, 80 + n)));
    auto const dlambda = normal_matrix<double>(k, 1, seed(90 + n)),
               dbeta = normal_matrix<double>(k, 1, seed(93 + n)),
               dTheta = normal_matrix<double>(k, 1, seed(96 + n));
    double const dgamma = n == 0 ? 1 : -.5;
    auto const moved = [&](double t, ConstView<B> x, HostMatrix<double> const& dx) {
      return to_device(b, naive::moved(to_host(b, x), t, dx));
    };
    auto const derivative = naive::central_difference([&](double t) {
      return inner_with_bar(
          tie(b, Q_type(b, shape, moved(t, Q.weights(), dQ)),
              ElasticNet<B>(b, moved(t, psi.lambda(), dlambda), moved(t, psi.beta(), dbeta)),
              Step<B>{step.gamma + t * dgamma, moved(t, step.Theta, dTheta)}));
    });
    double const adjoint = inner(Q_bar, dQ) + inner(to_host(b, cotangent.lambda_bar), dlambda) +
                           inner(to_host(b, cotangent.beta_bar), dbeta) +
                           inner(to_host(b, cotangent.Theta_bar), dTheta) + cotangent.gamma_bar * dgamma;
    CHECK(std::abs(adjoint - derivative.value) <= derivative.error);
    auto const along_Q = [&](auto make_step) {
      return naive::central_difference([&](double t) {
        Q_type const Q_t(b, shape, moved(t, Q.weights(), dQ));
        return inner_with_bar(tie(b, Q_t, psi, make_step(Q_t)));
      });
    };
    auto const coordinate = along_Q([&](auto const& Q_t) { return coordinate_step(b, Q_t); });
    auto by_diagonal = tie_pullback(b, Q, psi, coordinate_step(b, Q), bar);
    coordinate_step_pullback<B>(b, shape, by_diagonal.Theta_bar, by_diagonal.Q_bar);
    CHECK(std::abs(inner(to_host(b, by_diagonal.Q_bar), dQ) - coordinate.value) <= coordinate.error);
    auto const gershgorin = along_Q([&](auto const& Q_t) { return gershgorin_step(b, Q_t); });
    auto by_row_sums = tie_pullback(b, Q, psi, gershgorin_step(b, Q), bar);
    gershgorin_step_pullback<B>(b, shape, Q.weights(), by_row_sums.Theta_bar, by_row_sums.Q_bar);
    CHECK(std::abs(inner(to_host(b, by_row_sums.Q_bar), dQ) - gershgorin.value) <= gershgorin.error);
  }
  // the adjoint of kernels is that of the matrices that they stand for, summed over the places of each weight
  auto const whole = symmetric_part(b, to_device(b, shape.dense(b, bar.W_tilde)));
  CHECK(to_host(b, whole) == shape.dense(b, to_device(b, symmetric_part(shape, to_host(b, bar.W_tilde)))));
}

// ---- sizes ------------------------------------------------------------------------------------------------

TEST_CASE("sizes whose products cannot be counted are refused") {
  Cpu<double> b;
  Index const huge = Index{1} << 62;
  check_throws_with<DomainError>(
      [&] { ConvolutionalMetric<Cpu<double>>(b, ConvolutionalBlocks{4, 4, 3, huge}, zeros(b, 4, 36)); },
      "ConvolutionalMetric: 4611686018427387904 groups of 4 channels are more than can be counted");
  check_throws_with<DomainError>(
      [&] { ConvolutionalBlocks{4, 4, (Index{1} << 32) + 1}.check("check", 4); },
      "check: 4 channels, a kernel of 4294967297 and images of 4 x 4 pixels have more "
      "entries than can be counted");
  check_throws_with<DomainError>([&] { ConvolutionalBlocks{huge, 8, 3}.check("check", 1); },
                                 "more entries than can be counted");
  check_throws_with<DomainError>(
      [&] { ConvolutionalBlocks{Index{1} << 40, 1, 3}.check("check", Index{1} << 30); },
      "more entries than can be counted");
  ConvolutionalBlocks{Index{1} << 31, Index{1} << 31, 3}.check("check", 1);
  ConvolutionalSynthesis<Cpu<double>> const hostile{
      {8, 8, huge, 1, huge - 1}, zeros(b, 4, 2), .5, 0, .1, zeros(b, 2, 1)};
  check_throws_with<DomainError>(
      [&] { hostile.check("check"); },
      "check: a window has a size of 4611686018427387904, must be at most 1073741824");
}

}  // namespace detrame
