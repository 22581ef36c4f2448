// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <memory>
#include <utility>
#include <vector>

#include "detrame/backend/cuda/errors.hpp"

namespace detrame::inline DETRAME_ABI {

/// Device memory in the order of one stream: what is given back may be taken again at once, since whoever
/// wrote or read it did so on the same stream. It is kept until the pool dies, so that a second run of the
/// same shapes allocates nothing.
///
/// Sizes are rounded up to eight steps an octave, and a block serves its own size alone: which blocks are
/// free never depends on the order of earlier requests. Nor does a matrix ever get what was scratch: matrices
/// that are born in a first run would take away what the second one needs. Where the device has no memory
/// left, free blocks go back to it, and the request is tried again.
class DevicePool {
 public:
  enum class Use { matrix, scratch };

  DevicePool() { DETRAME_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  DevicePool(DevicePool const&) = delete;
  DevicePool& operator=(DevicePool const&) = delete;
  ~DevicePool() {  // cudaFree waits for the device
    for (Block const& b : free_) cudaFree(b.data);
    cudaStreamDestroy(stream_);
  }

  cudaStream_t stream() const { return stream_; }

  /// What a request of so many bytes takes.
  static std::size_t rounded(std::size_t bytes) {
    constexpr std::size_t least = 512;
    if (bytes <= least) return least;
    std::size_t const step = std::bit_floor(bytes) / 8;
    return (bytes + step - 1) / step * step;
  }

  /// Uninitialised memory of rounded(bytes). Throws DeviceMemoryError.
  void* take(Use use, std::size_t bytes) {
    Block const wanted{use, rounded(bytes), nullptr};
    auto const place = std::lower_bound(free_.begin(), free_.end(), wanted);
    if (place != free_.end() && !(wanted < *place)) {
      void* const data = place->data;
      free_.erase(place);
      return data;
    }
    std::size_t const size = wanted.size;
    free_.reserve(++blocks_);  // so that giving back never throws
    void* data = nullptr;
    cudaError_t status = cudaMalloc(&data, size);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // a refusal of memory is no lasting error
      release();
      status = cudaMalloc(&data, size);
    }
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      --blocks_;
      throw DeviceMemoryError(message("cudaMalloc gives ", cudaGetErrorName(status), ": asked for ", bytes,
                                      " bytes beside the ", held_, " that this backend has in use"),
                              bytes);
    }
    if (status != cudaSuccess) --blocks_;
    device::check(status, "cudaMalloc(&data, size)");
    held_ += size;
    return data;
  }

  /// Takes back what `take` gave for so many bytes.
  void give_back(Use use, void* data, std::size_t bytes) noexcept {
    Block const block{use, rounded(bytes), data};
    free_.insert(std::upper_bound(free_.begin(), free_.end(), block), block);
  }

  /// Bytes that it holds, in use or not.
  std::size_t held() const { return held_; }

  /// Gives the blocks that nobody uses back to the device, which waits for all work.
  void release() {
    for (Block const& b : free_) {
      DETRAME_CUDA(cudaFree(b.data));
      held_ -= b.size;
      --blocks_;
    }
    free_.clear();
  }

 private:
  struct Block {
    Use use;
    std::size_t size;
    void* data;
    friend bool operator<(Block const& a, Block const& b) {
      return a.use != b.use ? a.use < b.use : a.size < b.size;
    }
  };

  cudaStream_t stream_ = nullptr;
  std::vector<Block> free_;  // in order
  std::size_t blocks_ = 0, held_ = 0;
};

/// A piece of a pool's memory, given back when it dies. It keeps the pool alive.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(std::shared_ptr<DevicePool> pool, DevicePool::Use use, std::size_t bytes)
      : pool_(std::move(pool)),
        use_(use),
        bytes_(bytes),
        data_(bytes > 0 ? pool_->take(use, bytes) : nullptr) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_) pool_->give_back(use_, data_, bytes_);
  }

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  std::shared_ptr<DevicePool> const& pool() const { return pool_; }

 private:
  void swap(DeviceBuffer& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(use_, other.use_);
    std::swap(bytes_, other.bytes_);
    std::swap(data_, other.data_);
  }

  std::shared_ptr<DevicePool> pool_;
  DevicePool::Use use_ = DevicePool::Use::matrix;
  std::size_t bytes_ = 0;
  void* data_ = nullptr;
};

}  // namespace detrame::inline DETRAME_ABI
