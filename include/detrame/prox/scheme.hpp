// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/tie.hpp"
#include "detrame/prox/updates.hpp"

namespace detrame::inline DETRAME_ABI {

/// The recursions that approximate prox^Q_psi(z), as policies: cheap values that hold their own numbers.
///
///   start(backend, Q, psi, N)   the updates of one run on N columns, an object with
///   advance(backend, U, V, active)   U <- the next iterate, given V = Q (U - Z), in the columns that are
///                                    active; V may be overwritten
///
/// Those of the form (20) offer tied_step(backend, Q) besides, from which `tie` makes W~, h and b: bounds
/// that come from kappa exist for them alone. Those that converge for every Q and psi say so, `converges`:
/// none of their samples is ever called cycling.
template <class R, class M, class P>
concept Scheme = Metric<M> && Penalty<P> && std::copyable<R> &&
                 requires(R const& scheme, typename M::Backend& b, M const& Q, P const& psi,
                          View<typename M::Backend> U, ConstView<typename M::Backend> active) {
                   scheme.start(b, Q, psi, Index{}).advance(b, U, U, active);
                 };

template <class R, class M>
concept TiedScheme = Metric<M> && requires(R const& scheme, typename M::Backend& b, M const& Q) {
  { scheme.tied_step(b, Q) } -> std::same_as<Step<typename M::Backend>>;
};

template <class R>
inline constexpr bool always_converges = requires { requires R::converges; };

/// The paper's: eq. (20) with eq. (24) corrected, gamma = 1 and Theta = diag Q. All rows at once.        (M7)
/// Diverges or cycles in general; converges from everywhere if 2 diag Q + beta I - Q is positive definite.
struct Jacobi {
  template <Metric M>
  auto tied_step(typename M::Backend& b, M const& Q) const {
    return coordinate_step(b, Q);
  }
  template <Metric M, Penalty P>
  auto start(typename M::Backend& b, M const& Q, P const& psi, Index) const {
    return detail::SimultaneousUpdates<P>(b, psi, tied_step(b, Q));
  }
};

/// Eq. (34) with Theta = diag Q and a step gamma of the caller; converges for gamma < safe_gamma.        (C6)
struct ForwardBackward {
  double gamma;

  template <Metric M>
  auto tied_step(typename M::Backend& b, M const& Q) const {
    if (!(gamma > 0)) throw DomainError(message("ForwardBackward: gamma = ", gamma, ", must be > 0"));
    return diagonal_step(b, Q, static_cast<typename M::Scalar>(gamma));
  }
  template <Metric M, Penalty P>
  auto start(typename M::Backend& b, M const& Q, P const& psi, Index) const {
    return detail::SimultaneousUpdates<P>(b, psi, tied_step(b, Q));
  }
};

/// Eq. (34) with gamma = 1 and Theta_i = sum_l |q_il|, which dominates Q: always converges, and needs no
/// eigenvalue.                                                                                           (C6)
struct Gershgorin {
  static constexpr bool converges = true;

  template <Metric M>
  auto tied_step(typename M::Backend& b, M const& Q) const {
    return gershgorin_step(b, Q);
  }
  template <Metric M, Penalty P>
  auto start(typename M::Backend& b, M const& Q, P const& psi, Index) const {
    return detail::SimultaneousUpdates<P>(b, psi, tied_step(b, Q));
  }
};

/// One row after the other, each solved exactly (Theorem 4.1 row by row): always converges. One update is one
/// sweep over all rows.                                                                                  (M4)
/// For metrics whose problems are columns: an image is not swept.
struct GaussSeidel {
  static constexpr bool converges = true;

  template <ColumnMetric M, Penalty P>
  auto start(typename M::Backend& b, M const& Q, P const& psi, Index) const {
    return detail::SequentialUpdates<M, P>(b, Q, psi);
  }
};

/// The accelerated step of Gershgorin, with the gradient at the extrapolated point.                      (C5)
///
///   y = U_t + (s_t - 1)/s_{t+1} (U_t - U_{t-1}),   s_1 = 1,   s_{t+1} = (1 + sqrt(1 + 4 s_t^2)) / 2
///   U_{t+1} = A(S^{-1} (Theta y - Q (y - Z)), b)
///
/// Always converges: F(U_T) - F* <= 2 |U*|_Theta^2 / (T + 1)^2. Beck and Teboulle, SIAM J. Imaging Sci. 2009.
struct Fista {
  static constexpr bool converges = true;

  template <Metric M, Penalty P>
  auto start(typename M::Backend& b, M const& Q, P const& psi, Index N) const {
    return detail::AcceleratedUpdates<P>(b, psi, gershgorin_step(b, Q), N);
  }
};

}  // namespace detrame::inline DETRAME_ABI
