// SPDX-License-Identifier: Apache-2.0
#include "allocation_counter.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/recurrence.hpp"
#include "detrame/prox/kink_margin.hpp"
#include "detrame/prox/unrolled_jvp.hpp"
#include "detrame/prox/unrolled_pullback.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

using formula::NonnegativeShrinkage;
using formula::SoftShrinkage;

/// A recursion of k = groups kg rows and what it is applied to, on the host, in double: |W~|_2 is about .8.
struct Data {
  DenseBlocks structure;
  Index k, N, T;
  HostMatrix<double> W, h, b, Z, U_bar;

  Data(Index groups, Index kg, Index N_, Index T_, std::uint64_t n)
      : structure{groups},
        k(groups * kg),
        N(N_),
        T(T_),
        W(mapped([=](double w) { return .4 * w / std::sqrt(static_cast<double>(kg)); },
                 normal_matrix<double>(kg, k, seed(n)))),
        h(uniform_matrix<double>(k, 1, seed(n + 1), .5, 1)),
        b(uniform_matrix<double>(k, 1, seed(n + 2), 0, .2)),
        Z(normal_matrix<double>(k, N, seed(n + 3))),
        U_bar(normal_matrix<double>(k, N, seed(n + 4))) {}
};

/// The same in the memory of a backend, and the maps under test.
template <Backend B, class A>
struct Unrolled {
  using Scalar = typename B::Scalar;
  using Matrix = typename B::Matrix;
  struct Gradients {
    HostMatrix<Scalar> Z, W, h, b;
    bool operator==(Gradients const&) const = default;
  };

  B& backend;
  DenseBlocks structure;
  Index k, N, T;
  Matrix W, h, b, Z, U_bar;

  Unrolled(B& backend_, Data const& d)
      : backend(backend_),
        structure(d.structure),
        k(d.k),
        N(d.N),
        T(d.T),
        W(device(d.W)),
        h(device(d.h)),
        b(device(d.b)),
        Z(device(d.Z)),
        U_bar(device(d.U_bar)) {}

  Matrix device(HostMatrix<double> const& m) const { return to_device(backend, rounded<Scalar>(m)); }

  HostMatrix<Scalar> forward(Matrix* states = nullptr) const {
    Matrix U;
    resize(backend, U, k, N);
    unrolled_prox(backend, structure, A{}, W, h, b, Z, T, U,
                  states ? typename B::View(*states) : typename B::View());
    return to_host(backend, U);
  }

  /// The cotangents, of which all but that of Z are added to `start`.
  Gradients pullback(bool store, Scalar start = 0) const {
    Matrix U = zeros(backend, k, N), states = zeros(backend, k, store ? StoreStates::columns(T, N) : 0);
    unrolled_prox(backend, structure, A{}, W, h, b, Z, T, U, states);
    auto const filled = [&](Matrix const& m) {
      return to_device(backend, HostMatrix<Scalar>(m.rows(), m.cols(), start));
    };
    Matrix Z_bar, W_bar = filled(W), h_bar = filled(h), b_bar = filled(b);
    resize(backend, Z_bar, k, N);
    unrolled_prox_pullback(backend, structure, A{}, W, h, b, Z, T, U, states, U_bar, Z_bar, W_bar, h_bar,
                           b_bar);
    return {to_host(backend, Z_bar), to_host(backend, W_bar), to_host(backend, h_bar),
            to_host(backend, b_bar)};
  }
};

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

/// A backend and one of the two activations.
template <class B, class A>
struct On {
  using Backend = B;
  using Activation = A;
};

}  // namespace

// Every backend and scalar, and both activations, each on a host and on the archetype.
#define MODELS                                                          \
  On<Cpu<float>, NonnegativeShrinkage>, On<Cpu<double>, SoftShrinkage>, \
      On<archetype::Loops<float>, SoftShrinkage>, On<archetype::Loops<double>, NonnegativeShrinkage>
#define DOUBLES On<Cpu<double>, SoftShrinkage>, On<archetype::Loops<double>, NonnegativeShrinkage>
#define NONNEGATIVE On<Cpu<float>, NonnegativeShrinkage>, On<archetype::Loops<double>, NonnegativeShrinkage>

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

