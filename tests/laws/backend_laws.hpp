// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <iterator>
#include <numeric>
#include <utility>

#include "support.hpp"

/// The laws of each verb of a Backend, judged by naive loops on the host at awkward sizes. A law takes any
/// model of the concept; what it reads and writes lies inside larger matrices, whose margins must survive.
namespace detrame::laws {

using namespace detrame::test;

inline constexpr Index awkward_sizes[] = {0, 1, 5, 31, 33, 257};

/// f(rows, cols) for every pair of awkward sizes.
template <class F>
void at_awkward_sizes(F&& f) {
  for (Index rows : awkward_sizes)
    for (Index cols : awkward_sizes) f(rows, cols);
}

/// A matrix that lies inside a larger one of `marker`s, so that its view has gaps between the columns.
template <class B>
struct Framed {
  using Scalar = typename B::Scalar;
  static constexpr Scalar marker = Scalar(-77);

  Framed(B& b, HostMatrix<Scalar> const& inside)
      : backend(b),
        rows(inside.rows()),
        cols(inside.cols()),
        whole(to_device(b, host_matrix<Scalar>(rows + 3, cols + 2, [&](Index i, Index j) {
                          return i >= 1 && i <= rows && j >= 1 && j <= cols ? inside(i - 1, j - 1) : marker;
                        }))) {}

  View<B> view() { return View<B>(whole).middle_cols(1, cols).middle_rows(1, rows); }
  HostMatrix<Scalar> host() { return to_host(backend, view()); }
  bool margin_survived() {
    auto const all = to_host(backend, whole);
    for (Index j = 0; j < cols + 2; ++j)
      for (Index i = 0; i < rows + 3; ++i)
        if (!(i >= 1 && i <= rows && j >= 1 && j <= cols) && all(i, j) != marker) return false;
    return true;
  }

  B& backend;
  Index rows, cols;
  Matrix<B> whole;
};

/// Entries -4 ... 4: their products and sums are exact, so a sum has one value in whatever order it is added.
template <class Scalar>
HostMatrix<Scalar> small_integers(Index rows, Index cols, std::uint64_t seed) {
  Random const random(seed, 2);
  return host_matrix<Scalar>(rows, cols, [&](Index i, Index j) {
    return static_cast<Scalar>(random.below(9, static_cast<std::uint64_t>(i + j * rows)) - 4);
  });
}

/// Equal entry by entry, NaN beside NaN included.
template <class Scalar>
bool same(HostMatrix<Scalar> const& A, HostMatrix<Scalar> const& B) {
  if (A.rows() != B.rows() || A.cols() != B.cols()) return false;
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = 0; i < A.rows(); ++i)
      if (A(i, j) != B(i, j) && !(std::isnan(A(i, j)) && std::isnan(B(i, j)))) return false;
  return true;
}

template <class Scalar>
inline constexpr Scalar nan = std::numeric_limits<Scalar>::quiet_NaN();
template <class Scalar>
inline constexpr Scalar infinity = std::numeric_limits<Scalar>::infinity();

// ---- memory -----------------------------------------------------------------------------------------------

template <Backend B>
void what_goes_in_comes_out(B& b) {
  using Scalar = typename B::Scalar;
  at_awkward_sizes([&](Index rows, Index cols) {
    auto const x = normal_matrix<Scalar>(rows, cols, seed(1));
    auto const m = to_device(b, x);
    CHECK((m.rows() == rows && m.cols() == cols));
    CHECK(to_host(b, m) == x);
    CHECK(Framed<B>(b, x).host() == x);
    CHECK(to_host(b, zeros(b, rows, cols)) == HostMatrix<Scalar>(rows, cols));
  });
  Matrix<B> const empty;
  CHECK((empty.rows() == 0 && empty.cols() == 0));
  CHECK(to_host(b, empty) == HostMatrix<Scalar>());
}

template <Backend B>
void a_matrix_is_a_value(B& b) {
  using Scalar = typename B::Scalar;
  auto const x = normal_matrix<Scalar>(5, 7, seed(2));
  Matrix<B> first = to_device(b, x), second = first;
  each(b.lane(), formula::Fill<Scalar>{Scalar(3)}, first);
  CHECK(to_host(b, second) == x);
  second = first;
  CHECK(to_host(b, second) == HostMatrix<Scalar>(5, 7, Scalar(3)));
  resize(b, second, 2, 9);
  CHECK((second.rows() == 2 && second.cols() == 9));
  CHECK((first.rows() == 5 && first.cols() == 7));
}

template <Backend B>
void views_reach_the_entries_they_name(B& b) {
  using Scalar = typename B::Scalar;
  auto const x = normal_matrix<Scalar>(12, 10, seed(3));
  Matrix<B> m = to_device(b, x);
  View<B> const v = m;
  CHECK(v.contiguous());
  CHECK(to_host(b, v.middle_rows(3, 5).middle_cols(2, 4)) ==
        host_matrix<Scalar>(5, 4, [&](Index i, Index j) { return x(i + 3, j + 2); }));
  CHECK(to_host(b, columns(v, Columns{9, 1})) ==
        host_matrix<Scalar>(12, 1, [&](Index i, Index) { return x(i, 9); }));
  CHECK(to_host(b, v.middle_cols(5, 5).reshaped(4, 15)) == host_matrix<Scalar>(4, 15, [&](Index i, Index j) {
          return x((i + 4 * j) % 12, 5 + (i + 4 * j) / 12);
        }));
  CHECK(v.middle_cols(4, 0).cols() == 0);
  CHECK(v.middle_rows(12, 0).rows() == 0);
  CHECK(!v.middle_rows(0, 11).contiguous());
  CHECK(v.middle_cols(2, 2).overlaps(columns(v, Columns{3, 1})));
  CHECK(!v.middle_cols(2, 2).overlaps(v.middle_cols(4, 2)));

  each(b.lane(), formula::Fill<Scalar>{Scalar(1)}, v.middle_rows(1, 2).middle_cols(3, 4));
  auto const expected = host_matrix<Scalar>(
      12, 10, [&](Index i, Index j) { return i >= 1 && i < 3 && j >= 3 && j < 7 ? Scalar(1) : x(i, j); });
  CHECK(to_host(b, m) == expected);
}

