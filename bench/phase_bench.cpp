// SPDX-License-Identifier: Apache-2.0
// Where does the time of the Q-metric ReLU go, phase by phase, and what arithmetic and memory traffic does
// each phase do?
//
// The library's own unroll and pullback run over structures whose products are clocked: one thread, a clock
// between phases.
#include <benchmark/benchmark.h>

#include <array>
#include <cmath>
#include <ctime>
#include <string>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/operator/dense_blocks.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "fma_peak.hpp"

namespace {

using namespace detrame;
using B = Cpu<float>;
using Lane = B::Lane;
using View = B::View;
using ConstView = B::ConstView;

/// Processor time of this thread, in seconds: other programs may use the machine too.
double now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double cost_of_now() {
  double const first = now();
  for (int i = 0; i < 1000; ++i) benchmark::DoNotOptimize(now());
  return (now() - first) / 1000;
}

enum Phase { weights, input, products, output, cotangent, gradient, phases };
constexpr char const* phase_names[phases] = {"weights", "input",     "products",
                                             "output",  "cotangent", "gradient"};

/// What the phases of calls took, computed and moved: bytes that a phase reads or writes, each once a batch
/// of tiles.
struct Ledger {
  struct Entry {
    double seconds = 0, flops = 0, bytes = 0;
  };
  std::array<Entry, phases> entries;
  double begun = 0, cost = cost_of_now(), paid = 0;  ///< paid: what looking at the clock took in all

  void begin() { begun = look(); }
  /// The phase that began where the last one ended.
  void end(Phase phase, double flops, double scalars) {
    double const time = look();
    entries[phase].seconds += time - begun - cost;
    entries[phase].flops += flops;
    entries[phase].bytes += sizeof(float) * scalars;
    begun = time;
  }

 private:
  double look() {
    paid += cost;
    return now();
  }
};

double product(auto... sizes) { return (static_cast<double>(sizes) * ...); }

/// The matrices among what stands beside a product: a row of each is read or written with every entry.
template <class... Args>
constexpr int matrices = ((std::is_same_v<Args, View> || std::is_same_v<Args, ConstView>)+...);

/// The flops of PointMatrix for one channel.
template <auto const& M>
struct PointMatrixFlops {
  static constexpr int rows = static_cast<int>(std::size(M)), cols = static_cast<int>(std::size(M[0]));

  /// Of factor x, and of sum + factor x.
  static constexpr int times(double factor) { return factor == 1 ? 0 : 1; }
  static constexpr int plus(double factor) { return factor == 1 || factor == -1 ? 1 : 2; }

  /// Of a row's sum over j = first, first + step, ..., divided by its unit.
  template <int i, int first, int step>
  static constexpr int row = [] {
    using Matrix = detail::PointMatrix<M, float>;
    int flops = 0;
    for (int j = first; j < cols; j += step)
      if (j != Matrix::template unit_column<i, first, step> && M[i][j] != 0)
        flops += plus(M[i][j] / Matrix::template unit<i, first, step>);
    return flops;
  }();
  static constexpr int expand = []<int... pair>(std::integer_sequence<int, pair...>) {
    using Matrix = detail::PointMatrix<M, float>;
    constexpr int last = rows - 1;
    int const ends = row<0, 0, 1> + times(Matrix::template unit<0, 0, 1>) + row<last, 0, 1> +
                     times(Matrix::template unit<last, 0, 1>);
    return ends + ((row<2 * pair + 1, 0, 2> + times(Matrix::template unit<2 * pair + 1, 0, 2>) +
                    row<2 * pair + 1, 1, 2> + 2 * plus(Matrix::template unit<2 * pair + 1, 1, 2>)) +
                   ...);
  }(std::make_integer_sequence<int, rows / 2 - 1>());
  static constexpr int contract = [] {
    int flops = rows - 2;  // sums and differences of p and -p
    for (int j = 0; j < cols; ++j) {
      int terms = 0;
      for (int i = 0; i < rows; i += i == 0 ? 1 : 2)
        if (M[i][j] != 0) flops += terms++ == 0 ? times(M[i][j]) : plus(M[i][j]);
    }
    return flops;
  }();
};

/// Winograd<4>, clocked. What is timed is winograd_each and add_winograd_gradient, step by step.
struct ClockedWinograd : ConvolutionalBlocksBy<Winograd<4>> {
  using Kernel = detail::WinogradKernel<float, 4>;
  using Transforms = detail::WinogradTransforms<4, float>;
  using Values = detail::PointValues<float>;
  using Of_A = PointMatrixFlops<Winograd<4>::A>;
  using Of_B = PointMatrixFlops<Winograd<4>::B_T>;
  using Of_G = PointMatrixFlops<winograd_G<4>>;
  static constexpr int n = Winograd<4>::points, points = n * n, sites = 16;

  Ledger* ledger;

  auto prepare(B& backend, ConstView W, Op op) const {
    ledger->begin();
    auto const K = ConvolutionalBlocksBy<Winograd<4>>::prepare(backend, W, op);
    ledger->end(Phase::weights, product(K.first.size() / points, (3 + n) * Of_G::expand),
                product(K.first.size()) + product(W.rows(), W.cols()));
    return K;
  }

