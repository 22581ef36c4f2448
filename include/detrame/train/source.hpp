// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include "detrame/layer/concept.hpp"
#include "detrame/loss/concept.hpp"

namespace detrame::inline DETRAME_ABI {

namespace has {

/// A batch on the host: x of channels x (sites * samples), one label a sample.
template <class Batch, class B>
concept host_batch = requires(Batch const& batch) {
  { batch.x } -> std::convertible_to<HostMatrix<typename B::Scalar> const&>;
  { batch.labels } -> std::convertible_to<std::span<int const>>;
};

/// A batch in a backend's memory: x likewise, targets of classes x samples.
template <class Batch, class B>
concept backend_batch = requires(Batch const& batch) {
  { batch.x } -> std::convertible_to<ConstView<B>>;
  { batch.targets } -> std::convertible_to<ConstView<B>>;
};

template <class S, class B>
concept batches = requires(S& source) {
  { *source.next() } -> backend_batch<B>;
} || requires(S& source) {
  { *source.next() } -> host_batch<B>;
};

template <class S>
concept epochs = requires(S& source, std::uint64_t epoch, Index n) {
  source.begin(epoch);
  source.skip(n);
  static_cast<bool>(source.next());
};

template <class S>
concept sizes = requires(S const& source) {
  { source.shape() } -> std::convertible_to<Shape>;
  { source.classes() } -> std::convertible_to<int>;
  { source.samples() } -> std::convertible_to<Index>;
  { source.batches() } -> std::convertible_to<Index>;
  { source.least_batch() } -> std::convertible_to<Index>;
};

}  // namespace has

/// Labelled samples in batches, epoch by epoch: what `fit` trains on, and what `evaluate` measures.
///
///   source.begin(epoch);
///   while (auto const* batch = source.next()) ...   // valid until the next call of next, skip or begin
///
/// A batch lies on the host, as `x` and `labels`, or in a backend's memory, as `x` and `targets`.
///
/// Laws (tests/train/source_test.cpp):
///   (1) the batches of an epoch are a function of its number: whatever was begun, and left, before;
///   (2) after begin, skip(n) leaves what n calls of next leave; at the end of the epoch next gives null, as
///       it does before the first begin;
///   (3) an epoch has batches() batches of samples() samples together. They have one size, but the last one,
///       which may have less: least_batch() samples, or 0 where there is no batch.
/// Models    Batches (train/dataset.hpp), Loader (data/loader.hpp)
template <class S, class B>
concept SampleSource = Backend<B> && has::sizes<S> && has::epochs<S> && has::batches<S, B>;

/// In place of a source: there is none.
struct NoSource {};

/// How many samples the full batches of a source have.
template <class Source>
Index batch_size(Source const& source) {
  Index const batches = source.batches();
  return batches < 2 ? source.samples() : (source.samples() - source.least_batch()) / (batches - 1);
}

/// Refuses samples that the network does not read, or whose classes it does not write.
template <LayerMaps Net>
void require_samples(char const* who, Net const& net, Shape const& shape, int classes) {
  Shape const in = net.input, out = net.output;
  if (shape != in || Shape{classes} != out)
    throw ShapeError(message(who, ": the data are ", shape, " in ", classes, " classes, the network maps ",
                             in, " to ", out));
}

/// A batch in a backend's memory.
template <Backend B>
struct BatchView {
  ConstView<B> x, targets;
  Index samples() const { return targets.cols(); }
};

/// A batch, wherever it lies, in the backend's memory: brought into `x` and `targets` where it is the host's,
/// which allocates.
template <Backend B, class Batch>
BatchView<B> on_backend(B& backend, Batch const& batch, int classes, Matrix<B>& x, Matrix<B>& targets) {
  if constexpr (has::backend_batch<Batch, B>) {
    return {batch.x, batch.targets};
  } else {
    x = to_device(backend, batch.x);
    targets = one_hot(backend, batch.labels, classes);
    return {x, targets};
  }
}

}  // namespace detrame::inline DETRAME_ABI
