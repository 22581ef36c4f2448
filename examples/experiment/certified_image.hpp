// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "detrame/data/normalise.hpp"
#include "detrame/robust/rounding.hpp"

namespace experiment {

using namespace detrame;

/// What is known of an image. Lengths are l2, in pixels of [0, 1].
struct CertifiedImage {
  int target;                     ///< what it is
  Index label;                    ///< what the network says; -1: it refuses, or two scores are the largest
  double radius;                  ///< 0: nothing is proved
  double in_real_arithmetic = 0;  ///< likewise
  Index label_in_float = label;   ///< of the network in float

  bool correct() const { return label == target; }
  bool certified(double epsilon) const { return correct() && radius >= epsilon; }
};

/// What became of an image under an attack.
struct AttackedLabel {
  Index label;      ///< -1: the network refuses it
  double distance;  ///< from above
};

/// An image and what became of it, at each of some epsilon: under an attack within [0, 1], and under one that
/// may leave it.
struct CertifiedRow {
  CertifiedImage image;
  std::vector<std::array<AttackedLabel, 2>> attacked{};
};

/// Whether an attack proves that a certificate is wrong: another label within its radius. A refusal is none
/// where the claim allows for it.
inline bool contradicts(CertifiedImage const& image, AttackedLabel const& attacked, bool may_refuse) {
  bool const within = image.radius > 0 && attacked.distance <= image.radius;
  return within && attacked.label != image.label && !(may_refuse && attacked.label < 0);
}

/// The radius in pixels of [0, 1] that follows from one in what a network reads,
///
///   r_pixels = d (r - e),   z_c = (p_c - mean_c) / deviation_c in double,   d the smallest deviation,
///
/// e from above what rounding adds to the distance of two z of pixels in [0, 1]. What it adds beyond, two
/// epsilon of r, rounding down takes off.
inline double radius_in_pixels(double r, ChannelStatistics const& scale, Index sites) {
  double least = std::numeric_limits<double>::infinity(), square = 0;
  for (std::size_t c = 0; c < scale.deviation.size(); ++c) {
    double const mean = scale.mean[c], d = scale.deviation[c],
                 largest = std::max(std::abs(mean), std::abs(1 - mean)) / d;  // |z_c| of a pixel in [0, 1]
    square += static_cast<double>(sites) * (largest * largest + std::numeric_limits<double>::min());
    least = std::min(least, d);
  }
  double const e = 8 * std::numeric_limits<double>::epsilon() * std::sqrt(square);
  return std::max(0., detail::below((r - e) * least));
}

}  // namespace experiment
