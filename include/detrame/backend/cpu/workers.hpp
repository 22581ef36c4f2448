// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdlib>

#include "detrame/core/abi.hpp"

#if DETRAME_HAS_THREADS
#include <atomic>
#include <cfenv>
#include <chrono>
#include <ctime>
#include <mutex>
#include <system_error>
#include <thread>
#if __has_include(<unistd.h>)
#include <signal.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif
#endif

namespace detrame::inline DETRAME_ABI::detail {

inline constexpr bool has_threads = DETRAME_HAS_THREADS;

/// How many threads a program that does not say takes: OMP_NUM_THREADS, which users of numerical programs
/// set for all of them, else the processors that this process may run on; 1 without threads.
inline int available_threads() {
#if DETRAME_HAS_THREADS
  if (char const* const wish = std::getenv("OMP_NUM_THREADS"))
    if (long const n = std::strtol(wish, nullptr, 10); n >= 1 && n <= 4096) return static_cast<int>(n);
#if defined(__linux__)
  cpu_set_t processors;
  if (sched_getaffinity(0, sizeof processors, &processors) == 0) return std::max(CPU_COUNT(&processors), 1);
#endif
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
#else
  return 1;
#endif
}

#if DETRAME_HAS_THREADS

/// Microseconds since some moment.
inline double now() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Microseconds for which the calling thread was given a processor; that of the clock where nobody counts.
inline double processor_time() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  if (std::timespec t{}; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0)
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
#endif
  return now();
}

/// The threads of this process that help whoever calls Cpu::run: shared by all Cpu objects, started when help
/// is first wanted, asleep while there is nothing to do, and never waited for unless they have begun.
///
/// A caller offers a job and works on it itself. A helper that wakes in time joins; one that does not is not
/// missed. `close` waits only for helpers that joined. Where one of them had lost its processor to another
/// program meanwhile, nobody is asked for a while, so that such waits cost a twentieth of the time at most.
/// Jobs within jobs are jobs like others: the threads are
/// not multiplied, and since each waits only for those who work on what it offered, none waits in a circle.
///
/// A process that was forked has none of its parent's helpers: it begins anew.
class Workers {
 public:
  /// What can be joined. `work(object, seat)` returns when there is nothing left to begin; seats count from
  /// 1, 0 is the caller's.
  struct Job {
    void* object;
    void (*work)(void* object, int seat);
    int seats = 0;    ///< how many may join; `offer` says so
    int joined = 0;   ///< how many have
    int working = 0;  ///< how many of those still are
    double away = 0;  ///< the longest time that one of them was without a processor, in microseconds
    Job* next = nullptr;
    std::fenv_t arithmetic{};  ///< the caller's rounding and treatment of subnormals: helpers take them
  };