template <Backend B>
void scratch_lives_until_its_frame_closes(B& b) {
  using Scalar = typename B::Scalar;
  auto& lane = b.lane();
  for (int repetition = 0; repetition < 3; ++repetition) {
    auto const outer = lane.frame();
    auto const first = lane.scratch(33, 5);
    auto const second = lane.scratch(1, 257);
    auto const none = lane.scratch(0, 7);
    CHECK((first.rows() == 33 && first.cols() == 5 && none.rows() == 0 && none.cols() == 7));
    each(lane, formula::Fill<Scalar>{Scalar(1)}, first);
    each(lane, formula::Fill<Scalar>{Scalar(2)}, second);
    {
      auto const inner = lane.frame();
      each(lane, formula::Fill<Scalar>{Scalar(3)}, lane.scratch(257, 257));
    }
    auto const third = lane.scratch(31, 31);
    each(lane, formula::Fill<Scalar>{Scalar(4)}, third);
    CHECK(to_host(b, first) == HostMatrix<Scalar>(33, 5, Scalar(1)));
    CHECK(to_host(b, second) == HostMatrix<Scalar>(1, 257, Scalar(2)));
    CHECK(to_host(b, third) == HostMatrix<Scalar>(31, 31, Scalar(4)));
  }
}

// ---- entry by entry ---------------------------------------------------------------------------------------

/// y <- 2 y + x + v - w, with v the same in each column and w the same in each row.
struct FourArguments {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x, Scalar v, Scalar w) const {
    y = 2 * y + x + v - w;
  }
};

/// y <- x + 10 i + 1000 j
struct PlusPlace {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& y, Scalar x) const {
    y = x + static_cast<Scalar>(10 * i + 1000 * j);
  }
};

template <Backend B>
void each_maps_every_entry(B& b) {
  using Scalar = typename B::Scalar;
  at_awkward_sizes([&](Index rows, Index cols) {
    auto const y = small_integers<Scalar>(rows, cols, seed(1)),
               x = small_integers<Scalar>(rows, cols, seed(2));
    auto const v = small_integers<Scalar>(rows, 1, seed(3)), w = small_integers<Scalar>(1, cols, seed(4));
    Framed<B> Y(b, y), X(b, x), V(b, v), W(b, w);
    each(b.lane(), FourArguments(), Y.view(), X.view(), PerRow{V.view()}, PerColumn{W.view()});
    CHECK(Y.host() == host_matrix<Scalar>(rows, cols, [&](Index i, Index j) {
            return 2 * y(i, j) + x(i, j) + v(i, 0) - w(0, j);
          }));
    CHECK((Y.margin_survived() && X.host() == x && V.host() == v && W.host() == w));

    Matrix<B> const const_x = to_device(b, x);  // matrices and const matrices too,
    Matrix<B> m = to_device(b, y);
    each(b.lane(), formula::Subtract(), m, const_x);
    each(b.lane(), formula::Add(), m, m);  // and one matrix twice
    CHECK(to_host(b, m) == mapped([](Scalar s, Scalar t) { return 2 * (s - t); }, y, x));

    each_indexed(b.lane(), PlusPlace(), Y.view(), X.view());
    CHECK(Y.host() == host_matrix<Scalar>(rows, cols, [&](Index i, Index j) {
            return x(i, j) + static_cast<Scalar>(10 * i + 1000 * j);
          }));
    CHECK(Y.margin_survived());
  });
}

/// y <- scale y + x + 10 i + 1000 j
template <class Scalar>
struct ScaledPlusPlace {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& y, Scalar x) const {
    y = scale * y + x + static_cast<Scalar>(10 * i + 1000 * j);
  }
};

/// More items than Items keeps or a launch takes, of every shape, each with a formula of its own.
template <Backend B>
void each_of_maps_every_item(B& b) {
  using Scalar = typename B::Scalar;
  std::vector<std::pair<Index, Index>> shapes;
  at_awkward_sizes([&](Index rows, Index cols) { shapes.emplace_back(rows, cols); });
  for (Index n = 0; n < 100; ++n) shapes.emplace_back(1 + n % 4, 1 + n % 3);
  std::vector<HostMatrix<Scalar>> y, x;
  std::vector<Framed<B>> Y, X;
  for (auto const& [rows, cols] : shapes) {
    y.push_back(small_integers<Scalar>(rows, cols, seed(y.size())));
    x.push_back(small_integers<Scalar>(rows, cols, seed(1000 + x.size())));
    Y.emplace_back(b, y.back());
    X.emplace_back(b, x.back());
  }
  Items<B, ScaledPlusPlace<Scalar>, View<B>, ConstView<B>> items(b);
  items.finish();  // none is legal
  for (std::size_t n = 0; n < shapes.size(); ++n)
    items.add({static_cast<Scalar>(n % 8)}, Y[n].view(), X[n].view());
  items.finish();
  Index wrong = 0;
  for (std::size_t n = 0; n < shapes.size(); ++n) {
    auto const expected = host_matrix<Scalar>(y[n].rows(), y[n].cols(), [&](Index i, Index j) {
      return static_cast<Scalar>(n % 8) * y[n](i, j) + x[n](i, j) + static_cast<Scalar>(10 * i + 1000 * j);
    });
    wrong += !(Y[n].host() == expected && Y[n].margin_survived() && X[n].host() == x[n]);
  }
  CHECK(wrong == 0);
}

template <Backend B>
void nan_goes_through_activations(B& b) {
  using Scalar = typename B::Scalar;
  HostMatrix<Scalar> x(33, 1, Scalar(-1));
  x(2, 0) = nan<Scalar>;
  x(3, 0) = infinity<Scalar>;
  x(4, 0) = -infinity<Scalar>;
  x(32, 0) = nan<Scalar>;
  auto const X = to_device(b, x);
  auto y = zeros(b, 33, 1);
  each(b.lane(), formula::Relu(), y, X);
  auto const host = to_host(b, y);
  CHECK((std::isnan(host(2, 0)) && std::isnan(host(32, 0)) && host(3, 0) == infinity<Scalar> &&
         host(4, 0) == 0));
  CHECK(host(0, 0) == 0);
}

