// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/prox/contraction.hpp"
#include "detrame/prox/iteration.hpp"
#include "detrame/prox/unrolled_prox.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// u <- v where `active` is not 0.
struct AssignWhere {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar v, Scalar active) const {
    u = active != Scalar(0) ? v : u;
  }
};

/// The terms of u - A(h z + (W~ (u - z))_i, b), given p = (|W~| (|u| + |z|))_i: p <- p + |u| + |h z|.
struct AddFixedPointTerms {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar u, Scalar z, Scalar h) const {
    p += Magnitude{}(u) + Magnitude{}(h * z);
  }
};

/// s (u - v)
struct DifferenceTimes {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar v, Scalar s) const {
    return s * (u - v);
  }
};

}  // namespace formula

/// A fixed point of a recursion, as near as it was asked for, and what is known about it.
template <Backend B>
struct UnrolledResult {
  using Scalar = typename B::Scalar;

  Matrix<B> u;       ///< k x N
  Status status;     ///< that of the worst sample
  Index iterations;  ///< updates that the slowest sample was given
  Scalar residual;   ///< max over samples of |u - A(G + W~ u, b)|_2 / |t(0)|_2: a share             (U1) (U3)

  /// Where kappa < 1 is known, |u - u_star|_S <= bound in every sample, up to the rounding of the residual;
  /// else there is none.                                                                                 (U3)
  std::optional<Scalar> bound;
  std::vector<Status> column_status;
};

namespace detail {

/// u = A(G + W~ u, b) as what `Iteration` runs on: V = A(G + W~ U, b), r = u - v.
///
///   t = p + min(b, p),   p = |h o z| + |W~| (|u| + |z|) + |u|                                           (U1)
///
/// It lives until the innermost frame of backend.lane() closes.
template <class Activation, Structure S, class B_>
class FixedPointProblem {
 public:
  using Backend = B_;
  using B = B_;
  using Scalar = typename B::Scalar;
  using Lane = typename B::Lane;
  static constexpr bool reach_from_terms = true;

  FixedPointProblem(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                    ConstView<B> h, ConstView<B> b, ConstView<B> Z)
      : structure_(structure),
        activation_(activation),
        W_(structure.prepare(backend, W_tilde, Op::none)),
        h_(h),
        b_(b),
        Z_(Z) {
    resize(backend, G_, Z.rows(), Z.cols());
    each_chunk(backend, batch(), working_set(), [&](Lane& lane, Columns c) {
      View<B> const U_1 = lane.scratch(Z.rows(), c.count);  // k x n, which the run computes again
      ConstView<B> const Z_c = columns(Z, c);
      structure.map(lane, W_, Z_c, formula::FirstUpdate<Activation>{activation}, columns(View<B>(G_), c), U_1,
                    Z_c, PerRow{h}, PerRow{b});
    });
    resize(backend, magnitudes_, W_tilde.rows(), W_tilde.cols());
    each(backend.lane(), formula::StoreMagnitude{}, View<B>(magnitudes_), W_tilde);
    auto const sums = to_host(backend, absolute_row_sums(backend, structure, W_tilde)),
               h_host = to_host(backend, h);
    auto const weights = tap_magnitudes(to_host(backend, W_tilde), structure.taps());  // kg x k
    HostMatrix<Scalar> seen(h.rows(), 1);
    Scalar largest(0);
    for (Index i = 0; i < h.rows(); ++i) {
      largest = std::max(largest, sums(i, 0));
      bool of_column = h_host(i, 0) != Scalar(0);
      for (Index l = 0; l < weights.rows(); ++l) of_column = of_column || weights(l, i) != 0;
      seen(i, 0) = of_column ? Scalar(1) : Scalar(0);
    }
    seen_ = to_device(backend, seen);
    slope_ = (Scalar(1) + largest) * std::sqrt(static_cast<Scalar>(Z.rows() * structure.unit()));
  }

