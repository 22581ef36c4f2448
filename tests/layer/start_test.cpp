// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/start.hpp"

#include <map>
#include <set>
#include <string>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/network/any.hpp"
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
struct OnesStart : RandomStart {
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
  auto const ours = by_role(RandomStart()), theirs = by_role(OnesStart());
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
  test::check_throws_with<DomainError>([] { by_role(OnesStart{{.spread = -1}}); },
                                       "spread = -1, must be >= 0");
}

/// A convolution and a dense layer whose weights have the same shape, 64 x 72.
using Wide = Stack<Convolution<64, 3>, QMetricReLU<Convolutional<3>, Unroll<1>>, GlobalAveragePool, Dense<72>,
                   Dense<64>, QMetricReLU<Full, Unroll<1>>>;

/// Their parameters, by path, of the network's own type and of AnyNetwork, which must have the same bits.
template <class Start>
std::map<std::string, HostMatrix<double>> of_wide(Start const& start) {
  using B = Cpu<double>;
  B b;
  Bind<Wide, Shape{8, 5, 5}, B> const net;
  AnyNetwork<B> const any("wide", net);
  auto theta = net.parameters(b);
  auto of_any = any.parameters(b);
  initialise(b, theta, start, 4);
  initialise(b, of_any, start, 4);
  std::map<std::string, HostMatrix<double>> all, again;
  visit([&](std::string_view path, Role const&, auto const& p) { all[std::string(path)] = to_host(b, p); },
        theta);
  visit([&](std::string_view path, Role const&, auto const& p) { again[std::string(path)] = to_host(b, p); },
        of_any);
  CHECK(all == again);
  return all;
}

/// Of n independent numbers of known mean and variance, and of fourth moment kurtosis variance^2: the means
/// of the numbers and of the squared deviations are off by 4 of their own deviations at most.
void check_moments(HostMatrix<double> const& p, double mean, double variance, double kurtosis) {
  double const n = static_cast<double>(p.rows() * p.cols());
  double sum = 0, squares = 0;
  for (Index j = 0; j < p.cols(); ++j)
    for (Index i = 0; i < p.rows(); ++i) {
      sum += p(i, j);
      squares += (p(i, j) - mean) * (p(i, j) - mean);
    }
  CHECK(std::abs(sum / n - mean) <= 4 * std::sqrt(variance / n));
  CHECK(std::abs(squares / n - variance) <= 4 * variance * std::sqrt((kurtosis - 1) / n));
}
void check_normal(HostMatrix<double> const& p, double deviation) {
  check_moments(p, 0, deviation * deviation, 3);
}
void check_uniform(HostMatrix<double> const& p, double low, double high) {
  check_moments(p, (low + high) / 2, (high - low) * (high - low) / 12, 1.8);
  for (Index j = 0; j < p.cols(); ++j)
    for (Index i = 0; i < p.rows(); ++i) CHECK((p(i, j) >= low && p(i, j) <= high));
}

TEST_CASE("He's start has the deviation gain / sqrt(inputs), and else that of a ReLU, in AnyNetwork too") {
  auto const he = of_wide(HeStart()), half = of_wide(HeStart{.gain = 0.5}), relu = of_wide(ReluStart());
  for (char const* W : {"0.W", "4.W"}) check_normal(he.at(W), std::sqrt(2. / 72));
  check_normal(he.at("3.W"), std::sqrt(2. / 64));
  check_normal(half.at("4.W"), 0.5 / std::sqrt(72.));
  for (auto const& [path, value] : relu)
    if (path.back() != 'W') CHECK(he.at(path) == value);
  test::check_throws_with<DomainError>([] { of_wide(HeStart{.gain = -1}); }, "gain = -1, must be >= 0");
  test::check_throws_with<DomainError>([] { of_wide(HeStart{.tied = {.alpha = 0}}); },
                                       "alpha = 0, must be > 0");
}

TEST_CASE("Glorot's start counts inputs and outputs, of a convolution over its window, in AnyNetwork too") {
  auto const glorot = of_wide(GlorotStart()), relu = of_wide(ReluStart());
  check_normal(glorot.at("0.W"), std::sqrt(2. / (72 + 9 * 64)));
  check_normal(glorot.at("4.W"), std::sqrt(2. / (72 + 64)));
  check_normal(of_wide(GlorotStart{.gain = 3}).at("4.W"), 3 * std::sqrt(2. / (72 + 64)));
  for (auto const& [path, value] : relu)
    if (path.back() != 'W') CHECK(glorot.at(path) == value);
  test::check_throws_with<DomainError>([] { of_wide(GlorotStart{.gain = -1}); }, "gain = -1, must be >= 0");
}

TEST_CASE(
    "(F4) line 2 of Algorithm 2: W, W~, h, b and c are random within their constraints, in AnyNetwork too") {
  auto const start = of_wide(Algorithm2Start{.spread = 0.5});
  check_normal(start.at("0.W"), 1 / std::sqrt(72.));
  check_normal(start.at("3.W"), 1 / std::sqrt(64.));
  for (char const* layer : {"1.", "5."}) {
    check_uniform(start.at(std::string(layer) + "h"), 0, 1);
    check_uniform(start.at(std::string(layer) + "b"), 0, 1. / 8);
  }
  check_uniform(start.at("0.c"), -1. / 8, 1. / 8);
  check_uniform(start.at("3.c"), -1 / std::sqrt(72.), 1 / std::sqrt(72.));
  auto const random = of_wide(RandomStart{.spread = 0.5});
  for (char const* W : {"1.W_tilde", "5.W_tilde"}) {
    CHECK(start.at(W) == random.at(W));
    CHECK(test::max_abs(start.at(W)) > 0);
  }
  for (Index i = 0; i < 64; ++i)
    CHECK((start.at("5.W_tilde")(i, i) == 0 && start.at("1.W_tilde")(i, 4 * 64 + i) == 0));
}

}  // namespace
}  // namespace detrame
