// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/concept.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// What is made of layers says as a static member `parts_have_adjoints` whether they all have it. (Members
/// that are constrained by it nvcc's front end does not survive.)
template <class L>
constexpr bool parts_have_adjoints() {
  if constexpr (requires { L::parts_have_adjoints; })
    return L::parts_have_adjoints;
  else
    return true;
}

}  // namespace detail

namespace has {

/// A layer offers the adjoint of predict as a member: `inference_pullback(backend, theta, tape, y_bar,
/// x_bar)` reads the tape of a forward and leaves it as it is. Where forward lends y, it does not read y.
template <class L>
concept inference_pullback = requires(L const layer, typename L::Backend& b,
                                      typename L::Parameters const& theta, typename L::Tape const& tape,
                                      ConstView<typename L::Backend> y_bar, View<typename L::Backend> x_bar) {
  layer.inference_pullback(b, theta, tape, y_bar, x_bar);
} && detail::parts_have_adjoints<L>();

}  // namespace has

/// y = predict(x), with a tape for inference_pullback: BatchNorm by its running statistics, nothing dropped.
///
/// Ensures   the bits of predict. y lives in the tape, which keeps a view of x, which must outlive it.
/// Adjoint   inference_pullback; and `pullback`, which ends the tape, for the parameters.
/// Cost      a forward
/// Tested    tests/laws/layer_laws.hpp, for every layer
template <LayerMaps L>
ConstView<typename L::Backend> inference_forward(typename L::Backend& backend, L const& layer,
                                                 typename L::Parameters const& theta,
                                                 ConstView<typename L::Backend> x, typename L::Tape& tape) {
  return layer.forward(backend, theta, x, tape, Draw{.inference = true});
}

/// The gradient of <predict(x), y_bar> in x, behind inference_forward with this tape:
///
///   x_bar = J^T y_bar,   J the Jacobian of predict at x
///
/// Unlike `pullback` it is the adjoint of the inference map, forms no gradient of parameters, and leaves the
/// tape as it is: one inference_forward serves any number of calls, one for each logit, say.
///
/// Shapes    x_bar as x, y_bar as y
/// Requires  these shapes, else ShapeError; x_bar does not overlap y_bar, else DomainError, and lies neither
///           in the tape nor in x. A tape of a forward in training is refused by the layers that differ then.
/// Ensures   x_bar of the `pullback` that ends the tape, but for rounding; the same bits in each call and for
///           any number of threads. At a kink the convention of pullback.
/// Cost      a pullback without its products of gradients; scratch for the cotangents between layers, two a
///           Stack, and for what RecomputeStates computes again.
/// Tested    tests/laws/layer_laws.hpp, for every layer
template <LayerMaps L>
void inference_pullback(typename L::Backend& backend, L const& layer, typename L::Parameters const& theta,
                        typename L::Tape const& tape, ConstView<typename L::Backend> y_bar,
                        View<typename L::Backend> x_bar) {
  static_assert(has::inference_pullback<L>,
                "inference_pullback: the layer, or one that it is made of, offers no member "
                "inference_pullback(backend, theta, tape, y_bar, x_bar)");
  if constexpr (has::inference_pullback<L>) {
    Shape const in = layer.input, out = layer.output;
    require_shape("inference_pullback", "x_bar", x_bar, in.channels, y_bar.cols() / out.sites() * in.sites());
    if (x_bar.overlaps(y_bar)) throw DomainError("inference_pullback: x_bar overlaps y_bar");
    layer.inference_pullback(backend, theta, tape, y_bar, x_bar);
  }
}

}  // namespace detrame::inline DETRAME_ABI