TEST_CASE_TEMPLATE("(A1) <U_bar, dU> is <pullback(U_bar), (dW~, dh, db, dZ)>", Model, MODELS) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  using Scalar = typename B::Scalar;
  B backend;
  for (Index T : {0, 1, 2, 5}) {
    Data const d(T == 2 ? 3 : 1, 6, 17, T, 30);
    Unrolled<B, A> const unrolled(backend, d);
    auto const bar = unrolled.pullback(true);
    for (std::uint64_t direction = 0; direction < 3; ++direction) {
      auto const draw = [&](HostMatrix<double> const& m, std::uint64_t n) {
        return normal_matrix<Scalar>(m.rows(), m.cols(), seed(40 + 4 * direction + n));
      };
      auto const dW = draw(d.W, 0), dh = draw(d.h, 1), db = draw(d.b, 2), dZ = draw(d.Z, 3);
      auto dU = zeros(backend, d.k, d.N);
      unrolled_prox_jvp(backend, d.structure, A{}, unrolled.W, unrolled.h, unrolled.b, unrolled.Z, T,
                        to_device(backend, dW), to_device(backend, dh), to_device(backend, db),
                        to_device(backend, dZ), dU);
      double const terms[] = {inner(bar.W, dW), inner(bar.h, dh), inner(bar.b, db), inner(bar.Z, dZ)};
      double const lhs = inner(to_host(backend, dU), rounded<Scalar>(d.U_bar));
      double size = 0;
      for (double term : terms) size += std::abs(term);
      if (T > 0) REQUIRE(std::abs(lhs) > 0);
      CHECK(std::abs(lhs - (terms[0] + terms[1] + terms[2] + terms[3])) <=
            static_cast<double>(tolerance<Scalar>(d.k * T + d.N, size + 1)));
    }
  }
}

TEST_CASE_TEMPLATE("(A1) the pullback is the derivative: central differences where no kink is crossed", Model,
                   DOUBLES) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  B backend;
  for (Index T : {1, 2, 4}) {
    Data const d(1, 8, 5, T, 50);
    Unrolled<B, A> const at(backend, d);
    auto const bar = at.pullback(true);
    auto const margins = to_host(backend, kink_margin(backend, d.structure, A{}, at.W, at.h, at.b, at.Z, T));
    double const step = std::cbrt(std::numeric_limits<double>::epsilon());
    for (double margin : {margins(0, 0), margins(0, 1), margins(0, 4)}) REQUIRE(margin > 20 * step);
    for (std::uint64_t direction = 0; direction < 3; ++direction) {
      auto const draw = [&](HostMatrix<double> const& m, std::uint64_t n) {
        return normal_matrix<double>(m.rows(), m.cols(), seed(60 + 4 * direction + n));
      };
      auto const dW = draw(d.W, 0), dh = draw(d.h, 1), db = draw(d.b, 2), dZ = draw(d.Z, 3);
      auto const moved = [&](double s) {
        Data e = d;
        auto const plus = [s](double x, double dx) { return x + s * dx; };
        e.W = mapped(plus, d.W, dW), e.h = mapped(plus, d.h, dh), e.b = mapped(plus, d.b, db);
        e.Z = mapped(plus, d.Z, dZ);
        return Unrolled<B, A>(backend, e).forward();
      };
      auto const ahead = moved(step), behind = moved(-step), here = at.forward();
      auto const sign = [](double u) { return (u > 0) - (u < 0); };
      REQUIRE(mapped([&](double u, double v) { return double(sign(u) == sign(v)); }, ahead, here) ==
              HostMatrix<double>(d.k, d.N, 1));
      REQUIRE(mapped([&](double u, double v) { return double(sign(u) == sign(v)); }, behind, here) ==
              HostMatrix<double>(d.k, d.N, 1));
      double const measured = (inner(ahead, d.U_bar) - inner(behind, d.U_bar)) / (2 * step);
      double const claimed = inner(bar.W, dW) + inner(bar.h, dh) + inner(bar.b, db) + inner(bar.Z, dZ);
      double const scale =
          std::abs(claimed) + norm(d.U_bar) * std::pow(norm(dZ) + norm(dW), 2);  // third derivatives
      CHECK(std::abs(measured - claimed) <= 10 * step * step * scale);
    }
  }
}

