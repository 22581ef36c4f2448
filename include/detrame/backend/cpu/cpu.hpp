// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "detrame/backend/cpu/arena.hpp"
#include "detrame/backend/cpu/workers.hpp"
#include "detrame/core/errors.hpp"
#include "detrame/core/host_matrix.hpp"
#include "detrame/core/matrix_view.hpp"

#if !EIGEN_VERSION_AT_LEAST(3, 4, 0) || EIGEN_VERSION_AT_LEAST(3, 4, 90)
#error "detrame needs Eigen 3.4: it calls that version's single-threaded product kernel (docs/decisions/0002)"
#endif

namespace detrame::inline DETRAME_ABI {

/// Where the verbs run on the CPU: one thread with scratch memory of its own.
template <class Scalar_>
class CpuLane {
 public:
  using Scalar = Scalar_;
  using View = MatrixView<Scalar>;

  [[nodiscard]] Arena::Frame frame() { return arena_.frame(); }

  View scratch(Index rows, Index cols) {
    return {arena_.template take<Scalar>(rows * cols), rows, cols, rows};
  }

  Arena& arena() { return arena_; }

 private:
  Arena arena_;
};

/// What public functions take: any Eigen expression, or a view; copied only where its layout is not
/// column-major with unit inner stride.
template <class Scalar>
class CpuInput : public Eigen::Ref<Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic> const, 0,
                                   Eigen::OuterStride<>> {
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  using Ref = Eigen::Ref<Matrix const, 0, Eigen::OuterStride<>>;

 public:
  template <class Derived>
  CpuInput(Eigen::DenseBase<Derived> const& expression)
      : Ref(detail::of_scalar<Scalar, Matrix>(expression.derived())) {}
  CpuInput(MatrixView<Scalar const> v)
      : Ref(Eigen::Map<Matrix const, 0, Eigen::OuterStride<>>(v.data(), v.rows(), v.cols(),
                                                              Eigen::OuterStride<>(v.stride()))) {}
  CpuInput(MatrixView<Scalar> v) : CpuInput(MatrixView<Scalar const>(v)) {}
  template <class Other>
    requires(!std::is_same_v<std::remove_const_t<Other>, Scalar>)
  CpuInput(MatrixView<Other> v) : CpuInput(MatrixView<Scalar const>(v)) {}  // refused there
};

template <class Scalar, Index packets>
class CpuTeam;

/// The CPU: an object of this type owns its threads' scratch memory, and is passed explicitly to whatever
/// computes. Several live side by side; one object serves one caller at a time.
///
/// Results do not depend on the number of threads, bit for bit. The caller is one of them; the others are
/// shared by all objects of the process, and asked only where their help is worth it     (docs/threads.md).
template <class Scalar_>
class Cpu {
  static_assert(std::is_floating_point_v<Scalar_>, "Cpu: computes in float or double");

 public:
  using Scalar = Scalar_;
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  using View = MatrixView<Scalar>;
  using ConstView = MatrixView<Scalar const>;
  using Input = CpuInput<Scalar>;
  using Lane = CpuLane<Scalar>;
  using Team = CpuTeam<Scalar, 2>;

  /// Whether this program has threads. Without them a Cpu has one, whatever it was asked for.
  static constexpr bool has_threads = detail::has_threads;

  /// OMP_NUM_THREADS, which users of numerical programs set for all of them; else the processors that this
  /// process may run on; 1 without threads.
  static int available_threads() { return detail::available_threads(); }

  explicit Cpu(int threads = available_threads()) {
    require_at_least("Cpu", "threads", threads, 1);
    for (int i = 0; i < (has_threads ? threads : 1); ++i) lanes_.push_back(std::make_unique<Lane>());
  }

  int threads() const { return static_cast<int>(lanes_.size()); }

  Lane& lane() { return *lanes_.front(); }

  /// Memory of partial sums, owned here so that it is allocated once.
  Arena& partial_sums() { return partial_sums_; }

  /// task(lane, i) for i = 0, ..., count - 1, each once, in any order, on any lane. An exception that a task
  /// throws is rethrown here, that of the smallest i.
  ///
  /// work: of all tasks, counted low rather than high: it decides who is asked for help, and nothing else.
  /// Where it can grow into something worth it, each lane has room for the largest task afterwards, whoever
  /// was given it.
  template <class Task>
  void run(Index count, Work work, Task&& task) {
    run_tasks(count, work, TaskReference{&task, [](void const* object, Lane& lane, Index i) {
                                           (*static_cast<std::remove_reference_t<Task> const*>(object))(lane,
                                                                                                        i);
                                         }});
  }

 private:
  /// A task without its type, so that threads are compiled once and not once a task.
  struct TaskReference {
    void const* object;
    void (*call)(void const* object, Lane&, Index i);
    void operator()(Lane& lane, Index i) const { call(object, lane, i); }
  };

