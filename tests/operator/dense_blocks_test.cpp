// SPDX-License-Identifier: Apache-2.0
#include "detrame/operator/dense_blocks.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "laws/operator_laws.hpp"

namespace detrame {

static_assert(StructureOn<DenseBlocks, Cpu<float>> && StructureOn<DenseBlocks, Cpu<double>>);
static_assert(StructureOn<DenseBlocks, archetype::Loops<float>>);

namespace {

/// One block, many, and blocks of one row; awkward numbers of rows and columns.
template <Backend B>
void obeys_the_laws() {
  laws::structure_laws<B, DenseBlocks>({{{1}, 1, 1},
                                        {{1}, 5, 3},
                                        {{1}, 33, 7},
                                        {{2}, 6, 4},
                                        {{3}, 33, 5},
                                        {{7}, 7, 3},
                                        {{4}, 36, 0},
                                        {{1}, 0, 3}});
}

}  // namespace

TEST_CASE("(M5) DenseBlocks obeys the laws of a structure: Cpu<float>") { obeys_the_laws<Cpu<float>>(); }
TEST_CASE("(M5) DenseBlocks obeys the laws of a structure: Cpu<double>") { obeys_the_laws<Cpu<double>>(); }
TEST_CASE("(M5) DenseBlocks obeys the laws of a structure: Loops<float>") {
  obeys_the_laws<archetype::Loops<float>>();
}
TEST_CASE("(M5) DenseBlocks obeys the laws of a structure: Loops<double>") {
  obeys_the_laws<archetype::Loops<double>>();
}

TEST_CASE_TEMPLATE("DenseBlocks: n groups are n maps of one group, bit for bit", B, Cpu<float>, Cpu<double>,
                   archetype::Loops<double>) {
  B b;
  Index const groups = 3, kg = 5, k = groups * kg, N = 4;
  auto const W = test::random_matrix(b, kg, k, test::seed(1));  // kg x k
  auto const U = test::random_matrix(b, k, N, test::seed(2));   // k x N
  auto V = zeros(b, k, N), V_apart = zeros(b, k, N);            // k x N
  auto const frame = b.lane().frame();
  auto const apply = [&](DenseBlocks s, ConstView<B> weights, ConstView<B> from, View<B> to) {
    s.map(b.lane(), s.prepare(b, weights, Op::none), from, formula::Store{}, to);
  };
  apply(DenseBlocks{groups}, W, U, V);
  for (Index g = 0; g < groups; ++g)
    apply(DenseBlocks{1}, ConstView<B>(W).middle_cols(g * kg, kg), ConstView<B>(U).middle_rows(g * kg, kg),
          View<B>(V_apart).middle_rows(g * kg, kg));
  CHECK(to_host(b, V) == to_host(b, V_apart));
}

TEST_CASE("DenseBlocks: the dense form has block g in rows and columns g kg, ..., and zeros elsewhere") {
  Cpu<double> cpu;
  auto const W =
      host_matrix<double>(2, 4, [](Index i, Index j) { return static_cast<double>(10 * i + j + 1); });
  auto const dense = DenseBlocks{2}.dense(cpu, to_device(cpu, W));
  double const expected[4][4] = {{1, 2, 0, 0}, {11, 12, 0, 0}, {0, 0, 3, 4}, {0, 0, 13, 14}};
  CHECK(dense == host_matrix<double>(4, 4, [&](Index i, Index j) { return expected[i][j]; }));
}

TEST_CASE("DenseBlocks: what is no such map is refused") {
  using test::check_throws_with;
  check_throws_with<DomainError>([] { DenseBlocks{3}.check("QMetricReLU", 10); },
                                 "QMetricReLU: 3 groups of equal size cannot be made of 10 rows");
  check_throws_with<DomainError>([] { DenseBlocks{0}.check("QMetricReLU", 10); },
                                 "QMetricReLU: groups = 0, must be >= 1");
  check_throws_with<ShapeError>([] { DenseBlocks{1}.from_dense(HostMatrix<double>(2, 3)); },
                                "DenseBlocks: W_tilde is 2 x 3, must be square");
  check_throws_with<DomainError>([] { DenseBlocks{2}.from_dense(HostMatrix<double>(4, 4, 1.5)); },
                                 "DenseBlocks: W_tilde(2, 0) = 1.5 is off the 2 diagonal blocks");
}

}  // namespace detrame
