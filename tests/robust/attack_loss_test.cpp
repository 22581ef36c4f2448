// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/attack_loss.hpp"

#include "support.hpp"

namespace detrame {

namespace {

/// The losses as they are written, in double; of cross-entropy log(exp(loss) - 1).
double written(AttackLoss loss, HostMatrix<double> const& y, int label) {
  double sum = 0, other = -INFINITY;
  std::vector<double> sorted;
  for (Index i = 0; i < y.rows(); ++i) {
    sum += std::exp(y(i, 0));
    sorted.push_back(y(i, 0));
    if (i != label) other = std::max(other, y(i, 0));
  }
  if (loss == AttackLoss::cross_entropy) return std::log(std::expm1(std::log(sum) - y(label, 0)));
  std::sort(sorted.rbegin(), sorted.rend());
  return -(y(label, 0) - other) / (sorted[0] - sorted[2]);
}

}  // namespace

TEST_CASE_TEMPLATE("attack losses are those of the paper, and y_bar a positive multiple of their gradients",
                   Scalar, float, double) {
  int constants = 0;
  for (AttackLoss const loss : {AttackLoss::cross_entropy, AttackLoss::dlr})
    for (int label = 0; label < 5; ++label) {
      auto const y = test::normal_matrix<Scalar>(5, 3, test::seed(2));
      HostMatrix<Scalar> y_bar(5, 3, Scalar(7));
      double const value = attack_loss(loss, y, 1, label, y_bar);
      auto column = host_matrix<double>(5, 1, [&](Index i, Index) { return static_cast<double>(y(i, 1)); });
      CHECK(std::abs(value - written(loss, column, label)) <= test::tolerance<double>(20, 10));
      double gradient[5], factor = 0, inner = 0, square = 0;
      constexpr double h = 6e-6;
      for (Index i = 0; i < 5; ++i) {
        double const there = column(i, 0);
        column(i, 0) = there + h;
        double const up = written(loss, column, label);
        column(i, 0) = there - h;
        gradient[i] = (up - written(loss, column, label)) / (2 * h);
        column(i, 0) = there;
        inner += gradient[i] * static_cast<double>(y_bar(i, 1));
        square += gradient[i] * gradient[i];
      }
      // dlr is 1, whatever moves, where the label's is the third score
      bool const constant = square < 1e-16;
      factor = constant ? 1. : inner / square;
      CHECK(factor > 0);
      constants += constant;
      for (Index i = 0; i < 5; ++i)
        CHECK(std::abs(static_cast<double>(y_bar(i, 1)) - factor * gradient[i]) <=
              factor * 1e-8 + double(test::tolerance<Scalar>(5, 5)));
      for (Index i = 0; i < 5; ++i) CHECK((y_bar(i, 0) == 7 && y_bar(i, 2) == 7));  // other columns stay
    }
  CHECK(constants == 1);
}

TEST_CASE_TEMPLATE(
    "cross-entropy keeps gradient and order of a label that is sure, and its value of one that is far",
    Scalar, float, double) {
  for (double const gap : {20., 200., 1e4}) {
    HostMatrix<Scalar> y(3, 1), y_bar(3, 1);
    y(0, 0) = static_cast<Scalar>(gap), y(2, 0) = Scalar(-1);
    double const sure = attack_loss(AttackLoss::cross_entropy, y, 0, 0, y_bar);
    CHECK(std::abs(sure + gap - std::log(1 + std::exp(-1.))) <= 1e-8);
    CHECK(y_bar(1, 0) == 1);
    CHECK(std::abs(double(y_bar(2, 0)) - std::exp(-1.)) <= double(test::tolerance<Scalar>(1, 1)));
    CHECK(std::abs(double(y_bar(0, 0)) + 1 + std::exp(-1.)) <= double(test::tolerance<Scalar>(1, 1)));
    double const wrong = attack_loss(AttackLoss::cross_entropy, y, 0, 1, y_bar);
    CHECK(std::abs(wrong - gap) <= 3e-9 * gap);
  }
}

TEST_CASE_TEMPLATE("dlr of scores that are equal is 0, and moves the label's down", Scalar, float, double) {
  HostMatrix<Scalar> const y(4, 1, Scalar(2));
  HostMatrix<Scalar> y_bar(4, 1);
  CHECK(attack_loss(AttackLoss::dlr, y, 0, 1, y_bar) == 0);
  CHECK((y_bar(0, 0) == 1 && y_bar(1, 0) == -1 && y_bar(2, 0) == 0 && y_bar(3, 0) == 0));
}

TEST_CASE_TEMPLATE("attack losses refuse labels and numbers of classes that they have not", Scalar, float,
                   double) {
  HostMatrix<Scalar> two(2, 1), one(1, 1), y_bar(2, 1);
  CHECK_THROWS_WITH_AS(attack_loss(AttackLoss::dlr, two, 0, 0, y_bar),
                       "attack_loss: 2 classes, must be 3 at least", DomainError);
  CHECK_THROWS_AS(attack_loss(AttackLoss::cross_entropy, one, 0, 0, y_bar), DomainError);
  CHECK_THROWS_AS(attack_loss(AttackLoss::cross_entropy, two, 0, 2, y_bar), DomainError);
  CHECK_THROWS_AS(attack_loss(AttackLoss::cross_entropy, two, 0, -1, y_bar), DomainError);
}

}  // namespace detrame
