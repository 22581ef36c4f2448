// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "laws/layer_laws.hpp"

namespace detrame::laws {

/// All laws of a layer, in float and double on the Cpu, in double on plain loops; and all of them agree.
template <Recipe R, Shape in>
void everywhere(LayerFacts facts = {}) {
  layer<R, in, Cpu, archetype::Loops>(facts);
}

/// The outcome of one layer at the n-th point: for identities between layers.
template <Recipe R, Shape in, template <class> class BackendOf = Cpu>
Outcome<double> outcome_of(Index samples, std::uint64_t n) {
  LayerModel<Bind<R, in, BackendOf<double>>> layer;
  return LayerAt<double>(layer, samples, n).outcome();
}

}  // namespace detrame::laws
