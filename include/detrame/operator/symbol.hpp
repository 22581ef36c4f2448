// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <map>
#include <numbers>
#include <utility>
#include <vector>

#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/operator/definite.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// Frequencies a direction at which a symbol is sampled, and what the samples can miss by.
struct SymbolGrid {
  Index points;
  double inflation;  ///< cos(pi r / n)^-2

  explicit SymbolGrid(Index kernel) {
    Index const r = (kernel - 1) / 2;
    points = std::max<Index>(16 * r, 1);
    double const c =
        r == 0 ? 1. : std::cos(std::numbers::pi * static_cast<double>(r) / static_cast<double>(points));
    inflation = 1 / (c * c);
  }
};

/// The symbol of a group of channels, scaled by numbers a channel, at any frequency; on the host, in double.
///
///   A_ol(omega) = left_o right_l sum_delta W[o, l, delta] e^{i <omega, delta>},   omega = 2 pi (y, x)
class Symbol {
 public:
  using Entries = std::vector<std::complex<double>>;  // kg x kg, column by column

  template <class Scalar>
  Symbol(HostMatrix<Scalar> const& W, Index kernel, Index group, std::vector<double> const& left,
         std::vector<double> const& right)
      : size_(W.rows()), kernel_(kernel), values_(static_cast<std::size_t>(size_ * size_)) {
    auto const entries = static_cast<std::size_t>(size_ * size_);
    for (Index tap = 0; tap < kernel * kernel; ++tap) {
      std::vector<double> A(entries), rows(static_cast<std::size_t>(size_)), columns = rows;
      double length = 0;
      for (Index l = 0; l < size_; ++l)
        for (Index o = 0; o < size_; ++o) {
          auto const row = static_cast<std::size_t>(o), column = static_cast<std::size_t>(l);
          double const a = left[static_cast<std::size_t>(group * size_ + o)] *
                           static_cast<double>(W(o, (group * kernel * kernel + tap) * size_ + l)) *
                           right[static_cast<std::size_t>(group * size_ + l)];
          A[static_cast<std::size_t>(o + l * size_)] = a;
          rows[row] += std::abs(a);
          columns[column] += std::abs(a);
          length = std::hypot(length, a);
        }
      double const sums = std::sqrt(*std::max_element(rows.begin(), rows.end())) *
                          std::sqrt(*std::max_element(columns.begin(), columns.end()));
      double const norm = std::min(length, sums);  // of this tap, from above
      auto const [dy, dx] = displacement(tap);
      size += norm;
      curvature_y += dy * dy * norm;
      curvature_x += dx * dx * norm;
      taps_.push_back(std::move(A));
    }
  }

  Index channels() const { return size_; }

  /// Its values at a frequency, until the next call.
  Entries const& at(double y, double x) {
    std::fill(values_.begin(), values_.end(), 0.);
    for (std::size_t tap = 0; tap < taps_.size(); ++tap) {
      auto const [dy, dx] = displacement(static_cast<Index>(tap));
      auto const wave = std::polar(1., 2 * std::numbers::pi * (y * dy + x * dx));
      for (std::size_t entry = 0; entry < values_.size(); ++entry) values_[entry] += taps_[tap][entry] * wave;
    }
    return values_;
  }

  /// sum_delta |W_delta|, entry by entry: no value of the symbol has a larger norm.
  HostMatrix<double> magnitudes() const {
    return host_matrix<double>(size_, size_, [&](Index o, Index l) {
      double sum = 0;
      for (auto const& A : taps_) sum += std::abs(A[static_cast<std::size_t>(o + l * size_)]);
      return sum;
    });
  }

  /// A bound of the error of `at` in norm: some roundings of every tap, those of its phase among them.
  double rounding() const {
    Index const r = kernel_ / 2;
    return (static_cast<double>(taps_.size()) + 16 * static_cast<double>(r + 1)) *
           std::sqrt(static_cast<double>(size_)) * std::numeric_limits<double>::epsilon() * size;
  }

  double size = 0;         ///< sum_delta |W_delta|_2, from above, up to rounding; so are the next two
  double curvature_y = 0;  ///< sum_delta delta_y^2 |W_delta|_2: no second derivative is larger
  double curvature_x = 0;

 private:
  /// delta of a tap.
  std::pair<double, double> displacement(Index tap) const {
    Index const r = kernel_ / 2, row = tap / kernel_, column = tap % kernel_;
    return {static_cast<double>(row - r), static_cast<double>(column - r)};
  }

  Index size_, kernel_;
  std::vector<std::vector<double>> taps_;
  Entries values_;
};

/// The symbols of all groups.
template <Backend B, class Arithmetic>
std::vector<Symbol> symbols(B& backend, ConvolutionalBlocksBy<Arithmetic> const& structure, ConstView<B> W,
                            std::vector<double> const& left, std::vector<double> const& right) {
  auto const weights = to_host(backend, W);  // kg x (taps k)
  std::vector<Symbol> all;
  for (Index g = 0; g < structure.groups; ++g) all.emplace_back(weights, structure.kernel, g, left, right);
  return all;
}

/// f(A, kg) for a symbol A at each frequency of the grid; that at minus a frequency is its conjugate, so half
/// of them are visited.
template <class F>
void each_frequency(Symbol& symbol, SymbolGrid const& grid, F&& f) {
  double const n = static_cast<double>(grid.points);
  for (Index p = 0; p <= grid.points / 2; ++p)
    for (Index q = 0; q < grid.points; ++q)
      f(symbol.at(static_cast<double>(p) / n, static_cast<double>(q) / n), symbol.channels());
}

