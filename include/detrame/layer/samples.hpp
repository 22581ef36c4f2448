// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/errors.hpp"
#include "detrame/core/matrix_view.hpp"
#include "detrame/core/shape.hpp"

namespace detrame::inline DETRAME_ABI {

/// The number of samples in x; refuses a batch that is not made of samples of the shape.
template <class View>
Index samples(char const* who, Shape const& in, View const& x) {
  if (x.rows() != in.channels || x.cols() % in.sites() != 0)
    throw ShapeError(message(who, ": x is ", x.rows(), " x ", x.cols(), ", a batch of samples of shape ", in,
                             " has ", in.channels, " rows and a multiple of ", in.sites(), " columns"));
  return x.cols() / in.sites();
}

/// The same of the layer's input shape.
template <class L, class View>
Index samples(char const* who, View const& x) {
  return samples(who, Shape(L::input), x);
}

/// The number of samples in x; refuses a y that has not as many of the layer's output shape.
template <class L, class X, class Y>
Index samples(char const* who, X const& x, Y const& y) {
  constexpr Shape out = L::output;
  Index const n = samples<L>(who, x);
  require_shape(who, "y", y, out.channels, n * out.sites());
  return n;
}

/// Where the outputs stand of the samples whose inputs are the columns of a chunk.
template <class L>
Columns outputs(Columns chunk) {
  constexpr Index in = Shape(L::input).sites(), out = Shape(L::output).sites();
  return {chunk.first / in * out, chunk.count / in * out};
}

/// Refuses a cotangent that is not shaped as the output it belongs to.
template <class Y, class YBar>
void require_cotangent(char const* who, Y const& y, YBar const& y_bar) {
  if (y.rows() != y_bar.rows() || y.cols() != y_bar.cols())
    throw ShapeError(
        message(who, ": y_bar is ", y_bar.rows(), " x ", y_bar.cols(), ", y is ", y.rows(), " x ", y.cols()));
}

/// Refuses inference_pullback after a forward that was not the inference map.
inline void require_inference(char const* who, bool inference) {
  if (!inference)
    throw DomainError(message(who,
                              ": inference_pullback stands behind inference_forward alone, and the last "
                              "forward with this tape was in training"));
}

}  // namespace detrame::inline DETRAME_ABI
