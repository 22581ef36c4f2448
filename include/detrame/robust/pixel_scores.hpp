// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/robust/score_map.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// z <- (x - mean) / deviation in double, both in two parts
struct NormalisePixel {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& z, Scalar x, Scalar mean, Scalar mean_rest, Scalar deviation,
                                      Scalar deviation_rest) const {
    z = static_cast<Scalar>(
        (static_cast<double>(x) - (static_cast<double>(mean) + static_cast<double>(mean_rest))) /
        (static_cast<double>(deviation) + static_cast<double>(deviation_rest)));
  }
};

/// x_bar <- x_bar / deviation
struct DivideByDeviation {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& x_bar, Scalar deviation) const {
    x_bar /= deviation;
  }
};

}  // namespace formula

/// The map of pixels whose images another map reads normalised, so that an attack has its radius and its box
/// in pixels of [0, 1], the same for every channel.
///
///   f(p) = g(z),  z_c = (p_c - mean_c) / deviation_c
///
/// Requires  backend and map outlive it; a mean and a deviation a channel, else ShapeError; deviations > 0
///           and finite, means finite, else DomainError.
/// Ensures   z has the bits that normalise (data/normalise.hpp) gives p, but where mean and deviation need
///           more than twice the digits of the scalar.
/// Tested    tests/robust/pixel_scores_test.cpp
template <ScoreMap M>
class PixelScores {
 public:
  using Backend = typename M::Backend;
  using Scalar = typename Backend::Scalar;

  PixelScores(M& map, std::vector<double> const& mean, std::vector<double> const& deviation) : map_(map) {
    std::size_t const channels = static_cast<std::size_t>(map.input().channels);
    if (mean.size() != channels || deviation.size() != channels)
      throw ShapeError(message("PixelScores: ", mean.size(), " means, ", deviation.size(), " deviations, ",
                               channels, " channels"));
    for (std::size_t c = 0; c < channels; ++c) {
      detail::require_positive("PixelScores", "deviation", deviation[c]);
      if (!std::isfinite(mean[c]))
        throw DomainError(message("PixelScores: mean = ", mean[c], ", must be finite"));
    }
    mean_ = part(mean, false), mean_rest_ = part(mean, true);
    deviation_ = part(deviation, false), deviation_rest_ = part(deviation, true);
  }
  PixelScores(PixelScores const&) = delete;
  PixelScores& operator=(PixelScores const&) = delete;

  Backend& backend() const { return map_.backend(); }
  Shape input() const { return map_.input(); }
  Index classes() const { return map_.classes(); }

  void predict(ConstView<Backend> x, View<Backend> y) {
    normalise(x, predicted_);
    map_.predict(predicted_, y);
  }
  ConstView<Backend> scores(ConstView<Backend> x) {
    normalise(x, scored_);
    return map_.scores(scored_);
  }
  void pullback(ConstView<Backend> y_bar, View<Backend> x_bar) {
    map_.pullback(y_bar, x_bar);
    each(backend().lane(), formula::DivideByDeviation(), x_bar, PerRow{ConstView<Backend>(deviation_)});
  }

 private:
  using ConstRow = PerRow<ConstView<Backend>>;

  /// Numbers rounded to the scalar, or what that leaves of them.
  Matrix<Backend> part(std::vector<double> const& numbers, bool rest) const {
    return to_device(backend(),
                     host_matrix<Scalar>(static_cast<Index>(numbers.size()), 1, [&](Index c, Index) {
                       double const number = numbers[static_cast<std::size_t>(c)];
                       auto const rounded = static_cast<Scalar>(number);
                       return rest ? static_cast<Scalar>(number - static_cast<double>(rounded)) : rounded;
                     }));
  }
  void normalise(ConstView<Backend> x, Matrix<Backend>& z) {
    resize(backend(), z, x.rows(), x.cols());
    each(backend().lane(), formula::NormalisePixel(), View<Backend>(z), x, ConstRow{mean_},
         ConstRow{mean_rest_}, ConstRow{deviation_}, ConstRow{deviation_rest_});
  }

  M& map_;
  Matrix<Backend> mean_, mean_rest_, deviation_, deviation_rest_;
  Matrix<Backend> predicted_, scored_;
};

template <ScoreMap M>
PixelScores(M&, std::vector<double>, std::vector<double>) -> PixelScores<M>;

}  // namespace detrame::inline DETRAME_ABI
