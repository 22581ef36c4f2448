// SPDX-License-Identifier: Apache-2.0
#include "detrame/exact/support_set.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

template <class Scalar>
using Loops = archetype::Loops<Scalar>;  // whose team has no coarse one: ActiveSet

template <Backend B>
Synthesis<B> problem(B& b, HostMatrix<double> const& D, double alpha, double lambda) {
  using Scalar = typename B::Scalar;
  return {in_memory_of(b, D), static_cast<Scalar>(alpha), Scalar(0), static_cast<Scalar>(lambda),
          zeros(b, D.cols(), 1)};
}

/// Atoms of which many are near each other, some equal, one 0.
HostMatrix<double> awkward_atoms(Index m, Index k, std::uint64_t n) {
  auto D = unit_norm_dictionary<double>(m, k, seed(n));
  for (Index j = 1; j < k; ++j)
    for (Index i = 0; i < m; ++i) {
      if (j % 3 == 0) D(i, j) = .9 * D(i, j - 1) + .1 * D(i, j);
      if (j % 7 == 0) D(i, j) = D(i, j - 1);
      if (j == k / 2) D(i, j) = 0;
    }
  return D;
}

}  // namespace

TEST_CASE_TEMPLATE(
    "(M1) the supports are those of the active set: random, near and equal atoms, both penalties", Scalar,
    double, float) {
  Cpu<Scalar> b(1);
  Loops<Scalar> loops;
  Index members = 0;
  for (Index m : {3, 8, 20})
    for (Index k : {2, 9, 33, 70})
      for (double lambda : {.02, .2, .6}) {
        auto const D = awkward_atoms(m, k, static_cast<std::uint64_t>(m * k));
        auto const X = in_memory_of(b, normal_matrix<double>(m, 11, seed(1)));
        auto const here = problem(b, D, .05, lambda);
        auto const there = problem(loops, D, .05, lambda);
        auto const compare = [&](auto const& psi, auto const& other) {
          auto const u = exact_synthesis(b, here, psi, X);
          auto const v = exact_synthesis(loops, there, other,
                                         in_memory_of(loops, normal_matrix<double>(m, 11, seed(1))));
          CHECK(u.status == ExactStatus::optimal);
          REQUIRE(v.status == ExactStatus::optimal);
          auto const u_here = in_double(b, ConstView<Cpu<Scalar>>(u.u)),
                     u_there = in_double(loops, ConstView<Loops<Scalar>>(v.u));
          double const condition = 2 / .05 * static_cast<double>(k);
          CHECK(max_abs_difference(u_here, u_there) <=
                static_cast<double>(tolerance<Scalar>(m + k, condition * max_abs(u_there))));
          for (Index j = 0; j < 11; ++j)
            for (Index i = 0; i < k; ++i) members += u_here(i, j) != 0;
        };
        compare(here.penalty(b), there.penalty(loops));
        auto const weight = static_cast<Scalar>(lambda);
        compare(ElasticNet<Cpu<Scalar>>(b, k, weight, 0), ElasticNet<Loops<Scalar>>(loops, k, weight, 0));
      }
  REQUIRE(members > 1000);
}

/// What a coarse search cannot tell apart: slacks within 1e-10 of lambda.
TEST_CASE("(M8) what is decided beyond the digits of the coarse search is decided right") {
  Cpu<double> b(1);
  Index const k = 50;
  auto const D = in_memory_of(b, identity<double>(k));
  auto const X = in_memory_of(b, host_matrix<double>(k, 4, [](Index i, Index j) {
                                double const sign = (i + j) % 2 == 0 ? 1 : -1;
                                return i == j ? 2. : sign * .5 * (1 + (i % 3 == 0 ? 1 : -1) * 1e-10);
                              }));
  Synthesis<Cpu<double>> const s{D, .25, 0, .5, zeros(b, k, 1)};
  auto const positive = exact_synthesis(b, s, X);
  auto const any_sign = exact_synthesis(b, s, ElasticNet<Cpu<double>>(b, k, .5, 0), X);
  CHECK(positive.status == ExactStatus::optimal);
  CHECK(any_sign.status == ExactStatus::optimal);
  for (Index j = 0; j < 4; ++j)
    for (Index i = 0; i < k; ++i) {
      double const t = X(i, j);
      CHECK(std::abs(positive.u(i, j) - formula::relu(t - .5) / 1.25) <= tolerance<double>(4, 2));
      CHECK(std::abs(any_sign.u(i, j) - formula::soft_threshold(t, .5) / 1.25) <= tolerance<double>(4, 2));
      CHECK((any_sign.u(i, j) != 0) == (i == j || i % 3 == 0));
    }
}