/// Whether a claim about a symbol is shown at every frequency, in at most `budget` factorisations.       (K3)
///
/// A claim is of the form g(A) <= c with g convex and |g(A) - g(A')| <= |A - A'|_2, such as |A|_2 <= c or
/// lambda_max(A) <= c. holds(A, loss) shows it for all matrices within `loss` of A. On a cell of sides h_y,
/// h_x the symbol is within (h_y^2 curvature_y + h_x^2 curvature_x) / 8 of what interpolates its four corners
/// linearly in each direction, so the claim holds on the cell if at each corner it does with that loss. Cells
/// on which it does not are halved; where it fails at a frequency with no loss at all, it is false.
template <class Holds>
bool shown_at_every_frequency(Symbol& symbol, Index& budget, Holds const& holds) {
  struct Cell {
    double y, x, height, width;
  };
  std::map<std::pair<double, double>, double> held;  // at a frequency, the largest loss with which it held
  std::vector<Cell> cells{{0, 0, .5, 1}};            // in turns; half of them, for the symbol's symmetry
  double const turn = 2 * std::numbers::pi;
  while (!cells.empty()) {
    Cell const cell = cells.back();
    cells.pop_back();
    double const loss_y = turn * turn * cell.height * cell.height * symbol.curvature_y / 8,
                 loss_x = turn * turn * cell.width * cell.width * symbol.curvature_x / 8;
    double const loss = (loss_y + loss_x) * (1 + 1e-9) + symbol.rounding();
    bool all = true;
    for (int corner = 0; corner < 4 && all; ++corner) {
      std::pair const at{cell.y + (corner < 2 ? 0. : cell.height),
                         cell.x + (corner % 2 == 0 ? 0. : cell.width)};
      auto const before = held.find(at);
      if (before != held.end() && before->second >= loss) continue;
      if (--budget < 0) return false;
      all = holds(symbol.at(at.first, at.second), symbol.channels(), loss);
      if (all) {
        held[at] = loss;
      } else if (before == held.end()) {
        if (--budget < 0 || !holds(symbol.at(at.first, at.second), symbol.channels(), symbol.rounding()))
          return false;
        held[at] = symbol.rounding();
      }
    }
    if (all) continue;
    Cell half = cell;
    (loss_y > loss_x ? half.height : half.width) /= 2;
    cells.push_back(half);
    (loss_y > loss_x ? half.y : half.x) += loss_y > loss_x ? half.height : half.width;
    cells.push_back(half);
  }
  return true;
}

/// The shares of what a grid leaves between a number and its threshold that are tried, one after the other,
/// where the grid's own margin does not decide; and the factorisations that each may take, over all groups.
inline constexpr double refined_shares[] = {15. / 16, 1. / 2, 1. / 8, 1. / 64};
inline constexpr Index refined_frequencies = 4096;

template <class Holds>
bool shown_for_all(std::vector<Symbol>& symbols, Holds const& holds) {
  Index budget = refined_frequencies;
  for (Symbol& symbol : symbols)
    if (!shown_at_every_frequency(symbol, budget, holds)) return false;
  return true;
}

/// A bound of what is `seen` on the grid: `bound`, or, where that does not lie on the side of `threshold` on
/// which the grid does, the first smaller one that below(A, kg, c) shows at every frequency.
template <class Below>
double refined(std::vector<Symbol>& symbols, double seen, double bound, double threshold,
               Below const& below) {
  if (!(seen < threshold && bound >= threshold)) return bound;
  for (double const share : refined_shares) {
    double const target = threshold - share * (threshold - seen);
    auto const holds = [&](Symbol::Entries const& A, Index kg, double loss) {
      return below(A, kg, target - loss);
    };
    if (shown_for_all(symbols, holds)) return target;
  }
  return bound;
}

/// A^* A, of which the lower triangle alone is computed and mirrored.
inline Symbol::Entries gram(Symbol::Entries const& A, Index n) {
  Symbol::Entries H(A.size());
  for (Index j = 0; j < n; ++j)
    for (Index i = j; i < n; ++i) {
      double re = 0, im = 0;
      for (Index o = 0; o < n; ++o) {
        auto const a = A[static_cast<std::size_t>(o + i * n)], b = A[static_cast<std::size_t>(o + j * n)];
        re += a.real() * b.real() + a.imag() * b.imag();
        im += a.real() * b.imag() - a.imag() * b.real();
      }
      H[static_cast<std::size_t>(i + j * n)] = {re, im};
      H[static_cast<std::size_t>(j + i * n)] = {re, -im};
    }
  return H;
}

/// Whether |A|_2 < c is shown: c^2 I - A^* A > 0.
inline bool norm_within(Symbol::Entries const& A, Index n, double c) {
  if (!(c > 0)) return false;
  auto H = gram(A, n);
  double trace = 0;
  for (auto& entry : H) entry = -entry;
  for (Index i = 0; i < n; ++i) {
    auto& entry = H[static_cast<std::size_t>(i + i * n)];
    trace -= entry.real();
    entry += c * c;
  }
  return shown_definite(H, n, static_cast<double>(n) * std::numeric_limits<double>::epsilon() * 2 * trace);
}

}  // namespace detail

}  // namespace detrame::inline DETRAME_ABI
