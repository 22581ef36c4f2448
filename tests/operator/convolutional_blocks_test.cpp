// SPDX-License-Identifier: Apache-2.0
#include "detrame/operator/convolutional_blocks.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/operator/dense_blocks.hpp"
#include "laws/archetype.hpp"
#include "laws/operator_laws.hpp"

namespace detrame {

static_assert(StructureOn<ConvolutionalBlocks, Cpu<float>> && StructureOn<ConvolutionalBlocks, Cpu<double>>);
static_assert(StructureOn<ConvolutionalBlocks, archetype::Loops<float>>);

namespace {

/// {height, width, kernel, groups}, channels, columns: kernels of 1, 3, 5; one row, one column, odd sizes;
/// no images.
template <Backend B>
void obeys_the_laws() {
  laws::structure_laws<B, ConvolutionalBlocks>({{{5, 7, 3, 2}, 4, 70},
                                                {{4, 4, 1, 1}, 3, 32},
                                                {{2, 3, 3, 1}, 5, 18},
                                                {{3, 5, 5, 3}, 3, 15},
                                                {{6, 5, 5, 1}, 2, 30},
                                                {{3, 3, 3, 1}, 9, 0}});
}

template <class Scalar>
HostMatrix<Scalar> applied(ConvolutionalBlocks const& s, HostMatrix<Scalar> const& W,
                           HostMatrix<Scalar> const& U, int threads = 1) {
  Cpu<Scalar> cpu(threads);
  return laws::applied(cpu, s, to_device(cpu, W), to_device(cpu, U));
}

/// (W2) kappa^2, kappa = max_ik sum_j sum_p |A_pi| |G_pk| |B^T_pj|: by how much a Winograd product may
/// magnify the rounding of a sum.
template <int m>
double const winograd_rounding = [] {
  using W = Winograd<m>;
  double kappa = 0;
  for (int i = 0; i < m; ++i)
    for (int k = 0; k < 3; ++k) {
      double sum = 0;
      for (int p = 0; p < W::points; ++p)
        for (int j = 0; j < W::points; ++j) sum += std::abs(W::A[p][i] * W::K[p][k] / W::N[p] * W::B_T[p][j]);
      kappa = std::max(kappa, sum);
    }
  return kappa * kappa;
}();

/// Less than a tile to several, sizes that are no multiple of a tile, channels that are no multiple of a
/// packet; no images.
template <Backend B, int m>
void winograd_obeys_the_laws(double rounding) {
  laws::structure_laws<B, ConvolutionalBlocksBy<Winograd<m>>>({{{5, 7, 3, 2}, 4, 70},
                                                               {{2, 2, 3, 1}, 3, 8},
                                                               {{2, 3, 3, 1}, 5, 18},
                                                               {{9, 8, 3, 2}, 20, 144},
                                                               {{3, 3, 3, 1}, 9, 0}},
                                                              rounding);
}

}  // namespace

// (W2): the rounding of a Winograd product is that of a sum times a constant of its points.
TEST_CASE("(W1) by Winograd's algorithm they obey the laws of a structure") {
  SUBCASE("F(4 x 4), float") { winograd_obeys_the_laws<Cpu<float>, 4>(winograd_rounding<4>); }
  SUBCASE("F(4 x 4), double") { winograd_obeys_the_laws<Cpu<double>, 4>(winograd_rounding<4>); }
  SUBCASE("F(2 x 2), float") { winograd_obeys_the_laws<Cpu<float>, 2>(winograd_rounding<2>); }
  SUBCASE("F(2 x 2), double") { winograd_obeys_the_laws<Cpu<double>, 2>(winograd_rounding<2>); }
}

TEST_CASE("(K1) ConvolutionalBlocks obeys the laws of a structure: Cpu<float>") {
  obeys_the_laws<Cpu<float>>();
}
TEST_CASE("(K1) ConvolutionalBlocks obeys the laws of a structure: Cpu<double>") {
  obeys_the_laws<Cpu<double>>();
}
TEST_CASE("(K1) ConvolutionalBlocks obeys the laws of a structure: Loops<float>") {
  obeys_the_laws<archetype::Loops<float>>();
}
TEST_CASE("(K1) ConvolutionalBlocks obeys the laws of a structure: Loops<double>") {
  obeys_the_laws<archetype::Loops<double>>();
}

TEST_CASE_TEMPLATE("(K1) the sum of the definition, tap by tap", Scalar, float, double) {
  ConvolutionalBlocks const s{5, 4, 3, 2};
  Index const k = 6, kg = 3, images = 2;
  auto const W = test::normal_matrix<Scalar>(s.weight_rows(k), s.weight_cols(k), test::seed(1));
  auto const U = test::normal_matrix<Scalar>(k, images * s.unit(), test::seed(2));
  auto const V = applied(s, W, U);
  for (Index n = 0; n < images; ++n)
    for (Index y = 0; y < s.height; ++y)
      for (Index x = 0; x < s.width; ++x)
        for (Index o = 0; o < k; ++o) {
          double sum = 0, size = 0;
          for (Index dy = -1; dy <= 1; ++dy)
            for (Index dx = -1; dx <= 1; ++dx)
              for (Index i = 0; i < kg; ++i) {
                if (y + dy < 0 || y + dy >= s.height || x + dx < 0 || x + dx >= s.width) continue;
                Index const g = o / kg;
                double const term =
                    static_cast<double>(W(o % kg, g * 9 * kg + ((dy + 1) * 3 + dx + 1) * kg + i)) *
                    static_cast<double>(U(g * kg + i, n * s.unit() + (y + dy) * s.width + x + dx));
                sum += term;
                size += std::abs(term);
              }
          CHECK(std::abs(static_cast<double>(V(o, n * s.unit() + y * s.width + x)) - sum) <=
                test::tolerance<Scalar>(9 * kg, size));
        }
}

TEST_CASE_TEMPLATE("a 1 x 1 kernel is DenseBlocks, bit for bit", Scalar, float, double) {
  Cpu<Scalar> cpu;
  auto const W = test::normal_matrix<Scalar>(4, 8, test::seed(1));
  auto const U = test::normal_matrix<Scalar>(8, 30, test::seed(2));
  CHECK(applied(ConvolutionalBlocks{5, 6, 1, 2}, W, U) ==
        laws::applied(cpu, DenseBlocks{2}, to_device(cpu, W), to_device(cpu, U)));
}

TEST_CASE_TEMPLATE("an image depends on no other, bit for bit", Scalar, float, double) {
  ConvolutionalBlocks const s{6, 7, 3};
  auto const W = test::normal_matrix<Scalar>(16, 144, test::seed(1));
  auto const U = test::normal_matrix<Scalar>(16, 3 * s.unit(), test::seed(2));
  auto const V = applied(s, W, U);
  for (Index n = 0; n < 3; ++n) {
    auto const image =
        host_matrix<Scalar>(16, s.unit(), [&](Index i, Index j) { return U(i, n * s.unit() + j); });
    CHECK(applied(s, W, image) ==
          host_matrix<Scalar>(16, s.unit(), [&](Index i, Index j) { return V(i, n * s.unit() + j); }));
  }
}

TEST_CASE("an image smaller than its kernel: no pixel reaches the outer taps") {
  Cpu<double> cpu;
  ConvolutionalBlocks const s{1, 1, 5};
  auto const W = test::normal_matrix<double>(3, 75, test::seed(1));
  auto const dense = s.dense(cpu, to_device(cpu, W));
  CHECK(dense == host_matrix<double>(3, 3, [&](Index i, Index j) { return W(i, 36 + j); }));
  CHECK(s.dense(cpu, to_device(cpu, s.from_dense(dense))) == dense);
}

TEST_CASE("ConvolutionalBlocks: what is no such map is refused") {
  using test::check_throws_with;
  check_throws_with<DomainError>([] { ConvolutionalBlocks{4, 4, 2}.check("QMetricReLU", 3); },
                                 "QMetricReLU: kernel = 2, must be odd and >= 1");
  check_throws_with<DomainError>([] { ConvolutionalBlocks{4, 0, 3}.check("QMetricReLU", 3); },
                                 "QMetricReLU: images of 4 x 0 pixels, must have one or more");
  check_throws_with<DomainError>([] { ConvolutionalBlocks{4, 4, 3, 0}.check("QMetricReLU", 3); },
                                 "QMetricReLU: groups = 0, must be >= 1");
  check_throws_with<DomainError>([] { ConvolutionalBlocks{4, 4, 3, 2}.check("QMetricReLU", 3); },
                                 "QMetricReLU: 2 groups of equal size cannot be made of 3 channels");
  check_throws_with<ShapeError>(
      [] { ConvolutionalBlocks{2, 2, 3}.from_dense(HostMatrix<double>(6, 6)); },
      "ConvolutionalBlocks: W_tilde is 6 x 6, must be square, for images of 2 x 2 pixels");
  HostMatrix<double> uneven(4, 4);
  uneven(0, 0) = 1;
  check_throws_with<DomainError>(
      [&] { ConvolutionalBlocks{2, 2, 3}.from_dense(uneven); },
      "ConvolutionalBlocks: W_tilde(1, 1) = 0, differs from an entry of the same weight");
  HostMatrix<double> far(9, 9);
  far(8, 0) = 1;
  check_throws_with<DomainError>([&] { ConvolutionalBlocks{3, 3, 3}.from_dense(far); },
                                 "ConvolutionalBlocks: W_tilde(8, 0) = 1, must be 0");
}

}  // namespace detrame
