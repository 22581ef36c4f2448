// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/concept.hpp"

/// Calls whose first arguments cannot be meant, as overloads that say so: without them a compiler lists each
/// overload that does not fit, with the reasons, and the reader is to guess which was meant.
namespace detrame::inline DETRAME_ABI::detail {

/// The backend was forgotten.
template <class B>
concept NoBackend = !Backend<B>;

/// That, or a metric of another backend, or no penalty behind a metric.
template <class B, class M, class P>
concept Misused = NoBackend<B> || (Metric<M> && !(MetricOn<M, B> && Penalty<P>));

/// What such an overload returns: deduced, so that the sentence comes before what else is wrong.
template <class B, class M = void, class P = void>
auto explain() {
  if constexpr (NoBackend<B>)
    static_assert(never<B>,
                  "the first argument is the backend that computes, such as a Cpu<double>, as in "
                  "metric_prox(cpu, Q, psi, z, ...)");
  else if constexpr (!MetricOn<M, B>)
    static_assert(never<M>,
                  "the metric was made for another backend, or another scalar, than the first argument");
  else if constexpr (requires { typename P::Activation; })
    static_assert(Penalty<P>, "psi is not yet a Penalty (metric/concept.hpp)");
  else
    static_assert(
        never<P>,
        "the argument behind the metric is psi, a type that models Penalty (metric/concept.hpp), such "
        "as NonnegativeElasticNet: a function does not say enough");
  return 0;
}

}  // namespace detrame::inline DETRAME_ABI::detail
