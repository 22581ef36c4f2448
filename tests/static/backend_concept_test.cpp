// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <span>
#include <vector>

#include "detrame/backend/concept.hpp"
#include "detrame/backend/cpu/backend.hpp"

/// The smallest model of the Backend concept, declared and never defined; and for each clause of the concept
/// a type that lacks just that.
namespace stub {

using detrame::Batch;
using detrame::Columns;
using detrame::HostMatrix;
using detrame::Index;
using detrame::Item;
using detrame::Op;
using detrame::PerColumn;
using detrame::PerRow;
using detrame::Tasks;
using detrame::Window;

enum class Clause {
  none,
  real_scalar,
  matrix_default,
  matrix_copy,
  matrix_rows,
  matrix_cols,
  matrix_to_view,
  matrix_to_const_view,
  view_to_const_view,
  input_to_const_view,
  view_rows,
  view_cols,
  middle_cols,
  middle_rows,
  reshaped,
  contiguous,
  overlaps,
  to_device,
  to_host,
  resize,
  lane,
  frame,
  scratch,
  each_chunk,
  each_chunk_of_a_lane,
  sum_chunks,
  each,
  each_per_row,
  each_per_column,
  each_indexed,
  each_of,
  copy_entries,
  gather_columns,
  row_sums,
  column_sums,
  column_max,
  row_moments,
  sum_to_host,
  max_to_host,
  gemm,
  add_outer_product,
  prepare_product,
  prepare_product_on_a_lane,
  product_each,
  convolve_each,
  prepare_convolution,
  prepare_convolution_on_a_lane,
  convolution_gradient,
  add_convolution_gradient,
  finish_gradient,
  team_scalar,
  team_width,
  team_height,
  team_tile,
  factor_size,
  factor_place,
  padded,
  team_each,
  team_once,
  team_sum,
  team_max,
  inner_products,
  cholesky,
  cholesky_solve,
  each_column,
  each_column_on_a_lane,
  definite_solve,
  symmetric_eigenvalues,
};

template <Clause missing>
struct Backend;

/// A number that the clause takes away by making it a text.
template <Clause missing, Clause clause>
using Number = std::conditional_t<missing == clause, char const*, Index>;
template <Clause missing, Clause clause>
using Constant = std::conditional_t<missing == clause, std::array<int, 1>, Index>;

template <Clause missing, bool is_const>
struct AnyView {
  Number<missing, Clause::view_rows> rows() const;
  Number<missing, Clause::view_cols> cols() const;
  AnyView middle_cols(Index, Index) const
    requires(missing != Clause::middle_cols);
  AnyView middle_rows(Index, Index) const
    requires(missing != Clause::middle_rows);
  AnyView reshaped(Index, Index) const
    requires(missing != Clause::reshaped);
  bool contiguous() const
    requires(missing != Clause::contiguous);
  bool overlaps(AnyView<missing, true>) const
    requires(missing != Clause::overlaps);
  operator AnyView<missing, true>() const
    requires(!is_const && missing != Clause::view_to_const_view);
};
template <Clause missing>
using View = AnyView<missing, false>;
template <Clause missing>
using ConstView = AnyView<missing, true>;

template <Clause missing>
struct Matrix {
  Matrix()
    requires(missing != Clause::matrix_default);
  Matrix(Matrix const&)
    requires(missing != Clause::matrix_copy);
  Matrix(Matrix&&);
  Matrix& operator=(Matrix const&)
    requires(missing != Clause::matrix_copy);
  Matrix& operator=(Matrix&&);
  Number<missing, Clause::matrix_rows> rows() const;
  Number<missing, Clause::matrix_cols> cols() const;
  operator View<missing>()
    requires(missing != Clause::matrix_to_view);
  operator ConstView<missing>() const
    requires(missing != Clause::matrix_to_const_view);
};

template <Clause missing>
struct Input {
  operator ConstView<missing>() const
    requires(missing != Clause::input_to_const_view);
};

template <Clause missing>
struct Lane {
  int frame()
    requires(missing != Clause::frame);
  View<missing> scratch(Index, Index)
    requires(missing != Clause::scratch);
};

template <Clause missing>
struct Team {
  using Scalar = std::conditional_t<missing == Clause::team_scalar, int, typename Backend<missing>::Scalar>;
  static constexpr Constant<missing, Clause::team_width> width{};
  static constexpr Constant<missing, Clause::team_height> height{};
  static constexpr Constant<missing, Clause::team_tile> tile{};
  static Index factor_size(Index)
    requires(missing != Clause::factor_size);
  static Index factor_place(Index, Index)
    requires(missing != Clause::factor_place);
  static Index padded(Index)
    requires(missing != Clause::padded);
  template <class F>
    requires(missing != Clause::team_each)
  void each(Index, F&&) const;
  template <class F>
    requires(missing != Clause::team_once)
  void once(F&&) const;
  template <class F>
    requires(missing != Clause::team_sum)
  Scalar sum(Index, F&&) const;
  template <class F>
    requires(missing != Clause::team_max)
  Scalar max(Index, F&&, Scalar = Scalar()) const;
  void inner_products(Scalar const*, Index, Index, Index, Scalar const*, Scalar*) const
    requires(missing != Clause::inner_products);
  Index cholesky(Scalar*, Index, Index) const
    requires(missing != Clause::cholesky);
  void cholesky_solve(Scalar const*, Index, Scalar*) const
    requires(missing != Clause::cholesky_solve);
};

template <Clause missing>
struct Backend {
  using Scalar = std::conditional_t<missing == Clause::real_scalar, int, float>;
  using Matrix = stub::Matrix<missing>;
  using View = stub::View<missing>;
  using ConstView = stub::ConstView<missing>;
  using Input = stub::Input<missing>;
  using Lane = stub::Lane<missing>;
  using Team = stub::Team<missing>;
  Lane& lane()
    requires(missing != Clause::lane);
};

template <Clause m>
using Scalar = typename Backend<m>::Scalar;

template <Clause m>
  requires(m != Clause::to_device)
Matrix<m> to_device(Backend<m>&, HostMatrix<Scalar<m>> const&);
template <Clause m>
  requires(m != Clause::to_host)
HostMatrix<Scalar<m>> to_host(Backend<m>&, std::type_identity_t<ConstView<m>>);
template <Clause m>
  requires(m != Clause::resize)
void resize(Backend<m>&, Matrix<m>&, Index, Index);

template <Clause m, class F>
  requires(m != Clause::each_chunk)
void each_chunk(Backend<m>&, Batch, Index, F&&);
template <Clause m, class F>
  requires(m != Clause::each_chunk_of_a_lane)
void each_chunk(Lane<m>&, Batch, Index, F&&);
template <Clause m, std::size_t n, class F>
  requires(m != Clause::sum_chunks)
void sum_chunks(Backend<m>&, Batch, Index, std::array<View<m>, n> const&, F&&);

template <Clause m, class F>
  requires(m != Clause::each)
void each(Lane<m>&, F const&, View<m>, ConstView<m>);
template <Clause m, class F>
  requires(m != Clause::each_per_row)
void each(Lane<m>&, F const&, View<m>, PerRow<ConstView<m>>);
template <Clause m, class F>
  requires(m != Clause::each_per_column)
void each(Lane<m>&, F const&, View<m>, PerColumn<ConstView<m>>);
template <Clause m, class F>
  requires(m != Clause::each_indexed)
void each_indexed(Lane<m>&, F const&, View<m>, ConstView<m>);
template <Clause m, class F>
  requires(m != Clause::each_of)
void each_of(Backend<m>&, std::span<Item<F, View<m>, ConstView<m>> const>);
template <Clause m>
  requires(m != Clause::copy_entries)
void copy_entries(Lane<m>&, ConstView<m>, View<m>);
template <Clause m>
  requires(m != Clause::gather_columns)
void gather_columns(Lane<m>&, ConstView<m>, std::span<Index const>, View<m>);

template <Clause m, class F>
  requires(m != Clause::row_sums)
void row_sums(Lane<m>&, View<m>, F const&, ConstView<m>, ConstView<m>);
template <Clause m, class F>
  requires(m != Clause::column_sums)
void column_sums(Lane<m>&, View<m>, F const&, ConstView<m>, ConstView<m>);
template <Clause m, class F>
  requires(m != Clause::column_max)
void column_max(Lane<m>&, View<m>, F const&, ConstView<m>);
template <Clause m>
  requires(m != Clause::row_moments)
void row_moments(Backend<m>&, ConstView<m>, View<m>, View<m>);
template <Clause m>
  requires(m != Clause::sum_to_host)
Scalar<m> sum_to_host(Lane<m>&, ConstView<m>);
template <Clause m>
  requires(m != Clause::max_to_host)
Scalar<m> max_to_host(Lane<m>&, ConstView<m>);

template <Clause m>
  requires(m != Clause::gemm)
void gemm(Lane<m>&, Scalar<m>, ConstView<m>, Op, ConstView<m>, Op, Scalar<m>, View<m>);
template <Clause m>
  requires(m != Clause::add_outer_product)
void add_outer_product(Lane<m>&, ConstView<m>, ConstView<m>, Scalar<m>, View<m>);
template <Clause m>
struct Prepared {
  Prepared group(Index) const;
};
template <Clause m>
  requires(m != Clause::prepare_product)
Prepared<m> prepare_product(Backend<m>&, ConstView<m>, Op, Index);
template <Clause m>
  requires(m != Clause::prepare_product_on_a_lane)
Prepared<m> prepare_product(Lane<m>&, ConstView<m>, Op, Index);
template <Clause m, class F>
  requires(m != Clause::product_each)
void product_each(Lane<m>&, Prepared<m>, ConstView<m>, F const&, View<m>);

template <Clause m>
struct Gradient {
  View<m> sum;
};
template <class Arithmetic, Clause m>
  requires(m != Clause::prepare_convolution)
Prepared<m> prepare_convolution(Arithmetic, Backend<m>&, Window const&, ConstView<m>, Op, Index);
template <class Arithmetic, Clause m>
  requires(m != Clause::prepare_convolution_on_a_lane)
Prepared<m> prepare_convolution(Arithmetic, Lane<m>&, Window const&, ConstView<m>, Op, Index);
template <Clause m, class F>
  requires(m != Clause::convolve_each)
void convolve_each(Lane<m>&, Prepared<m>, ConstView<m>, F const&, View<m>);
template <class Arithmetic, Clause m>
  requires(m != Clause::convolution_gradient)
Gradient<m> convolution_gradient(Arithmetic, Backend<m>&, View<m>, Index);
template <class Arithmetic, Clause m>
  requires(m != Clause::add_convolution_gradient)
void add_convolution_gradient(Arithmetic, Lane<m>&, Window const&, ConstView<m>, ConstView<m>, Scalar<m>,
                              View<m>);
template <Clause m>
  requires(m != Clause::finish_gradient)
void finish_gradient(Backend<m>&, Gradient<m>, View<m>);

template <Clause m, class F>
  requires(m != Clause::each_column)
void each_column(Backend<m>&, Tasks, Index, F&&, View<m>);
template <Clause m, class F>
  requires(m != Clause::each_column_on_a_lane)
void each_column(Lane<m>&, Index, F const&, View<m>);
template <Clause m>
  requires(m != Clause::definite_solve)
bool definite_solve(Backend<m>&, ConstView<m>, ConstView<m>, View<m>);
template <Clause m>
  requires(m != Clause::symmetric_eigenvalues)
std::vector<Scalar<m>> symmetric_eigenvalues(Backend<m>&, ConstView<m>);

}  // namespace stub

