// SPDX-License-Identifier: Apache-2.0
#include "detrame/exact/encode_sparse.hpp"

#include <doctest/doctest.h>
#include <malloc.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "allocation_counter.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/backend/cpu/sparse_map.hpp"
#include "detrame/exact/encode.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

constexpr Index m = 5, k = 8;

template <Backend B>
Synthesis<B> problem(B& b) {
  using Scalar = typename B::Scalar;
  return {in_memory_of(b, unit_norm_dictionary<double>(m, k, seed(1))), Scalar(.05), Scalar(.125), Scalar(.3),
          zeros(b, k, 1)};
}

/// Two chunks and a part, with a column that is NaN in each, and one of zeros.
constexpr Index N = 2 * encoding_chunk + 77;
template <Backend B>
Matrix<B> samples(B& b) {
  auto X = normal_matrix<double>(m, N, seed(2));
  for (Index j : {Index{3}, encoding_chunk, N - 1}) X(0, j) = std::numeric_limits<double>::quiet_NaN();
  for (Index i = 0; i < m; ++i) X(i, 5) = 0;
  return in_memory_of(b, X);
}

/// Column by column what is not 0 of dense codes, and what is said of them.
template <Backend B>
void check_codes(B& b, SparseCodes<typename B::Scalar> const& codes, ExactResult<B> const& dense,
                 Index cols) {
  using Scalar = typename B::Scalar;
  HostMatrix<Scalar> const u = to_host(b, dense.u), residual = to_host(b, dense.residual),
                           status = to_host(b, dense.column_status);
  auto const same = [](Scalar v, Scalar w) { return v == w || (std::isnan(v) && std::isnan(w)); };
  REQUIRE((codes.rows == u.rows() && codes.cols() == cols && codes.offsets.front() == 0));
  REQUIRE(codes.offsets.back() == static_cast<Index>(codes.values.size()));
  REQUIRE(codes.indices.size() == codes.values.size());
  bool right = true;
  std::size_t p = 0;
  for (Index j = 0; j < cols; ++j) {
    auto const at = static_cast<std::size_t>(j);
    right = right && codes.offsets[at] == static_cast<Index>(p) && same(codes.residual[at], residual(0, j)) &&
            codes.column_status[at] == static_cast<ExactStatus>(static_cast<int>(status(0, j)));
    for (Index i = 0; i < u.rows(); ++i)
      if (u(i, j) != Scalar(0)) {
        right = right && p < codes.values.size() && codes.indices[p] == i && same(codes.values[p], u(i, j));
        ++p;
      }
  }
  CHECK((right && p == codes.values.size()));
}

/// Bytes of the heap in use, all of them where no sanitizer stands before it.
Index heap_in_use() {
  struct mallinfo2 const info = mallinfo2();
  return static_cast<Index>(info.uordblks + info.hblkhd);
}

}  // namespace

TEST_CASE_TEMPLATE("(M1) sparse codes are the entries of the dense ones that are not 0, NaN among them", B,
                   Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>) {
  B b;
  auto const X = samples(b);
  SparseCoder const coder(b, problem(b));
  auto const dense = encode(b, coder, X);
  auto codes = encode_sparse(b, coder, X);
  check_codes(b, codes, dense, N);
  CHECK((codes.complete && codes.status == ExactStatus::not_finite));
  CHECK((std::isnan(codes.largest_residual) && std::isnan(codes.bound)));
  for (std::size_t j : {std::size_t{3}, static_cast<std::size_t>(N - 1)}) {
    CHECK(codes.column_status[j] == ExactStatus::not_finite);
    CHECK(codes.offsets[j + 1] - codes.offsets[j] == k);
  }
  CHECK(codes.offsets[6] == codes.offsets[5]);

  ConstView<B> const finite = ConstView<B>(X).middle_cols(6, encoding_chunk - 6);
  auto const expected = encode(b, coder, finite);
  encode_sparse(b, coder, finite, codes);  // over what was there
  check_codes(b, codes, expected, encoding_chunk - 6);
  CHECK((codes.complete && codes.status == ExactStatus::optimal));
  CHECK((codes.largest_residual == expected.largest_residual && codes.bound == expected.bound));

  encode_sparse(b, coder, zeros(b, m, 0), codes);
  CHECK((codes.complete && codes.status == ExactStatus::optimal && codes.rows == k && codes.cols() == 0));
  CHECK((codes.values.empty() && codes.residual.empty() && codes.bound == 0));
}