  template <class F, class... Args>
  void map(Lane& lane, PreparedConvolution<Kernel> const& K, ConstView U, F const& f,
           Args const&... args) const {
    Kernel const& W = K.first;
    auto const emit = detail::epilogue<float>(f, args...);
    Index const in = W.channels, out = W.out_packets() * detail::lanes<float>;
    ledger->begin();
    each_tiles(lane, W.window, U, U.stride(), W.out_channels,
               [&](auto const& tiles, Index first, Index count, float const* zeros, Values const& V,
                   Values const& Y) {
                 Transforms::input(tiles, U, first, count, zeros, V);
                 ledger->end(Phase::input, product(count, in, 2 * n * Of_B::expand),
                             product(count, in, sites + points));
                 detail::multiply_points(W, V, Y);
                 ledger->end(Phase::products, product(2 * points, V.tiles, in, out),
                             product(points, in, out) + product(points, V.tiles, in + out));
                 Transforms::output(tiles, Y, first, count, W.out_channels, emit);
                 ledger->end(Phase::output, product(count, out, (n + 4) * Of_A::contract),
                             product(count, out, points + sites * matrices<Args...>));
               });
  }

  void add_gradient(Lane& lane, ConstView P, ConstView U, float sign, View const& sum) const {
    Index const out = P.rows(), in = U.rows();
    ledger->begin();
    each_tiles(lane, window(), U, std::max(U.stride(), P.stride()), out,
               [&](auto const& tiles, Index first, Index count, float const* zeros, Values const& V,
                   Values const& Y) {
                 Transforms::cotangent(tiles, P, first, count, zeros, Y);
                 ledger->end(Phase::cotangent, product(count, out, sites + (n + 4) * Of_A::expand),
                             product(count, out, sites + points));
                 Transforms::input(tiles, U, first, count, zeros, V);
                 ledger->end(Phase::input, product(count, in, 2 * n * Of_B::expand),
                             product(count, in, sites + points));
                 detail::add_point_products<4>(Y, V, count, sign, sum);
                 ledger->end(Phase::gradient, product(2, count, sum.rows(), sum.cols()),
                             2 * product(sum.rows(), sum.cols()) + product(points, count, in + out));
               });
  }

  template <class Gradient>
  void finish(B& backend, Gradient const& G, View W_bar) const {
    ledger->begin();
    ConvolutionalBlocksBy<Winograd<4>>::finish(backend, G, W_bar);
    ledger->end(Phase::weights, product(G.sum.rows(), G.sum.cols() / points, (3 + n) * Of_G::contract),
                product(G.sum.rows(), G.sum.cols()) + 2 * product(W_bar.rows(), W_bar.cols()));
  }

 private:
  template <class F>
  static void each_tiles(Lane& lane, Window const& window, ConstView U, Index stride, Index out_channels,
                         F const& f) {
    auto const frame = lane.frame();
    Tiles<4> const tiles{window};
    Index const total = U.cols() / window.sites() * tiles.per_image();
    Index const most = std::min(total, detail::tiles_at_once);
    Values const V(lane, points, U.rows(), most), Y(lane, points + 1, out_channels, most);
    float const* const zeros = Transforms::zeros(lane, stride);
    for (Index first = 0; first < total; first += detail::tiles_at_once)
      f(tiles, first, std::min(detail::tiles_at_once, total - first), zeros, V, Y);
  }
};

/// DenseBlocks, clocked: products and their epilogue are one phase.
struct ClockedDense : DenseBlocks {
  Ledger* ledger;

  auto prepare(B& backend, ConstView W, Op op) const {
    ledger->begin();
    auto const K = DenseBlocks::prepare(backend, W, op);
    ledger->end(Phase::weights, 0, 2 * product(W.rows(), W.cols()));
    return K;
  }

  template <class F, class... Args>
  void map(Lane& lane, PreparedProduct<float> const& K, ConstView U, F const& f, Args const&... args) const {
    Index const k = U.rows();
    int blocks = 0;  // of columns: for each the weights are read once
    detail::for_each_block<float>(k, U.cols(), [&](Index, Index) { ++blocks; });
    ledger->begin();
    DenseBlocks::map(lane, K, U, f, args...);
    ledger->end(Phase::products, product(2, k, k, U.cols()),
                product(blocks, k, k) + product(k, U.cols(), 1 + matrices<Args...>));
  }

  void add_gradient(Lane& lane, ConstView P, ConstView U, float sign, View const& sum) const {
    Index const k = U.rows();
    ledger->begin();
    DenseBlocks::add_gradient(lane, P, U, sign, sum);
    ledger->end(Phase::gradient, product(2, k, k, U.cols()), 2 * product(k, k) + product(2, k, U.cols()));
  }
};

/// A layer of k channels and N columns, whose iterates stay of the size of their input.
struct Problem {
  B::Matrix W_tilde, h, b, Z, U, states, U_bar, Z_bar, W_tilde_bar, h_bar, b_bar;
  Index T;

