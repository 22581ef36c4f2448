// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "cuda/device_calls.hpp"
#include "detrame/backend/cuda/backend.hpp"
#include "laws/backend_laws.hpp"

/// What is a device's own: its memory, its errors, its streams.
namespace detrame {

using namespace detrame::test;

// No entry of host memory can be taken for one of a device, nor one backend's for another's.
static_assert(!std::is_convertible_v<HostMatrix<float>&, Cuda<float>::ConstView>);
static_assert(!std::is_convertible_v<MatrixView<float>, Cuda<float>::ConstView>);
static_assert(!std::is_convertible_v<DeviceMatrix<float>&, Cuda<double>::ConstView>);
static_assert(!std::is_constructible_v<MatrixView<float const>, DeviceMatrix<float>&>);

TEST_CASE("a pool rounds requests up by an eighth at most, and gives the same memory again") {
  for (std::size_t bytes : {1u, 512u, 513u, 1000u, 1u << 20, (1u << 20) + 1, 123456789u}) {
    std::size_t const rounded = DevicePool::rounded(bytes);
    CHECK((rounded >= bytes && rounded % 64 == 0));
    if (bytes > 512) CHECK(rounded <= bytes + bytes / 8);
    CHECK(DevicePool::rounded(rounded) == rounded);
  }
  DevicePool pool;
  constexpr auto matrix = DevicePool::Use::matrix, scratch = DevicePool::Use::scratch;
  void* const first = pool.take(matrix, 1000);
  pool.give_back(matrix, first, 1000);
  DeviceCalls const calls = calls_of([&] { CHECK(pool.take(matrix, 1001) == first); });  // of the same size
  CHECK(calls == DeviceCalls{});
  void* const second = pool.take(scratch, 1000);
  CHECK(second != first);
  CHECK(pool.held() == 2 * DevicePool::rounded(1000));
  pool.give_back(matrix, first, 1000);
  pool.give_back(scratch, second, 1000);
  pool.release();
  CHECK(pool.held() == 0);
}

TEST_CASE(
    "too much memory is refused with the amount, what nobody uses is given up for it, and the backend goes "
    "on") {
  Cuda<float> b;
  auto const x = normal_matrix<float>(33, 31, seed(1));
  auto const kept = to_device(b, x);
  {
    auto const freed = zeros(b, 257, 257);
  }
  std::size_t const held = b.lane().pool()->held();
  Cuda<float>::Matrix large;
  auto const ask = [&] { resize(b, large, Index{1} << 30, Index{1} << 10); };  // 4 TiB
  check_throws_with<DeviceMemoryError>(ask, "asked for 4398046511104 bytes");
  CHECK(b.lane().pool()->held() == held - DevicePool::rounded(257 * 257 * sizeof(float)));
  CHECK((large.rows() == 0 && large.cols() == 0));
  CHECK(to_host(b, kept) == x);
  laws::each_chunk_computes_the_whole_batch(b);
}

TEST_CASE("a failed call is thrown with its text and the status") {
  check_throws_with<DeviceError>([] { DETRAME_CUDA(cudaSetDevice(-7)); },
                                 "cudaSetDevice(-7) gives cudaErrorInvalidDevice");
  CHECK(cudaGetLastError() == cudaErrorInvalidDevice);
  check_throws_with<DeviceError>([] { DETRAME_CUDA(cublasSetStream(nullptr, nullptr)); },
                                 "CUBLAS_STATUS_NOT_INITIALIZED");
}

TEST_CASE("a matrix outlives its backend, and its copies are on the same stream") {
  auto const x = normal_matrix<float>(31, 33, seed(1));
  Cuda<float>::Matrix left;
  {
    Cuda<float> b;
    left = to_device(b, x);
  }
  Cuda<float>::Matrix const copy = left;
  DETRAME_CUDA(cudaDeviceSynchronize());
  Cuda<float> other;
  CHECK(to_host(other, copy) == x);
}

/// y <- A y + y, which needs the y before.
template <class Scalar>
void advance(Cuda<Scalar>& b, typename Cuda<Scalar>::Matrix const& A, typename Cuda<Scalar>::Matrix& y) {
  auto const frame = b.lane().frame();
  auto const before = b.lane().scratch(y.rows(), y.cols());
  each(b.lane(), formula::Assign(), before, y);
  product_each(b.lane(), prepare_product(b, A, Op::none), before, formula::StoreSum(), y,
               ConstView<Cuda<Scalar>>(before));
}

TEST_CASE("two backends, of two scalars, take turns on two streams") {
  Cuda<float> one;
  Cuda<double> two;
  REQUIRE(one.lane().stream() != two.lane().stream());
  auto const a = laws::small_integers<double>(8, 8, seed(1)),
             start = laws::small_integers<double>(8, 5, seed(2));
  auto const A_one = to_device(one, rounded<float>(a));
  auto const A_two = to_device(two, a);
  auto y_one = to_device(one, rounded<float>(start));
  auto y_two = to_device(two, start);
  auto expected = start;
  for (int step = 0; step < 4; ++step) {
    advance(one, A_one, y_one);
    advance(two, A_two, y_two);
    expected = mapped([](double s, double t) { return s + t; }, product(a, expected), expected);
  }
  REQUIRE(max_abs(expected) < 1 << 24);  // exact in float too
  CHECK(to_host(two, y_two) == expected);
  CHECK(rounded<double>(to_host(one, y_one)) == expected);
}

TEST_CASE_TEMPLATE(
    "each_column: columns take turns in global scratch where a block's shared memory is too small", Scalar,
    float, double) {
  Cuda<Scalar> b;
  Index const k = 9, N = 4 * b.processors() + 3;
  Index const small = CudaTeam<Scalar>::factor_size(k) + k,
              large = b.shared_bytes();  // in scalars, not bytes
  auto const A = to_device(b, definite_matrix<Scalar>(k, 10, seed(1)));
  auto const z = random_matrix(b, k, N, seed(2));
  auto const solve = [&](Index scratch_size) {
    auto u = zeros(b, k, N), report = zeros(b, 4, N);
    each_column(b, N, scratch_size, laws::SolveColumn(), A, typename Cuda<Scalar>::ConstView(z), u, report);
    return to_host(b, u);
  };
  auto const shared = solve(small);
  REQUIRE(max_abs(shared) > 0);
  CHECK(solve(large) == shared);
  CHECK(solve(64 * 1024 / Index{sizeof(Scalar)} - 64) == shared);  // more than a block gets unasked
}

}  // namespace detrame
