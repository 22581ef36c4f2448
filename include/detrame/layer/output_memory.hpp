// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// Memory for the output y of a layer, over which pullback writes x_bar: for a layer whose pullback does not
/// read y, or whose x_bar has another size. (Where the shapes are equal a matrix y does the same.)
///
/// Shapes    y: out.channels x (out.sites() samples).  x_bar: in.channels x (in.sites() samples).
/// Tested    tests/layer/output_memory_test.cpp
template <Shape in, Shape out, Backend B>
class OutputMemory {
 public:
  /// y of another batch, to be written.
  View<B> y(B& backend, Index samples) {
    resize(backend, entries_, size, samples);
    return y();
  }
  View<B> y() { return front(View<B>(entries_), out); }
  ConstView<B> y() const { return front(ConstView<B>(entries_), out); }
  View<B> x_bar() { return front(View<B>(entries_), in); }

  /// x_bar, to be written while y_bar is read: refuses a y_bar that is not shaped as y,
  /// or that lies in its memory.
  View<B> x_bar(char const* who, ConstView<B> y_bar) {
    require_cotangent(who, y(), y_bar);
    if (x_bar().overlaps(y_bar))
      throw DomainError(message(who, ": y_bar lies in the memory of y, over which x_bar is written"));
    return x_bar();
  }

 private:
  static constexpr Index size = std::max(in.size(), out.size());

  template <class V>
  static V front(V all, Shape shape) {
    Index const samples = all.cols();
    return all.reshaped(1, size * samples)
        .middle_cols(0, shape.size() * samples)
        .reshaped(shape.channels, shape.sites() * samples);
  }

  Matrix<B> entries_;  // size x samples; y and x_bar are both in front
};

}  // namespace detrame::inline DETRAME_ABI
