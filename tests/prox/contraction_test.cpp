// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_margin.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/metric/convolutional_metric.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "detrame/prox/bounds.hpp"
#include "detrame/prox/kink_margin.hpp"
#include "detrame/prox/lambda_max.hpp"
#include "detrame/prox/safe_gamma.hpp"
#include "detrame/prox/unrolled_prox.hpp"
#include "detrame/robust/lipschitz.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

/// kappa and its bounds where the parameters are free, and where a sample is an image: through the overloads
/// that a user calls.
namespace detrame {

using namespace detrame::test;
using formula::NonnegativeShrinkage;
using formula::SoftShrinkage;
using Host = HostMatrix<double>;

#define BACKENDS Cpu<double>, Cpu<float>, archetype::Loops<double>

namespace {

/// rho(A) of a nonnegative matrix with a positive power, by 3000 steps.
double spectral_radius(Host const& A) {
  Host v(A.rows(), 1, 1.);
  double size = 0;
  for (int t = 0; t < 3000; ++t) {
    v = product(A, v);
    size = max_abs(v);
    v = mapped([=](double x) { return x / size; }, v);
  }
  return size;
}

/// |A|_2 from below, by 500 steps of the power iteration on A^T A.
double norm_from_below(Host const& A) {
  Host v = normal_matrix<double>(A.cols(), 1, seed(1));
  double size = 0;
  for (int t = 0; t < 500; ++t) {
    double const length = norm(v);
    v = mapped([=](double x) { return x / length; }, v);
    Host const w = product(A, v);
    size = norm(w);
    v = product(transposed(A), w);
    if (size == 0) return 0;
  }
  return size;
}

/// |v|_S of the longest sample, of `unit` columns each.
double length(Host const& S, Host const& v, Index unit = 1) {
  double longest = 0;
  for (Index first = 0; first < v.cols(); first += unit) {
    double square = 0;
    for (Index j = first; j < first + unit; ++j)
      for (Index i = 0; i < v.rows(); ++i) square += S(i, 0) * v(i, j) * v(i, j);
    longest = std::max(longest, std::sqrt(square));
  }
  return longest;
}
Host difference(Host const& A, Host const& B) {
  return mapped([](double a, double b) { return a - b; }, A, B);
}
Host magnitudes(Host const& A) {
  return mapped([](double a) { return std::abs(a); }, A);
}

/// Free parameters: W~ given, h = 1/2, b = 1/10.
template <Backend B, class Structure>
Recurrence<B, Structure> free_recurrence(B& b, Structure const& structure, Host const& W) {
  Index const k = W.cols() / structure.taps();
  return {structure, in_memory_of(b, W), in_memory_of(b, Host(k, 1, .5)), in_memory_of(b, Host(k, 1, .1))};
}

/// S^{1/2} A S^{-1/2}, with s_i for row i modulo S.rows().
Host scaled(Host const& S, Host const& A) {
  Index const k = S.rows();
  return host_matrix<double>(
      A.rows(), A.cols(), [&](Index i, Index j) { return A(i, j) * std::sqrt(S(i % k, 0) / S(j % k, 0)); });
}

/// The fixed point of a recursion in double, by 3000 updates of its dense form on samples as columns.
template <class Activation>
Host fixed_point(Host const& W, Host const& h, Host const& b, Host const& Z) {
  Index const k = h.rows();
  Host U(Z.rows(), Z.cols());
  for (int t = 0; t < 3000; ++t) {
    Host const V = product(W, difference(U, Z));
    Host const next = host_matrix<double>(Z.rows(), Z.cols(), [&](Index i, Index j) {
      return Activation{}(h(i % k, 0) * Z(i, j) + V(i, j), b(i % k, 0));
    });
    if (next == U) break;
    U = next;
  }
  return U;
}

/// The a-priori and a-posteriori bounds of T updates, and the steps for a tolerance, of free parameters with
/// a kappa below 1, against the fixed point.
template <class Activation, Backend B, class Structure>
void bounds_hold(B& b, Recurrence<B, Structure> const& r, Host const& Z) {
  using Scalar = typename B::Scalar;
  Index const k = r.dim(), unit = r.structure.unit(), samples = Z.cols() / unit;
  auto const known = contraction(b, r);
  REQUIRE(known.kappa < 1);
  REQUIRE(known.kappa > .3);
  Host const S = in_double(b, known.S);
  auto const z = in_memory_of(b, Z);
  Host const Z_seen = in_double(b, z);
  Host const U_star =
      reshaped(fixed_point<Activation>(rounded<double>(r.structure.dense(b, r.W_tilde)), in_double(b, r.h),
                                       in_double(b, r.b), reshaped(Z_seen, k * unit, samples)),
               k, Z.cols());
  auto const after = [&](Index T) {
    auto U = zeros(b, k, Z.cols());
    unrolled_prox(b, r.structure, Activation{}, r.W_tilde, r.h, r.b, z, T, U);
    return U;
  };
  double const rounding = tolerance<Scalar>(
      40, max_abs(Z) * std::sqrt(static_cast<double>(k * unit)) * std::sqrt(max_abs(S)));  // of the iterates
  double nearest = 0;
  for (Index T : {0, 1, 2, 3, 5, 8, 12}) {
    auto const U = after(T);
    double const distance = length(S, difference(in_double(b, U), U_star), unit);
    auto const before = a_priori_bound(b, r, Activation{}, z, T);
    auto const then = a_posteriori_bound(b, r, Activation{}, z, U);
    REQUIRE((before.has_value() && then.has_value()));
    CHECK(distance <= static_cast<double>(*before) + rounding);
    CHECK(distance <= static_cast<double>(*then));  // as it is: rounding is in the bound
    if (T > 0 && T < 4) nearest = std::max(nearest, distance / static_cast<double>(*then));
  }
  CHECK(nearest > .05);  // not vacuous
  for (double wanted : {.5, .03}) {
    auto const T = steps_for(b, r, Activation{}, z, static_cast<Scalar>(wanted));
    REQUIRE(T.has_value());
    CHECK(length(S, difference(in_double(b, after(*T)), U_star), unit) <= wanted + rounding);
    CHECK(static_cast<double>(*a_priori_bound(b, r, Activation{}, z, *T)) <= wanted * 1.0001);
    if (*T > 0) CHECK(static_cast<double>(*a_priori_bound(b, r, Activation{}, z, *T - 1)) > wanted * .9999);
  }
  auto const last = after(200);
  auto const end = a_posteriori_bound(b, r, Activation{}, z, last);
  CHECK(length(S, difference(in_double(b, last), U_star), unit) <= static_cast<double>(*end));
  CHECK(*end > 0);
  CHECK(static_cast<double>(*end) < 1e3 * rounding / (1 - static_cast<double>(known.kappa)));
}

}  // namespace

// ---- images -----------------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE(
    "(C2) (K2) bounds and steps of a convolutional metric are those of an image: 64 x 64 pixels, -.05 beside "
    "1",
    B, Cpu<double>, Cpu<float>) {
  using Scalar = typename B::Scalar;
  B b(1);
  ConvolutionalBlocks const shape{64, 64, 3};
  Host q(1, 9, -.05);
  q(0, 4) = 1;
  ConvolutionalMetric<B> const Q(b, shape, in_memory_of(b, q));
  NonnegativeElasticNet<B> const psi(b, 1, Scalar(.05), Scalar(0));
  Host const Z(1, 2 * shape.unit(), 1.);  // two images
  auto const z = in_memory_of(b, Z);
  auto const u_star =
      in_double(b, metric_prox(b, Q, psi, z, Gershgorin{}, Updates{120}).u);  // .6^120 of 64 = 1e-25
  auto const check = [&](auto const& scheme) {
    auto const known = contraction(b, Q, psi, scheme);
    REQUIRE(known.kappa < Scalar(.6));
    Host const S = in_double(b, known.S);
    double const rounding = tolerance<Scalar>(30, 64 * std::sqrt(S(0, 0)));
    auto const distance = [&](Index T) {
      return length(S, difference(in_double(b, metric_prox(b, Q, psi, z, scheme, Updates{T}).u), u_star),
                    shape.unit());
    };
    for (Index T : {1, 2, 5, 10}) {
      auto const bound = a_priori_bound(b, Q, psi, z, scheme, T);
      REQUIRE(bound.has_value());
      CHECK(distance(T) <= static_cast<double>(*bound) + rounding);
      CHECK(static_cast<double>(*bound) <= 4 * distance(T) + rounding);  // not vacuous
    }
    if (std::is_same_v<std::remove_cvref_t<decltype(scheme)>, Gershgorin>)
      CHECK(distance(1) == doctest::Approx(39.28).epsilon(1e-3));
    for (double wanted : {1., .1, .01}) {
      auto const T = steps_for(b, Q, psi, z, scheme, static_cast<Scalar>(wanted));
      REQUIRE(T.has_value());
      CHECK(distance(*T) <= wanted + rounding);
      if (wanted == .01) CHECK(distance(*T / 2) > wanted);
    }
  };
  check(Gershgorin{});
  check(Jacobi{});
  // a status for each image; a pixel's would be solved at once
  auto const result = metric_prox(b, Q, psi, z, Gershgorin{}, Until{.tolerance = .05});
  CHECK(result.column_status.size() == 2);
  CHECK(result.status == Status::residual_reached);
  CHECK(length(Host(1, 1, 1.), difference(in_double(b, result.u), u_star), shape.unit()) <=
        static_cast<double>(result.bound));
  CHECK(norm(b, to_device(b, HostMatrix<Scalar>(1, 1, 4)), z, shape.unit()) ==
        doctest::Approx(128).epsilon(1e-5));
  CHECK(norm(b, to_device(b, HostMatrix<Scalar>(1, 1, 4)), z) == doctest::Approx(2));
}

