// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attack.hpp"
#include "detrame/robust/predicted_labels.hpp"
#include "victim.hpp"

namespace experiment {

/// An attack on each image of its own, in batches, of which any may be the last for now.
class ImageAttack {
 public:
  /// What is known of an image, a row each: its label, that under v, that under v in [0, 1], whether they are
  /// right (1 or 0, of each), |v|_2, |v|_inf, |v|_2^2 / |x|_2^2, steps. v is in pixels.
  enum Column {
    label,
    label_v,
    label_clipped,
    right,
    right_v,
    right_clipped,
    l2,
    l_inf,
    of_energy,
    steps,
    columns
  };

  /// `rows`: of the first images, from an attack that was stopped.
  ImageAttack(Victim& victim, AttackSettings const& settings, double xi, std::uint64_t seed,
              HostMatrix<double> rows)
      : victim_(victim), s_(settings), xi_(xi), seed_(seed), rows_(std::move(rows)) {}

  Index done() const { return rows_.rows(); }
  HostMatrix<double> const& rows() const { return rows_; }

  /// Attacks the next batch of the images.
  void next(ImageBytes<float> const& images);

 private:
  struct Found {
    HostMatrix<float> z, z_clipped;  ///< pixels under the attack, and under one that stays in [0, 1]
    std::vector<int> steps;
  };
  Found attacked(HostMatrix<float> const& x, std::vector<int> const& targets);
  Found deep_fooled(HostMatrix<float> const& x);

  Victim& victim_;
  AttackSettings const& s_;
  double xi_;
  std::uint64_t seed_;
  HostMatrix<double> rows_;
};

/// Puts rows into a state, and takes them out. FormatError where they are none of at most so many images.
void store_images(HostMatrix<double> const& rows, std::string const& name, TensorFile& state);
HostMatrix<double> stored_images(TensorFile const& state, std::string const& name, Index images);

}  // namespace experiment
