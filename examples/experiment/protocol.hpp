// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

#include "detrame/core/errors.hpp"
#include "detrame/core/shape.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"

/// How the paper trains (arXiv 2002.07898v2, 5.2), and on how many images; of data sets that it does not
/// have, how we do. What it leaves open is in docs/protocol.md.
namespace experiment::protocol {

/// SGD, for all data sets.
inline constexpr int batch = 128;
inline constexpr double momentum = .9, weight_decay = 5e-4;

/// Crops: the border of zeros, on each side.
inline constexpr int padding = 4;

/// A data set. The rate is multiplied by `factor` at shares of all epochs; 0: no further one.
struct Training {
  std::string_view name;
  int train_images, test_images;
  int epochs;
  double rate, factor;
  std::array<double, 3> shares;
  bool normalised;  ///< by channel, with the statistics of the training images; else pixels in [0, 1]
  bool augmented;   ///< crops, flips

  /// Hours for all epochs, at so many images a second.
  constexpr double hours(double images_per_second) const {
    return static_cast<double>(epochs) * train_images / images_per_second / 3600;
  }
};

/// SVHN's images to train on are those of two files.
inline constexpr int svhn_train = 73257, svhn_extra = 531131;

inline constexpr std::array<Training, 7> all{{
    {"digits", 1437, 360, 60, .05, .2, {.3, .6, .8}, true, false},
    {"mnist", 60000, 10000, 60, .1, .2, {.3, .6, .8}, true, false},
    {"fashion-mnist", 60000, 10000, 60, .1, .2, {.3, .6, .8}, true, false},
    {"usps", 7291, 2007, 60, .1, .2, {.3, .6, .8}, true, false},
    {"cifar10", 50000, 10000, 200, .1, .2, {.3, .6, .8}, true, true},
    {"cifar100", 50000, 10000, 200, .1, .2, {.3, .6, .8}, true, true},
    {"svhn", svhn_train + svhn_extra, 26032, 160, .01, .1, {.5, .75, 0}, false, false},
}};

/// What certified networks for images of a shape are trained by. The offset asks for twice the margin that a
/// distance takes between rows at right angles: 1.58 for 28 x 28, whose strokes are far apart, 36/255 for
/// others.
constexpr detrame::SoftmaxCrossEntropy certified_loss(detrame::Shape const& images) {
  double const distance = images.height == 28 ? 1.58 : 36. / 255;
  return {.offset = 2 * 1.4142135623730951 * distance, .temperature = .25};
}

/// That of a data set by its name. DomainError for any other.
constexpr Training const& training_of(std::string_view name) {
  for (Training const& one : all)
    if (one.name == name) return one;
  throw detrame::DomainError(detrame::message("the protocol has no data set ", name));
}

}  // namespace experiment::protocol