TEST_CASE_TEMPLATE(
    "(A1) (K2) the kink margin of a convolution is an image's: that of its materialised recursion", B,
    Cpu<double>, archetype::Loops<double>) {
  B b;
  ConvolutionalBlocks const shape{3, 4, 3};
  auto const r = free_recurrence(
      b, shape, mapped([](double w) { return .1 * w; }, normal_matrix<double>(2, 18, seed(15))));
  auto const every_site = [&](double value) { return to_device(b, Host(24, 1, value)); };
  Host const Z = normal_matrix<double>(2, 36, seed(16));  // three images
  auto const images =
      in_double(b, kink_margin(b, shape, SoftShrinkage{}, r.W_tilde, r.h, r.b, to_device(b, Z), 4));
  auto const columns =
      in_double(b, kink_margin(b, DenseBlocks{}, SoftShrinkage{}, to_device(b, shape.dense(b, r.W_tilde)),
                               every_site(.5), every_site(.1), to_device(b, reshaped(Z, 24, 3)), 4));
  REQUIRE((images.cols() == 3 && columns.cols() == 3));
  CHECK(max_abs_difference(images, columns) <= tolerance<double>(40, 4));
}

// ---- free parameters --------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE(
    "(C7) kappa of 100 free W~: a bound of every update, at most rho(|W~|), mostly less than |W~|_2", B,
    BACKENDS) {
  B b;
  Index better = 0;
  for (std::uint64_t n = 0; n < 100; ++n) {
    Index const groups = 1 + static_cast<Index>(n % 2), kg = 2 + static_cast<Index>(n % 5), k = groups * kg;
    Host const spread = uniform_matrix<double>(k, 1, seed(n), -2, 2);  // rows and columns of unlike sizes
    Host const normal = normal_matrix<double>(kg, k, seed(100 + n));
    Host const W =
        rounded<double>(rounded<typename B::Scalar>(host_matrix<double>(kg, k, [&](Index i, Index j) {
          return .2 * normal(i, j) * std::exp2(spread(j / kg * kg + i, 0) - spread(j, 0));
        })));
    auto const r = free_recurrence(b, DenseBlocks{groups}, W);
    auto const known = contraction(b, r);
    double const kappa = static_cast<double>(known.kappa);
    Host const S = in_double(b, known.S), dense = rounded<double>(r.structure.dense(b, r.W_tilde));
    double rho = 0;
    for (Index g = 0; g < groups; ++g) {
      double least = 1e300;
      for (Index i = 0; i < kg; ++i) least = std::min(least, S(g * kg + i, 0));
      CHECK(least == 1);
      rho = std::max(rho, spectral_radius(magnitudes(host_matrix<double>(
                              kg, kg, [&](Index i, Index j) { return W(i, g * kg + j); }))));
    }
    CHECK(kappa <= rho * (1 + 3e-6));
    double const exact = norm_from_below(scaled(S, dense));
    CHECK(exact <= kappa);
    CHECK(kappa <= exact * (1 + 1e-5) + 1e-12);
    better += kappa < norm_from_below(dense) * .999;
    Host const G = normal_matrix<double>(k, 20, seed(300 + n)),
               u = normal_matrix<double>(k, 20, seed(500 + n)),
               v = normal_matrix<double>(k, 20, seed(700 + n));
    auto const update = [&](Host const& x, auto activation) {
      return mapped([&](double w, double g) { return activation(w + g, .1); }, product(dense, x), G);
    };
    for (Index j = 0; j < 20; ++j) {
      auto const column = [&](Host const& A) {
        return host_matrix<double>(k, 1, [&](Index i, Index) { return A(i, j); });
      };
      auto const ratio = [&](auto activation) {
        return length(S, difference(column(update(u, activation)), column(update(v, activation)))) /
               length(S, difference(column(u), column(v)));
      };
      CHECK(ratio(NonnegativeShrinkage{}) <= kappa);
      CHECK(ratio(SoftShrinkage{}) <= kappa);
    }
  }
  CHECK(better >= 80);
}

