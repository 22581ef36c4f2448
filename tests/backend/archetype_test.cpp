// SPDX-License-Identifier: Apache-2.0
#include "laws/archetype.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "laws/backend_laws.hpp"

namespace detrame {

TEST_CASE("backend laws: archetype::Loops<float>") { laws::backend_laws<archetype::Loops<float>>(); }
TEST_CASE("backend laws: archetype::Loops<double>") { laws::backend_laws<archetype::Loops<double>>(); }
TEST_CASE_TEMPLATE("backend: what a column throws arrives, Loops", Scalar, float, double) {
  archetype::Loops<Scalar> b;
  laws::what_a_column_throws_arrives(b);
}

/// Memory behind a view is out of reach above the verbs.
template <class View>
concept Transparent =
    requires(View v) { v.data(); } || requires(View v) { v(0, 0); } || requires(View v) { v.stride(); };
static_assert(Transparent<MatrixView<float>> && !Transparent<archetype::View<float>> &&
              !Transparent<archetype::Loops<float>::Matrix>);

TEST_CASE_TEMPLATE("backend: Loops and Cpu agree within the stated bounds", Scalar, float, double) {
  Cpu<Scalar> cpu;
  archetype::Loops<Scalar> loops;
  for (Index n : laws::awkward_sizes) {
    Index const depth = 33, rows = n, cols = 31;
    auto const a = test::normal_matrix<Scalar>(rows, depth, test::seed(1));
    auto const x = test::normal_matrix<Scalar>(depth, cols, test::seed(2));
    auto const run = [&](auto& b) {  // a product, a map, a sum
      auto const A = to_device(b, a), X = to_device(b, x);
      auto Y = zeros(b, rows, cols), sums = zeros(b, 1, cols);
      gemm(b.lane(), Scalar(1), A, Op::none, X, Op::none, Scalar(0), Y);
      auto const Y_host = to_host(b, Y);
      each(b.lane(), formula::Relu(), Y, Y);
      column_sums(b.lane(), sums, formula::Identity(), Y);
      return std::pair(Y_host, to_host(b, sums));
    };
    auto const [Y, sums] = run(cpu);
    auto const [Y_loops, sums_loops] = run(loops);
    for (Index j = 0; j < cols; ++j) {
      double largest = 0;  // of |A||B| in this column
      for (Index i = 0; i < rows; ++i) {
        double scale = 0;
        for (Index l = 0; l < depth; ++l)
          scale += std::abs(static_cast<double>(a(i, l)) * static_cast<double>(x(l, j)));
        CHECK(std::abs(Y(i, j) - Y_loops(i, j)) <= test::tolerance<Scalar>(depth, scale));
        largest = std::max(largest, scale);
      }
      CHECK(std::abs(sums(0, j) - sums_loops(0, j)) <=
            test::tolerance<Scalar>(depth + rows, largest * static_cast<double>(rows)));
    }
  }
}

TEST_CASE("archetype: misuse throws") {
  using B = archetype::Loops<float>;
  B b;
  auto x = zeros(b, 3, 4), y = zeros(b, 4, 3), z = zeros(b, 3, 4);
  B::View const v = x;
  auto const refuses = [](auto&& f, char const* text) { test::check_throws_with<std::logic_error>(f, text); };
  refuses([&] { each(b.lane(), formula::Assign(), x, y); }, "each: an argument of 4 x 3 beside 3 x 4");
  refuses([&] { each(b.lane(), formula::Assign(), v.middle_cols(0, 3), v.middle_cols(1, 3)); }, "overlap");
  refuses([&] { gemm(b.lane(), 1, x, Op::none, z, Op::none, 0, y); }, "4 columns of op(A), 3 rows of op(B)");
  refuses([&] { gemm(b.lane(), 1, x, Op::none, y, Op::none, 0, v.middle_cols(0, 3)); },
          "C overlaps a factor");
  refuses([&] { b.lane().scratch(1, 1); }, "without a frame");
  refuses([&] { v.middle_rows(2, 2); }, "rows [2, 4) of 3");
  refuses([&] { each_chunk(b, Batch{7, 2}, 1, [](B::Lane&, Columns) {}); }, "7 columns in samples of 2");
}

}  // namespace detrame
