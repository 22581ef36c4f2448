// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>
#include <vector>

#include "detrame/backend/convolution_arithmetic.hpp"
#include "detrame/backend/formulas.hpp"
#include "detrame/backend/items.hpp"
#include "detrame/backend/matrix.hpp"
#include "detrame/core/window.hpp"

namespace detrame::inline DETRAME_ABI {

/// The verbs of a backend. An object of a backend owns threads or a stream, and scratch memory; a *lane* is
/// where verbs run: one thread of the CPU, the stream of a device. Algorithms are written once, for the
/// columns of a chunk, on a lane; how a batch is cut into chunks is the backend's business.
///
/// Memory is reached through verbs alone. The contract of a verb stands here, at its clause, once; what is
/// particular to a backend stands at its own verb and begins with "Here". tests/laws/backend_laws.hpp checks
/// them on every backend.
namespace has {

/// What verbs are given to run, whatever its arguments, and what they sum.
/// Named: nvcc takes no lambda in a requirement.
struct Kernel {
  template <class... Args>
  DETRAME_HOST_DEVICE void operator()(Args&&...) const {}
};
template <class Scalar>
struct Term {
  DETRAME_HOST_DEVICE Scalar operator()(Index) const { return Scalar(); }
};

template <class B>
concept lane = requires(B& b, typename B::Lane& lane) {
  /// The calling thread's lane, for work that is not cut into chunks.
  { b.lane() } -> std::same_as<typename B::Lane&>;
  /// Everything taken while it lives is given back when it dies.
  lane.frame();
  /// An uninitialised matrix that lives until the innermost frame closes.
  { lane.scratch(Index{}, Index{}) } -> std::same_as<View<B>>;
};

template <class B>
concept chunks = requires(B& b, typename B::Lane& lane, std::array<View<B>, 1> sums) {
  /// f(lane, columns) over chunks that together are the batch; a sample is never cut.
  ///
  /// `scalars_per_column`: what f keeps in use for one column, from which the width of a chunk follows.
  each_chunk(b, Batch{}, Index{}, Kernel{});
  /// The same on one lane, one chunk after the other, for what was prepared before.
  each_chunk(lane, Batch{}, Index{}, Kernel{});
  /// As each_chunk, and every chunk adds to sums: f(lane, columns, partial) with partial[n] shaped as
  /// sums[n]. On return sums[n] has grown by the sum over all chunks, added in a fixed order.
  sum_chunks(b, Batch{}, Index{}, sums, Kernel{});
};

template <class B>
concept each = requires(typename B::Lane& lane, View<B> y, ConstView<B> x) {
  /// f(args_ij...) for every entry (i, j) of the first argument, a matrix. An argument is a matrix of the
  /// same shape, PerRow{k x 1} or PerColumn{1 x N}; f takes by reference what it writes. Arguments may be the
  /// same matrix, and may not overlap otherwise.
  each(lane, formula::Assign{}, y, x);
  each(lane, formula::Assign{}, y, PerRow{x});
  each(lane, formula::Assign{}, y, PerColumn{x});
  /// As each, with the place of the entry: f(i, j, args_ij...).
  each_indexed(lane, Kernel{}, y, x);
};

template <class B>
concept items = requires(B& b, std::span<Item<Kernel, View<B>, ConstView<B>> const> some) {
  /// For each item f(i, j, args_ij...) for every entry (i, j) of its matrices, as each_indexed has it, in as
  /// few calls of the machine as it takes. What one item writes no other reads or writes.
  each_of(b, some);
};

template <class B>
concept reshape = requires(typename B::Lane& lane, ConstView<B> x, View<B> y) {
  /// y, read column by column, has the entries of x, read column by column: a change of shape. Both have the
  /// same number of entries and do not overlap.
  copy_entries(lane, x, y);
};

template <class B>
concept gather = requires(typename B::Lane& lane, ConstView<B> x, View<B> y, std::span<Index const> indices) {
  /// y.col(j) = x.col(indices[j])
  gather_columns(lane, x, indices, y);
};

template <class B>
concept sums = requires(B& b, typename B::Lane& lane, View<B> out, ConstView<B> x) {
  /// out_i += sum_j f(args_ij...), added in a fixed order. out: k x 1.
  row_sums(lane, out, formula::Product{}, x, x);
  /// out_j = sum_i f(args_ij...). out: 1 x N. Added in a fixed order.
  column_sums(lane, out, formula::Product{}, x, x);
  /// out_j = max_i f(args_ij...), NaN if any of them is NaN, -infinity where there are no rows. out: 1 x N.
  column_max(lane, out, formula::Identity{}, x);
  /// mean_i = sum_j x_ij / N and variance_i = sum_j (x_ij - mean_i)^2 / N of every row, 0 where N = 0. mean,
  /// variance: k x 1.
  ///
  /// x is read from memory once. Columns are cut into pieces, and what the pieces have, their means and sums
  /// of squared deviations, is united in a fixed order; all is computed from x - (its first column), so that
  /// a mean far from 0 costs no digits:  |variance - exact| <= c N eps max_j (x_ij - x_i0)^2.  Where a row
  /// has NaN or infinity, neither result is finite.
  row_moments(b, x, out, out);
  /// The sum of all entries, on the host.
  { sum_to_host(lane, x) } -> std::same_as<typename B::Scalar>;
  /// The largest entry, on the host: NaN if any is NaN, -infinity if there is none.
  { max_to_host(lane, x) } -> std::same_as<typename B::Scalar>;
};

template <class B>
concept gemm = requires(typename B::Lane& lane, typename B::Scalar s, ConstView<B> x, View<B> y) {
  /// C <- alpha op_A(A) op_B(B) + beta C. With beta = 0, C need not be initialised. C overlaps neither A nor
  /// B. For a factor that multiplies once; one that multiplies again and again is prepared.
  gemm(lane, s, x, Op::none, x, Op::transposed, s, y);
  /// C += sign A B^T
  add_outer_product(lane, x, x, s, y);
};

/// A left factor is prepared, by all lanes or on one, for as many products as it serves.
template <class B, class Where>
concept product_prepared_by = requires(Where& where, typename B::Lane& lane, ConstView<B> x, View<B> y) {
  /// Prepares op(A_g), where A = [A_1 ... A_groups]. It lives until the innermost frame of the lane (the
  /// backend's own lane where `where` is a backend) closes, and A stays as it is until then.
  prepare_product(where, x, Op::none, Index{}).group(Index{});
  /// f(v_ij, args_ij...) for every entry of V = op(A) B, which is not kept: a product with what follows it.
  /// A: a prepared factor of one group.
  ///
  /// f takes v by value, then its arguments as in `each`; what it writes must not be read by the product.
  product_each(lane, prepare_product(where, x, Op::none, Index{}).group(Index{}), x, Kernel{}, y);
};
template <class B>
concept product = product_prepared_by<B, B> && product_prepared_by<B, typename B::Lane>;

/// So are the weights of a window, for one arithmetic.
template <class B, class Where, class Arithmetic>
concept convolution_prepared_by =
    requires(Where& where, typename B::Lane& lane, Window const& window, ConstView<B> x, View<B> y) {
      /// Prepares the weights W = [W_1 ... W_groups] of a window for V = K U, or (transposed) for V = K^T P.
      /// `where` is a backend, whose threads share the work, or a lane; the result lives until the innermost
      /// frame of that lane closes, and W stays as it is until then.
      ///
      /// W_g: k x (taps channels). Winograd needs stride 1 and a 3 x 3 kernel.
      prepare_convolution(Arithmetic(), where, window, x, Op::none, Index{}).group(Index{});
      /// f(v_ij, args_ij...) for every entry of V = K U, which is not kept: K a prepared window of one group,
      /// or its adjoint.
      ///
      /// U: channels x (sites images). V and the args beside it: k x (out_sites images); for the adjoint the
      /// other way round. f as in product_each. Columns of one image depend on no other image.
      convolve_each(lane, prepare_convolution(Arithmetic(), where, window, x, Op::none, Index{}).group(0), x,
                    Kernel{}, y);
    };
/// The gradient of these weights, in the form in which it is summed over a batch.
template <class B, class Arithmetic>
concept convolution_gradient_by = requires(B& b, typename B::Lane& lane, Window const& window,
                                           typename B::Scalar s, ConstView<B> x, View<B> y) {
  /// G for W_bar = [W_bar_1 ... W_bar_groups]: G.sum is W_bar itself, or scratch of zeros that lives until
  /// the innermost frame of b.lane() closes.
  convolution_gradient(Arithmetic(), b, y, Index{});
  /// sum_g += sign d<K U, P> / dW, for the part `sum_g` of group g in a sum of that shape.
  ///
  /// P: k x (out_sites images). U: channels x (sites images). W_bar_g: k x (taps channels).
  /// Added in a fixed order.
  add_convolution_gradient(Arithmetic(), lane, window, x, x, s,
                           convolution_gradient(Arithmetic(), b, y, Index{}).sum);
  /// What is summed becomes the gradient: W_bar += its transform, or nothing where it is W_bar itself.
  finish_gradient(b, convolution_gradient(Arithmetic(), b, y, Index{}), y);
};
template <class B, class Arithmetic>
concept convolution_by =
    convolution_prepared_by<B, B, Arithmetic> && convolution_prepared_by<B, typename B::Lane, Arithmetic> &&
    convolution_gradient_by<B, Arithmetic>;
template <class B>
concept convolution = convolution_by<B, Direct> && convolution_by<B, Winograd<4>>;

/// What works on a column of a batch, or on a few side by side, within a kernel of each_column. Its verbs
/// serve kernels, and their arithmetic serves `exact/` and losses alone. What a verb has written every member
/// sees after it.
template <class B>
concept team =
    requires(typename B::Team const& team, Index n, typename B::Scalar const* x, typename B::Scalar* y) {
      requires std::same_as<typename B::Team::Scalar, typename B::Scalar>;
      /// How many columns of a batch are best worked on side by side; how many columns of A `inner_products`
      /// takes at most; where a Cholesky factor can be continued: at multiples of `tile`. From one to the
      /// next rows lie side by side in a column, and have room above the diagonal.
      { B::Team::width + B::Team::height + B::Team::tile } -> std::convertible_to<Index>;
      /// How many scalars hold a symmetric matrix of n rows or its factor, and where entry (i, j), i >= j,
      /// lies; the room that `cholesky_solve` needs for n scalars.
      { B::Team::factor_size(n) + B::Team::factor_place(n, n) + B::Team::padded(n) } -> std::same_as<Index>;
      /// f(i) for i = 0, ..., n - 1, in any order.
      team.each(n, Kernel{});
      /// f() by one member.
      team.once(Kernel{});
      /// sum_i f(i), added in a fixed order.
      { team.sum(n, Term<typename B::Scalar>{}) } -> std::same_as<typename B::Scalar>;
      /// max(least, max_i f(i)), NaN if any f(i) is; least = 0 where none is given.
      { team.max(n, Term<typename B::Scalar>{}) } -> std::same_as<typename B::Scalar>;
      { team.max(n, Term<typename B::Scalar>{}, *x) } -> std::same_as<typename B::Scalar>;
      /// out_ac = sum_{l < n} A_la X_lc for the first `count` <= height columns a of A and `width` columns c
      /// of X. A: by columns, `stride` apart. X, out: by rows, `width` a row; out has room for height rows.
      team.inner_products(x, n, n, n, x, y);
      /// F = L L^T in place, n rows, of which those before `first` are factored already and stay. Returns how
      /// many rows from the top are factored: n, or the first row whose pivot is not positive beyond its
      /// rounding, n eps f_ii, or not finite. Requires first = 0 modulo tile, and entries at factor_place.
      { team.cholesky(y, n, n) } -> std::same_as<Index>;
      /// x <- (L L^T)^{-1} x with the factor that `cholesky` left in F. x has room for padded(n) scalars.
      team.cholesky_solve(x, n, y);
    };

template <class B>
concept columns = requires(B& b, typename B::Lane& lane, View<B> y) {
  /// f(team, j, scratch, raw...) for each column j = 0, ..., N - 1, with `scratch_size` scalars of scratch
  /// and a MatrixView of each matrix or view, whose memory f may read and, if it is not const, write. Columns
  /// run in any order.
  each_column(b, Tasks(0), Index{}, Kernel{}, y);
  /// The same on one lane, for a chunk of a batch: f(team, j, raw...), without scratch.
  each_column(lane, Index{}, Kernel{}, y);
};

template <class B>
concept factorisations = requires(B& b, ConstView<B> A, View<B> out) {
  /// out = A^{-1} rhs for a symmetric A (the lower triangle is read). False, and out is untouched, where A is
  /// not positive definite to working precision, or not finite. A: k x k. rhs, out: k x n. Cost
  /// k^3 / 3 + 2 k^2 n, allocates.
  { definite_solve(b, A, A, out) } -> std::same_as<bool>;
  /// The eigenvalues of a symmetric A in ascending order, on the host; all NaN where they did not converge,
  /// or A is not finite. The lower triangle is read. Cost about 4/3 k^3, allocates.
  { symmetric_eigenvalues(b, A) } -> std::same_as<std::vector<typename B::Scalar>>;
};

}  // namespace has

template <class B>
concept Backend =
    has::scalar<B> && has::matrix<B> && has::views<B> && has::transfer<B> && has::lane<B> && has::chunks<B> &&
    has::each<B> && has::items<B> && has::reshape<B> && has::gather<B> && has::sums<B> && has::gemm<B> &&
    has::product<B> && has::convolution<B> && has::team<B> && has::columns<B> && has::factorisations<B>;

/// A rows x cols matrix of zeros.
template <Backend B>
Matrix<B> zeros(B& backend, Index rows, Index cols) {
  return to_device(backend, HostMatrix<typename B::Scalar>(rows, cols));
}

}  // namespace detrame::inline DETRAME_ABI
