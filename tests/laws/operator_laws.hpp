// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/operator/concept.hpp"
#include "support.hpp"

/// The laws of a Structure: each takes any model, at k rows and N columns, on any backend. They hold up to
/// `rounding` times the rounding of a sum.
namespace detrame::laws {

using namespace detrame::test;

/// Weights, and a batch or two of the right shapes, on the host and on the backend.
template <Backend B, StructureOn<B> S>
struct Operands {
  using Scalar = typename B::Scalar;

  Operands(B& backend, S const& s, Index k, Index N)
      : W(normal_matrix<Scalar>(s.weight_rows(k), s.weight_cols(k), seed(1))),  // the structure's shape
        U(normal_matrix<Scalar>(k, N, seed(2))),                                // k x N
        P(normal_matrix<Scalar>(k, N, seed(3))),                                // k x N
        W_b(to_device(backend, W)),
        U_b(to_device(backend, U)),
        P_b(to_device(backend, P)),
        dense(s.dense(backend, W_b)) {}  // (k sites) x (k sites)

  /// A batch as a matrix with a column a sample, which W~ multiplies; and back.
  HostMatrix<Scalar> as_samples(S const& s, HostMatrix<Scalar> const& V) const {
    return reshaped(V, V.rows() * s.unit(), V.cols() / s.unit());
  }
  HostMatrix<Scalar> times(S const& s, HostMatrix<Scalar> const& M, HostMatrix<Scalar> const& V) const {
    return reshaped(product(M, as_samples(s, V)), V.rows(), V.cols());
  }

  /// The most terms that an entry of W~ U or of the gradient is a sum of.
  Index depth() const { return std::max(W.cols(), dense.rows()); }

