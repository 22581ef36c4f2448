// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <vector>
#if defined(_OPENMP)
#include <omp.h>
#endif

#include "detrame/backend/cpu/arena.hpp"
#include "detrame/core/errors.hpp"
#include "detrame/core/host_matrix.hpp"
#include "detrame/core/matrix_view.hpp"

#if !EIGEN_VERSION_AT_LEAST(3, 4, 0) || EIGEN_VERSION_AT_LEAST(3, 4, 90)
#error "detrame needs Eigen 3.4: it calls that version's single-threaded product kernel (docs/decisions/0002)"
#endif

namespace detrame {

/// Where the verbs run on the CPU: one thread with scratch memory of its own.
template <class Scalar_>
class CpuLane {
 public:
  using Scalar = Scalar_;
  using View = MatrixView<Scalar>;

  [[nodiscard]] Arena::Frame frame() { return arena_.frame(); }

  /// An uninitialised matrix that lives until the innermost frame closes.
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
  CpuInput(Eigen::DenseBase<Derived> const& expression) : Ref(expression) {}
  CpuInput(MatrixView<Scalar const> v)
      : Ref(Eigen::Map<Matrix const, 0, Eigen::OuterStride<>>(v.data(), v.rows(), v.cols(),
                                                              Eigen::OuterStride<>(v.stride()))) {}
  CpuInput(MatrixView<Scalar> v) : CpuInput(MatrixView<Scalar const>(v)) {}
};

template <class Scalar>
class CpuTeam;

/// The CPU: an object of this type owns its threads' scratch memory, and is passed explicitly to whatever
/// computes. Several live side by side; one object serves one caller at a time.
///
/// Results do not depend on the number of threads, bit for bit.
template <class Scalar_>
class Cpu {
 public:
  using Scalar = Scalar_;
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  using View = MatrixView<Scalar>;
  using ConstView = MatrixView<Scalar const>;
  using Input = CpuInput<Scalar>;
  using Lane = CpuLane<Scalar>;
  using Team = CpuTeam<Scalar>;

  /// The number of threads that OpenMP would use, 1 without OpenMP.
  static int available_threads() {
#if defined(_OPENMP)
    return omp_get_max_threads();
#else
    return 1;
#endif
  }

  explicit Cpu(int threads = available_threads()) {
    require_at_least("Cpu", "threads", threads, 1);
#if !defined(_OPENMP)
    if (threads > 1)
      throw DomainError(message("Cpu: threads = ", threads, ", but this program is built without OpenMP"));
#endif
    for (int i = 0; i < threads; ++i) lanes_.push_back(std::make_unique<Lane>());
  }

  int threads() const { return static_cast<int>(lanes_.size()); }

  /// The calling thread's lane, for work that is not cut into chunks.
  Lane& lane() { return *lanes_.front(); }

  /// Memory of partial sums, owned here so that it is allocated once.
  Arena& partial_sums() { return partial_sums_; }

  /// task(lane, i) for i = 0, ..., count - 1, each once, in any order, on any lane. An exception that a task
  /// throws is rethrown here, that of the smallest i.
  ///
  /// The team is all threads even where there are fewer tasks: when a team shrinks and grows again, OpenMP
  /// ends and starts threads. Afterwards each lane has room for the largest task, whoever was given it.
  template <class Task>
  void run(Index count, Task&& task) {
    run_tasks(count, TaskReference{&task, [](void const* object, Lane& lane, Index i) {
                                     (*static_cast<std::remove_reference_t<Task> const*>(object))(lane, i);
                                   }});
  }

 private:
  /// A task without its type, so that threads are compiled once and not once a task.
  struct TaskReference {
    void const* object;
    void (*call)(void const* object, Lane&, Index i);
    void operator()(Lane& lane, Index i) const { call(object, lane, i); }
  };

  void run_tasks(Index count, TaskReference task) {
    if (threads() == 1 || count <= 1) {
      for (Index i = 0; i < count; ++i) task(lane(), i);
      return;
    }
#if defined(_OPENMP)
    std::exception_ptr thrown;
    Index thrower = count;
    for (auto const& lane : lanes_) lane->arena().watch();
    std::atomic<Index> next = 0;
#pragma omp parallel num_threads(threads())
    for (Index i; (i = next++) < count;) {  // a dynamic schedule, but LLVM's allocates
      try {
        task(*lanes_[static_cast<std::size_t>(omp_get_thread_num())], i);
      } catch (...) {
#pragma omp critical(detrame_cpu_run)
        if (i < thrower) {
          thrown = std::current_exception();
          thrower = i;
        }
      }
    }
    if (thrown) std::rethrow_exception(thrown);
    std::size_t most = 0;
    for (auto const& lane : lanes_) most = std::max(most, lane->arena().watched());
    for (auto const& lane : lanes_) lane->arena().reserve(most);
#endif
  }

  std::vector<std::unique_ptr<Lane>> lanes_;
  Arena partial_sums_;
};

/// The host's entries, in a matrix of this backend.
template <class Scalar>
typename Cpu<Scalar>::Matrix to_device(Cpu<Scalar>&, HostMatrix<Scalar> const& m) {
  return Eigen::Map<typename Cpu<Scalar>::Matrix const>(m.data(), m.rows(), m.cols());
}

/// The entries of a view, on the host.
template <class Scalar>
HostMatrix<Scalar> to_host(Cpu<Scalar>&, std::type_identity_t<MatrixView<Scalar const>> v) {
  return host_matrix<Scalar>(v.rows(), v.cols(), [&](Index i, Index j) { return v(i, j); });
}

/// m becomes rows x cols. Its entries are unspecified afterwards, whatever its shape was; a matrix that had
/// the shape does not allocate.
template <class Scalar>
void resize(Cpu<Scalar>&, typename Cpu<Scalar>::Matrix& m, Index rows, Index cols) {
  if (m.rows() != rows || m.cols() != cols) m.resize(rows, cols);
}

}  // namespace detrame
