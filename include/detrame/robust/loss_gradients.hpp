// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "detrame/robust/attack_loss.hpp"
#include "detrame/robust/score_map.hpp"
#include "detrame/train/evaluate.hpp"

namespace detrame::inline DETRAME_ABI::detail {

/// What a step of an attack climbs: the losses of images at points z, and their gradients.
template <ScoreMap M>
class LossGradients {
  using B = typename M::Backend;
  using Scalar = typename B::Scalar;

 public:
  std::vector<double> losses;  ///< of those that are going
  Matrix<B> g;                 ///< size x n: of those that are going a positive multiple of the gradient

  LossGradients(char const* who, M& map, AttackLoss loss, bool stop_when_fooled)
      : who_(who), map_(map), loss_(loss), stop_when_fooled_(stop_when_fooled) {}

  /// At z, size x n, of the images `number(j)` of these labels. One that is labelled wrong is going no more
  /// where it is to stop. Whether any is.
  template <class Number>
  bool operator()(ConstView<B> z, std::span<int const> labels, Number const& number,
                  std::vector<bool>& going) {
    B& b = map_.backend();
    auto const y = to_host(b, map_.scores(as_images(map_.input(), z)));
    auto const now = unique_largest(y);
    HostMatrix<Scalar> y_bar(y.rows(), y.cols());
    losses.resize(labels.size());
    bool any = false;
    for (Index j = 0; j < y.cols(); ++j) {
      auto const l = static_cast<std::size_t>(j);
      require_finite(who_, y, j, number(j));
      if (stop_when_fooled_ && now[l] != labels[l]) going[l] = false;
      if (!going[l]) continue;
      losses[l] = attack_loss(loss_, y, j, labels[l], y_bar);
      any = true;
    }
    if (!any) return false;
    resize(b, g, z.rows(), z.cols());
    auto const there = to_device(b, y_bar);
    map_.pullback(ConstView<B>(there), as_images(map_.input(), View<B>(g)));
    require_finite_gradients(who_, b, ConstView<B>(g), [&](Index j) {
      return going[static_cast<std::size_t>(j)] ? number(j) : Index{-1};
    });
    return true;
  }

 private:
  char const* who_;
  M& map_;
  AttackLoss loss_;
  bool stop_when_fooled_;
};

}  // namespace detrame::inline DETRAME_ABI::detail
