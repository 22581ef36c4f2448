// SPDX-License-Identifier: Apache-2.0
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/network/codes.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/summary.hpp"
#include "detrame/network/zoo/deep_dictionary.hpp"
#include "laws/everywhere.hpp"

namespace detrame {
namespace {

using B = Cpu<double>;
using Host = HostMatrix<double>;

TEST_CASE("deep dictionary networks: parameters by hand; .35 M of Table 5, 1.4 M of Table 3; shapes") {
  Cpu<float> b(1);
  auto const count = [&]<class Net>(Net const& net) { return summary(b, net).parameters(); };
  using Digits = Cpu<float>;
  // atoms; d; lambda, alpha, beta; classifier
  CHECK(count(Bind<DeepDictionary3<ExactCodes>, Shape{1, 8, 8}, Digits>()) ==
        9 * 24 + 216 * 48 + 72 + 6 + 490);
  CHECK(count(Bind<DeepDictionary4<ExactCodes>, Shape{1, 28, 28}, Digits>()) ==
        576 + 73'728 + 276'480 + 432 + 9 + 2'410);
  CHECK(count(Bind<DeepDictionary4<ExactCodes>, Shape{1, 28, 28}, Digits>()) == 353'635);
  CHECK(count(Bind<DeepDictionary9<ExactCodes>, Shape{3, 32, 32}, Digits>()) == 1'368'480 + 1'258 + 24);
  // freed: W, c as D, d; W~, h and b beside them
  CHECK(count(Bind<DeepDictionary3<FreedCodes<3>>, Shape{1, 8, 8}, Digits>()) ==
        9 * 24 + 216 * 48 + 72 + 490 + 24 * 24 + 48 * 48 + 2 * 72);
  CHECK(count(Bind<DeepDictionary3<ConvolutionalCodes>, Shape{1, 8, 8}, Digits>()) ==
        count(Bind<DeepDictionary3<ExactCodes>, Shape{1, 8, 8}, Digits>()));
  auto const s = summary(b, Bind<DeepDictionary9<ExactCodes>, Shape{3, 32, 32}, Digits>());
  REQUIRE(s.layers.size() == 18);
  CHECK(s.layers[2].output == Shape{864, 32, 32});
  CHECK(s.layers[11].output == Shape{192, 8, 8});
  CHECK(s.layers[15].output == Shape{192, 8, 8});
  static_assert(DeepDictionary9<ExactCodes, 7>::output({3, 32, 32}) == Shape{7});
}

/// The columns that patches of 3 x 3 pixels at stride s are, pixel by pixel.
Host columns_by_hand(Host const& x, Shape image, Index s) {
  Index const h = (image.height - 1) / s + 1, w = (image.width - 1) / s + 1, C = image.channels;
  return host_matrix<double>(9 * C, x.cols() / image.sites() * h * w, [&](Index i, Index q) {
    Index const row = q % (h * w) / w * s + i / C / 3 - 1, col = q % w * s + i / C % 3 - 1;
    if (row < 0 || row >= image.height || col < 0 || col >= image.width) return 0.;
    return x(i % C, q / (h * w) * image.sites() + row * image.width + col);
  });
}

TEST_CASE("(N1) (M1) two layers of exact codes of patches are exact_synthesis of columns made by hand") {
  B b(1);
  using Net = Bind<Stack<ExactCodes::Of<7, 3>, ExactCodes::Of<5, 3, Stride<2>>>, Shape{2, 4, 5}, B>;
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, ReluStart(), 2);
  Host const x = test::normal_matrix<double>(2, 3 * 20, test::seed(1));
  auto const coded = [&](auto const& parameters, Host const& columns) {
    Synthesis<B> problem;
    detail::take_parameters(b, parameters, problem);
    auto const code = exact_synthesis(b, problem, to_device(b, columns));
    REQUIRE(code.status == ExactStatus::optimal);
    return to_host(b, code.u);
  };
  Host const first = coded(leaf<1>(leaf<0>(theta)), columns_by_hand(x, {2, 4, 5}, 1)),
             second = coded(leaf<1>(leaf<1>(theta)), columns_by_hand(first, {7, 4, 5}, 2));
  REQUIRE(test::max_abs(second) > .01);
  CHECK(test::relative_difference(to_host(b, predict(b, net, theta, to_device(b, x))), second) <=
        test::tolerance<double>(60, 15));
}

TEST_CASE("deep dictionary networks start with atoms of one norm, and codes that keep their size") {
  B b(1);
  using Of = ExactCodes::Of<16, 3>;
  Bind<Stack<Of, Of, Of, Of, Of>, Shape{1, 6, 6}, B> const net;
  auto const x = to_device(b, test::normal_matrix<double>(1, 36 * 4, test::seed(3)));
  auto const kept = [&](TiedValues const& values) {  // |u| of the last layer beside that of the first
    auto theta = net.parameters(b);
    initialise(b, theta, ReluStart{.tied = values}, 1);
    Host const D = to_host(b, ConstView<B>(leaf<1>(leaf<2>(theta)).D));
    for (Index j = 0; j < D.cols(); ++j)
      CHECK(std::abs(test::norm(host_matrix<double>(D.rows(), 1, [&](Index i, Index) { return D(i, j); })) -
                     values.atoms) <= test::tolerance<double>(D.rows(), 1));
    auto const u = codes(b, net, theta, x);
    REQUIRE(u.size() == 5);
    return test::norm(u.back().u) / test::norm(u.front().u);
  };
  double const with = kept(deep_dictionary_values), unit = kept({.alpha = .1, .beta = .01, .lambda = .02});
  MESSAGE("kept ", with, ", with unit atoms ", unit);
  CHECK(with > .25);
  CHECK(with < 2);
  CHECK(unit < .25 * with);
}

TEST_CASE(
    "(A3) (N1) codes of overlapping patches obey the laws of a layer: gradients through both solutions") {
  using Two = Stack<ExactCodes::Of<5, 3>, ExactCodes::Of<4, 3, Stride<2>>, GlobalAveragePool, Dense<2>>;
  laws::double_layer_on<Two, Shape{1, 4, 3}, Cpu>({.conditioning = 15. * 15, .predict_allocates = true});
}

}  // namespace
}  // namespace detrame
