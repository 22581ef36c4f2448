// SPDX-License-Identifier: Apache-2.0
#if defined(_OPENMP)
#include <omp.h>
#endif

#include <thread>

#include "allocation_counter.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "support.hpp"

namespace detrame {

using namespace test;

namespace {

/// One step of everything that a network does with a backend: chunked products with what follows them, and
/// gradients that are summed over chunks.
template <class Scalar>
class Step {
 public:
  using Matrix = typename Cpu<Scalar>::Matrix;

  Step(Cpu<Scalar>& b, Index k, Index N)
      : backend(b),
        W(random_matrix(b, k, k, seed(1))),
        X(random_matrix(b, k, N, seed(2))),
        c(random_matrix(b, k, 1, seed(3))),
        Y(zeros(b, k, N)),
        W_bar(zeros(b, k, k)),
        c_bar(zeros(b, k, 1)),
        mean(zeros(b, k, 1)),
        variance(zeros(b, k, 1)) {}

  void operator()() {
    using View = MatrixView<Scalar>;
    using ConstView = MatrixView<Scalar const>;
    ConstView const w = W, x = X, bias = c;
    View const y = Y;
    Batch const batch{X.cols()};
    auto const frame = backend.lane().frame();
    auto const prepared = prepare_product(backend, w, Op::none);
    each_chunk(backend, batch, 3 * W.rows(), [&](CpuLane<Scalar>& lane, Columns columns) {
      ConstView const xs = detrame::columns(x, columns);
      View const ys = detrame::columns(y, columns);
      auto const V = lane.scratch(w.rows(), columns.count);
      product_each(lane, prepared, xs, formula::StoreMinus(), V, PerRow{bias});
      each(lane, formula::Relu(), V, V);
      gemm(lane, Scalar(1), w, Op::transposed, V, Op::none, Scalar(0), ys);
    });
    sum_chunks(backend, batch, 3 * W.rows(), std::array<View, 2>{W_bar, c_bar},
               [&](CpuLane<Scalar>& lane, Columns columns, std::array<View, 2> const& sums) {
                 auto const xs = detrame::columns(x, columns);
                 ConstView const ys = detrame::columns(y, columns);
                 gemm(lane, Scalar(1), ys, Op::none, xs, Op::transposed, Scalar(1), sums[0]);
                 row_sums(lane, sums[1], formula::Product(), ys, xs);
               });
    each_column(
        backend, c.rows(), 7,
        [](auto const&, Index j, Scalar* scratch, auto v) {
          scratch[6] = Scalar(2);
          v(j, 0) *= scratch[6];
        },
        c_bar);
    row_moments(backend, x, mean, variance);
  }

  bool same_bits(Step const& other) const {
    return Y == other.Y && W_bar == other.W_bar && c_bar == other.c_bar && mean == other.mean &&
           variance == other.variance && Y.allFinite() && Y.cwiseAbs().maxCoeff() > 0;
  }

