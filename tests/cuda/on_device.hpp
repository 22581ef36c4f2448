// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "laws/layer_laws.hpp"

/// Layers on a device beside the same layers on the CPU, which a .cpp unit of the program computes: nvcc compiles the device's part alone,
/// and the CPU's part is that of every other program.
namespace detrame::laws {

/// The layer on the CPU, instantiated in a .cpp unit.
template <Recipe R, Shape in>
std::unique_ptr<AnyLayer<double>> on_cpu();

}  // namespace detrame::laws
