// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <initializer_list>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// How many samples a layer's `inference` wants in a call, or 0 where it has none.
template <class L>
constexpr Index samples_at_once() {
  if constexpr (requires { L::samples_at_once; })
    return L::samples_at_once;
  else
    return 0;
}

/// The same for layers that follow one another.
constexpr Index samples_at_once(std::initializer_list<Index> layers) {
  return std::min(layers) == 0 ? 0 : std::max(layers);
}

template <class L>
constexpr bool in_place() {
  if constexpr (requires { L::in_place; })
    return L::in_place;
  else
    return false;
}

/// use(map), where map(x, y) is the inference map with these parameters: prepared once, for many calls while
/// use runs. What a network reads of its parameters is brought into the form of its products once, and not in
/// each call.
///
///   with_inference(backend, net, theta, [&](auto const& map) {
///     for (auto const& image : images) map(image, scores);
///   });
///
/// Requires  theta is not written meanwhile. For a layer without `inference` map is its predict.
template <Layer L, class Use>
void with_inference(typename L::Backend& backend, L const& layer, typename L::Parameters const& theta,
                    Use const& use) {
  if constexpr (samples_at_once<L>() > 0) {
    constexpr Shape in = L::input, out = L::output;
    auto const frame = backend.lane().frame();
    auto const map = layer.inference(backend, theta);
    use([&](ConstView<typename L::Backend> x, View<typename L::Backend> y) {
      Index const n = samples<L>("with_inference", x, y);
      Batch const batch{n * in.sites(), in.sites(), samples_at_once<L>() * in.sites()};
      each_chunk(backend, batch, in.channels + out.channels, [&](auto& lane, Columns chunk) {
        map(lane, columns(x, chunk), columns(y, outputs<L>(chunk)));
      });
    });
  } else {
    use([&](ConstView<typename L::Backend> x, View<typename L::Backend> y) {
      layer.predict(backend, theta, x, y);
    });
  }
}

/// predict by a layer's `inference`.
template <class L, class Parameters, class ConstView, class View>
void predict_in_chunks(typename L::Backend& backend, L const& layer, Parameters const& theta, ConstView x,
                       View y) {
  with_inference(backend, layer, theta, [&](auto const& map) { map(x, y); });
}

/// predict into a matrix of its own.
template <LayerMaps L>
Matrix<typename L::Backend> predict(typename L::Backend& backend, L const& layer,
                                    typename L::Parameters const& theta, Input<typename L::Backend> const x) {
  ConstView<typename L::Backend> const view = x;
  Matrix<typename L::Backend> y;
  Shape const in = layer.input, out = layer.output;
  resize(backend, y, out.channels, samples("predict", in, view) * out.sites());
  layer.predict(backend, theta, view, y);
  return y;
}

}  // namespace detrame::inline DETRAME_ABI
