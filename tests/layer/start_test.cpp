// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/start.hpp"

#include <map>
#include <set>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/stack.hpp"
#include "support.hpp"

namespace detrame {
namespace {

/// A kind of parameter that the library does not know: it starts at 0.25, under RandomStart below its spread,
/// under TiedStart at alpha.
struct Slope : Role {
  constexpr Slope() : Role{.name = "slope", .stream = 100, .initial = 0.25, .low = 0, .high = 1} {}

  using Role::start;
  template <class Scalar>
  void start(HostMatrix<Scalar>& p, Random const& random, RandomStart const& policy) const {
    for (Index i = 0; i < p.rows(); ++i)
      p(i, 0) = static_cast<Scalar>(policy.spread * random.uniform<double>(static_cast<std::uint64_t>(i)));
  }
  template <class Scalar>
  void start(HostMatrix<Scalar>& p, Random const&, TiedStart const& policy) const {
    p = HostMatrix<Scalar>(p.rows(), p.cols(), static_cast<Scalar>(policy.tied.alpha));
  }
};

/// Two of them, and one that is named as a parameter of another layer is.
template <Backend B>
struct Theta {
  typename Bind<Dense<6>, Shape{6}, B>::Parameters linear;
  Matrix<B> s, t, b;
  template <class F, class T, class... Rest>
  static void visit(F&& f, Path const& path, T&& theta, Rest&&... rest) {
    decltype(linear)::visit(f, path / 0, theta.linear, rest.linear...);
    f(path / "s", Slope(), theta.s, rest.s...);
    f(path / "t", Slope(), theta.t, rest.t...);
    f(path / "b", Role{.name = "b", .initial = 3}, theta.b, rest.b...);
  }
};

template <class Scalar, class Start>
Theta<Cpu<Scalar>> started(Start const& start) {
  using B = Cpu<Scalar>;
  B b;
  Theta<B> theta{Bind<Dense<6>, Shape{6}, B>().parameters(b), zeros(b, 6, 1), zeros(b, 6, 1), zeros(b, 6, 1)};
  initialise(b, theta, start, 5);
  return theta;
}

TEST_CASE_TEMPLATE("a role of one's own says its start under each policy, in a stream of its own", Scalar,
                   float, double) {
  CHECK((started<Scalar>(ReluStart()).s.array() == Scalar(0.25)).all());
  CHECK((started<Scalar>(TiedStart{{.alpha = 0.75}}).s.array() == Scalar(0.75)).all());
  auto const random = started<Scalar>(RandomStart{.spread = 0.5});
  for (std::uint64_t n : {0, 1})
    for (Index i = 0; i < 6; ++i)
      CHECK((n == 0 ? random.s : random.t)(i, 0) ==
            static_cast<Scalar>(0.5 * Random(5, (std::uint64_t{101} << 32) + n)
                                          .template uniform<double>(static_cast<std::uint64_t>(i))));
  CHECK((random.b.array() == Scalar(3)).all());
  CHECK(started<Scalar>(ReluStart()).linear.W == random.linear.W);
}

TEST_CASE(
    "TiedStart ties W with W~, h and b alone: another parameter that is named b stays as its role says") {
  auto const theta = started<double>(TiedStart());
  CHECK((theta.b.array() == 3).all());
  CHECK(theta.linear.W == started<double>(ReluStart()).linear.W);
}

/// Weights of deviation sqrt(2 / inputs), all else as its role says, and a W~ of ones.
struct HeStart : RandomStart {
  void start(auto const& role, auto& p, Random const& random) const {
    role.start(p, random, *this);
    if (role.name == "weight") fill_normal(p, random, std::sqrt(2. / static_cast<double>(p.cols())));
    if (role.name == "W_tilde") p = std::remove_cvref_t<decltype(p)>(p.rows(), p.cols(), 1);
  }
};

/// The parameters of a network that has all of our layers' roles, by name.
template <class Start>
std::map<std::string_view, HostMatrix<double>> by_role(Start const& start, std::uint64_t seed = 1) {
  using Net = Stack<Convolution<4, 3>, BatchNorm, QMetricReLU<Convolutional<3, 2>, Unroll<2>>,
                    Dictionary<5, Unrolled<Jacobi, Unroll<2>>>>;
  Cpu<double> b;
  auto theta = Bind<Net, Shape{3, 4, 4}, Cpu<double>>().parameters(b);
  initialise(b, theta, start, seed);
  std::map<std::string_view, HostMatrix<double>> all;
  std::set<std::uint32_t> streams;
  visit(
      [&](std::string_view, Role const& role, auto const& p) {
        CHECK(role.stream < Role().stream);
        streams.insert(role.stream);
        all.emplace(role.name, to_host(b, p));
      },
      theta);
  CHECK((all.size() == 14 && streams.size() == 14));  // a number for each name
  return all;
}

TEST_CASE("(F3) a policy of one's own has the last word on our layers' parameters; W~ stays in D0") {
  auto const ours = by_role(RandomStart()), theirs = by_role(HeStart());
  double const factor = std::sqrt(2.) / std::sqrt(1. / 3);
  REQUIRE(test::max_abs(ours.at("weight")) > 0.1);
  for (auto const& [name, value] : ours)
    if (name == "weight")
      CHECK(test::relative_difference(theirs.at(name), test::mapped([&](double w) { return factor * w; },
                                                                    value)) <= test::tolerance<double>(4, 1));
    else if (name == "W_tilde")
      CHECK(theirs.at(name) == host_matrix<double>(2, 36, [](Index i, Index j) {
              return j % 18 / 2 == 4 && j % 2 == i ? 0. : 1.;  // of nine taps the middle one
            }));
    else
      CHECK(theirs.at(name) == value);
  test::check_throws_with<DomainError>([] { by_role(HeStart{{.spread = -1}}); }, "spread = -1, must be >= 0");
}

}  // namespace
}  // namespace detrame
