// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <numbers>
#include <utility>

#include "detrame/metric/untie_convolutional.hpp"

namespace detrame::inline DETRAME_ABI {

/// A tied kernel near a free one, and how near any can be: distances are |S^{1/2} (W - W~) S^{-1/2}|_F, of
/// kernels.
template <Backend B, class Arithmetic>
struct NearTiedKernel {
  Recurrence<B, ConvolutionalBlocksBy<Arithmetic>> recurrence;
  double distance = 0;
  double at_least = 0;  ///< no tied kernel with this s and this h is nearer
  double size = 0;      ///< |S^{1/2} W~ S^{-1/2}|_F
  Index rounds = 0;     ///< of the search
};

namespace detail {

/// Dykstra's alternating projections between the kernels of a window and those, of any size, whose symbol is
/// positive semi-definite at n x n frequencies. A kernel: kg x (taps kg), of one group.
class TiedKernelSearch {
 public:
  using Kernel = HostMatrix<double>;

  TiedKernelSearch(Kernel Q, Index kernel)
      : kernel_(kernel), kg_(Q.rows()), n_(4 * (kernel - 1)), start_(Q), x_(std::move(Q)) {
    if (n_ == 0) n_ = 1;
    for (Index a = 0; a < n_; ++a)
      for (Index b = 0; b < n_; ++b) {
        Index const there = (n_ - a) % n_ * n_ + (n_ - b) % n_, here = a * n_ + b;
        if (here <= there) points_.push_back({a, b, here == there ? 1. : 2., Kernel(2 * kg_, 2 * kg_), {}});
      }
  }

  /// One round; the share of the way from the start that x moved.
  double round(double low) {
    Kernel next(kg_, x_.cols()), normal(kg_, x_.cols());
    for (Point& point : points_) {
      Kernel A = symbol(x_, point);  // 2 kg x 2 kg
      for (Index i = 0; i < A.rows() * A.cols(); ++i) A.data()[i] += point.correction.data()[i];
      Kernel const Y = with_eigenvalues_at_least(A, low, &point.basis);
      for (Index i = 0; i < A.rows() * A.cols(); ++i) point.correction.data()[i] = A.data()[i] - Y.data()[i];
      add_window(next, Y, point);
      add_window(normal, point.correction, point);
    }
    // each c with a symbol >= 0 has <normal, c> <= 0, so its distance to the start is at least this; a normal
    // that is but rounding says nothing
    double const length = norm(normal);
    if (length > 1e-9 * norm(start_)) at_least_ = std::max(at_least_, inner(normal, start_) / length);
    double const moved = distance(next, x_), way = distance(next, start_);
    x_ = std::move(next);
    return way > 0 ? moved / way : 0;
  }

  Kernel const& kernel() const { return x_; }
  double at_least() const { return at_least_; }

  static double inner(Kernel const& X, Kernel const& Y) {
    double sum = 0;
    for (Index i = 0; i < X.rows() * X.cols(); ++i) sum += X.data()[i] * Y.data()[i];
    return sum;
  }
  static double norm(Kernel const& X) { return std::sqrt(inner(X, X)); }
  static double distance(Kernel X, Kernel const& Y) {
    for (Index i = 0; i < X.rows() * X.cols(); ++i) X.data()[i] -= Y.data()[i];
    return norm(X);
  }

 private:
  /// Of a pair of frequencies +-omega. Hermitian R + iI stands as the symmetric [[R, -I], [I, R]].
  struct Point {
    Index a, b;
    double weight;
    Kernel correction, basis;  // 2 kg x 2 kg
  };

  /// cos and sin of <omega, delta>
  std::pair<double, double> turn(Point const& point, Index tap) const {
    Index const r = (kernel_ - 1) / 2, dy = tap / kernel_ - r, dx = tap % kernel_ - r;
    double const angle =
        2 * std::numbers::pi * static_cast<double>(point.a * dy + point.b * dx) / static_cast<double>(n_);
    return {std::cos(angle), std::sin(angle)};
  }

