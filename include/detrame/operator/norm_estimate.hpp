// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include "detrame/core/random.hpp"
#include "detrame/operator/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// An estimate of |W~|_2 on images of the structure's size, from below: power iteration on W~^T W~.      (K3)
///
/// Requires  iterations >= 1, else DomainError.
/// Ensures   a lower bound, up to rounding, that increases with the number of iterations to the norm.
/// Cost      4 kernel^2 k kg sites flops an iteration.
/// Tested    tests/metric/convolutional_metric_test.cpp
template <Backend B, StructureOn<B> S>
typename B::Scalar norm_estimate(B& backend, S const& structure, ConstView<B> W, Index k, Index iterations,
                                 std::uint64_t seed = 0) {
  using Scalar = typename B::Scalar;
  require_at_least("norm_estimate", "iterations", iterations, Index{1});
  structure.check("norm_estimate", k);
  Random const random(seed, 0);
  Matrix<B> v = to_device(backend, host_matrix<Scalar>(k, structure.unit(), [&](Index i, Index j) {
                            return random.normal<Scalar>(static_cast<std::uint64_t>(i + j * k));
                          }));
  Matrix<B> w = zeros(backend, k, structure.unit());
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  auto const length = [&](ConstView<B> x) {
    auto const inner = lane.frame();
    View<B> const squares = lane.scratch(1, x.cols());
    column_sums(lane, squares, formula::Square{}, x);
    return std::sqrt(sum_to_host(lane, ConstView<B>(squares)));
  };
  auto const sums = direct_sums(structure);
  auto const K = sums.prepare(backend, W, Op::none), K_T = sums.prepare(backend, W, Op::transposed);
  Scalar norm(0);
  for (Index t = 0; t < iterations; ++t) {
    Scalar const size = length(v);
    if (!(size > Scalar(0))) return size;
    each(lane, formula::Scale<Scalar>{1 / size}, v);
    sums.map(lane, K, ConstView<B>(v), formula::Store{}, View<B>(w));
    norm = length(w);
    sums.map(lane, K_T, ConstView<B>(w), formula::Store{}, View<B>(v));
  }
  return norm;
}

}  // namespace detrame::inline DETRAME_ABI
