// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <string>

#include "detrame/core/errors.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// One sample: `channels` numbers at each of height x width sites. A dense sample has one site.
/// In a batch a sample is `sites()` neighbouring columns of `channels` rows, sites row by row.
struct Shape {
  Index channels;
  Index height = 1;
  Index width = 1;

  constexpr Index sites() const { return height * width; }
  constexpr Index size() const { return channels * sites(); }
  friend constexpr bool operator==(Shape const&, Shape const&) = default;
  friend void append(std::string& text, Shape const& s) {
    text += s.height == 1 && s.width == 1 ? message(s.channels)
                                          : message(s.channels, " x ", s.height, " x ", s.width);
  }
  friend std::ostream& operator<<(std::ostream& out, Shape const& s) { return out << message(s); }
};

}  // namespace detrame::inline DETRAME_ABI
