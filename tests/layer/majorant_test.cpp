// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/majorant.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/operator/definite.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using Host = HostMatrix<double>;

/// D as the matrix from codes at all positions of a window to an image of m channels.
template <class Scalar>
Host materialised(Window const& w, HostMatrix<Scalar> const& D, Index m) {
  Index const k = D.cols();
  Host A(m * w.sites(), k * w.out_sites());
  for (Index q = 0; q < w.out_sites(); ++q)
    for (Index tap = 0; tap < w.taps(); ++tap) {
      Index const y = w.stride * (q / w.out_width()) + tap / w.kernel - w.padding,
                  x = w.stride * (q % w.out_width()) + tap % w.kernel - w.padding;
      if (y < 0 || y >= w.height || x < 0 || x >= w.width) continue;
      for (Index o = 0; o < k; ++o)
        for (Index c = 0; c < m; ++c)
          A(m * (y * w.width + x) + c, k * q + o) = static_cast<double>(D(tap * m + c, o));
    }
  return A;
}

template <template <class> class BackendOf, class Scalar, class Step>
HostMatrix<Scalar> majorant_of(Window const& w, HostMatrix<Scalar> const& D) {
  using B = BackendOf<Scalar>;
  B b;
  auto const there = to_device(b, D), D_T = to_device(b, test::transposed(D));
  Majorant<B, Step> majorant;
  majorant.compute(b, w, there, D_T);
  return to_host(b, majorant.Theta());
}

/// Whether Theta - D^T D is shown to be positive semi-definite, and how much of Theta is needed.
template <class Scalar>
bool dominates(Window const& w, HostMatrix<Scalar> const& D, Index m, HostMatrix<Scalar> const& Theta,
               double share = 1) {
  Host const A = materialised(w, D, m);
  Index const n = A.cols(), k = D.cols();
  std::vector<double> rest(static_cast<std::size_t>(n * n));
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < n; ++i) {
      double sum = i == j ? share * static_cast<double>(Theta(i % k, 0)) * (1 + 1e-12) : 0;
      for (Index s = 0; s < A.rows(); ++s) sum -= A(s, i) * A(s, j);
      rest[static_cast<std::size_t>(i + j * n)] = sum;
    }
  return detail::shown_definite(rest, n, 0);
}

TEST_CASE_TEMPLATE("(L6) D^T D <= Theta, on images of several sizes, for Theta as computed", Scalar, float,
                   double) {
  for (Window const w : {Window{4, 5, 3, 1, 1}, Window{2, 2, 3, 1, 1}, Window{5, 4, 3, 2, 1},
                         Window{4, 4, 2, 2, 0}, Window{1, 1, 1, 1, 0}}) {
    auto const D = test::rounded<Scalar>(test::normal_matrix<double>(3 * w.taps(), 4, test::seed(1)));
    auto const rows = majorant_of<Cpu, Scalar, Gershgorin>(w, D);
    CHECK(dominates(w, D, 3, rows));
    CHECK(test::relative_difference(majorant_of<archetype::Loops, Scalar, Gershgorin>(w, D), rows) <=
          test::tolerance<Scalar>(w.taps() * 4, 4));
    if (w.stride < w.kernel) continue;
    auto const norm = majorant_of<Cpu, Scalar, SpectralNorm>(w, D);
    CHECK(dominates(w, D, 3, norm));
    CHECK_FALSE(dominates(w, D, 3, norm, .95));  // not far above |D|^2: at most by the 512th root of 4
  }
}

TEST_CASE_TEMPLATE("(L6) D^T D <= Theta where nothing but rounding is between them", Scalar, float, double) {
  Host const Q = test::orthogonal_matrix(12, test::seed(3));
  auto const one = test::rounded<Scalar>(test::normal_matrix<double>(40, 1, test::seed(4)));  // one atom
  auto const same = host_matrix<Scalar>(40, 6, [&](Index i, Index) { return one(i, 0); });    // six times
  for (auto const& D : {test::rounded<Scalar>(Q), one, same}) {
    Window const w{1, 1, 1, 1, 0};
    CHECK(dominates(w, D, D.rows(), majorant_of<Cpu, Scalar, Gershgorin>(w, D)));
    CHECK(dominates(w, D, D.rows(), majorant_of<Cpu, Scalar, SpectralNorm>(w, D)));
  }
}

TEST_CASE("(L6) D^T D <= Theta where float loses small terms of a sum beside a large one") {
  auto const D = host_matrix<float>(2000, 1, [](Index i, Index) { return i == 0 ? 4096.f : 1.f; });
  double const exact = 16777216. + 1999;  // in float 2^24 + 1 is 2^24
  CHECK(static_cast<double>(majorant_of<Cpu, float, Gershgorin>({1, 1, 1, 1, 0}, D)(0, 0)) >= exact);
  CHECK(static_cast<double>(majorant_of<Cpu, float, SpectralNorm>({1, 1, 1, 1, 0}, D)(0, 0)) >= exact);
}

TEST_CASE("(L6) Gershgorin's Theta is the row sums of |D^T D| of codes whose window meets no border") {
  Window const w{9, 9, 3, 2, 1};
  Host const D = test::normal_matrix<double>(2 * 9, 3, test::seed(5)), A = materialised(w, D, 2),
             Theta = majorant_of<Cpu, double, Gershgorin>(w, D);
  Index const middle = w.out_sites() / 2;
  for (Index o = 0; o < 3; ++o) {
    double sum = 0;
    for (Index i = 0; i < A.cols(); ++i) {
      double g = 0;
      for (Index s = 0; s < A.rows(); ++s) g += A(s, i) * A(s, 3 * middle + o);
      sum += std::abs(g);
    }
    CHECK(Theta(o, 0) >= sum);
    CHECK(Theta(o, 0) <= sum * (1 + 1e-12));
  }
}

TEST_CASE_TEMPLATE("(L6) (U4) Theta is in the unit of D: the same bits for D times a power of two", Scalar,
                   float, double) {
  Window const w{4, 4, 2, 2, 0};
  auto const D = test::normal_matrix<Scalar>(2 * 4, 3, test::seed(6));
  auto const check = [&]<class Step>(Step) {
    auto const once = majorant_of<Cpu, Scalar, Step>(w, D);
    for (int const e : {1, -1, 20, -20, 40, -40}) {
      auto const scaled = test::mapped([&](Scalar v) { return std::ldexp(v, e); }, D);
      CHECK(majorant_of<Cpu, Scalar, Step>(w, scaled) ==
            test::mapped([&](Scalar v) { return std::ldexp(v, 2 * e); }, once));
    }
    // so small that D^T D is not a normal number: Theta is one
    int const far = std::numeric_limits<Scalar>::min_exponent / 2 - 12;
    auto const least =
        majorant_of<Cpu, Scalar, Step>(w, test::mapped([&](Scalar v) { return std::ldexp(v, far); }, D));
    for (Index i = 0; i < 3; ++i) CHECK(least(i, 0) == std::numeric_limits<Scalar>::min());
  };
  check(Gershgorin());
  check(SpectralNorm());
}

TEST_CASE("(L6) a dictionary of zeros has Theta = 0") {
  Host const D(4, 3);
  CHECK(test::max_abs(majorant_of<Cpu, double, Gershgorin>({1, 1, 1, 1, 0}, D)) == 0);
  CHECK(test::max_abs(majorant_of<Cpu, double, SpectralNorm>({1, 1, 1, 1, 0}, D)) == 0);
}

}  // namespace detrame