template <Backend B>
void copy_entries_keeps_their_order(B& b) {
  using Scalar = typename B::Scalar;
  for (Index n : awkward_sizes) {
    auto const x = normal_matrix<Scalar>(6, n, seed(5));
    Framed<B> X(b, x), Y(b, HostMatrix<Scalar>(2, 3 * n, nan<Scalar>));
    copy_entries(b.lane(), X.view(), Y.view());
    CHECK(Y.host() == host_matrix<Scalar>(
                          2, 3 * n, [&](Index i, Index j) { return x((i + 2 * j) % 6, (i + 2 * j) / 6); }));
    CHECK(Y.margin_survived());
  }
}

template <Backend B>
void gather_takes_the_columns_it_is_told(B& b) {
  using Scalar = typename B::Scalar;
  for (Index rows : awkward_sizes) {
    auto const x = normal_matrix<Scalar>(rows, 31, seed(5));
    Framed<B> X(b, x);
    for (std::vector<Index> const& indices :
         {std::vector<Index>{}, std::vector<Index>{30}, std::vector<Index>{0, 7, 7, 30, 1}}) {
      auto const n = static_cast<Index>(indices.size());
      Framed<B> Y(b, HostMatrix<Scalar>(rows, n));
      gather_columns(b.lane(), X.view(), indices, Y.view());
      CHECK(Y.host() == host_matrix<Scalar>(rows, n, [&](Index i, Index j) {
              return x(i, indices[static_cast<std::size_t>(j)]);
            }));
      CHECK(Y.margin_survived());
    }
  }
}

// ---- sums and maxima --------------------------------------------------------------------------------------

struct ProductOfThree {
  template <class Scalar>
  DETRAME_HOST_DEVICE Scalar operator()(Scalar s, Scalar t, Scalar u) const {
    return s * t * u;
  }
};

template <Backend B>
void sums_are_sums(B& b) {
  using Scalar = typename B::Scalar;
  at_awkward_sizes([&](Index rows, Index cols) {
    auto const x = small_integers<Scalar>(rows, cols, seed(1)),
               y = small_integers<Scalar>(rows, cols, seed(2));
    auto const r = small_integers<Scalar>(rows, 1, seed(3)), w = small_integers<Scalar>(1, cols, seed(4));
    HostMatrix<Scalar> by_row = r, by_column(1, cols), weighted(1, cols), largest(1, cols, -infinity<Scalar>);
    Scalar all(0), top = -infinity<Scalar>;
    for (Index j = 0; j < cols; ++j)
      for (Index i = 0; i < rows; ++i) {
        by_row(i, 0) += x(i, j) * y(i, j);
        by_column(0, j) += x(i, j) * y(i, j);
        weighted(0, j) += x(i, j) * r(i, 0) * w(0, j);
        largest(0, j) = std::max(largest(0, j), x(i, j) - y(i, j));
        all += x(i, j);
        top = std::max(top, x(i, j));
      }
    HostMatrix<Scalar> const stale(1, cols, nan<Scalar>);
    Framed<B> X(b, x), Y(b, y), R(b, r), R_before(b, r), W(b, w);
    Framed<B> C(b, stale), weighted_C(b, stale), L(b, stale);
    row_sums(b.lane(), R.view(), formula::Product(), X.view(), Y.view());
    column_sums(b.lane(), C.view(), formula::Product(), X.view(), Y.view());
    column_sums(b.lane(), weighted_C.view(), ProductOfThree(), X.view(), PerRow{R_before.view()},
                PerColumn{W.view()});
    column_max(b.lane(), L.view(), formula::Difference(), X.view(), Y.view());
    CHECK((R.host() == by_row && R.margin_survived()));     // added
    CHECK((C.host() == by_column && C.margin_survived()));  // assigned
    CHECK((weighted_C.host() == weighted && weighted_C.margin_survived()));
    CHECK((L.host() == largest && L.margin_survived()));
    CHECK(sum_to_host(b.lane(), X.view()) == all);
    CHECK(max_to_host(b.lane(), X.view()) == top);
  });
}

/// A sum of n rounded terms is off by at most c n eps sum |x_i|.
template <Backend B>
void column_sums_round_within_their_bound(B& b) {
  using Scalar = typename B::Scalar;
  for (Index rows : awkward_sizes) {
    auto const x = normal_matrix<Scalar>(rows, 5, seed(6));
    auto const X = to_device(b, x);
    auto out = zeros(b, 1, 5);
    column_sums(b.lane(), out, formula::Square(), X);
    auto const host = to_host(b, out);
    for (Index j = 0; j < 5; ++j) {
      double exact = 0;
      for (Index i = 0; i < rows; ++i) exact += static_cast<double>(x(i, j)) * static_cast<double>(x(i, j));
      CHECK(std::abs(static_cast<double>(host(0, j)) - exact) <= tolerance<Scalar>(rows, exact));
    }
  }
}

/// Rows of mean 10000 and deviation 1: in float a mean of squares less the square of the mean has no digit.
template <Backend B>
void check_row_moments(B& b, Index rows, Index cols) {
  using Scalar = typename B::Scalar;
  CAPTURE(rows);
  CAPTURE(cols);
  auto const x = mapped([](Scalar s) { return 10000 + s; }, normal_matrix<Scalar>(rows, cols, seed(1)));
  Framed<B> X(b, x), M(b, HostMatrix<Scalar>(rows, 1, nan<Scalar>)), V(b, HostMatrix<Scalar>(rows, 1));
  row_moments(b, X.view(), M.view(), V.view());
  auto const mean = rounded<double>(M.host()), variance = rounded<double>(V.host());
  Index wrong = 0;
  for (Index i = 0; i < rows; ++i) {
    double m = 0, squares = 0, reach = 0;
    for (Index j = 0; j < cols; ++j) {
      double const d = static_cast<double>(x(i, j)) - static_cast<double>(x(i, 0));
      reach = std::max(reach, std::abs(d));
      m += d / static_cast<double>(cols);
    }
    for (Index j = 0; j < cols; ++j) {
      double const d = static_cast<double>(x(i, j)) - static_cast<double>(x(i, 0)) - m;
      squares += d * d / static_cast<double>(cols);
    }
    m += cols == 0 ? 0 : static_cast<double>(x(i, 0));
    double const last =
        m * static_cast<double>(limits::epsilon<Scalar>) / 2;  // x_i0 is added to what is small
    wrong += !(std::abs(mean(i, 0) - m) <= last + static_cast<double>(tolerance<Scalar>(cols, reach)) &&
               std::abs(variance(i, 0) - squares) <= tolerance<Scalar>(cols, reach * reach));
  }
  CHECK(wrong == 0);
  CHECK((X.host() == x && M.margin_survived() && V.margin_survived()));
}

