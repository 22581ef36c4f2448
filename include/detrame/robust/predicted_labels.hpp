// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "detrame/robust/pixel_range.hpp"
#include "detrame/robust/score_map.hpp"
#include "detrame/train/evaluate.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// What predicted_labels says; image j has the number `number(j)` in errors.
template <ScoreMap M, class Number>
std::vector<int> labels_by(char const* who, M& map, ConstView<typename M::Backend> images,
                           HostMatrix<ScalarOf<M>> const& v, std::optional<PixelRange> clip, Index batch,
                           Number const& number) {
  using B = typename M::Backend;
  using Scalar = typename B::Scalar;
  B& b = map.backend();
  Shape const shape = map.input();
  Index const n = samples(who, shape, images);
  require_at_least(who, "batch", batch, Index{1});
  if (v.cols() > 0) require_shape(who, "v", v, shape.size(), 1);
  if (clip) clip->check<Scalar>(who);
  auto const shift = to_device(b, v);
  std::vector<int> labels;
  Matrix<B> z;
  for (Index first = 0; first < n; first += batch) {
    Index const count = std::min(batch, n - first);
    resize(b, z, shape.size(), count);
    copy_entries(b.lane(), images.middle_cols(first * shape.sites(), count * shape.sites()), View<B>(z));
    if (v.cols() > 0) each(b.lane(), formula::Add(), View<B>(z), PerRow{ConstView<B>(shift)});
    if (clip)
      each(b.lane(), formula::ClipPixel<Scalar>{clip->lowest<Scalar>(), clip->highest<Scalar>()}, View<B>(z));
    auto const some = unique_largest(finite_scores(who, map, as_images(shape, ConstView<B>(z)),
                                                   [&](Index j) { return number(first + j); }));
    labels.insert(labels.end(), some.begin(), some.end());
  }
  return labels;
}

}  // namespace detail

/// The labels that a map predicts, under one perturbation of all images where there is one: -1 where the
/// largest score is not unique. `first_image` is the number of the first image, for errors.
///
/// Shapes    x: channels x (sites n). v: size x 1, or empty
/// Requires  scores that are finite, else DomainError with the image; batch >= 1 and a range with a number
///           in it, else DomainError.
/// Ensures   what is clipped is within the range in double.
/// Tested    tests/robust/universal_perturbation_test.cpp
template <ScoreMap M>
std::vector<int> predicted_labels(M& map, Input<typename M::Backend> x, HostMatrix<ScalarOf<M>> const& v = {},
                                  std::optional<PixelRange> clip = {}, Index batch = 256,
                                  Index first_image = 0) {
  return detail::labels_by("predicted_labels", map, ConstView<typename M::Backend>(x), v, clip, batch,
                           detail::NumberedFrom{first_image});
}

/// The share of images whose label is another one under the perturbation, none (-1) included; an image that
/// has none at first does not change. 0 of none.
inline double fooling_rate(std::span<int const> labels, std::span<int const> under_v) {
  if (labels.size() != under_v.size())
    throw ShapeError(message("fooling_rate: ", labels.size(), " labels, ", under_v.size(), " under v"));
  Index changed = 0;
  for (std::size_t j = 0; j < labels.size(); ++j) changed += labels[j] >= 0 && under_v[j] != labels[j];
  return labels.empty() ? 0. : static_cast<double>(changed) / static_cast<double>(labels.size());
}

/// The share of images that are labelled with what they are.
inline double accuracy(std::span<int const> labels, std::span<int const> targets) {
  if (labels.size() != targets.size())
    throw ShapeError(message("accuracy: ", labels.size(), " labels, ", targets.size(), " targets"));
  Index right = 0;
  for (std::size_t j = 0; j < labels.size(); ++j) right += labels[j] == targets[j];
  return labels.empty() ? 0. : static_cast<double>(right) / static_cast<double>(labels.size());
}

}  // namespace detrame::inline DETRAME_ABI
