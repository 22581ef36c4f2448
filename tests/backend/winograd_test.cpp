// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/winograd.hpp"

#include <cstdint>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "support.hpp"

namespace detrame {
namespace {

/// An entry of a table as a whole number of units: exact, or the test fails.
std::int64_t units(double entry, double unit) {
  double const n = entry / unit;
  CHECK(n == static_cast<double>(static_cast<std::int64_t>(n)));
  return static_cast<std::int64_t>(n);
}

/// sum_p A_pi K_pk B^T_pj / N_p = 1[j = i + k], times a common multiple of the N_p: whole numbers alone.
template <int m>
void identity_holds() {
  using W = Winograd<m>;
  constexpr double unit = 1. / 128;
  std::int64_t common = 1;  // a product of the N_p in units, but for repeated ones
  for (int p = 0; p < W::points; ++p) {
    std::int64_t const N = units(W::N[p], unit);
    if (common % N != 0) common *= N;
  }
  for (int i = 0; i < m; ++i)
    for (int k = 0; k < 3; ++k)
      for (int j = 0; j < W::points; ++j) {
        std::int64_t sum = 0;
        for (int p = 0; p < W::points; ++p)
          sum += units(W::A[p][i], unit) * units(W::K[p][k], unit) * units(W::B_T[p][j], unit) *
                 (common / units(W::N[p], unit));
        CHECK(sum == (j == i + k ? common * 128 * 128 : 0));  // three units above, one below
      }
}

/// The layer of the paper's networks with |W~|_2 <= 1, float by each arithmetic,
/// against the direct sum in double.
struct Scheme {
  ConvolutionalBlocks shape;
  Index k, N;
  HostMatrix<double> W, h, b, Z, U_bar;

  Scheme(Index k_, Index height, Index width, Index images)
      : shape{height, width, 3}, k(k_), N(images * shape.unit()) {
    auto const normal = [&](Index rows, Index cols, std::uint64_t stream, double scale) {
      auto const x = test::normal_matrix<float>(rows, cols, test::seed(stream));
      return host_matrix<double>(rows, cols, [&](Index i, Index j) {
        return static_cast<double>(
            static_cast<float>(scale * static_cast<double>(x(i, j))));  // the same in float
      });
    };
    // The norm of a 3 x 3 kernel of normal entries of deviation s is about 2 * 3 s sqrt(k); half of that is
    // taken here.
    W = normal(k, 9 * k, 1, 1 / (6 * std::sqrt(static_cast<double>(k))));
    h = host_matrix<double>(k, 1, [](Index i, Index) { return i % 2 == 0 ? .75 : .5; });
    b = HostMatrix<double>(k, 1, .0625);
    Z = normal(k, N, 2, 1);
    U_bar = normal(k, N, 3, 1);
  }

  template <int m>
  ConvolutionalBlocksBy<Winograd<m>> by() const {
    return {shape.height, shape.width, shape.kernel};
  }

  template <class Scalar>
  struct Result {
    HostMatrix<Scalar> U, states, Z_bar, W_bar;
  };