  HostMatrix<Scalar> W, U, P;
  Matrix<B> W_b, U_b, P_b;
  HostMatrix<Scalar> dense;
};

/// W~ U, or W~^T U.
template <Backend B, StructureOn<B> S>
HostMatrix<typename B::Scalar> applied(B& b, S const& s, ConstView<B> W, ConstView<B> U, Op op = Op::none) {
  Matrix<B> V = zeros(b, U.rows(), U.cols());
  auto const frame = b.lane().frame();
  s.map(b.lane(), s.prepare(b, W, op), U, formula::Store{}, View<B>(V));
  return to_host(b, V);
}

/// sum |p_ij| |w_il| |u_lj|: what the terms of <W~ U, P> add up to without signs.
template <class Scalar>
double size_of_inner(HostMatrix<Scalar> const& P, HostMatrix<Scalar> const& W, HostMatrix<Scalar> const& U) {
  auto const magnitude = [](Scalar x) { return std::abs(x); };
  return inner(mapped(magnitude, P), product(mapped(magnitude, W), mapped(magnitude, U)));
}

template <class Scalar>
double largest_row_sum(HostMatrix<Scalar> const& W) {
  double largest = 0;
  for (Index i = 0; i < W.rows(); ++i) {
    double sum = 0;
    for (Index l = 0; l < W.cols(); ++l) sum += static_cast<double>(std::abs(W(i, l)));
    largest = std::max(largest, sum);
  }
  return largest;
}

/// W~ (2 U - 3 P) = 2 W~ U - 3 W~ P
template <Backend B, StructureOn<B> S>
void map_is_linear(B& b, S const& s, Index k, Index N, double rounding) {
  using Scalar = typename B::Scalar;
  Operands<B, S> const o(b, s, k, N);
  auto const combined = mapped([](Scalar u, Scalar p) { return 2 * u - 3 * p; }, o.U, o.P);
  auto const together = applied(b, s, o.W_b, to_device(b, combined));
  auto const apart = mapped([](Scalar u, Scalar p) { return 2 * u - 3 * p; }, applied(b, s, o.W_b, o.U_b),
                            applied(b, s, o.W_b, o.P_b));
  double const scale = largest_row_sum(o.dense) * (2.0 * max_abs(o.U) + 3.0 * max_abs(o.P));
  CHECK(max_abs_difference(together, apart) <= rounding * tolerance<Scalar>(o.depth(), scale));
}

/// <W~ U, P> = <U, W~^T P>
template <Backend B, StructureOn<B> S>
void adjoint_identity(B& b, S const& s, Index k, Index N, double rounding) {
  using Scalar = typename B::Scalar;
  Operands<B, S> const o(b, s, k, N);
  double const left = inner(applied(b, s, o.W_b, o.U_b), o.P);
  double const right = inner(o.U, applied(b, s, o.W_b, o.P_b, Op::transposed));
  CHECK(std::abs(left - right) <=
        rounding *
            tolerance<Scalar>(o.depth(), size_of_inner(o.as_samples(s, o.P), o.dense, o.as_samples(s, o.U))));
}

/// add_gradient adds s d<W~ U, P> / dW: <W_bar, dW> = s <dW~ U, P> for every dW, since W~ is linear in W.
template <Backend B, StructureOn<B> S>
void gradient_is_the_derivative(B& b, S const& s, Index k, Index N, double rounding) {
  using Scalar = typename B::Scalar;
  Operands<B, S> const o(b, s, k, N);
  auto const before = normal_matrix<Scalar>(o.W.rows(), o.W.cols(), seed(4));
  Matrix<B> W_bar = to_device(b, before);
  Scalar const sign(-2);
  auto const frame = b.lane().frame();
  auto const gradient = s.gradient(b, View<B>(W_bar));
  s.add_gradient(b.lane(), ConstView<B>(o.P_b), ConstView<B>(o.U_b), sign, gradient.sum);
  s.finish(b, gradient, View<B>(W_bar));
  auto const added = mapped([](Scalar after, Scalar x) { return after - x; }, to_host(b, W_bar), before);
  for (std::uint64_t direction = 0; direction < 3; ++direction) {
    auto const dW = normal_matrix<Scalar>(o.W.rows(), o.W.cols(), seed(5 + direction));
    Matrix<B> const dW_b = to_device(b, dW);
    double const derivative = static_cast<double>(sign) * inner(applied(b, s, dW_b, o.U_b), o.P);
    double const scale = 2 * size_of_inner(o.as_samples(s, o.P), s.dense(b, dW_b), o.as_samples(s, o.U)) +
                         norm(before) * norm(dW);
    CHECK(std::abs(inner(added, dW) - derivative) <=
          rounding * tolerance<Scalar>(std::max(o.depth(), N), scale));
  }
}

/// map is the product with dense, and with W~^T prepared the product with its transpose.
template <Backend B, StructureOn<B> S>
void map_agrees_with_dense(B& b, S const& s, Index k, Index N, double rounding) {
  using Scalar = typename B::Scalar;
  Operands<B, S> const o(b, s, k, N);
  REQUIRE(o.dense.rows() == k * s.unit());
  REQUIRE(o.dense.cols() == k * s.unit());
  double const scale = std::max(largest_row_sum(o.dense), largest_row_sum(transposed(o.dense)));
  CHECK(max_abs_difference(applied(b, s, o.W_b, o.U_b), o.times(s, o.dense, o.U)) <=
        rounding * tolerance<Scalar>(o.depth(), scale * max_abs(o.U)));
  CHECK(
      max_abs_difference(applied(b, s, o.W_b, o.P_b, Op::transposed), o.times(s, transposed(o.dense), o.P)) <=
      rounding * tolerance<Scalar>(o.depth(), scale * max_abs(o.P)));
}

/// y <- v row + column + beside: an f that meets every kind of argument.
struct Affine {
  template <class Scalar>
  void operator()(Scalar v, Scalar& y, Scalar row, Scalar column, Scalar beside) const {
    y = v * row + column + beside;
  }
};

/// f takes the entries of the product, and arguments of every kind.
template <Backend B, StructureOn<B> S>
void map_is_the_product_then_f(B& b, S const& s, Index k, Index N, double rounding) {
  using Scalar = typename B::Scalar;
  Operands<B, S> const o(b, s, k, N);
  auto const row = normal_matrix<Scalar>(k, 1, seed(8)), column = normal_matrix<Scalar>(1, N, seed(9));
  Matrix<B> const row_b = to_device(b, row), column_b = to_device(b, column);
  auto const then = [&](HostMatrix<Scalar> const& V) {
    return host_matrix<Scalar>(k, N, [&](Index i, Index j) {
      Scalar y(0);
      Affine{}(V(i, j), y, row(i, 0), column(0, j), o.P(i, j));
      return y;
    });
  };
  double const scale =
      std::max(largest_row_sum(o.dense), largest_row_sum(transposed(o.dense))) * max_abs(o.U) * max_abs(row) +
      max_abs(column) + max_abs(o.P);
  Matrix<B> Y = zeros(b, k, N);
  for (Op op : {Op::none, Op::transposed}) {
    auto const frame = b.lane().frame();
    s.map(b.lane(), s.prepare(b.lane(), o.W_b, op), ConstView<B>(o.U_b), Affine{}, View<B>(Y),
          PerRow{ConstView<B>(row_b)}, PerColumn{ConstView<B>(column_b)}, ConstView<B>(o.P_b));
    CHECK(max_abs_difference(to_host(b, Y),
                             then(o.times(s, op == Op::none ? o.dense : transposed(o.dense), o.U))) <=
          rounding * tolerance<Scalar>(o.depth(), scale));
  }
}

/// The projection on D0 zeroes the diagonal, leaves the rest bit for bit, and is idempotent.
template <Backend B, StructureOn<B> S>
void zero_diagonal_projects(B& b, S const& s, Index k, Index N) {
  using Scalar = typename B::Scalar;
  Operands<B, S> const o(b, s, k, N);
  Matrix<B> W = o.W_b;
  s.zero_diagonal(b.lane(), View<B>(W));
  auto const once = s.dense(b, W);
  CHECK(once == host_matrix<Scalar>(o.dense.rows(), o.dense.cols(),
                                    [&](Index i, Index l) { return i == l ? Scalar(0) : o.dense(i, l); }));
  s.zero_diagonal(b.lane(), View<B>(W));
  CHECK(s.dense(b, W) == once);
}

/// from_dense(dense(W)) = W
template <Backend B, StructureOn<B> S>
void from_dense_inverts_dense(B& b, S const& s, Index k, Index N) {
  Operands<B, S> const o(b, s, k, N);
  CHECK(s.from_dense(o.dense) == o.W);
}

/// A structure, for k rows and N columns.
template <Structure S>
struct StructureCase {
  S structure;
  Index k, N;
};

/// All laws for one kind of structure on one backend, at every size: a test case of its own subcases.
template <Backend B, StructureOn<B> S>
void structure_laws(std::vector<StructureCase<S>> const& cases, double rounding = 1) {
  B b;
  auto const each = [&](auto law) {
    for (StructureCase<S> const& at : cases) {  // no structured binding: clang 14 cannot capture one
      CAPTURE(at.k);
      CAPTURE(at.N);
      law(at.structure, at.k, at.N);
    }
  };
  SUBCASE("W~ (2 U - 3 P) = 2 W~ U - 3 W~ P") {
    each([&](S const& s, Index k, Index N) { map_is_linear(b, s, k, N, rounding); });
  }
  SUBCASE("<W~ U, P> = <U, W~^T P>") {
    each([&](S const& s, Index k, Index N) { adjoint_identity(b, s, k, N, rounding); });
  }
  SUBCASE("add_gradient adds the derivative of s <W~ U, P>") {
    each([&](S const& s, Index k, Index N) { gradient_is_the_derivative(b, s, k, N, rounding); });
  }
  SUBCASE("map is the product with the dense form, or with its transpose") {
    each([&](S const& s, Index k, Index N) { map_agrees_with_dense(b, s, k, N, rounding); });
  }
  SUBCASE("map hands the product to f, with arguments of every kind") {
    each([&](S const& s, Index k, Index N) { map_is_the_product_then_f(b, s, k, N, rounding); });
  }
  SUBCASE("zero_diagonal is the projection on D0") {
    each([&](S const& s, Index k, Index N) { zero_diagonal_projects(b, s, k, N); });
  }
  SUBCASE("from_dense(dense(W)) = W") {
    each([&](S const& s, Index k, Index N) { from_dense_inverts_dense(b, s, k, N); });
  }
}

}  // namespace detrame::laws