TEST_CASE_TEMPLATE("(C7) zero, 1 x 1, periodic, reducible, nilpotent W~; NaN stays", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const kappa = [&](Index rows, std::vector<double> const& by_rows) {
    Host const W =
        host_matrix<double>(rows, static_cast<Index>(by_rows.size()) / rows, [&](Index i, Index j) {
          return by_rows[static_cast<std::size_t>(i) * (by_rows.size() / static_cast<std::size_t>(rows)) +
                         static_cast<std::size_t>(j)];
        });
    return static_cast<double>(contraction(b, free_recurrence(b, DenseBlocks{W.cols() / rows}, W)).kappa);
  };
  CHECK(kappa(3, std::vector<double>(9, 0.)) == 0);
  CHECK(kappa(1, {-.75}) == doctest::Approx(.75));
  CHECK(kappa(1, {-.75}) >= .75);
  CHECK(kappa(2, {0, 2, .125, 0}) == doctest::Approx(.5).epsilon(1e-5));  // periodic, |W~|_2 = 2
  CHECK(kappa(2, {.5, 8, 0, .25}) < .501);                                // reducible
  CHECK(kappa(2, {.5, 8, 0, .25}) >= .5);
  CHECK(kappa(2, {0, 1, 0, 0}) < .002);  // nilpotent
  CHECK(kappa(2, {0, 1, 0, 0}) > 0);
  CHECK(kappa(2, {0, 0, .5, 0, 0, 0, 0, .25}) >= .5);  // a block of zeros beside one that is none
  CHECK(kappa(2, {0, 0, .5, 0, 0, 0, 0, .25}) <= .5001);
  CHECK(kappa(1, {1e-30}) > 0);  // no square underflows
  CHECK(kappa(1, {1e-30}) < 1.001e-30);
  CHECK(kappa(1, {1e30}) >= static_cast<double>(Scalar(1e30)));
  CHECK(kappa(3, {0, 0, 1, 1, 0, 0, 0, 1, 0}) == doctest::Approx(1));  // a cycle of three
  double const nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(kappa(1, {nan, .5, .25})));  // in a block that is not the last
  CHECK(std::isnan(kappa(2, {0, nan, .5, 0})));
  // at a fixed point of the rounded recursion: what rounding may hide is in the bound
  auto const relu = free_recurrence(b, DenseBlocks{}, Host(1, 1));
  auto const at = in_memory_of(b, Host(1, 1, .8));
  auto u = zeros(b, 1, 1);
  unrolled_prox(b, relu.structure, NonnegativeShrinkage{}, relu.W_tilde, relu.h, relu.b, at, 1, u);
  auto const distance = a_posteriori_bound(b, relu, NonnegativeShrinkage{}, at, u);
  CHECK(*distance > std::numeric_limits<Scalar>::epsilon());
  CHECK(*distance < 64 * std::numeric_limits<Scalar>::epsilon());
  auto const none = free_recurrence(b, DenseBlocks{}, Host(1, 1, nan));
  auto const z = zeros(b, 1, 2);
  CHECK_FALSE(a_priori_bound(b, none, NonnegativeShrinkage{}, z, 5).has_value());
  CHECK_FALSE(a_posteriori_bound(b, none, NonnegativeShrinkage{}, z, z).has_value());
  CHECK_FALSE(steps_for(b, none, NonnegativeShrinkage{}, z, Scalar(.1)).has_value());
}

