// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "detrame/core/errors.hpp"
#include "detrame/core/host_device.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// A square window that slides over an image with zeros around it: the geometry of a 2-D cross-correlation.
///
///   v(y, x) = sum_{dy, dx} W_{dy, dx} u(stride y + dy - padding, stride x + dx - padding),
///   0 <= dy, dx < kernel
///
/// Its weights W are k x (taps() channels), the matrices W_{dy, dx} side by side, row by row of the window. A
/// batch holds a sample in neighbouring columns, a site each, row by row: channels x (sites samples).
struct Window {
  Index height, width;  ///< of the image that is read
  Index kernel = 1;
  Index stride = 1;
  Index padding = 0;

  DETRAME_HOST_DEVICE constexpr Index taps() const { return kernel * kernel; }
  DETRAME_HOST_DEVICE constexpr Index out_height() const {
    return (height + 2 * padding - kernel) / stride + 1;
  }
  DETRAME_HOST_DEVICE constexpr Index out_width() const {
    return (width + 2 * padding - kernel) / stride + 1;
  }
  DETRAME_HOST_DEVICE constexpr Index sites() const { return height * width; }
  DETRAME_HOST_DEVICE constexpr Index out_sites() const { return out_height() * out_width(); }

  /// Whether such a window exists: the kernel fits into the padded image and each position reads a pixel.
  constexpr bool fits() const {
    return height >= 1 && width >= 1 && kernel >= 1 && stride >= 1 && padding >= 0 && padding < kernel &&
           height + 2 * padding >= kernel && width + 2 * padding >= kernel;
  }

  friend constexpr bool operator==(Window const&, Window const&) = default;
  /// "3 x 3", "3 x 3, stride 2"; the padding where it is not that of a window around its site.
  friend void append(std::string& text, Window const& w) {
    text += message(w.kernel, " x ", w.kernel);
    if (w.stride != 1) text += message(", stride ", w.stride);
    if (w.padding != (w.kernel - 1) / 2) text += message(", padding ", w.padding);
  }
};

/// The tiles of the images that a window writes: m x m sites each, image by image, row by row.
template <int m>
struct Tiles {
  Window window;
  Index rows = (window.out_height() + m - 1) / m, cols = (window.out_width() + m - 1) / m;

  Index per_image() const { return rows * cols; }
  /// The upper left site of tile t: its image, row and column.
  struct Place {
    Index image, y, x;
  };
  Place operator[](Index t) const {
    Index const in_image = t % per_image();
    return {t / per_image(), in_image / cols * m, in_image % cols * m};
  }
};

}  // namespace detrame::inline DETRAME_ABI
