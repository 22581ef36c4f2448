// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "detrame/robust/attack_loss.hpp"
#include "detrame/robust/attack_region.hpp"
#include "detrame/robust/predicted_labels.hpp"

namespace detrame::inline DETRAME_ABI {

/// What became of an image. Norms are of the attacked image less the image, in double.
struct AttackedImage {
  int label = 0;          ///< what it is
  int clean_label = -1;   ///< what predict says of the image
  int fooled_label = -1;  ///< and of the attacked one
  double l2 = 0, l_inf = 0;

  bool correct() const { return clean_label == label; }
  bool robust() const { return correct() && fooled_label == label; }
};

template <class Scalar>
struct AttackResult {
  HostMatrix<Scalar> x;  ///< the attacked images, channels x (sites n)
  std::vector<AttackedImage> images;

  /// The share of images that are labelled right, and still so when attacked.
  double robust_accuracy() const {
    auto const robust = std::count_if(images.begin(), images.end(), [](auto const& i) { return i.robust(); });
    return images.empty() ? 0. : static_cast<double>(robust) / static_cast<double>(images.size());
  }
};

namespace detail {

/// Images of these labels that are attacked: what attacks begin and end with. The first has the number
/// `first`.
template <ScoreMap M>
class Attack {
  using B = typename M::Backend;
  using Scalar = typename B::Scalar;

 public:
  /// Refuses what no Scalar can attack, an image outside of the range, and labels that are not one an image.
  Attack(char const* who, M& map, ConstView<B> x, std::span<int const> labels, AttackRegion const& region,
         AttackLoss loss, Index first)
      : who_(who),
        map_(map),
        labels_(labels),
        region_(region),
        first_(first),
        pixels_(to_host(map.backend(), x)) {
    region_.template check<Scalar>(who_);
    check_labels(loss);
    check_pixels();
    clean_labels_ = labels_of(x);
  }

  HostMatrix<Scalar> const& pixels() const { return pixels_; }
  /// Whether predict labels image j with what it is.
  bool correct(Index j) const {
    auto const l = static_cast<std::size_t>(j);
    return clean_labels_[l] == labels_[l];
  }

  /// What became of the images, whose attacked ones are z: moved into the region to the last bit, then
  /// labelled. Refuses what is not finite.
  AttackResult<Scalar> judged(HostMatrix<Scalar> z) const {
    Index const size = map_.input().size();
    AttackResult<Scalar> result{std::move(z), {}};
    for (std::size_t j = 0; j < labels_.size(); ++j) {
      auto const* const from = pixels_.data() + static_cast<Index>(j) * size;
      auto* const to = result.x.data() + static_cast<Index>(j) * size;
      if (!std::all_of(to, to + size, [](auto entry) { return std::isfinite(entry); }))
        throw DomainError(
            message(who_, ": image ", first_ + static_cast<Index>(j), " is not finite when attacked"));
      keep_within(region_.norm, region_.epsilon, size, from, to);
      auto const moved = [&](Index i) { return static_cast<double>(to[i]) - static_cast<double>(from[i]); };
      result.images.push_back({labels_[j], clean_labels_[j], -1, norm_in_double(AttackNorm::l2, size, moved),
                               norm_in_double(AttackNorm::l_inf, size, moved)});
    }
    auto const there = to_device(map_.backend(), result.x);
    auto const fooled = labels_of(there);
    for (std::size_t j = 0; j < labels_.size(); ++j) result.images[j].fooled_label = fooled[j];
    return result;
  }

 private:
  void check_labels(AttackLoss loss) const {
    Index const classes = map_.classes(), least = least_classes(loss);
    if (classes < least)
      throw DomainError(message(who_, ": ", classes, " classes, must be ", least, " at least"));
    Index const n = samples(who_, map_.input(), pixels_);
    if (static_cast<Index>(labels_.size()) != n)
      throw ShapeError(message(who_, ": ", labels_.size(), " labels, ", n, " images"));
    for (Index j = 0; j < n; ++j)
      if (int const label = labels_[static_cast<std::size_t>(j)]; label < 0 || label >= classes)
        throw DomainError(message(who_, ": the label of image ", first_ + j, " is ", label,
                                  ", must be in [0, ", classes, ")"));
  }
  void check_pixels() const {
    auto const& range = region_.range;
    for (Index l = 0; l < pixels_.rows() * pixels_.cols(); ++l) {
      double const pixel = static_cast<double>(pixels_.data()[l]);
      if (range ? !(pixel >= range->low && pixel <= range->high) : !std::isfinite(pixel))
        throw DomainError(message(who_, ": image ", first_ + l / map_.input().size(), " has the entry ",
                                  pixel,
                                  range ? message(", must be in [", range->low, ", ", range->high, "]")
                                        : std::string(", must be finite")));
    }
  }
  std::vector<int> labels_of(ConstView<B> images) const {
    return labels_by(who_, map_, images, {}, {}, 256, NumberedFrom{first_});
  }

  char const* who_;
  M& map_;
  std::span<int const> labels_;
  AttackRegion region_;
  Index first_;
  HostMatrix<Scalar> pixels_;
  std::vector<int> clean_labels_;
};

}  // namespace detail
}  // namespace detrame::inline DETRAME_ABI