TEST_CASE_TEMPLATE(
    "(M1) the bits of a column are its own: beside columns of any support, alone, on three threads", Scalar,
    double, float) {
  Index const m = 60, k = 130, N = 37;
  auto const D = unit_norm_dictionary<double>(m, k, seed(20));
  Cpu<Scalar> one(1);
  auto const s = problem(one, D, .02, .05);
  auto X = normal_matrix<double>(m, N, seed(21));
  for (Index j = 0; j < N; ++j)
    for (Index i = 0; i < m; ++i) {
      if (j % 5 == 1) X(i, j) *= 1e-3;                                     // code 0
      if (j % 5 == 2) X(i, j) *= 100;                                      // beyond the search
      if (j % 5 == 3) X(i, j) = std::numeric_limits<double>::quiet_NaN();  // nothing
      if (j % 5 == 4) X(i, j) = D(i, j % k) + .1 * D(i, (3 * j + 1) % k);  // sparse
      if (j % 10 == 9) X(i, j) *= 1e-30;                                   // in a unit of its own
    }
  auto const all = in_memory_of(one, X);
  auto const result = exact_synthesis(one, s, all);
  Index least = k, most = 0;
  for (Index j = 0; j < N; ++j) {
    Index size = 0;
    for (Index i = 0; i < k; ++i) size += result.u(i, j) != Scalar(0);
    if (j % 5 == 3) continue;
    least = std::min(least, size);
    most = std::max(most, size);
  }
  REQUIRE((least == 0 && most > 48));
  Cpu<Scalar> three(3);
  auto const threads = exact_synthesis(three, s, all);
  for (Index j = 0; j < N; ++j) {
    if (j % 5 == 3) {
      CHECK(std::isnan(static_cast<double>(result.u(0, j))));
      continue;
    }
    auto const alone = exact_synthesis(one, s, all.col(j));
    CHECK(alone.u == result.u.col(j));
    CHECK(alone.residual(0, 0) == result.residual(0, j));
    CHECK(alone.column_status(0, 0) == result.column_status(0, j));
    CHECK(alone.pivots(0, 0) == result.pivots(0, j));
    CHECK(threads.u.col(j) == result.u.col(j));
    CHECK(alone.status == ExactStatus::optimal);
    auto warm = alone;
    exact_synthesis(one, s, s.penalty(one), all.col(j), warm, {.warm_start = true});
    CHECK(warm.u == alone.u);
    warm.u.setOnes();  // beyond the search: by sweeps and pivoting
    exact_synthesis(one, s, s.penalty(one), all.col(j), warm, {.warm_start = true});
    CHECK(warm.u == alone.u);
  }
}

TEST_CASE_TEMPLATE("(M3) a guess outside u >= 0 is brought there, however many members it has", Scalar,
                   double, float) {
  Cpu<Scalar> b(1);
  for (Index n : {20, 60, 130})
    for (Index limit : {0, 5000}) {
      DenseMetric<Cpu<Scalar>> const Q(b, Matrix<Cpu<Scalar>>::Identity(n, n));
      NonnegativeElasticNet<Cpu<Scalar>> const psi(b, n, Scalar(.1), Scalar(0));
      auto const z = to_device(
          b, host_matrix<Scalar>(n, 1, [](Index i, Index) { return i % 6 == 5 ? Scalar(-1) : Scalar(1); }));
      ExactResult<Cpu<Scalar>> result;
      result.u = z;
      exact_prox(b, Q, psi, z, result, {.warm_start = true, .pivot_limit = limit});
      for (Index i = 0; i < n; ++i)
        CHECK(std::abs(result.u(i, 0) - (i % 6 == 5 ? Scalar(0) : Scalar(.9))) <=
              (limit > 0 ? 4 * std::numeric_limits<Scalar>::epsilon() : Scalar(.2)));
      if (limit > 0) CHECK(result.status == ExactStatus::optimal);
    }
}

