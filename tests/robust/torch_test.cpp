// SPDX-License-Identifier: Apache-2.0
#include "golden/torch.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/reflected_update.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/network/stack.hpp"
#include "detrame/robust/network_scores.hpp"
#include "detrame/robust/pgd.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

namespace {

golden::Quantities const& torch() {
  static golden::Quantities const all = golden::torch("robust");
  return all;
}

constexpr Shape shape{2, 5, 4};
using Small = Stack<Convolution<4, 3>, BatchNorm, ReLU, GlobalAveragePool, Dense<3>>;

/// The parameters of make_torch.py.
template <Backend B, class Theta>
Theta filled(B& b, Theta theta) {
  int n = 0;
  visit(
      [&](std::string_view path, Role const&, auto& p) {
        bool const positive = path.ends_with("gain") || path.ends_with("variance");
        Index const cols = p.cols();
        p = to_device(b, host_matrix<typename B::Scalar>(p.rows(), cols, [&](Index i, Index j) {
                        Index const entry = 7 * (i * cols + j) + 5 * n;
                        return static_cast<typename B::Scalar>(positive ? double(entry % 9 + 4) / 8
                                                                        : double(entry % 17 - 8) / 8);
                      }));
        ++n;
      },
      theta);
  return theta;
}

template <Backend B>
Matrix<B> images(B& b) {
  return test::in_memory_of(b, host_matrix<double>(2, 60, [](Index c, Index j) {
                              return double((11 * c + 7 * j + j / 20) % 23 + 4) / 32;
                            }));
}

template <Backend B>
std::string const scalar = sizeof(typename B::Scalar) == 8 ? ".double" : ".float";

}  // namespace

TEST_CASE_TEMPLATE("FGSM and PGD are PyTorch's, but where the gradient is within its rounding of 0", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  using Net = Bind<Small, shape, B>;
  auto const theta = filled(b, Net().parameters(b));
  NetworkScores map(b, Net(), theta);
  auto const x = images(b);
  std::vector<int> const labels{0, 2, 1};
  auto const& gradient = torch().at("gradient" + scalar<B>);
  double const small = double(test::tolerance<Scalar>(100, test::max_abs(gradient)));
  auto const check = [&](std::string const& name, auto const& found) {
    CAPTURE(name);
    auto const& theirs = torch().at(name + scalar<B>);
    int compared = 0;
    for (Index j = 0; j < 60; ++j)
      for (Index c = 0; c < 2; ++c)
        if (std::abs(gradient(c, j)) > small) {
          ++compared;
          CHECK(std::abs(double(found.x(c, j)) - theirs(c, j)) <= double(test::tolerance<Scalar>(200, 1)));
        }
    CHECK(compared > 100);
  };
  AttackRegion const l_inf{AttackNorm::l_inf, .25}, l2{AttackNorm::l2, .75};
  check("fgsm", fgsm(map, x, labels, l_inf));
  check("fgm", fgsm(map, x, labels, l2));
  check("pgd_l_inf",
        pgd(map, x, labels, {.region = l_inf, .step = .0625, .steps = 10, .stop_when_fooled = false}));
  check("pgd_l2", pgd(map, x, labels, {.region = l2, .step = .25, .steps = 10, .stop_when_fooled = false}));
}

TEST_CASE_TEMPLATE("(L6) one update with |D|^2 is PyTorch's convex potential layer, to rounding", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  using Layer =
      Bind<ReflectedConvolutionalDictionary<6, 2, Unrolled<SpectralNorm, Unroll<1>>, Stride<2>, Padding<1>>,
           shape, B>;
  auto theta = filled(b, Layer().parameters(b));
  for (auto* const weight : {&theta.alpha, &theta.beta, &theta.lambda}) *weight = zeros(b, 1, 1);
  auto const x = images(b);
  Matrix<B> y = zeros(b, 2, 60);
  Layer().predict(b, theta, ConstView<B>(x), View<B>(y));
  auto const& theirs = torch().at("potential" + scalar<B>);
  auto const away = [&](Matrix<B> const& from) {
    auto const host = to_host(b, ConstView<B>(from));
    return test::max_abs(
        host_matrix<double>(2, 60, [&](Index i, Index j) { return double(host(i, j)) - theirs(i, j); }));
  };
  CHECK(away(x) > .1);
  CHECK(away(y) <= double(test::tolerance<Scalar>(40, test::max_abs(theirs))));
}

}  // namespace detrame
