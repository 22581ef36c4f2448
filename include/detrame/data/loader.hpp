// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>  // layering: batches are prepared on the host while a backend trains
#include <utility>
#include <vector>

#include "detrame/core/batching.hpp"
#include "detrame/core/host_matrix.hpp"
#include "detrame/core/random.hpp"
#include "detrame/data/augment.hpp"
#include "detrame/data/labelled.hpp"

namespace detrame::inline DETRAME_ABI {

/// Some samples in the layout of a batch.
template <class Scalar>
struct HostBatch {
  HostMatrix<Scalar> x;        ///< channels x (sites * samples)
  std::vector<int> labels;     ///< one a sample
  std::vector<Index> samples;  ///< their places in the data set
};

/// The batches of a data set, epoch by epoch: while one is used, a thread prepares the next. Of ImageBytes,
/// pixels become numbers on their way into a batch, before they are prepared.
///
///   loader.begin(epoch);
///   while (auto const* batch = loader.next()) ...   // valid until the next call of next, skip or begin
///
/// Requires  the data set outlives the loader and is not changed; images of its shape, as many as labels,
///           else ShapeError; a batch size >= 1, else DomainError. One caller at a time.
/// Ensures   (1) an epoch holds each sample once, or at most once with drop_last; its batches are a function
///               of (data, batching, preparation, epoch);
///           (2) what the preparation throws is thrown by the call of next for that batch; next then gives
///               nothing until begin starts an epoch;
///           (3) nothing is allocated after the constructor, unless by the preparation;
///           (4) an epoch may be left at any time; the destructor waits for the batch in preparation.
/// Cost      memory: two batches, and two of the size of the last one of an epoch where that is smaller; of
///           ImageBytes, one image
/// Tested    tests/data/loader_test.cpp
template <class Scalar, class Prepare = Unchanged, class Images = LabelledImages<Scalar>>
  requires Preparation<Prepare, Scalar>
class Loader {
 public:
  Loader(Images const& data, Batching const& batching, Prepare prepare = {})
      : data_(data), batching_(batching), prepare_(std::move(prepare)) {
    batching.check();
    Index const samples = data.samples();
    detail::require_images("Loader", data);
    for (Slot& slot : slots_) {
      allot(slot.full, samples < batching.size ? 0 : batching.size);
      allot(slot.rest, batching.drop_last ? 0 : samples % batching.size);
    }
    if constexpr (!holds_numbers) numbers_.resize(static_cast<std::size_t>(data.shape.size()));
    order_.resize(static_cast<std::size_t>(samples));
    for (Index i = 0; i < samples; ++i) order_[static_cast<std::size_t>(i)] = i;
    position_ = batches();
    worker_ = std::thread([this] { work(); });  // layering: see the include
  }
  /// A data set that nobody keeps.
  template <class Temporary>
    requires std::same_as<std::remove_const_t<Temporary>, Images>
  Loader(Temporary&& data, Batching const& batching, Prepare prepare = {})
      : Loader(std::as_const(data), batching, std::move(prepare)) {
    static_assert(
        detail::never<Temporary>,
        "Loader: the data set must outlive the loader, and this one ends with the statement: give it "
        "a name first");
  }
  Loader(Loader const&) = delete;
  Loader& operator=(Loader const&) = delete;
  ~Loader() {
    set(State::closed);
    worker_.join();
  }

  Shape shape() const { return data_.shape; }
  int classes() const { return data_.classes; }

  /// How many samples an epoch has.
  Index samples() const { return batching_.samples_in(data_.samples()); }

  /// How many batches an epoch has.
  Index batches() const { return batching_.batches(data_.samples()); }

  /// How many samples its smallest batch has; 0 where it has no batch.
  Index least_batch() const { return batching_.least_batch(data_.samples()); }

  /// Starts an epoch; what is left of the last one is dropped.
  void begin(std::uint64_t epoch) {
    wait();
    failure_ = nullptr;
    epoch_ = epoch;
    if (batching_.shuffled) shuffle(Random(batching_.seed, epoch), order_);
    position_ = 0;
    ask();
  }

