// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/initialise.hpp"

#include <map>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dictionary.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/network/stack.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using Host = HostMatrix<double>;

template <class Structure, int T>
using Net = Stack<Dense<12>, QMetricReLU<Structure, Unroll<T>>, Dense<8>, QMetricReLU<Structure, Unroll<T>>>;
using PlainNet = Stack<Dense<12>, ReLU, Dense<8>, ReLU>;

/// The parameters of a network after initialise, by name, on the host.
template <class Recipe, template <class> class BackendOf = Cpu, class Scalar = double, class Start>
std::map<std::string, HostMatrix<Scalar>> started(Start const& start, std::uint64_t seed) {
  using B = BackendOf<Scalar>;
  B b;
  auto theta = Bind<Recipe, Shape{10}, B>().parameters(b);
  initialise(b, theta, start, seed);
  std::map<std::string, HostMatrix<Scalar>> values;
  visit([&](std::string_view path, Role const&, auto const& p) { values[std::string(path)] = to_host(b, p); },
        theta);
  return values;
}

/// What a network makes of a batch, with parameters by name.
template <class Recipe>
Host predicted(std::map<std::string, Host> const& values, Host const& x) {
  Cpu<double> b;
  Bind<Recipe, Shape{10}, Cpu<double>> const net;
  auto theta = net.parameters(b);
  visit([&](std::string_view path, Role const&, auto& p) { p = to_device(b, values.at(std::string(path))); },
        theta);
  return to_host(b, predict(b, net, theta, to_device(b, x)));
}

double mean(Host const& A) {
  return test::inner(A, Host(A.rows(), A.cols(), 1.)) / static_cast<double>(A.rows() * A.cols());
}
bool constant(Host const& A, double value) { return A == Host(A.rows(), A.cols(), value); }

TEST_CASE(
    "(F4) ReluStart: the network computes what the ReLU network of its W and c computes; the same bits") {
  auto const values = started<Net<Full, 5>>(ReluStart(), 1);
  CHECK((constant(values.at("1.W_tilde"), 0) && constant(values.at("1.h"), 1) &&
         constant(values.at("1.b"), 0)));
  auto plain = started<PlainNet>(ReluStart(), 1);
  for (auto& [path, value] : plain) value = values.at(path);
  Host const x = test::normal_matrix<double>(10, 70, test::seed(1));
  Host const y = predicted<PlainNet>(plain, x);
  REQUIRE(test::max_abs(y) > 0);
  CHECK(predicted<Net<Full, 5>>(values, x) == y);
}

TEST_CASE(
    "from one seed a network and its twin get the same W: each tensor has a stream by kind and number") {
  auto const plain = started<PlainNet>(RandomStart(), 1);
  auto const twin = started<Net<Full, 5>>(RandomStart(), 1);
  CHECK((twin.at("0.W") == plain.at("0.W") && twin.at("2.W") == plain.at("2.W")));
  auto const square =
      started<Stack<Dense<10>, QMetricReLU<Full, Unroll<1>>, Dense<10>, QMetricReLU<Full, Unroll<1>>>>(
          RandomStart{.spread = 1 / std::sqrt(3.)}, 1);
  std::map<double, int> seen;  // of equal deviation, so that a stream used twice shows
  for (auto const& [path, value] : square)
    if (path.find('W') != std::string::npos) ++seen[value(1, 2)];
  for (std::uint64_t epoch = 0; epoch < 8; ++epoch)
    ++seen[std::sqrt(1 / 30.) * Random(1, epoch).normal<double>(21)];
  CHECK(seen.size() == 4 + 8);  // nor is any of them a stream that shuffles an epoch of the same seed
}

TEST_CASE("every start: weights normal of deviation 1 / sqrt(3 inputs), biases 0") {
  auto const check = [](auto const& start) {
    auto const values = started<Stack<Dense<2000>>>(start, 2);
    Host const& W = values.at("0.W");  // 2000 x 10
    double const variance = test::inner(W, W) / 20000;
    CHECK(std::abs(variance * 30 - 1) <= 4 * std::sqrt(2. / 20000));
    CHECK(std::abs(mean(W)) <= 4 * std::sqrt(variance / 20000));
    CHECK(constant(values.at("0.c"), 0));
  };
  check(ReluStart());
  check(RandomStart());
  check(TiedStart());
}

