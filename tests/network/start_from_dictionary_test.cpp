// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/start_from_dictionary.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/host_parameters.hpp"
#include "detrame/network/any.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/zoo/deep_dictionary.hpp"
#include "detrame/prox/contraction.hpp"
#include "detrame/prox/scheme.hpp"
#include "support.hpp"

namespace detrame {
namespace {

using B = Cpu<double>;
using Host = HostMatrix<double>;

constexpr Shape in{2, 4, 5};
template <class Codes>
using One = Stack<typename Codes::template Of<6, 3>>;
template <class Codes>
using Two = Stack<typename Codes::template Of<6, 3>, typename Codes::template Of<5, 2, Stride<2>, Padding<1>>,
                  GlobalAveragePool, Dense<3>>;
template <Recipe R>
using On = Bind<R, in, B>;

/// Dictionaries with shifts, of nonnegative atoms, which are so coherent that eq. (24) does not converge.
template <class Net>
typename Net::Parameters dictionaries(B& b, Net const& net) {
  auto theta = net.parameters(b);
  initialise(b, theta, ReluStart{.tied = {.alpha = .8, .beta = .1, .lambda = .05}}, 3);
  std::uint64_t n = 0;
  visit(
      [&](std::string_view, Role const& role, auto& p) {
        if (role.name == "dictionary")
          p = to_device(b, test::mapped([](double t) { return std::abs(t); }, to_host(b, ConstView<B>(p))));
        if (role.name == "shift")
          p = to_device(b, test::mapped([](double t) { return .05 * t; },
                                        test::normal_matrix<double>(p.rows(), 1, test::seed(++n))));
      },
      theta);
  return theta;
}

/// |A|_S, and the distance of A from B in it.
double norm(Host const& A, Host const& S) {
  double sum = 0;
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = 0; i < A.rows(); ++i) sum += S(i, 0) * A(i, j) * A(i, j);
  return std::sqrt(sum);
}
double distance(Host const& A, Host const& B_, Host const& S) {
  return norm(test::mapped([](double a, double b) { return a - b; }, A, B_), S);
}

template <int T>
double distance_after(B& b, typename On<One<ExactCodes>>::Parameters const& exact, Host const& u,
                      Host const& S, ConstView<B> x) {
  On<One<FreedCodes<T>>> const net;
  auto theta = net.parameters(b);
  start_from_dictionary(b, exact, b, theta);
  return distance(to_host(b, predict(b, net, theta, x)), u, S);
}

TEST_CASE(
    "(N1) (C2) what starts from a dictionary tends to its exact codes, at the rate kappa of Gershgorin") {
  B b(1);
  On<One<ExactCodes>> const net;
  auto const exact = dictionaries(b, net);
  auto const x = to_device(b, test::normal_matrix<double>(2, 7 * 20, test::seed(5)));
  Host const u = to_host(b, predict(b, net, exact, x));
  Synthesis<B> problem;
  detail::take_parameters(b, leaf<1>(leaf<0>(exact)), problem);
  auto const known = contraction(b, problem.metric(b), problem.penalty(b), Gershgorin{});
  Host const S = to_host(b, known.S);
  double const size = norm(u, S), kappa = known.kappa;
  REQUIRE(kappa < .97);
  REQUIRE(test::max_abs(u) > .1);
  double const after[] = {distance_after<1>(b, exact, u, S, x), distance_after<3>(b, exact, u, S, x),
                          distance_after<10>(b, exact, u, S, x), distance_after<30>(b, exact, u, S, x),
                          distance_after<1000>(b, exact, u, S, x)};
  int const T[] = {1, 3, 10, 30};
  for (std::size_t i = 0; i < 4; ++i) {
    CAPTURE(T[i]);
    CHECK(after[i] <= std::pow(kappa, T[i]) * size);
    CHECK(after[i] > after[i + 1]);
  }
  CHECK(after[1] > 1e-3 * size);  // T matters here
  CHECK(after[4] <= test::tolerance<double>(100, 10 * size));
}

TEST_CASE("(N1) a network starts from another's dictionaries: places, classifier, codes; AnyNetwork too") {
  B b(1);
  AnyNetwork const deep("deep", On<Two<ExactCodes>>()), twin("twin", On<Two<FreedCodes<400>>>());
  On<Two<ExactCodes>> const own;
  auto const exact = dictionaries(b, own);
  auto any = deep.parameters(b);
  assign_parameters(b, exact, b, any);
  auto theta = twin.parameters(b);
  start_from_dictionary(b, any, b, theta);
  auto const x = to_device(b, test::normal_matrix<double>(2, 3 * 20, test::seed(6)));
  auto const there = codes(b, deep, any, x), here = codes(b, twin, theta, x);
  REQUIRE((there.size() == 2 && here.size() == 2));
  double kappa = 0;  // the larger of the two
  auto const take = [&](auto const& dictionary) {
    Synthesis<B> problem;
    detail::take_parameters(b, dictionary, problem);
    kappa = std::max(kappa, contraction(b, problem.metric(b), problem.penalty(b), Gershgorin{}).kappa);
  };
  take(leaf<1>(leaf<0>(exact)));
  take(leaf<1>(leaf<1>(exact)));
  REQUIRE(std::pow(kappa, 400) < std::numeric_limits<double>::epsilon());
  // what is left is rounding: of sums of at most 24 terms, 1 / (1 - kappa) times in each layer
  double const left = test::tolerance<double>(24, 2 / (1 - kappa));
  CHECK((there[0].place == "0.1" && there[1].place == "1.1" && here[1].place == "1.1"));
  CHECK((there[1].u.rows() == 5 && there[1].u.cols() == 3 * 9));
  for (std::size_t i = 0; i < 2; ++i) {
    REQUIRE(test::max_abs(there[i].u) > .01);
    CHECK(test::relative_difference(here[i].u, there[i].u) <= left);
  }
  CHECK(test::relative_difference(to_host(b, predict(b, twin, theta, x)),
                                  to_host(b, predict(b, deep, any, x))) <= left);
  CHECK(to_host(b, theta).at("3.W") == to_host(b, any).at("3.W"));
  CHECK(codes(b, own, exact, x)[1].u == there[1].u);

  Cpu<float> single(1);  // computed in double and rounded
  AnyNetwork const narrow("narrow", Bind<Two<FreedCodes<3>>, in, Cpu<float>>());
  auto rounded = narrow.parameters(single);
  start_from_dictionary(b, any, single, rounded);
  auto const wide = to_host(b, theta);
  for (auto const& [path, value] : to_host(single, rounded))
    CHECK(value == test::rounded<float>(wide.at(path)));
}

TEST_CASE("start_from_dictionary names the first that differs, and has then written nothing") {
  B b(1);
  auto const exact = dictionaries(b, On<Two<ExactCodes>>());
  auto const refused = [&](auto const& net, char const* sentence) {
    auto theta = net.parameters(b);
    initialise(b, theta, RandomStart(), 2);
    auto const before = to_host(b, theta);
    CHECK_THROWS_WITH_AS(start_from_dictionary(b, exact, b, theta), sentence, ShapeError);
    CHECK(to_host(b, theta) == before);
  };
  using First = FreedCodes<2>::Of<6, 3>;
  using Second = FreedCodes<2>::Of<5, 2, Stride<2>, Padding<1>>;
  refused(On<Stack<FreedCodes<2>::Of<7, 3>, Second, GlobalAveragePool, Dense<3>>>(),
          "start_from_dictionary: 0.0.W is weight, 7 x 18; from 0.1.D comes weight, 6 x 18");
  refused(On<Stack<First, Dense<5>, GlobalAveragePool, Dense<3>>>(),
          "start_from_dictionary: 1.W is weight, 5 x 6; from 1.1.D comes weight, 5 x 24");
  refused(On<Stack<First, Second, GlobalAveragePool, Dense<3>, Dense<3>>>(),
          "start_from_dictionary: 4.W has nothing to start from");
  refused(On<Stack<First, Second, GlobalAveragePool>>(),
          "start_from_dictionary: 3.W has no parameter to go to");
  refused(On<Stack<Stack<Convolution<6, 3>, QMetricReLU<Full, Unroll<2>>>, Second, GlobalAveragePool,
                   Dense<3>>>(),
          "start_from_dictionary: 0.1.W_tilde has a diagonal that is kept at 0");
  On<Two<ConvolutionalCodes>> const images;
  auto const whole = dictionaries(b, images);
  auto twin = On<Two<FreedCodes<2>>>().parameters(b);
  CHECK_THROWS_WITH_AS(start_from_dictionary(b, whole, b, twin),
                       "start_from_dictionary: the codes of 0.D are of whole images, its atoms 9 pixels: no "
                       "linear layer and Q-metric ReLU tend to them",
                       ShapeError);
  auto any = AnyNetwork("images", images).parameters(b);
  CHECK_THROWS_AS(start_from_dictionary(b, any, b, twin), ShapeError);
  auto singular = exact;
  leaf<1>(leaf<0>(singular)).alpha = zeros(b, 1, 1);
  auto theta = On<Two<FreedCodes<2>>>().parameters(b);
  CHECK_THROWS_AS(start_from_dictionary(b, singular, b, theta), DomainError);
}

TEST_CASE("solved_again: columns that float could not certify, of all; those of an AnyNetwork too") {
  Cpu<float> b(1);
  using Net = Bind<Stack<Dictionary<8, Exact>, Dictionary<3, Exact>>, Shape{5}, Cpu<float>>;
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, ReluStart{.tied = {.alpha = .3, .beta = 0, .lambda = 0}}, 1);
  leaf<0>(theta).D =
      to_device(b, test::rounded<float>(test::unit_norm_dictionary<double>(5, 8, test::seed(70))));
  auto samples = test::normal_matrix<double>(5, 4, test::seed(71));
  for (Index i = 0; i < 5; ++i)
    samples(i, 2) *= 3e-41;  // its code is subnormal in float: most digits are lost
  auto const x = to_device(b, test::rounded<float>(samples));
  Net::Tape tape;
  net.forward(b, theta, ConstView<Cpu<float>>(x), tape, {});
  auto const found = solved_again(net, theta, tape);
  CHECK(found.problems == 8);
  CHECK(found.again == static_cast<Index>(leaf<0>(tape).solved_in_double.columns().size() +
                                          leaf<1>(tape).solved_in_double.columns().size()));
  CHECK(found.again > 0);
  AnyNetwork const any("any", net);
  auto any_theta = any.parameters(b);
  assign_parameters(b, theta, b, any_theta);
  AnyTape any_tape;
  any.forward(b, any_theta, ConstView<Cpu<float>>(x), any_tape, {});
  CHECK(solved_again(any, any_theta, any_tape).again == found.again);
}

}  // namespace
}  // namespace detrame