TEST_CASE_TEMPLATE("(C7) free parameters that are tied have the kappa of their own S", B, Cpu<float>,
                   archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  Index const k = 6;
  auto const Q_host = definite_matrix<double>(k, 8, seed(11));
  auto const positive =
      mapped([](double q) { return std::abs(q); }, Q_host);  // so W~ has one sign off the diagonal
  auto const dominant = host_matrix<double>(k, k, [&](Index i, Index j) {
    return positive(i, j) + (i == j ? 1. + .2 * static_cast<double>(i) : 0);
  });
  DenseMetric<B> const Q(b, in_memory_of(b, dominant));
  NonnegativeElasticNet<B> const psi(b, k, Scalar(.1), Scalar(.3));
  double const own = static_cast<double>(contraction(b, Q, psi, Jacobi{}).kappa);
  double const free = static_cast<double>(contraction(b, tie(b, Q, psi, coordinate_step(b, Q))).kappa);
  REQUIRE(own > .1);
  CHECK(free == doctest::Approx(own).epsilon(1e-4));
}

TEST_CASE_TEMPLATE("(C2) (C3) (C7) bounds of free parameters hold at every T, in blocks and in images", B,
                   BACKENDS) {
  B b;
  Index const k = 6;
  Host const W = mapped([](double w) { return .25 * w; }, normal_matrix<double>(3, k, seed(20)));
  auto const dense = free_recurrence(b, DenseBlocks{2}, W);
  Host const Z = normal_matrix<double>(k, 5, seed(21));
  bounds_hold<NonnegativeShrinkage>(b, dense, Z);
  bounds_hold<SoftShrinkage>(b, dense, Z);
  ConvolutionalBlocks const shape{4, 5, 3, 2};
  Host const kernel = mapped([](double w) { return .06 * w; }, normal_matrix<double>(2, 36, seed(22)));
  auto const images = free_recurrence(b, shape, kernel);
  Host const pixels = normal_matrix<double>(4, 3 * shape.unit(), seed(23));
  bounds_hold<NonnegativeShrinkage>(b, images, pixels);
}