  Problem(Structure auto const& structure, Index k, Index N, Index T_)
      : W_tilde(B::Matrix::Random(structure.weight_rows(k), structure.weight_cols(k)) *
                (.5f / std::sqrt(static_cast<float>(structure.taps() * k)))),
        h(B::Matrix::Constant(k, 1, .9f)),
        b(B::Matrix::Constant(k, 1, .01f)),
        Z(B::Matrix::Random(k, N)),
        U(k, N),
        states(k, StoreStates::columns(T_, N)),
        U_bar(B::Matrix::Ones(k, N)),
        Z_bar(k, N),
        W_tilde_bar(W_tilde.rows(), W_tilde.cols()),
        h_bar(k, 1),
        b_bar(k, 1),
        T(T_) {}

  void run(B& cpu, Structure auto const& structure, bool with_pullback) {
    unrolled_prox(cpu, structure, formula::NonnegativeShrinkage{}, W_tilde, h, b, Z, T, U,
                  with_pullback ? View(states) : View());
    if (with_pullback)
      unrolled_prox_pullback(cpu, structure, formula::NonnegativeShrinkage{}, W_tilde, h, b, Z, T, U, states,
                             U_bar, Z_bar, W_tilde_bar, h_bar, b_bar);
    benchmark::ClobberMemory();
  }

  /// What a call must read or write of memory at least: each of these matrices once in a pass.
  double bytes(bool with_pullback) const {
    auto const passes = [](auto const&... m) { return sizeof(float) * (product(m.size()) + ...); };
    return with_pullback ? passes(Z, U, states, W_tilde, Z, U, states, U_bar, Z_bar, W_tilde, W_tilde_bar)
                         : passes(Z, U, W_tilde);
  }

  /// What a call returns.
  std::array<B::Matrix, 3> results(B& cpu, Structure auto const& structure, bool with_pullback) {
    for (auto* const m : {&Z_bar, &W_tilde_bar, &h_bar, &b_bar}) m->setZero();
    run(cpu, structure, with_pullback);
    return {U, Z_bar, W_tilde_bar};
  }
};

template <class Clocked, class S>
void clock_phases(benchmark::State& state, S const& structure, Index k, Index N, Index T,
                  bool with_pullback) {
  using benchmark::Counter;
  B cpu(1);
  Ledger ledger;
  Clocked const clocked{structure, &ledger};
  Problem p(structure, k, N, T);
  if (p.results(cpu, structure, with_pullback) != p.results(cpu, clocked, with_pullback))
    return state.SkipWithError("the clocked call has other results than the library's");
  ledger = {};
  double whole = 0, with_clock = 0;
  for (auto _ : state) {
    double const begun = now();
    p.run(cpu, structure, with_pullback);
    double const middle = now();
    p.run(cpu, clocked, with_pullback);
    whole += middle - begun;
    with_clock += now() - middle;
    state.SetIterationTime(middle - begun);
  }
  auto const count = [&](std::string const& name, double value) {
    state.counters[name] = Counter(value, Counter::kAvgIterations);
  };
  count("seconds", whole);
  count("clocked_seconds", with_clock - ledger.paid);
  for (int i = 0; i < phases; ++i) {
    std::string const name = phase_names[i];
    count(name + "_seconds", ledger.entries[i].seconds);
    count(name + "_flops", ledger.entries[i].flops);
    count(name + "_bytes", ledger.entries[i].bytes);
  }
  state.counters["useful_flops"] =
      product(2 * structure.taps(), k, k, N, with_pullback ? 3 * T : T);  // direct products
  state.counters["least_bytes"] = p.bytes(with_pullback);
  state.counters["peak"] = fma_peak(1);
}

int const registered = [] {
  benchmark::AddCustomContext("compiler", __VERSION__);
  auto const add = [](std::string const& name, auto run) {
    for (bool with_pullback : {false, true})
      benchmark::RegisterBenchmark(
          ("phases/" + name + (with_pullback ? "/forward_pullback" : "/forward")).c_str(),
          [=](benchmark::State& state) { run(state, with_pullback); })
          ->UseManualTime();
  };
  struct Case {
    Index C, edge, T;
  };
  for (Case const& c : {Case{96, 32, 2}, Case{96, 32, 5}, Case{192, 16, 2}, Case{16, 32, 3}, Case{64, 8, 3}})
    add("conv/C:" + std::to_string(c.C) + "/HW:" + std::to_string(c.edge) + "/T:" + std::to_string(c.T),
        [=](benchmark::State& state, bool with_pullback) {
          ConvolutionalBlocksBy<Winograd<4>> const structure{c.edge, c.edge, 3};
          clock_phases<ClockedWinograd>(state, structure, c.C, 64 * structure.unit(), c.T, with_pullback);
        });
  for (Index k : {64, 256, 1024})
    add("dense/k:" + std::to_string(k) + "/T:5", [=](benchmark::State& state, bool with_pullback) {
      clock_phases<ClockedDense>(state, DenseBlocks{}, k, 1024, 5, with_pullback);
    });
  return 0;
}();

}  // namespace

BENCHMARK_MAIN();
