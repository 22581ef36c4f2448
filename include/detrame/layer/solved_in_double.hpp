// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/backend/in_double.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/layer/dictionary.hpp"

/// What layers that solve their problem exactly do about codes without a certificate.
namespace detrame::detail {

/// The columns whose code has neither a certificate nor NaN, which goes through as in every layer.
template <Backend B>
std::vector<Index> failed_columns(B& backend, ExactResult<B> const& code) {
  std::vector<Index> failed;
  if (code.status == ExactStatus::optimal) return failed;
  auto const status = to_host(backend, ConstView<B>(code.column_status));
  for (Index j = 0; j < status.cols(); ++j)
    if (auto const s = static_cast<ExactStatus>(static_cast<int>(status(0, j)));
        s != ExactStatus::optimal && s != ExactStatus::not_finite)
      failed.push_back(j);
  return failed;
}

template <Backend B>
[[noreturn]] void not_certified(B& backend, char const* who, ExactResult<B> const& code, Index j) {
  auto const status = to_host(backend, ConstView<B>(code.column_status).middle_cols(j, 1));
  auto const residual = to_host(backend, ConstView<B>(code.residual).middle_cols(j, 1));
  throw NotCertified(message(who, ": the exact solver ended with ",
                             name(static_cast<ExactStatus>(static_cast<int>(status(0, 0)))), ", residual ",
                             residual(0, 0), " of its terms"));
}

/// Columns of a batch whose code its scalar could not certify, and their problem, solved in double. Entered
/// only for them.
template <Backend B>
class SolvedInDouble {
  using Scalar = typename B::Scalar;
  using Wide = std::conditional_t<std::is_same_v<Scalar, double>, B, typename InDouble<B>::Backend>;

 public:
  std::vector<Index> const& columns() const { return columns_; }

  /// Writes the codes of `failed` columns over those of code.u.
  /// NotCertified where double cannot do it either.
  void solve(B& backend, char const* who, Synthesis<B> const& synthesis, ConstView<B> x, ExactResult<B>& code,
             std::vector<Index> failed) {
    columns_ = std::move(failed);
    if (columns_.empty()) return;
    if constexpr (std::is_same_v<Scalar, double>) {
      not_certified(backend, who, code, columns_.front());
    } else {
      D_ = converted<double>(to_host(backend, ConstView<B>(synthesis.D)));
      d_ = converted<double>(to_host(backend, ConstView<B>(synthesis.d)));
      alpha_ = static_cast<double>(synthesis.alpha);
      beta_ = static_cast<double>(synthesis.beta);
      lambda_ = static_cast<double>(synthesis.lambda);
      x_ = gathered(backend, x);
      Wide wide;
      auto const again = exact_synthesis(wide, problem(wide), to_device(wide, x_));
      auto const status = to_host(wide, ConstView<Wide>(again.column_status));
      for (Index n = 0; n < status.cols(); ++n)
        if (status(0, n) != 0) not_certified(wide, who, again, n);
      u_ = to_host(wide, ConstView<Wide>(again.u));
      scatter(backend, u_, code.u);
    }
  }

  /// The adjoint of those columns: added to theta_bar, written over their X_bar.
  void pull_back(B& backend, ConstView<B> u_bar, DictionaryParameters<B>& theta_bar, View<B> X_bar) const {
    if constexpr (!std::is_same_v<Scalar, double>) {
      Wide wide;
      auto const bar = exact_synthesis_pullback(wide, problem(wide), to_device(wide, x_), to_device(wide, u_),
                                                to_device(wide, gathered(backend, u_bar)));
      add_cotangent(backend, theta_bar, bar, [&](Matrix<Wide> const& from) {
        return to_device(backend, converted<Scalar>(to_host(wide, ConstView<Wide>(from))));
      });
      scatter(backend, to_host(wide, ConstView<Wide>(bar.X_bar)), X_bar);
    }
  }

 private:
  template <class To, class From>
  static HostMatrix<To> converted(HostMatrix<From> const& A) {
    return host_matrix<To>(A.rows(), A.cols(), [&](Index i, Index j) { return static_cast<To>(A(i, j)); });
  }
  Synthesis<Wide> problem(Wide& wide) const {
    return {to_device(wide, D_), alpha_, beta_, lambda_, to_device(wide, d_)};
  }
  HostMatrix<double> gathered(B& backend, ConstView<B> A) const {
    Matrix<B> some;
    resize(backend, some, A.rows(), static_cast<Index>(columns_.size()));
    gather_columns(backend.lane(), A, columns_, View<B>(some));
    return converted<double>(to_host(backend, ConstView<B>(some)));
  }
  void scatter(B& backend, HostMatrix<double> const& from, View<B> to) const {
    for (Index n = 0; n < from.cols(); ++n) {
      auto const column = host_matrix<Scalar>(
          from.rows(), 1, [&](Index i, Index) { return static_cast<Scalar>(from(i, n)); });
      each(backend.lane(), formula::Assign(), to.middle_cols(columns_[static_cast<std::size_t>(n)], 1),
           to_device(backend, column));
    }
  }

  std::vector<Index> columns_;
  HostMatrix<double> D_{}, d_{}, x_{}, u_{};
  double alpha_ = 0, beta_ = 0, lambda_ = 0;
};

}  // namespace detrame::detail