TEST_CASE_TEMPLATE(
    "(C7) (K3) kappa of a free convolution bounds images of every size, at most rho of its tap sums", B,
    Cpu<double>, archetype::Loops<double>) {
  B b;
  for (std::uint64_t n = 0; n < 8; ++n) {
    ConvolutionalBlocks const shape{6, 5, n == 0 ? 1 : (n < 6 ? 3 : 5), 2};
    Index const kg = 2, taps = shape.taps();
    auto const sign = [&](double w) { return n == 1 ? std::abs(w) : w; };
    Host const W =
        mapped([&](double w) { return sign(w) / (2. * std::sqrt(static_cast<double>(taps * kg))); },
               normal_matrix<double>(kg, 2 * taps * kg, seed(30 + n)));
    auto const r = free_recurrence(b, shape, W);
    auto const known = contraction(b, r);
    double const kappa = static_cast<double>(known.kappa);
    Host const seen = in_double(b, r.W_tilde);
    double rho = 0;
    for (Index g = 0; g < 2; ++g)
      rho = std::max(rho, spectral_radius(host_matrix<double>(kg, kg, [&](Index o, Index i) {
                       double sum = 0;
                       for (Index tap = 0; tap < taps; ++tap)
                         sum += std::abs(seen(o, (g * taps + tap) * kg + i));
                       return sum;
                     })));
    CHECK(kappa <= rho * (1 + 3e-6));
    double const section =
        norm_from_below(scaled(in_double(b, known.S), rounded<double>(shape.dense(b, r.W_tilde))));
    CHECK(section <= kappa);
    CHECK(kappa <= 1.6 * section);
    // the arithmetic of the layer does not count
    if (shape.kernel == 3) {
      Recurrence<B, ConvolutionalBlocksBy<Winograd<4>>> const winograd{{6, 5, 3, 2}, r.W_tilde, r.h, r.b};
      CHECK(contraction(b, winograd).kappa == known.kappa);
    }
  }
  Host const tiny = mapped([](double w) { return 1e-170 * w; }, normal_matrix<double>(2, 18, seed(40)));
  double const least =
      static_cast<double>(contraction(b, free_recurrence(b, ConvolutionalBlocks{6, 5, 3}, tiny)).kappa);
  CHECK((least > 1e-170 && least < 1e-168));  // no square underflows
  auto const zero = free_recurrence(b, ConvolutionalBlocks{6, 5, 3}, Host(2, 18));
  CHECK(contraction(b, zero).kappa == 0);
  Host NaN(1, 18, .01);  // two groups, the first is not finite
  NaN(0, 3) = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(
      static_cast<double>(contraction(b, free_recurrence(b, ConvolutionalBlocks{6, 5, 3, 2}, NaN)).kappa)));
}

