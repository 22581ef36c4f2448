// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/summary.hpp"

#include <sstream>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/convolutional_dictionary.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"
#include "detrame/layer/host_parameters.hpp"
#include "detrame/layer/mixed_blocks.hpp"
#include "detrame/layer/reshape.hpp"
#include "detrame/network/any.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/zoo/plain_net.hpp"
#include "detrame/network/zoo/res_net.hpp"
#include "support.hpp"

namespace detrame {
namespace {

using B = Cpu<float>;
constexpr Shape image{3, 32, 32};

void check_row(LayerSummary const& row, char const* place, char const* name, Shape in, Shape out,
               Index parameters, Index multiply_adds) {
  CAPTURE(row.place);
  CHECK(row.place == place);
  CHECK(row.name == name);
  CHECK(row.input == in);
  CHECK(row.output == out);
  CHECK(row.parameters == parameters);
  CHECK(row.multiply_adds == multiply_adds);
}

TEST_CASE("summary of PlainNet3's twin with T = 2: layer by layer, by hand") {
  B b(1);
  Bind<PlainNet3<DeTraMe<2>>, image, B> const net;
  Summary const s = summary(b, net);
  REQUIRE(s.layers.size() == 8);
  Shape const whole{96, 32, 32}, half{96, 16, 16}, quarter{10, 8, 8};
  check_row(s.layers[0], "0", "Dropout 0.2", image, image, 0, 0);
  check_row(s.layers[1], "1", "Convolution 3 x 3", image, whole, 2'592 + 96, 2'592 * 1024);
  check_row(s.layers[2], "2", "Q-metric ReLU, 3 x 3, T = 2", whole, whole, 82'944 + 192, 2 * 82'944 * 1024);
  check_row(s.layers[3], "3", "Convolution 3 x 3, stride 2", whole, half, 82'944 + 96, 82'944 * 256);
  check_row(s.layers[4], "4", "Q-metric ReLU, 3 x 3, T = 2", half, half, 82'944 + 192, 2 * 82'944 * 256);
  check_row(s.layers[5], "5", "Convolution 3 x 3, stride 2", half, quarter, 8'640 + 10, 8'640 * 64);
  check_row(s.layers[6], "6", "Q-metric ReLU, 3 x 3, T = 2", quarter, quarter, 900 + 20, 2 * 900 * 64);
  check_row(s.layers[7], "7", "Global average", quarter, {10}, 0, 0);
  CHECK(s.parameters() == 94'176 + 166'788 + 3 * 202);  // docs/networks.md: W, W~; c, h, b
  CHECK(s.parameters() == parameter_count(net.parameters(b)));
  CHECK(s.multiply_adds() == multiply_adds<decltype(net)>());
}

TEST_CASE("summary of ResNet8's twin with T = 3: blocks, branches, shortcuts, without running statistics") {
  B b(1);
  Bind<ResNet<DeTraMe<3>, 8>, image, B> const net;
  Summary const s = summary(b, net);
  Shape const one{16, 32, 32}, two{32, 16, 16}, three{64, 8, 8};
  auto const row = [&](std::string const& place) -> LayerSummary const& {
    for (LayerSummary const& layer : s.layers)
      if (layer.place == place) return layer;
    FAIL(place);
    return s.layers.front();
  };
  check_row(s.layers[1], "1", "Batch normalisation", one, one, 32, 0);
  check_row(s.layers[2], "2", "ReLU", one, one, 0, 0);
  check_row(row("3.0.0.branch.2"), "3.0.0.branch.2", "Q-metric ReLU, 3 x 3, T = 3", one, one, 2'304 + 32,
            3 * 2'304 * 1024);
  check_row(row("4.0.0.branch.0"), "4.0.0.branch.0", "Convolution 3 x 3, stride 2", one, two, 4'608,
            4'608 * 256);
  check_row(row("4.0.0.shortcut"), "4.0.0.shortcut", "Padded channels, stride 2", one, two, 0, 0);
  check_row(row("5.0.0.branch.2"), "5.0.0.branch.2", "Q-metric ReLU, 3 x 3, T = 3", three, three,
            36'864 + 128, 3 * 36'864 * 64);
  check_row(s.layers.back(), "7", "Dense", {64}, {10}, 650, 640);
  CHECK(s.layers.size() == 3 + 6 + 7 + 7 + 2);
  CHECK(s.parameters() == 75'290 + 48'608);  // docs/networks.md
  CHECK(s.multiply_adds() == multiply_adds<decltype(net)>());
}

TEST_CASE("summary: names of structures and of dictionaries, whose multiply-adds are those of D^T x") {
  B b(1);
  using Mixture = Mixed<Channels<2, Full>, Channels<4, Blocks<2>>>;
  using Codes =
      Stack<Dictionary<6, Exact>, QMetric<Signed, Mixture, Unroll<4>>,
            Dictionary<5, Unrolled<Gershgorin, Unroll<3>>>, ConvolutionalDictionary<4, 2, Exact, Padding<1>>,
            ConvolutionalDictionary<4, 3, ImplicitUnroll<7>>, Flatten>;
  constexpr Shape in{3, 4, 5};
  Summary const s = summary(b, Bind<Codes, in, B>());
  REQUIRE(s.layers.size() == 6);
  check_row(s.layers[0], "0", "Dictionary, exact", in, {6, 4, 5}, 3 * 6 + 6 + 3, 20 * 18);
  check_row(s.layers[1], "1", "Q-metric soft threshold, 2 (full) and 4 (2 blocks), T = 4", {6, 4, 5},
            {6, 4, 5}, 4 + 8 + 12, 20 * 4 * (4 + 8));
  check_row(s.layers[2], "2", "Dictionary, T = 3", {6, 4, 5}, {5, 4, 5}, 30 + 5 + 3, 20 * (30 + 2 * 25));
  check_row(s.layers[3], "3", "Dictionary 2 x 2, padding 1, exact", {5, 4, 5}, {4, 5, 6}, 80 + 4 + 3,
            80 * 30);
  check_row(s.layers[4], "4", "Dictionary 3 x 3, T = 7", {4, 5, 6}, {4, 5, 6}, 144 + 4 + 3, 2 * 7 * 144 * 30);
  check_row(s.layers[5], "5", "Reshape", {4, 5, 6}, {120}, 0, 0);
}

struct Nameless {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend Bk>
  struct Layer : ReLU::Layer<in, Bk> {
    static void name() = delete;
  };
};

TEST_CASE("summary of one layer, of one without a name, of a network chosen at run time; as a table") {
  B b(1);
  check_row(summary(b, Bind<Dense<4>, Shape{3}, B>()).layers.at(0), "", "Dense", {3}, {4}, 16, 12);
  using Net = Bind<Stack<Dense<4>, Repeat<2, Nameless>, Dense<10>>, Shape{3}, B>;
  std::ostringstream out;
  out << summary(b, AnyNetwork("small", Net()));
  CHECK(out.str() ==
        "     layer                   input  output  parameters  multiply-adds\n"
        "0    Dense                   3      4               16             12\n"
        "1.0  a layer without a name  4      4                0              0\n"
        "1.1  a layer without a name  4      4                0              0\n"
        "2    Dense                   4      10              50             40\n"
        "     all                                            66             52\n");
  CHECK(out.str() == message(summary(b, Net())));
}

TEST_CASE("walk: places, parameters and tapes of every layer, those of a branch and of a repetition too") {
  B b(1);
  using Block = Residual<Dense<4>, ReLU>;
  using Net = Bind<Stack<Repeat<2, Block>, Dense<3>>, Shape{4}, B>;
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, ReluStart(), 1);
  Net::Tape tape;
  auto const x = to_device(b, test::normal_matrix<float>(4, 5, test::seed(1)));
  net.forward(b, theta, x, tape, {});
  std::vector<std::string> places;
  std::vector<HostMatrix<float>> weights;
  walk(
      [&]<class L>(Path const& path, L const&, typename L::Parameters const& p, typename L::Tape const& t) {
        places.emplace_back(std::string_view(path));
        if constexpr (requires { p.W; }) {
          weights.push_back(to_host(b, p.W));
          CHECK(t.x.cols() == 5);
          if (places.size() == 1) CHECK(t.x.data() == ConstView<B>(x).data());
        }
      },
      net, Path(), theta, tape);
  CHECK(places ==
        std::vector<std::string>{"0.0.branch.0.", "0.0.branch.1.", "0.1.branch.0.", "0.1.branch.1.", "1."});
  auto const host = to_host(b, theta);
  REQUIRE(weights.size() == 3);
  CHECK(weights[0] == host.at("0.0.branch.0.W"));
  CHECK(weights[1] == host.at("0.1.branch.0.W"));
  CHECK(weights[2] == host.at("1.W"));
}

}  // namespace
}  // namespace detrame
