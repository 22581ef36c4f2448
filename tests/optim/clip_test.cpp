// SPDX-License-Identifier: Apache-2.0
#include "detrame/optim/clip.hpp"

#include <vector>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/optim/adam_w.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

/// Two tensors that are trained, one of them a hyperparameter, and one that is not.
template <class B>
struct SomeTensors {
  Matrix<B> weight, alpha, mean;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    f(path / "weight", Role{.name = "weight"}, theta.weight, rest.weight...);
    f(path / "alpha", Role{.name = "alpha", .hyperparameter = true}, theta.alpha, rest.alpha...);
    f(path / "mean", Role{.name = "mean", .trained = false}, theta.mean, rest.mean...);
  }
};

template <Backend B>
SomeTensors<B> some(B& b, HostMatrix<typename B::Scalar> const& weight, typename B::Scalar alpha = 0) {
  using Scalar = typename B::Scalar;
  return {to_device(b, weight), to_device(b, HostMatrix<Scalar>(1, 1, alpha)),
          to_device(b, HostMatrix<Scalar>(4, 1, limits::nan<Scalar>))};
}

TEST_CASE_TEMPLATE("the norm of a gradient is Euclid's, over what is trained", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const weight = test::normal_matrix<Scalar>(33, 7, test::seed(1));
  double const square = test::inner(weight, weight);
  double const tolerance = static_cast<double>(test::tolerance<Scalar>(40, std::sqrt(square + 9)));
  CHECK(std::abs(gradient_norm(b, some(b, weight, 3), Sgd::everything) - std::sqrt(square + 9)) <= tolerance);
  CHECK(std::abs(gradient_norm(b, some(b, weight, 3), Sgd::not_the_problem) - std::sqrt(square)) <=
        tolerance);
  CHECK(gradient_norm(b, some(b, HostMatrix<Scalar>(2, 3), 0), Sgd::everything) == 0);
  CHECK(gradient_norm(b, some(b, HostMatrix<Scalar>(0, 0), 2), Sgd::everything) == 2);
  CHECK(gradient_norm(b, some(b, weight), [](Role const&) { return false; }) == 0);
}

TEST_CASE_TEMPLATE("the norm of a gradient is found where its squares leave the range of the scalar", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  for (Scalar const size : {limits::largest<Scalar> / 16, limits::smallest<Scalar>, limits::least<Scalar>}) {
    double const norm = gradient_norm(b, some(b, HostMatrix<Scalar>(3, 3, size)), Sgd::everything);
    double const expected = 3 * static_cast<double>(size);
    CHECK(std::abs(norm - expected) <= 8 * static_cast<double>(limits::epsilon<Scalar>) * expected);
  }
  if (sizeof(Scalar) == 4)  // beyond the range of the scalar itself
    CHECK(gradient_norm(b, some(b, HostMatrix<Scalar>(2, 2, limits::largest<Scalar>)), Sgd::everything) ==
          2 * static_cast<double>(limits::largest<Scalar>));
}

TEST_CASE_TEMPLATE("the norm of a gradient with NaN is NaN, of one with infinity infinite", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Scalar const infinity = limits::infinity<Scalar>, nan = limits::nan<Scalar>;
  auto const norm = [&](Scalar a, Scalar c) {
    return gradient_norm(b, some(b, host_matrix<Scalar>(1, 2, [&](Index, Index j) { return j ? c : a; })),
                         Sgd::everything);
  };
  CHECK((std::isnan(norm(1, nan)) && std::isnan(norm(nan, 1))));
  CHECK((std::isnan(norm(infinity, nan)) && std::isnan(norm(nan, infinity))));
  CHECK((std::isinf(norm(1, -infinity)) && std::isinf(norm(infinity, 1))));
}

TEST_CASE("the norm of a gradient has the same bits with one thread and with three") {
  Cpu<float> one(1), three(3);
  auto const weight = test::normal_matrix<float>(300, 700, test::seed(2));
  CHECK(gradient_norm(one, some(one, weight), Sgd::everything) ==
        gradient_norm(three, some(three, weight), Sgd::everything));
}

TEST_CASE("Clip scales what is longer than its norm to it, and nothing else; what is not finite is seen") {
  Clip const clip{2};
  CHECK(clip.scale(1) == 1);
  CHECK(clip.scale(0) == 1);
  CHECK(clip.scale(2 - 2e-6) == 1);
  CHECK(clip.scale(2) == 2 / (2 + 1e-6));
  CHECK(clip.scale(4) == 2 / (4 + 1e-6));
  CHECK(clip.scale(limits::infinity<double>) == 0);
  CHECK(std::isnan(clip.scale(limits::nan<double>)));
  for (double const norm : {0., -1., limits::nan<double>}) {
    test::check_throws_with<DomainError>([&] { Clip{norm}.check(); },
                                         message("Clip: norm = ", norm, ", must"));
    test::check_throws_with<DomainError>([&] { (void)Clip{norm}.scale(1); }, "Clip: norm = ");
  }
}

TEST_CASE_TEMPLATE("a step with the scale s is that with the gradient s g", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const start = some(b, test::normal_matrix<Scalar>(5, 4, test::seed(3)), 2);
  auto const g = test::normal_matrix<Scalar>(5, 4, test::seed(4));
  auto const quarter = test::mapped([](Scalar x) { return x / 4; }, g);
  auto const after = [&](auto const& optimiser, HostMatrix<Scalar> const& gradient, double scale) {
    auto theta = start;
    std::vector moments(optimiser.moments.size(), some(b, HostMatrix<Scalar>(5, 4)));
    optimiser.step(b, theta, some(b, gradient), moments, 0.5, 0, scale);
    return to_host(b, ConstView<B>(theta.weight));
  };
  auto const check = [&](auto const& optimiser) {  // times a power of two no product is rounded otherwise
    CHECK(after(optimiser, g, 0.25) == after(optimiser, quarter, 1));
    CHECK_FALSE(after(optimiser, g, 0.25) == after(optimiser, g, 1));
  };
  check(Sgd{.weight_decay = 0});
  check(Sgd{.weight_decay = 0, .nesterov = true});
  check(AdamW{.epsilon = 1});
}

}  // namespace detrame
