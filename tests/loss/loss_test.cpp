// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/loss/hinge.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/loss/squared_error.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using Host = HostMatrix<double>;

/// One column of each loss, by its formula, in double.
double column(SoftmaxCrossEntropy const& loss, Host const& y, Host const& t, Index j) {
  auto const power = [&](Index i) { return std::exp((y(i, j) - loss.offset * t(i, j)) / loss.temperature); };
  double sum = 0, value = 0;
  for (Index i = 0; i < y.rows(); ++i) sum += power(i);
  for (Index i = 0; i < y.rows(); ++i) value -= loss.temperature * t(i, j) * std::log(power(i) / sum);
  return value;
}
double column(SquaredError, Host const& y, Host const& t, Index j) {
  double loss = 0;
  for (Index i = 0; i < y.rows(); ++i) loss += (y(i, j) - t(i, j)) * (y(i, j) - t(i, j)) / 2;
  return loss;
}
double column(Hinge, Host const& y, Host const& t, Index j) {
  double loss = 0;
  for (Index i = 0; i < y.rows(); ++i) loss += std::max(0., 1 - (t(i, j) == 1 ? 1 : -1) * y(i, j));
  return loss;
}
template <class Loss>
double by_formula(Loss const& loss, Host const& y, Host const& t) {
  double mean = 0;
  for (Index j = 0; j < y.cols(); ++j) mean += column(loss, y, t, j) / static_cast<double>(y.cols());
  return mean;
}

template <class Scalar>
struct Evaluated {
  Scalar value, alone;
  HostMatrix<Scalar> y_bar;
};

/// The loss on a backend; y_bar holds NaN before.
template <template <class> class BackendOf, class Scalar, class Loss>
Evaluated<Scalar> evaluated(Loss const& loss, HostMatrix<Scalar> const& y, HostMatrix<Scalar> const& t) {
  using B = BackendOf<Scalar>;
  static_assert(LossOn<Loss, B>);
  B b;
  auto const y_there = to_device(b, y), t_there = to_device(b, t);
  auto y_bar = to_device(b, HostMatrix<Scalar>(y.rows(), y.cols(), std::numeric_limits<Scalar>::quiet_NaN()));
  Scalar const value = loss.value(b, y_there, t_there, y_bar);
  return {value, loss.value(b, y_there, t_there), to_host(b, y_bar)};
}

/// Labels 0, 1, 2, ... one-hot.
Host hard(Index classes, Index N) {
  return host_matrix<double>(classes, N, [&](Index i, Index j) { return i == j % classes ? 1. : 0.; });
}
/// Any weights, which need not sum to 1.
Host soft(Index classes, Index N) { return test::uniform_matrix<double>(classes, N, test::seed(9)); }

template <class Loss, template <class> class BackendOf>
void is_its_formula(Host const& t, Loss const& loss = {}) {
  Host const y = test::normal_matrix<double>(t.rows(), t.cols(), test::seed(1));
  double const expected = by_formula(loss, y, t);
  REQUIRE(expected > 0.1);
  auto const [value, alone, y_bar] = evaluated<BackendOf>(loss, y, t);
  CHECK(std::abs(value - expected) <= test::tolerance<double>(t.rows() + t.cols(), expected + 1));
  CHECK(alone == value);
  auto const in_float = evaluated<BackendOf>(loss, test::rounded<float>(y), test::rounded<float>(t));
  CHECK(std::abs(static_cast<double>(in_float.value) - expected) <=
        static_cast<double>(test::tolerance<float>(t.rows() + t.cols(), expected + 1)));
  CHECK(test::relative_difference(test::rounded<double>(in_float.y_bar), y_bar) <=
        static_cast<double>(test::tolerance<float>(t.rows(), 4)));
  double const h = 6e-6;  // and y_bar its gradient: differences
  for (Index i = 0; i < y.rows(); ++i)
    for (Index j = 0; j < y.cols(); ++j) {
      Host up = y, down = y;
      up(i, j) += h, down(i, j) -= h;
      REQUIRE_FALSE((std::abs(1 - std::abs(y(i, j))) <= h && std::is_same_v<Loss, Hinge>));
      double const numeric = (by_formula(loss, up, t) - by_formula(loss, down, t)) / (2 * h);
      CHECK(std::abs(y_bar(i, j) - numeric) <= 200 * (h * h + 1e-16 / h));
    }
}

