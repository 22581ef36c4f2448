// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cpu/cholesky.hpp"
#include "detrame/backend/cpu/column_loops.hpp"
#include "detrame/backend/cpu/each.hpp"
#include "detrame/backend/cpu/register_tile.hpp"
#include "detrame/backend/cpu/swept_inverse.hpp"
#include "detrame/backend/formulas.hpp"

namespace detrame::inline DETRAME_ABI {

/// Here a single thread works on a column, or on a few side by side. Verbs that need no packets are marked
/// for a device too, where nobody calls them: nvcc asks for it in units that use both backends.
template <class Scalar_, Index packets>
class CpuTeam {
  using Factor = PackedCholesky<Scalar_>;
  using Packet = typename Eigen::internal::packet_traits<Scalar_>::type;
  static constexpr Index lanes = Eigen::internal::unpacket_traits<Packet>::size;

 public:
  using Scalar = Scalar_;
  /// Here `packets` whole packets.
  static constexpr Index width = packets * lanes;
  /// Here, with `width`, the sums that hide the latency of a multiply-add.
  static constexpr Index height = 8 / packets;
  static_assert(packets == 1 || packets == 2, "a processor with packets of floats alone is not supported");

  /// The team whose loops may guess for this one, in half the digits, of as many columns side by side; a team
  /// that has one has the loops over whole columns below as well.
  using Coarse = CpuTeam<float, width / detail::lanes<float>>;
  using Inverse = SweptInverse<Scalar>;

  static constexpr Index tile = Factor::tile;

  static constexpr Index factor_size(Index n) { return Factor::size(n); }
  static constexpr Index factor_place(Index i, Index j) { return Factor::place(i, j); }
  static constexpr Index padded(Index n) { return Factor::padded(n); }

  template <class F>
  DETRAME_HOST_DEVICE void each(Index n, F&& f) const {
    for (Index i = 0; i < n; ++i) f(i);
  }

  /// f(c) for c = 0, ..., width - 1, a step in each of the columns side by side.
  ///
  /// Here a loop that becomes packets: unrolled first, it would not.
  template <class F>
  void abreast(F&& f) const {
#pragma GCC unroll 1
    for (Index c = 0; c < width; ++c) f(c);
  }

  template <class F>
  DETRAME_HOST_DEVICE void once(F&& f) const {
    f();
  }

  /// Here by eight interleaved partial sums.
  template <class F>
  DETRAME_HOST_DEVICE Scalar sum(Index n, F&& f) const {
    Scalar partial[ways] = {};
    Index i = 0;
    for (; i + ways <= n; i += ways)
      for (Index w = 0; w < ways; ++w) partial[w] += f(i + w);
    for (; i < n; ++i) partial[i % ways] += f(i);
    return ((partial[0] + partial[1]) + (partial[2] + partial[3])) +
           ((partial[4] + partial[5]) + (partial[6] + partial[7]));
  }

  template <class F>
  DETRAME_HOST_DEVICE Scalar max(Index n, F&& f, Scalar least = Scalar(0)) const {
    Scalar partial[ways], lost[ways] = {};  // NaN in a place of its own: two choices that vectorise
    for (Scalar& p : partial) p = least;
    Index i = 0;
    for (; i + ways <= n; i += ways)
#pragma GCC unroll 1
      for (Index w = 0; w < ways; ++w) {
        Scalar const v = f(i + w);
        partial[w] = v > partial[w] ? v : partial[w];
        lost[w] = v != v ? v : lost[w];
      }
    for (Index w = 0; w < ways; ++w) partial[w] = lost[w] != lost[w] ? lost[w] : partial[w];
    for (; i < n; ++i) partial[i % ways] = larger(f(i), partial[i % ways]);
    Scalar largest = least;
    for (Scalar p : partial) largest = larger(p, largest);
    return largest;
  }

  /// Here not inlined: its accumulators need the registers that loops around it would
  /// fill with their constants.
  [[gnu::noinline]] void inner_products(Scalar const* A, Index stride, Index n, Index count, Scalar const* X,
                                        Scalar* out) const {
    using namespace Eigen::internal;
    Scalar const* a[height];
    for (Index h = 0; h < height; ++h) a[h] = A + std::min<Index>(h, count - 1) * stride;
    Packet sum[height][packets];
    for (auto& row : sum)
      for (Packet& s : row) s = pset1<Packet>(Scalar(0));
    for (Index l = 0; l < n; ++l) {
      Packet x[packets];
      for (Index p = 0; p < packets; ++p)
        x[p] = detail::in_register(ploadu<Packet>(X + l * width + p * lanes));
      for (Index h = 0; h < height; ++h) {
        Packet const entry = pset1<Packet>(a[h][l]);
        for (Index p = 0; p < packets; ++p) sum[h][p] = pmadd(entry, x[p], sum[h][p]);
      }
    }
    for (Index h = 0; h < height; ++h)
      for (Index p = 0; p < packets; ++p) pstoreu(out + h * width + p * lanes, sum[h][p]);
  }

