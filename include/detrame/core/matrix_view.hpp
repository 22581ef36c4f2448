// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include "detrame/core/errors.hpp"
#include "detrame/core/host_device.hpp"

/// Clang then warns of a view whose matrix ends with the statement.
#if defined(__clang__)
#define DETRAME_LIFETIMEBOUND [[clang::lifetimebound]]
#else
#define DETRAME_LIFETIMEBOUND
#endif

namespace detrame::inline DETRAME_ABI {

using Index = std::ptrdiff_t;

/// A batch: how many columns, how many neighbouring columns belong to one sample (its sites), and how many a
/// chunk should have at least to be worked on at full speed, where the batch is large.
///
/// flops: of one column, where they are more than its memory tells. They decide whether threads are worth it,
/// never what is computed.
struct Batch {
  Index columns;
  Index unit = 1;
  Index wanted = 1;
  double flops = 0;
};

/// Tasks of one kernel, and the flops of one, as in Batch.
struct Tasks {
  Index count;
  double flops;
  constexpr Tasks(Index count_, double flops_ = 0) : count(count_), flops(flops_) {}
};

/// What something costs, counted low: floating-point operations, and bytes that are read or written.
struct Work {
  double flops = 0, bytes = 0;
  /// On a fast processor.
  constexpr double microseconds() const { return flops / 100e3 + bytes / 30e3; }
};

/// A range of neighbouring columns of a batch: [first, first + count).
struct Columns {
  Index first;
  Index count;
};

namespace detail {
/// Column-major storage with unit inner stride, recognised by its verbs (Eigen's, or anyone's).
template <class M, class Scalar>
concept ColumnMajorStorage = requires(M& m) {
  { m.data() } -> std::convertible_to<Scalar*>;
  { m.rows() } -> std::convertible_to<Index>;
  { m.outerStride() } -> std::convertible_to<Index>;
  requires !std::remove_cvref_t<M>::IsRowMajor;
  requires std::remove_cvref_t<M>::InnerStrideAtCompileTime == 1;
};

/// The entries of what gives its memory away.
template <class M>
using EntryOf = std::remove_cvref_t<decltype(*std::declval<M&>().data())>;

/// Storage whose entries are other scalars, or lie otherwise, than those of a view.
template <class M, class Scalar>
concept OtherStorage =
    requires(M& m) { m.rows(), *m.data(); } &&
    (!std::is_same_v<EntryOf<M>, std::remove_const_t<Scalar>> || bool(std::remove_cvref_t<M>::IsRowMajor) ||
     std::remove_cvref_t<M>::InnerStrideAtCompileTime != 1);

/// False, and known only where T is: a static_assert of it says its sentence and nothing else.
template <class T>
inline constexpr bool never = false;

/// Says why, where a matrix of one scalar is given to what computes in another.
template <class Given, class Wanted>
constexpr void require_scalar() {
  static_assert(std::is_same_v<Given, Wanted>,
                "the scalars differ: a matrix of floats goes to a Cpu<float>, one of doubles to a "
                "Cpu<double>; convert it, as by .cast<double>()");
}

/// m, if its scalar is the wanted one or it has none to tell; else that sentence and something empty, so that
/// nothing follows it.
template <class Wanted, class Empty, class M>
constexpr decltype(auto) of_scalar(M&& m) {
  if constexpr (requires { typename std::remove_cvref_t<M>::Scalar; }) {
    using Given = typename std::remove_cvref_t<M>::Scalar;
    require_scalar<Given, Wanted>();
    if constexpr (std::is_same_v<Given, Wanted>)
      return std::forward<M>(m);
    else
      return Empty();
  } else {
    return std::forward<M>(m);
  }
}
}  // namespace detail

/// A column-major matrix that somebody else owns: entry (i, j) at data()[i + j * stride()].
///
/// Trivially copyable; copying it never copies entries. Whether data() may be read on the host is the
/// backend's affair.
template <class Scalar>
class MatrixView {
 public:
  constexpr MatrixView() = default;

  DETRAME_HOST_DEVICE constexpr MatrixView(Scalar* data, Index rows, Index cols, Index stride)
      : data_(data), rows_(rows), cols_(cols), stride_(stride) {}

