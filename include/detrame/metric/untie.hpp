// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "detrame/metric/nearest_tied.hpp"

namespace detrame::inline DETRAME_ABI {

/// What `untie` found. Q, lambda_i, beta_i and s are defined up to one positive factor for each component.
/// Where the parameters are not a prox, they are what the formulas give, with Q the symmetric part.
template <class Scalar>
struct UntieFindings {
  bool is_prox = false;         ///< all of the five below
  bool h_in_range = false;      ///< 0 <= h <= 1
  bool b_in_range = false;      ///< b >= 0
  bool symmetrisable = false;   ///< s_i w_il = s_l w_li, up to the tolerance
  bool psd = false;             ///< Q >= 0, up to the tolerance
  bool definite = false;        ///< Q + diag(beta) > 0, beyond the tolerance
  bool scalar_penalty = false;  ///< is_prox, and one lambda and one beta serve all rows

  Index components = 0;          ///< of the graph of W~
  std::vector<Index> component;  ///< which one a row belongs to
  HostMatrix<Scalar> s;          ///< k x 1
  HostMatrix<Scalar> Q;          ///< k x k; of a convolution a kernel, kg x (taps k)
  HostMatrix<Scalar> lambda_i;   ///< k x 1
  HostMatrix<Scalar> beta_i;     ///< k x 1
  Scalar asymmetry = 0;          ///< largest |s_i w_il - s_l w_li|, relative to what the entry can be
  Scalar smallest_of_Q = 0;      ///< smallest eigenvalue of Q where Q + diag(beta) has unit diagonal
  Scalar smallest_of_sum = 0;    ///< smallest eigenvalue of Q + diag(beta) where it has unit diagonal
  Scalar lambda_spread = 0;      ///< (max - min) / max of lambda_i, 0 where all are 0
  Scalar beta_spread = 0;        ///< the same of beta_i
  std::string explanation;       ///< all of that in words
};

template <Backend B>
struct UntieReport : UntieFindings<typename B::Scalar> {
  Recurrence<B> nearest;  ///< the parameters themselves where they are a prox, else nearest_tied
};

namespace detail {

/// (max - min) / max of nonnegative entries.
template <class Scalar>
Scalar spread(HostMatrix<Scalar> const& v) {
  Scalar low = v(0, 0), high = v(0, 0);
  for (Index i = 0; i < v.rows(); ++i) {
    low = std::min(low, v(i, 0));
    high = std::max(high, v(i, 0));
  }
  return high > Scalar(0) ? (high - low) / high : Scalar(0);
}

/// Whether v is constant up to tolerance times v_i + unit_i.
/// A beta_i = s_i (1 - h_i) is known to eps s_i only.
template <class Scalar>
bool constant(HostMatrix<Scalar> const& v, HostMatrix<Scalar> const& unit, Scalar tolerance) {
  Scalar mean(0);
  for (Index i = 0; i < v.rows(); ++i) mean += v(i, 0) / static_cast<Scalar>(v.rows());
  for (Index i = 0; i < v.rows(); ++i)
    if (!(std::abs(v(i, 0) - mean) <= tolerance * (mean + unit(i, 0)))) return false;
  return true;
}

/// The free factor of each component, so that its mean of `terms` is that of all; false, and s is as it was,
/// where some component's mean is not positive.
inline bool equalise(Symmetriser& by, std::vector<double> const& term) {
  std::vector<double> sum(static_cast<std::size_t>(by.components), 0.0), count = sum;
  for (std::size_t i = 0; i < term.size(); ++i) {
    sum[static_cast<std::size_t>(by.component[i])] += by.s[i] * term[i];
    count[static_cast<std::size_t>(by.component[i])] += 1;
  }
  for (double const total : sum)
    if (!(total > 0)) return false;
  for (std::size_t i = 0; i < term.size(); ++i) {
    std::size_t const c = static_cast<std::size_t>(by.component[i]);
    by.s[i] *= count[c] / sum[c];
  }
  double mean = 0;
  for (double const s : by.s) mean += s / static_cast<double>(by.s.size());
  for (double& s : by.s) s /= mean;
  return true;
}

template <class Scalar>
void require_finite(char const* what, HostMatrix<Scalar> const& A) {
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = 0; i < A.rows(); ++i)
      if (!std::isfinite(A(i, j)))
        throw DomainError(message("untie: ", what, " has an entry ", A(i, j), ", must be finite"));
}

/// The smallest eigenvalue of A scaled by root on both sides. A: k x k.
template <Backend B>
typename B::Scalar smallest_eigenvalue(B& backend, HostMatrix<double> const& A,
                                       std::vector<double> const& root) {
  using Scalar = typename B::Scalar;
  auto const scaled = to_device(backend, host_matrix<Scalar>(A.rows(), A.cols(), [&](Index i, Index l) {
                                  return static_cast<Scalar>(A(i, l) / root[static_cast<std::size_t>(i)] /
                                                             root[static_cast<std::size_t>(l)]);
                                }));
  return symmetric_eigenvalues(backend, scaled).front();
}

/// The first row whose entry is outside [low, high], as a clause of the explanation.
template <class Scalar>
bool in_range(HostMatrix<Scalar> const& v, Scalar low, Scalar high, char const* name, char const* range,
              std::string& wrong) {
  for (Index i = 0; i < v.rows(); ++i)
    if (!(v(i, 0) >= low && v(i, 0) <= high)) {
      wrong += message("; ", name, "(", i, ") = ", v(i, 0), ", must be ", range);
      return false;
    }
  return true;
}

/// What is left when s, Q, lambda_i and beta_i are found: spreads, verdict, and the explanation, whose
/// clauses so far are `wrong`.
template <class Scalar>
void conclude(UntieFindings<Scalar>& out, std::string const& wrong, Scalar tolerance) {
  out.lambda_spread = spread(out.lambda_i);
  out.beta_spread = spread(out.beta_i);
  out.is_prox = out.h_in_range && out.b_in_range && out.symmetrisable && out.psd && out.definite;
  out.scalar_penalty = out.is_prox &&
                       constant(out.lambda_i, HostMatrix<Scalar>(out.lambda_i.rows(), 1), tolerance) &&
                       constant(out.beta_i, out.s, tolerance);
  if (!out.is_prox)
    out.explanation = "not a prox: " + wrong.substr(2);
  else if (out.scalar_penalty)
    out.explanation =
        message("a prox, in ", out.components, " component(s), with one lambda and one beta for all rows");
  else
    out.explanation =
        message("a prox, in ", out.components, " component(s), with penalties by row: lambda spreads by ",
                out.lambda_spread, ", beta by ", out.beta_spread);
}

/// What h, b and a scaling give, whatever W~ is: ranges, the factors of the components, s, lambda_i and
/// beta_i. Throws where s is out of range.
template <class Scalar>
void take_rows(UntieFindings<Scalar>& out, Symmetriser& by, HostMatrix<Scalar> const& h,
               HostMatrix<Scalar> const& b, std::string& wrong) {
  Index const k = h.rows();
  out.h_in_range = in_range(h, Scalar(0), Scalar(1), "h", "in [0, 1]", wrong);
  out.b_in_range = in_range(b, Scalar(0), std::numeric_limits<Scalar>::max(), "b", ">= 0", wrong);
  for (std::size_t i = 0; i < by.s.size(); ++i)
    if (!(by.s[i] > 0) || !std::isfinite(by.s[i]))
      throw DomainError(
          message("untie: the scaling s(", i, ") = ", by.s[i], " that symmetrises W_tilde is out of range"));
  std::vector<double> slack, threshold;  // 1 - h and b
  for (Index i = 0; i < k; ++i) {
    slack.push_back(1 - static_cast<double>(h(i, 0)));
    threshold.push_back(static_cast<double>(b(i, 0)));
  }
  if (!equalise(by, threshold)) equalise(by, slack);
  out.components = by.components;
  out.component = by.component;
  auto const per_row = [&](auto f) {
    return host_matrix<Scalar>(
        k, 1, [&](Index i, Index) { return static_cast<Scalar>(f(static_cast<std::size_t>(i))); });
  };
  out.s = per_row([&](std::size_t i) { return by.s[i]; });
  out.lambda_i = per_row([&](std::size_t i) { return by.s[i] * threshold[i]; });
  out.beta_i = per_row([&](std::size_t i) { return by.s[i] * slack[i]; });
}

}  // namespace detail