  /// Those of this process.
  static Workers& of_process() {
    Workers* all = current().load(std::memory_order_acquire);
#if __has_include(<unistd.h>)
    while (all == nullptr || all->process_ != getpid()) {
#else
    while (all == nullptr) {
#endif
      auto* const fresh = new Workers;  // for ever: helpers may outlive whatever is destroyed at the end
      if (current().compare_exchange_strong(all, fresh, std::memory_order_acq_rel)) return *fresh;
      delete fresh;
    }
    return *all;
  }

  /// At least `helpers` are there from now on, unless the system gives no more threads.
  void start(int helpers) {
    if (started_.load(std::memory_order_relaxed) >= helpers) return;
    std::lock_guard const lock(mutex_);
    NoSignals const none;
    try {
      for (int n = started_; n < helpers; started_ = ++n) std::thread([this] { help(); }).detach();
    } catch (...) {  // no thread or no memory: then those who are there, or the caller alone
      started_ = helpers;
    }
  }

  /// From now until `close`, as many as `seats` helpers may join, those who have among them. Nothing where
  /// the processors were too busy of late.
  void offer(Job& job, int seats) {
    if (seats <= job.seats || now() < alone_until_.load(std::memory_order_relaxed)) return;
    start(seats);  // a process that was forked has none
    int const more = seats - job.seats;
    {
      if (job.seats == 0) std::fegetenv(&job.arithmetic);
      std::lock_guard const lock(mutex_);
      if (job.seats == 0) {
        job.next = jobs_;
        jobs_ = &job;
      }
      job.seats = seats;
      offered_.fetch_add(1, std::memory_order_release);
    }
    for (int i = 0; i < more; ++i) offered_.notify_one();
  }

  /// Nobody joins any more, and those who had joined have ended.
  void close(Job& job) {
    if (job.seats == 0) return;
    {
      std::lock_guard const lock(mutex_);
      Job** place = &jobs_;
      while (*place != &job) place = &(*place)->next;
      *place = job.next;
      if (job.working == 0) return;
    }
    double const start = now();
    for (unsigned seen = 0;; changed(ended_, seen)) {
      seen = ended_.load(std::memory_order_acquire);
      std::lock_guard const lock(mutex_);
      if (job.working == 0) break;
    }
    double const end = now(), lost = std::min({end - start, job.away, longest});
    if (lost > awake) alone_until_.store(end + 20 * lost, std::memory_order_relaxed);
  }

 private:
#if __has_include(<unistd.h>)
  Workers() : process_(getpid()) {}
#else
  Workers() = default;
#endif

  static std::atomic<Workers*>& current() {
    static std::atomic<Workers*> workers{nullptr};
    return workers;
  }

  /// While it lives, threads start that leave the program's signals to the program's own threads; not those
  /// that a thread's own instructions raise, nor a profiler's.
  struct NoSignals {
#if __has_include(<unistd.h>) && defined(SIG_SETMASK)
    NoSignals() {
      sigset_t all;
      sigfillset(&all);
      for (int const own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF})
        sigdelset(&all, own);
      pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    NoSignals(NoSignals const&) = delete;
    NoSignals& operator=(NoSignals const&) = delete;
    ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

   private:
    sigset_t before_;
#endif
  };

  /// A helper's life.
  void help() {
    for (unsigned seen = 0;; changed(offered_, seen)) {
      seen = offered_.load(std::memory_order_acquire);
      int seat = 0;
      while (Job* const job = join(seat)) {
        std::fesetenv(&job->arithmetic);
        double const begin = now() - processor_time();
        job->work(job->object, seat);
        leave(*job, now() - processor_time() - begin);
      }
    }
  }

  Job* join(int& seat) {
    std::lock_guard const lock(mutex_);
    for (Job* job = jobs_; job != nullptr; job = job->next)
      if (job->joined < job->seats) {
        seat = ++job->joined;
        ++job->working;
        return job;
      }
    return nullptr;
  }

  void leave(Job& job, double away) {
    {
      std::lock_guard const lock(mutex_);
      job.away = std::max(job.away, away);
      --job.working;
    }
    ended_.fetch_add(1, std::memory_order_release);
    ended_.notify_all();
  }

  /// Waits until a counter is not `seen`: a short while awake, since what is waited for mostly comes within
  /// microseconds, then asleep.
  static void changed(std::atomic<unsigned>& counter, unsigned seen) {
    double const end = now() + awake;
    do
      for (int turn = 0; turn < 64; ++turn) {
        if (counter.load(std::memory_order_acquire) != seen) return;
        relax();
      }
    while (now() < end);
    counter.wait(seen, std::memory_order_acquire);
  }

  static void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  static constexpr double awake = 20;      // microseconds
  static constexpr double longest = 50e3;  // beyond it, the process was stopped: a shell, a debugger

  std::mutex mutex_;
  Job* jobs_ = nullptr;
  std::atomic<int> started_{0};
  std::atomic<unsigned> offered_{0}, ended_{0};
  std::atomic<double> alone_until_{0};
#if __has_include(<unistd.h>)
  pid_t process_;
#endif
};

#endif

}  // namespace detrame::inline DETRAME_ABI::detail