  template <class M>
    requires detail::ColumnMajorStorage<M, Scalar>
  MatrixView(M&& m DETRAME_LIFETIMEBOUND) : MatrixView(m.data(), m.rows(), m.cols(), m.outerStride()) {}

  /// Refused, with the reason.
  template <detail::OtherStorage<Scalar> M>
  MatrixView(M&&) {
    detail::require_scalar<detail::EntryOf<M>, std::remove_const_t<Scalar>>();
    if constexpr (std::is_same_v<detail::EntryOf<M>, std::remove_const_t<Scalar>>)
      static_assert(detail::ColumnMajorStorage<M, Scalar>,
                    "a view has entries column by column with no gap between them: copy a row-major matrix, "
                    "a row or a strided one into a matrix first");
  }

  template <class Other>
    requires(!std::is_const_v<Other> && std::is_same_v<Other const, Scalar>)
  DETRAME_HOST_DEVICE constexpr MatrixView(MatrixView<Other> v)
      : MatrixView(v.data(), v.rows(), v.cols(), v.stride()) {}

  DETRAME_HOST_DEVICE constexpr Scalar* data() const { return data_; }
  DETRAME_HOST_DEVICE constexpr Index rows() const { return rows_; }
  DETRAME_HOST_DEVICE constexpr Index cols() const { return cols_; }
  DETRAME_HOST_DEVICE constexpr Index stride() const { return stride_; }
  DETRAME_HOST_DEVICE constexpr Scalar& operator()(Index i, Index j) const { return data_[i + j * stride_]; }

  DETRAME_HOST_DEVICE constexpr MatrixView middle_cols(Index first, Index count) const {
    return {moved(first * stride_), rows_, count, stride_};
  }
  DETRAME_HOST_DEVICE constexpr MatrixView middle_rows(Index first, Index count) const {
    return {moved(first), count, cols_, stride_};
  }
  /// Whether the columns follow one another without a gap.
  DETRAME_HOST_DEVICE constexpr bool contiguous() const { return stride_ == rows_ || cols_ <= 1; }
  /// The same entries, read in the same order, as rows x cols. Requires contiguous() and equal sizes.
  DETRAME_HOST_DEVICE constexpr MatrixView reshaped(Index rows, Index cols) const {
    DETRAME_ASSERT(contiguous() && rows * cols == rows_ * cols_);
    return {data_, rows, cols, rows};
  }
  /// Whether the memory from the first entry to the last meets that of v. On the host.
  constexpr bool overlaps(MatrixView<Scalar const> v) const {
    if (rows_ == 0 || cols_ == 0 || v.rows() == 0 || v.cols() == 0) return false;
    auto const last = [](auto const& w) { return &w(w.rows() - 1, w.cols() - 1); };
    std::less_equal<Scalar const*> const not_behind;
    return not_behind(data_, last(v)) && not_behind(v.data(), last(*this));
  }

 private:
  /// An empty matrix has no memory, and no place in it.
  DETRAME_HOST_DEVICE constexpr Scalar* moved(Index offset) const { return data_ ? data_ + offset : data_; }

  Scalar* data_ = nullptr;
  Index rows_ = 0;
  Index cols_ = 0;
  Index stride_ = 0;
};

/// The columns of a chunk: middle_cols of any backend's view.
template <class View>
auto columns(View const& v, Columns c) {
  return v.middle_cols(c.first, c.count);
}

/// A k x 1 vector that stands beside a matrix of k rows: the same entry in every column.
template <class View>
struct PerRow {
  static_assert(std::is_trivially_copyable_v<View>, "PerRow: takes a view; a matrix would be copied");
  View vector;
};

/// A 1 x N row that stands beside a matrix of N columns: the same entry in every row.
template <class View>
struct PerColumn {
  static_assert(std::is_trivially_copyable_v<View>, "PerColumn: takes a view; a matrix would be copied");
  View vector;
};

template <class View>
PerRow(View) -> PerRow<View>;
template <class View>
PerColumn(View) -> PerColumn<View>;

/// Whether a factor of a product is taken as it is or transposed.
enum class Op { none, transposed };

}  // namespace detrame::inline DETRAME_ABI
