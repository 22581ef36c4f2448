// SPDX-License-Identifier: Apache-2.0
#include <complex>
#include <numbers>

#include "../laws/archetype.hpp"
#include "../support.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/operator/window_norm.hpp"
#include "detrame/robust/rounding.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

/// v = W u of a window, for one image, in plain loops; u: channels x sites.
HostMatrix<double> windowed(HostMatrix<double> const& W, Window const& w, HostMatrix<double> const& u) {
  Index const c = u.rows();
  return host_matrix<double>(W.rows(), w.out_sites(), [&](Index o, Index q) {
    double sum = 0;
    for (Index dy = 0; dy < w.kernel; ++dy)
      for (Index dx = 0; dx < w.kernel; ++dx) {
        Index const y = q / w.out_width() * w.stride + dy - w.padding,
                    x = q % w.out_width() * w.stride + dx - w.padding;
        if (y < 0 || y >= w.height || x < 0 || x >= w.width) continue;
        for (Index i = 0; i < c; ++i) sum += W(o, (dy * w.kernel + dx) * c + i) * u(i, y * w.width + x);
      }
    return sum;
  });
}
HostMatrix<double> windowed_adjoint(HostMatrix<double> const& W, Window const& w, HostMatrix<double> const& v,
                                    Index c) {
  HostMatrix<double> u(c, w.sites());
  for (Index q = 0; q < w.out_sites(); ++q)
    for (Index dy = 0; dy < w.kernel; ++dy)
      for (Index dx = 0; dx < w.kernel; ++dx) {
        Index const y = q / w.out_width() * w.stride + dy - w.padding,
                    x = q % w.out_width() * w.stride + dx - w.padding;
        if (y < 0 || y >= w.height || x < 0 || x >= w.width) continue;
        for (Index i = 0; i < c; ++i)
          for (Index o = 0; o < W.rows(); ++o)
            u(i, y * w.width + x) += W(o, (dy * w.kernel + dx) * c + i) * v(o, q);
      }
  return u;
}
/// |W|_2 on such images from below, by power iteration.
double norm_from_below(HostMatrix<double> const& W, Window const& w, int iterations) {
  Index const c = W.cols() / w.taps();
  auto u = normal_matrix<double>(c, w.sites(), seed(900));
  double found = 0;
  for (int t = 0; t < iterations; ++t) {
    double const size = norm(u);
    auto const v = windowed(W, w, mapped([&](double x) { return x / size; }, u));
    found = norm(v);
    u = windowed_adjoint(W, w, v, c);
  }
  return found;
}

}  // namespace

TEST_CASE("(K5) window_norm is above the norm on every image, and near it on large ones") {
  Cpu<double> cpu;
  struct Case {
    Index k, c, kernel, stride, padding;
  };
  for (Case const& given : {Case{3, 4, 3, 1, 1}, Case{5, 2, 3, 2, 1}, Case{4, 3, 2, 1, 0},
                            Case{2, 3, 4, 2, 1}, Case{6, 3, 5, 1, 2}, Case{3, 2, 3, 1, 0}}) {
    Index const k = given.k, c = given.c, kernel = given.kernel, stride = given.stride,
                padding = given.padding;
    INFO(kernel, " ", stride);
    auto const W =
        normal_matrix<double>(k, kernel * kernel * c, seed(901 + static_cast<std::uint64_t>(kernel)));
    Window const small{7, 6, kernel, stride, padding}, large{26, 26, kernel, stride, padding};
    double const coarse = window_norm(cpu, in_memory_of(cpu, W), small),
                 fine = window_norm(cpu, in_memory_of(cpu, W), small, 64);
    CHECK(norm_from_below(W, small, 200) <= coarse);
    double const below = norm_from_below(W, large, 300);
    CHECK(below <= fine);
    CHECK(fine <= coarse * 1.0011);  // both are shown by steps of .1 %
    double const c_16 = std::cos(std::numbers::pi / 16), c_64 = std::cos(std::numbers::pi / 64);
    CHECK(coarse <= fine * 1.0011 / (c_16 * c_16));      // 4 % above the supremum, .24 % in the finer one
    CHECK(fine * c_64 * c_64 / 1.0011 <= below * 1.05);  // of which large images are within 5 %
  }
}

TEST_CASE("(K5) a kernel whose symbol peaks between the frequencies of the grid") {
  Cpu<double> cpu;
  // e^{i omega} turned so that |1 + e^{i (omega - phi)}|^2, phi half a step of the grid, peaks at phi
  Index const n = 16;
  double const phi = std::numbers::pi / static_cast<double>(n);
  HostMatrix<double> W(4, 3 * 3 * 2);  // complex numbers as 2 x 2 blocks, in two rows of a kernel
  auto const set = [&](Index tap, Index row, double re, double im) {
    W(2 * row, tap * 2) = W(2 * row + 1, tap * 2 + 1) = re;
    W(2 * row, tap * 2 + 1) = -im;
    W(2 * row + 1, tap * 2) = im;
  };
  set(3, 0, std::cos(phi), std::sin(phi));
  set(4, 0, 1, 0);
  set(5, 0, std::cos(phi), -std::sin(phi));
  double const bound = window_norm(cpu, in_memory_of(cpu, W), Window{8, 8, 3, 1, 1});
  CHECK(bound >= 3);  // |1 + 2 cos(omega - phi)| = 3 at phi; on the grid 2.96
  CHECK(bound <= 3 * 1.041);
  auto const alone = window_norm(cpu, in_memory_of(cpu, W), Window{8, 8, 3, 1, 1}, 64);
  CHECK(alone >= 3);
  CHECK(alone <= 3 * 1.004);
}

