// SPDX-License-Identifier: Apache-2.0
#include "allocation_counter.hpp"
#include "prox/unrolled_problem.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

/// The recursion as it is printed, entry by entry: U_{t+1} = A(h o Z + W~ (U_t - Z), b), in double.
template <class A>
HostMatrix<double> as_printed(Data const& d) {
  Index const kg = d.k / d.structure.groups;
  HostMatrix<double> U(d.k, d.N);
  for (Index t = 0; t < d.T; ++t) {
    HostMatrix<double> const last = U;
    for (Index j = 0; j < d.N; ++j)
      for (Index i = 0; i < d.k; ++i) {
        Index const first = i - i % kg;
        double sum = d.h(i, 0) * d.Z(i, j);
        for (Index l = 0; l < kg; ++l)
          sum += d.W(i - first, first + l) * (last(first + l, j) - d.Z(first + l, j));
        U(i, j) = A{}(sum, d.b(i, 0));
      }
  }
  return U;
}

template <class Scalar>
Index zeros_in(HostMatrix<Scalar> const& A) {
  Index count = 0;
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = 0; i < A.rows(); ++i) count += A(i, j) == Scalar(0);
  return count;
}

}  // namespace

TEST_CASE_TEMPLATE("(M5) the unroll is eq. (20), T times from 0, with T products instead of T + 1", Model,
                   MODELS) {
  using A = typename Model::Activation;
  using Scalar = typename Model::Backend::Scalar;
  typename Model::Backend backend;
  struct Case {
    Index groups, kg, N, T;
  };
  for (Case const c : {Case{1, 1, 1, 1},
                       {1, 12, 7, 1},
                       {1, 12, 7, 4},
                       {3, 5, 33, 3},
                       {1, 33, 70, 6},
                       {1, 5, 3, 0},
                       {1, 5, 0, 3}}) {
    CAPTURE(c.kg);
    CAPTURE(c.T);
    Data const d(c.groups, c.kg, c.N, c.T, 10);
    Unrolled<typename Model::Backend, A> const unrolled(backend, d);
    auto const U = unrolled.forward();
    CHECK(max_abs_difference(rounded<double>(U), as_printed<A>(d)) <=
          static_cast<double>(tolerance<Scalar>((c.kg + 4) * (c.T + 1), 3)));
    if (c.T > 0 && c.N > 1) REQUIRE((zeros_in(U) > 0 && zeros_in(U) < c.groups * c.kg * c.N));  // not vacuous
    auto states = zeros(backend, d.k, StoreStates::columns(c.T, c.N));
    CHECK(unrolled.forward(&states) == U);  // (2)
  }
}

TEST_CASE_TEMPLATE("(M5) the states are the unrolls of fewer updates", Model, MODELS) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  using Scalar = typename B::Scalar;
  B backend;
  Data d(1, 9, 20, 4, 20);
  auto states = zeros(backend, d.k, StoreStates::columns(d.T, d.N));
  Unrolled<B, A>(backend, d).forward(&states);
  HostMatrix<Scalar> const all = to_host(backend, states);  // 9 x 3 * 20
  for (Index t = 1; t < 4; ++t) {
    d.T = t;
    CHECK(Unrolled<B, A>(backend, d).forward() ==
          host_matrix<Scalar>(d.k, d.N, [&](Index i, Index j) { return all(i, (t - 1) * d.N + j); }));
  }
}