TEST_CASE_TEMPLATE("(M1) (U5) a column has the status that it has beside a column of NaN", Scalar, double,
                   float) {
  // t_1 is infinite, s_1 = 0: whether terms are formed there must not depend on the neighbour.
  Scalar const large = std::numeric_limits<Scalar>::max() / Scalar(1.2);
  Cpu<Scalar> b(1);
  auto const matrix = [&](Index rows, Index cols, auto const& f) {
    return to_device(b, host_matrix<Scalar>(rows, cols, f));
  };
  Synthesis<Cpu<Scalar>> s{matrix(1, 2, [](Index, Index) { return Scalar(1); }), Scalar(1), Scalar(0),
                           Scalar(0),
                           matrix(2, 1, [&](Index i, Index) { return i == 1 ? large : Scalar(0); })};
  NonnegativeElasticNet<Cpu<Scalar>> const psi(
      b, matrix(2, 1, [&](Index i, Index) { return i == 1 ? large : Scalar(10); }),
      matrix(2, 1, [](Index, Index) { return Scalar(0); }));
  ExactOptions const no_search{.pivot_limit = 0};  // u = 0, which is right, is judged once
  auto const both = exact_synthesis(
      b, s, psi,
      matrix(1, 2,
             [](Index, Index j) { return j == 0 ? Scalar(1) : std::numeric_limits<Scalar>::quiet_NaN(); }),
      no_search);
  auto const alone =
      exact_synthesis(b, s, psi, matrix(1, 1, [](Index, Index) { return Scalar(1); }), no_search);
  CHECK(alone.status == ExactStatus::optimal);
  CHECK(both.column_status(0, 0) == alone.column_status(0, 0));
  CHECK((both.u.col(0) == alone.u.col(0)));
}

namespace {

/// A column's powers, as SupportSet hands them to coarse_linear.
struct InUnit {
  exact::Powers by;
  int unit;
};

/// What the search starts from, beside what it stands for: r_i s_i 2^unit, up to float's rounding of its
/// terms.
template <class Problem, class Form, class Scalar>
void check_coarse_linear(Problem const& problem, Form const& form, MatrixView<Scalar const> beta,
                         MatrixView<Scalar const> data, Scalar largest_term) {
  using Entry = typename Form::Entry;
  Index const n = form.n, rows = Form::rows(n), depth = data.rows(), count = data.cols();
  typename Cpu<Scalar>::Team const team;
  std::vector<InUnit> of;
  std::vector<Scalar const*> columns;
  for (Index c = 0; c < count; ++c) {
    of.push_back({{}, static_cast<int>(c) - 2});
    columns.push_back(data.data() + c * data.stride());
  }
  std::vector<Entry> X(static_cast<std::size_t>(depth * count)),
      R(static_cast<std::size_t>(rows * count), Entry(7));
  problem.coarse_linear(team, form, beta, count, columns.data(), of.data(), X.data(), R.data());
  for (Index c = 0; c < count; ++c)
    for (Index i = 0; i < rows; ++i) {
      double const entry = static_cast<double>(R[static_cast<std::size_t>(i + c * rows)]);
      if (i >= n) {
        CHECK(entry == 0);
        continue;
      }
      double const unit =
          std::ldexp(static_cast<double>(form.scale[i]), of[static_cast<std::size_t>(c)].unit);
      double const r =
          static_cast<double>(problem.linear_entry(team, i, columns[static_cast<std::size_t>(c)], {}));
      double const eps = static_cast<double>(std::numeric_limits<float>::epsilon());
      CHECK(std::abs(entry - r * unit) <=
            static_cast<double>(depth + 4) * eps * static_cast<double>(largest_term) * unit);
    }
}

}  // namespace

TEST_CASE_TEMPLATE("(M1) (M3) the search starts from r: with d, with beta small and large beside Q", Scalar,
                   double, float) {
  using B = Cpu<Scalar>;
  B b(1);
  Index const m = 13, k = 21, N = 5;
  Matrix<B> const D = in_memory_of(b, unit_norm_dictionary<double>(m, k, seed(30))),
                  X = in_memory_of(b, normal_matrix<double>(m, N, seed(31))),
                  d = in_memory_of(b, normal_matrix<double>(k, 1, seed(32))),
                  Z = in_memory_of(b, normal_matrix<double>(k, N, seed(33)));
  Matrix<B> const lambda = Matrix<B>::Constant(k, 1, Scalar(.1));
  Matrix<B> const Q = D.transpose() * D + Matrix<B>::Identity(k, k);
  Matrix<B> const norms = Matrix<B>::Constant(k, 1, Scalar(1)), roots = Q.diagonal().cwiseSqrt();
  auto const view = [](Matrix<B> const& A) { return ConstView<B>(A); };
  for (Scalar of_beta : {Scalar(0), Scalar(.5), Scalar(1e6)}) {
    Matrix<B> const beta = Matrix<B>::Constant(k, 1, of_beta);
    Matrix<B> memory(exact::coarse_size<typename Cpu<Scalar>::Team>(k, k, m), 1);
    exact::form_coarsely<B>(b, view(Q), view(D), view(d), view(beta), view(lambda), memory);
    check_coarse_linear(
        exact::SynthesisColumns<Scalar>{{Scalar(1), 0}, view(D), view(d), view(X), view(norms), view(Q)},
        exact::CoarseForm<typename Cpu<Scalar>::Team>(k, k, m, memory.data()), view(beta), view(X),
        Scalar(10));
    Matrix<B> again(exact::coarse_size<typename Cpu<Scalar>::Team>(k, k, 0), 1);
    exact::form_coarsely<B>(b, view(Q), ConstView<B>(), ConstView<B>(), view(beta), view(lambda), again);
    check_coarse_linear(exact::MetricColumns<Scalar>{{0}, view(Q), view(Z), view(roots)},
                        exact::CoarseForm<typename Cpu<Scalar>::Team>(k, k, 0, again.data()), view(beta),
                        view(Z), Scalar(30));
  }
}