// ---- where the grid of the symbol does not decide ---------------------------------------------------------

TEST_CASE_TEMPLATE("(K3) kappa between .962 and 1 of a convolution is shown, at 1 and above it is not", B,
                   Cpu<double>, Cpu<float>) {
  using Scalar = typename B::Scalar;
  B b;
  for (double c : {.962, .97, .99, .999, .99999}) {
    Host q(1, 9);  // symbol 1 + c cos omega: W~ = -c cos omega by Jacobi
    q(0, 4) = 1;
    q(0, 3) = q(0, 5) = c / 2;
    ConvolutionalMetric<B> const Q(b, {3, 200, 3}, in_memory_of(b, q));
    CHECK(static_cast<double>(Q.lambda_min()) <= (1 - c) * 1.001);
    CHECK(static_cast<double>(Q.lambda_min()) >= (1 - c) / 128);
    NonnegativeElasticNet<B> const psi(b, 1, Scalar(.05), Scalar(0));
    auto const kappa = contraction(b, Q, psi, Jacobi{}).kappa;
    CHECK(kappa < 1);
    CHECK(static_cast<double>(kappa) >= c * (1 - 1e-6));
    auto const z = to_device(b, HostMatrix<Scalar>(1, 600, 1));
    CHECK(a_priori_bound(b, Q, psi, z, Jacobi{}, 3).has_value());
    CHECK(steps_for(b, Q, psi, z, Jacobi{}, Scalar(.1)).has_value());
  }
  for (double c : {1., 1.001}) {
    Host w(1, 9);  // c of one pixel, -c of another: |W~|_2 = c at a frequency off the axes
    w(0, 0) = c / 2, w(0, 8) = -c / 2;
    CHECK(contraction(b, free_recurrence(b, ConvolutionalBlocks{9, 9, 3}, w)).kappa >= 1);
  }
}

