// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>

#include "detrame/backend/concept.hpp"
#include "detrame/core/parameters.hpp"

namespace detrame::inline DETRAME_ABI {

/// An optimiser: a value, const in use. What it remembers between steps are `moments`, values of theta's type
/// that start at zero and that the caller keeps; O::moments are the names of theirs in files, each a prefix
/// such as "velocity.".
///
///   step(backend, theta, theta_bar, moments, rate, steps_before, gradient_scale)
///
/// is one step with the gradient gradient_scale theta_bar (Clip), the steps_before-th counted from 0, and
/// keeps theta to the sets of its roles. What throws has changed nothing.                               (F3)
template <class O, class B, class Theta>
concept OptimiserOn = std::copyable<O> && requires(O const optimiser, B& backend, Theta& theta,
                                                   Theta const& theta_bar, std::span<Theta> moments) {
  { std::span<std::string_view const, O::moments.size()>(O::moments) };
  optimiser.step(backend, theta, theta_bar, moments, 1., std::uint64_t{}, 1.);
};

}  // namespace detrame::inline DETRAME_ABI
