// SPDX-License-Identifier: Apache-2.0
#include "golden/torch.hpp"

#include <array>
#include <optional>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/optim/adam_w.hpp"
#include "detrame/optim/clip.hpp"
#include "detrame/optim/schedule.hpp"
#include "detrame/optim/sgd.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

constexpr int steps = 50;

golden::Quantities const& torch() {
  static golden::Quantities const all = golden::torch("optim");
  return all;
}

/// The tensors of make_torch.py.
template <class B, bool projected>
struct Three {
  std::array<Matrix<B>, 3> p;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    constexpr Role h{.name = "h", .low = 0, .high = 1}, W_tilde{.name = "W_tilde", .taps = 1};
    f(path / "weight", Role{.name = "weight"}, theta.p[0], rest.p[0]...);
    f(path / "h", projected ? h : Role{.name = "h"}, theta.p[1], rest.p[1]...);
    f(path / "W_tilde", projected ? W_tilde : Role{.name = "W_tilde"}, theta.p[2], rest.p[2]...);
  }
};
constexpr std::array<char const*, 3> names{"weight", "h", "W_tilde"};
constexpr std::array<Index, 3> rows{3, 4, 3}, cols{4, 1, 3};

/// f(n, i) of tensor n and entry i, row by row.
template <bool projected, Backend B, class F>
Three<B, projected> tensors(B& b, F const& f) {
  using Scalar = typename B::Scalar;
  Three<B, projected> theta;
  for (std::size_t n = 0; n < 3; ++n)
    theta.p[n] = to_device(b, host_matrix<Scalar>(rows[n], cols[n], [&](Index i, Index j) {
                             return static_cast<Scalar>(f(static_cast<int>(n), i * cols[n] + j, i, j));
                           }));
  return theta;
}

/// The steps of make_torch.py, held beside PyTorch's. A step rounds some ten times, and what was rounded
/// before stays, at most 10 = 1 / (1 - 0.9) times larger.
template <Backend B, bool projected = false, class Optimiser>
void check_steps(std::string const& name, Optimiser const& optimiser, Schedule const& schedule,
                 std::optional<Clip> const& clip = {}) {
  using Scalar = typename B::Scalar;
  std::string const of = name + (sizeof(Scalar) == 8 ? ".double." : ".float.");
  CAPTURE(of);
  B b;
  auto theta =
      tensors<projected>(b, [](int n, Index i, Index, Index) { return double((5 * i + 3 * n) % 9 - 4) / 8; });
  std::vector<Three<B, projected>> moments(
      Optimiser::moments.size(), tensors<projected>(b, [](int, Index, Index, Index) { return 0.; }));
  int clipped = 0;
  for (int t = 0; t < steps; ++t) {
    std::array<HostMatrix<Scalar>, 3> now;
    for (std::size_t n = 0; n < 3; ++n) now[n] = to_host(b, theta.p[n]);
    auto const gradient = tensors<projected>(b, [&](int n, Index entry, Index i, Index j) {
      double const dyadic =
          std::ldexp(static_cast<double>((7 * entry + 13 * t + 5 * n) % 17 - 8) / 16, t % 3 - 1);
      return static_cast<Scalar>(dyadic) + now[static_cast<std::size_t>(n)](i, j) / 4;
    });
    double scale = 1;
    if (clip) {
      double const norm = gradient_norm(b, gradient, Sgd::everything);
      double const theirs = torch().at(of + "norms")(0, t);
      CHECK(std::abs(norm - theirs) <=
            static_cast<double>(test::tolerance<Scalar>(10 * 10 * (t + 1), theirs)));
      scale = clip->scale(norm);
      clipped += scale < 1;
    }
    optimiser.step(b, theta, gradient, moments, schedule.at(t), static_cast<std::uint64_t>(t), scale);
    for (std::size_t n = 0; n < 3; ++n) {
      std::string const place = message(of, names[n], ".", t + 1);
      if (!torch().contains(place)) continue;
      CAPTURE(place);
      auto const theirs = test::rounded<Scalar>(torch().at(place));
      double const largest = std::max(1., static_cast<double>(test::max_abs(theirs)));
      CHECK(test::max_abs_difference(to_host(b, theta.p[n]), theirs) <=
            test::tolerance<Scalar>(10 * (t + 1) * std::min(10, t + 1), largest));
    }
  }
  if (clip) REQUIRE((clipped > 0 && clipped < steps));
}

