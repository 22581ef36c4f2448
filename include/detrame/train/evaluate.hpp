// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <optional>

#include "detrame/layer/inference.hpp"
#include "detrame/train/dataset.hpp"
#include "detrame/train/finite.hpp"

namespace detrame::inline DETRAME_ABI {

/// The place of the largest score of each sample; -1 where the scores have NaN or where the largest is
/// reached more than once, so that a network which tells nothing apart gets no credit.
template <class Scalar>
std::vector<int> unique_largest(HostMatrix<Scalar> const& y) {
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

/// The same of scores in a backend's memory.
template <Backend B>
std::vector<int> classify_to_host(B& backend, ConstView<B> scores) {
  return unique_largest(to_host(backend, scores));
}

namespace detail {
/// 1 for a column whose largest score is unique and stands where the target is 1, else 0; NaN is no score.
template <class Scalar>
struct CorrectColumn {
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> y,
                                      MatrixView<Scalar const> t, MatrixView<Scalar> correct) const {
    Index const classes = y.rows();
    Scalar const m = team.max(classes, [=](Index i) { return y(i, j); }, -limits::infinity<Scalar>);
    Scalar const reached = team.sum(classes, [=](Index i) { return y(i, j) == m ? Scalar(1) : Scalar(0); });
    Scalar const hit = team.sum(classes, [=](Index i) { return y(i, j) == m ? t(i, j) : Scalar(0); });
    team.once([=] { correct(0, j) = reached == Scalar(1) && hit == Scalar(1) ? Scalar(1) : Scalar(0); });
  }
};
}  // namespace detail

/// How many samples have their label as the unique largest score, as classify_to_host has it. One number goes
/// to the host, and nothing is allocated there.
///
/// Shapes    scores, targets (one-hot): classes x samples
template <Backend B>
Index count_correct(B& backend, ConstView<B> scores, ConstView<B> targets) {
  using Scalar = typename B::Scalar;
  detail::require_targets("count_correct", scores, targets);
  Index const n = scores.cols();
  auto const frame = backend.lane().frame();
  auto const correct = backend.lane().scratch(1, n);
  each_column(backend, n, 0, detail::CorrectColumn<Scalar>{}, scores, targets, correct);
  return n == 0 ? 0 : static_cast<Index>(sum_to_host(backend.lane(), correct));
}

struct Evaluation {
  double loss;
  double accuracy;  ///< share of samples whose label is the unique largest score

  /// False: scores, or the loss of them, are not finite, and the accuracy is that of no network.
  bool finite() const { return std::isfinite(loss); }
};

/// Mean loss and accuracy of the inference map over the samples of a source, in the order of its epoch 0;
/// nothing where `stop()`, asked before each batch, says so.
///
/// Requires  a source of one sample or more, else DomainError; its shape and classes are the network's, else
///           ShapeError.
/// Ensures   where scores are not finite, nor is the loss: Evaluation::finite. So it is with -inf where the
///           target is 0 too, whose term of softmax cross-entropy is 0.
/// Tested    tests/train/source_test.cpp, tests/train/train_test.cpp
template <LayerMaps Net, class Loss, Backend B, SampleSource<B> Source, std::predicate Stop>
std::optional<Evaluation> evaluate(B& backend, Net const& net, Loss const& loss,
                                   typename Net::Parameters const& theta, Source& source, Stop const& stop) {
  require_samples("evaluate", net, source.shape(), source.classes());
  require_at_least("evaluate", "the number of samples", source.samples(), Index{1});
  double total = 0;
  Index correct = 0;
  Matrix<B> x, targets, y;
  for (source.begin(0);;) {
    auto const* const next = source.next();
    if (next == nullptr) break;
    if (stop()) return std::nullopt;
    BatchView<B> const batch = on_backend(backend, *next, source.classes(), x, targets);
    resize(backend, y, batch.targets.rows(), batch.samples());
    net.predict(backend, theta, batch.x, y);
    total += static_cast<double>(loss.value(backend, ConstView<B>(y), batch.targets)) *
                 static_cast<double>(batch.samples()) +
             detail::zero_or_nan(backend, ConstView<B>(y));
    correct += count_correct(backend, ConstView<B>(y), batch.targets);
  }
  auto const n = static_cast<double>(source.samples());
  return Evaluation{total / n, static_cast<double>(correct) / n};
}

template <LayerMaps Net, class Loss, Backend B, SampleSource<B> Source>
Evaluation evaluate(B& backend, Net const& net, Loss const& loss, typename Net::Parameters const& theta,
                    Source& source) {
  return *evaluate(backend, net, loss, theta, source, [] { return false; });
}

/// The same over a data set, in batches of at most `batch` samples.
///
/// Requires  batch >= 1, else DomainError
template <LayerMaps Net, class Loss, Backend B>
Evaluation evaluate(B& backend, Net const& net, Loss const& loss, typename Net::Parameters const& theta,
                    Dataset<B> const& data, Index batch = 512) {
  Batches<B> batches(backend, data, {.size = batch, .shuffled = false});
  return evaluate(backend, net, loss, theta, batches);
}

}  // namespace detrame::inline DETRAME_ABI
