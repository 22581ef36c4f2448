// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/logit_gradients.hpp"

#include "allocation_counter.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/reshape.hpp"
#include "detrame/network/any.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/stack.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {
namespace {

constexpr Shape in{2, 2, 1};
constexpr Index sites = 2, n = 5, k = 4;
using Host = HostMatrix<double>;
using Classes = HostMatrix<Index>;
using Net = Stack<BatchNorm, QMetricReLU<Full, Unroll<2>>, Flatten, Dense<k>>;

/// A network, its tape at some samples, and room for gradients.
template <Backend B>
struct Setting {
  using L = Bind<Net, in, B>;
  B b{};
  L net;
  typename L::Parameters theta = net.parameters(b);
  typename L::Tape tape;
  Matrix<B> x = to_device(b, test::normal_matrix<double>(2, sites* n, test::seed(1)));
  Matrix<B> gradients;

  explicit Setting(Index c) : gradients(zeros(b, 2, sites * n * c)) {
    initialise(b, theta, RandomStart(), test::seed(2));
    inference_forward(b, net, theta, ConstView<B>(x), tape);
  }
  /// x_bar of a y_bar.
  Host pulled_back(Host const& y_bar) {
    Matrix<B> x_bar = to_device(b, Host(2, sites * n));
    inference_pullback(b, net, theta, tape, ConstView<B>(to_device(b, y_bar)), View<B>(x_bar));
    return to_host(b, ConstView<B>(x_bar));
  }
  Host all() const { return to_host(const_cast<B&>(b), ConstView<B>(gradients)); }
};

Host part(Host const& all, Index l) {
  return host_matrix<double>(2, sites * n, [&](Index i, Index j) { return all(i, l * sites * n + j); });
}

TEST_CASE_TEMPLATE("logit_gradients: of each class of each sample's list, a matrix after the other", B,
                   Cpu<double>, archetype::Loops<double>) {
  Setting<B> at(3);
  Classes classes(n, 3);
  for (Index j = 0; j < n; ++j)
    for (Index l = 0; l < 3; ++l) classes(j, l) = (2 * j + l * l) % k;
  logit_gradients(at.b, at.net, at.theta, at.tape, classes, View<B>(at.gradients));
  Host const all = at.all();
  REQUIRE(test::norm(all) > 0);
  for (Index l = 0; l < 3; ++l)
    CHECK(part(all, l) == at.pulled_back(host_matrix<double>(
                              k, n, [&](Index i, Index j) { return i == classes(j, l) ? 1. : 0.; })));
}

TEST_CASE_TEMPLATE("logit_gradients: without a list, of all classes in their order", B, Cpu<double>,
                   archetype::Loops<double>) {
  Setting<B> at(k);
  logit_gradients(at.b, at.net, at.theta, at.tape, View<B>(at.gradients));
  Host const all = at.all();
  for (Index l = 0; l < k; ++l)
    CHECK(part(all, l) ==
          at.pulled_back(host_matrix<double>(k, n, [&](Index i, Index) { return i == l ? 1. : 0.; })));
}

TEST_CASE("logit_gradients: of a network that is chosen at run time; nothing is allocated the second time") {
  using B = Cpu<double>;
  Setting<B> at(k);
  AnyNetwork<B> const net("net", at.net);
  auto theta = net.parameters(at.b);
  initialise(at.b, theta, RandomStart(), test::seed(2));
  AnyTape tape;
  inference_forward(at.b, net, theta, ConstView<B>(at.x), tape);
  auto const run = [&] { logit_gradients(at.b, net, theta, tape, View<B>(at.gradients)); };
  run();
  Host const any = at.all();
  CHECK(test::allocations(run) == 0);
  logit_gradients(at.b, at.net, at.theta, at.tape, View<B>(at.gradients));
  CHECK(at.all() == any);
}

TEST_CASE("logit_gradients refuses classes that are not, matrices of other shapes, outputs of many sites") {
  using B = Cpu<double>;
  Setting<B> at(3);
  auto const run = [&](Classes const& classes) {
    logit_gradients(at.b, at.net, at.theta, at.tape, classes, View<B>(at.gradients));
  };
  test::check_throws_with<DomainError>([&] { run(Classes(n, 3, k)); }, "class = 4, must be in [0, 4)");
  test::check_throws_with<DomainError>([&] { run(Classes(n, 3, -1)); }, "class = -1, must be in [0, 4)");
  test::check_throws_with<ShapeError>([&] { run(Classes(n, 2)); }, "gradients is 2 x 30, must be 2 x 20");
  test::check_throws_with<ShapeError>(
      [&] { logit_gradients(at.b, at.net, at.theta, at.tape, View<B>(at.gradients)); },
      "gradients is 2 x 30, must be 2 x 24");
  using Sited = Bind<BatchNorm, in, B>;
  auto const theta = Sited().parameters(at.b);
  test::check_throws_with<ShapeError>(
      [&] { logit_gradients(at.b, Sited(), theta, Sited::Tape(), View<B>(at.gradients)); },
      "must return one site");
}

TEST_CASE("logit_gradients of no sample, or of no class, are none") {
  using B = Cpu<double>;
  Setting<B> at(0);
  logit_gradients(at.b, at.net, at.theta, at.tape, Classes(n, 0), View<B>(at.gradients));
  inference_forward(at.b, at.net, at.theta, ConstView<B>(at.x).middle_cols(0, 0), at.tape);
  logit_gradients(at.b, at.net, at.theta, at.tape, View<B>(at.gradients));
  logit_gradients(at.b, at.net, at.theta, at.tape, Classes(0, 2), View<B>(at.gradients));
  CHECK(at.gradients.cols() == 0);
}

}  // namespace
}  // namespace detrame