TEST_CASE("(K5) a window that does not overlap itself is a matrix: by rounding alone above its norm") {
  Cpu<float> cpu;
  auto const W = normal_matrix<double>(5, 2 * 2 * 3, seed(905));
  auto const host = rounded<double>(rounded<float>(W));
  Window const w{4, 4, 2, 2, 0};
  double const bound = window_norm(cpu, in_memory_of(cpu, W), w), below = norm_from_below(host, w, 400);
  CHECK(below <= bound);
  CHECK(bound <= below * (1 + 1e-5));  // the backend's eigenvalues are float's
  CHECK(window_norm(cpu, zeros(cpu, 3, 18), Window{4, 4, 3}) == 0);
  HostMatrix<float> nan(1, 9);
  nan(0, 4) = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(window_norm(cpu, to_device(cpu, nan), Window{4, 4, 3})));
  check_throws_with<DomainError>([&] { window_norm(cpu, zeros(cpu, 3, 18), Window{4, 4, 3}, 7); },
                                 "fineness = 7, must be even and >= 4");
  check_throws_with<ShapeError>([&] { window_norm(cpu, zeros(cpu, 3, 10), Window{4, 4, 3}); },
                                "W has 10 columns, must be a multiple of 9 taps");
}

TEST_CASE("(K5) units: a power of two beside W is one beside the bound") {
  Cpu<double> cpu;
  auto const W = normal_matrix<double>(3, 18, seed(906));
  double const one = window_norm(cpu, in_memory_of(cpu, W), Window{8, 8, 3, 1, 1});
  for (int const power : {-500, 500}) {
    auto const scaled = mapped([&](double x) { return std::ldexp(x, power); }, W);
    CHECK(window_norm(cpu, in_memory_of(cpu, scaled), Window{8, 8, 3, 1, 1}) == std::ldexp(one, power));
  }
}

namespace {

/// The largest |computed - exact|_2 / |x|_2 of a convolution over some images of mixed sign and size.
template <class Scalar, class Arithmetic>
double largest_error(Cpu<Scalar>& cpu, Arithmetic arithmetic, HostMatrix<double> const& W, Window const& w) {
  Index const c = W.cols() / w.taps();
  double worst = 0;
  for (std::uint64_t image = 0; image < 4; ++image) {
    auto const x = mapped([&](double v) { return image % 2 == 0 ? v : 1 + .01 * v; },
                          rounded<double>(normal_matrix<Scalar>(c, w.sites(), seed(910 + image))));
    auto const in = rounded<Scalar>(x);
    auto const device = to_device(cpu, in);
    auto out = zeros(cpu, W.rows(), w.out_sites());
    {
      auto const frame = cpu.lane().frame();
      auto const K =
          prepare_convolution(arithmetic, cpu, w, ConstView<Cpu<Scalar>>(in_memory_of(cpu, W)), Op::none);
      convolve_each(cpu.lane(), K, ConstView<Cpu<Scalar>>(device), formula::Store(), View<Cpu<Scalar>>(out));
    }
    auto const exact = windowed(W, w, rounded<double>(in));
    auto const found = rounded<double>(to_host(cpu, out));
    worst = std::max(worst, norm(mapped([](double a, double b) { return a - b; }, found, exact)) /
                                norm(rounded<double>(in)));
  }
  return worst;
}

}  // namespace

TEST_CASE("(R1) (W3) rounding of a product: sums as they stand and Winograd's, within their bounds") {
  Cpu<float> cpu;
  auto const W = rounded<double>(normal_matrix<float>(8, 9 * 16, seed(907)));
  Window const w{10, 9, 3, 1, 1};
  double const direct = detail::rounding_of_product<float>(Direct(), W, 3, 1),
               two = detail::rounding_of_product<float>(Winograd<2>(), W, 3, 1),
               four = detail::rounding_of_product<float>(Winograd<4>(), W, 3, 1);
  double const e_direct = largest_error(cpu, Direct(), W, w), e_two = largest_error(cpu, Winograd<2>(), W, w),
               e_four = largest_error(cpu, Winograd<4>(), W, w);
  CHECK(e_direct > 0);
  CHECK(e_direct <= direct);
  CHECK(e_two <= two);
  CHECK(e_four <= four);
  CHECK(e_four > e_direct);  // the algorithm does round more,
  CHECK(four > two);         // and its bound says so
  CHECK(two > direct);
  CHECK(detail::rounding_of_product<double>(Direct(), W, 3, 1) < 1e-8 * direct);
  MESSAGE("errors over bounds: ", e_direct / direct, " ", e_two / two, " ", e_four / four, "; bounds ",
          direct, " ", two, " ", four, " of norm ", window_norm(cpu, in_memory_of(cpu, W), w));
}

TEST_CASE("(R1) gamma_n is above n u / (1 - n u), and infinite where that says nothing") {
  CHECK(detail::gamma<float>(10) >= 10 * 0x1p-24);
  CHECK(detail::gamma<float>(10) <= 10 * 0x1p-24 * 1.00001);
  CHECK(detail::gamma<float>(0x1p24) == std::numeric_limits<double>::infinity());
  CHECK(detail::gamma<double>(10) >= 10 * 0x1p-53);
}