 private:
  Cpu<Scalar>& backend;
  Matrix W, X, c, Y, W_bar, c_bar, mean, variance;
};

template <class Scalar>
void check_threads(Index k, Index N) {
  CAPTURE(k);
  Cpu<Scalar> one(1), two(2), three(3);
  Step<Scalar> first(one, k, N), second(two, k, N), third(three, k, N);
  first();
  second();
  third();
  CHECK(first.same_bits(second));
  CHECK(first.same_bits(third));
}

}  // namespace

TEST_CASE_TEMPLATE("Cpu: 1, 2 and 3 threads give the same bits", Scalar, float, double) {
  check_threads<Scalar>(64, 1000);
  check_threads<Scalar>(1024, 130);
  if (sizeof(Scalar) == 4) check_threads<Scalar>(1536, 130);
}

#if defined(_OPENMP)  // in a user's program: there Eigen's own products take threads
TEST_CASE("Cpu: a large product on a lane does not depend on the threads that Eigen would take") {
  int const before = omp_get_max_threads();
  for (Index k : {1024, 1536}) {
    Cpu<float> b(1);
    auto const A = random_matrix(b, k, k, seed(1)), x = random_matrix(b, k, 96, seed(2));
    auto C = zeros(b, k, 96), C_alone = zeros(b, k, 96);
    omp_set_num_threads(1);
    gemm(b.lane(), 1, A, Op::none, x, Op::none, 0, C_alone);
    for (int threads : {2, 3}) {
      omp_set_num_threads(threads);
      int const of_eigen = Eigen::nbThreads();
      gemm(b.lane(), 1, A, Op::none, x, Op::none, 0, C);
      CHECK(C == C_alone);
      CHECK(Eigen::nbThreads() == of_eigen);  // nor are they touched
      CHECK(omp_get_max_threads() == threads);
    }
    omp_set_num_threads(before);
  }
}
#endif

TEST_CASE("Cpu: two objects serve two threads at once") {
  Cpu<float> alone(1), left(2), right(3);
  Step<float> expected(alone, 256, 300), a(left, 256, 300), b(right, 256, 300);
  for (int repetition = 0; repetition < 3; ++repetition) {
    std::thread other([&] { b(); });
    a();
    other.join();
    expected();
  }
  CHECK(a.same_bits(expected));
  CHECK(b.same_bits(expected));
}

TEST_CASE("Cpu: the counter of allocations counts new, aligned new, malloc and Eigen's") {
  int* volatile p = nullptr;
  CHECK(allocations([&] { p = new int(1); }) == 1);
  delete p;
  CHECK(allocations([&] { p = static_cast<int*>(::operator new(64, std::align_val_t{64})); }) == 1);
  ::operator delete(p, std::align_val_t{64});
  CHECK(allocations([&] { p = static_cast<int*>(std::malloc(4)); }) == 1);
  std::free(p);
  CHECK(allocations([] { Eigen::MatrixXf const m = Eigen::MatrixXf::Zero(3, 3); }) == 1);
  CHECK(allocations([] {}) == 0);
}

TEST_CASE_TEMPLATE("Cpu: no allocation after the first step", Scalar, float, double) {
  for (int threads : {1, 2, 3})
    for (Index N : {700, 100, 5}) {  // many chunks, fewer than threads, one
      CAPTURE(threads);
      CAPTURE(N);
      Cpu<Scalar> b(threads);
      Step<Scalar> step(b, 96, N);
      CHECK(allocations(step) > 0);  // the counter is not asleep
      for (int again = 0; again < 20; ++again) CHECK(allocations([&] { step(); }) == 0);
    }
}

TEST_CASE("Cpu: the exception of the first chunk that throws arrives, and the others run") {
  for (int threads : {1, 3}) {
    Cpu<double> b(threads);
    std::atomic<int> ran = 0;
    check_throws_with<std::runtime_error>(
        [&] {
          b.run(100, Work{1e9}, [&](CpuLane<double>&, Index i) {
            ++ran;
            if (i >= 40 && i % 10 == 0) throw std::runtime_error(message("task ", i));
          });
        },
        "task 40");
    CHECK(ran >= 41);
  }
}

TEST_CASE("Cpu: without a thread there is no Cpu") {
  check_throws_with<DomainError>([] { Cpu<float> b(0); }, "Cpu: threads = 0, must be >= 1");
  check_throws_with<DomainError>([] { Cpu<float> b(-3); }, "Cpu: threads = -3, must be >= 1");
  CHECK(Cpu<float>().threads() == Cpu<float>::available_threads());
  CHECK(Cpu<float>(3).threads() == (Cpu<float>::has_threads ? 3 : 1));
}

namespace {

/// The rule of a penalty that knows no packets.
struct ScalarShrinkage {
  template <class Scalar>
  Scalar operator()(Scalar t, Scalar b) const {
    static_assert(std::is_floating_point_v<Scalar>);
    return formula::soft_threshold(t, b);
  }
};

/// One step of coordinate descent after the other, by the formula of `relax`.
template <class Team, class F>
void check_relax(F const& f, bool with_nan) {
  using Scalar = typename Team::Scalar;
  constexpr Index width = Team::width, height = Team::height, n = height + 3;
  Scalar const omega = static_cast<Scalar>(1.3), eps = std::numeric_limits<Scalar>::epsilon();
  auto const H = normal_matrix<Scalar>(n, n, seed(40));
  auto const r = normal_matrix<Scalar>(width, height, seed(41)),
             start = normal_matrix<Scalar>(width, height, seed(42)),
             p = normal_matrix<Scalar>(width, height, seed(43));
  std::vector<Scalar> A(static_cast<std::size_t>(n * n)),
      b(static_cast<std::size_t>(width * height), Scalar(.2));
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < n; ++i)
      A[static_cast<std::size_t>(i + j * n)] = i == j ? Scalar(2) : Scalar(.2) * H(i, j);
  for (Index count = 1; count <= height; ++count) {
    HostMatrix<Scalar> u = start, expected = start, product = p;
    if (with_nan) u(0, 0) = expected(0, 0) = std::numeric_limits<Scalar>::quiet_NaN();
    Team().relax(f, omega, A.data(), n, count, r.data(), b.data(), p.data(), u.data());
    for (Index a = 0; a < count; ++a)
      for (Index c = 0; c < width; ++c) {
        Scalar const step = omega / A[static_cast<std::size_t>(a + a * n)], old = expected(c, a);
        expected(c, a) = f(old + step * (r(c, a) - product(c, a)), step * Scalar(.2));
        for (Index h = a + 1; h < height; ++h)
          product(c, h) += A[static_cast<std::size_t>(h + a * n)] * (expected(c, a) - old);
      }
    for (Index a = 0; a < height; ++a)
      for (Index c = 0; c < width; ++c) {
        if (with_nan && c == 0 && a < count)
          CHECK(u(c, a) != u(c, a));
        else
          CHECK(std::abs(u(c, a) - expected(c, a)) <=
                64 * eps);  // 8 entries of up to 4, 4 roundings in each step
      }
  }
}

template <class Team>
void check_coarse_loops() {
  using Scalar = typename Team::Scalar;
  for (bool with_nan : {false, true}) {
    check_relax<Team>(formula::NonnegativeShrinkage(), with_nan);
    check_relax<Team>(formula::SoftShrinkage(), with_nan);
    check_relax<Team>(ScalarShrinkage(), with_nan);
  }
  Index const rows = 3 * Team::column_block, stride = rows + 5;
  for (Index depth : {0, 1, 7, 20})
    for (Index count = 1; count <= Team::width; ++count) {
      auto const A = normal_matrix<Scalar>(stride, std::max<Index>(depth, 1), seed(44)),
                 X = normal_matrix<Scalar>(std::max<Index>(depth, 1), count, seed(45));
      std::vector<Scalar> Y(static_cast<std::size_t>(rows * count), Scalar(7)), x;
      for (Index c = 0; c < count; ++c)
        for (Index l = 0; l < depth; ++l) x.push_back(X(l, c));
      Team().products(A.data(), stride, rows, depth, x.data(), count, Y.data());
      for (Index c = 0; c < count; ++c)
        for (Index i = 0; i < rows; ++i) {
          double sum = 0, terms = 0;
          for (Index l = 0; l < depth; ++l) {
            double const term = static_cast<double>(A(i, l)) * static_cast<double>(X(l, c));
            sum += term;
            terms += std::abs(term);
          }
          CHECK(std::abs(static_cast<double>(Y[static_cast<std::size_t>(i + c * rows)]) - sum) <=
                static_cast<double>(depth) * std::numeric_limits<Scalar>::epsilon() * terms);
        }
    }
}

}  // namespace

