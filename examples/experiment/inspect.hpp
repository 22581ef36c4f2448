// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <optional>

#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/operator/dense_blocks.hpp"
#include "train.hpp"

namespace experiment {

/// What the subcommands that look at a model are told.
struct Inspected {
  std::filesystem::path checkpoint, input, output, data;
  Place place;
  Index limit = 0;
};

/// Images of a model's data set, pixels in [0, 1]; the first `limit`, or all where it is 0.
ImageBytes<float> pixel_images(Model const& model, Inspected const& asked, Part part, Index limit);

/// The test images of a model's data set, scaled as it reads them.
ImageBytes<float> test_images(Model const& model, Inspected const& asked);

/// use(structure): that of free parameters whose sizes say it, W~ being kg x (taps k), on images of a shape
/// or, where none is given, of the size of a kernel.
template <class Use>
auto with_structure(HostMatrix<float> const& W_tilde, Index k, std::optional<Shape> image, Use const& use) {
  Index const groups = k / W_tilde.rows(), taps = W_tilde.cols() / k;
  if (taps == 1) return use(DenseBlocks{groups});
  auto const kernel = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(taps))));
  if (!image) image = Shape{k, kernel, kernel};
  return use(ConvolutionalBlocks{image->height, image->width, kernel, groups});
}

/// kappa of free parameters (C7), whose sizes say the structure. It holds for images of every size.
float kappa_of(HostMatrix<float> const& W_tilde, Index k);

/// Loss and accuracy of a model on the test images.
void evaluate_model(Inspected const& asked);

/// `images` of a file -> `logits` in another.
void predict_file(Inspected const& asked);

/// `images` and `labels` of a file -> the gradient of the mean loss for every parameter, and `loss`.
void gradient_file(Inspected const& asked);

/// Accuracy and time of the model's parameters with every T that is compiled in.
void print_depth(Inspected const& asked);

/// Of each Q-metric ReLU: whether it is a prox, kappa, its fixed points from several starts, the distance to
/// a tied layer; then the accuracy with tied layers in their places, and with other T.
void inspect_layers(Inspected const& asked);

/// A network, its parameters by kind, its multiply-adds.
void print_info(Entry const& entry);
void print_info(std::filesystem::path const& checkpoint);

/// All networks that are compiled in.
void print_networks();

/// What `table` is told.
struct TableChoices {
  std::filesystem::path results;  ///< a folder of folders with a summary.json each
  double images_per_second = 0;   ///< 0: from the summaries
};

/// Tables 3 to 7 of the paper and the figures of its Figures 2 to 4, with the command for each row and what
/// came out here.
void print_tables(TableChoices const& choices);

}  // namespace experiment