namespace has = detrame::has;
using stub::Clause;

/// Which of the small concepts a type satisfies, in the order of `Backend`.
template <class B>
constexpr std::array<bool, 17> satisfied = {
    has::scalar<B>,  has::matrix<B>,        has::views<B>,   has::transfer<B>,    has::lane<B>,
    has::chunks<B>,  has::each<B>,          has::items<B>,   has::reshape<B>,     has::gather<B>,
    has::sums<B>,    has::gemm<B>,          has::product<B>, has::convolution<B>, has::team<B>,
    has::columns<B>, has::factorisations<B>};

/// Exactly the place-th small concept fails where this clause is missing, and Backend with it.
template <Clause missing, int place>
constexpr bool lacks_only = [] {
  using B = stub::Backend<missing>;
  for (int i = 0; i < 17; ++i)
    if (satisfied<B>[static_cast<std::size_t>(i)] != (i != place)) return false;
  return !detrame::Backend<B>;
}();
template <int place, Clause... missing>
constexpr bool all_lack_only = (lacks_only<missing, place> && ...);

static_assert(detrame::Backend<stub::Backend<Clause::none>>);
static_assert(all_lack_only<0, Clause::real_scalar>);
static_assert(
    all_lack_only<1, Clause::matrix_default, Clause::matrix_copy, Clause::matrix_rows, Clause::matrix_cols>);
