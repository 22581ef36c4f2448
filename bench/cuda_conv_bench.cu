// SPDX-License-Identifier: Apache-2.0
// How fast is the convolutional Q-metric ReLU on a device, against its float peak and its bandwidth? How fast
// are our products with windows beside im2col and cuBLAS?
#include "conv_case.hpp"
#include "cuda/im2col.hpp"
#include "on_device.hpp"

namespace {

using namespace bench;
using namespace detrame;
using B = Cuda<float>;
using Problem = ConvProblem<B, ConvolutionalBlocks>;

double batch_bytes(Problem const& p) { return 4. * static_cast<double>(p.Z.rows() * p.Z.cols()); }
double weight_bytes(Problem const& p) {
  return 4. * static_cast<double>(p.W_tilde.rows() * p.W_tilde.cols());
}

void convolution(benchmark::State& state, Way way, ConvCase const& c) {
  B gpu;
  bool const with_pullback = way != Way::forward;
  Problem p(gpu, c, way == Way::forward_pullback);
  time_calls(state, gpu, [&] {
    p.forward();
    if (with_pullback) p.pullback();
  });
  count_flops(state, c.product() * static_cast<double>(with_pullback ? 3 * c.T : c.T));
  if (way != Way::forward_pullback_recompute)
    count_bytes(state, unrolled_bytes(with_pullback, c.T, batch_bytes(p), weight_bytes(p), 0));
  count_memory(state, gpu);
}

void add_layer(std::string const& before, ConvCase const& c) {
  for (Way way : {Way::forward, Way::forward_pullback, Way::forward_pullback_recompute})
    add_case(before + "QMetricReLU/conv/" + name_of(way) + c.name(),
             [=](benchmark::State& state) { convolution(state, way, c); });
}

/// One product with a window: bytes are those of its two factors and its result,
/// whatever is formed beside them.
struct Product {
  char const* name;
  void (*ours)(Problem&);
  void (*im2col)(Problem&);
};
Product const window_products[] = {
    {"forward",
     [](Problem& p) {
       auto const frame = p.backend.lane().frame();
       auto const K = prepare_convolution(Direct(), p.backend, p.shape.window(), p.W_tilde, Op::none);
       convolve_each(p.backend.lane(), K, p.Z, formula::Store(), B::View(p.U));
     },
     [](Problem& p) { im2col::convolve(p.backend.lane(), p.shape.window(), p.W_tilde, p.Z, p.U); }},
    {"adjoint",
     [](Problem& p) {
       auto const frame = p.backend.lane().frame();
       auto const K_T = prepare_convolution(Direct(), p.backend, p.shape.window(), p.W_tilde, Op::transposed);
       convolve_each(p.backend.lane(), K_T, p.Z, formula::Store(), B::View(p.U));
     },
     [](Problem& p) { im2col::convolve_adjoint(p.backend.lane(), p.shape.window(), p.W_tilde, p.Z, p.U); }},
    {"gradient",
     [](Problem& p) {
       add_convolution_gradient(Direct(), p.backend.lane(), p.shape.window(), p.U_bar, p.Z, 1, p.W_tilde_bar);
     },
     [](Problem& p) {
       im2col::add_gradient(p.backend.lane(), p.shape.window(), p.U_bar, p.Z, 1, p.W_tilde_bar);
     }}};

void window_product(benchmark::State& state, void (*run)(Problem&), ConvCase const& c) {
  B gpu;
  Problem p(gpu, c, false);
  time_calls(state, gpu, [&] { run(p); });
  count_flops(state, c.product());
  count_bytes(state, 2 * batch_bytes(p) + weight_bytes(p));
  count_memory(state, gpu);
}

/// Products with windows: ours, and im2col with cuBLAS.
void add_products(std::string const& before, ConvCase const& c) {
  for (Product const& product : window_products)
    for (bool const twin : {false, true})
      add_case(before + "window/" + (twin ? "im2col/" : "ours/") + product.name + c.images_name() +
                   "/N:" + std::to_string(c.images),
               [=, run = twin ? product.im2col : product.ours](benchmark::State& state) {
                 window_product(state, run, c);
               });
}

}  // namespace

int main(int count, char** words) {
  if (!device_is_here()) return skipped;
  add_layer("tiny/", {4, 5, 2, 2});
  add_products("tiny/", {4, 5, 1, 2});
  for (ConvCase const& c : conv_cases) add_layer("", c);
  for (ConvCase const& c : conv_cases)
    if (c.T != 5)
      add_products("", {c.C, c.edge, 1, c.images});  // the sizes of T = 5 are those of another case
  return run_cases(count, words);
}