TEST_CASE("(A1) in float the gradients are those of double, but for rounding") {
  Cpu<float> single;
  archetype::Loops<double> twice;
  Data const d(1, 24, 50, 4, 70);
  auto const margins =
      to_host(twice, kink_margin(twice, d.structure, NonnegativeShrinkage{}, to_device(twice, d.W),
                                 to_device(twice, d.h), to_device(twice, d.b), to_device(twice, d.Z), 4));
  auto const f = Unrolled<Cpu<float>, NonnegativeShrinkage>(single, d).pullback(true);
  auto const g = Unrolled<archetype::Loops<double>, NonnegativeShrinkage>(twice, d).pullback(true);
  Index compared = 0;
  for (Index j = 0; j < d.N; ++j) {
    if (!(margins(0, j) > tolerance<float>(d.k * 4, 3))) continue;  // a mask may have flipped
    ++compared;
    for (Index i = 0; i < d.k; ++i)
      CHECK(std::abs(static_cast<double>(f.Z(i, j)) - g.Z(i, j)) <=
            static_cast<double>(tolerance<float>(d.k * 4, 3)));
  }
  CHECK(compared > d.N / 2);
}

TEST_CASE_TEMPLATE(
    "(A1) cotangents of parameters are added, that of Z is assigned; T = 0 and N = 0 add nothing", Model,
    MODELS) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  using Scalar = typename B::Scalar;
  B backend;
  for (Index T : {0, 1, 3})
    for (Index N : {0, 1, 40}) {
      Data const d(1, 7, N, T, 80);
      Unrolled<B, A> const unrolled(backend, d);
      auto const bar = unrolled.pullback(true), added = unrolled.pullback(true, Scalar(2));
      Scalar const tol = tolerance<Scalar>(7 * (N + 1), 10);
      auto const plus_2 = [](Scalar x) { return x + Scalar(2); };
      CHECK(max_abs_difference(added.W, mapped(plus_2, bar.W)) <= tol);
      CHECK(max_abs_difference(added.h, mapped(plus_2, bar.h)) <= tol);
      CHECK(max_abs_difference(added.b, mapped(plus_2, bar.b)) <= tol);
      CHECK(added.Z == bar.Z);
      if (T == 0 || N == 0) {
        CHECK(max_abs(bar.W) == 0);
        CHECK(max_abs(bar.h) == 0);
        CHECK(max_abs(bar.b) == 0);
        CHECK(max_abs(bar.Z) == 0);
      } else if (N == 40) {
        CHECK(max_abs(bar.W) > 0);
      }
    }
}

TEST_CASE_TEMPLATE("(A1) states that are computed once more give the same bits", Model, MODELS) {
  typename Model::Backend backend;
  for (Index T : {1, 2, 5})
    for (Index N : {1, 300}) {
      Unrolled<typename Model::Backend, typename Model::Activation> const unrolled(backend,
                                                                                   Data(2, 10, N, T, 90));
      CHECK(unrolled.pullback(true) == unrolled.pullback(false));
    }
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
#if defined(_OPENMP)
    for (int threads : {2, 3}) {
      Cpu<float> team(threads);
      Unrolled<Cpu<float>, NonnegativeShrinkage> const together(team, d);
      CHECK(together.forward() == U);
      CHECK(together.pullback(true) == bar);
    }
#endif
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

TEST_CASE_TEMPLATE("(A1) the margin is the distance of the pre-activations to the kinks", Model, MODELS) {
  using B = typename Model::Backend;
  using A = typename Model::Activation;
  using Scalar = typename B::Scalar;
  B backend;
  auto const W = to_device(backend, HostMatrix<Scalar>(1, 1, Scalar(-.5)));
  auto const h = to_device(backend, HostMatrix<Scalar>(1, 1, 1)),
             b = to_device(backend, HostMatrix<Scalar>(1, 1, Scalar(.25)));
  auto const z =
      to_device(backend, host_matrix<Scalar>(1, 3, [](Index, Index j) {
                  return j == 0 ? Scalar(1) : j == 1 ? Scalar(-1) : std::numeric_limits<Scalar>::quiet_NaN();
                }));
  // G = 1.5 z; z = 1: pre-activations 1.5, then 1.5 - .5 (1.25) = .875; z = -1: -1.5
  auto const margin = [&](Index T, Index j) {
    return to_host(backend, kink_margin(backend, DenseBlocks{}, A{}, W, h, b, z, T))(0, j);
  };
  CHECK(margin(1, 0) == Scalar(1.25));
  CHECK(margin(2, 0) == Scalar(.625));
  CHECK(margin(1, 1) == (A::two_sided ? Scalar(1.25) : Scalar(1.75)));
  CHECK(std::isnan(margin(2, 2)));
  CHECK(margin(0, 0) == std::numeric_limits<Scalar>::infinity());
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

}  // namespace detrame