TEST_CASE_TEMPLATE(
    "(M5) columns do not see one another, nor do blocks; a batch may be split and atoms permuted", Model,
    MODELS) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  using Scalar = typename B::Scalar;
  B backend;
  Data const d(1, 12, 200, 5, 120);
  Unrolled<B, A> const whole(backend, d);
  auto const U = whole.forward();
  auto const bar = whole.pullback(true);
  Scalar const tol = tolerance<Scalar>(12 * 5, 3);

  Data part = d;  // columns 70, ..., 199
  part.N = 130;
  part.Z = host_matrix<double>(d.k, 130, [&](Index i, Index j) { return d.Z(i, 70 + j); });
  CHECK(max_abs_difference(Unrolled<B, A>(backend, part).forward(),
                           host_matrix<Scalar>(d.k, 130, [&](Index i, Index j) { return U(i, 70 + j); })) <=
        tol);

  Data other = d;  // all columns but 3 are others
  for (Index j = 0; j < d.N; ++j)
    for (Index i = 0; i < d.k; ++i)
      if (j != 3) other.Z(i, j) = 1e3 * d.Z(i, j);
  auto const V = Unrolled<B, A>(backend, other).forward();
  for (Index i = 0; i < d.k; ++i) CHECK(V(i, 3) == U(i, 3));

  auto const permuted = [&](auto const& m, bool columns_too) {  // rows (and columns) in reverse
    return mapped([](auto x) { return x; },
                  host_matrix<std::decay_t<decltype(m(0, 0))>>(m.rows(), m.cols(), [&](Index i, Index j) {
                    return m(m.rows() - 1 - i, columns_too ? m.cols() - 1 - j : j);
                  }));
  };
  Data reversed = d;
  reversed.W = permuted(d.W, true), reversed.h = permuted(d.h, false), reversed.b = permuted(d.b, false);
  reversed.Z = permuted(d.Z, false), reversed.U_bar = permuted(d.U_bar, false);
  Unrolled<B, A> const backwards(backend, reversed);
  CHECK(max_abs_difference(backwards.forward(), permuted(U, false)) <= tol);
  if (sizeof(Scalar) == 8)  // in float a mask may flip
    CHECK(max_abs_difference(backwards.pullback(true).W, permuted(bar.W, true)) <=
          tolerance<Scalar>(12 * 5 * 200, 3));

  Data const blocks(3, 4, 50, 4, 130);
  auto const U_blocks = Unrolled<B, A>(backend, blocks).forward();
  for (Index g = 0; g < 3; ++g) {
    Data one(1, 4, 50, 4, 130);
    auto const rows = [g](HostMatrix<double> const& m) {
      return host_matrix<double>(4, m.cols(), [&](Index i, Index j) { return m(4 * g + i, j); });
    };
    one.W = host_matrix<double>(4, 4, [&](Index i, Index j) { return blocks.W(i, 4 * g + j); });
    one.h = rows(blocks.h), one.b = rows(blocks.b), one.Z = rows(blocks.Z);
    CHECK(max_abs_difference(Unrolled<B, A>(backend, one).forward(),
                             host_matrix<Scalar>(4, 50, [&](Index i, Index j) {
                               return U_blocks(4 * g + i, j);
                             })) <= tolerance<Scalar>(4 * 4, 3));
  }
}

TEST_CASE_TEMPLATE("(F1) a free recurrence may have several fixed points, or cycle for ever", Model,
                   NONNEGATIVE) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  using Scalar = typename B::Scalar;
  B backend;
  Data d(1, 2, 1, 0, 1);
  d.h = HostMatrix<double>(2, 1, .5), d.b = HostMatrix<double>(2, 1, .1), d.Z = HostMatrix<double>(2, 1, 1);

  d.W = host_matrix<double>(2, 2, [](Index i, Index j) { return i == j ? 0. : 2.; });
  auto const update = [&](double u) { return formula::relu(.5 + 2 * (u - 1) - .1); };
  CHECK(update(0) == 0);  // G = .5 - 2 < .1
  CHECK(update(1.6) == doctest::Approx(1.6));
  for (Index T : {1, 2, 50}) {
    d.T = T;
    CHECK(max_abs(Unrolled<B, A>(backend, d).forward()) == 0);  // from 0 it never finds the other
  }

  d.W = host_matrix<double>(2, 2, [](Index i, Index j) { return i == j ? 0. : -2.; });
  for (Index T : {1, 2, 3, 100, 101}) {
    d.T = T;
    CHECK(max_abs(Unrolled<B, A>(backend, d).forward()) ==
          doctest::Approx(T % 2 == 0 ? 0 : 2.4).epsilon(static_cast<double>(tolerance<Scalar>(4, 1))));
  }
}

TEST_CASE_TEMPLATE("(M5) NaN in a column comes out of it, and of no other", Model, MODELS) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  B backend;
  Data d(1, 5, 9, 3, 140);
  d.Z(2, 4) = std::numeric_limits<double>::quiet_NaN();
  auto const U = Unrolled<B, A>(backend, d).forward();
  for (Index j = 0; j < d.N; ++j)
    for (Index i = 0; i < d.k; ++i) CHECK(std::isnan(U(i, j)) == (j == 4));
}

TEST_CASE("(M5) (A1) the bits do not depend on the number of threads") {
  struct Case {
    Index k, N;
  };
  for (Case const c : {Case{64, 1000}, {1024, 40}}) {
    Data const d(1, c.k, c.N, 3, 100);
    Cpu<float> one(1);
    Unrolled<Cpu<float>, NonnegativeShrinkage> const alone(one, d);
    auto const U = alone.forward();
    auto const bar = alone.pullback(true);
    REQUIRE(max_abs(U) > 0);
    for (int threads : {2, 3}) {
      Cpu<float> team(threads);
      Unrolled<Cpu<float>, NonnegativeShrinkage> const together(team, d);
      CHECK(together.forward() == U);
      CHECK(together.pullback(true) == bar);
    }
  }
}