  /// `count` <= height steps of coordinate descent, one after the other, in `width` columns side by side:
  ///
  ///   u_a <- f(u_a + s_a (r_a - p_a), s_a b_a),   p_h += A_ha (new u_a - u_a) for h > a
  ///
  /// s_a = omega / A_aa.  A: as in inner_products, from row a of column a on.  p: what inner_products left.
  template <class F>
  void relax(F const& f, Scalar omega, Scalar const* A, Index stride, Index count, Scalar const* r,
             Scalar const* b, Scalar const* p, Scalar* u) const {
    if (count == height)
      relax_rows<true>(f, omega, A, stride, count, r, b, p, u);
    else
      relax_rows<false>(f, omega, A, stride, count, r, b, p, u);
  }

  /// Y_c = A X_c for `count` <= width columns c: A: rows x depth, X: depth x count, by columns, `stride`,
  /// depth and rows apart; whole blocks of rows.
  void products(Scalar const* A, Index stride, Index rows, Index depth, Scalar const* X, Index count,
                Scalar* Y) const {
    for (Index i = 0; i < rows; i += column_block)
      detail::for_each_tile(count, [&](Index first, Index columns) {
        detail::with_constant<detail::tile_cols, 4, 1>(columns, [&]<int cols>() {
          detail::RegisterTile<Scalar, 2, cols> sums;
          sums.clear();
          sums.add_product(depth, A + i, lanes, stride, X + first * depth, 1, depth);
          sums.for_each([&](Packet v, Index l, Index c) __attribute__((always_inline)) {
            detail::store(Y + (first + c) * rows + i + l * lanes, v);
          });
        });
      });
  }

  /// <a, b>, n entries, in partial sums of a fixed order.
  Scalar inner_product(Scalar const* a, Scalar const* b, Index n) const {
    return detail::inner_product(a, b, n);
  }

  /// out_jc = sum_{l < n} A_lj X_lc for `count` columns j of A and `width` columns c of X, in runs of 16 rows
  /// that are then added: dot_chain(n) roundings at most. A: by columns, `stride` apart. X, out: by rows,
  /// `width` a row. For certificates: of the same meaning as inner_products, of which it shares nothing.
  void judged_products(Scalar const* A, Index stride, Index n, Index count, Scalar const* X,
                       Scalar* out) const {
    detail::for_each_tile(count, [&](Index first, Index columns) {
      detail::with_constant<detail::tile_cols, 4, 1>(columns, [&]<int cols>() {
        judged_tile<cols>(A + first * stride, stride, n, X, out + first * width);
      });
    });
  }

  /// A column of n entries is filled up to whole blocks for `products` and the loops that follow.
  static constexpr Index column_block = detail::column_block<Scalar>;
  static constexpr Index whole_blocks(Index n) {
    return (n + column_block - 1) / column_block * column_block;
  }

  /// y = r - sum_{p < count} A_{member_p} x_p, whole blocks.
  void subtract_columns(Scalar const* r, Scalar const* A, Index stride, int const* member, Scalar const* x,
                        Index count, Index rows, Scalar* y) const {
    detail::subtract_columns(r, A, stride, member, x, count, rows, y);
  }

  /// excess_i = c_i - share weight_i, or |c_i| - share weight_i; the largest, of those that are numbers.
  template <bool magnitudes>
  Scalar excesses(Scalar const* c, Scalar const* weight, Scalar share, Index rows, Scalar* excess) const {
    return detail::excesses<magnitudes>(c, weight, share, rows, excess);
  }

  /// The first i with v_i >= least, in ascending order, up to `room` of them; how many.
  Index places_of(Scalar const* v, Scalar least, Index rows, Index room, int* place) const {
    return detail::places_of(v, least, rows, room, place);
  }

  /// All i with v_i != 0, in ascending order; how many. place: room for rows + 1.
  Index places_of_nonzeros(Scalar const* v, Index rows, int* place) const {
    return detail::places_of_nonzeros(v, rows, place);
  }

  /// y = v + t m, n entries and what is beyond them up to a whole packet. Whether sign_p y_p >= 0 for all p.
  bool step(Scalar const* v, Scalar t, Scalar const* m, Scalar const* sign, Index n, Scalar* y) const {
    return detail::step(v, t, m, sign, n, y);
  }

