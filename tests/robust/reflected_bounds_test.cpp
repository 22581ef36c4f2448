// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/reflected_bounds.hpp"

#include "affine_map.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/zoo/certified_net.hpp"
#include "detrame/robust/certify.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

using ByRows = Unrolled<Gershgorin, Unroll<1>>;
using ByNorm = Unrolled<SpectralNorm, Unroll<1>>;

/// x - D r (D^T x - c)_+ at every position of a window, in double, with the numbers as the layer has them.
HostMatrix<double> reflected(Window const& w, HostMatrix<double> const& D_T, HostMatrix<double> const& r,
                             HostMatrix<double> const& c, HostMatrix<double> const& x) {
  Index const m = x.rows();
  HostMatrix<double> y = x;
  auto const tap_site = [&](Index q, Index tap) {
    Index const row = w.stride * (q / w.out_width()) + tap / w.kernel - w.padding,
                col = w.stride * (q % w.out_width()) + tap % w.kernel - w.padding;
    return row < 0 || row >= w.height || col < 0 || col >= w.width ? Index{-1} : row * w.width + col;
  };
  for (Index q = 0; q < w.out_sites(); ++q)
    for (Index o = 0; o < D_T.rows(); ++o) {
      double v = -c(o, 0);
      for (Index tap = 0; tap < w.taps(); ++tap)
        if (Index const s = tap_site(q, tap); s >= 0)
          for (Index i = 0; i < m; ++i) v += D_T(o, tap * m + i) * x(i, s);
      for (Index tap = 0; tap < w.taps(); ++tap)
        if (Index const s = tap_site(q, tap); s >= 0 && v > 0)
          for (Index i = 0; i < m; ++i) y(i, s) -= D_T(o, tap * m + i) * r(o, 0) * v;
    }
  return y;
}

template <class R, Shape in, class B>
void stays_within_its_deviation(std::uint64_t s) {
  B b;
  using L = Bind<R, in, B>;
  L const layer;
  auto const theta = random_parameters(b, layer, seed(s));
  CHECK(lipschitz(b, layer, theta).value() == 1);
  Deviation const d = deviation(b, layer, theta).value();
  auto const tied = L::tied(b, theta);
  auto const part = [&](Matrix<B> const& A) { return in_double(b, ConstView<B>(A)); };
  double worst = 0;
  for (std::uint64_t n = 0; n < 12; ++n) {
    auto const x = rounded<double>(normal_matrix<float>(in.channels, in.sites(), seed(s + 100 + n)));
    auto const exact = reflected(L::window, part(tied->D_T), part(tied->scale), part(tied->shift), x);
    double const off =
        norm(mapped([](double p, double q) { return p - q; }, mapped_by(b, layer, theta, x), exact));
    double const limit = d.relative * norm(x) + d.absolute;
    CHECK(off <= limit);
    worst = std::max(worst, off / limit);
  }
  if (std::is_same_v<typename B::Scalar, float>) CHECK(worst > 1e-7);  // not vacuous; Winograd has the widest
}

}  // namespace

TEST_CASE_TEMPLATE("(L6) (R1) reflected layers of one update: 1, and the rounding that is stated", B,
                   Cpu<float>, Cpu<double>) {
  stays_within_its_deviation<ReflectedDictionary<6, ByRows>, Shape{5}, B>(1);
  stays_within_its_deviation<ReflectedDictionary<6, ByNorm>, Shape{5, 2, 2}, B>(2);
  stays_within_its_deviation<ReflectedConvolutionalDictionary<8, 3, ByRows>, Shape{8, 6, 6}, B>(3);
  stays_within_its_deviation<ReflectedConvolutionalDictionary<4, 3, ByRows, Stride<2>>, Shape{3, 5, 4}, B>(4);
}

TEST_CASE("(L2) (L6) constants of the layers of certified networks") {
  Cpu<double> b;
  auto const constant = [&]<class L>(L const& layer) {
    return lipschitz(b, layer, random_parameters(b, layer, seed(9))).value();
  };
  CHECK(constant(Bind<PixelUnshuffle<2>, Shape{3, 4, 4}, Cpu<double>>()) == 1);
  CHECK(constant(Bind<ReflectedDictionary<6, Exact>, Shape{5}, Cpu<double>>()) == 1);
  double const pairs = constant(Bind<Paired<Dictionary<6, Exact>>, Shape{5}, Cpu<double>>());
  CHECK(std::abs(pairs - 1 / (2 * std::sqrt(.35))) <= 1e-6);  // alpha + beta = .35, of float
  double const head = constant(Bind<NormalisedDense<4>, Shape{7}, Cpu<double>>());
  CHECK((head >= 1 && head <= 2));  // unit rows: |W^|_2 between 1 and the root of 4
  Bind<ReflectedDictionary<6, Exact>, Shape{5}, Cpu<double>> const exact;
  CHECK(deviation(b, exact, random_parameters(b, exact, seed(9))).value().may_refuse);
}

TEST_CASE_TEMPLATE("(R6) a certified network certifies, and no step inside the radius changes a label", B,
                   Cpu<float>, Cpu<double>) {
  B b;
  using Net = Bind<CertifiedNet2<8>, Shape{1, 8, 8}, B>;
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, OrthogonalStart{.tied = certified_values}, 1);
  Certifier const certifier(b, net, theta);
  CHECK(certifier.claim() == Claim::same_label);
  int certified = 0;
  auto const label = [&](HostMatrix<double> const& x) {
    auto const y = mapped_by(b, net, theta, x);
    Index best = 0;
    for (Index i = 1; i < y.rows(); ++i)
      if (y(i, 0) > y(best, 0)) best = i;
    return best;
  };
  for (std::uint64_t n = 0; n < 6; ++n) {
    auto const x = rounded<double>(normal_matrix<float>(1, 64, seed(20 + n)));
    Certificate const c = certifier(b, in_memory_of(b, x), 1.);
    CHECK(c.label[0] == label(x));
    CHECK(c.radius[0] <= c.in_real_arithmetic[0]);
    certified += (std::is_same_v<B, Cpu<double>> ? c.radius : c.in_real_arithmetic)[0] > .005;
    for (std::uint64_t t = 0; t < 20; ++t) {
      auto const v = normal_matrix<double>(1, 64, seed(1000 + 100 * n + t));
      double const step = c.radius[0] * .9999 / norm(v);
      CHECK(label(mapped([&](double p, double q) { return p + step * q; }, x, v)) == c.label[0]);
    }
  }
  CHECK(certified >= 3);
}