TEST_CASE("(F3) RandomStart: W~ in D0, of deviation spread / sqrt(block size); h = 1, b = 0") {
  auto const check = [](auto const& values, Index kg) {
    Host const& W = values.at("1.W_tilde");  // kg x 240
    REQUIRE((W.rows() == kg && W.cols() == 240));
    for (Index j = 0; j < 240; ++j) CHECK(W(j % kg, j) == 0);
    double const n = static_cast<double>(240 * (kg - 1)), variance = test::inner(W, W) / n;
    double const expected = 0.6 * 0.6 / static_cast<double>(kg);
    CHECK(std::abs(variance / expected - 1) <= 4 * std::sqrt(2 / n));
    CHECK(std::abs(mean(W)) <= 4 * std::sqrt(expected / n));
    CHECK((constant(values.at("1.h"), 1) && constant(values.at("1.b"), 0)));
  };
  check(started<Stack<Dense<240>, QMetricReLU<Full, Unroll<1>>>>(RandomStart{.spread = 0.6}, 3), 240);
  check(started<Stack<Dense<240>, QMetricReLU<Blocks<12>, Unroll<1>>>>(RandomStart{.spread = 0.6}, 3), 20);
  CHECK(started<Net<Full, 1>>(RandomStart{.spread = 0}, 3) == started<Net<Full, 1>>(ReluStart(), 3));
}

/// The dictionary of a tied pair, from its parameters alone: unit-norm atoms give q_ii = 1 + alpha, and then
/// q_il = -(q_ii + beta) w_il within the blocks, D^T = Q W.
Host dictionary_of(Host const& W, Host const& W_tilde, TiedValues const& tied) {
  Index const k = W.rows(), kg = W_tilde.rows();
  auto const q = [&](Index i, Index l) {
    if (i / kg != l / kg) return 0.;
    return i == l ? 1 + tied.alpha : -(1 + tied.alpha + tied.beta) * W_tilde(i % kg, l);
  };
  Host const Q = host_matrix<double>(k, k, q);
  Host const D = test::transposed(test::product(Q, W));  // m x k
  Host const gram = test::product(test::transposed(D), D);
  for (Index i = 0; i < k; ++i)  // it is: Q = D^T D + alpha I in the blocks
    for (Index l = 0; l < k; ++l)
      if (i / kg == l / kg)
        CHECK(std::abs(gram(i, l) + (i == l ? tied.alpha : 0) - Q(i, l)) <= test::tolerance<double>(k, 30));
  return D;
}

/// T updates of eq. (24) with a full Q, in the form without Q^{-1}: S (G - b) = D^T x - lambda.
Host unrolled(Host const& D, TiedValues const& tied, Host const& x, int T) {
  Index const k = D.cols();
  Host const D_x = test::product(test::transposed(D), x), gram = test::product(test::transposed(D), D);
  double const S = 1 + tied.alpha + tied.beta;
  Host u(k, x.cols());
  for (int t = 0; t < T; ++t) {
    Host const Q_u = test::product(gram, u);
    u = host_matrix<double>(k, x.cols(), [&](Index i, Index j) {
      double const off = Q_u(i, j) - gram(i, i) * u(i, j);
      return std::max(0., (D_x(i, j) - tied.lambda - off) / S);
    });
  }
  return u;
}

TEST_CASE("(M7) TiedStart: a pair of layers is T updates of eq. (24) on a dictionary of unit-norm atoms") {
  TiedValues const tied{.alpha = 0.4, .beta = 0.05, .lambda = 0.1};
  using Recipe = Net<Full, 3>;
  auto const values = started<Recipe>(TiedStart{tied}, 4);
  for (char const* pair : {"0.W 1.W_tilde", "2.W 3.W_tilde"}) {
    Host const &W = values.at(std::string(pair, 3)), &W_tilde = values.at(pair + 4);
    REQUIRE(test::max_abs(W_tilde) > 0.01);
    for (Index i = 0; i < W_tilde.rows(); ++i) CHECK(W_tilde(i, i) == 0);  // exactly in D0
    Host const D = dictionary_of(W, W_tilde, tied);
    Host const gram = test::product(test::transposed(D), D);
    for (Index i = 0; i < gram.rows(); ++i)
      CHECK(std::abs(gram(i, i) - 1) <= test::tolerance<double>(12, 30));
  }
  CHECK((constant(values.at("0.c"), 0) && constant(values.at("2.c"), 0)));
  Host const D_1 = dictionary_of(values.at("0.W"), values.at("1.W_tilde"), tied);
  Host const D_2 = dictionary_of(values.at("2.W"), values.at("3.W_tilde"), tied);
  Host const x = test::normal_matrix<double>(10, 20, test::seed(2));
  Host const expected = unrolled(D_2, tied, unrolled(D_1, tied, x, 3), 3);
  REQUIRE(test::max_abs(expected) > 0);
  CHECK(test::relative_difference(predicted<Recipe>(values, x), expected) <=
        test::tolerance<double>(6 * 12, 10));
}