  Kernel symbol(Kernel const& X, Point const& point) const {
    Kernel M(2 * kg_, 2 * kg_);
    for (Index tap = 0; tap < kernel_ * kernel_; ++tap) {
      auto const [cosine, sine] = turn(point, tap);
      for (Index i = 0; i < kg_; ++i)
        for (Index o = 0; o < kg_; ++o) {
          double const x = X(o, tap * kg_ + i);
          M(o, i) += cosine * x;
          M(kg_ + o, i) += sine * x;
        }
    }
    for (Index i = 0; i < kg_; ++i)
      for (Index o = 0; o < kg_; ++o) {
        M(kg_ + o, kg_ + i) = M(o, i);
        M(o, kg_ + i) = -M(kg_ + o, i);
      }
    return M;
  }

  /// X += the part of the kernel with symbol M, at +-omega alone, that is inside the window.
  void add_window(Kernel& X, Kernel const& M, Point const& point) const {
    double const share = point.weight / static_cast<double>(n_ * n_);
    for (Index tap = 0; tap < kernel_ * kernel_; ++tap) {
      auto const [cosine, sine] = turn(point, tap);
      for (Index i = 0; i < kg_; ++i)
        for (Index o = 0; o < kg_; ++o)
          X(o, tap * kg_ + i) += share * (cosine * M(o, i) + sine * M(kg_ + o, i));
    }
  }

