// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/pixel_scores.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/data/normalise.hpp"
#include "laws/archetype.hpp"
#include "robust/linear_scores.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

namespace {
std::vector<double> const mean{.4914, .4822, 1. / 3}, deviation{.247, .2435, .2616};

/// Scores that are some entries of what it reads: it shows the bits.
template <Backend B>
test::LinearScores<B> shows_entries(B& b, Shape shape) {
  return {b, shape,
          host_matrix<double>(shape.size(), shape.size(), [](Index i, Index l) { return double(i == l); }),
          HostMatrix<double>(shape.size(), 1)};
}
}  // namespace

TEST_CASE_TEMPLATE("pixels: a map reads what normalise makes of them, bit for bit", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  constexpr Shape shape{3, 4, 4};
  auto inner = shows_entries(b, shape);
  PixelScores map(inner, mean, deviation);
  auto const pixels = host_matrix<Scalar>(
      3, 96 * 16, [](Index c, Index j) { return static_cast<Scalar>((7 * j + 11 * c) % 256) / Scalar(255); });
  LabelledImages<Scalar> data{shape, pixels, {}, 1};
  auto const x = to_device(b, data.images);
  normalise(data, {mean, deviation});
  Matrix<B> y = zeros(b, shape.size(), 96);
  map.predict(x, y);
  CHECK(test::reshaped(to_host(b, ConstView<B>(y)), 3, 96 * 16) == data.images);
  CHECK(test::reshaped(to_host(b, map.scores(x)), 3, 96 * 16) == data.images);
}

TEST_CASE_TEMPLATE("pixels: pullback is the adjoint, also after another predict", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(3);
  test::LinearScores inner(b, p.shape, p.W, p.c);
  PixelScores map(inner, mean, deviation);
  CHECK((map.input() == p.shape && map.classes() == 5));
  auto const x = p.images(b);
  auto const y_bar = test::random_matrix(b, 5, 3, test::seed(8));
  map.scores(x);
  Matrix<B> other = zeros(b, 5, 1), x_bar = zeros(b, 3, 12);
  map.predict(ConstView<B>(x).middle_cols(0, 4), other);
  for (int call = 0; call < 2; ++call) {
    map.pullback(y_bar, x_bar);
    auto const found = to_host(b, ConstView<B>(x_bar)), given = to_host(b, ConstView<B>(y_bar));
    for (Index j = 0; j < 3; ++j)
      for (Index i = 0; i < 12; ++i) {
        double sum = 0;
        for (Index k = 0; k < 5; ++k) sum += p.W(k, i) * static_cast<double>(given(k, j));
        sum /= deviation[static_cast<std::size_t>(i % 3)];
        CHECK(std::abs(static_cast<double>(found(i % 3, i / 3 + 4 * j)) - sum) <=
              double(test::tolerance<Scalar>(6, 30)));
      }
  }
}

TEST_CASE_TEMPLATE("pixels: statistics that do not fit are refused", B, BACKENDS) {
  B b;
  auto inner = shows_entries(b, Shape{3});
  using Map = PixelScores<test::LinearScores<B>>;
  CHECK_THROWS_AS(Map(inner, {0, 0}, {1, 1}), ShapeError);
  CHECK_THROWS_AS(Map(inner, {0, 0, 0}, {1, 1}), ShapeError);
  CHECK_THROWS_WITH_AS(Map(inner, {0, 0, 0}, {1, 0, 1}), "PixelScores: deviation = 0, must be > 0 and finite",
                       DomainError);
  CHECK_THROWS_AS(Map(inner, {0, limits::nan<double>, 0}, {1, 1, 1}), DomainError);
}

}  // namespace detrame
