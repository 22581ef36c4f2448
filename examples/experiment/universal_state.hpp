// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/io/tensor.hpp"
#include "detrame/robust/universal_perturbation.hpp"

namespace experiment {

using namespace detrame;

/// "fooled enough": how building a universal perturbation ended.
std::string_view text_of(UniversalStatus status);

/// Puts a universal perturbation, built or not yet, into a file, under names that begin with `name`.
void store_universal(UniversalState<float> const& state, std::string const& name, TensorFile& file);

/// Takes it out; an empty state where there is none. FormatError where it is none of so many images, each of
/// so many numbers.
UniversalState<float> stored_universal(TensorFile const& file, std::string const& name, Index size,
                                       Index images);

}  // namespace experiment
