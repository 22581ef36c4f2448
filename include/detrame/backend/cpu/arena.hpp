// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "detrame/core/errors.hpp"

namespace detrame::inline DETRAME_ABI {

/// Scratch memory as a stack. It grows to the largest amount ever in use, then never allocates again.
///
/// Blocks that were added while a frame was open are joined into one when the last frame closes, so that the
/// next run of the same shape finds one block that is large enough. Not for use by two threads at once.
class Arena {
 public:
  static constexpr std::size_t alignment = 64;

  /// Everything taken while a Frame lives is given back when it dies.
  class Frame {
   public:
    explicit Frame(Arena& arena)
        : arena_(arena), block_(arena.block_), used_(arena.used_), taken_(arena.taken_) {
      ++arena_.open_;
    }
    Frame(Frame const&) = delete;
    Frame& operator=(Frame const&) = delete;
    ~Frame() {
      arena_.block_ = block_;
      arena_.used_ = used_;
      arena_.taken_ = taken_;
      if (--arena_.open_ == 0) arena_.join_blocks();
    }

   private:
    Arena& arena_;
    std::size_t block_, used_, taken_;
  };

  [[nodiscard]] Frame frame() { return Frame(*this); }

  /// n uninitialised entries, aligned to a cache line, until the innermost frame closes. Some frame is open.
  template <class T>
  T* take(std::ptrdiff_t n) {
    DETRAME_ASSERT(open_ > 0 && n >= 0);
    if (n == 0) return nullptr;
    std::size_t const bytes = round_up(static_cast<std::size_t>(n) * sizeof(T));
    while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].size) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size()) blocks_.emplace_back(std::max(bytes, std::size_t{1} << 12));
    T* const p = reinterpret_cast<T*>(blocks_[block_].memory.get() + used_);
    used_ += bytes;
    taken_ += bytes;
    most_ = std::max(most_, taken_);
    return p;
  }

  /// Bytes that it holds, in use or not.
  std::size_t held() const {
    std::size_t total = 0;
    for (Block const& b : blocks_) total += b.size;
    return total;
  }

  /// From now on, `watched` is the most that was in use at once, in bytes, beyond what is in use now.
  void watch() { watched_from_ = most_ = taken_; }
  std::size_t watched() const { return most_ - watched_from_; }

  /// What is taken next does not allocate as long as it is no more than this.
  void reserve(std::size_t bytes) {
    if (bytes == 0) return;
    for (std::size_t b = block_; b < blocks_.size(); ++b)
      if (blocks_[b].size - (b == block_ ? used_ : 0) >= bytes) return;
    if (open_ == 0) blocks_.clear();
    blocks_.emplace_back(bytes);
  }

 private:
  struct Release {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{alignment}); }
  };
  struct Block {
    explicit Block(std::size_t bytes)
        : memory(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{alignment}))),
          size(bytes) {}
    std::unique_ptr<std::byte, Release> memory;
    std::size_t size;
  };

  static std::size_t round_up(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

  void join_blocks() {
    if (blocks_.size() < 2) return;
    std::size_t const total = held();
    blocks_.clear();
    blocks_.emplace_back(total);
    block_ = used_ = 0;
  }

  std::vector<Block> blocks_;
  std::size_t block_ = 0, used_ = 0, open_ = 0;
  std::size_t taken_ = 0, most_ = 0, watched_from_ = 0;
};

}  // namespace detrame::inline DETRAME_ABI