TEST_CASE("(M5) (A1) nothing is allocated after the first call") {
  Cpu<double> backend(1);
  Data const d(2, 16, 300, 4, 110);
  Unrolled<Cpu<double>, SoftShrinkage> const p(backend, d);
  using Matrix = Cpu<double>::Matrix;
  Matrix U(d.k, d.N), states(d.k, StoreStates::columns(d.T, d.N)), Z_bar(d.k, d.N);
  Matrix W_bar = Matrix::Zero(16, d.k), h_bar = Matrix::Zero(d.k, 1), b_bar = Matrix::Zero(d.k, 1);
  auto const step = [&](Cpu<double>::View kept) {
    unrolled_prox(backend, d.structure, SoftShrinkage{}, p.W, p.h, p.b, p.Z, d.T, U, kept);
    unrolled_prox_pullback(backend, d.structure, SoftShrinkage{}, p.W, p.h, p.b, p.Z, d.T, U, kept, p.U_bar,
                           Z_bar, W_bar, h_bar, b_bar);
  };
  CHECK(allocations([&] { step(states); }) > 0);
  CHECK(allocations([&] { step(states); }) == 0);
  step({});
  CHECK(allocations([&] { step({}); }) == 0);
}

TEST_CASE("(M5) refusals: shapes and T, by name and size") {
  Cpu<double> backend(1);
  using Matrix = Cpu<double>::Matrix;
  Matrix const W = Matrix::Zero(3, 3), h = Matrix::Zero(3, 1), Z = Matrix::Zero(3, 2);
  Matrix U = Matrix::Zero(3, 2), states = Matrix::Zero(3, 3);
  auto const call = [&](DenseBlocks s, Matrix const& W_, Matrix const& h_, Index T, Matrix& U_,
                        Cpu<double>::View kept) {
    unrolled_prox(backend, s, SoftShrinkage{}, W_, h_, h, Z, T, U_, kept);
  };
  Matrix const W_wide = Matrix::Zero(3, 4), h_long = Matrix::Zero(4, 1);
  Matrix U_wide = Matrix::Zero(3, 3);
  check_throws_with<ShapeError>([&] { call({}, W_wide, h, 2, U, {}); },
                                "unrolled_prox: W_tilde is 3 x 4, must be 3 x 3");
  check_throws_with<ShapeError>([&] { call({}, W, h_long, 2, U, {}); },
                                "unrolled_prox: h is 4 x 1, must be 3 x 1");
  check_throws_with<ShapeError>([&] { call({}, W, h, 2, U_wide, {}); },
                                "unrolled_prox: U is 3 x 3, must be 3 x 2");
  check_throws_with<ShapeError>([&] { call({}, W, h, 2, U, states); },
                                "unrolled_prox: states is 3 x 3, must be 3 x 2");
  check_throws_with<DomainError>([&] { call({}, W, h, -1, U, {}); }, "unrolled_prox: T = -1, must be >= 0");
  check_throws_with<DomainError>([&] { call({2}, W, h, 2, U, {}); }, "unrolled_prox: 2 groups");
  check_throws_with<ShapeError>(
      [&] {
        unrolled_prox_pullback(backend, DenseBlocks{}, SoftShrinkage{}, W, h, h, Z, 1, U, {}, U_wide, U,
                               U_wide, states, states);
      },
      "unrolled_prox_pullback: U_bar is 3 x 3, U is 3 x 2");
}

TEST_CASE("(M5) the states of T updates are counted, or refused where an Index cannot") {
  constexpr Index most = std::numeric_limits<Index>::max();
  static_assert(StoreStates::columns(5, 3) == 12);
  CHECK(StoreStates::columns(0, most) == 0);
  CHECK(StoreStates::columns(1, most) == 0);
  CHECK(StoreStates::columns(2, most) == most);
  CHECK(StoreStates::columns(most / 2 + 1, 2) == most - 1);
  check_throws_with<ShapeError>([] { StoreStates::columns(most / 2 + 2, 2); },
                                "StoreStates: 4611686018427387904 states of 2 columns, must be sizes >= 0");
  check_throws_with<ShapeError>([] { StoreStates::columns(3, -1); }, "StoreStates: 2 states of -1 columns");
  Cpu<double> backend(1);
  Eigen::MatrixXd const W = Eigen::MatrixXd::Zero(2, 2), h = Eigen::MatrixXd::Zero(2, 1);
  Eigen::MatrixXd U = W, states = W;
  using V = ConstView<Cpu<double>>;
  check_throws_with<ShapeError>(  // (T - 1) N = 2 in the arithmetic that wraps around
      [&] {
        unrolled_prox(backend, DenseBlocks{1}, NonnegativeShrinkage{}, V(W), V(h), V(h), V(W), most / 2 + 3,
                      View<Cpu<double>>(U), View<Cpu<double>>(states));
      },
      "StoreStates: 4611686018427387905 states of 2 columns");
}

}  // namespace detrame