// ---- safe steps with beta, and metrics without entries ----------------------------------------------------

namespace {

/// A metric of the user's: it can be applied and has no entries to give.
template <Backend B>
struct Twice {
  using Backend = B;
  using Scalar = typename B::Scalar;
  Index dim() const { return 3; }
  DenseBlocks structure() const { return {1}; }
  ConstView<B> weights() const { return {}; }
  void apply(typename B::Lane& lane, ConstView<B> V, View<B> QV) const {
    each(lane, formula::Scaled<Scalar>{2}, QV, V);
  }
  Scalar lambda_min() const { return 2; }
};
static_assert(Metric<Twice<Cpu<double>>>);

template <Backend B>
Matrix<B> diagonal(B& b, Twice<B> const&) {
  return to_device(b, HostMatrix<typename B::Scalar>(3, 1, 2));
}
template <Backend B>
Matrix<B> absolute_row_sums(B& b, Twice<B> const& Q) {
  return diagonal(b, Q);
}

}  // namespace

TEST_CASE("a metric that cannot give its entries is refused in a sentence by what reads them") {
  Cpu<double> b;
  Twice<Cpu<double>> const Q;
  NonnegativeElasticNet<Cpu<double>> const psi(b, 3, .1, .1);
  auto const Theta = diagonal(b, Q), z = zeros(b, 3, 2);
  char const* const why = ": needs the entries of Q, and its weights are 0 x 0, must be 3 x 3";
  auto const refused = [&](char const* who, auto const& f) {
    check_throws_with<ShapeError>(f, std::string(who) + why);
  };
  refused("tie", [&] { tie(b, Q, psi, coordinate_step(b, Q)); });
  refused("tie", [&] { contraction(b, Q, psi, Jacobi{}); });
  refused("tie", [&] { a_priori_bound(b, Q, psi, z, Gershgorin{}, 3); });
  refused("safe_gamma", [&] { safe_gamma(b, Q, Theta); });
  refused("safe_gamma", [&] { safe_gamma(b, Q, psi, Theta); });
  refused("exact_prox", [&] { exact_prox(b, Q, psi, z); });
  refused("exact_prox_pullback", [&] { exact_prox_pullback(b, Q, psi, z, z, z); });
  refused("exact_margin", [&] { exact_margin(b, Q, psi, z, z); });
  refused("metric_prox", [&] { metric_prox(b, Q, psi, z, Gershgorin{}); });
  refused("GaussSeidel", [&] { GaussSeidel{}.start(b, Q, psi, 2); });
  // what needs none works
  CHECK(to_host(b, ConstView<Cpu<double>>(lambda_max(b, Q, psi, to_device(b, Host(3, 1, 1.)))))(0, 0) == 2);
}

