// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/network_scores.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/network/any.hpp"
#include "detrame/robust/deep_fool.hpp"
#include "detrame/robust/predicted_labels.hpp"
#include "laws/archetype.hpp"
#include "train/problem.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

/// What a map of scores must do, at some images.
template <ScoreMap M, Backend B>
void check_laws(M& map, B& b, Matrix<B> const& x, Index n) {
  using Scalar = typename B::Scalar;
  Index const sites = map.input().sites(), k = map.classes();
  Matrix<B> y = zeros(b, k, n), x_bar = zeros(b, x.rows(), x.cols());
  map.predict(x, y);
  auto const scores = to_host(b, map.scores(x));
  CHECK(scores == to_host(b, ConstView<B>(y)));
  auto const y_bar = test::random_matrix(b, k, n, test::seed(4));
  map.pullback(y_bar, x_bar);
  auto const first = to_host(b, ConstView<B>(x_bar));
  Matrix<B> other = zeros(b, k, 1), alone_bar = zeros(b, x.rows(), sites);
  map.predict(ConstView<B>(x).middle_cols(0, sites), other);  // between scores and pullback
  map.pullback(y_bar, x_bar);
  CHECK(to_host(b, ConstView<B>(x_bar)) == first);
  for (Index j = 0; j < n; ++j) {  // what is computed of an image depends on no other one
    map.scores(ConstView<B>(x).middle_cols(j * sites, sites));
    map.pullback(ConstView<B>(y_bar).middle_cols(j, 1), alone_bar);
    auto const alone = to_host(b, ConstView<B>(alone_bar));
    for (Index i = 0; i < alone.rows() * sites; ++i)
      CHECK(std::abs(alone.data()[i] - first.data()[i + j * alone.rows() * sites]) <=
            test::tolerance<Scalar>(30, double(test::max_abs(first))));
  }
}

TEST_CASE_TEMPLATE("a network's scores are those of predict, and pullback is of that map", B, BACKENDS) {
  B b;
  using Net = test::SmallNet<B>;
  auto theta = Net().parameters(b);
  initialise(b, theta, ReluStart(), 5);
  auto const data = test::clusters(b, 6, 7);
  NetworkScores map(b, Net(), theta);
  check_laws(map, b, data.x, 6);

  AnyNetwork<B> const net("small", Net());
  auto any_theta = net.parameters(b);
  initialise(b, any_theta, ReluStart(), 5);
  NetworkScores any(b, net, any_theta);
  check_laws(any, b, data.x, 6);
  CHECK(to_host(b, any.scores(data.x)) == to_host(b, map.scores(data.x)));

  auto const labels = predicted_labels(map, data.x);
  auto const found = deep_fool(map, data.x, {.classes = 3});
  auto attacked = to_host(b, ConstView<B>(data.x));
  for (Index i = 0; i < attacked.rows() * attacked.cols(); ++i) attacked.data()[i] += found.v.data()[i];
  auto const fooled = predicted_labels(map, to_device(b, attacked));
  Index changed = 0;
  for (std::size_t j = 0; j < 6; ++j) {
    CHECK(found.images[j].label == labels[j]);
    CHECK(found.images[j].fooled_label == fooled[j]);
    changed += found.images[j].changed();
  }
  CHECK(changed == 6);
}

TEST_CASE("a network that gives scores at several sites is refused") {
  Cpu<float> b;
  using Net = Bind<Stack<Dense<2>>, Shape{1, 2, 2}, Cpu<float>>;
  auto const theta = Net().parameters(b);
  CHECK_THROWS_WITH_AS(NetworkScores(b, Net(), theta),
                       "NetworkScores: the network gives 2 x 2 x 2, must give one number a class",
                       ShapeError);
}

}  // namespace detrame
