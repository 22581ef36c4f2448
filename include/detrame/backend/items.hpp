// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>
#include <tuple>

#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// A formula and the matrices of one shape that it works on, entry by entry: each_of takes many.
template <class F, class... Views>
struct Item {
  F f;
  std::tuple<Views...> views;
};

/// Items on their way to each_of, which gets as many at once as there is room for. Nothing is allocated. What
/// was added last is worked on by `finish` alone.
template <class B, class F, class... Views>
class Items {
 public:
  explicit Items(B& backend) : backend_(backend) {}
  Items(Items const&) = delete;
  Items& operator=(Items const&) = delete;

  void add(F const& f, std::type_identity_t<Views>... views) {
    if (count_ == items_.size()) finish();
    items_[count_++] = {f, {views...}};
  }
  void finish() {
    each_of(backend_, std::span<Item<F, Views...> const>(items_.data(), count_));
    count_ = 0;
  }

 private:
  B& backend_;
  std::array<Item<F, Views...>, 128> items_{};
  std::size_t count_ = 0;
};

}  // namespace detrame::inline DETRAME_ABI