  /// Forward and pullback; `frozen`: states whose masks the pullback takes.
  template <class Scalar, class S>
  Result<Scalar> run(S const& structure, Index T, int threads, Result<double> const* frozen = nullptr) const {
    Cpu<Scalar> cpu(threads);
    auto const device = [&](HostMatrix<double> const& x) {
      return to_device(cpu, host_matrix<Scalar>(x.rows(), x.cols(), [&](Index i, Index j) {
                         return static_cast<Scalar>(x(i, j));
                       }));
    };
    auto const W_ = device(W), h_ = device(h), b_ = device(b), Z_ = device(Z), U_bar_ = device(U_bar);
    auto U = zeros(cpu, k, N), states = zeros(cpu, k, (T - 1) * N), Z_bar = zeros(cpu, k, N),
         W_bar = zeros(cpu, k, 9 * k), h_bar = zeros(cpu, k, 1), b_bar = zeros(cpu, k, 1);
    unrolled_prox(cpu, structure, formula::NonnegativeShrinkage(), W_, h_, b_, Z_, T, U, states);
    Result<Scalar> out{to_host(cpu, U), to_host(cpu, states), {}, {}};
    if (frozen) {
      U = device(frozen->U);
      states = device(frozen->states);
    }
    unrolled_prox_pullback(cpu, structure, formula::NonnegativeShrinkage(), W_, h_, b_, Z_, T, U, states,
                           U_bar_, Z_bar, W_bar, h_bar, b_bar);
    out.Z_bar = to_host(cpu, Z_bar);
    out.W_bar = to_host(cpu, W_bar);
    return out;
  }
};

template <class A, class B>
double relative(HostMatrix<A> const& x, HostMatrix<B> const& y) {
  double difference = 0, size = 0;
  for (Index j = 0; j < x.cols(); ++j)
    for (Index i = 0; i < x.rows(); ++i) {
      double const d = std::abs(static_cast<double>(x(i, j)) - static_cast<double>(y(i, j)));
      if (!(d <= difference)) difference = d;
      size = std::max(size, std::abs(static_cast<double>(y(i, j))));
    }
  return difference / size;
}

}  // namespace

TEST_CASE("(W1) the matrices satisfy their defining identity, in whole numbers") {
  SUBCASE("F(2 x 2)") { identity_holds<2>(); }
  SUBCASE("F(4 x 4)") { identity_holds<4>(); }
}

TEST_CASE(
    "(W2) five updates in float are within 5e-6 (F(4 x 4)) and 1e-6 (F(2 x 2)) of double, gradients with the "
    "same masks too") {
  for (auto const& at : {std::array<Index, 4>{96, 12, 10, 2}, {20, 9, 33, 1}, {7, 5, 3, 3}}) {
    Index const k = at[0], height = at[1], width = at[2],
                images = at[3];  // clang 14 cannot capture a binding
    CAPTURE(k);
    Scheme const r(k, height, width, images);
    auto const exact = r.run<double>(r.shape, 5, 1);
    auto const F4 = r.run<float>(r.by<4>(), 5, 1, &exact);
    auto const F2 = r.run<float>(r.by<2>(), 5, 1, &exact);
    CHECK(relative(F4.U, exact.U) <= 5e-6);
    CHECK(relative(F2.U, exact.U) <= 1e-6);
    CHECK(relative(F4.Z_bar, exact.Z_bar) <= 5e-6);
    CHECK(relative(F2.Z_bar, exact.Z_bar) <= 2e-6);
    CHECK(relative(F4.W_bar, exact.W_bar) <= 5e-6);
    CHECK(relative(F2.W_bar, exact.W_bar) <= 2e-6);
    MESSAGE("k ", k, ": U ", relative(F4.U, exact.U), " ", relative(F2.U, exact.U), " Z_bar ",
            relative(F4.Z_bar, exact.Z_bar), " ", relative(F2.Z_bar, exact.Z_bar), " W_bar ",
            relative(F4.W_bar, exact.W_bar), " ", relative(F2.W_bar, exact.W_bar));
  }
}

TEST_CASE("(W1) results do not depend on the number of threads, nor an image on its neighbours") {
  Scheme const r(12, 9, 10, 13);
  auto const by = r.by<4>();
  auto const one = r.run<float>(by, 3, 1);
  for (int threads : {2, 3}) {
    auto const more = r.run<float>(by, 3, threads);
    CHECK(more.U == one.U);
    CHECK(more.Z_bar == one.Z_bar);
    CHECK(more.W_bar == one.W_bar);
  }
  Scheme alone(12, 9, 10, 1);
  for (Index image : {0, 7}) {
    alone.Z =
        host_matrix<double>(r.k, alone.N, [&](Index i, Index j) { return r.Z(i, image * alone.N + j); });
    auto const single = alone.run<float>(by, 3, 1);
    CHECK(single.U ==
          host_matrix<float>(r.k, alone.N, [&](Index i, Index j) { return one.U(i, image * alone.N + j); }));
  }
}

TEST_CASE("NaN stays in its image and does not vanish") {
  Scheme r(5, 8, 8, 2);
  r.Z(2, 70) = std::numeric_limits<double>::quiet_NaN();
  auto const out = r.run<float>(r.by<4>(), 2, 1);
  CHECK(std::isnan(out.U(2, 70)));
  for (Index j = 0; j < 64; ++j)
    for (Index i = 0; i < 5; ++i) CHECK(!std::isnan(out.U(i, j)));
}

}  // namespace detrame