Schedule constant(double rate) { return StepSchedule{rate, 1, {}}; }

TEST_CASE_TEMPLATE("(F3) Sgd is torch.optim.SGD for 50 steps: momentum, Nesterov's, decay", B, BACKENDS) {
  Schedule const rate = constant(0.125);
  check_steps<B>("sgd", Sgd{.momentum = 0, .weight_decay = 0}, rate);
  check_steps<B>("momentum", Sgd{.weight_decay = 0}, rate);
  check_steps<B>("nesterov", Sgd{.weight_decay = 0, .nesterov = true}, rate);
  check_steps<B>("decay", Sgd{.momentum = 0.5, .weight_decay = 0.05}, rate);
  check_steps<B>("nesterov_decay", Sgd{.momentum = 0.5, .weight_decay = 0.05, .nesterov = true}, rate);
}

TEST_CASE_TEMPLATE("(F3) AdamW is torch.optim.AdamW for 50 steps", B, BACKENDS) {
  check_steps<B>("adamw", AdamW(), constant(0.01));
  check_steps<B>("adamw_decay", AdamW{.beta_1 = 0.8, .beta_2 = 0.9, .epsilon = 1e-3, .weight_decay = 0.5},
                 constant(0.02));
  check_steps<B>("adamw_no_mean", AdamW{.beta_1 = 0, .beta_2 = 0.99, .weight_decay = 0}, constant(0.02));
}

TEST_CASE_TEMPLATE("(F3) Clip is torch.nn.utils.clip_grad_norm_, where it acts and where it does not", B,
                   BACKENDS) {
  Clip const clip{1.5};
  check_steps<B>("clip", Sgd{.weight_decay = 0}, constant(0.125), clip);
  check_steps<B>("clip_nesterov", Sgd{.weight_decay = 0.05, .nesterov = true}, constant(0.125), clip);
  check_steps<B>("clip_adamw", AdamW(), constant(0.02), clip);
}

TEST_CASE_TEMPLATE("(F3) schedules are MultiStepLR, CosineAnnealingLR and LinearLR chained with each", B,
                   BACKENDS) {
  auto const check = [](std::string const& name, auto const& optimiser, Schedule const& schedule) {
    auto const& theirs = torch().at(name + ".rates");  // each from the one before
    for (int t = 0; t < steps; ++t)
      CHECK(std::abs(schedule.at(t) - theirs(0, t)) <=
            test::tolerance<double>(4 * (t + 1), test::max_abs(theirs)));
    check_steps<B>(name, optimiser, schedule);
  };
  StepSchedule const by_steps{0.125, 0.2, {10, 30}};
  Sgd const sgd{.weight_decay = 0};
  check("steps", sgd, by_steps);
  check("cosine", sgd, CosineSchedule{.rate = 0.125, .length = steps, .last = 0.01});
  check("warm_up_steps", sgd, WarmUp{.then = by_steps, .length = 8, .from = 0.1});
  check("warm_up_cosine", AdamW(),
        WarmUp{.then = CosineSchedule{.rate = 0.02, .length = steps}, .length = 8, .from = 0.1});
}

TEST_CASE_TEMPLATE("(F3) the projections of Algorithm 2 come after PyTorch's step", B, BACKENDS) {
  check_steps<B, true>("projected", Sgd{.weight_decay = 0.05}, constant(0.125));
  check_steps<B, true>("projected_nesterov", Sgd{.weight_decay = 0, .nesterov = true}, constant(0.125),
                       Clip{1.5});
  check_steps<B, true>("projected_adamw", AdamW(), constant(0.05));
}

}  // namespace detrame