template <Backend B>
void row_moments_are_those_of_all_columns(B& b) {
  using Scalar = typename B::Scalar;
  at_awkward_sizes([&](Index rows, Index cols) { check_row_moments(b, rows, cols); });
  for (Index cols : {2, 511, 512, 3001}) check_row_moments(b, 3, cols);
  for (Scalar bad : {nan<Scalar>, infinity<Scalar>})
    for (Index place : {0, 1, 700}) {
      auto x = normal_matrix<Scalar>(3, 701, seed(2));
      x(1, place) = bad;
      auto const X = to_device(b, x);
      auto mean = zeros(b, 3, 1), variance = zeros(b, 3, 1);
      row_moments(b, X, mean, variance);
      for (auto const& host : {to_host(b, mean), to_host(b, variance)})
        CHECK((std::isfinite(host(0, 0)) && !std::isfinite(host(1, 0)) && std::isfinite(host(2, 0))));
    }
}

template <Backend B>
void maxima_do_not_lose_nan(B& b) {
  using Scalar = typename B::Scalar;
  for (Index place : {0, 1, 30, 31, 32}) {
    HostMatrix<Scalar> x(33, 3, Scalar(1));
    x(place, 1) = nan<Scalar>;
    x(17, 2) = infinity<Scalar>;
    auto const X = to_device(b, x);
    auto out = zeros(b, 1, 3);
    column_max(b.lane(), out, formula::Identity(), X);
    auto const host = to_host(b, out);
    CHECK((host(0, 0) == 1 && std::isnan(host(0, 1)) && host(0, 2) == infinity<Scalar>));
    CHECK(std::isnan(max_to_host(b.lane(), X)));
    CHECK(std::isnan(sum_to_host(b.lane(), X)));
  }
}

// ---- products ---------------------------------------------------------------------------------------------

/// gemm against a double loop: |C - exact|_ij <= c k eps (|alpha| |A| |B| + |beta C|)_ij.
template <Backend B>
void check_gemm(B& b, Index rows, Index cols, Index depth, Op op_A, Op op_B, double alpha, double beta) {
  using Scalar = typename B::Scalar;
  CAPTURE(rows);
  CAPTURE(cols);
  CAPTURE(depth);
  bool const plain_A = op_A == Op::none, plain_B = op_B == Op::none;
  auto const A =
      plain_A ? normal_matrix<Scalar>(rows, depth, seed(1)) : normal_matrix<Scalar>(depth, rows, seed(1));
  auto const B_ =
      plain_B ? normal_matrix<Scalar>(depth, cols, seed(2)) : normal_matrix<Scalar>(cols, depth, seed(2));
  auto const C =
      beta == 0 ? HostMatrix<Scalar>(rows, cols, nan<Scalar>) : normal_matrix<Scalar>(rows, cols, seed(3));
  Framed<B> framed_A(b, A), framed_B(b, B_), framed_C(b, C);
  gemm(b.lane(), static_cast<Scalar>(alpha), framed_A.view(), op_A, framed_B.view(), op_B,
       static_cast<Scalar>(beta), framed_C.view());
  auto const got = framed_C.host();
  Index wrong = 0;
  for (Index j = 0; j < cols; ++j)
    for (Index i = 0; i < rows; ++i) {
      double exact = beta == 0 ? 0 : beta * static_cast<double>(C(i, j)), scale = std::abs(exact);
      for (Index l = 0; l < depth; ++l) {
        double const term = alpha * static_cast<double>(plain_A ? A(i, l) : A(l, i)) *
                            static_cast<double>(plain_B ? B_(l, j) : B_(j, l));
        exact += term;
        scale += std::abs(term);
      }
      if (!(std::abs(static_cast<double>(got(i, j)) - exact) <= tolerance<Scalar>(depth, scale))) ++wrong;
    }
  CHECK(wrong == 0);
  CHECK(framed_C.margin_survived());
}

template <Backend B>
void gemm_is_the_product(B& b) {
  constexpr Index count = std::size(awkward_sizes);
  for (Op op_A : {Op::none, Op::transposed})
    for (Op op_B : {Op::none, Op::transposed})
      for (Index i = 0; i < count; ++i)
        for (Index j = 0; j < count; ++j) {
          Index const depth = awkward_sizes[(i + 2 * j + 3) % count];
          check_gemm(b, awkward_sizes[i], awkward_sizes[j], depth, op_A, op_B, 1, 0);
          if (i == j) check_gemm(b, awkward_sizes[i], awkward_sizes[j], depth, op_A, op_B, -0.5, 1);
          if (i != j) check_gemm(b, awkward_sizes[i], awkward_sizes[j], depth, op_A, op_B, 2, -3);
        }
}

template <Backend B>
void gemm_hides_no_nan_but_stale_ones(B& b) {
  using Scalar = typename B::Scalar;
  auto a = normal_matrix<Scalar>(33, 31, seed(1));
  a(7, 30) = nan<Scalar>;
  auto const A = to_device(b, a);
  auto const x = to_device(b, normal_matrix<Scalar>(31, 5, seed(2)));
  auto C = to_device(b, HostMatrix<Scalar>(33, 5, nan<Scalar>));
  gemm(b.lane(), Scalar(1), A, Op::none, x, Op::none, Scalar(0), C);
  auto const host = to_host(b, C);
  for (Index j = 0; j < 5; ++j)
    for (Index i = 0; i < 33; ++i) CHECK(std::isnan(host(i, j)) == (i == 7));
}

/// y <- v row - column + beside, an entry at a time, or several in a vector of the compiler.
template <bool packets>
struct CombineAll {
  static constexpr bool on_packets = packets;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y, Scalar row, Scalar column, Scalar beside) const {
    y = v * row - column + beside;
  }
};