TEST_CASE("(M1) a support of 200 members, which no search of that kind holds") {
  Cpu<double> b(1);
  Index const k = 200;
  DenseMetric<Cpu<double>> const Q(b, in_memory_of(b, definite_matrix<double>(k, 10, seed(30))));
  NonnegativeElasticNet<Cpu<double>> const psi(b, k, 0, 0);
  auto const z = uniform_matrix<double>(k, 3, seed(31), .5, 1);
  auto const u = exact_prox(b, Q, psi, in_memory_of(b, z));
  CHECK(u.status == ExactStatus::optimal);
  CHECK(max_abs_difference(in_double(b, ConstView<Cpu<double>>(u.u)), z) <= tolerance<double>(k, 20));
}

TEST_CASE_TEMPLATE("(M1) pivot_limit counts what the search exchanges; at 0 nothing is searched", Scalar,
                   double, float) {
  Cpu<Scalar> b(1);
  auto const s = problem(b, unit_norm_dictionary<double>(12, 30, seed(40)), .1, .05);
  auto const X = in_memory_of(b, normal_matrix<double>(12, 5, seed(41)));
  auto const whole = exact_synthesis(b, s, X);
  REQUIRE(whole.status == ExactStatus::optimal);
  REQUIRE(whole.iterations > 4);
  for (Index limit : {0, 1, 3}) {
    auto const cut = exact_synthesis(b, s, X, {.pivot_limit = limit});
    CHECK(cut.status == ExactStatus::iteration_limit);
    CHECK(cut.iterations <= limit);
  }
}

/// Run by itself: on its own terms it ends, and its answer is right in its own scalar.
TEST_CASE_TEMPLATE(
    "(M1) the search ends, several atoms entering at once: no slack above its rounding, or it says so",
    Scalar, double, float) {
  using Team = typename Cpu<Scalar>::Team;
  using Search = exact::SupportSearch<true, Team>;
  Team const team;
  Index found = 0, given_up = 0;
  for (std::uint64_t n = 0; n < 300; ++n) {
    Index const m = 2 + static_cast<Index>(n % 17), k = 1 + static_cast<Index>(n * 7 % 60);
    auto D = awkward_atoms(m, k, 50 + n);
    double const alpha = n % 4 == 0 ? 0 : .01;
    Index const rows = Team::whole_blocks(k), stride = rows + 16;
    std::vector<Scalar> H(static_cast<std::size_t>(stride * k)), lambda(static_cast<std::size_t>(rows)),
        r(static_cast<std::size_t>(rows)), scratch(static_cast<std::size_t>(Search::scratch_size(k)));
    auto const x = normal_matrix<double>(m, 1, seed(500 + n));
    auto const at = [](std::vector<Scalar>& v, Index i) -> Scalar& { return v[static_cast<std::size_t>(i)]; };
    for (Index j = 0; j < rows; ++j) at(lambda, j) = j < k ? Scalar(.1) : limits::infinity<Scalar>;
    for (Index j = 0; j < k; ++j)
      for (Index l = 0; l < m; ++l) {
        at(r, j) += static_cast<Scalar>(D(l, j) * x(l, 0) / 4);
        for (Index i = 0; i < k; ++i) at(H, i + j * stride) += static_cast<Scalar>(D(l, i) * D(l, j));
      }
    for (Index j = 0; j < k; ++j) at(H, j + j * stride) += static_cast<Scalar>(alpha + (j == k / 2 ? 1 : 0));
    Search search(team, {H.data(), stride, k, lambda.data()}, scratch.data());
    auto const end = search.template run<Scalar>(r.data(), Scalar(1), nullptr, 1000);
    CHECK(search.exchanges() < 200);
    if (end != Search::End::found) {
      given_up += end == Search::End::given_up;
      continue;
    }
    ++found;
    double size = 1;
    for (Index p = 0; p < search.size(); ++p) size += std::abs(static_cast<double>(search.value(p)));
    for (Index i = 0; i < k; ++i) {
      double c = static_cast<double>(at(r, i)), own = 0;
      for (Index p = 0; p < search.size(); ++p) {
        double const v = static_cast<double>(search.value(p));
        c -= static_cast<double>(at(H, i + search.member(p) * stride)) * v;
        if (search.member(p) == i) own = v;
      }
      double const beyond = own == 0 ? std::max(std::abs(c) - .1, 0.) : std::abs(c - (own > 0 ? .1 : -.1));
      double const rounding = static_cast<double>(tolerance<Scalar>(16, size)) / (alpha > 0 ? alpha : 1e-3);
      CHECK(beyond <= (own == 0 ? static_cast<double>(tolerance<Scalar>(16, size)) : rounding));
    }
  }
  REQUIRE(found > 200);
  REQUIRE(given_up > 0);
}

