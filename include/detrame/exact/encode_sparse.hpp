// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "detrame/core/unobserved.hpp"
#include "detrame/exact/sparse_coder.hpp"

namespace detrame::inline DETRAME_ABI {

/// Codes of many samples by the entries that are not 0, column after column: compressed columns of the k x N
/// codes, which are the compressed rows of their N x k transpose. On the host.
///
/// Column j holds the entries offsets[j], ..., offsets[j + 1] - 1 of `indices` (rows, ascending) and
/// `values`. NaN is not 0: a sample that is not finite has a column of k entries, all NaN, and is
/// `not_finite`, as in ExactResult.
template <class Scalar>
struct SparseCodes {
  Index rows = 0;                 ///< k
  std::vector<Index> offsets{0};  ///< N + 1
  std::vector<Index> indices;
  std::vector<Scalar> values;
  std::vector<ExactStatus> column_status;  ///< N
  std::vector<Scalar> residual;            ///< N, as ExactResult's

  bool complete = true;                       ///< false: whoever watched ended it, the columns there are done
  ExactStatus status = ExactStatus::optimal;  ///< of the worst column
  Scalar largest_residual = 0;                ///< over the columns, NaN if one is
  Scalar bound = 0;                           ///< on |u_j - u_star_j|_2, for every column j

  Index cols() const { return static_cast<Index>(offsets.size()) - 1; }

  /// No column of k rows, with room for N.
  void begin(Index k, Index N) {
    auto const columns = static_cast<std::size_t>(N);
    offsets.reserve(columns + 1);
    column_status.reserve(columns);
    residual.reserve(columns);
    rows = k;
    offsets.assign(1, 0);
    indices.clear();
    values.clear();
    column_status.clear();
    residual.clear();
    complete = N == 0;
    status = ExactStatus::optimal;
    largest_residual = bound = Scalar(0);
  }
};

/// So many columns of a batch are coded.
struct EncodingProgress {
  Index columns, of;
};

namespace exact {

/// The larger one; NaN where one is.
template <class Scalar>
Scalar worse(Scalar a, Scalar b) {
  return a != a || a > b ? a : b;
}

/// Room for `more` entries, and, where that is lacking, for as many as all columns are going to have if they
/// go on like those up to `done`.
template <class T>
void grow(std::vector<T>& v, std::size_t more, Index done, Index of) {
  std::size_t const needed = v.size() + more;
  if (needed <= v.capacity()) return;
  double const expected = static_cast<double>(needed) * static_cast<double>(of) / static_cast<double>(done);
  v.reserve(std::max(needed + needed / 16, static_cast<std::size_t>(1.02 * expected)));
}

/// Adds the codes of a chunk behind those that are there; `of`: how many columns there will be.
template <Backend B>
void append(B& backend, ExactResult<B> const& chunk, Index of, SparseCodes<typename B::Scalar>& codes) {
  using Scalar = typename B::Scalar;
  HostMatrix<Scalar> const u = to_host(backend, chunk.u);                   // k x n
  HostMatrix<Scalar> const residual = to_host(backend, chunk.residual);     // 1 x n
  HostMatrix<Scalar> const status = to_host(backend, chunk.column_status);  // 1 x n
  std::size_t entries = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) entries += u(i, j) != Scalar(0);
  Index const done = codes.cols() + u.cols();
  grow(codes.indices, entries, done, of);
  grow(codes.values, entries, done, of);
  for (Index j = 0; j < u.cols(); ++j) {
    for (Index i = 0; i < u.rows(); ++i)
      if (Scalar const v = u(i, j); v != Scalar(0)) {
        codes.indices.push_back(i);
        codes.values.push_back(v);
      }
    codes.residual.push_back(residual(0, j));
    codes.column_status.push_back(static_cast<ExactStatus>(static_cast<int>(status(0, j))));
    codes.offsets.push_back(static_cast<Index>(codes.values.size()));
  }
  codes.status = std::max(codes.status, chunk.status);
  codes.largest_residual = worse(codes.largest_residual, chunk.largest_residual);
  codes.bound = worse(codes.bound, chunk.bound);
}

}  // namespace exact

/// Columns that are coded at a time: their dense codes and scratch are all the memory beside the result.
inline constexpr Index encoding_chunk = 1024;

/// The sparse codes of any number of samples, without their zeros.                                      (M1)
///
/// Works through X in chunks of `encoding_chunk` columns. observe(EncodingProgress) is called after each;
/// where it returns false, the codes are those of the columns up to there, `complete` only if those are all.
///
/// Shapes    X: m x N.  codes: k x N; what it held is replaced, its memory used again.
/// Requires  X of m rows, else ShapeError, and `codes` is as it was.
/// Ensures   (1) entries, residuals and statuses are, bit for bit, those of `encode`; status,
///               largest_residual and bound are of the worst column.
///           (2) N = 0: no column, complete and optimal.
///           (3) what observe throws goes through; the codes are those of the columns up to there.
/// Cost      as encode. Memory beside X and `codes`: about 2 k encoding_chunk scalars and scratch, for any N.
///           Room for all entries is taken when a first chunk tells how many there may be.
/// Tested    tests/exact/encode_sparse_test.cpp
template <Backend B, class Activation, class Observe = Unobserved>
void encode_sparse(B& backend, SparseCoder<B, Activation> const& coder, Input<B> X,
                   SparseCodes<typename B::Scalar>& codes, Observe&& observe = {}) {
  ConstView<B> const x = X;
  Index const N = x.cols();
  exact::require_samples("encode_sparse", coder.rows(), coder.dim(), x.rows());
  codes.begin(coder.dim(), N);
  ExactResult<B> chunk;
  for (Index first = 0; first < N; first += encoding_chunk) {
    Index const count = std::min(encoding_chunk, N - first);
    encode(backend, coder, x.middle_cols(first, count), chunk);
    exact::append(backend, chunk, N, codes);
    codes.complete = first + count == N;
    if (!observe(EncodingProgress{first + count, N})) return;
  }
}

/// The same, as a value.
template <Backend B, class Activation>
SparseCodes<typename B::Scalar> encode_sparse(B& backend, SparseCoder<B, Activation> const& coder,
                                              Input<B> X) {
  SparseCodes<typename B::Scalar> codes;
  encode_sparse(backend, coder, std::move(X), codes);
  return codes;
}

template <detail::NoBackend B, class... Rest>
auto encode_sparse(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
