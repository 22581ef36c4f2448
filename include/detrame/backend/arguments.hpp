// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "detrame/core/matrix_view.hpp"

/// How the loops of every backend reach an argument of a verb: column(j)[i].
/// Only whole matrices can be written.
namespace detrame::inline DETRAME_ABI::detail {

template <class Scalar>
struct EntryReader {
  MatrixView<Scalar> view;
  DETRAME_HOST_DEVICE Scalar* column(Index j) const { return view.data() + j * view.stride(); }
  bool fits(Index rows, Index cols) const { return view.rows() == rows && view.cols() == cols; }
};
template <class Scalar>
struct RowReader {
  MatrixView<Scalar const> view;
  DETRAME_HOST_DEVICE Scalar const* column(Index) const { return view.data(); }
  bool fits(Index rows, Index) const { return view.rows() == rows && view.cols() == 1; }
};
template <class Scalar>
struct ColumnReader {
  struct Constant {
    Scalar value;
    DETRAME_HOST_DEVICE Scalar operator[](Index) const { return value; }
  };
  MatrixView<Scalar const> view;
  DETRAME_HOST_DEVICE Constant column(Index j) const { return {view(0, j)}; }
  bool fits(Index, Index cols) const { return view.rows() == 1 && view.cols() == cols; }
};

template <class Scalar>
EntryReader<Scalar> reader(MatrixView<Scalar> v) {
  return {v};
}
/// A matrix that gives its memory away.
template <class M>
  requires requires(M& m) { m.outerStride(); }
auto reader(M& m) {
  using Scalar = std::remove_pointer_t<decltype(m.data())>;
  return EntryReader<Scalar>{MatrixView<Scalar>(m)};
}
template <class View>
auto reader(PerRow<View> v) {
  auto const view = reader(v.vector).view;
  return RowReader<std::remove_cvref_t<decltype(view(0, 0))>>{view};
}
template <class View>
auto reader(PerColumn<View> v) {
  auto const view = reader(v.vector).view;
  return ColumnReader<std::remove_cvref_t<decltype(view(0, 0))>>{view};
}

template <class View>
double entries(View const& v) {
  return static_cast<double>(v.rows()) * static_cast<double>(v.cols());
}

/// The reader of an argument of a verb on a lane of `Scalar`.
template <class Scalar, class Arg>
auto argument(Arg& arg) {
  auto const r = reader(arg);
  static_assert(std::is_same_v<std::remove_cvref_t<decltype(r.view(0, 0))>, Scalar>,
                "a verb's arguments must have the scalar type of its lane");
  return r;
}

}  // namespace detrame::inline DETRAME_ABI::detail
