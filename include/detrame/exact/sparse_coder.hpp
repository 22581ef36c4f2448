// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <utility>

#include "detrame/exact/encode.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"

namespace detrame::inline DETRAME_ABI {

namespace exact {

/// Copies of what all columns share, with room for them.
template <Backend B>
class KeptColumns {
 public:
  /// Nothing is written before all that may fail has been done: memory is there from the first time on.
  void keep(B& backend, SharedColumns<B> const& from) {
    SharedColumns<B, Matrix<B>>& to = kept_;
    for (auto const& [matrix, view] : pairs(from)) reserve(backend, to.*matrix, view.rows(), view.cols());
    reserve(backend, to.coarse, coarse_size<typename B::Team>(from.Q.rows(), from.Q.cols(), from.D.rows()),
            1);
    to.lambda_min = from.lambda_min;
    to.matrix = from.matrix;
    to.alpha = from.alpha;
    for (auto const& [matrix, view] : pairs(from))
      if (view.rows() > 0) each(backend.lane(), formula::Assign{}, View<B>(to.*matrix), view);
    form_coarsely<B>(backend, to.Q, to.D, to.d, to.beta, to.lambda, to.coarse);
  }

  /// lambda becomes one number.
  void weigh(B& backend, typename B::Scalar lambda) {
    auto const frame = backend.lane().frame();
    ConstView<B> const weights = constant<B>(backend.lane(), kept_.curvature.rows(), lambda);
    each_column(backend, 1, 0, TakeWeights{kept_.matrix}, ConstView<B>(kept_.curvature), weights,
                View<B>(kept_.beta), View<B>(kept_.lambda));
    weigh_coarse_form<B>(backend, kept_.Q, kept_.D, kept_.beta, kept_.lambda, kept_.coarse);
  }

  SharedColumns<B> views() const {
    auto const& k = kept_;
    return {.lambda_min = k.lambda_min,
            .curvature = k.curvature,
            .matrix = k.matrix,
            .alpha = k.alpha,
            .D = k.D,
            .d = k.d,
            .lengths = k.lengths,
            .Q = k.Q,
            .beta = k.beta,
            .lambda = k.lambda,
            .coarse = k.coarse};
  }

 private:
  using Member = Matrix<B> SharedColumns<B, Matrix<B>>::*;
  /// What is copied; the coarse form is formed in its place.
  static std::array<std::pair<Member, ConstView<B>>, 7> pairs(SharedColumns<B> const& from) {
    using To = SharedColumns<B, Matrix<B>>;
    return {{{&To::curvature, from.curvature},
             {&To::D, from.D},
             {&To::d, from.d},
             {&To::lengths, from.lengths},
             {&To::Q, from.Q},
             {&To::beta, from.beta},
             {&To::lambda, from.lambda}}};
  }

  SharedColumns<B, Matrix<B>> kept_;
};

/// Samples have a row for each row of D, m x k.
inline void require_samples(char const* who, Index m, Index k, Index rows) {
  if (rows != m) throw ShapeError(message(who, ": X has ", rows, " rows, D is ", m, " x ", k));
}

}  // namespace exact

/// A dictionary that is made ready once to code any number of samples: what exact_synthesis forms anew in
/// each call.                                                                                         (M1)
///
/// A value that owns its memory. Const in use: many backends, each on a thread of its own, may code with it
/// at a time; an update is for one.
///
/// Requires  as exact_synthesis. psi's only kink is 0 (Shrinkage).
/// Ensures   (1) encode gives the bits of exact_synthesis with the same D, alpha, d and penalty.
///           (2) an update allocates nothing once the scratch of its backend has grown; where it throws, the
///               coder is as it was.
/// Cost      m k^2 multiply-adds; (m + k + 5) k scalars, on a CPU as many floats. update: the same, once
///           more in scratch. update_lambda: k scalars.
/// Tested    tests/exact/sparse_coder_test.cpp
template <Backend B, class Activation>
class SparseCoder {
 public:
  using Backend = B;
  using Scalar = typename B::Scalar;

  /// With the paper's penalty, of synthesis.lambda and synthesis.beta.
  SparseCoder(B& backend, Synthesis<B> const& synthesis)
    requires std::same_as<Activation, formula::NonnegativeShrinkage>
      : SparseCoder(backend, synthesis, synthesis.penalty(backend)) {}

  template <Penalty Psi>
    requires std::same_as<typename Psi::Activation, Activation>
  SparseCoder(B& backend, Synthesis<B> const& synthesis, Psi const& psi) : activation_(psi.activation()) {
    synthesis.check("SparseCoder");
    exact::require_rows("SparseCoder", psi.dim(), synthesis.D.cols());
    form(backend, synthesis.D, synthesis.d, synthesis.alpha, psi.beta(), psi.lambda());
  }

  Index rows() const { return columns_.views().D.rows(); }  ///< m, of samples
  Index dim() const { return columns_.views().D.cols(); }   ///< k, of codes

  /// Other atoms, of the same shape, else ShapeError.
  void update(B& backend, Input<B> D) {
    ConstView<B> const atoms = D;
    require_shape("SparseCoder::update", "D", atoms, rows(), dim());
    exact::SharedColumns<B> const old = columns_.views();
    form(backend, atoms, old.d, old.lambda_min, old.curvature, old.lambda);
  }

  /// Another lambda, one for all entries; those that an infinite beta holds at 0 stay there. >= 0, else
  /// DomainError.
  void update_lambda(B& backend, Scalar lambda) {
    require_at_least("SparseCoder::update_lambda", "lambda", lambda, Scalar(0));
    columns_.weigh(backend, lambda);
  }

