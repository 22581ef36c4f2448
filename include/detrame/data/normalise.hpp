// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <vector>

#include "detrame/data/labelled.hpp"

namespace detrame::inline DETRAME_ABI {

/// Mean and standard deviation of each channel over all sites and samples.
struct ChannelStatistics {
  std::vector<double> mean, deviation;
};

namespace detail {

/// Of numbers x(c, j).
template <class X>
ChannelStatistics statistics_of(Index channels, Index columns, X const& x) {
  if (columns == 0) throw ShapeError("channel_statistics: of no columns there is no mean");
  std::vector<double> sum(static_cast<std::size_t>(channels)), squares = sum;
  for (Index j = 0; j < columns; ++j)
    for (Index c = 0; c < channels; ++c) sum[static_cast<std::size_t>(c)] += x(c, j);
  for (double& s : sum) s /= static_cast<double>(columns);
  for (Index j = 0; j < columns; ++j)
    for (Index c = 0; c < channels; ++c) {
      double const d = x(c, j) - sum[static_cast<std::size_t>(c)];
      squares[static_cast<std::size_t>(c)] += d * d;
    }
  for (double& s : squares) s = std::sqrt(s / static_cast<double>(columns));
  return {std::move(sum), std::move(squares)};
}

/// x(c, j) <- (x(c, j) - mean_c) / deviation_c.
template <class Scalar>
void normalise_rows(HostMatrix<Scalar>& x, ChannelStatistics const& statistics) {
  Index const channels = x.rows();
  auto const& [mean, deviation] = statistics;
  if (static_cast<Index>(mean.size()) != channels || static_cast<Index>(deviation.size()) != channels)
    throw ShapeError(message("normalise: ", channels, " channels, ", mean.size(), " means, ",
                             deviation.size(), " deviations"));
  for (std::size_t c = 0; c < mean.size(); ++c) {
    if (!std::isfinite(mean[c]))
      throw DomainError(message("normalise: the mean of channel ", c, " is ", mean[c], ", must be finite"));
    if (!(deviation[c] > 0) || std::isinf(deviation[c]))
      throw DomainError(message("normalise: the deviation of channel ", c, " is ", deviation[c],
                                ", must be > 0 and finite"));
  }
  for (Index j = 0; j < x.cols(); ++j)
    for (Index c = 0; c < channels; ++c)
      x(c, j) = static_cast<Scalar>((double{x(c, j)} - mean[static_cast<std::size_t>(c)]) /
                                    deviation[static_cast<std::size_t>(c)]);
}

}  // namespace detail

/// The statistics of a data set, those of the training set, say, which then serve for every set.
///
///   mean_c = 1/n sum_j x_cj      deviation_c^2 = 1/n sum_j (x_cj - mean_c)^2      n = sites * samples
///
/// Requires  at least one column, else ShapeError.
/// Ensures   sums in double, in two passes and in a fixed order; of bytes, with the bits of their numbers.
/// Tested    tests/data/augment_test.cpp
template <class Scalar>
ChannelStatistics channel_statistics(LabelledImages<Scalar> const& data) {
  return detail::statistics_of(data.images.rows(), data.images.cols(),
                               [&](Index c, Index j) { return double{data.images(c, j)}; });
}

template <class Scalar>
ChannelStatistics channel_statistics(ImageBytes<Scalar> const& data) {
  detail::require_images("channel_statistics", data);
  Index const channels = data.shape.channels;
  return detail::statistics_of(channels, data.shape.sites() * data.samples(), [&](Index c, Index j) {
    return double{data.values(c, data.pixels[static_cast<std::size_t>(c + channels * j)])};
  });
}

/// x_cj <- (x_cj - mean_c) / deviation_c, computed in double.
///
/// Requires  as many statistics as channels, else ShapeError; deviations > 0 and finite, means finite, else
///           DomainError.
/// Tested    tests/data/augment_test.cpp
template <class Scalar>
void normalise(LabelledImages<Scalar>& data, ChannelStatistics const& statistics) {
  detail::normalise_rows(data.images, statistics);
}

/// Of bytes, their table: pixels stay.
template <class Scalar>
void normalise(ImageBytes<Scalar>& data, ChannelStatistics const& statistics) {
  detail::normalise_rows(data.values, statistics);
}

}  // namespace detrame::inline DETRAME_ABI