/// A group of a prepared factor gives the product with that group, with what follows it, whatever the sizes.
template <Backend B, bool packets>
void prepared_products_are_products(B& b) {
  using Scalar = typename B::Scalar;
  auto const check = [&](Index rows, Index cols, Index depth) {
    for (Op op : {Op::none, Op::transposed})
      for (Index groups : {1, 3}) {
        bool const plain = op == Op::none;
        auto const a = small_integers<Scalar>(plain ? rows : depth, groups * (plain ? depth : rows), seed(1));
        auto const u = small_integers<Scalar>(depth, cols, seed(2)),
                   x = small_integers<Scalar>(rows, cols, seed(3)),
                   row = small_integers<Scalar>(rows, 1, seed(4)),
                   column = small_integers<Scalar>(1, cols, seed(5));
        Framed<B> A(b, a), U(b, u), X(b, x), R(b, row), C(b, column);
        auto const frame = b.lane().frame();
        auto const prepared = prepare_product(b, A.view(), op, groups);
        auto const on_a_lane = prepare_product(b.lane(), A.view(), op, groups);
        for (Index g = 0; g < groups; ++g) {
          Framed<B> Y(b, HostMatrix<Scalar>(rows, cols, Scalar(7)));
          product_each(b.lane(), (g == 0 ? on_a_lane : prepared).group(g), ConstView<B>(U.view()),
                       CombineAll<packets>(), Y.view(), PerRow{ConstView<B>(R.view())},
                       PerColumn{ConstView<B>(C.view())}, ConstView<B>(X.view()));
          Index const width = a.cols() / groups;
          auto const block =
              host_matrix<Scalar>(a.rows(), width, [&](Index i, Index j) { return a(i, g * width + j); });
          auto const v = product(plain ? block : transposed(block), u);
          CHECK(Y.host() == host_matrix<Scalar>(rows, cols, [&](Index i, Index j) {
                  return v(i, j) * row(i, 0) - column(0, j) + x(i, j);
                }));
          CHECK(Y.margin_survived());
        }
      }
  };
  at_awkward_sizes([&](Index rows, Index cols) { check(rows, cols, 5); });
  for (Index depth : {0, 64, 65}) check(9, 11, depth);
}

/// C + sign A B^T; columns of B whose distance is that of cache lines which share a set, too.
template <Backend B>
void outer_products_add(B& b) {
  using Scalar = typename B::Scalar;
  auto const check = [&](Index rows, Index cols, Index n) {
    auto const a = small_integers<Scalar>(rows, n, seed(1)), u = small_integers<Scalar>(cols, n, seed(2)),
               c = small_integers<Scalar>(rows, cols, seed(3));
    Framed<B> A(b, a), C(b, c);
    auto const U = to_device(b, u);
    add_outer_product(b.lane(), ConstView<B>(A.view()), ConstView<B>(U), Scalar(-2), C.view());
    auto const v = product(a, transposed(u));
    CHECK(C.host() ==
          host_matrix<Scalar>(rows, cols, [&](Index i, Index j) { return c(i, j) - Scalar(2) * v(i, j); }));
    CHECK(C.margin_survived());
  };
  at_awkward_sizes([&](Index rows, Index cols) { check(rows, cols, 9); });
  check(5, 256, 7);
}

// ---- chunks -----------------------------------------------------------------------------------------------

template <class Lane, class Where>
void chunks_cover_the_batch_and_cut_no_sample(Where& where) {
  for (Index unit : {1, 3, 49, 100})
    for (Index samples : awkward_sizes)
      for (Index scalars_per_column : {0, 1, 1 << 10, 1 << 22}) {
        Index const N = samples * unit;
        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(N));
        std::atomic<int> cuts = 0, empty = 0;
        each_chunk(where, Batch{N, unit}, scalars_per_column, [&](Lane&, Columns c) {
          if (c.first % unit != 0 || c.count % unit != 0) ++cuts;
          if (c.count == 0) ++empty;
          for (Index j = 0; j < c.count; ++j) ++visits[static_cast<std::size_t>(c.first + j)];
        });
        CHECK((cuts == 0 && empty == 0));
        CHECK(std::all_of(visits.begin(), visits.end(), [](std::atomic<int> const& n) { return n == 1; }));
      }
}

template <Backend B>
void each_chunk_computes_the_whole_batch(B& b) {
  using Scalar = typename B::Scalar;
  for (Index N : awkward_sizes) {
    auto const x = normal_matrix<Scalar>(5, N, seed(1));
    auto const X = to_device(b, x);
    auto Y = zeros(b, 5, N);
    ConstView<B> const from = X;
    View<B> const to = Y;
    each_chunk(b, Batch{N}, 1 << 16, [&](typename B::Lane& lane, Columns c) {
      auto const twice = lane.scratch(5, c.count);
      each(lane, formula::Assign(), twice, columns(from, c));
      each(lane, formula::Scale<Scalar>{Scalar(2)}, twice);
      each(lane, formula::Assign(), columns(to, c), twice);
    });
    CHECK(to_host(b, Y) == mapped([](Scalar t) { return 2 * t; }, x));
  }
}

template <Backend B>
void sum_chunks_adds_what_a_serial_sum_adds(B& b) {
  using Scalar = typename B::Scalar;
  for (Index unit : {1, 7})
    for (Index samples : {0, 1, 33, 257, 1500})
      for (Index scalars_per_column : {1, 1 << 14}) {
        Index const N = samples * unit, k = 5;
        auto const x = small_integers<Scalar>(k, N, seed(1));
        auto const X = to_device(b, x);
        auto const before = small_integers<Scalar>(k, k, seed(2)), r = small_integers<Scalar>(k, 1, seed(3));
        Framed<B> squares(b, before), rows(b, r);
        ConstView<B> const from = X;
        sum_chunks(b, Batch{N, unit}, scalars_per_column, std::array<View<B>, 2>{squares.view(), rows.view()},
                   [&](typename B::Lane& lane, Columns c, auto const& sum) {
                     gemm(lane, Scalar(1), columns(from, c), Op::none, columns(from, c), Op::transposed,
                          Scalar(1), sum[0]);
                     row_sums(lane, sum[1], formula::Identity(), columns(from, c));
                   });
        auto const gram = product(x, transposed(x));
        auto const ones = HostMatrix<Scalar>(N, 1, Scalar(1));
        auto const plus = [](Scalar s, Scalar t) { return s + t; };
        CHECK(squares.host() == mapped(plus, before, gram));
        CHECK(rows.host() == mapped(plus, r, product(x, ones)));
        CHECK((squares.margin_survived() && rows.margin_survived()));
      }
}

