// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"

namespace detrame::inline DETRAME_ABI::detail {

/// Numbers a sample of a batch in which a sample is `unit` neighbouring columns: 1 x samples, from sums or
/// maxima over all entries of the sample.
template <Backend B>
class PerSample {
 public:
  PerSample(B& backend, Index unit, Index columns) : unit_(unit) {
    if (unit == 1) return;
    resize(backend, sites_, 1, columns);
    resize(backend, scales_, 1, columns);
  }

  /// The samples of a chunk of columns.
  Columns samples(Columns c) const { return {c.first / unit_, c.count / unit_}; }

  /// out_j = sum of f(args...) over sample j. out: 1 x (samples of c), args: k x c.count.
  template <class Lane, class F, class... Args>
  void sums(Lane& lane, View<B> out, Columns c, F const& f, Args const&... args) {
    if (unit_ == 1) return column_sums(lane, out, f, args...);
    column_sums(lane, of_sites(c), f, args...);
    column_sums(lane, out, formula::Identity{}, by_sample(c));
  }

  /// out_j = max of f(args...) over sample j.
  template <class Lane, class F, class... Args>
  void maxima(Lane& lane, View<B> out, Columns c, F const& f, Args const&... args) {
    if (unit_ == 1) return column_max(lane, out, f, args...);
    column_max(lane, of_sites(c), f, args...);
    column_max(lane, out, formula::Identity{}, by_sample(c));
  }

  /// out_j = |f(args...)|_2 over sample j. No square leaves the range of the scalar: a power
  /// of two brings the largest entry of each sample to 1. NaN or infinite where an entry is.
  template <class Lane, class F, class First, class... Args>
  void norms(Lane& lane, View<B> out, Columns c, F const& f, First const& first, Args const&... args) {
    auto const frame = lane.frame();
    View<B> const scale = lane.scratch(1, out.cols());  // 1 x samples
    maxima(lane, scale, c, formula::MagnitudeOf<F>{f}, first, args...);
    each(lane, formula::ScaleToOne{}, scale);
    sums(lane, out, c, formula::ScaledSquare<F>{f}, first, PerColumn{at_columns(lane, scale, c)}, args...);
    each(lane, formula::ScaledRoot{}, out, ConstView<B>(scale));
  }

  /// v: 1 x samples, as 1 x columns: each sample's number at each of its columns. `memory` is 1 x columns.
  template <class Lane>
  ConstView<B> spread(Lane& lane, ConstView<B> v, Matrix<B>& memory) const {
    if (unit_ == 1) return v;
    each(lane, formula::Assign{}, View<B>(memory).reshaped(unit_, v.cols()), PerColumn{v});
    return memory;
  }

 private:
  View<B> of_sites(Columns c) { return columns(View<B>(sites_), c); }
  ConstView<B> by_sample(Columns c) { return ConstView<B>(of_sites(c)).reshaped(unit_, c.count / unit_); }

  /// v: 1 x (samples of c), as 1 x c.count.
  template <class Lane>
  ConstView<B> at_columns(Lane& lane, View<B> v, Columns c) {
    if (unit_ == 1) return v;
    View<B> const wide = columns(View<B>(scales_), c);
    each(lane, formula::Assign{}, wide.reshaped(unit_, v.cols()), PerColumn{ConstView<B>(v)});
    return wide;
  }

  Index unit_;
  Matrix<B> sites_, scales_;  // 1 x columns
};

}  // namespace detrame::inline DETRAME_ABI::detail
