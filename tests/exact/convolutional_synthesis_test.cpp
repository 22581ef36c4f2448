// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

#define BACKENDS Cpu<double>, archetype::Loops<double>

namespace {

/// A problem on two images, and the same with D written out as a matrix: (m sites) x (k out_sites).
template <Backend B>
struct Problem {
  static constexpr Index m = 2, k = 5, images = 2;

  explicit Problem(Window window)
      : w(window),
        D(normal_matrix<double>(w.taps() * m, k, seed(1))),
        d(mapped([](double t) { return t / 20; }, normal_matrix<double>(k, 1, seed(2)))),
        x(normal_matrix<double>(m, images * w.sites(), seed(3))),
        synthesis{w, to_device(b, D), .3, .1, .4, to_device(b, d)},
        dense{to_device(b, materialised(D)), .3, .1, .4,
              to_device(b, host_matrix<double>(k * w.out_sites(), 1,
                                               [&](Index i, Index) { return d(i % k, 0); }))} {}

  HostMatrix<double> materialised(HostMatrix<double> const& atoms) const {
    HostMatrix<double> all(m * w.sites(), k * w.out_sites());
    for (Index s = 0; s < w.out_sites(); ++s)
      for (Index tap = 0; tap < w.taps(); ++tap) {
        Index const y = s / w.out_width() * w.stride + tap / w.kernel - w.padding;
        Index const x_col = s % w.out_width() * w.stride + tap % w.kernel - w.padding;
        if (y < 0 || y >= w.height || x_col < 0 || x_col >= w.width) continue;
        for (Index c = 0; c < m; ++c)
          for (Index o = 0; o < k; ++o) all((y * w.width + x_col) * m + c, s * k + o) = atoms(tap * m + c, o);
      }
    return all;
  }
  HostMatrix<double> host(Matrix<B> const& v) { return to_host(b, ConstView<B>(v)); }
  HostMatrix<double> columns(HostMatrix<double> const& v) const {
    return reshaped(v, v.rows() * v.cols() / images, images);
  }

  B b;
  Window w;
  HostMatrix<double> D, d, x;
  ConvolutionalSynthesis<B> synthesis;
  Synthesis<B> dense;
};

template <Backend B>
void agrees_with_the_active_set(Window window) {
  Problem<B> p(window);
  auto const code = require_optimal(exact_synthesis(p.b, p.synthesis, to_device(p.b, p.x)));
  auto const dense = require_optimal(exact_synthesis(p.b, p.dense, to_device(p.b, p.columns(p.x))));
  auto const u = p.columns(p.host(code.u)), u_dense = p.host(dense.u);
  Index zeros = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) {
      CHECK((u(i, j) == 0) == (u_dense(i, j) == 0));
      zeros += u(i, j) == 0;
    }
  CHECK((zeros > 0 && zeros < u.rows() * u.cols()));
  CHECK(max_abs_difference(u, u_dense) <= code.bound + dense.bound);
  CHECK(code.bound <= 1e-11);

  auto const u_bar = normal_matrix<double>(p.k, p.images * window.out_sites(), seed(5));
  SynthesisCotangent<B> bar, dense_bar;
  exact_synthesis_pullback(p.b, p.synthesis, to_device(p.b, p.x), code.u, to_device(p.b, u_bar), bar);
  exact_synthesis_pullback(p.b, p.dense, to_device(p.b, p.columns(p.x)),
                           to_device(p.b, p.columns(p.host(code.u))), to_device(p.b, p.columns(u_bar)),
                           dense_bar);
  double const close = tolerance<double>(p.dense.D.rows(), 1000);
  CHECK(max_abs_difference(p.columns(p.host(bar.v)), p.host(dense_bar.v)) <= close);
  CHECK(max_abs_difference(p.columns(p.host(bar.X_bar)), p.host(dense_bar.X_bar)) <= close);
  CHECK(max_abs_difference(p.host(bar.lambda_bar), p.host(dense_bar.lambda_bar)) <= close);
  CHECK(max_abs_difference(p.host(bar.alpha_bar), p.host(dense_bar.alpha_bar)) <= close);
  CHECK(p.host(bar.alpha_bar) == p.host(bar.beta_bar));
  auto const d_bar = p.host(bar.d_bar), d_dense = p.host(dense_bar.d_bar);
  for (Index o = 0; o < p.k; ++o) {
    double sum = 0;
    for (Index s = 0; s < window.out_sites(); ++s) sum += d_dense(o + s * p.k, 0);
    CHECK(std::abs(d_bar(o, 0) - sum) <= close);
  }
  for (std::uint64_t direction = 0; direction < 3; ++direction) {  // <D_bar, dD> is that of the matrices
    auto const dD = normal_matrix<double>(p.D.rows(), p.k, seed(10 + direction));
    CHECK(std::abs(inner(p.host(bar.D_bar), dD) - inner(p.host(dense_bar.D_bar), p.materialised(dD))) <=
          100 * close);
  }
}

}  // namespace

TEST_CASE_TEMPLATE(
    "(M1) (A3) (K4) codes and adjoint of a convolutional dictionary are those of the materialised one", B,
    BACKENDS) {
  SUBCASE("stride 1, padded") { agrees_with_the_active_set<B>({4, 5, 3, 1, 1}); }
  SUBCASE("stride 2, padded") { agrees_with_the_active_set<B>({5, 6, 3, 2, 1}); }
  SUBCASE("stride 3, a kernel of 2, no padding") { agrees_with_the_active_set<B>({5, 8, 2, 3, 0}); }
}

TEST_CASE("(K4) diag(D^T D) varies inside a channel, so no channel has one step of eq. (24)") {
  Problem<Cpu<double>> p({4, 5, 3, 1, 1});
  auto const all = p.materialised(p.D);
  double least = 1e9, most = 0;
  for (Index s = 0; s < p.w.out_sites(); ++s) {
    double square = 0;
    for (Index i = 0; i < all.rows(); ++i) square += all(i, s * p.k) * all(i, s * p.k);
    least = std::min(least, square);
    most = std::max(most, square);
  }
  CHECK(most > 1.2 * least);
}

TEST_CASE("the certificate of a convolutional code tells a wrong one; misfits are refused") {
  Problem<Cpu<double>> p({5, 6, 3, 2, 1});
  auto const early = exact_synthesis(p.b, p.synthesis, to_device(p.b, p.x), {.pivot_limit = 2});
  auto const exact = exact_synthesis(p.b, p.synthesis, to_device(p.b, p.x));
  CHECK(early.status == ExactStatus::iteration_limit);
  double const distance = max_abs_difference(p.host(early.u), p.host(exact.u));
  CHECK((distance > 1e-3 && distance <= early.bound + exact.bound));
  check_throws_with<ShapeError>(
      [&] { exact_synthesis(p.b, p.synthesis, to_device(p.b, HostMatrix<double>(2, 31))); },
      "exact_synthesis: x is 2 x 31, must have 2 rows and images of 30 sites");
  p.synthesis.window.kernel = 9;
  check_throws_with<DomainError>(
      [&] { exact_synthesis(p.b, p.synthesis, to_device(p.b, p.x)); },
      "exact_synthesis: a window of 9 x 9 with stride 2 and padding 1 does not fit images of 5 x 6");
}

}  // namespace detrame
