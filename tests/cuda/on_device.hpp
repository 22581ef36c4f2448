// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "laws/layer_laws.hpp"

/// Layers on a device beside the same layers on the CPU, which a .cpp unit of the program computes: nvcc
/// compiles the device's part alone, and the CPU's part is that of every other program.
namespace detrame::inline DETRAME_ABI {
template <class Scalar>
class Cuda;
}

namespace detrame::laws {

/// The layer on the CPU, instantiated in a .cpp unit.
template <Recipe R, Shape in>
std::unique_ptr<AnyLayer<double>> on_cpu();

/// All laws of a layer on a device, in float and double, and it agrees with the CPU.
template <Recipe R, Shape in>
void on_device(LayerFacts facts = {}) {
  auto const there = layer_on<R, in, Cuda>(facts), here = on_cpu<R, in>();
  agrees_with(*there, *here, facts);
}

/// It agrees with the CPU, without the laws: for what takes minutes under an emulator.
template <Recipe R, Shape in>
void agrees_on_device(LayerFacts facts) {
  LayerModel<Bind<R, in, Cuda<double>>> there;
  agrees_with(there, *on_cpu<R, in>(), facts);
}

}  // namespace detrame::laws