struct Thrown : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <Backend B>
void what_a_chunk_throws_arrives(B& b) {
  using Scalar = typename B::Scalar;
  auto const last_column = [](Columns c) { return c.first + c.count == 1000; };
  check_throws_with<Thrown>(
      [&] {
        each_chunk(b, Batch{1000}, 1, [&](typename B::Lane& lane, Columns c) {
          auto const frame = lane.frame();
          each(lane, formula::Fill<Scalar>{Scalar(1)}, lane.scratch(5, c.count));
          if (last_column(c)) throw Thrown("in each_chunk");
        });
      },
      "in each_chunk");
  auto sum = zeros(b, 1, 1);
  check_throws_with<Thrown>(
      [&] {
        sum_chunks(b, Batch{1000}, 1, std::array<View<B>, 1>{sum},
                   [&](typename B::Lane&, Columns c, auto const&) {
                     if (last_column(c)) throw Thrown("in sum_chunks");
                   });
      },
      "in sum_chunks");
  each_chunk_computes_the_whole_batch(b);  // and the backend still works
}

/// Of backends whose kernels run on the host.
template <Backend B>
void what_a_column_throws_arrives(B& b) {
  check_throws_with<Thrown>(
      [&] {
        each_column(b, 1000, 1, [](auto const&, Index j, auto*) {
          if (j == 500) throw Thrown("in each_column");
        });
      },
      "in each_column");
  each_chunk_computes_the_whole_batch(b);  // and the backend still works
}

// ---- columns, factorisations ------------------------------------------------------------------------------

/// Each column j: u <- A^{-1} z by the verbs of the team, the factor made in one go and in two, and
/// s_j <- (sum_i u_i, max(0, max_i u_i), rows factored in the first go and in all).
struct SolveColumn {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* F, MatrixView<Scalar const> A,
                                      MatrixView<Scalar const> z, MatrixView<Scalar> u,
                                      MatrixView<Scalar> s) const {
    Index const k = A.rows();
    Scalar* const x = F + Team::factor_size(k);
    team.each(Team::factor_size(k), [=](Index p) { F[p] = limits::nan<Scalar>; });  // above the diagonal
    team.each(k, [=](Index i) {
      for (Index l = 0; l <= i; ++l) F[Team::factor_place(i, l)] = A(i, l);
      x[i] = z(i, j);
    });
    Index const part = j % 2 == 0 ? 0 : k / Team::tile * Team::tile;
    Index const first = team.cholesky(F, part, 0), all = team.cholesky(F, k, part);
    team.cholesky_solve(F, k, x);
    team.each(k, [=](Index i) { u(i, j) = x[i]; });
    Scalar const sum = team.sum(k, [=](Index i) { return x[i]; });
    Scalar const largest = team.max(k, [=](Index i) { return x[i]; });
    team.once([=] {
      s(0, j) = sum;
      s(1, j) = largest;
      s(2, j) = static_cast<Scalar>(part - first);
      s(3, j) = static_cast<Scalar>(k - all);
    });
  }
};

/// x(1, j) <- j
struct EnterPlace {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar> x) const {
    team.once([=] { x(1, j) = static_cast<Scalar>(j); });
  }
};

struct AddPlace {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, MatrixView<Scalar> x) const {
    team.each(x.rows(), [=](Index i) { x(i, j) += static_cast<Scalar>(i * j); });
  }
};

template <Backend B>
void each_column_works_on_every_column(B& b) {
  using Scalar = typename B::Scalar;
  using Team = typename B::Team;
  for (Index k : {1, 5, 33})
    for (Index N : awkward_sizes) {
      auto const u = normal_matrix<Scalar>(k, N, seed(2));
      auto const A = definite_matrix<Scalar>(k, 10, seed(1));
      auto const device_A = to_device(b, A);
      Framed<B> Z(b, product(A, u)), U(b, HostMatrix<Scalar>(k, N, nan<Scalar>)),
          S(b, HostMatrix<Scalar>(4, N));
      each_column(b, N, Team::factor_size(k) + Team::padded(k), SolveColumn(), device_A,
                  ConstView<B>(Z.view()), U.view(), S.view());
      auto const got = U.host(), reports = S.host();
      CHECK(max_abs_difference(got, u) <= tolerance<Scalar>(k, 10 * static_cast<double>(max_abs(u))));
      CHECK(max_abs_difference(
                HostMatrix<Scalar>(host_matrix<Scalar>(1, N, [&](Index, Index j) { return reports(0, j); })),
                product(HostMatrix<Scalar>(1, k, Scalar(1)), got)) <=
            tolerance<Scalar>(k, static_cast<double>(k) * static_cast<double>(max_abs(u))));
      Index refused = 0;
      for (Index j = 0; j < N; ++j) {
        Scalar largest(0);
        for (Index i = 0; i < k; ++i) largest = std::max(largest, got(i, j));
        CHECK(reports(1, j) == largest);
        if (reports(2, j) != 0 || reports(3, j) != 0) ++refused;
      }
      CHECK(refused == 0);
      CHECK((U.margin_survived() && S.margin_survived() && Z.margin_survived()));
    }
  auto m = zeros(b, 2, 3);  // a matrix is passed by reference too
  each_column(b, 3, 0, EnterPlace(), m);
  CHECK(to_host(b, m) ==
        host_matrix<Scalar>(2, 3, [](Index i, Index j) { return static_cast<Scalar>(i * j); }));
  for (Index N : {0, 3, 70}) {  // on one lane, in its order with other verbs
    auto ones = to_device(b, HostMatrix<Scalar>(2, N, Scalar(1)));
    each_column(b.lane(), N, AddPlace(), View<B>(ones));
    each(b.lane(), formula::Add(), ones, ConstView<B>(ones));
    CHECK(to_host(b, ones) ==
          host_matrix<Scalar>(2, N, [](Index i, Index j) { return static_cast<Scalar>(2 + 2 * i * j); }));
  }
}

