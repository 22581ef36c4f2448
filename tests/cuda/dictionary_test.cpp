// SPDX-License-Identifier: Apache-2.0
#include "cuda/dictionary_test.hpp"

#include "allocation_counter.hpp"
#include "detrame/backend/cpu/backend.hpp"

namespace detrame::laws {

template <Recipe R, Shape in>
std::unique_ptr<AnyLayer<double>> on_cpu() {
  return std::make_unique<LayerModel<Bind<R, in, Cpu<double>>>>();
}

template std::unique_ptr<AnyLayer<double>> on_cpu<Coded, Shape{5}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<Unrolled2, Shape{5, 2, 3}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<CodedImage, Shape{2, 3, 4}>();

}  // namespace detrame::laws
