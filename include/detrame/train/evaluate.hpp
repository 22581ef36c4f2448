// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/inference.hpp"
#include "detrame/train/dataset.hpp"

namespace detrame::inline DETRAME_ABI {

/// The place of the largest score of each sample, on the host; -1 where the scores have NaN or where the
/// largest is reached more than once, so that a network which tells nothing apart gets no credit.
template <Backend B>
std::vector<int> classify_to_host(B& backend, ConstView<B> scores) {
  HostMatrix<typename B::Scalar> const y = to_host(backend, scores);
  std::vector<int> labels(static_cast<std::size_t>(y.cols()), -1);
  for (Index j = 0; j < y.cols(); ++j) {
    Index best = 0;
    bool unique = y.rows() > 0 && y(0, j) == y(0, j);
    for (Index i = 1; i < y.rows() && y(i, j) == y(i, j); ++i)
      if (y(i, j) > y(best, j)) {
        best = i;
        unique = true;
      } else if (y(i, j) == y(best, j)) {
        unique = false;
      }
    for (Index i = 0; i < y.rows(); ++i) unique = unique && y(i, j) == y(i, j);
    if (unique) labels[static_cast<std::size_t>(j)] = static_cast<int>(best);
  }
  return labels;
}

struct Evaluation {
  double loss;
  double accuracy;  ///< share of samples whose label is the unique largest score
};

/// Mean loss and accuracy of the inference map over a data set, in batches of at most `batch` samples.
///
/// Requires  batch >= 1, else DomainError; the data's shape is the network's, else ShapeError.
template <LayerMaps Net, class Loss, Backend B>
Evaluation evaluate(B& backend, Net const& net, Loss const& loss, typename Net::Parameters const& theta,
                    Dataset<B> const& data, Index batch = 512) {
  require_at_least("evaluate", "batch", batch, Index{1});
  require_data("evaluate", net, data);
  double total = 0;
  Index correct = 0;
  ConstView<B> const x = data.x, t = data.targets;
  for (Index first = 0; first < data.samples(); first += batch) {
    Index const n = std::min(batch, data.samples() - first);
    Index const sites = data.shape.sites();
    auto const y = predict(backend, net, theta, x.middle_cols(first * sites, n * sites));
    total += static_cast<double>(loss.value(backend, y, t.middle_cols(first, n))) * static_cast<double>(n);
    std::vector<int> const found = classify_to_host(backend, y);
    for (Index j = 0; j < n; ++j)
      correct += found[static_cast<std::size_t>(j)] == data.labels[static_cast<std::size_t>(first + j)];
  }
  double const n = static_cast<double>(std::max<Index>(data.samples(), 1));
  return {total / n, static_cast<double>(correct) / n};
}

}  // namespace detrame::inline DETRAME_ABI
