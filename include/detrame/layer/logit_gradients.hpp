// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "detrame/layer/inference_pullback.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// inference_pullback for l = 0, 1, ..., c - 1, each with the y_bar that write(l, y_bar) makes for all
/// samples.
template <LayerMaps L, class Write>
void pull_back_each(typename L::Backend& backend, L const& net, typename L::Parameters const& theta,
                    typename L::Tape const& tape, Index c, View<typename L::Backend> gradients,
                    Write const& write) {
  Shape const in = net.input, out = net.output;
  if (out.sites() != 1)
    throw ShapeError(message("logit_gradients: the network returns ", out, ", must return one site"));
  Index const n = c == 0 ? 0 : gradients.cols() / (c * in.sites());
  require_shape("logit_gradients", "gradients", gradients, in.channels, c * n * in.sites());
  auto const frame = backend.lane().frame();
  View<typename L::Backend> const y_bar = backend.lane().scratch(out.channels, n);
  for (Index l = 0; l < c; ++l) {
    write(l, y_bar);
    inference_pullback(backend, net, theta, tape, y_bar,
                       gradients.middle_cols(l * n * in.sites(), n * in.sites()));
  }
}

}  // namespace detail

/// The gradients of some logits of each sample in what it is: behind inference_forward with this tape,
///
///   G_l(:, sample j) = d y(classes(j, l), j) / d x_j,   l = 0, ..., c - 1
///
/// Shapes    classes: n x c, the list of sample j in row j.  gradients: channels x (sites n c), the matrices
///           G_0, ..., G_{c-1} side by side, each shaped as x.
/// Requires  these shapes, and a network that returns one site, else ShapeError; classes that it has, else
///           DomainError.
/// Ensures   those of inference_pullback
/// Cost      c inference_pullbacks of the whole batch; nothing is allocated from the second call on. Who
///           needs differences of logits alone pulls those back, one fewer, as deep_fool does.
/// Tested    tests/layer/logit_gradients_test.cpp
template <LayerMaps L>
void logit_gradients(typename L::Backend& backend, L const& net, typename L::Parameters const& theta,
                     typename L::Tape const& tape, HostMatrix<Index> const& classes,
                     View<typename L::Backend> gradients) {
  using B = typename L::Backend;
  Shape const in = net.input, out = net.output;
  Index const n = classes.rows(), c = classes.cols(), k = out.channels;
  require_shape("logit_gradients", "gradients", gradients, in.channels, in.sites() * n * c);
  for (Index i = 0; i < n * c; ++i)
    if (classes.data()[i] < 0 || classes.data()[i] >= k)
      throw DomainError(message("logit_gradients: class = ", classes.data()[i], ", must be in [0, ", k, ")"));
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const I = lane.scratch(k, k);
  each(lane, formula::Fill<typename B::Scalar>{0}, I);
  each_indexed(lane, formula::ShiftDiagonal<typename B::Scalar>{1}, I);
  detail::pull_back_each(backend, net, theta, tape, c, gradients, [&](Index l, View<B> y_bar) {
    std::span<Index const> const of_samples(classes.data() + l * n, static_cast<std::size_t>(n));
    gather_columns(lane, ConstView<B>(I), of_samples, y_bar);
  });
}

/// The gradients of all logits: G_l(:, sample j) = d y(l, j) / d x_j for l = 0, ..., k - 1.
template <LayerMaps L>
void logit_gradients(typename L::Backend& backend, L const& net, typename L::Parameters const& theta,
                     typename L::Tape const& tape, View<typename L::Backend> gradients) {
  using B = typename L::Backend;
  using Scalar = typename B::Scalar;
  Shape const out = net.output;
  detail::pull_back_each(backend, net, theta, tape, out.channels, gradients, [&](Index l, View<B> y_bar) {
    each(backend.lane(), formula::Fill<Scalar>{0}, y_bar);
    each(backend.lane(), formula::Fill<Scalar>{1}, y_bar.middle_rows(l, 1));
  });
}

}  // namespace detrame::inline DETRAME_ABI
