// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/core/batching.hpp"
#include "detrame/train/source.hpp"

namespace detrame::inline DETRAME_ABI {

/// Labelled samples in a backend's memory: x is channels x (sites samples), targets one-hot,
/// classes x samples.
template <Backend B>
struct Dataset {
  Shape shape{1};
  Matrix<B> x, targets;
  std::vector<int> labels;
  int classes = 0;

  Index samples() const { return static_cast<Index>(labels.size()); }
};

/// Puts samples into a backend's memory. ShapeError where x is not samples of the shape, as many as labels;
/// DomainError for a label outside 0, ..., classes - 1.
template <Backend B>
Dataset<B> dataset(B& backend, Shape shape, HostMatrix<typename B::Scalar> const& x, std::vector<int> labels,
                   int classes) {
  if (x.rows() != shape.channels || x.cols() != shape.sites() * static_cast<Index>(labels.size()))
    throw ShapeError(message("dataset: x is ", x.rows(), " x ", x.cols(), ", ", labels.size(),
                             " samples of shape ", shape, " are ", shape.channels, " x ",
                             shape.sites() * static_cast<Index>(labels.size())));
  Dataset<B> data{shape, to_device(backend, x), one_hot(backend, labels, classes), {}, classes};
  data.labels = std::move(labels);
  return data;
}

/// x and targets of some samples; `sites` is memory for the columns they stand in.
template <Backend B>
void gather_samples(B& backend, Dataset<B> const& data, std::span<Index const> samples,
                    std::vector<Index>& sites, Matrix<B>& x, Matrix<B>& targets) {
  Index const per_sample = data.shape.sites(), n = static_cast<Index>(samples.size());
  sites.resize(static_cast<std::size_t>(n * per_sample));
  for (Index j = 0; j < n; ++j)
    for (Index s = 0; s < per_sample; ++s)
      sites[static_cast<std::size_t>(j * per_sample + s)] =
          samples[static_cast<std::size_t>(j)] * per_sample + s;
  resize(backend, x, data.x.rows(), n * per_sample);
  resize(backend, targets, data.targets.rows(), n);
  gather_columns(backend.lane(), data.x, std::span<Index const>(sites), x);
  gather_columns(backend.lane(), data.targets, samples, targets);
}

/// The batches of a data set in a backend's memory, epoch by epoch: a SampleSource. In an order of its own
/// samples are gathered, in that of the data set a batch is a view of it.
///
/// Requires  backend and data set outlive the batches, and the data set is not changed; a batch size >= 1,
///           else DomainError.
/// Ensures   the laws of SampleSource; nothing is allocated while batches have the size of the one before.
/// Tested    tests/train/source_test.cpp
template <Backend B>
class Batches {
 public:
  Batches(B& backend, Dataset<B> const& data, Batching const& batching)
      : backend_(backend), data_(data), batching_(batching), order_(data.labels.size()) {
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<Index>(i);
    position_ = batches();
  }
  /// A data set that nobody keeps.
  template <class Temporary>
    requires std::same_as<std::remove_const_t<Temporary>, Dataset<B>>
  Batches(B& backend, Temporary&& data, Batching const& batching)
      : Batches(backend, std::as_const(data), batching) {
    static_assert(
        detail::never<Temporary>,
        "Batches: the data set must outlive the batches, and this one ends with the statement: give "
        "it a name first");
  }

  Batches(Batches const&) = delete;
  Batches& operator=(Batches const&) = delete;

  Shape shape() const { return data_.shape; }
  int classes() const { return data_.classes; }
  Index samples() const { return batching_.samples_in(data_.samples()); }
  Index batches() const { return batching_.batches(data_.samples()); }
  Index least_batch() const { return batching_.least_batch(data_.samples()); }

  void begin(std::uint64_t epoch) {
    if (batching_.shuffled) shuffle(Random(batching_.seed, epoch), order_);
    position_ = 0;
  }

  /// Requires  n >= 0, else DomainError.
  void skip(Index n) {
    require_at_least("Batches::skip", "n", n, Index{0});
    position_ += std::min(n, batches() - position_);
  }

  BatchView<B> const* next() {
    if (position_ == batches()) return nullptr;
    Index const first = position_++ * batching_.size;
    Index const n = std::min(batching_.size, data_.samples() - first), sites = data_.shape.sites();
    if (batching_.shuffled) {
      gather_samples(backend_, data_,
                     std::span<Index const>(order_).subspan(static_cast<std::size_t>(first),
                                                            static_cast<std::size_t>(n)),
                     columns_, x_, targets_);
      batch_ = {x_, targets_};
    } else {
      ConstView<B> const x = data_.x, targets = data_.targets;
      batch_ = {x.middle_cols(first * sites, n * sites), targets.middle_cols(first, n)};
    }
    return &batch_;
  }

 private:
  B& backend_;
  Dataset<B> const& data_;
  Batching batching_;
  std::vector<Index> order_, columns_;
  Index position_ = 0;  ///< of the batch that next gives
  Matrix<B> x_, targets_;
  BatchView<B> batch_{};
};

}  // namespace detrame::inline DETRAME_ABI
