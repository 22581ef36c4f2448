// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <limits>

#include "detrame/backend/cpu/packet.hpp"

/// Loops over whole columns for a search that looks for the few entries that count. Lengths are multiples of
/// column_block<Scalar>: what is beyond a column is filled up.
namespace detrame::inline DETRAME_ABI::detail {

template <class Scalar>
inline constexpr Index column_block = 2 * lanes<Scalar>;

/// y = r - sum_{p < count} A_{member_p} x_p; columns of A `stride` apart.
template <class Scalar>
void subtract_columns(Scalar const* r, Scalar const* A, Index stride, int const* member, Scalar const* x,
                      Index count, Index rows, Scalar* y) {
  constexpr Index together = 4;
  for (Index p = 0; p < count; p += together) {
    Scalar const* a[together];
    Packet<Scalar> entry[together];
    for (Index c = 0; c < together; ++c) {
      a[c] = A + member[p + c < count ? p + c : p] * stride;
      entry[c] = broadcast(p + c < count ? -x[p + c] : Scalar(0));
    }
    Scalar const* const from = p == 0 ? r : y;
    for (Index i = 0; i < rows; i += 2 * lanes<Scalar>) {
      auto first = load(from + i), second = load(from + i + lanes<Scalar>);
      for (Index c = 0; c < together; ++c) {
        first = multiply_add(entry[c], load(a[c] + i), first);
        second = multiply_add(entry[c], load(a[c] + i + lanes<Scalar>), second);
      }
      store(y + i, first);
      store(y + i + lanes<Scalar>, second);
    }
  }
  if (count == 0) std::copy_n(r, rows, y);
}

/// excess_i = c_i - share weight_i, or |c_i| - share weight_i; the largest.
template <bool magnitudes, class Scalar>
Scalar excesses(Scalar const* c, Scalar const* weight, Scalar share, Index rows, Scalar* excess) {
  auto const s = broadcast(-share);
  auto most = broadcast(-std::numeric_limits<Scalar>::infinity()), other = most;
  for (Index i = 0; i < rows; i += column_block<Scalar>) {
    auto const place = [&](Index at) {
      auto const entry = load(c + at);
      auto const e = multiply_add(s, load(weight + at), magnitudes ? magnitude(entry) : entry);
      store(excess + at, e);
      return e;
    };
    most = larger(most, place(i));
    other = larger(other, place(i + lanes<Scalar>));
  }
  return largest_lane(larger(most, other));
}

/// The first i with v_i >= least, in ascending order, up to `room` of them; how many.
template <class Scalar>
Index places_of(Scalar const* v, Scalar least, Index rows, Index room, int* place) {
  auto const bound = broadcast(least);
  Index count = 0;
  for (Index i = 0; i < rows && count < room; i += lanes<Scalar>) {
    if (!any_at_least(load(v + i), bound)) continue;
    for (Index l = 0; l < lanes<Scalar> && count < room; ++l) {
      place[count] = static_cast<int>(i + l);
      count += v[i + l] >= least;
    }
  }
  return count;
}

/// All i with v_i != 0, NaN among them, in ascending order; how many. place: room for rows + 1.
template <class Scalar>
Index places_of_nonzeros(Scalar const* v, Index rows, int* place) {
  constexpr Index L = lanes<Scalar>;
  Index count = 0, i = 0;
  for (; i + 2 * L <= rows; i += 2 * L) {
    if (!any_nonzero(load(v + i), load(v + i + L))) continue;
    for (Index l = i; l < i + 2 * L; ++l) {
      place[count] = static_cast<int>(l);
      count += v[l] != Scalar(0);
    }
  }
  for (; i < rows; ++i) {
    place[count] = static_cast<int>(i);
    count += v[i] != Scalar(0);
  }
  return count;
}

/// y = v + t m, n entries and what is beyond them up to a whole packet. Whether sign_p y_p >= 0 for all p.
template <class Scalar>
bool step(Scalar const* v, Scalar t, Scalar const* m, Scalar const* sign, Index n, Scalar* y) {
  auto const along = broadcast(t);
  bool lost = false;
  for (Index p = 0; p < n; p += lanes<Scalar>) {
    auto const point = multiply_add(along, load(m + p), load(v + p));
    store(y + p, point);
    lost |= any_negative(multiply(point, load(sign + p)));
  }
  return !lost;
}

/// <a, b>, n entries: four packets of partial sums, then what is left.
template <class Scalar>
Scalar inner_product(Scalar const* a, Scalar const* b, Index n) {
  constexpr Index ways = 4, L = lanes<Scalar>;
  Packet<Scalar> sum[ways];
  for (auto& s : sum) s = broadcast(Scalar(0));
  Index i = 0;
  for (; i + ways * L <= n; i += ways * L)
    for (Index w = 0; w < ways; ++w) sum[w] = multiply_add(load(a + i + w * L), load(b + i + w * L), sum[w]);
  Scalar rest(0);
  for (; i < n; ++i) rest += a[i] * b[i];
  return sum_of_lanes(add(add(sum[0], sum[1]), add(sum[2], sum[3]))) + rest;
}

/// Asks for the memory of a column that will be read.
template <class Scalar>
void expect(Scalar const* column, Index rows) {
  for (Index i = 0; i < rows; i += 64 / Index{sizeof(Scalar)}) __builtin_prefetch(column + i);
}

}  // namespace detrame::inline DETRAME_ABI::detail