  void run_tasks(Index count, Work work, TaskReference task) {
#if DETRAME_HAS_THREADS
    if (threads() > 1 && count > 1 && work.microseconds() >= negligible) {
      for (auto const& lane : lanes_) lane->arena().watch();
      if (!std::exchange(helped_, true)) detail::Workers::of_process().start(threads() - 1);
      SharedRun run(lanes_, count, work.microseconds(), task);
      run.with_help();
      run.rethrow();
      std::size_t most = 0;
      for (auto const& lane : lanes_) most = std::max(most, lane->arena().watched());
      for (auto const& lane : lanes_) lane->arena().reserve(most);
      return;
    }
#endif
    for (Index i = 0; i < count; ++i) task(lane(), i);
  }

#if DETRAME_HAS_THREADS
  /// The tasks of one `run`, taken by the caller and by those who help it.
  class SharedRun {
   public:
    SharedRun(std::vector<std::unique_ptr<Lane>> const& lanes, Index count, double microseconds,
              TaskReference task)
        : lanes_(lanes), count_(count), microseconds_(microseconds), task_(task), thrower_(count) {
      auto const tasks = static_cast<double>(count), members = static_cast<double>(lanes.size());
      // About a microsecond, and for each member eight times.
      block_ = static_cast<Index>(std::clamp(std::min(tasks / microseconds, tasks / (8 * members)), 1., 16.));
    }

    /// The caller's part. Helpers are asked once what is left is worth it: by the count of the work, or by
    /// the clock, which is looked at after 1, 4, 16, ... tasks.
    void with_help() {
      int const others = static_cast<int>(lanes_.size()) - 1;
      detail::Workers* workers = nullptr;
      detail::Workers::Job job{this, [](void* run, int seat) {
                                 while (static_cast<SharedRun*>(run)->next_tasks(seat)) {
                                 }
                               }};
      auto const ask = [&](double left, double least, Index tasks_left) {
        if (!(left >= least)) return;
        Index const worth = std::min(static_cast<Index>(std::min(left / grain, others + 1.)), tasks_left);
        if (worth - 1 <= job.seats) return;
        if (workers == nullptr) workers = &detail::Workers::of_process();
        workers->offer(job, static_cast<int>(worth) - 1);
      };
      ask(microseconds_, 2 * grain, count_);
      double const start = detail::now();
      Index done = 0, look = 1;
      while (Index const took = next_tasks(0)) {
        done += took;
        if (done < look || job.seats == others) continue;
        look = 4 * done;
        Index const left = count_ - std::min(count_, next_.load(std::memory_order_relaxed));
        ask((detail::now() - start) / static_cast<double>(done) * static_cast<double>(left), late, left);
      }
      if (workers != nullptr) workers->close(job);
    }

    void rethrow() const {
      if (thrown_) std::rethrow_exception(thrown_);
    }

   private:
    /// Takes the next tasks, a few where they are tiny; how many there were.
    Index next_tasks(int seat) {
      Index const first = next_.fetch_add(block_, std::memory_order_relaxed);
      Index const last = std::min(count_, first + block_);
      for (Index i = first; i < last; ++i) {
        try {
          task_(*lanes_[static_cast<std::size_t>(seat)], i);
        } catch (...) {
          std::lock_guard const lock(mutex_);
          if (i < thrower_) {
            thrown_ = std::current_exception();
            thrower_ = i;
          }
        }
      }
      return std::max<Index>(last - first, 0);
    }

    std::vector<std::unique_ptr<Lane>> const& lanes_;
    Index count_, block_ = 1;
    double microseconds_;
    TaskReference task_;
    alignas(64) std::atomic<Index> next_{0};
    std::mutex mutex_;
    std::exception_ptr thrown_;
    Index thrower_;
  };

  /// A member of a team has this much to do at least, in microseconds: about what it costs to wake one whose
  /// caches are cold. Who is asked `late`, by the clock, must be worth it though the caller goes on
  /// meanwhile. Work that is counted as `negligible` is far below it, however wrong the count is.
  static constexpr double grain = 50, late = 6 * grain, negligible = 3;
#endif

  std::vector<std::unique_ptr<Lane>> lanes_;
  Arena partial_sums_;
  [[maybe_unused]] bool helped_ = false;  // threads start with the first run that may want them
};

template <class Scalar>
typename Cpu<Scalar>::Matrix to_device(Cpu<Scalar>&, HostMatrix<Scalar> const& m) {
  return Eigen::Map<typename Cpu<Scalar>::Matrix const>(m.data(), m.rows(), m.cols());
}

template <class Scalar>
HostMatrix<Scalar> to_host(Cpu<Scalar>&, std::type_identity_t<MatrixView<Scalar const>> v) {
  return host_matrix<Scalar>(v.rows(), v.cols(), [&](Index i, Index j) { return v(i, j); });
}

template <class Scalar>
void resize(Cpu<Scalar>&, typename Cpu<Scalar>::Matrix& m, Index rows, Index cols) {
  if (m.rows() != rows || m.cols() != cols) m.resize(rows, cols);
}

}  // namespace detrame::inline DETRAME_ABI
