// SPDX-License-Identifier: Apache-2.0
#include "cuda/reflected_test.hpp"

#include "allocation_counter.hpp"
#include "detrame/backend/cpu/backend.hpp"

namespace detrame::laws {

template <Recipe R, Shape in>
std::unique_ptr<AnyLayer<double>> on_cpu() {
  return std::make_unique<LayerModel<Bind<R, in, Cpu<double>>>>();
}

template std::unique_ptr<AnyLayer<double>> on_cpu<ByRows, Shape{3, 4, 4}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<ByNorm, Shape{3, 4, 4}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<Exactly, Shape{5}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<InPairs, Shape{5}>();
template std::unique_ptr<AnyLayer<double>> on_cpu<UnitRows, Shape{7}>();

}  // namespace detrame::laws
