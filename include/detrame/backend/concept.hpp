// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/backend/convolution_arithmetic.hpp"
#include "detrame/backend/formulas.hpp"
#include "detrame/backend/items.hpp"
#include "detrame/core/host_matrix.hpp"
#include "detrame/core/window.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a backend's verbs read and write, by the names in which everything above backend/ is written. `Input`
/// is what a caller may pass: it does not take part in deduction, so matrices convert.
template <class B>
using Matrix = typename B::Matrix;
template <class B>
using View = typename B::View;
template <class B>
using ConstView = typename B::ConstView;
template <class B>
using Input = typename B::Input;

namespace detail {
template <class B>
struct KeptMatrix {
  Matrix<B> matrix;

  template <std::convertible_to<Matrix<B>> M>
  KeptMatrix(M&& m) : matrix(of_scalar(std::forward<M>(m))) {}

 private:
  template <class M>
  static Matrix<B> of_scalar(M&& m) {
    if constexpr (!requires { typename std::remove_cvref_t<M>::Scalar; }) {
      return std::forward<M>(m);
    } else {
      using Scalar = typename std::remove_cvref_t<M>::Scalar;
      require_scalar<Scalar, typename B::Scalar>();
      if constexpr (std::is_same_v<Scalar, typename B::Scalar>)
        return std::forward<M>(m);
      else
        return {};
    }
  }
};
}  // namespace detail

/// What a constructor takes to keep: a matrix, or what becomes one. It takes no part in deduction either.
template <class B>
using Kept = std::type_identity_t<detail::KeptMatrix<B>>;

/// The backend of a matrix, or of an expression that becomes one: each backend says so of its own.
template <class M>
struct HomeOf;

/// The verbs of a backend. An object of a backend owns threads or a stream, and scratch memory; a *lane* is
/// where verbs run: one thread of the CPU, the stream of a device. Algorithms are written once, for the
/// columns of a chunk, on a lane; how a batch is cut into chunks is the backend's business.
///
/// Memory is reached through verbs alone. The laws stand beside each verb in backend/cpu/; every model of the
/// concept repeats them word for word, and tests/laws/backend_laws.hpp checks them.
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
concept scalar = std::floating_point<typename B::Scalar>;

/// A matrix owns its memory; copying copies entries.
template <class B>
concept matrix =
    std::copyable<Matrix<B>> && std::default_initializable<Matrix<B>> && requires(Matrix<B> const& m) {
      { m.rows() } -> std::convertible_to<Index>;
      { m.cols() } -> std::convertible_to<Index>;
    };

/// A view points to the memory of a matrix or of scratch; copying it copies no entry. The view of a whole
/// matrix is contiguous; scratch need not be.
template <class B>
concept views =
    std::convertible_to<Matrix<B>&, View<B>> && std::convertible_to<Matrix<B> const&, ConstView<B>> &&
    std::convertible_to<View<B>, ConstView<B>> && std::convertible_to<Input<B>, ConstView<B>> &&
    requires(View<B> u, ConstView<B> v) {
      { v.rows() } -> std::same_as<Index>;
      { v.cols() } -> std::same_as<Index>;
      { u.middle_cols(Index{}, Index{}) } -> std::same_as<View<B>>;
      { u.middle_rows(Index{}, Index{}) } -> std::same_as<View<B>>;
      { u.reshaped(Index{}, Index{}) } -> std::same_as<View<B>>;
      { v.middle_cols(Index{}, Index{}) } -> std::same_as<ConstView<B>>;
      { v.middle_rows(Index{}, Index{}) } -> std::same_as<ConstView<B>>;
      { v.reshaped(Index{}, Index{}) } -> std::same_as<ConstView<B>>;
      { v.contiguous() } -> std::same_as<bool>;
      { u.overlaps(v) } -> std::same_as<bool>;
    };

template <class B>
concept transfer = requires(B& b, HostMatrix<typename B::Scalar> const& host, ConstView<B> v, Matrix<B>& m) {
  { to_device(b, host) } -> std::same_as<Matrix<B>>;
  { to_host(b, v) } -> std::same_as<HostMatrix<typename B::Scalar>>;
  resize(b, m, Index{}, Index{});
};

template <class B>
concept lane = requires(B& b, typename B::Lane& lane) {
  { b.lane() } -> std::same_as<typename B::Lane&>;
  lane.frame();
  { lane.scratch(Index{}, Index{}) } -> std::same_as<View<B>>;
};

template <class B>
concept chunks = requires(B& b, typename B::Lane& lane, std::array<View<B>, 1> sums) {
  each_chunk(b, Batch{}, Index{}, Kernel{});
  each_chunk(lane, Batch{}, Index{}, Kernel{});
  sum_chunks(b, Batch{}, Index{}, sums, Kernel{});
};

template <class B>
concept each = requires(typename B::Lane& lane, View<B> y, ConstView<B> x) {
  each(lane, formula::Assign{}, y, x);
  each(lane, formula::Assign{}, y, PerRow{x});
  each(lane, formula::Assign{}, y, PerColumn{x});
  each_indexed(lane, Kernel{}, y, x);
};

