// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "detrame/backend/cpu/packet.hpp"

namespace detrame::inline DETRAME_ABI {

/// The inverse of a small symmetric matrix that gains and loses rows, one after the other in one thread.
///
///   M = A^{-1},   A: n x n symmetric, positive definite
///
/// A row more or less is a change of rank one, n^2 multiply-adds. Errors grow with each, by the condition of
/// A: for a search that corrects itself, not for an answer. Whole, by columns, `stride` apart; rows beyond n,
/// up to a whole packet, are zeros.
template <class Scalar>
class SweptInverse {
  static constexpr Index lanes = detail::lanes<Scalar>;

 public:
  /// n rounded up to whole packets: the room of a vector for `multiply`.
  static constexpr Index room(Index n) { return (n + lanes - 1) / lanes * lanes; }
  /// How many scalars hold one of up to `most` rows, and a vector beside it.
  static constexpr Index scratch_size(Index most) { return room(most) * (room(most) + 1); }

  SweptInverse(Index most, Scalar* scratch)
      : stride_(room(most)), vector_(scratch), M_(scratch + room(most)) {}

  Index size() const { return n_; }
  void clear() { n_ = 0; }
  Scalar const* column(Index q) const { return M_ + q * stride_; }

  /// y = M x, n entries, and zeros up to a whole packet.
  void multiply(Scalar const* x, Scalar* y) const {
    constexpr Index ways = 4;  // independent sums, to hide the latency of a multiply-add
    for (Index i = 0; i < n_; i += lanes) {
      detail::Packet<Scalar> sum[ways];
      for (auto& s : sum) s = detail::broadcast(Scalar(0));
      Index c = 0;
      for (; c + ways <= n_; c += ways)
        for (Index w = 0; w < ways; ++w) sum[w] = add_column(x, c + w, i, sum[w]);
      for (; c < n_; ++c) sum[c % ways] = add_column(x, c, i, sum[c % ways]);
      detail::store(y + i, detail::add(detail::add(sum[0], sum[1]), detail::add(sum[2], sum[3])));
    }
  }

  /// A gains the row (a, h), where w = M a as `multiply` leaves it and pivot = h - <a, w> > 0. w has
  /// room(n + 1) scalars, and is written to.
  void append(Scalar* w, Scalar pivot) {
    auto const zero = detail::broadcast(Scalar(0));
    if (n_ % lanes == 0) {
      for (Index c = 0; c < n_; ++c) detail::store(M_ + c * stride_ + n_, zero);
      detail::store(w + n_, zero);
    }
    for (Index i = 0; i <= n_; i += lanes) detail::store(M_ + n_ * stride_ + i, zero);
    w[n_] = Scalar(-1);
    ++n_;
    add_square(w, Scalar(1) / pivot);
  }

  /// A loses row q; the last one takes its place.
  void remove(Index q) {
    for (Index i = 0; i < n_; i += lanes) detail::store(vector_ + i, detail::load(column(q) + i));
    add_square(vector_, Scalar(-1) / vector_[q]);
    Index const last = n_ - 1;
    if (q != last) std::copy_n(column(last), room(n_), M_ + q * stride_);
    for (Index c = 0; c < last; ++c) {
      Scalar* const m = M_ + c * stride_;
      m[q] = m[last];
      m[last] = Scalar(0);
    }
    --n_;
  }

 private:
  /// sum + x_c times the packet at row i of column c
  detail::Packet<Scalar> add_column(Scalar const* x, Index c, Index i, detail::Packet<Scalar> sum) const {
    return detail::multiply_add(detail::broadcast(x[c]), detail::load(column(c) + i), sum);
  }

  /// M += factor w w^T
  void add_square(Scalar const* w, Scalar factor) {
    for (Index c = 0; c < n_; ++c) {
      auto const entry = detail::broadcast(factor * w[c]);
      Scalar* const m = M_ + c * stride_;
      for (Index i = 0; i < n_; i += lanes)
        detail::store(m + i, detail::multiply_add(entry, detail::load(w + i), detail::load(m + i)));
    }
  }

  Index stride_, n_ = 0;
  Scalar *vector_, *M_;
};

}  // namespace detrame::inline DETRAME_ABI