  Index rows() const { return Z_.rows(); }
  Scalar start() const { return Scalar(0); }
  Batch batch() const { return batch_of(structure_, Z_.rows(), Z_.cols(), 1); }
  Index working_set() const { return unrolled_working_set(Z_.rows()); }

  void evaluate(Lane& lane, Columns c, ConstView<B> U, View<B> V) const {
    structure_.map(lane, W_, U, formula::NextUpdate<Activation>{activation_}, V, columns(ConstView<B>(G_), c),
                   PerRow{b_});
  }

  void residuals(Lane& lane, Columns c, PerSample<B>& samples, View<B> out, ConstView<B> U,
                 ConstView<B> V) const {
    samples.norms(lane, out, c, formula::Difference{}, U, V);
  }

  void terms(Lane& lane, Columns c, PerSample<B>& samples, View<B> out, ConstView<B> U) const {
    auto const frame = lane.frame();
    View<B> const sizes = lane.scratch(U.rows(), U.cols()), p = lane.scratch(U.rows(), U.cols());  // k x n
    each(lane, formula::StoreMagnitudes{}, sizes, U, columns(Z_, c));
    auto const sums = direct_sums(structure_);
    sums.map(lane, sums.prepare(lane, ConstView<B>(magnitudes_), Op::none), ConstView<B>(sizes),
             formula::Store{}, p);
    each(lane, formula::AddFixedPointTerms{}, p, U, columns(Z_, c), PerRow{h_});
    samples.norms(lane, out, c, formula::CappedSum{}, ConstView<B>(p), PerRow{b_});
  }

  /// A row of z for which h and W~ are 0 goes nowhere.
  void given(Lane& lane, Columns c, PerSample<B>& samples, View<B> out) const {
    samples.maxima(lane, out, c, formula::MagnitudeWhere{}, columns(Z_, c), PerRow{ConstView<B>(seen_)});
  }

  Scalar rounding() const { return rounding_of<Scalar>(magnitudes_.rows() * structure_.taps()); }
  Scalar slope() const { return slope_; }
  Scalar reach_divisor() const { return std::numeric_limits<Scalar>::epsilon(); }

 private:
  using Prepared_ = decltype(std::declval<S const&>().prepare(std::declval<B&>(), ConstView<B>(), Op::none));

  S structure_;
  Activation activation_;
  Prepared_ W_;
  ConstView<B> h_, b_, Z_;    // k x 1, k x 1, k x N
  Matrix<B> G_, magnitudes_;  // k x N; |W~|, in the layout of its structure
  Matrix<B> seen_;            // k x 1: 1 where a row of z has an effect, else 0
  Scalar slope_;
};

/// U <- V, where `active` is not 0.
struct TakeValue {
  template <Backend B>
  void advance(B& backend, View<B> U, View<B> V, ConstView<B> active) const {
    each_chunk(backend, Batch{U.cols()}, 2 * U.rows(), [&](typename B::Lane& lane, Columns c) {
      each(lane, formula::AssignWhere{}, columns(U, c), ConstView<B>(columns(V, c)),
           PerColumn{columns(active, c)});
    });
  }
};

}  // namespace detail