  Index kernel_, kg_, n_;
  Kernel start_, x_;  // kg x (taps kg)
  double at_least_ = 0;
  std::vector<Point> points_;
};

}  // namespace detail

/// A tied convolution near one with free parameters, for a scaling s.                               (F2) (K3)
///
///   h' = h clipped to [0, 1],   b' = max(b, 0)
///   W' near W~ in |S^{1/2} (W - W~) S^{-1/2}|_F with diag(s) (diag(h') - W) symmetric, as a kernel, and
///   positive for images of every size: its symbol Q >= 0 at every frequency
///
/// Symmetric kernels of a window with Q >= 0 are a convex set. Dykstra's projections approach the nearest one
/// whose symbol is positive on a grid of frequencies; then the middle taps are raised until Q is positive
/// between them as well. That is an upper bound of the distance to the nearest one. at_least is a lower one:
/// at every round what is projected away spans a half-space that has all tied kernels.
///
/// Shapes    s: k numbers > 0: those of `untie`, or ones
/// Requires  finite parameters, s > 0, and a tolerance > 0, that of untie, beyond which Q can be raised, else
///           DomainError: where it is far below 1.
/// Ensures   (1) untie says of the result that it is a prox.
///           (2) at_least <= distance up to rounding; both are 0, and the result is what was given, where
///               untie says so of that.
/// Cost      a round decomposes a symmetric 2 kg x 2 kg matrix at (4 (kernel - 1))^2 / 2 frequencies, for
///           each group, on the host: some 0.1 s at kg = 16, 3 s at kg = 64. Memory: 2 (2 kg)^2 numbers a
///           frequency.
/// Source    J. P. Boyle and R. L. Dykstra, 1986
/// Tested    tests/metric/near_tied_kernel_test.cpp
template <Backend B, class Arithmetic>
NearTiedKernel<B, Arithmetic> near_tied_kernel(
    B& backend, Recurrence<B, ConvolutionalBlocksBy<Arithmetic>> const& recurrence,
    std::vector<double> const& s, typename B::Scalar tolerance, Index rounds = 30) {
  using Scalar = typename B::Scalar;
  recurrence.check("near_tied_kernel");
  if (!(tolerance > Scalar(0)))
    throw DomainError(message("near_tied_kernel: tolerance = ", tolerance, ", must be > 0"));
  auto const& structure = recurrence.structure;
  Index const k = recurrence.dim(), taps = structure.taps();
  if (static_cast<Index>(s.size()) != k)
    throw ShapeError(message("near_tied_kernel: s has ", s.size(), " entries, must have ", k));
  for (double const each : s)
    if (!(each > 0)) throw DomainError(message("near_tied_kernel: s has an entry ", each, ", must be > 0"));
  HostMatrix<Scalar> W = to_host(backend, ConstView<B>(recurrence.W_tilde));  // kg x (taps k)
  HostMatrix<Scalar> h = to_host(backend, ConstView<B>(recurrence.h)),
                     b = to_host(backend, ConstView<B>(recurrence.b));
  for (Index i = 0; i < k; ++i) {
    h(i, 0) = std::clamp(h(i, 0), Scalar(0), Scalar(1));
    b(i, 0) = std::max(b(i, 0), Scalar(0));
  }
  NearTiedKernel<B, Arithmetic> out{recurrence};
  Index const kg = W.rows();
  std::vector<HostMatrix<double>> asymmetric, symmetric;  // scaled, of each group; their sum is W~
  double squares = 0, away = 0, across = 0;
  for (Index first = 0; first < k; first += kg) {
    auto const scaled = [&](Index o, Index column) {
      Index const i = column % kg;
      return static_cast<double>(W(o, first * taps + column)) *
             std::sqrt(s[static_cast<std::size_t>(first + o)] / s[static_cast<std::size_t>(first + i)]);
    };
    auto const part = [&](double sign) {
      return host_matrix<double>(kg, taps * kg, [&](Index o, Index column) {
        Index const i = column % kg, tap = column / kg;
        return (scaled(o, column) + sign * scaled(i, (taps - 1 - tap) * kg + o)) / 2;
      });
    };
    symmetric.push_back(part(1));
    asymmetric.push_back(part(-1));
    using Search = detail::TiedKernelSearch;
    across += Search::inner(asymmetric.back(), asymmetric.back());
    squares += Search::inner(symmetric.back(), symmetric.back());
  }
  out.size = std::sqrt(squares + across);
  if (untie(backend, recurrence, tolerance).is_prox) return out;

  std::vector<HostMatrix<double>> Q;
  double least = 0, largest = 1;
  for (Index group = 0; group * kg < k; ++group) {
    HostMatrix<double> start = symmetric[static_cast<std::size_t>(group)];
    for (Index i = 0; i < start.rows() * start.cols(); ++i) start.data()[i] = -start.data()[i];
    for (Index i = 0; i < kg; ++i) start(i, taps / 2 * kg + i) += static_cast<double>(h(group * kg + i, 0));
    for (Index i = 0; i < kg; ++i) {
      double sum = 1;
      for (Index column = 0; column < start.cols(); ++column) sum += std::abs(start(i, column));
      largest = std::max(largest, sum);
    }
    detail::TiedKernelSearch search(std::move(start), structure.kernel);
    Index done = 0;
    for (double moved = 1; done < rounds && moved > 1e-3; ++done)
      moved = search.round(4 * static_cast<double>(tolerance) * largest);
    out.rounds = std::max(out.rounds, done);
    least += search.at_least() * search.at_least();
    Q.push_back(search.kernel());
  }
  out.at_least = std::sqrt(across + least);
  // Between the grid's frequencies: raised by the smallest eigenvalue as it is shown, and by what rounds.
  auto const kernel_of = [&](double raised) {  // of Q, and all scales 1
    return host_matrix<Scalar>(kg, taps * k, [&](Index o, Index column) {
      Index const group = column / (taps * kg), at = column % (taps * kg);
      return static_cast<Scalar>(Q[static_cast<std::size_t>(group)](o, at) +
                                 (at == taps / 2 * kg + o ? raised : 0.));
    });
  };
  auto const low = spectral_range(backend, structure, ConstView<B>(to_device(backend, kernel_of(0)))).low;
  double raise = std::max(0., -static_cast<double>(low));
  for (double margin = 4 * static_cast<double>(tolerance) * largest;; margin *= 4) {
    HostMatrix<Scalar> const raised = kernel_of(raise + margin);
    away = 0;
    for (Index group = 0; group * kg < k; ++group)
      for (Index column = 0; column < taps * kg; ++column)
        for (Index o = 0; o < kg; ++o) {
          Index const i = column % kg, first = group * kg, at = group * taps * kg + column;
          double const q = static_cast<double>(raised(o, at));
          double const w = (column == taps / 2 * kg + o ? static_cast<double>(h(first + o, 0)) : 0.) - q;
          double const d = w - symmetric[static_cast<std::size_t>(group)](o, column);
          away += d * d;
          W(o, at) = static_cast<Scalar>(
              w * std::sqrt(s[static_cast<std::size_t>(first + i)] / s[static_cast<std::size_t>(first + o)]));
        }
    out.recurrence = {structure, to_device(backend, W), to_device(backend, h), to_device(backend, b)};
    if (untie(backend, out.recurrence, tolerance).is_prox) break;
    if (!(margin <= largest))
      throw DomainError(message("near_tied_kernel: tolerance = ", tolerance, ": no Q is raised beyond it"));
  }
  out.distance = std::sqrt(across + away);
  return out;
}

}  // namespace detrame::inline DETRAME_ABI
