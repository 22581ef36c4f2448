// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/untie.hpp"
#include "detrame/operator/spectrum.hpp"

namespace detrame::inline DETRAME_ABI {

/// `untie` of a convolution: a kernel of a metric of images, a penalty with a number a channel.     (F2) (K2)
///
///   s_o w[o, i, delta] = s_i w[i, o, -delta],  s > 0
///   Q[o, i, delta] = s_o (h_o 1[o = i, delta = 0] - w[o, i, delta])
///   beta_o = s_o (1 - h_o) >= 0
///   lambda_o = s_o b_o >= 0
///
/// with Q >= 0 and Q + diag(beta) > 0 for images of every size, as spectral_range of their symbols shows.
///
/// Requires  as untie.
/// Ensures   (1) is_prox only if such s, Q, lambda and beta exist, up to the tolerance; and if they do,
///               unless the symbol of Q or of Q + diag(beta) comes so near to its threshold that
///               spectral_range does not show it.
///           (2) untie(tie(Q, psi, step)) gives back Q, lambda and beta up to the components' factors.
/// Cost      spectral_range, twice.
/// Source    docs/maths.md (F2), (K3). No nearest tied kernel is given: a projection of its symbol is no
///           window's.
/// Tested    tests/metric/untie_test.cpp
template <Backend B, class Arithmetic>
UntieFindings<typename B::Scalar> untie(B& backend,
                                        Recurrence<B, ConvolutionalBlocksBy<Arithmetic>> const& recurrence,
                                        typename B::Scalar tolerance) {
  using Scalar = typename B::Scalar;
  auto const& structure = recurrence.structure;
  recurrence.check("untie");
  Index const k = recurrence.dim(), taps = structure.taps();
  require_at_least("untie", "k", k, Index{1});
  auto const W = to_host(backend, ConstView<B>(recurrence.W_tilde));  // kg x (taps k)
  auto const h = to_host(backend, ConstView<B>(recurrence.h)),
             b = to_host(backend, ConstView<B>(recurrence.b));
  detail::require_finite("W_tilde", W);
  detail::require_finite("h", h);
  detail::require_finite("b", b);
  Index const kg = W.rows();
  auto const place = [&](Index i, Index tap) { return (i / kg * taps + tap) * kg + i % kg; };
  auto const w = [&](Index o, Index i, Index tap) -> double {
    return static_cast<double>(W(o % kg, place(i, tap)));
  };

  HostMatrix<double> couplings(k, k);  // the sums of |w| over the taps, but w[o, o, 0] itself
  for (Index i = 0; i < k; ++i)
    for (Index o = i / kg * kg; o < (i / kg + 1) * kg; ++o)
      for (Index tap = 0; tap < taps; ++tap)
        if (o != i)
          couplings(o, i) += std::abs(w(o, i, tap));
        else if (tap == taps / 2)
          couplings(o, i) = w(o, i, tap);
  UntieFindings<Scalar> out;
  std::string wrong;
  Symmetriser by = symmetriser(couplings, static_cast<double>(tolerance));
  detail::take_rows(out, by, h, b, wrong);
  auto const s = [&](Index o) { return by.s[static_cast<std::size_t>(o)]; };
  auto const self = [&](Index o) { return s(o) * (1 - w(o, o, taps / 2)); };  // of Q + diag(beta)

  double asymmetry = 0;
  Index row = 0, col = 0;
  HostMatrix<double> Q(kg, W.cols());
  for (Index i = 0; i < k; ++i)
    for (Index o = i / kg * kg; o < (i / kg + 1) * kg; ++o)
      for (Index tap = 0; tap < taps; ++tap) {
        double const upper = s(o) * w(o, i, tap), lower = s(i) * w(i, o, taps - 1 - tap);
        double const size =
            std::max({std::sqrt(std::abs(self(o) * self(i))), std::abs(upper), std::abs(lower)});
        if (size > 0 && std::abs(upper - lower) / size > asymmetry) {
          asymmetry = std::abs(upper - lower) / size;
          row = o % kg, col = place(i, tap);
        }
        Q(o % kg, place(i, tap)) =
            (o == i && tap == taps / 2 ? s(o) * static_cast<double>(h(o, 0)) : 0.) - (upper + lower) / 2;
      }
  out.asymmetry = static_cast<Scalar>(asymmetry);
  out.symmetrisable = out.asymmetry <= tolerance;
  if (!out.symmetrisable)
    wrong += message("; W_tilde is not symmetrisable: its entry (", row, ", ", col, ") differs by ",
                     asymmetry, " from the one across, relative to what it can be");

  HostMatrix<double> sum = Q;  // Q + diag(beta)
  std::vector<double> scale;
  for (Index o = 0; o < k; ++o) {
    sum(o % kg, place(o, taps / 2)) = self(o);
    scale.push_back(1 / std::sqrt(self(o) > 0 ? self(o) : s(o)));
  }
  auto const lowest = [&](HostMatrix<double> const& A, double level) {
    auto const rounded = host_matrix<Scalar>(A.rows(), A.cols(),
                                             [&](Index i, Index j) { return static_cast<Scalar>(A(i, j)); });
    return spectral_range(backend, structure, ConstView<B>(to_device(backend, rounded)), scale, level).low;
  };
  out.Q = host_matrix<Scalar>(kg, Q.cols(), [&](Index i, Index j) { return static_cast<Scalar>(Q(i, j)); });
  out.smallest_of_Q = lowest(Q, -static_cast<double>(tolerance));
  out.smallest_of_sum = lowest(sum, static_cast<double>(tolerance));
  out.psd = out.smallest_of_Q >= -tolerance;
  out.definite = out.smallest_of_sum > tolerance;
  if (!out.psd)
    wrong += message(
        "; Q is not shown to be positive semi-definite for images of every size: its smallest "
        "eigenvalue is at least ",
        out.smallest_of_Q, " where Q + diag(beta) has unit diagonal");
  if (!out.definite)
    wrong += message(
        "; Q + diag(beta) is not shown to be definite for images of every size: its smallest "
        "eigenvalue is at least ",
        out.smallest_of_sum, " at unit diagonal");
  detail::conclude(out, wrong, tolerance);
  return out;
}

/// With the tolerance 8 taps k eps.
template <Backend B, class Arithmetic>
UntieFindings<typename B::Scalar> untie(B& backend,
                                        Recurrence<B, ConvolutionalBlocksBy<Arithmetic>> const& recurrence) {
  using Scalar = typename B::Scalar;
  return untie(backend, recurrence,
               Scalar(8) * static_cast<Scalar>(recurrence.structure.taps() * recurrence.dim()) *
                   std::numeric_limits<Scalar>::epsilon());
}

}  // namespace detrame::inline DETRAME_ABI