TEST_CASE_TEMPLATE("|W|_2 of a linear layer comes from above, and is not 0 by underflow", B, Cpu<double>,
                   Cpu<float>) {
  B b;
  for (double scale : {1., 1e-30, 1e30}) {
    auto const W =
        in_memory_of(b, mapped([=](double w) { return scale * w; }, normal_matrix<double>(5, 9, seed(5))));
    double const exact =
        norm_from_below(mapped([=](double w) { return w / scale; }, in_double(b, W))) * scale;
    double const found = static_cast<double>(lipschitz_constant(b, W));
    CHECK(found >= exact * (1 - 1e-12));
    CHECK(found <= exact * (1 + 1e-5));
  }
}

TEST_CASE_TEMPLATE("(C6) (K3) safe_gamma of a convolution takes beta; infinity where Q <= diag beta", B,
                   Cpu<double>, Cpu<float>) {
  using Scalar = typename B::Scalar;
  B b;
  ConvolutionalBlocks const shape{5, 6, 3, 2};
  Host W = mapped([](double w) { return w / 12; }, normal_matrix<double>(2, 36, seed(3)));
  for (Index c = 0; c < 4; ++c) W(c % 2, (c / 2 * 9 + 4) * 2 + c % 2) += 2 + .5 * static_cast<double>(c);
  ConvolutionalMetric<B> const Q(b, shape, to_device(b, symmetric_part(shape, rounded<Scalar>(W))));
  auto const Theta = diagonal(b, Q);
  auto const kappa = [&](ElasticNet<B> const& psi, double gamma) {
    return static_cast<double>(contraction(b, Q, psi, ForwardBackward{gamma}).kappa);
  };
  ElasticNet<B> const none(b, 4, Scalar(.1), Scalar(0)), some(b, 4, Scalar(.1), Scalar(.9)),
      large(b, 4, Scalar(.1), Scalar(8));
  double const plain = static_cast<double>(safe_gamma(b, Q, Theta));
  CHECK(static_cast<double>(safe_gamma(b, Q, none, Theta)) == plain);
  double const gamma = static_cast<double>(safe_gamma(b, Q, some, Theta));
  CHECK(gamma > 1.2 * plain);
  CHECK(kappa(some, .99 * gamma) < 1);
  CHECK(kappa(some, 1.15 * gamma) > 1);
  CHECK(kappa(none, .99 * gamma) > 1);
  CHECK(std::isinf(static_cast<double>(safe_gamma(b, Q, large, Theta))));
  CHECK(kappa(large, 1000) < 1);
  double const infinity = std::numeric_limits<double>::infinity();
  auto const held = [&](double rest) {  // channel 0 at 0
    Host beta(4, 1, rest);
    beta(0, 0) = infinity;
    ElasticNet<B> const psi(b, in_memory_of(b, Host(4, 1, .1)), in_memory_of(b, beta));
    return static_cast<double>(safe_gamma(b, Q, psi, Theta));
  };
  CHECK(held(0) >= plain * (1 - 1e-6));
  CHECK(held(0) < 2 * plain);
  CHECK(std::isinf(held(8)));
  CHECK(std::isinf(held(infinity)));
}

TEST_CASE_TEMPLATE("(K3) kappa of a convolution of kernel 1 is shown as that of its matrix is", B,
                   Cpu<double>, Cpu<float>) {
  B b;
  for (std::uint64_t n = 0; n < 6; ++n) {
    Host const W = mapped([](double w) { return .2 * w; }, normal_matrix<double>(4, 8, seed(60 + n)));
    auto const sites = free_recurrence(b, ConvolutionalBlocks{3, 2, 1, 2}, W);
    auto const rows = free_recurrence(b, DenseBlocks{2}, W);
    auto const S = contraction(b, rows).S;
    double const kappa = static_cast<double>(contraction_factor(b, sites, S));
    CHECK(kappa == doctest::Approx(static_cast<double>(contraction_factor(b, rows, S))).epsilon(1e-6));
    CHECK(kappa >=
          norm_from_below(scaled(in_double(b, S), rounded<double>(rows.structure.dense(b, rows.W_tilde)))));
  }
}

}  // namespace detrame
