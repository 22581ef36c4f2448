// SPDX-License-Identifier: Apache-2.0
#include "cuda/layer_test.hpp"

#include "allocation_counter.hpp"
#include "detrame/backend/cpu/backend.hpp"

namespace detrame::laws {

template <Recipe R, Shape in>
std::unique_ptr<AnyLayer<double>> on_cpu() {
  return std::make_unique<LayerModel<Bind<R, in, Cpu<double>>>>();
}

template std::unique_ptr<AnyLayer<double>> on_cpu<Affine, Shape{5, 2, 3}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<Strided, Shape{2, 5, 4}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<Patched, Shape{2, 5, 4}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<ReLU, Shape{5, 2, 3}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<Dropped, Shape{5, 2, 3}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<Blockwise, Shape{6, 2, 3}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<Sliding, Shape{4, 3, 5}>();

}  // namespace detrame::laws