TEST_CASE("CpuTeam: steps of coordinate descent and products side by side are those of plain loops") {
  check_coarse_loops<Cpu<float>::Team::Coarse>();
  check_coarse_loops<Cpu<double>::Team::Coarse>();
  check_coarse_loops<Cpu<double>::Team>();
}

TEST_CASE("Arena: what is taken is aligned, apart from the rest, and given back by its frame") {
  Arena arena;
  for (int repetition = 0; repetition < 3; ++repetition) {
    auto const outer = arena.frame();
    char* const a = arena.take<char>(1);
    double* const x = arena.take<double>(100);
    double* inside = nullptr;
    {
      auto const inner = arena.frame();
      inside = arena.take<double>(1 << 16);  // more than a block: the arena grows
      std::fill_n(inside, 1 << 16, 3.0);
    }
    float* const y = arena.take<float>(100);
    *a = 'a';
    std::fill_n(x, 100, 1.0);
    std::fill_n(y, 100, 2.0f);
    CHECK((*a == 'a' && std::all_of(x, x + 100, [](double t) { return t == 1.0; })));
    for (void const* p : {static_cast<void const*>(a), static_cast<void const*>(x),
                          static_cast<void const*>(inside), static_cast<void const*>(y)})
      CHECK(reinterpret_cast<std::uintptr_t>(p) % Arena::alignment == 0);
    if (repetition > 0) CHECK(static_cast<void*>(y) == static_cast<void*>(inside));  // one block: reused
  }
}

TEST_CASE("Arena: the second run of a shape allocates nothing, whatever the order of sizes") {
  Arena arena;
  auto const run = [&] {
    auto const outer = arena.frame();
    for (Index n : {10, 5000, 100, 70000, 1}) {
      auto const inner = arena.frame();
      arena.take<float>(n);
      auto const innermost = arena.frame();
      arena.take<double>(2 * n);
    }
    arena.take<double>(50000);
    arena.take<double>(0);
  };
  CHECK(allocations(run) > 0);
  for (int repetition = 0; repetition < 3; ++repetition) CHECK(allocations(run) == 0);
}

TEST_CASE("Cpu: threads' frames do not meet: a lane per thread, nested frames within it") {
  Cpu<float> b(3);
  std::atomic<int> wrong = 0;
  each_chunk(b, Batch{3000}, 1 << 20, [&](CpuLane<float>& lane, Columns c) {
    float const mine = static_cast<float>(c.first);
    auto const kept = lane.scratch(7, c.count);
    each(lane, formula::Fill<float>{mine}, kept);
    for (Index size : {1, 100, 3000}) {
      auto const frame = lane.frame();
      each(lane, formula::Fill<float>{-1}, lane.scratch(size, 3));
    }
    std::this_thread::yield();
    for (Index j = 0; j < c.count; ++j)
      for (Index i = 0; i < 7; ++i)
        if (kept(i, j) != mine) ++wrong;
  });
  CHECK(wrong == 0);
}

}  // namespace detrame
