// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/orthogonal_start.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/reflected_update.hpp"
#include "detrame/network/initialise.hpp"
#include "support.hpp"

namespace detrame {

using Host = HostMatrix<double>;
static_assert(StartPolicy<OrthogonalStart> && StartPolicy<DiracStart>);

/// A parameter of a layer after a start.
template <class Layer, class Start>
Host started(Start const& start, std::string_view name, std::uint64_t seed) {
  Cpu<double> cpu;
  auto theta = Layer().parameters(cpu);
  initialise(cpu, theta, start, seed);
  Host found;
  visit(
      [&](std::string_view, Role const& role, auto const& p) {
        if (role.name == name) found = to_host(cpu, ConstView<Cpu<double>>(p));
      },
      theta);
  return found;
}

/// The middle tap of a window of three by three: rows below one another, or columns side by side.
Host middle_rows_of(Host const& D, Index m) {
  return host_matrix<double>(m, D.cols(), [&](Index i, Index j) { return D(4 * m + i, j); });
}

void is_orthogonal(Host const& A, double length) {  // A^T A = length^2 I
  Host const G = test::product(test::transposed(A), A);
  for (Index i = 0; i < G.rows(); ++i)
    for (Index j = 0; j < G.cols(); ++j)
      CHECK(std::abs(G(i, j) - (i == j ? length * length : 0)) <= test::tolerance<double>(A.rows(), 1));
}

template <Index k>
using Windows = Bind<ReflectedConvolutionalDictionary<k, 3, Unrolled<Gershgorin, Unroll<1>>>, Shape{6, 4, 4},
                     Cpu<double>>;

TEST_CASE("OrthogonalStart: orthogonal atoms in the middle of the window, rows where atoms are more") {
  OrthogonalStart const start{.tied = {.atoms = .5}};
  Host const few = started<Windows<4>>(start, "dictionary", 1),
             many = started<Windows<9>>(start, "dictionary", 1);
  CHECK(test::max_abs(few) > 0);
  is_orthogonal(middle_rows_of(few, 6), .5);
  is_orthogonal(test::transposed(middle_rows_of(many, 6)), .5);
  for (Index j = 0; j < 4; ++j)
    for (Index i = 0; i < few.rows(); ++i)
      if (i / 6 != 4) CHECK(few(i, j) == 0);
  CHECK_FALSE(started<Windows<4>>(start, "dictionary", 2) == few);
}

TEST_CASE(
    "OrthogonalStart: weights of a linear layer have orthonormal rows, or columns where they are fewer") {
  using Wide = Bind<Dense<4>, Shape{7}, Cpu<double>>;
  using Tall = Bind<Dense<7>, Shape{4}, Cpu<double>>;
  is_orthogonal(test::transposed(started<Wide>(OrthogonalStart(), "weight", 1)), 1);
  is_orthogonal(started<Tall>(OrthogonalStart(), "weight", 1), 1);
}

TEST_CASE("DiracStart: the middle of a window is an identity, repeated where atoms are more than channels") {
  DiracStart const start{.tied = {.atoms = 2}};
  Host const D = started<Windows<9>>(start, "dictionary", 1);
  for (Index j = 0; j < 9; ++j)
    for (Index i = 0; i < D.rows(); ++i) CHECK(D(i, j) == (i / 6 == 4 && i % 6 == j % 6 ? 2. : 0.));
}

}  // namespace detrame