  /// out_c = f.subgradient(u_c, g_c, lambda_c) in a row of `width`; out may be g.
  template <class F>
  void subgradients(F const& f, Scalar const* u, Scalar const* g, Scalar const* lambda, Scalar* out) const {
    if constexpr (formula::on_packets<F>) {
      Packet const infinite = detail::broadcast(std::numeric_limits<Scalar>::infinity());
      for (Index c = 0; c < width; c += lanes)
        detail::store(out + c, f.subgradient(detail::load(u + c), detail::load(g + c),
                                             detail::load(lambda + c), infinite));
    } else {
      for (Index c = 0; c < width; ++c) out[c] = f.subgradient(u[c], g[c], lambda[c]);
    }
  }

  /// Whether an entry of a row of `width` is not 0; NaN counts.
  bool any_nonzero(Scalar const* row) const {
    return detail::any_nonzero(detail::load(row), detail::load(row + width - lanes));
  }

  /// That a column will be read soon.
  void expect(Scalar const* column, Index rows) const { detail::expect(column, rows); }

  Index cholesky(Scalar* F, Index n, Index first) const { return Factor::factor(F, n, first); }

  void cholesky_solve(Scalar const* F, Index n, Scalar* x) const { Factor::solve(F, n, x); }

 private:
  template <bool whole, class F>
  static void relax_rows(F const& f, Scalar omega, Scalar const* A, Index stride, Index count,
                         Scalar const* r, Scalar const* b, Scalar const* p, Scalar* u) {
    Index const rows = whole ? height : count;
    for (Index part = 0; part < width; part += lanes) {
      Packet product[height];
      for (Index a = 0; a < rows; ++a) product[a] = detail::load(p + a * width + part);
#pragma GCC unroll 8
      for (Index a = 0; a < rows; ++a) {
        Index const at = a * width + part;
        Scalar const s = omega / A[a * stride + a];
        Packet const step = detail::broadcast(s), old = detail::load(u + at),
                     rest = detail::subtract(detail::load(r + at), product[a]);
        Packet const next =
            apply(f, detail::multiply_add(step, rest, old), detail::multiply(step, detail::load(b + at)));
        detail::store(u + at, next);
        Packet const change = detail::subtract(next, old);
#pragma GCC unroll 8
        for (Index h = a + 1; h < rows; ++h)
          product[h] = detail::multiply_add(detail::broadcast(A[a * stride + h]), change, product[h]);
      }
    }
  }

  /// f(t, b) in each lane
  template <class F>
  static Packet apply(F const& f, Packet t, Packet b) {
    if constexpr (formula::on_packets<F>) {
      return f(t, b);
    } else {
      alignas(64) Scalar entries[lanes], weights[lanes];
      detail::store(entries, t);
      detail::store(weights, b);
      for (Index l = 0; l < lanes; ++l) entries[l] = f(entries[l], weights[l]);
      return detail::load(entries);
    }
  }

  template <int cols>
  static void judged_tile(Scalar const* A, Index stride, Index n, Scalar const* X, Scalar* out) {
    constexpr Index run = 16;
    detail::RegisterTile<Scalar, int{packets}, cols> sums;
    for (Index l = 0; l == 0 || l < n; l += run) {
      sums.clear();
      sums.add_product(std::min(run, n - l), X + l * width, lanes, width, A + l, 1, stride);
      sums.for_each([&](Packet v, Index i, Index j) __attribute__((always_inline)) {
        Scalar* const entry = out + j * width + i * lanes;
        detail::store(entry, l == 0 ? v : detail::add(detail::load(entry), v));
      });
    }
  }

  static constexpr Index ways = 8;  // independent chains, to hide the latency of an addition

  DETRAME_HOST_DEVICE static Scalar larger(Scalar v, Scalar largest) {
    return v > largest || v != v ? v : largest;
  }
};

template <class Scalar, class F, class... Views>
void each_column(Cpu<Scalar>& backend, Tasks N, Index scratch_size, F&& f, Views&&... views) {
  auto const tasks = static_cast<double>(N.count);
  double const entries =
      tasks * static_cast<double>(scratch_size) + (detail::entries(detail::reader(views).view) + ... + 0.);
  Work const work{tasks * N.flops, entries * static_cast<double>(sizeof(Scalar))};
  backend.run(N.count, work, [&](CpuLane<Scalar>& lane, Index j) {
    auto const frame = lane.frame();
    f(typename Cpu<Scalar>::Team(), j, lane.arena().template take<Scalar>(scratch_size),
      detail::reader(views).view...);
  });
}

template <class Scalar, class F, class... Views>
void each_column(CpuLane<Scalar>&, Index N, F const& f, Views&&... views) {
  for (Index j = 0; j < N; ++j) f(typename Cpu<Scalar>::Team(), j, detail::reader(views).view...);
}

}  // namespace detrame::inline DETRAME_ABI
