// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "detrame/prox/per_sample.hpp"
#include "detrame/prox/unrolled_prox.hpp"

namespace detrame::inline DETRAME_ABI {

/// How far the T updates of unrolled_prox stay from every kink of the activation, for each sample.      (A1)
///
///   margin_j = min_{t < T} min_i dist((G + W~ U_t)_ij, kinks of A(., b_i))
///
/// Within a perturbation that changes no pre-activation by more than the margin, U_T is smooth; where the
/// margin is not above rounding, single entries of a gradient mean nothing.
///
/// Shapes    as in unrolled_prox; the result: 1 x N, or 1 x images for a convolution, over all sites of an
///           image. T = 0 gives infinity, NaN gives NaN.
/// Cost      that of unrolled_prox.
/// Tested    tests/prox/unrolled_pullback_test.cpp
template <class Activation, Structure S, Backend B>
Matrix<B> kink_margin(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                      ConstView<B> h, ConstView<B> b, ConstView<B> Z, Index T) {
  using Lane = typename B::Lane;
  using Scalar = typename B::Scalar;
  detail::check_unrolled<S, ConstView<B>>("kink_margin", structure, W_tilde, h, b, Z, T, Z, {});
  Index const k = Z.rows();
  detail::PerSample<B> per_sample(backend, structure.unit(), Z.cols());
  Matrix<B> margin;
  resize(backend, margin, 1, Z.cols() / structure.unit());
  View<B> const margins = margin;
  auto const frame = backend.lane().frame();
  auto const K = structure.prepare(backend, W_tilde, Op::none);
  each_chunk(backend, Batch{Z.cols(), structure.unit()}, detail::unrolled_working_set(k),
             [&](Lane& lane, Columns c) {
               View<B> const row = columns(margins, per_sample.samples(c)),
                             row_t = lane.scratch(1, row.cols());                         // 1 x samples
               View<B> const G = lane.scratch(k, c.count), U = lane.scratch(k, c.count);  // k x n
               View<B> const before = lane.scratch(k, c.count);  // k x n, the pre-activation
               ConstView<B> const Z_c = columns(Z, c);
               structure.map(lane, K, Z_c, formula::FirstUpdate<Activation>{activation}, G, U, Z_c, PerRow{h},
                             PerRow{b});
               each(lane, formula::Assign{}, before, ConstView<B>(G));
               each(lane, formula::Fill<Scalar>{-std::numeric_limits<Scalar>::infinity()}, row);
               for (Index t = 0; t < T; ++t) {
                 if (t > 0) {
                   structure.map(lane, K, ConstView<B>(U), formula::StoreSum{}, before, ConstView<B>(G));
                   each(lane, formula::Activate<Activation>{activation}, U, ConstView<B>(before), PerRow{b});
                 }
                 per_sample.maxima(lane, row_t, c, formula::NegativeKinkDistance<Activation>{activation},
                                   ConstView<B>(before), PerRow{b});
                 each(lane, formula::Larger{}, row, ConstView<B>(row_t));
               }
               each(lane, formula::Negate{}, row);
             });
  return margin;
}

}  // namespace detrame::inline DETRAME_ABI
