// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/arguments.hpp"
#include "detrame/backend/cuda/pool.hpp"

namespace detrame::inline DETRAME_ABI {

/// A MatrixView of device memory. A type of its own, so that no view of host memory can be taken for one.
template <class Scalar>
class DeviceView {
 public:
  DeviceView() = default;
  explicit DeviceView(MatrixView<Scalar> raw) : raw_(raw) {}
  template <class Other>
    requires(!std::is_const_v<Other> && std::is_same_v<Other const, Scalar>)
  DeviceView(DeviceView<Other> v) : raw_(v.raw()) {}

  Index rows() const { return raw_.rows(); }
  Index cols() const { return raw_.cols(); }
  DeviceView middle_cols(Index first, Index count) const {
    return DeviceView(raw_.middle_cols(first, count));
  }
  DeviceView middle_rows(Index first, Index count) const {
    return DeviceView(raw_.middle_rows(first, count));
  }
  bool contiguous() const { return raw_.contiguous(); }
  DeviceView reshaped(Index rows, Index cols) const { return DeviceView(raw_.reshaped(rows, cols)); }
  bool overlaps(DeviceView<Scalar const> v) const { return raw_.overlaps(v.raw()); }

  /// What kernels work on.
  MatrixView<Scalar> raw() const { return raw_; }

  friend detail::EntryReader<Scalar> reader(DeviceView v) { return {v.raw()}; }

 private:
  MatrixView<Scalar> raw_;
};

/// A column-major matrix in the memory of a backend's pool. A copy has entries of its own, copied on the
/// pool's stream.
template <class Scalar>
class DeviceMatrix {
 public:
  DeviceMatrix() = default;
  DeviceMatrix(std::shared_ptr<DevicePool> pool, Index rows, Index cols)
      : rows_(rows),
        cols_(cols),
        memory_(std::move(pool), DevicePool::Use::matrix,
                static_cast<std::size_t>(rows * cols) * sizeof(Scalar)) {}
  DeviceMatrix(DeviceMatrix const& other) : DeviceMatrix(other.memory_.pool(), other.rows_, other.cols_) {
    if (memory_.data())
      DETRAME_CUDA(cudaMemcpyAsync(memory_.data(), other.memory_.data(), memory_.bytes(),
                                   cudaMemcpyDeviceToDevice, memory_.pool()->stream()));
  }
  DeviceMatrix(DeviceMatrix&& other) noexcept { swap(other); }
  DeviceMatrix& operator=(DeviceMatrix other) noexcept {
    swap(other);
    return *this;
  }

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  operator DeviceView<Scalar>() {
    return DeviceView<Scalar>({static_cast<Scalar*>(memory_.data()), rows_, cols_, rows_});
  }
  operator DeviceView<Scalar const>() const {
    return DeviceView<Scalar const>({static_cast<Scalar const*>(memory_.data()), rows_, cols_, rows_});
  }

  friend detail::EntryReader<Scalar> reader(DeviceMatrix& m) { return reader(DeviceView<Scalar>(m)); }
  friend detail::EntryReader<Scalar const> reader(DeviceMatrix const& m) {
    return reader(DeviceView<Scalar const>(m));
  }

 private:
  void swap(DeviceMatrix& other) noexcept {
    std::swap(rows_, other.rows_);
    std::swap(cols_, other.cols_);
    std::swap(memory_, other.memory_);
  }

  Index rows_ = 0, cols_ = 0;
  DeviceBuffer memory_;
};

}  // namespace detrame::inline DETRAME_ABI
