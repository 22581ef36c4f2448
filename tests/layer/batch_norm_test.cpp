// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/batch_norm.hpp"

#include "detrame/layer/dense.hpp"
#include "detrame/network/repeat.hpp"
#include "detrame/network/residual.hpp"
#include "laws/everywhere.hpp"

namespace detrame {

using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

TEST_CASE("(B1) BatchNorm obeys the laws of a layer, but for those of columns in training") {
  laws::everywhere<BatchNorm, Shape{3, 2, 3}>({.of_the_batch = true});
}

/// Mean and biased variance of each row.
struct Statistics {
  std::vector<double> mean, variance;
  explicit Statistics(Host const& x) {
    double const N = static_cast<double>(x.cols());
    for (Index i = 0; i < x.rows(); ++i) {
      double sum = 0, squares = 0;
      for (Index j = 0; j < x.cols(); ++j) sum += x(i, j);
      for (Index j = 0; j < x.cols(); ++j) squares += (x(i, j) - sum / N) * (x(i, j) - sum / N);
      mean.push_back(sum / N), variance.push_back(squares / N);
    }
  }
  /// What BatchNorm makes of x with these.
  Host normalised(Host const& x, Host const& gain, Host const& offset) const {
    return host_matrix<double>(x.rows(), x.cols(), [&](Index i, Index j) {
      auto const r = static_cast<std::size_t>(i);
      return gain(i, 0) * (x(i, j) - mean[r]) / std::sqrt(variance[r] + 1e-5) + offset(i, 0);
    });
  }
};

using Norm = Bind<BatchNorm, Shape{3, 2, 3}, Cpu<double>>;

TEST_CASE("(B1) BatchNorm: by the batch in training, by the running statistics in inference") {
  LayerModel<Norm> layer;
  LayerAt<double> at(layer, 40, 1);
  for (Index j = 0; j < at.x.cols(); ++j) at.x(1, j) = 3 * at.x(1, j) + 5;
  Host const &gain = at.theta[0], &offset = at.theta[1];
  Statistics running(at.x);
  double const rounding = test::tolerance<double>(240, 4);
  CHECK(test::max_abs_difference(at.outcome().y, running.normalised(at.x, gain, offset)) <= rounding);
  for (Index i = 0; i < 3; ++i) {
    auto const r = static_cast<std::size_t>(i);
    running.mean[r] = at.theta[2](i, 0), running.variance[r] = at.theta[3](i, 0);
  }
  CHECK(test::relative_difference(at.predicted(at.x), running.normalised(at.x, gain, offset)) <= rounding);
}

TEST_CASE("BatchNorm: a large mean costs the variance no digits") {
  LayerModel<Bind<BatchNorm, Shape{1, 2, 2}, Cpu<float>>> layer;
  HostMatrix<float> const x =
      host_matrix<float>(1, 400, [](Index, Index j) { return j % 2 == 0 ? 4095.f : 4097.f; });
  HostMatrix<float> const one(1, 1, 1.f), zero(1, 1);
  auto const y = layer.forward({one, zero, zero, one}, x, {});
  for (Index j = 0; j < 400; ++j)
    CHECK(std::abs(y(0, j) - (j % 2 == 0 ? -1.f : 1.f)) <= 1e-5f);  // epsilon / 2, and rounding
}

TEST_CASE("BatchNorm: a batch of one number a channel has no variance, and is refused in training alone") {
  using Dense1 = Bind<BatchNorm, Shape{3}, Cpu<double>>;
  LayerModel<Dense1> layer;
  LayerAt<double> const at(layer, 1, 1);
  test::check_throws_with<DomainError>([&] { layer.forward(at.theta, at.x, {}); },
                                       "BatchNorm: in training a batch of one sample at one site has no");
  CHECK(std::isfinite(test::max_abs(at.predicted(at.x))));
}

/// The running statistics of a layer, by path, after `steps` times forward and absorb from theta_0.
template <Layer L>
std::map<std::string, Host> absorbed(Cpu<double>& b, typename L::Parameters& theta, Host const& x,
                                     int steps) {
  L const layer;
  typename L::Tape tape;
  auto const there = to_device(b, x);
  for (int step = 0; step < steps; ++step) {
    layer.forward(b, theta, there, tape, {});
    absorb(b, layer, theta, tape);
  }
  std::map<std::string, Host> values;
  visit([&](std::string_view path, Role const&, auto const& p) { values[std::string(path)] = to_host(b, p); },
        theta);
  return values;
}

TEST_CASE(
    "absorb: running <- .9 running + .1 batch's, the unbiased variance; a batch without samples is none") {
  Cpu<double> b;
  Host const x = test::normal_matrix<double>(3, 12, test::seed(3));
  Statistics const batch(x);
  auto theta = Norm().parameters(b);
  theta.running_variance.setOnes();
  auto const values = absorbed<Norm>(b, theta, x, 2);
  for (Index i = 0; i < 3; ++i) {
    auto const r = static_cast<std::size_t>(i);
    double const mean = .1 * batch.mean[r], variance = .9 + .1 * batch.variance[r] * 12 / 11;
    CHECK(std::abs(values.at("running_mean")(i, 0) - (.9 * mean + .1 * batch.mean[r])) <=
          test::tolerance<double>(12, 1));
    CHECK(std::abs(values.at("running_variance")(i, 0) -
                   (.9 * variance + .1 * batch.variance[r] * 12 / 11)) <= test::tolerance<double>(12, 2));
  }
  CHECK(absorbed<Norm>(b, theta, Host(3, 0), 3) == values);
}

/// y = x: a layer without statistics.
struct Same {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using Parameters = NoParameters;
    struct Tape {};
    static constexpr Shape input = in, output = in;
    Parameters parameters(B&) const { return {}; }
    ConstView<B> forward(B&, Parameters const&, ConstView<B> x, Tape&, Draw) const { return x; }
    ConstView<B> pullback(B&, Parameters const&, Tape&, ConstView<B> y_bar, Parameters&) const {
      return y_bar;
    }
    void predict(B& b, Parameters const&, ConstView<B> x, View<B> y) const {
      each(b.lane(), formula::Assign(), y, x);
    }
  };
};

TEST_CASE("absorb reaches each BatchNorm of a network, through Stack, Repeat and Residual") {
  using Net = Stack<BatchNorm, Stack<Same, BatchNorm>, Repeat<2, BatchNorm>, Residual<BatchNorm, Same>>;
  using L = Bind<Net, Shape{3, 2, 3}, Cpu<double>>;
  Cpu<double> b;
  auto theta = L().parameters(b);
  visit([&](std::string_view, Role const& role, auto& p) { p.setConstant(role.name == "gain" ? 1 : 0); },
        theta);
  auto const values = absorbed<L>(b, theta, test::normal_matrix<double>(3, 12, test::seed(4)), 1);
  CHECK(test::max_abs(values.at("0.running_mean")) > 0);
  for (char const* path : {"1.1.", "2.0.", "2.1.", "3.branch.0."}) {  // these read what is normalised already
    CAPTURE(path);
    Host const& variance = values.at(path + std::string("running_variance"));
    for (Index i = 0; i < 3; ++i) CHECK(std::abs(variance(i, 0) - .1 * 12 / 11) <= 1e-4);
  }
}

}  // namespace detrame