TEST_CASE(
    "(M7) TiedStart with blocks: each block is tied to its own atoms, and a second Q-metric ReLU leaves the "
    "pair alone") {
  TiedStart const start{};
  auto const blocks = started<Net<Blocks<4>, 2>>(start, 5);
  Host const D = dictionary_of(blocks.at("0.W"), blocks.at("1.W_tilde"), start.tied);
  Host const gram = test::product(test::transposed(D), D);
  CHECK(std::abs(gram(0, 0) - 1) <= test::tolerance<double>(12, 30));
  REQUIRE(std::abs(gram(0, 11)) > 0.01);  // atoms of two blocks do overlap
  using Q = QMetricReLU<Full, Unroll<2>>;
  auto const twice = started<Stack<Dense<12>, Q, Q>>(start, 5);
  dictionary_of(twice.at("0.W"), twice.at("1.W_tilde"), start.tied);
  CHECK((constant(twice.at("2.W_tilde"), 0) && constant(twice.at("2.h"), 1) && constant(twice.at("2.b"), 0)));
}

TEST_CASE_TEMPLATE(
    "(M7) (K1) TiedStart behind a Convolution: T updates of eq. (24) at every site, on atoms that are "
    "patches",
    B, Cpu<double>, archetype::Loops<double>) {
  TiedStart const start{{.alpha = .4, .beta = .05, .lambda = .1}};
  auto const check = [&](auto recipe, Index groups, int T) {
    using Recipe = decltype(recipe);
    B b;
    Bind<Recipe, Shape{3, 6, 5}, B> const net;
    auto theta = net.parameters(b);
    std::map<std::string, std::pair<Index, Index>> sizes;
    visit([&](std::string_view path, Role const&,
              auto const& p) { sizes[std::string(path)] = {p.rows(), p.cols()}; },
          theta);
    initialise(b, theta, start, 9);
    std::map<std::string, Host> values;
    visit(
        [&](std::string_view path, Role const&, auto const& p) {
          CHECK(sizes.at(std::string(path)) == std::pair{p.rows(), p.cols()});
          values[std::string(path)] = to_host(b, ConstView<B>(p));
        },
        theta);
    Host const &W = values.at("0.W"), &kernel = values.at("1.W_tilde");
    Index const k = W.rows(), kg = k / groups, taps = kernel.cols() / k;
    Host middle(kg, k);
    double others = 0;
    for (Index j = 0; j < kernel.cols(); ++j)
      for (Index i = 0; i < kg; ++i)
        if (j / kg % taps == taps / 2)
          middle(i, j / (kg * taps) * kg + j % kg) = kernel(i, j);
        else
          others = std::max(others, std::abs(kernel(i, j)));
    CHECK(others == 0);
    REQUIRE(test::max_abs(middle) > .01);
    for (Index i = 0; i < k; ++i) CHECK(middle(i % kg, i) == 0);  // in D0
    Host const D = dictionary_of(W, middle, start.tied);          // Q of the atoms at one site, in blocks
    for (Index i = 0; i < k; ++i) {
      double square = 0;
      for (Index s = 0; s < D.rows(); ++s) square += D(s, i) * D(s, i);
      CHECK(std::abs(square - 1) <= test::tolerance<double>(12, 30));
    }
    // predict is T updates on D^T of every patch
    Host const x = test::normal_matrix<double>(3, 30 * 2, test::seed(3));
    auto const x_device = to_device(b, x);
    Host const y = to_host(b, ConstView<B>(predict(b, net, theta, x_device)));
    Window const window = Convolution<6, 3, Stride<2>>::window(Shape{3, 6, 5});
    bool const strided = y.cols() < x.cols();
    Index const width = strided ? window.out_width() : 5, step = strided ? 2 : 1, out_sites = y.cols() / 2;
    Host patches(27, y.cols());
    for (Index site = 0; site < y.cols(); ++site)
      for (Index tap = 0; tap < 9; ++tap) {
        Index const at_y = site % out_sites / width * step + tap / 3 - 1,
                    at_x = site % width * step + tap % 3 - 1;
        if (at_y < 0 || at_y >= 6 || at_x < 0 || at_x >= 5) continue;
        for (Index c = 0; c < 3; ++c)
          patches(tap * 3 + c, site) = x(c, site / out_sites * 30 + at_y * 5 + at_x);
      }
    for (Index g = 0; g < groups; ++g) {
      Host const D_g = host_matrix<double>(27, kg, [&](Index i, Index j) { return D(i, g * kg + j); });
      Host const expected = unrolled(D_g, start.tied, patches, T);
      Host const found =
          host_matrix<double>(kg, y.cols(), [&](Index i, Index j) { return y(g * kg + i, j); });
      REQUIRE(test::max_abs(expected) > .1);
      CHECK(test::relative_difference(found, expected) <= test::tolerance<double>(6 * 12, 10));
    }
  };
  check(Stack<Convolution<6, 3>, QMetricReLU<Convolutional<3>, Unroll<3>>>(), 1, 3);
  check(Stack<Convolution<6, 3>, QMetricReLU<Convolutional<5, 2>, Unroll<2>>>(), 2, 2);
  check(Stack<Convolution<6, 3, Stride<2>>, QMetricReLU<Full, Unroll<2>>>(), 1, 2);
}

