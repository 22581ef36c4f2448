// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/concept.hpp"
#include "detrame/metric/entries.hpp"
#include "detrame/operator/spectrum.hpp"

namespace detrame::inline DETRAME_ABI {

/// The symmetric part of a cross-correlation, the nearest one with W[o, i, delta] = W[i, o, -delta].     (K2)
template <class Scalar>
HostMatrix<Scalar> symmetric_part(ConvolutionalBlocks const& structure, HostMatrix<Scalar> const& W) {
  Index const kg = W.rows(), taps = structure.taps();
  return host_matrix<Scalar>(kg, W.cols(), [&](Index o, Index column) {
    Index const i = column % kg, tap = column / kg % taps, group = column / (kg * taps);
    return W(o, column) / Scalar(2) + W(i, (group * taps + taps - 1 - tap) * kg + o) / Scalar(2);
  });
}

/// A metric whose Q is a cross-correlation of images.                                           (M3) (K2)
///
///   |v|_Q^2 = <v, Q v>,   Q v as ConvolutionalBlocks says, Q[o, i, delta] = Q[i, o, -delta]
///
/// Shapes    Q: kg x (taps k), in the layout of the structure. A problem is an image: k x sites.
/// Requires  weights of the structure's shape, else ShapeError; finite, symmetric up to rounding, and
///           positive definite by the symbol's range for every size of an image, else DomainError.
/// Ensures   (1) weights() is exactly symmetric.
///           (2) lambda_min() and lambda_max() bound the eigenvalues of Q on images of any size.
/// Cost      construction as spectral_range; apply 2 taps k kg flops a site.
/// Tested    tests/metric/convolutional_metric_test.cpp
template <Backend B>
class ConvolutionalMetric {
 public:
  using Backend = B;
  using Scalar = typename B::Scalar;

  ConvolutionalMetric(B& backend, ConvolutionalBlocks const& structure, Input<B> const Q)
      : structure_(structure) {
    constexpr char const* who = "ConvolutionalMetric";
    if (structure.groups >= 1 && !product_of_sizes({structure.groups, Q.rows()}))
      throw DomainError(message(who, ": ", structure.groups, " groups of ", Q.rows(),
                                " channels are more than can be counted"));
    Index const k = structure.groups * Q.rows();
    structure.check(who, k);
    if (k < 1 || Q.cols() != structure.weight_cols(k))
      throw ShapeError(message(who, ": Q is ", Q.rows(), " x ", Q.cols(), ", with ", structure.groups,
                               " groups of ", Q.rows(), " channels and a kernel of ", structure.kernel,
                               " it must be ", Q.rows(), " x ", structure.weight_cols(k)));
    auto const given = to_host(backend, ConstView<B>(Q)), symmetric = symmetric_part(structure, given);
    Scalar largest(0);
    for (Index j = 0; j < given.cols(); ++j)
      for (Index i = 0; i < given.rows(); ++i) {
        if (!std::isfinite(given(i, j)))
          throw DomainError(message(who, ": Q has an entry ", given(i, j), ", must be finite"));
        largest = std::max(largest, std::abs(given(i, j)));
      }
    Scalar const rounding =
        Scalar(4) * static_cast<Scalar>(Q.rows()) * std::numeric_limits<Scalar>::epsilon() * largest;
    for (Index j = 0; j < given.cols(); ++j)
      for (Index i = 0; i < given.rows(); ++i)
        if (std::abs(given(i, j) - symmetric(i, j)) > rounding)
          throw DomainError(message(who, ": Q is not symmetric: its entry (", i, ", ", j, ") is ",
                                    given(i, j), ", the mean with the one across is ", symmetric(i, j)));
    Q_ = to_device(backend, symmetric);
    range_ = spectral_range(backend, structure_, weights());
    if (!(range_.low > Scalar(0)))
      throw DomainError(message(who, range_.lowest_seen > Scalar(0) ? ": Q is not shown to be" : ": Q is not",
                                " definite for images of every size: its eigenvalues are in [", range_.low,
                                ", ", range_.high, "], must be > 0"));
  }

  Index dim() const { return structure_.groups * Q_.rows(); }
  ConvolutionalBlocks structure() const { return structure_; }
  ConstView<B> weights() const { return Q_; }
  Scalar lambda_min() const { return range_.low; }
  Scalar lambda_max() const { return range_.high; }

  /// QV = Q V. V, QV: k x (sites images).
  void apply(typename B::Lane& lane, ConstView<B> V, View<B> QV) const {
    auto const frame = lane.frame();
    structure_.map(lane, structure_.prepare(lane, weights(), Op::none), V, formula::Store{}, QV);
  }

 private:
  ConvolutionalBlocks structure_;
  Matrix<B> Q_;  // kg x (taps k)
  SpectralRange<Scalar> range_;
};

}  // namespace detrame::inline DETRAME_ABI
