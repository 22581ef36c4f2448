// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <utility>
#include <vector>

#include "detrame/core/host_matrix.hpp"

namespace detrame::inline DETRAME_ABI::detail {

/// The phases of a window of stride s: as a map of the s^2 images that x is dealt to, one for each remainder
/// of a site, it is a window of stride 1 with ceil(K / s)^2 taps P_j.                                    (K5)
class PhaseSymbol {
 public:
  /// W: k x (K^2 channels), the taps side by side.
  PhaseSymbol(HostMatrix<double> const& W, Index kernel, Index stride)
      : side_((kernel + stride - 1) / stride),
        rows_(W.rows()),
        cols_(stride * stride * (W.cols() / (kernel * kernel))),
        taps_(static_cast<std::size_t>(side_ * side_), HostMatrix<double>(rows_, cols_)) {
    Index const channels = W.cols() / (kernel * kernel);
    for (Index dy = 0; dy < kernel; ++dy)
      for (Index dx = 0; dx < kernel; ++dx) {
        auto& P = taps_[static_cast<std::size_t>(dy / stride * side_ + dx / stride)];
        Index const phase = dy % stride * stride + dx % stride;
        for (Index i = 0; i < channels; ++i)
          for (Index o = 0; o < rows_; ++o)
            P(o, phase * channels + i) = W(o, (dy * kernel + dx) * channels + i);
      }
  }

  Index side() const { return side_; }
  HostMatrix<double> const& only() const { return taps_.front(); }

  /// sum_j |P_j|, entry by entry: no value of the symbol has a larger norm.
  HostMatrix<double> magnitudes() const {
    return host_matrix<double>(rows_, cols_, [&](Index o, Index i) {
      double sum = 0;
      for (auto const& P : taps_) sum += std::abs(P(o, i));
      return sum;
    });
  }

  /// The smaller of A A^* and A^* A, column by column, of A = sum_j P_j e^{2 pi i <(y, x), j> / n}; its size
  /// and trace.
  Index gram(Index y, Index x, Index n, std::vector<std::complex<double>>& H, double& trace) const {
    bool const wide = cols_ > rows_;
    Index const size = wide ? rows_ : cols_, length = wide ? cols_ : rows_;
    std::vector<double> re(static_cast<std::size_t>(size * length)), im = re;  // size x length
    for (Index jy = 0; jy < side_; ++jy)
      for (Index jx = 0; jx < side_; ++jx) {
        Index const turn = (y * jy + x * jx) % n;  // exact, so that no phase is large
        double const angle = 2 * std::numbers::pi * static_cast<double>(turn) / static_cast<double>(n),
                     c = std::cos(angle), s = std::sin(angle);
        auto const& P = taps_[static_cast<std::size_t>(jy * side_ + jx)];
        for (Index i = 0; i < cols_; ++i)
          for (Index o = 0; o < rows_; ++o) {
            auto const at = static_cast<std::size_t>(wide ? o + i * size : i + o * size);
            re[at] += c * P(o, i);
            im[at] += (wide ? s : -s) * P(o, i);
          }
      }
    H.assign(static_cast<std::size_t>(size * size), 0.);
    std::vector<double> h_re(static_cast<std::size_t>(size)), h_im = h_re;
    trace = 0;
    for (Index j = 0; j < size; ++j) {  // sum_l a_l conj(a_jl): vectors, so that compilers use packets
      std::fill(h_re.begin(), h_re.end(), 0.);
      std::fill(h_im.begin(), h_im.end(), 0.);
      for (Index l = 0; l < length; ++l) {
        double const *a = re.data() + l * size, *b = im.data() + l * size, a_j = a[j], b_j = b[j];
        for (Index i = j; i < size; ++i) {
          h_re[static_cast<std::size_t>(i)] += a[i] * a_j + b[i] * b_j;
          h_im[static_cast<std::size_t>(i)] += b[i] * a_j - a[i] * b_j;
        }
      }
      for (Index i = j; i < size; ++i) {
        std::complex<double> const h{h_re[static_cast<std::size_t>(i)], h_im[static_cast<std::size_t>(i)]};
        H[static_cast<std::size_t>(i + j * size)] = h;
        H[static_cast<std::size_t>(j + i * size)] = std::conj(h);
      }
      H[static_cast<std::size_t>(j + j * size)] = h_re[static_cast<std::size_t>(j)];
      trace += h_re[static_cast<std::size_t>(j)];
    }
    return size;
  }

 private:
  Index side_, rows_, cols_;
  std::vector<HostMatrix<double>> taps_;
};

}  // namespace detrame::inline DETRAME_ABI::detail