/// Something with the parameters of a dictionary layer.
struct DictionaryRecipe {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend B>
  struct Layer {
    using Parameters = DictionaryParameters<B>;
    Parameters parameters(B& b) const { return Parameters::zeros(b, 10, 14); }
  };
};

TEST_CASE("every start: dictionaries have unit-norm atoms, shifts are 0, the penalties as given") {
  auto const values = started<DictionaryRecipe>(ReluStart{{.alpha = 0.3, .beta = 0.2, .lambda = 0.1}}, 6);
  Host const gram = test::product(test::transposed(values.at("D")), values.at("D"));
  for (Index i = 0; i < 14; ++i) CHECK(std::abs(gram(i, i) - 1) <= test::tolerance<double>(10, 1));
  REQUIRE(std::abs(gram(0, 1)) < 0.99);
  CHECK(
      (constant(values.at("d"), 0) && constant(values.at("alpha"), 0.3) && constant(values.at("beta"), 0.2)));
  CHECK(constant(values.at("lambda"), 0.1));
}

TEST_CASE("a start is a function of its seed, on every backend; float is double, rounded") {
  auto const check = [](auto const& start) {
    using Recipe = Net<Full, 2>;
    auto const values = started<Recipe>(start, 7);
    CHECK(values == started<Recipe>(start, 7));
    auto const other = started<Recipe>(start, 8);
    auto const loops = started<Recipe, archetype::Loops>(start, 7);
    auto const in_float = started<Recipe, Cpu, float>(start, 7);
    CHECK_FALSE(values.at("0.W") == other.at("0.W"));
    CHECK_FALSE(values.at("0.W") == values.at("2.W"));
    for (auto const& [path, value] : values) {
      CHECK(test::max_abs_difference(loops.at(path), value) <= test::tolerance<double>(40, 4));
      CHECK(test::max_abs_difference(test::rounded<double>(in_float.at(path)), value) <=
            test::tolerance<float>(40, 4));
    }
  };
  check(ReluStart());
  check(RandomStart());
  check(TiedStart());
}

TEST_CASE("initialise refuses penalties and spreads outside their ranges, NaN too") {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  auto const refused = [](auto const& start, char const* text) {
    test::check_throws_with<DomainError>([&] { started<Stack<Dense<3>>>(start, 1); }, text);
  };
  refused(ReluStart{{.alpha = 0}}, "initialise: alpha = 0, must be > 0");
  refused(TiedStart{{.alpha = nan}}, "alpha = nan");
  refused(RandomStart{.tied = {.beta = -1}}, "initialise: beta = -1, must be >= 0");
  refused(ReluStart{{.lambda = -1}}, "initialise: lambda = -1, must be >= 0");
  refused(RandomStart{.spread = -1}, "initialise: spread = -1, must be >= 0");
}

}  // namespace detrame