static_assert(
    all_lack_only<2, Clause::matrix_to_view, Clause::matrix_to_const_view, Clause::view_to_const_view,
                  Clause::input_to_const_view, Clause::view_rows, Clause::view_cols, Clause::middle_cols,
                  Clause::middle_rows, Clause::reshaped, Clause::contiguous, Clause::overlaps>);
static_assert(all_lack_only<3, Clause::to_device, Clause::to_host, Clause::resize>);
static_assert(all_lack_only<4, Clause::lane, Clause::frame, Clause::scratch>);
static_assert(all_lack_only<5, Clause::each_chunk, Clause::each_chunk_of_a_lane, Clause::sum_chunks>);
static_assert(
    all_lack_only<6, Clause::each, Clause::each_per_row, Clause::each_per_column, Clause::each_indexed>);
static_assert(all_lack_only<7, Clause::each_of>);
static_assert(all_lack_only<8, Clause::copy_entries>);
static_assert(all_lack_only<9, Clause::gather_columns>);
static_assert(all_lack_only<10, Clause::row_sums, Clause::column_sums, Clause::column_max,
                            Clause::row_moments, Clause::sum_to_host, Clause::max_to_host>);
static_assert(all_lack_only<11, Clause::gemm, Clause::add_outer_product>);
static_assert(
    all_lack_only<12, Clause::prepare_product, Clause::prepare_product_on_a_lane, Clause::product_each>);
static_assert(all_lack_only<13, Clause::prepare_convolution, Clause::prepare_convolution_on_a_lane,
                            Clause::convolve_each, Clause::convolution_gradient,
                            Clause::add_convolution_gradient, Clause::finish_gradient>);
static_assert(all_lack_only<14, Clause::team_scalar, Clause::team_width, Clause::team_height,
                            Clause::team_tile, Clause::factor_size, Clause::factor_place, Clause::padded,
                            Clause::team_each, Clause::team_once, Clause::team_sum, Clause::team_max,
                            Clause::inner_products, Clause::cholesky, Clause::cholesky_solve>);
static_assert(all_lack_only<15, Clause::each_column, Clause::each_column_on_a_lane>);
static_assert(all_lack_only<16, Clause::definite_solve, Clause::symmetric_eigenvalues>);

// What is no backend at all.
static_assert(!detrame::Backend<int> && !detrame::Backend<detrame::CpuLane<float>>);
