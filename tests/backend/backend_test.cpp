// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "laws/backend_laws.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>
#define LAW(statement, law)                              \
  TEST_CASE_TEMPLATE("backend: " statement, B, BACKENDS) { \
    B b;                                                 \
    laws::law(b);                                        \
  }

LAW("to_host(to_device(x)) = x, zeros are zero", what_goes_in_comes_out)
LAW("a matrix is a value", a_matrix_is_a_value)
LAW("views reach the entries they name", views_reach_the_entries_they_name)
LAW("scratch lives until its frame closes", scratch_lives_until_its_frame_closes)
LAW("each and each_indexed map every entry, and no other", each_maps_every_entry)
LAW("relu(NaN) is NaN", nan_goes_through_activations)
LAW("gather takes the columns it is told", gather_takes_the_columns_it_is_told)
LAW("row sums add, column sums and maxima assign", sums_are_sums)
LAW("a column sum rounds by at most c n eps sum |x|", column_sums_round_within_their_bound)
LAW("maxima do not lose NaN", maxima_do_not_lose_nan)
LAW("gemm = alpha op(A) op(B) + beta C within c k eps |A||B|", gemm_is_the_product)
LAW("gemm passes NaN on, but not one in C with beta = 0", gemm_hides_no_nan_but_stale_ones)
LAW("gemm_each is a product and a map", gemm_each_is_a_product_and_a_map)
LAW("chunks cover the batch once and cut no sample", chunks_cover_the_batch_and_cut_no_sample)
LAW("each_chunk computes the whole batch", each_chunk_computes_the_whole_batch)
LAW("sum_chunks adds what a serial sum adds", sum_chunks_adds_what_a_serial_sum_adds)
LAW("what a chunk or a column throws arrives", what_a_chunk_throws_arrives)
LAW("each_column works on every column, with its team", each_column_works_on_every_column)
LAW("a team multiplies columns side by side", a_team_multiplies_columns_side_by_side)
LAW("a factor stops at the first bad row", a_factor_stops_at_the_first_bad_row)
LAW("only finite definite matrices are factorised", only_definite_matrices_are_solved)
LAW("definite_solve solves, reads the lower triangle, works in place", definite_solve_solves)
LAW("eigenvalues are the known ones, ascending", eigenvalues_are_known_ones)

TEST_CASE_TEMPLATE("backend: Loops and Cpu agree within the stated bounds", Scalar, float, double) {
  Cpu<Scalar> cpu;
  archetype::Loops<Scalar> loops;
  for (Index n : laws::awkward_sizes) {
    Index const depth = 33, rows = n, cols = 31;
    auto const a = test::normal_matrix<Scalar>(rows, depth, test::seed(1));
    auto const x = test::normal_matrix<Scalar>(depth, cols, test::seed(2));
    auto const run = [&](auto& b) {                                        // a product, a map, a sum
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
      double largest = 0;                                                  // of |A||B| in this column
      for (Index i = 0; i < rows; ++i) {
        double scale = 0;
        for (Index l = 0; l < depth; ++l) scale += std::abs(static_cast<double>(a(i, l)) * static_cast<double>(x(l, j)));
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
  refuses([&] { gemm(b.lane(), 1, x, Op::none, y, Op::none, 0, v.middle_cols(0, 3)); }, "C overlaps a factor");
  refuses([&] { b.lane().scratch(1, 1); }, "without a frame");
  refuses([&] { v.middle_rows(2, 2); }, "rows [2, 4) of 3");
  refuses([&] { each_chunk(b, Batch{7, 2}, 1, [](B::Lane&, Columns) {}); }, "7 columns in samples of 2");
}

}  // namespace detrame
