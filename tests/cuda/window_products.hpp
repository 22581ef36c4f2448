// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "laws/convolution_laws.hpp"

namespace detrame::laws {

/// Random factors of the three products with a window, what these are in double,
/// and the sums of their terms' magnitudes.
template <class Scalar>
struct WindowProducts {
  HostMatrix<Scalar> W, U, P;
  HostMatrix<double> V, U_bar, W_bar, V_terms, U_terms, W_terms;

  explicit WindowProducts(WindowCase const& at)
      : W(normal_matrix<Scalar>(at.k, at.window.taps() * at.channels, seed(1))),
        U(normal_matrix<Scalar>(at.channels, at.images * at.window.sites(), seed(2))),
        P(normal_matrix<Scalar>(at.k, at.images * at.window.out_sites(), seed(3))),
        V(P.rows(), P.cols()),
        U_bar(U.rows(), U.cols()),
        W_bar(W.rows(), W.cols()),
        V_terms(V),
        U_terms(U_bar),
        W_terms(W_bar) {
    every_product(at, [&](Index o, Index q, Index place, Index c, Index site) {
      double const w = W(o, place), u = U(c, site), p = P(o, q);
      V(o, q) += w * u;
      V_terms(o, q) += std::abs(w * u);
      U_bar(c, site) += w * p;
      U_terms(c, site) += std::abs(w * p);
      W_bar(o, place) += p * u;
      W_terms(o, place) += std::abs(p * u);
    });
  }
};

}  // namespace detrame::laws