TEST_CASE("each loss is its formula, with hard targets and with soft ones, and y_bar its gradient") {
  is_its_formula<SoftmaxCrossEntropy, Cpu>(hard(4, 9));
  is_its_formula<SoftmaxCrossEntropy, Cpu>(soft(4, 9));
  is_its_formula<SoftmaxCrossEntropy, archetype::Loops>(soft(4, 9));
  is_its_formula<SquaredError, Cpu>(soft(4, 9));
  is_its_formula<SquaredError, archetype::Loops>(hard(4, 9));
  is_its_formula<Hinge, Cpu>(hard(4, 9));
  is_its_formula<Hinge, archetype::Loops>(hard(4, 9));
}

TEST_CASE("softmax cross-entropy with offset and temperature is its formula, and y_bar its gradient") {
  SoftmaxCrossEntropy const loss{.offset = .4, .temperature = .25};
  is_its_formula<SoftmaxCrossEntropy, Cpu>(hard(4, 9), loss);
  is_its_formula<SoftmaxCrossEntropy, archetype::Loops>(hard(4, 9), loss);
  auto const refused = [](SoftmaxCrossEntropy wrong, char const* text) {
    Cpu<double> b;
    auto const y = zeros(b, 3, 4);
    test::check_throws_with<DomainError>([&] { wrong.value(b, y, y); }, text);
  };
  refused({.temperature = 0}, "SoftmaxCrossEntropy: temperature = 0, must be > 0 and finite");
  refused({.offset = std::numeric_limits<double>::infinity()}, "SoftmaxCrossEntropy: offset = inf");
}

TEST_CASE("softmax cross-entropy with an offset is that of scores from which it was taken") {
  Host const t = hard(4, 9), y = test::normal_matrix<double>(4, 9, test::seed(1));
  Host const less = test::mapped([](double a, double b) { return a - .5 * b; }, y, t);
  auto const with = evaluated<Cpu>(SoftmaxCrossEntropy{.offset = .5}, y, t);
  auto const without = evaluated<Cpu>(SoftmaxCrossEntropy(), less, t);
  CHECK((with.value == without.value && with.y_bar == without.y_bar));
  REQUIRE(with.value > evaluated<Cpu>(SoftmaxCrossEntropy(), y, t).value + .1);
}

TEST_CASE_TEMPLATE("softmax cross-entropy does not overflow at scores of 10000, and does not see a shift",
                   Scalar, float, double) {
  HostMatrix<Scalar> y(2, 3), t(2, 3);
  y(0, 0) = y(0, 1) = 1e4, y(1, 0) = y(1, 1) = -1e4;  // right with label 0, wrong with label 1
  t(0, 0) = t(1, 1) = t(0, 2) = 1;                    // the third column: no preference
  auto const [value, alone, y_bar] = evaluated<Cpu>(SoftmaxCrossEntropy(), y, t);
  CHECK(std::abs(value - Scalar((2e4 + std::log(2.)) / 3)) <= test::tolerance<Scalar>(3, 1e4));
  Scalar const third = Scalar(1) / 3;
  Scalar const expected[2][3] = {{0, third, -third / 2}, {0, -third, third / 2}};
  for (Index i = 0; i < 2; ++i)
    for (Index j = 0; j < 3; ++j)
      CHECK(std::abs(y_bar(i, j) - expected[i][j]) <= test::tolerance<Scalar>(2, 1));
  auto const raised = test::mapped([](Scalar a) { return a + 1024; }, y);
  CHECK(test::max_abs_difference(evaluated<Cpu>(SoftmaxCrossEntropy(), raised, t).y_bar, y_bar) <=
        test::tolerance<Scalar>(2, 1));
}

TEST_CASE_TEMPLATE("softmax cross-entropy of scores far below 0, the first of them masked", Scalar, float,
                   double) {
  HostMatrix<Scalar> y(3, 1, Scalar(-1e4)), t(3, 1);
  y(0, 0) = Scalar(-1e10);  // of which float keeps multiples of 1024
  t(2, 0) = 1;
  for (auto const& [value, alone, y_bar] : {evaluated<Cpu>(SoftmaxCrossEntropy(), y, t),
                                            evaluated<archetype::Loops>(SoftmaxCrossEntropy(), y, t)}) {
    CHECK(std::abs(value - Scalar(std::log(2.))) <= test::tolerance<Scalar>(3, 1));
    CHECK(y_bar(0, 0) == 0);
    CHECK(std::abs(y_bar(1, 0) - Scalar(.5)) <= test::tolerance<Scalar>(3, 1));
    CHECK(std::abs(y_bar(2, 0) + Scalar(.5)) <= test::tolerance<Scalar>(3, 1));
  }
}

