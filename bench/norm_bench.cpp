// SPDX-License-Identifier: Apache-2.0
// What does an upper bound of a convolution's norm cost, and how near is it?
//
//   bench_norm_bench
//       the benchmarks
//   bench_norm_bench bounds KERNELS FINENESS
//       for compare_certified.py: a line for each kernel of a file, its name and the two bounds
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/core/random.hpp"
#include "detrame/io/safetensors.hpp"
#include "detrame/operator/window_norm.hpp"

namespace {

using namespace detrame;
using B = Cpu<double>;

/// A window around its site, on images with zeros around them, or that are tori.
struct Kernel {
  Matrix<B> W;  // k x (taps channels)
  Window window;
  bool circular;

  Index channels() const { return W.cols() / window.taps(); }

  /// y = W x, or x = W^T y.
  void apply(Matrix<B> const& from, Matrix<B>& to, bool adjoint) const {
    Index const n = channels();
    to = Matrix<B>::Zero(adjoint ? n : W.rows(), window.sites());
    for (Index dy = 0; dy < window.kernel; ++dy)
      for (Index dx = 0; dx < window.kernel; ++dx) {
        auto const tap = W.middleCols((dy * window.kernel + dx) * n, n);
        Matrix<B> const product =
            adjoint ? Matrix<B>(tap.transpose() * from) : Matrix<B>(tap * moved(from, dy, dx));
        to += adjoint ? moved(product, window.kernel - 1 - dy, window.kernel - 1 - dx) : product;
      }
  }

  /// What a tap sees at each site.
  Matrix<B> moved(Matrix<B> const& x, Index dy, Index dx) const {
    Matrix<B> seen = Matrix<B>::Zero(x.rows(), x.cols());
    for (Index row = 0; row < window.height; ++row)
      for (Index col = 0; col < window.width; ++col) {
        Index from_row = row + dy - window.padding, from_col = col + dx - window.padding;
        if (circular) {
          from_row = (from_row + window.height) % window.height;
          from_col = (from_col + window.width) % window.width;
        }
        if (from_row >= 0 && from_row < window.height && from_col >= 0 && from_col < window.width)
          seen.col(row * window.width + col) = x.col(from_row * window.width + from_col);
      }
    return seen;
  }
};

/// |W v| / |v| at the end of power iteration on images of this size, less what rounding may have added.
double norm_from_below(Kernel const& kernel, int iterations) {
  Random const random(0, 0);
  Matrix<B> v(kernel.channels(), kernel.window.sites()), w;
  for (Index j = 0; j < v.cols(); ++j)
    for (Index i = 0; i < v.rows(); ++i)
      v(i, j) = random.normal<double>(static_cast<std::uint64_t>(i + j * v.rows()));
  double norm = 0;
  for (int t = 0; t < iterations; ++t) {
    v /= v.norm();
    kernel.apply(v, w, false);
    norm = w.norm() / v.norm();
    kernel.apply(w, v, true);
  }
  return norm * (1 - 1e-12);
}

Kernel read(TensorFile const& file, std::string const& name) {
  auto const host = host_matrix<double>(file.tensors.at(name), name);
  Kernel kernel{Matrix<B>(host.rows(), host.cols()), {}, false};
  for (Index j = 0; j < host.cols(); ++j)
    for (Index i = 0; i < host.rows(); ++i) kernel.W(i, j) = host(i, j);
  std::istringstream text(file.metadata.at(name));
  std::string border;
  Window& w = kernel.window;
  if (!(text >> w.height >> w.width >> w.kernel >> border) || (border != "zeros" && border != "circular"))
    throw FormatError(message(name, ": expected height, width, kernel and a border, zeros or circular"));
  w.padding = (w.kernel - 1) / 2;
  if (w.kernel % 2 == 0 || !w.fits() || host.cols() % w.taps() != 0)
    throw FormatError(message(name, ": ", host.cols(), " columns of a window ", w));
  kernel.circular = border == "circular";
  return kernel;
}

int bounds(std::string const& path, Index fineness) {
  B cpu(1);
  TensorFile const file = read_safetensors(path);
  std::cout << std::setprecision(17);
  for (auto const& [name, tensor] : file.tensors) {
    Kernel const kernel = read(file, name);
    std::cout << name << ' ' << norm_from_below(kernel, 200) << ' '
              << window_norm(cpu, Input<B>(kernel.W), kernel.window, fineness) << std::endl;
  }
  return 0;
}

void upper_bound(benchmark::State& state, Index channels, Index fineness) {
  B cpu(1);
  Random const random(1, 0);
  Kernel kernel{Matrix<B>(channels, 9 * channels), {16, 16, 3, 1, 1}, false};
  for (Index j = 0; j < kernel.W.cols(); ++j)
    for (Index i = 0; i < channels; ++i)
      kernel.W(i, j) = random.normal<double>(static_cast<std::uint64_t>(i + j * channels));
  double bound = 0;
  for (auto _ : state) bound = window_norm(cpu, Input<B>(kernel.W), kernel.window, fineness);
  state.counters["over_lower"] = bound / norm_from_below(kernel, 200);
}

}  // namespace

int main(int count, char** words) {
  if (count == 4 && words[1] == std::string("bounds")) try {
      return bounds(words[2], std::atoi(words[3]));
    } catch (std::exception const& what) {
      std::cerr << "norm_bench: " << what.what() << '\n';
      return 1;
    }
  for (Index const channels : {32, 64})
    for (Index const fineness : {16, 32, 64}) {
      auto const name = message("window_norm/channels:", channels, "/fineness:", fineness);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        upper_bound(state, channels, fineness);
      })->Unit(benchmark::kMillisecond);
    }
  benchmark::Initialize(&count, words);
  if (benchmark::ReportUnrecognizedArguments(count, words)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