  /// What encode does; X: m x N.
  void encode(B& backend, Input<B> X, ExactResult<B>& result, ExactOptions options) const {
    ConstView<B> const x = X;
    exact::require_samples("encode", rows(), dim(), x.rows());
    exact::solve_synthesis(backend, "encode", activation_, columns_.views(), x, options, result);
  }

 private:
  /// alpha: also the modulus of Q.
  void form(B& backend, ConstView<B> D, ConstView<B> d, Scalar alpha, ConstView<B> beta,
            ConstView<B> lambda) {
    auto const frame = backend.lane().frame();
    columns_.keep(backend, exact::shared_by_synthesis<B>(backend, D, d, alpha, beta, lambda));
  }

  Activation activation_;
  exact::KeptColumns<B> columns_;
};

template <Backend B>
SparseCoder(B&, Synthesis<B> const&) -> SparseCoder<B, formula::NonnegativeShrinkage>;
template <Backend B, Penalty Psi>
SparseCoder(B&, Synthesis<B> const&, Psi const&) -> SparseCoder<B, typename Psi::Activation>;

/// The sparse codes of samples, by a dictionary that was made ready: bits as exact_synthesis.           (M1)
///
/// Shapes    X: m x N. The codes, result.u: k x N.
/// Requires  X of m rows, and a guess of the shape of the codes where one is used, else ShapeError;
///           pivot_limit >= 0, else DomainError.
/// Ensures   as exact_synthesis. A result that is used again is not allocated again.
/// Cost      as exact_synthesis, without the D^T D of a call.
/// Tested    tests/exact/sparse_coder_test.cpp
template <Backend B, class Activation>
void encode(B& backend, SparseCoder<B, Activation> const& coder, Input<B> X, ExactResult<B>& result,
            ExactOptions options = {}) {
  coder.encode(backend, std::move(X), result, options);
}

/// The same, as a value.
template <Backend B, class Activation>
ExactResult<B> encode(B& backend, SparseCoder<B, Activation> const& coder, Input<B> X,
                      ExactOptions options = {}) {
  ExactResult<B> result;
  coder.encode(backend, std::move(X), result, options);
  return result;
}

/// A metric and a penalty that are made ready once for any number of proximity operators: what exact_prox
/// forms anew in each call.                                                                            (M3)
///
/// A value that owns its memory, a copy of Q; const in use, as SparseCoder.
///
/// Requires  as exact_prox. psi's only kink is 0 (Shrinkage).
/// Ensures   exact_prox with it gives the bits of exact_prox with Q and psi.
/// Tested    tests/exact/sparse_coder_test.cpp
template <Backend B, class Activation>
class PreparedProx {
 public:
  using Backend = B;
  using Scalar = typename B::Scalar;

  template <ColumnMetric M, Penalty Psi>
    requires std::same_as<typename Psi::Activation, Activation>
  PreparedProx(B& backend, M const& Q, Psi const& psi) : activation_(psi.activation()) {
    ConstView<B> const weights = entries_of("PreparedProx", Q);
    if (psi.dim() != Q.dim())
      throw ShapeError(message("PreparedProx: psi has ", psi.dim(), " rows, Q has ", Q.dim()));
    auto const frame = backend.lane().frame();
    columns_.keep(backend,
                  exact::shared_by_metric<B>(backend, weights, Q.lambda_min(), psi.beta(), psi.lambda()));
  }

  Index dim() const { return columns_.views().Q.cols(); }

  /// Another lambda, one for all entries; those that an infinite beta holds at 0 stay there. >= 0, else
  /// DomainError.
  void update_lambda(B& backend, Scalar lambda) {
    require_at_least("PreparedProx::update_lambda", "lambda", lambda, Scalar(0));
    columns_.weigh(backend, lambda);
  }

  /// What exact_prox does; z: k x N.
  void prox(B& backend, Input<B> z, ExactResult<B>& result, ExactOptions options) const {
    ConstView<B> const Z = z;
    if (Z.rows() != dim())
      throw ShapeError(message("exact_prox: z has ", Z.rows(), " rows, Q is ", dim(), " x ", dim()));
    exact::solve_metric(backend, "exact_prox", activation_, columns_.views(), Z, options, result);
  }

 private:
  Activation activation_;
  exact::KeptColumns<B> columns_;
};

template <Backend B, ColumnMetric M, Penalty Psi>
PreparedProx(B&, M const&, Psi const&) -> PreparedProx<B, typename Psi::Activation>;

/// The exact proximity operator in a metric that was made ready: bits as exact_prox with Q and psi.     (M3)
///
/// Shapes    z, u: k x N, a column a sample.
/// Requires  z of k rows, and a guess of the shape of z where one is used, else ShapeError; pivot_limit >= 0,
///           else DomainError.
/// Ensures   as exact_prox. A result that is used again is not allocated again.
/// Tested    tests/exact/sparse_coder_test.cpp
template <Backend B, class Activation>
void exact_prox(B& backend, PreparedProx<B, Activation> const& prepared, Input<B> z, ExactResult<B>& result,
                ExactOptions options = {}) {
  prepared.prox(backend, std::move(z), result, options);
}

/// The same, as a value.
template <Backend B, class Activation>
ExactResult<B> exact_prox(B& backend, PreparedProx<B, Activation> const& prepared, Input<B> z,
                          ExactOptions options = {}) {
  ExactResult<B> result;
  prepared.prox(backend, std::move(z), result, options);
  return result;
}

}  // namespace detrame::inline DETRAME_ABI