template <class B>
concept items =
    requires(B& b, std::span<Item<Kernel, View<B>, ConstView<B>> const> some) { each_of(b, some); };

template <class B>
concept reshape = requires(typename B::Lane& lane, ConstView<B> x, View<B> y) { copy_entries(lane, x, y); };

template <class B>
concept gather = requires(typename B::Lane& lane, ConstView<B> x, View<B> y, std::span<Index const> indices) {
  gather_columns(lane, x, indices, y);
};

template <class B>
concept sums = requires(B& b, typename B::Lane& lane, View<B> out, ConstView<B> x) {
  row_sums(lane, out, formula::Product{}, x, x);
  column_sums(lane, out, formula::Product{}, x, x);
  column_max(lane, out, formula::Identity{}, x);
  row_moments(b, x, out, out);
  { sum_to_host(lane, x) } -> std::same_as<typename B::Scalar>;
  { max_to_host(lane, x) } -> std::same_as<typename B::Scalar>;
};

template <class B>
concept gemm = requires(typename B::Lane& lane, typename B::Scalar s, ConstView<B> x, View<B> y) {
  gemm(lane, s, x, Op::none, x, Op::transposed, s, y);
  gemm_each(lane, x, Op::none, x, Kernel{}, y);
  add_outer_product(lane, x, x, s, y);
};

/// A left factor that is prepared once for many products.
template <class B>
concept prepared_gemm = requires(B& b, typename B::Lane& lane, ConstView<B> x, View<B> y) {
  product_each(lane, prepare_product(b, x, Op::none, Index{}).group(Index{}), x, Kernel{}, y);
};

template <class B>
concept convolution =
    requires(typename B::Lane& lane, Window const& window, typename B::Scalar s, ConstView<B> x, View<B> y) {
      convolve_each(lane, window, x, x, Kernel{}, y);
      convolve_adjoint_each(lane, window, x, x, Kernel{}, y);
      add_convolution_gradient(lane, window, x, x, s, y);
    };

/// The weights of a window that are prepared once, and their gradient in the form in which it is summed.
template <class B>
concept prepared_convolution = requires(B& b, typename B::Lane& lane, Window const& window,
                                        typename B::Scalar s, ConstView<B> x, View<B> y) {
  convolve_each(lane, prepare_convolution(Direct(), b, window, x, Op::none, Index{}).group(Index{}), x,
                Kernel{}, y);
  convolve_each(lane, prepare_convolution(Winograd<4>(), b, window, x, Op::none, Index{}).group(Index{}), x,
                Kernel{}, y);
  add_convolution_gradient(Winograd<4>(), lane, window, x, x, s,
                           convolution_gradient(Winograd<4>(), b, y, Index{}).sum);
  finish_gradient(b, convolution_gradient(Winograd<4>(), b, y, Index{}), y);
};

/// What works on a column, or on a few side by side, within a kernel of each_column.
template <class B>
concept team =
    requires(typename B::Team const& team, Index n, typename B::Scalar const* x, typename B::Scalar* y) {
      requires std::same_as<typename B::Team::Scalar, typename B::Scalar>;
      { B::Team::width + B::Team::height + B::Team::tile } -> std::convertible_to<Index>;
      { B::Team::factor_size(n) + B::Team::factor_place(n, n) + B::Team::padded(n) } -> std::same_as<Index>;
      team.each(n, Kernel{});
      team.once(Kernel{});
      { team.sum(n, Term<typename B::Scalar>{}) } -> std::same_as<typename B::Scalar>;
      { team.max(n, Term<typename B::Scalar>{}) } -> std::same_as<typename B::Scalar>;
      { team.max(n, Term<typename B::Scalar>{}, *x) } -> std::same_as<typename B::Scalar>;
      team.inner_products(x, n, n, n, x, y);
      { team.cholesky(y, n, n) } -> std::same_as<Index>;
      team.cholesky_solve(x, n, y);
    };

template <class B>
concept columns = requires(B& b, View<B> y) { each_column(b, Tasks(0), Index{}, Kernel{}, y); };

template <class B>
concept factorisations = requires(B& b, ConstView<B> A, View<B> out) {
  { definite_solve(b, A, A, out) } -> std::same_as<bool>;
  { symmetric_eigenvalues(b, A) } -> std::same_as<std::vector<typename B::Scalar>>;
};

}  // namespace has

template <class B>
concept Backend = has::scalar<B> && has::matrix<B> && has::views<B> && has::transfer<B> && has::lane<B> &&
                  has::chunks<B> && has::each<B> && has::items<B> && has::reshape<B> && has::gather<B> &&
                  has::sums<B> && has::gemm<B> && has::prepared_gemm<B> && has::convolution<B> &&
                  has::prepared_convolution<B> && has::team<B> && has::columns<B> && has::factorisations<B>;

/// A rows x cols matrix of zeros.
template <Backend B>
Matrix<B> zeros(B& backend, Index rows, Index cols) {
  return to_device(backend, HostMatrix<typename B::Scalar>(rows, cols));
}

}  // namespace detrame::inline DETRAME_ABI
