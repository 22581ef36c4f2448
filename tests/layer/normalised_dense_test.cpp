// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/normalised_dense.hpp"

#include "laws/everywhere.hpp"

namespace detrame {

using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;
using Head = Bind<NormalisedDense<4>, Shape{7}, Cpu<double>>;

TEST_CASE("NormalisedDense obeys the laws of a layer") {
  laws::everywhere<NormalisedDense<4>, Shape{7, 1, 2}>({.predict_allocates = true});
}

TEST_CASE("NormalisedDense is a linear map of unit rows, which no scaling of a row changes") {
  LayerModel<Head> head;
  LayerAt<double> at(head, 3, 1);
  Host const y = at.outcome().y, W = at.theta[0];
  for (Index i = 0; i < 4; ++i)
    for (Index n = 0; n < 3; ++n) {
      double square = 0, product = 0;
      for (Index l = 0; l < 7; ++l) square += W(i, l) * W(i, l), product += W(i, l) * at.x(l, n);
      CHECK(std::abs(y(i, n) - (product / std::sqrt(square) - at.theta[1](i, 0))) <=
            test::tolerance<double>(14, 3));
    }
  for (Index l = 0; l < 7; ++l) at.theta[0](2, l) *= 4;
  CHECK(at.outcome().y == y);
  for (Index l = 0; l < 7; ++l) at.theta[0](2, l) = 0;
  auto const out = at.outcome();
  CHECK(out.y(2, 0) == -at.theta[1](2, 0));
  for (Index l = 0; l < 7; ++l) CHECK(out.theta_bar[0](2, l) == 0);
}

TEST_CASE_TEMPLATE("NormalisedDense has the same unit rows of W times any power of two, near both ends too",
                   Scalar, float, double) {
  using B = Cpu<Scalar>;
  using Layer = Bind<NormalisedDense<4>, Shape{7}, B>;
  B b;
  auto const W = test::normal_matrix<Scalar>(4, 7, test::seed(31));
  auto const unit = [&](HostMatrix<Scalar> const& of) {
    typename Layer::Parameters const theta{to_device(b, of), zeros(b, 4, 1)};
    return to_host(b, ConstView<B>(Layer::normalised(b, theta).W));
  };
  auto const once = unit(W);
  using Limits = std::numeric_limits<Scalar>;
  for (int const e : {1, -1, 30, -30, 64, -72, Limits::max_exponent - 8, Limits::min_exponent + 20})
    CHECK(unit(test::mapped([&](Scalar w) { return std::ldexp(w, e); }, W)) == once);
  auto const ends = host_matrix<Scalar>(4, 7, [](Index i, Index) {
    return i == 0 ? Limits::max() : i == 1 ? Limits::min() : i == 2 ? Limits::denorm_min() : Scalar(0);
  });
  auto const of_ends = unit(ends);
  for (Index i = 0; i < 4; ++i)
    for (Index l = 0; l < 7; ++l)
      CHECK(of_ends(i, l) == doctest::Approx(i < 3 ? 1 / std::sqrt(7.) : 0.).epsilon(1e-6));
}

TEST_CASE("NormalisedDense shows its rows as it uses them") {
  Cpu<double> cpu;
  LayerModel<Head> head;
  LayerAt<double> const at(head, 1, 2);
  Head::Parameters const theta{to_device(cpu, at.theta[0]), to_device(cpu, at.theta[1])};
  auto const unit = to_host(cpu, ConstView<Cpu<double>>(Head::normalised(cpu, theta).W));
  for (Index i = 0; i < 4; ++i) {
    double square = 0;
    for (Index l = 0; l < 7; ++l) square += unit(i, l) * unit(i, l);
    CHECK(std::abs(square - 1) <= test::tolerance<double>(7, 1));
  }
}

}  // namespace detrame