  /// Leaves what n calls of next leave, or those up to the end of the epoch, and prepares none of their
  /// batches, but the first one, which is in preparation already; what that throws is dropped. Requires
  /// n >= 0, else DomainError.
  void skip(Index n) {
    require_at_least("Loader::skip", "n", n, Index{0});
    if (n == 0 || position_ == batches()) return;
    wait();
    failure_ = nullptr;
    position_ += std::min(n, batches() - position_);
    ask();
  }

  /// The next batch of the epoch, or nullptr at its end.
  HostBatch<Scalar> const* next() {
    if (position_ == batches()) return nullptr;
    wait();
    if (failure_) {
      position_ = batches();
      std::rethrow_exception(std::exchange(failure_, nullptr));
    }
    HostBatch<Scalar> const& ready = target();
    ++position_;
    ask();
    return &ready;
  }

 private:
  static constexpr bool holds_numbers = std::same_as<Images, LabelledImages<Scalar>>;

  enum class State { idle, asked, closed };
  struct Slot {
    HostBatch<Scalar> full, rest;
  };

  void allot(HostBatch<Scalar>& batch, Index samples) const {
    batch.x = HostMatrix<Scalar>(data_.shape.channels, data_.shape.sites() * samples);
    batch.labels.resize(static_cast<std::size_t>(samples));
    batch.samples.resize(static_cast<std::size_t>(samples));
  }

  /// The batch that stands at position_: slots take turns.
  HostBatch<Scalar>& target() {
    Slot& slot = slots_[static_cast<std::size_t>(position_ % 2)];
    return data_.samples() - position_ * batching_.size < batching_.size ? slot.rest : slot.full;
  }

  void ask() {
    if (position_ < batches()) set(State::asked);
  }

  /// Until the worker has nothing to do; then all members are the caller's.
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return state_ != State::asked; });
  }

  void set(State state) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return state_ != State::asked; });
    state_ = state;
    changed_.notify_all();
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return state_ != State::idle; });
      if (state_ == State::closed) return;
      lock.unlock();
      try {
        fill(target());
      } catch (...) {
        failure_ = std::current_exception();
      }
      lock.lock();
      state_ = State::idle;
      changed_.notify_all();
    }
  }

  /// The numbers of a sample.
  Scalar const* numbers_of(Index sample) {
    if constexpr (holds_numbers) {
      return data_.images.data() + data_.shape.size() * sample;
    } else {
      data_.read(sample, numbers_.data());
      return numbers_.data();
    }
  }

  void fill(HostBatch<Scalar>& batch) {
    Index const size = data_.shape.size();
    for (std::size_t i = 0; i < batch.samples.size(); ++i) {
      Index const sample = order_[static_cast<std::size_t>(position_ * batching_.size) + i];
      batch.samples[i] = sample;
      batch.labels[i] = data_.labels[static_cast<std::size_t>(sample)];
      prepare_(data_.shape, epoch_, sample, numbers_of(sample),
               batch.x.data() + size * static_cast<Index>(i));
    }
  }

  Images const& data_;
  Batching batching_;
  Prepare prepare_;
  std::array<Slot, 2> slots_;
  std::vector<Scalar> numbers_;  ///< of a sample that is stored as bytes
  std::vector<Index> order_;
  std::uint64_t epoch_ = 0;
  Index position_ = 0;  ///< of the batch in preparation, or of that which next returns
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::idle;  ///< asked: members but this one are the worker's
  std::thread worker_;         // layering: see the include
};

template <class Scalar, class Prepare = Unchanged>
Loader(LabelledImages<Scalar> const&, Batching const&, Prepare = {}) -> Loader<Scalar, Prepare>;
template <class Scalar, class Prepare = Unchanged>
Loader(ImageBytes<Scalar> const&, Batching const&, Prepare = {})
    -> Loader<Scalar, Prepare, ImageBytes<Scalar>>;

}  // namespace detrame::inline DETRAME_ABI
