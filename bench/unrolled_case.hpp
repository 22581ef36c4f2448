// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"
#include "detrame/core/random.hpp"

/// What the benchmarks of unrolled layers do alike on every backend.
namespace bench {

using detrame::Backend;
using detrame::ConstView;
using detrame::Index;
using detrame::Matrix;
using detrame::View;

/// Independent entries, uniform in (-scale, scale).
template <Backend B>
Matrix<B> random_entries(B& backend, Index rows, Index cols, float scale, std::uint64_t stream) {
  detrame::Random const random(1, stream);
  return to_device(backend, detrame::host_matrix<float>(rows, cols, [&](Index i, Index j) {
                     return scale * (2 * random.uniform<float>(static_cast<std::uint64_t>(i + rows * j)) - 1);
                   }));
}

template <Backend B>
Matrix<B> constant(B& backend, Index rows, Index cols, float value) {
  return to_device(backend, detrame::HostMatrix<float>(rows, cols, value));
}

enum class Way { forward, forward_pullback, forward_pullback_recompute };

/// Bytes that the kernels of one call must move on a device. `batch`: those of a matrix like U; `weights`:
/// those of W~; `kept`: how often a product crosses memory before its formula, 0 or 2. States are stored, or
/// there is no pullback. Read, and after the semicolon written:
///
///   forward    once          W~, Z, Z beside it; G, U_1
///              T - 1 times   W~, U_t, G; U_{t+1}
///   pullback   once          U_bar, U; P, Sigma
///              T - 1 times   P, U_t, W_bar; W_bar      W~, P, Sigma, U_t; Sigma, the next P
///              once          Sigma      Sigma, Z, W_bar; W_bar      W~, Sigma, Sigma beside it; Z_bar
///              once          Sigma, Z
inline double unrolled_bytes(bool with_pullback, Index T, double batch, double weights, double kept) {
  auto const updates = static_cast<double>(T);
  double const forward = ((3 + kept) * updates + 1) * batch + updates * weights;
  double const pullback = ((7 + kept) * updates + 5) * batch + 3 * updates * weights;
  return forward + (with_pullback ? pullback : 0);
}

}  // namespace bench