/// result <- left^T right for `count` columns of left.
struct MultiplySideBySide {
  Index n, count;
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index, Scalar* by_rows, MatrixView<Scalar> left,
                                      MatrixView<Scalar> right, MatrixView<Scalar> result) const {
    Scalar* const products = by_rows + n * Team::width;
    team.each(n * Team::width, [=](Index i) { by_rows[i] = right(i / Team::width, i % Team::width); });
    team.inner_products(left.data(), left.stride(), n, count, by_rows, products);
    team.each(count * Team::width, [=](Index i) { result(i / Team::width, i % Team::width) = products[i]; });
  }
};

/// m_j <- the largest of 32 numbers, -1 or, in place j, NaN, and of 0; then of the numbers and -3;
/// then of -3.
struct LargestWithNan {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar> m) const {
    auto const at = [=](Index i) { return i == j ? limits::nan<Scalar> : Scalar(-1); };
    Scalar const largest = team.max(32, at), above = team.max(32, at, Scalar(-3)),
                 alone = team.max(0, at, Scalar(-3));
    team.once([=] {
      m(0, j) = largest;
      m(1, j) = above;
      m(2, j) = alone;
    });
  }
};

/// The products of up to `height` columns of A with `width` columns side by side,
/// and maxima that do not lose NaN.
template <Backend B>
void a_team_multiplies_columns_side_by_side(B& b) {
  using Scalar = typename B::Scalar;
  using Team = typename B::Team;
  for (Index n : awkward_sizes) {
    auto const a = small_integers<Scalar>(n, Team::height, seed(1)),
               x = small_integers<Scalar>(n, Team::width, seed(2));
    Framed<B> A(b, a), X(b, x), out(b, HostMatrix<Scalar>(Team::height, Team::width, nan<Scalar>));
    for (Index count = 1; count <= Team::height; ++count) {
      each_column(b, 1, (n + Team::height) * Team::width, MultiplySideBySide{n, count}, A.view(), X.view(),
                  out.view());
      auto const got = out.host(), expected = product(transposed(a), x);
      for (Index i = 0; i < count; ++i)
        for (Index c = 0; c < Team::width; ++c) CHECK(got(i, c) == expected(i, c));
      CHECK(out.margin_survived());
    }
  }
  auto largest = zeros(b, 3, 33);
  each_column(b, 33, 0, LargestWithNan(), largest);
  auto const host = to_host(b, largest);
  for (Index j = 0; j < 32; ++j) CHECK((std::isnan(host(0, j)) && std::isnan(host(1, j))));
  CHECK((host(0, 32) == 0 && host(1, 32) == -1 && host(2, 32) == -3));
}

/// done <- how many rows of A a team factors; its lower triangle is read.
struct FactorRows {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index, Scalar* F, MatrixView<Scalar const> A,
                                      MatrixView<Scalar> done) const {
    team.each(A.rows(), [=](Index i) {
      for (Index j = 0; j <= i; ++j) F[Team::factor_place(i, j)] = A(i, j);
    });
    Index const rows = team.cholesky(F, A.rows(), 0);
    team.once([=] { done(0, 0) = static_cast<Scalar>(rows); });
  }
};

/// How many rows of the symmetric n x n matrix q(i, j) a team factors.
template <Backend B, class F>
Index rows_factored(B& b, Index n, F const& q) {
  using Scalar = typename B::Scalar;
  auto const A = to_device(b, host_matrix<Scalar>(n, n, q));
  auto done = zeros(b, 1, 1);
  each_column(b, 1, B::Team::factor_size(n), FactorRows(), A, done);
  return static_cast<Index>(max_to_host(b.lane(), done));
}

/// Rows before the first bad one are factored: the bad one repeats row 3, is too small, is NaN,
/// or is infinite.
template <Backend B>
void a_factor_stops_at_the_first_bad_row(B& b) {
  using Scalar = typename B::Scalar;
  for (Index n : {5, 33})
    for (Index bad : {4, 20, 32}) {
      if (bad >= n) continue;
      auto const A = definite_matrix<Scalar>(n, 10, seed(1));
      auto const at = [&](Index i, Index j) { return A(i == bad ? 3 : i, j == bad ? 3 : j); };
      CHECK(rows_factored(b, n, at) == bad);
      for (Scalar entry : {Scalar(-1), Scalar(0), nan<Scalar>, infinity<Scalar>}) {
        CHECK(rows_factored(b, n, [&](Index i, Index j) { return i == bad && j == bad ? entry : A(i, j); }) ==
              bad);
        if (!(std::abs(entry) <= 1))
          CHECK(rows_factored(b, n, [&](Index i, Index j) { return i == bad && j == 1 ? entry : A(i, j); }) ==
                bad);
      }
      CHECK(rows_factored(b, n, [&](Index i, Index j) { return A(i, j); }) == n);
    }
}

template <Backend B>
bool solve_accepts(B& b, HostMatrix<typename B::Scalar> const& A) {
  using Scalar = typename B::Scalar;
  auto const device_A = to_device(b, A);
  auto out = to_device(b, HostMatrix<Scalar>(A.rows(), 1, Scalar(5)));
  bool const accepted =
      definite_solve(b, device_A, to_device(b, HostMatrix<Scalar>(A.rows(), 1, Scalar(1))), out);
  if (!accepted) CHECK(to_host(b, out) == HostMatrix<Scalar>(A.rows(), 1, Scalar(5)));
  return accepted;
}

template <Backend B>
void only_definite_matrices_are_solved(B& b) {
  using Scalar = typename B::Scalar;
  struct Case {
    Scalar a, c, d;
    bool definite;
  };
  for (Case const& q : {Case{2, 1, 2, true}, Case{1, 2, 1, false}, Case{0, 0, 1, false}, Case{1, 1, 1, false},
                        Case{-1, 0, 1, false}, Case{nan<Scalar>, 0, 1, false}, Case{1, nan<Scalar>, 1, false},
                        Case{1, 0, nan<Scalar>, false}, Case{infinity<Scalar>, 0, 1, false},
                        Case{1, 0, infinity<Scalar>, false}})
    CHECK(solve_accepts(b, host_matrix<Scalar>(2, 2, [&](Index i, Index j) {
                          return i != j ? q.c : (i == 0 ? q.a : q.d);
                        })) == q.definite);
}