TEST_CASE_TEMPLATE("a swept inverse is the inverse, whatever rows came and went", Scalar, double, float) {
  using Inverse = SweptInverse<Scalar>;
  Index const most = 21, pool = 30;
  auto const A = definite_matrix<double>(pool, 4, seed(60));
  std::vector<Scalar> scratch(static_cast<std::size_t>(Inverse::scratch_size(most))),
      x(static_cast<std::size_t>(Inverse::room(most + 1))), w = x;
  Inverse inverse(most, scratch.data());
  std::vector<Index> members;
  Random const random(seed(61), 0);
  for (std::uint64_t step = 0; step < 200; ++step) {
    Index const n = inverse.size();
    auto const place = [](Index i) { return static_cast<std::size_t>(i); };
    if (n == most || (n > 0 && random.uniform<double>(2 * step) < .4)) {
      Index const q = static_cast<Index>(random.uniform<double>(2 * step + 1) * static_cast<double>(n));
      inverse.remove(q);
      members[place(q)] = members.back();
      members.pop_back();
    } else {
      Index i = static_cast<Index>(random.uniform<double>(2 * step + 1) * static_cast<double>(pool));
      while (std::find(members.begin(), members.end(), i) != members.end()) i = (i + 1) % pool;
      double pivot = A(i, i);
      for (Index p = 0; p < n; ++p) x[place(p)] = static_cast<Scalar>(A(i, members[place(p)]));
      inverse.multiply(x.data(), w.data());
      for (Index p = 0; p < n; ++p) pivot -= static_cast<double>(x[place(p)] * w[place(p)]);
      inverse.append(w.data(), static_cast<Scalar>(pivot));
      members.push_back(i);
    }
    for (Index c = 0; c < inverse.size(); ++c)
      for (Index p = 0; p < inverse.size(); ++p) {
        double sum = 0;
        for (Index q = 0; q < inverse.size(); ++q)
          sum += A(members[place(p)], members[place(q)]) * static_cast<double>(inverse.column(c)[q]);
        CHECK(std::abs(sum - (p == c ? 1 : 0)) <= static_cast<double>(tolerance<Scalar>(200, 16)));
      }
  }
}

TEST_CASE_TEMPLATE("(M1) a guess that the search has no room for is where pivoting begins", Scalar, double,
                   float) {
  Index const m = 60, k = 130, N = 9;
  Cpu<Scalar> b(1);
  auto const s = problem(b, unit_norm_dictionary<double>(m, k, seed(20)), .02, .05);
  auto X = normal_matrix<double>(m, N, seed(22));
  for (Index j = 0; j < N; ++j)
    for (Index i = 0; i < m; ++i) X(i, j) *= 100;
  auto const x = in_memory_of(b, X);
  auto const cold = exact_synthesis(b, s, x);
  REQUIRE(cold.status == ExactStatus::optimal);
  for (Index j = 0; j < N; ++j) REQUIRE((cold.u.col(j).array() != Scalar(0)).count() > 48);
  auto warm = cold;
  exact_synthesis(b, s, s.penalty(b), x, warm, {.warm_start = true});
  CHECK(warm.status == ExactStatus::optimal);
  CHECK(warm.iterations == 0);
  CHECK((warm.u == cold.u));  // the last point is one of its basis alone
}

}  // namespace detrame