/// As many updates of the recursion of eq. (20), from U_0 = 0 or another start, as it takes to a fixed point;
/// with free parameters, which need be nobody's prox.                                          (M5) (F1) (U3)
///
///   u = A(G + W~ u, b),   G = h o Z - W~ Z
///
/// Shapes    as in unrolled_prox; a sample is a column, or an image of a convolution.  known.S: k x 1.
///           from: k x N, U_0 where it is given.
/// Requires  all shapes, else ShapeError; a tolerance and a limit >= 0, the tolerance finite, and a finite
///           U_0, else DomainError. `known`, if given, is what `contraction` says of these W~.
/// Ensures   (1) residual = max over samples of |u - A(G + W~ u, b)|_2 / |t(0)|_2, from u as returned, where
///               t(0) = p + min(b, p), p = |h o z| + |W~||z|: the natural residual, which has no unit. Of a
///               sample with t(0) = 0 it is infinite until u = 0, so that from elsewhere no tolerance is
///               reached before.                                                                         (U1)
///           (2) the status of each sample is the inequality that fired (Status); residual <= until.tolerance
///               if the worst is residual_reached. Its bits depend on no other sample.
///           (3) a fixed point that is reached need not be the only one, nor the residual a distance; where
///               known.kappa < 1 it is, there is one, and |u - u_star|_S <= bound.
///           (4) no sample is called cycling where kappa < 1, which is asked of `contraction` once, when a
///               cycle is suspected, where nothing is known.
///           (5) U after n updates is that of unrolled_prox with T = n, where U_0 = 0.
///           (6) Z, b and U_0 times a power of two: the same statuses and counts, u times it, bit for
///               bit.                                                                                    (U2)
/// Cost      an update: one product with W~, which serves the residual; besides one with |W~| at the start,
///           and where the residual is near rounding. Workspace 5 k N scalars.
/// Source    docs/maths.md (M5), (C1), (U3), (U1)
/// Tested    tests/prox/unrolled_until_test.cpp
template <class Activation, Structure S, Backend B>
UnrolledResult<B> unrolled_prox(
    B& backend, S const& structure, Activation activation, ConstView<B> W_tilde, ConstView<B> h,
    ConstView<B> b, ConstView<B> Z, Until const& until,
    std::optional<std::type_identity_t<Contraction<B>>> const& known = std::nullopt,
    std::optional<ConstView<B>> const& from = std::nullopt) {
  using Scalar = typename B::Scalar;
  auto const tolerance = tolerance_of<Scalar>("unrolled_prox", until);
  detail::check_unrolled<S, ConstView<B>>("unrolled_prox", structure, W_tilde, h, b, Z, 0, from.value_or(Z),
                                          {});
  auto const frame = backend.lane().frame();
  detail::FixedPointProblem<Activation, S, B> const problem(backend, structure, activation, W_tilde, h, b, Z);
  detail::Iteration run(backend, problem, from);
  if (!(run.farthest() - run.farthest() == Scalar(0)))
    throw DomainError(
        message("unrolled_prox: U_0 has an entry of size ", run.farthest(), ", must be finite"));
  bool const contracts = known && known->kappa < Scalar(1);
  Matrix<B> root_S;  // k x 1
  if (contracts) {
    auto const s = detail::positive_vector(backend, "unrolled_prox", "S", ConstView<B>(known->S), Z.rows());
    root_S = to_device(backend,
                       host_matrix<Scalar>(Z.rows(), 1, [&](Index i, Index) { return std::sqrt(s(i, 0)); }));
  }
  detail::TakeValue updates;
  Index const iterations = run.run(updates, tolerance, until.limit, !contracts, [&] {
    auto const copy = [&](ConstView<B> v) { return to_device(backend, to_host(backend, v)); };
    return !known &&
           contraction(backend, Recurrence<B, S>{structure, copy(W_tilde), copy(h), copy(b)}).kappa <
               Scalar(1);
  });
  auto found = run.outcome(true);
  std::optional<Scalar> bound;
  if (contracts && found.residual - found.residual == Scalar(0)) {
    Scalar const step = run.largest_norm(formula::DifferenceTimes{}, PerRow{ConstView<B>(root_S)});
    bound = step / (Scalar(1) - known->kappa);
    if (step > Scalar(0)) bound = std::max(*bound, std::numeric_limits<Scalar>::min());
  } else if (contracts) {
    bound = found.residual;  // infinite or NaN
  }
  return {run.take_iterate(), found.status, iterations, found.residual, bound, std::move(found.of_sample)};
}

}  // namespace detrame::inline DETRAME_ABI