/// The metric and the penalty whose proximity operator the fixed points of a recursion are, or a report of
/// why there is none.                                                                                    (F2)
///
///   s_i w_il = s_l w_li,  s > 0              Q = diag(s) (diag(h) - W~) >= 0,   Q + diag(beta) > 0
///   beta_i = s_i (1 - h_i) >= 0              lambda_i = s_i b_i >= 0
///
/// gamma and Theta are absorbed in s, so any diagonal of W~ will do. The factor of s that is free in each
/// component is chosen so that the components' mean lambda_i agree, else their mean beta_i, else their mean
/// s_i; over all rows the mean of s is then 1.
///
/// Requires  shapes that fit, else ShapeError; finite parameters, k >= 1 and an s within the range of double,
///           else DomainError.
/// Ensures   (1) is_prox if and only if such s, Q, lambda_i and beta_i exist, up to the tolerance: relative
///               to what an entry can be for the symmetry, at unit diagonal of Q + diag(beta) for
///               eigenvalues.
///           (2) untie(tie(Q, psi, step)) gives back Q, lambda and beta up to the components' factors.
///           (3) scalar_penalty if and only if is_prox and some choice of the factors makes lambda_i and
///               beta_i constant, up to the tolerance.
/// Cost      about 8/3 k^3 flops for eigenvalues, and nearest_tied where it is no prox; on the host.
/// Source    docs/maths.md (F2)
/// Tested    tests/metric/untie_test.cpp
template <Backend B>
UntieReport<B> untie(B& backend, Recurrence<B> const& recurrence, typename B::Scalar tolerance) {
  using Scalar = typename B::Scalar;
  recurrence.check("untie");
  Index const k = recurrence.dim();
  require_at_least("untie", "k", k, Index{1});
  auto const W = recurrence.structure.dense(backend, recurrence.W_tilde);             // k x k
  auto const h = to_host(backend, recurrence.h), b = to_host(backend, recurrence.b);  // k x 1
  detail::require_finite("W_tilde", W);
  detail::require_finite("h", h);
  detail::require_finite("b", b);
  HostMatrix<double> const W_tilde =
      host_matrix<double>(k, k, [&](Index i, Index l) -> double { return W(i, l); });

  UntieReport<B> out;
  std::string wrong;
  Symmetriser by = symmetriser(W_tilde, static_cast<double>(tolerance));
  detail::take_rows(out, by, h, b, wrong);
  out.asymmetry = static_cast<Scalar>(by.asymmetry);
  out.symmetrisable = out.asymmetry <= tolerance;
  auto const s = [&](Index i) { return by.s[static_cast<std::size_t>(i)]; };
  if (!out.symmetrisable)
    wrong +=
        message("; W_tilde is not symmetrisable: s_i W_tilde(i, l) = ", s(by.row) * W_tilde(by.row, by.col),
                " and s_l W_tilde(l, i) = ", s(by.col) * W_tilde(by.col, by.row), " at i = ", by.row,
                ", l = ", by.col);

  HostMatrix<double> const Q = host_matrix<double>(k, k, [&](Index i, Index l) {
    return i == l ? s(i) * (h(i, 0) - W_tilde(i, i)) : -(s(i) * W_tilde(i, l) + s(l) * W_tilde(l, i)) / 2;
  });
  HostMatrix<double> sum = Q;  // k x k, Q + diag(beta)
  std::vector<double> root;
  for (Index i = 0; i < k; ++i) {
    sum(i, i) = s(i) * (1 - W_tilde(i, i));
    root.push_back(sum(i, i) > 0 ? std::sqrt(sum(i, i)) : std::sqrt(s(i)));
  }
  out.Q = host_matrix<Scalar>(k, k, [&](Index i, Index l) { return static_cast<Scalar>(Q(i, l)); });
  out.smallest_of_Q = detail::smallest_eigenvalue(backend, Q, root);
  out.smallest_of_sum = detail::smallest_eigenvalue(backend, sum, root);
  out.psd = out.smallest_of_Q >= -tolerance;
  out.definite = out.smallest_of_sum > tolerance;
  if (!out.psd)
    wrong += message("; Q is not positive semi-definite: its smallest eigenvalue is ", out.smallest_of_Q,
                     " where Q + diag(beta) has unit diagonal");
  if (!out.definite)
    wrong += message("; Q + diag(beta) is not definite: its smallest eigenvalue is ", out.smallest_of_sum,
                     " at unit diagonal");

  detail::conclude(out, wrong, tolerance);
  out.nearest =
      out.is_prox ? recurrence : nearest_tied(backend, recurrence, by, static_cast<double>(tolerance));
  return out;
}

/// With the tolerance 8 k eps, the rounding of k steps along the graph of W~.
template <Backend B>
UntieReport<B> untie(B& backend, Recurrence<B> const& recurrence) {
  using Scalar = typename B::Scalar;
  return untie(backend, recurrence,
               Scalar(8) * static_cast<Scalar>(recurrence.dim()) * std::numeric_limits<Scalar>::epsilon());
}

}  // namespace detrame::inline DETRAME_ABI
