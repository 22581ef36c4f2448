// SPDX-License-Identifier: Apache-2.0
#include <cfenv>
#include <set>

#include "detrame/backend/cpu/backend.hpp"
#include "support.hpp"
#if DETRAME_HAS_THREADS
#include <sys/wait.h>

#include <condition_variable>
#include <thread>
#endif

namespace detrame {

using namespace test;

TEST_CASE("Cpu: without threads a Cpu of any size is one thread, and says so") {
  CHECK(Cpu<float>(3).threads() == (Cpu<float>::has_threads ? 3 : 1));
  CHECK(Cpu<float>::available_threads() >= 1);
  if (!Cpu<float>::has_threads) CHECK(Cpu<float>::available_threads() == 1);
}

#if DETRAME_HAS_THREADS

namespace {

constexpr Work much{1e12}, little{1e3};

/// A door that opens once.
class Door {
 public:
  void open() {
    std::lock_guard const lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  /// Whether it opened in time.
  bool pass(std::chrono::milliseconds patience = std::chrono::seconds(30)) {
    std::unique_lock lock(mutex_);
    return opened_.wait_for(lock, patience, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

/// A place that opens when `size` threads are there at once.
class Gate {
 public:
  explicit Gate(int size) : size_(size) {}
  /// Whether they came before this one lost patience, and left.
  bool pass(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (++here_ == size_) open_.notify_all();
    bool const full = open_.wait_for(lock, patience, [this] { return here_ == size_; });
    if (!full) --here_;
    return full;
  }

 private:
  std::mutex mutex_;
  std::condition_variable open_;
  int size_, here_ = 0;
};

/// The threads that were seen in tasks.
class Seen {
 public:
  void me() {
    std::lock_guard const lock(mutex_);
    ids_.insert(std::this_thread::get_id());
  }
  std::size_t count() const { return ids_.size(); }
  bool only_me() const { return ids_ == std::set{std::this_thread::get_id()}; }

 private:
  std::mutex mutex_;
  std::set<std::thread::id> ids_;
};

void sleep(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

/// Whether two tasks run at once: each waits for the other. Where processors are lost to other programs, no
/// help may be wanted for a while.
bool two_at_once(Cpu<double>& b) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    Door doors[2];
    std::atomic<int> passed = 0;
    b.run(2, much, [&](auto&, Index i) {
      doors[i].open();
      passed += doors[1 - i].pass(std::chrono::milliseconds(100));
    });
    if (passed == 2) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("Cpu: much work is shared") {
  Cpu<double> b(2);
  CHECK(two_at_once(b));
}

TEST_CASE("Cpu: little work stays with the caller") {
  Cpu<double> b(2);
  Seen seen;
  for (Work const work : {little, Work{0, 1e3}})
    b.run(40, work, [&](auto&, Index) {
      seen.me();
      sleep(1);
    });
  CHECK(seen.only_me());
}

TEST_CASE("Cpu: work that was counted low is shared once the clock tells") {
  Cpu<double> b(2);
  bool shared = false;
  for (int attempt = 0; attempt < 200 && !shared; ++attempt) {
    Seen seen;
    b.run(50, Work{1e6}, [&](auto&, Index) {
      seen.me();
      sleep(1);
    });
    shared = seen.count() == 2;
  }
  CHECK(shared);
}

TEST_CASE("Cpu: a helper that is busy elsewhere is not waited for") {
  constexpr int all = 8;  // more than any other test here asks for
  Cpu<double> here(2), there(all);
  Door taken, over;
  std::atomic<bool> held = false;
  std::thread other([&] {
    for (int attempt = 0; attempt < 100 && !held; ++attempt) {
      Gate gate(all);
      there.run(all, much, [&](auto&, Index) {
        if (!gate.pass(std::chrono::milliseconds(100))) return;
        held = true;
        taken.open();
        over.pass();
      });
    }
  });
  CHECK(taken.pass());
  Seen seen;
  here.run(10, much, [&](auto&, Index) { seen.me(); });
  CHECK(seen.only_me());
  over.open();
  other.join();
}

TEST_CASE("Cpu: a helper that lost its processor is not asked again at once") {
  Cpu<double> b(2);
  bool waited = false;
  for (int attempt = 0; attempt < 200 && !waited; ++attempt) {
    std::atomic<bool> helped = false;
    auto const me = std::this_thread::get_id();
    b.run(2, much, [&](auto&, Index) {
      if (std::this_thread::get_id() != me) helped = true;
      for (int turn = 0; turn < 20 && !helped; ++turn) sleep(1);
      if (std::this_thread::get_id() != me) sleep(50);  // which uses no processor
    });
    waited = helped;
  }
  REQUIRE(waited);
  Seen seen;
  b.run(10, much, [&](auto&, Index) { seen.me(); });
  CHECK(seen.only_me());
}

TEST_CASE("Cpu: work without end is shared as any") {
  Cpu<double> b(2);
  std::atomic<int> ran = 0;
  for (double flops : {1e30, std::numeric_limits<double>::infinity()})
    for (int repetition = 0; repetition < 20; ++repetition)
      b.run(20, Work{flops}, [&](auto&, Index) { ++ran; });
  CHECK(ran == 800);
}

TEST_CASE("Cpu: helpers round as their caller does") {
  Cpu<double> one(1), two(2);
  int const before = std::fegetround();
  std::fesetround(FE_UPWARD);
  Index differing = 0;
  std::size_t most = 0;
  for (int attempt = 0; attempt < 200 && most < 2; ++attempt) {
    auto const thirds = [](Cpu<double>& b, std::vector<double>& out, Seen& seen) {
      b.run(static_cast<Index>(out.size()), much, [&](auto&, Index i) {
        seen.me();
        double const volatile divisor = 3;
        out[static_cast<std::size_t>(i)] = static_cast<double>(i + 1) / divisor;
        sleep(1);
      });
    };
    std::vector<double> alone(20), shared(20);
    Seen mine, ours;
    thirds(one, alone, mine);
    thirds(two, shared, ours);
    most = std::max(most, ours.count());
    for (std::size_t i = 0; i < 20; ++i) differing += alone[i] != shared[i];
  }
  std::fesetround(before);
  CHECK(most == 2);
  CHECK(differing == 0);
}

TEST_CASE("Cpu: neither nested runs nor several objects multiply threads") {
  Seen seen;
  Cpu<double> outer(3);
  std::vector<std::unique_ptr<Cpu<float>>> inner;
  for (int i = 0; i < 8; ++i) inner.push_back(std::make_unique<Cpu<float>>(3));
  std::atomic<int> ran = 0;
  outer.run(8, much, [&](auto&, Index i) {
    inner[static_cast<std::size_t>(i)]->run(8, much, [&](auto&, Index) {
      seen.me();
      sleep(1);
      ++ran;
    });
  });
  CHECK(ran == 64);
  CHECK(seen.count() <= 8);  // the caller and the helpers that the test before asked for
}

TEST_CASE("Cpu: callers on threads of their own share the helpers") {
  std::atomic<int> ran = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&ran] {
      Cpu<double> b(3);
      for (int repetition = 0; repetition < 50; ++repetition) b.run(7, much, [&](auto&, Index) { ++ran; });
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(ran == 4 * 50 * 7);
}

TEST_CASE("Cpu: a process that was forked computes, with helpers of its own") {
  Cpu<double> b(2);
  std::atomic<int> before = 0;
  b.run(4, much, [&](auto&, Index) { ++before; });
  REQUIRE(before == 4);
  pid_t const child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(two_at_once(b) ? 0 : 1);
  int status = -1;
  for (int turn = 0; turn < 6000 && waitpid(child, &status, WNOHANG) == 0; ++turn) sleep(10);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("Cpu: with helpers too, the exception of the first task that throws arrives") {
  Cpu<double> b(3);
  for (int repetition = 0; repetition < 20; ++repetition)
    check_throws_with<std::runtime_error>(
        [&] {
          b.run(100, much, [&](auto&, Index i) {
            if (i >= 40) throw std::runtime_error(message("task ", i));
          });
        },
        "task 40");
}

#endif

}  // namespace detrame