template <Backend B>
void definite_solve_solves(B& b) {
  using Scalar = typename B::Scalar;
  double const condition = 10;
  for (Index k : awkward_sizes) {
    if (k == 257) k = 65;
    for (Index n : {0, 1, 5}) {
      auto A = definite_matrix<Scalar>(k, condition, seed(1));
      auto const u = normal_matrix<Scalar>(k, n, seed(2));
      auto const rhs = product(A, u);
      for (Index j = 0; j < k; ++j)
        for (Index i = 0; i < j; ++i) A(i, j) = nan<Scalar>;  // the upper triangle is not read
      Framed<B> framed_A(b, A), R(b, rhs), U(b, HostMatrix<Scalar>(k, n));
      CHECK(definite_solve(b, framed_A.view(), R.view(), U.view()));
      CHECK(max_abs_difference(U.host(), u) <= tolerance<Scalar>(k, condition * 4));
      CHECK(U.margin_survived());
      CHECK(definite_solve(b, framed_A.view(), R.view(), R.view()));  // in place
      CHECK(R.host() == U.host());
    }
  }
}

template <Backend B>
void eigenvalues_are_known_ones(B& b) {
  using Scalar = typename B::Scalar;
  for (Index k : {0, 1, 5, 33}) {
    double const condition = 100;
    auto A = definite_matrix<Scalar>(k, condition, seed(1));
    for (Index j = 0; j < k; ++j)
      for (Index i = 0; i < j; ++i) A(i, j) = nan<Scalar>;  // the upper triangle is not read
    Framed<B> framed(b, A);
    auto const values = symmetric_eigenvalues(b, framed.view());
    CHECK(values.size() == static_cast<std::size_t>(k));
    CHECK(std::is_sorted(values.begin(), values.end()));
    for (Index l = 0; l < k; ++l) {
      double const expected =
          k == 1 ? 1 : std::pow(condition, -static_cast<double>(k - 1 - l) / static_cast<double>(k - 1));
      CHECK(std::abs(static_cast<double>(values[static_cast<std::size_t>(l)]) - expected) <=
            tolerance<Scalar>(k, 1));
    }
  }
  HostMatrix<Scalar> const indefinite =
      host_matrix<Scalar>(2, 2, [](Index i, Index j) { return Scalar(i + j == 1); });
  auto const values = symmetric_eigenvalues(b, to_device(b, indefinite));
  CHECK((std::abs(values[0] + 1) <= tolerance<Scalar>(2, 1) &&
         std::abs(values[1] - 1) <= tolerance<Scalar>(2, 1)));
  for (Scalar bad : {nan<Scalar>, infinity<Scalar>}) {
    HostMatrix<Scalar> A(3, 3, Scalar(1));
    A(2, 0) = bad;
    for (Scalar value : symmetric_eigenvalues(b, to_device(b, A))) CHECK(std::isnan(value));
  }
}

// ---- the suite --------------------------------------------------------------------------------------------

/// All laws for one backend: a test case of its own subcases.
template <Backend B>
void backend_laws() {
  B b;
  SUBCASE("to_host(to_device(x)) = x, zeros are zero") { what_goes_in_comes_out(b); }
  SUBCASE("a matrix is a value") { a_matrix_is_a_value(b); }
  SUBCASE("views reach the entries they name") { views_reach_the_entries_they_name(b); }
  SUBCASE("scratch lives until its frame closes") { scratch_lives_until_its_frame_closes(b); }
  SUBCASE("each and each_indexed map every entry, and no other") { each_maps_every_entry(b); }
  SUBCASE("each_of maps every entry of every item, however many") { each_of_maps_every_item(b); }
  SUBCASE("relu(NaN) is NaN") { nan_goes_through_activations(b); }
  SUBCASE("copy_entries keeps the order of the entries") { copy_entries_keeps_their_order(b); }
  SUBCASE("gather takes the columns it is told") { gather_takes_the_columns_it_is_told(b); }
  SUBCASE("row sums add, column sums and maxima assign") { sums_are_sums(b); }
  SUBCASE("a column sum rounds by at most c n eps sum |x|") { column_sums_round_within_their_bound(b); }
  SUBCASE("row moments: c N eps of the largest deviation, wherever the mean is") {
    row_moments_are_those_of_all_columns(b);
  }
  SUBCASE("maxima do not lose NaN") { maxima_do_not_lose_nan(b); }
  SUBCASE("gemm = alpha op(A) op(B) + beta C within c k eps |A||B|") { gemm_is_the_product(b); }
  SUBCASE("gemm passes NaN on, but not one in C with beta = 0") { gemm_hides_no_nan_but_stale_ones(b); }
  SUBCASE("a prepared product is the product, and a map of entries") {
    prepared_products_are_products<B, false>(b);
  }
  SUBCASE("a prepared product is the product, and a map of packets") {
    prepared_products_are_products<B, true>(b);
  }
  SUBCASE("add_outer_product = C + s A B^T") { outer_products_add(b); }
  SUBCASE("chunks cover the batch once and cut no sample") {
    chunks_cover_the_batch_and_cut_no_sample<typename B::Lane>(b);
    chunks_cover_the_batch_and_cut_no_sample<typename B::Lane>(b.lane());
  }
  SUBCASE("each_chunk computes the whole batch") { each_chunk_computes_the_whole_batch(b); }
  SUBCASE("sum_chunks adds what a serial sum adds") { sum_chunks_adds_what_a_serial_sum_adds(b); }
  SUBCASE("what a chunk throws arrives") { what_a_chunk_throws_arrives(b); }
  SUBCASE("each_column works on every column, with its team") { each_column_works_on_every_column(b); }
  SUBCASE("a team multiplies columns side by side") { a_team_multiplies_columns_side_by_side(b); }
  SUBCASE("a factor stops at the first bad row") { a_factor_stops_at_the_first_bad_row(b); }
  SUBCASE("only finite definite matrices are factorised") { only_definite_matrices_are_solved(b); }
  SUBCASE("definite_solve solves, reads the lower triangle, works in place") { definite_solve_solves(b); }
  SUBCASE("eigenvalues are the known ones, ascending") { eigenvalues_are_known_ones(b); }
}

}  // namespace detrame::laws
