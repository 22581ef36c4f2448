// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <vector>

#include "detrame/backend/in_double.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/layer/dictionary.hpp"
#include "detrame/metric/convolutional_synthesis.hpp"
#include "detrame/metric/synthesis.hpp"

/// What layers that solve their problem exactly do about codes without a certificate.
namespace detrame::inline DETRAME_ABI::detail {

/// The columns, or images, whose code has neither a certificate nor NaN, which goes through as in every
/// layer.
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

/// A matrix of B in double, in the memory of Wide.
template <Backend Wide, Backend B>
Matrix<Wide> in_double(Wide& wide, B& backend, ConstView<B> A) {
  return to_device(wide, doubles_of(backend, A));
}

/// The data of a problem, a column each or an image each, in double.
template <Backend Wide, Backend B>
Synthesis<Wide> in_double(Wide& wide, B& backend, Synthesis<B> const& p) {
  return {in_double(wide, backend, ConstView<B>(p.D)), static_cast<double>(p.alpha),
          static_cast<double>(p.beta), static_cast<double>(p.lambda),
          in_double(wide, backend, ConstView<B>(p.d))};
}
template <Backend Wide, Backend B>
ConvolutionalSynthesis<Wide> in_double(Wide& wide, B& backend, ConvolutionalSynthesis<B> const& p) {
  return {p.window,
          in_double(wide, backend, ConstView<B>(p.D)),
          static_cast<double>(p.alpha),
          static_cast<double>(p.beta),
          static_cast<double>(p.lambda),
          in_double(wide, backend, ConstView<B>(p.d))};
}

/// Columns of a batch, or images where the dictionary is a convolution, whose code its scalar could not
/// certify, solved in double. Work is done only for them.
template <Backend B>
class SolvedInDouble {
  using Scalar = typename B::Scalar;
  static constexpr bool is_widest = std::is_same_v<Scalar, double>;
  using Wide = std::conditional_t<is_widest, B, typename InDouble<B>::Backend>;

 public:
  /// Their numbers in the batch, of columns or of images.
  std::vector<Index> const& columns() const { return columns_; }

  /// Writes their codes over those of code.u. NotCertified where double cannot do it either.
  template <class Problem>
  void solve(B& backend, char const* who, Problem const& synthesis, ConstView<B> x, ExactResult<B>& code) {
    columns_ = failed_columns(backend, code);
    if (columns_.empty()) return;
    problems_ = code.column_status.cols();
    if constexpr (is_widest) {
      not_certified(backend, who, code, columns_.front());
    } else {
      Wide wide;
      auto const again =
          exact_synthesis(wide, in_double(wide, backend, synthesis), gathered(wide, backend, x));
      auto const status = to_host(wide, ConstView<Wide>(again.column_status));
      for (Index n = 0; n < status.cols(); ++n)
        if (status(0, n) != 0) not_certified(wide, who, again, n);
      u_ = to_host(wide, ConstView<Wide>(again.u));
      scatter(backend, u_, code.u);
    }
  }

  /// The adjoint of the whole batch, for the problem and the x of `solve`: adds to theta_bar, assigns
  /// bar.X_bar.
  /// others(u, bar) is the layer's own adjoint at codes u, in its scalar.
  template <class Problem, class Others>
  void pull_back(B& backend, Problem const& synthesis, ConstView<B> x, ConstView<B> u, ConstView<B> u_bar,
                 DictionaryParameters<B>& theta_bar, SynthesisCotangent<B>& bar, Others const& others) const {
    if (columns_.empty()) {
      others(u, bar);
      add_cotangent(backend, theta_bar, bar);
    } else if constexpr (!is_widest) {
      others(rest(backend, u), bar);
      add_cotangent(backend, theta_bar, bar);
      Wide wide;
      SynthesisCotangent<Wide> again;
      exact_synthesis_pullback(wide, in_double(wide, backend, synthesis), gathered(wide, backend, x),
                               to_device(wide, u_), gathered(wide, backend, u_bar), again);
      add_cotangent(backend, theta_bar, again, [&](Matrix<Wide> const& from) {
        return narrowed(backend, to_host(wide, ConstView<Wide>(from)));
      });
      scatter(backend, to_host(wide, ConstView<Wide>(again.X_bar)), bar.X_bar);
    }
  }

  /// X_bar alone, written to x_bar; others(u) writes the layer's own.
  template <class Problem, class Others>
  void pull_back(B& backend, Problem const& synthesis, ConstView<B> x, ConstView<B> u, ConstView<B> u_bar,
                 View<B> x_bar, Others const& others) const {
    if (columns_.empty()) {
      others(u);
    } else if constexpr (!is_widest) {
      others(rest(backend, u));
      Wide wide;
      auto const x_wide = gathered(wide, backend, x);
      auto again = x_wide;
      exact_synthesis_pullback<Wide>(wide, in_double(wide, backend, synthesis), x_wide, to_device(wide, u_),
                                     gathered(wide, backend, u_bar), again);
      scatter(backend, to_host(wide, ConstView<Wide>(again)), x_bar);
    }
  }

 private:
  /// The codes of all others: an empty support has no cotangent.
  Matrix<B> rest(B& backend, ConstView<B> u) const {
    Matrix<B> codes;
    resize(backend, codes, u.rows(), u.cols());
    each(backend.lane(), formula::Assign(), View<B>(codes), u);
    for (Index const j : columns_) each(backend.lane(), formula::Fill<Scalar>{0}, block(View<B>(codes), j));
    return codes;
  }
  static Matrix<B> narrowed(B& backend, HostMatrix<double> const& A) {
    return to_device(backend, host_matrix<Scalar>(A.rows(), A.cols(), [&](Index i, Index j) {
                       return static_cast<Scalar>(A(i, j));
                     }));
  }
  /// The columns of the j-th problem in a matrix of the batch: one, or an image's sites.
  template <class V>
  V block(V A, Index j) const {
    Index const width = A.cols() / problems_;
    return A.middle_cols(j * width, width);
  }
  Matrix<Wide> gathered(Wide& wide, B& backend, ConstView<B> A) const {
    Index const width = A.cols() / problems_;
    std::vector<Index> from;
    for (Index const j : columns_)
      for (Index s = 0; s < width; ++s) from.push_back(j * width + s);
    Matrix<B> some;
    resize(backend, some, A.rows(), static_cast<Index>(from.size()));
    gather_columns(backend.lane(), A, from, View<B>(some));
    return in_double(wide, backend, ConstView<B>(some));
  }
  void scatter(B& backend, HostMatrix<double> const& from, View<B> to) const {
    Matrix<B> const some = narrowed(backend, from);
    Index const width = to.cols() / problems_;
    for (std::size_t n = 0; n < columns_.size(); ++n)
      each(backend.lane(), formula::Assign(), block(to, columns_[n]),
           ConstView<B>(some).middle_cols(static_cast<Index>(n) * width, width));
  }

  std::vector<Index> columns_;
  Index problems_ = 0;  // in the batch
  HostMatrix<double> u_{};
};

}  // namespace detrame::inline DETRAME_ABI::detail
