// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "detrame/core/host_device.hpp"
#include "detrame/core/host_matrix.hpp"
#include "detrame/core/matrix_view.hpp"

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

  KeptMatrix() = default;
  template <std::convertible_to<Matrix<B>> M>
  KeptMatrix(M&& m) : matrix(of_scalar<typename B::Scalar, Matrix<B>>(std::forward<M>(m))) {}
};
}  // namespace detail

/// What a constructor takes to keep: a matrix, or what becomes one. It takes no part in deduction either.
template <class B>
using Kept = std::type_identity_t<detail::KeptMatrix<B>>;

/// The backend of a matrix, or of an expression that becomes one: each backend says so of its own.
template <class M>
struct HomeOf;

namespace has {

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
  /// The host's entries, in a matrix of this backend.
  { to_device(b, host) } -> std::same_as<Matrix<B>>;
  /// The entries of a view, on the host.
  { to_host(b, v) } -> std::same_as<HostMatrix<typename B::Scalar>>;
  /// m becomes rows x cols. Its entries are unspecified afterwards, whatever its shape was; a matrix that had
  /// the shape does not allocate.
  resize(b, m, Index{}, Index{});
};

}  // namespace has
}  // namespace detrame::inline DETRAME_ABI