TEST_CASE("encode_sparse: whoever watches may end it, and keeps the columns up to there") {
  using B = Cpu<double>;
  B b;
  auto const X = samples(b);
  SparseCoder const coder(b, problem(b));
  auto const dense = encode(b, coder, X);
  SparseCodes<double> codes;
  std::vector<Index> seen;
  auto const until = [&](Index last) {
    seen.clear();
    encode_sparse(b, coder, X, codes, [&](EncodingProgress const& progress) {
      CHECK(progress.of == N);
      CHECK(codes.cols() == progress.columns);
      seen.push_back(progress.columns);
      return progress.columns < last;
    });
  };
  until(N + 1);
  CHECK((seen == std::vector<Index>{encoding_chunk, 2 * encoding_chunk, N} && codes.complete));
  until(2 * encoding_chunk);
  CHECK((seen == std::vector<Index>{encoding_chunk, 2 * encoding_chunk} && !codes.complete));
  check_codes(b, codes, dense, 2 * encoding_chunk);
  until(N);  // ended behind the last column: nothing is missing
  CHECK((codes.complete && codes.cols() == N));
  CHECK_THROWS_AS(encode_sparse(b, coder, X, codes,
                                [](EncodingProgress const&) -> bool { throw std::runtime_error("enough"); }),
                  std::runtime_error);
  CHECK_FALSE(codes.complete);
  check_codes(b, codes, dense, encoding_chunk);
  CHECK_THROWS_WITH_AS(encode_sparse(b, coder, zeros(b, m + 1, 2), codes),
                       "encode_sparse: X has 6 rows, D is 5 x 8", ShapeError);
  CHECK(codes.cols() == encoding_chunk);
}

TEST_CASE_TEMPLATE("encode_sparse: memory beside samples and codes is that of a chunk, for any N", Scalar,
                   float, double) {
  using B = Cpu<Scalar>;
  B b(1);
  SparseCoder const coder(b, problem(b));
  Matrix<B> const X = in_memory_of(b, normal_matrix<double>(m, 16 * encoding_chunk, seed(4)));
  auto const first = [&](Index chunks) { return ConstView<B>(X).middle_cols(0, chunks * encoding_chunk); };
  SparseCodes<Scalar> codes;
  encode_sparse(b, coder, first(4), codes);
  std::size_t const scratch = b.lane().arena().held();
  Index const before = heap_in_use();
  auto const bytes = [&] {
    return static_cast<Index>((codes.offsets.capacity() + codes.indices.capacity()) * sizeof(Index) +
                              (codes.values.capacity() + codes.residual.capacity()) * sizeof(Scalar) +
                              codes.column_status.capacity() * sizeof(ExactStatus));
  };
  std::vector<Index> beside;
  beside.reserve(20);
  Index const own = bytes();
  encode_sparse(b, coder, first(16), codes, [&](EncodingProgress const&) {
    beside.push_back(heap_in_use() + own - before - bytes());
    return true;
  });
  REQUIRE(beside.size() == 16);
  Index const pages = 5 * 4096;  // a block of its own is filled up to whole ones
  for (Index more : beside) CHECK(more <= beside.front() + pages);
  CHECK(b.lane().arena().held() == scratch);
  CHECK(static_cast<double>(codes.values.capacity()) <= 1.1 * static_cast<double>(codes.values.size()));

  auto const again = [&](Index chunks) {
    return allocations([&] { encode_sparse(b, coder, first(chunks), codes); });
  };
  long const a_chunk = (again(16) - again(4)) / 12;
  CHECK((again(1) <= a_chunk + 8 && again(16) == again(4) + 12 * a_chunk));  // results of a chunk, given back
}

TEST_CASE_TEMPLATE("sparse_map: D times the map is what the codes stand for, its transpose has their rows",
                   Scalar, float, double) {
  using B = Cpu<Scalar>;
  B b;
  auto const s = problem(b);
  auto const X = in_memory_of(b, normal_matrix<double>(m, 40, seed(5)));
  SparseCoder const coder(b, s);
  auto const codes = encode_sparse(b, coder, X);
  auto const dense = encode(b, coder, X);
  auto const map = sparse_map(codes);
  CHECK((map.rows() == k && map.cols() == 40 && map.nonZeros() == static_cast<Index>(codes.values.size())));
  CHECK(Matrix<B>(map) == dense.u);
  CHECK(map.valuePtr() == codes.values.data());
  Matrix<B> const expected = decode(b, s, dense.u), got = s.D * map;
  CHECK(max_abs_difference(in_double(b, ConstView<B>(got)), in_double(b, ConstView<B>(expected))) <=
        static_cast<double>(tolerance<Scalar>(k, max_abs(in_double(b, ConstView<B>(expected))))));
  SparseCodes<Scalar> none;
  encode_sparse(b, coder, zeros(b, m, 0), none);
  CHECK(sparse_map(none).nonZeros() == 0);
}

}  // namespace detrame