TEST_CASE_TEMPLATE("softmax cross-entropy: an impossible class costs nothing that is not asked for", Scalar,
                   float, double) {
  Scalar const infinity = std::numeric_limits<Scalar>::infinity();
  HostMatrix<Scalar> y(2, 2), t(2, 2);
  y(1, 0) = y(1, 1) = -infinity;
  t(0, 0) = t(1, 1) = 1;
  auto const check = [&](auto const& both, HostMatrix<Scalar> const& first) {
    CHECK(both.value == infinity);  // the second sample asks for it
    CHECK(first(0, 0) == 0);
    CHECK(first(1, 0) == 0);
  };
  auto const one_y = host_matrix<Scalar>(2, 1, [&](Index i, Index) { return y(i, 0); });
  auto const one_t = host_matrix<Scalar>(2, 1, [&](Index i, Index) { return t(i, 0); });
  auto const cpu = evaluated<Cpu>(SoftmaxCrossEntropy(), one_y, one_t);
  auto const loops = evaluated<archetype::Loops>(SoftmaxCrossEntropy(), one_y, one_t);
  CHECK((cpu.value == 0 && loops.value == 0));
  check(evaluated<Cpu>(SoftmaxCrossEntropy(), y, t), cpu.y_bar);
  check(evaluated<archetype::Loops>(SoftmaxCrossEntropy(), y, t), loops.y_bar);
}

template <class Loss, template <class> class BackendOf>
void passes_nan_on() {
  Host const t = hard(3, 4);
  for (double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Host y = test::normal_matrix<double>(3, 4, test::seed(2));
    y(0, 1) = bad;  // not the target
    auto const [value, alone, y_bar] = evaluated<BackendOf>(Loss(), y, t);
    CHECK_FALSE(std::isfinite(value));
    for (Index j = 0; j < 4; ++j)
      if (j != 1)
        for (Index i = 0; i < 3; ++i) CHECK(std::isfinite(y_bar(i, j)));
    if (std::isnan(bad)) CHECK(std::isnan(y_bar(0, 1)));
  }
}

TEST_CASE("NaN and infinity among the scores come out of every loss; gradients of other samples stay") {
  passes_nan_on<SoftmaxCrossEntropy, Cpu>();
  passes_nan_on<SoftmaxCrossEntropy, archetype::Loops>();
  passes_nan_on<SquaredError, Cpu>();
  passes_nan_on<Hinge, Cpu>();
}

TEST_CASE("at the hinge's kink the derivative is 0") {
  Host const y(2, 1, 1.), t(2, 1, 1.);
  auto const [value, alone, y_bar] = evaluated<Cpu>(Hinge(), y, t);
  CHECK((value == 0 && test::max_abs(y_bar) == 0));
}

TEST_CASE_TEMPLATE("a loss of no samples is 0; shapes that do not fit are refused", Loss, SoftmaxCrossEntropy,
                   SquaredError, Hinge) {
  Host const none(3, 0);
  auto const [value, alone, nothing] = evaluated<archetype::Loops>(Loss(), none, none);
  CHECK((value == 0 && alone == 0));
  Cpu<double> b;
  auto const y = zeros(b, 3, 4);
  auto other = zeros(b, 2, 4), y_bar = zeros(b, 3, 5);
  test::check_throws_with<ShapeError>([&] { Loss().value(b, y, other); },
                                      ": y is 3 x 4, the targets are 2 x 4");
  test::check_throws_with<ShapeError>([&] { Loss().value(b, y, other, y_bar); }, ": y is 3 x 4, ");
  test::check_throws_with<ShapeError>([&] { Loss().value(b, y, y, y_bar); }, ": y is 3 x 4, y_bar is 3 x 5");
}

TEST_CASE("one_hot has a 1 at each label, and refuses labels out of range") {
  archetype::Loops<float> b;
  std::vector<int> const labels{2, 0, 1, 2};
  CHECK(to_host(b, one_hot(b, labels, 3)) == host_matrix<float>(3, 4, [&](Index i, Index j) {
          return i == labels[static_cast<std::size_t>(j)] ? 1.f : 0.f;
        }));
  CHECK(one_hot(b, {}, 3).cols() == 0);
  std::vector<int> const above{0, 3}, below{0, 1, -1};
  test::check_throws_with<DomainError>([&] { one_hot(b, above, 3); },
                                       "one_hot: label 1 is 3, must be in [0, 3)");
  test::check_throws_with<DomainError>([&] { one_hot(b, below, 3); }, "one_hot: label 2 is -1");
}

}  // namespace detrame
