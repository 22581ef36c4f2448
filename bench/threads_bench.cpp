// SPDX-License-Identifier: Apache-2.0
// Does the default, all threads, ever lose against one thread?
//
//   bench_threads_bench [--busy] [--calls N] [FILTER]
//
// For each verb and size: the median time of N (200) calls with one thread and with the default, by turns,
// and their ratio; with --busy beside a program that burns every core. FILTER: part of the names.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/prox/metric_prox.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "exact_case.hpp"
#include "unrolled_case.hpp"

namespace {

using namespace detrame;
using B = Cpu<double>;
using Call = std::function<void()>;

double microseconds_of(Call const& call) {
  auto const start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

double quantile(std::vector<double> v, double share) {
  std::sort(v.begin(), v.end());
  return v[static_cast<std::size_t>(share * static_cast<double>(v.size() - 1))];
}

/// One verb at one size, on a backend of its own: what a call needs lives as long as it does.
using Make = std::function<Call(B&, Index k, Index N)>;

Call metric_prox_call(B& b, Index k, Index N) {
  auto const p = std::make_shared<bench::ExactProblem<B>>(bench::ExactProblem<B>::random(b, k, N));
  auto const Q = std::make_shared<GramMetric<B>>(p->synthesis.metric(b));
  auto const psi = std::make_shared<NonnegativeElasticNet<B>>(p->synthesis.penalty(b));
  auto const Z = std::make_shared<Matrix<B>>(p->metric_points(b));
  return [=, &b] { metric_prox(b, *Q, *psi, *Z, Gershgorin(), Until{.tolerance = 1e-6, .limit = 30}); };
}

Call exact_prox_call(B& b, Index k, Index N) {
  auto const p = std::make_shared<bench::ExactProblem<B>>(bench::ExactProblem<B>::random(b, k, N));
  auto const Q = std::make_shared<GramMetric<B>>(p->synthesis.metric(b));
  auto const psi = std::make_shared<NonnegativeElasticNet<B>>(p->synthesis.penalty(b));
  auto const Z = std::make_shared<Matrix<B>>(p->metric_points(b));
  auto const result = std::make_shared<ExactResult<B>>();
  return [=, &b] { exact_prox(b, *Q, *psi, *Z, *result); };
}

Call exact_synthesis_call(B& b, Index k, Index N) {
  auto const p = std::make_shared<bench::ExactProblem<B>>(bench::ExactProblem<B>::random(b, k, N));
  auto const psi = std::make_shared<NonnegativeElasticNet<B>>(p->synthesis.penalty(b));
  auto const result = std::make_shared<ExactResult<B>>();
  return [=, &b] { exact_synthesis(b, p->synthesis, *psi, p->X, *result); };
}

/// A recursion of five updates, and its adjoint.
template <bool with_pullback>
Call unrolled_call(B& b, Index k, Index N) {
  constexpr Index T = 5;
  struct Memory {
    Matrix<B> W, h, c, Z, U, states, U_bar, Z_bar, W_bar, h_bar, c_bar;
  };
  auto const entries = [&](Index rows, Index cols, double scale) {
    return Matrix<B>(scale * Matrix<B>::Random(rows, cols));
  };
  auto const m = std::make_shared<Memory>(Memory{entries(k, k, 1. / static_cast<double>(k)), entries(k, 1, 1),
                                                 entries(k, 1, .1), entries(k, N, 1), zeros(b, k, N),
                                                 zeros(b, k, (T - 1) * N), entries(k, N, 1), zeros(b, k, N),
                                                 zeros(b, k, k), zeros(b, k, 1), zeros(b, k, 1)});
  return [=, &b] {
    formula::NonnegativeShrinkage const relu{};
    unrolled_prox(b, DenseBlocks{}, relu, ConstView<B>(m->W), ConstView<B>(m->h), ConstView<B>(m->c),
                  ConstView<B>(m->Z), T, View<B>(m->U), View<B>(m->states));
    if constexpr (with_pullback)
      unrolled_prox_pullback(b, DenseBlocks{}, relu, ConstView<B>(m->W), ConstView<B>(m->h),
                             ConstView<B>(m->c), ConstView<B>(m->Z), T, ConstView<B>(m->U),
                             ConstView<B>(m->states), ConstView<B>(m->U_bar), View<B>(m->Z_bar),
                             View<B>(m->W_bar), View<B>(m->h_bar), View<B>(m->c_bar));
  };
}

/// Processes that burn a core each, for as long as this object lives.
class Burners {
 public:
  explicit Burners(int count) {
    for (int i = 0; i < count; ++i) {
      pid_t const child = fork();
      if (child == 0)
        for (double volatile x = 1;;) x = x * .999 + 1;
      children_.push_back(child);
    }
  }
  Burners(Burners const&) = delete;
  Burners& operator=(Burners const&) = delete;
  ~Burners() {
    for (pid_t const child : children_) kill(child, SIGKILL);
    for (pid_t const child : children_) waitpid(child, nullptr, 0);
  }

 private:
  std::vector<pid_t> children_;
};

}  // namespace

int main(int count, char** words) {
  int burning = 0, calls = 200;
  std::string filter;
  for (int i = 1; i < count; ++i) {
    std::string const word = words[i];
    if (word == "--busy")
      burning = B::available_threads();
    else if (word == "--calls" && i + 1 < count)
      calls = std::max(std::atoi(words[++i]), 1);
    else
      filter = word;
  }
  Burners const burners(burning);
  std::pair<char const*, Make> const verbs[] = {{"metric_prox", metric_prox_call},
                                                {"unrolled_prox", unrolled_call<false>},
                                                {"unrolled_prox_pullback", unrolled_call<true>},
                                                {"exact_prox", exact_prox_call},
                                                {"exact_synthesis", exact_synthesis_call}};
  std::printf("%s, %d threads by default\n%-40s %12s %12s %7s %7s\n", burning ? "busy" : "quiet",
              B::available_threads(), "", "one, us", "default, us", "median", "p90");
  std::vector<double> ratios;
  for (auto const& [verb, make] : verbs)
    for (Index const k : {8, 40, 128})
      for (Index const N : {1, 8, 50, 1000}) {
        std::string const name = std::string(verb) + "/k:" + std::to_string(k) + "/N:" + std::to_string(N);
        if (name.find(filter) == std::string::npos) continue;
        B one(1), all;
        Call const with_one = make(one, k, N), with_all = make(all, k, N);
        std::vector<double> one_us, all_us;
        for (int call = -3; call < calls; ++call) {
          double const a = microseconds_of(with_one), c = microseconds_of(with_all);
          if (call < 0) continue;
          one_us.push_back(a);
          all_us.push_back(c);
        }
        double const ratio = quantile(all_us, .5) / quantile(one_us, .5);
        ratios.push_back(ratio);
        std::printf("%-40s %12.1f %12.1f %7.2f %7.2f\n", name.c_str(), quantile(one_us, .5),
                    quantile(all_us, .5), ratio, quantile(all_us, .9) / quantile(one_us, .9));
        std::fflush(stdout);
      }
  if (!ratios.empty()) std::printf("largest ratio of medians: %.2f\n", quantile(ratios, 1));
}
