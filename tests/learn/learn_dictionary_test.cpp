// SPDX-License-Identifier: Apache-2.0
#include "detrame/learn/learn_dictionary.hpp"

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/objective.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

/// Samples of `used` atoms each, with coefficients in [1/2, 3/2], perhaps of random sign.
struct Planted {
  HostMatrix<double> D, X;

  Planted(Index m, Index k, Index N, Index used, bool negative_codes, bool nonnegative_atoms)
      : D(unit_norm_dictionary<double>(m, k, seed(1))) {
    if (nonnegative_atoms) D = unit(mapped([](double v) { return v > 0 ? v : 0.; }, D));
    HostMatrix<double> A(k, N);
    Random const random(seed(2), 0);
    for (Index n = 0; n < N; ++n)
      for (Index t = 0; t < used; ++t) {
        auto const at = static_cast<std::uint64_t>(4 * (used * n + t));
        double const sign = negative_codes && random.below(2, at + 1) ? -1 : 1;
        A(random.below(k, at), n) = sign * (.5 + random.uniform<double>(at + 2));
      }
    X = product(D, A);
  }

  static HostMatrix<double> unit(HostMatrix<double> A) {
    for (Index j = 0; j < A.cols(); ++j) {
      double square = 0;
      for (Index i = 0; i < A.rows(); ++i) square += A(i, j) * A(i, j);
      for (Index i = 0; i < A.rows(); ++i) A(i, j) /= std::sqrt(square);
    }
    return A;
  }

  /// The least over planted atoms of the largest |cosine| with a learnt one.
  double worst_match(HostMatrix<double> const& learnt) const {
    auto const cosines = product(transposed(D), unit(learnt));
    double worst = 1;
    for (Index j = 0; j < cosines.rows(); ++j) {
      double best = 0;
      for (Index l = 0; l < cosines.cols(); ++l) best = std::max(best, std::abs(cosines(j, l)));
      worst = std::min(worst, best);
    }
    return worst;
  }
};

/// What one run leaves behind, on the host.
template <Backend B>
struct Outcome {
  HostMatrix<double> D, AA, XA;
  std::vector<Index> idle;
  Index steps;

  Outcome(B& b, LearnedDictionary<B> const& state)
      : D(in_double<B>(b, state.synthesis.D)),
        AA(in_double<B>(b, state.AA)),
        XA(in_double<B>(b, state.XA)),
        idle(state.idle),
        steps(state.steps) {}
  friend bool operator==(Outcome const&, Outcome const&) = default;
};

double mean(std::vector<double> const& v, std::size_t first, std::size_t count) {
  return std::accumulate(v.begin() + static_cast<std::ptrdiff_t>(first),
                         v.begin() + static_cast<std::ptrdiff_t>(first + count), 0.) /
         static_cast<double>(count);
}

}  // namespace

TEST_CASE_TEMPLATE("(O1) planted atoms are found again, and the objective falls", Scalar, float, double) {
  using B = Cpu<Scalar>;
  B b;
  LearningOptions const options{
      .atoms = 14, .lambda = .05, .passes = 30, .batch = 50, .forgetting = 16, .patience = 200};
  auto const run = [&]<class Codes>(Planted const& planted, LearningOptions const& how, Codes) {
    std::vector<double> objectives;
    LearnedDictionary<B> state;
    learn_dictionary<Codes>(b, in_memory_of(b, planted.X), how, state, [&](LearningProgress const& p) {
      objectives.push_back(p.objective);
      return true;
    });
    REQUIRE(objectives.size() == 30 * 16);
    Index const k = planted.D.cols();
    Synthesis<B> const problem{in_memory_of(b, planted.D), Scalar(how.alpha), 0, Scalar(how.lambda),
                               zeros(b, k, 1)};
    SeparablePenalty<B, Codes> const psi(b, k, Scalar(how.lambda), 0);
    auto const X = in_memory_of(b, planted.X);
    auto const code = exact_synthesis(b, problem, psi, X);
    double const reached = static_cast<double>(objective(b, problem, psi, X, code.u).mean());
    CHECK(mean(objectives, 0, 16) > 1.1 * reached);
    CHECK(mean(objectives, 29 * 16, 16) < 1.01 * reached);
    CHECK(planted.worst_match(in_double<B>(b, state.synthesis.D)) > .99);
  };
  Planted const positive(10, 12, 800, 2, false, false), either(10, 12, 800, 2, true, false),
      all_positive(10, 12, 800, 2, false, true);
  REQUIRE(positive.worst_match(in_double<B>(
              b, learn::first_atoms<B>(b, in_memory_of(b, positive.X), options.atoms, false, Random(0, 0)))) <
          .99);
  run(positive, options, NonnegativeCodes());
  run(either, options, SignedCodes());
  LearningOptions nonnegative = options;
  nonnegative.nonnegative_atoms = true;
  run(all_positive, nonnegative, NonnegativeCodes());
}

TEST_CASE_TEMPLATE("(O1, O2) a step by hand: codes, sums, forgetting, the update; on every backend", B,
                   Cpu<float>, Cpu<double>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  Planted const planted(6, 8, 40, 2, false, false);
  auto const X = in_memory_of(b, planted.X);
  LearningOptions const options{.atoms = 8,
                                .lambda = .1,
                                .alpha = .01,
                                .passes = 1,
                                .batch = 16,
                                .forgetting = 2,
                                .sweeps = 2,
                                .seed = 7};
  LearnedDictionary<B> state;
  state.synthesis.D = in_memory_of(b, unit_norm_dictionary<double>(6, 8, seed(3)));
  std::vector<LearningProgress> progress;
  auto expected_D = state.synthesis.D;
  auto AA = zeros(b, 8, 8), XA = zeros(b, 6, 8);
  std::vector<Index> order(40);
  shuffle(Random(7, 0), order);
  learn_dictionary(b, X, options, state, [&](LearningProgress const& p) {
    Index const first = 16 * p.step, n = std::min<Index>(16, 40 - first);
    auto x = zeros(b, 6, n);
    gather_columns(b.lane(), X, std::span<Index const>(order).subspan(first, n), x);
    Synthesis<B> const problem{expected_D, Scalar(.01), 0, Scalar(.1), zeros(b, 8, 1)};
    auto const code = exact_synthesis(b, problem, x);
    REQUIRE(code.status == ExactStatus::optimal);
    double value = 0;
    auto const values = in_double<B>(b, objective<B>(b, problem, x, code.u));
    for (Index j = 0; j < n; ++j) value += values(0, j) / static_cast<double>(n);
    CHECK(std::abs(p.objective - value) <= tolerance<Scalar>(6 * 8, 10));
    double const t = static_cast<double>(p.step + 1), keep = (1 - 1 / t) * (1 - 1 / t);
    each(b.lane(), formula::Scale<Scalar>{static_cast<Scalar>(keep)}, AA);
    each(b.lane(), formula::Scale<Scalar>{static_cast<Scalar>(keep)}, XA);
    add_outer_product(b.lane(), code.u, code.u, Scalar(1), AA);
    add_outer_product(b.lane(), x, code.u, Scalar(1), XA);
    CHECK(max_abs_difference<B>(b, state.AA, AA) <= tolerance<Scalar>(100, 30));
    CHECK(max_abs_difference<B>(b, state.XA, XA) <= tolerance<Scalar>(100, 30));
    for (int sweep = 0; sweep < 2; ++sweep) update_dictionary(b, AA, XA, false, expected_D);
    CHECK(max_abs_difference<B>(b, state.synthesis.D, expected_D) <= 100 * tolerance<Scalar>(100, 1));
    expected_D = state.synthesis.D;  // so that roundings do not add up
    progress.push_back(p);
    return true;
  });
  REQUIRE(progress.size() == 3);
  CHECK(progress[2].step == 2);
  CHECK(progress[2].pass == 0);
  CHECK(state.synthesis.lambda == Scalar(.1));
  CHECK(state.synthesis.alpha == Scalar(.01));
  CHECK(state.synthesis.beta == 0);
}

TEST_CASE_TEMPLATE("(O1) the same bits for 1, 2, 3 threads", Scalar, float, double) {
  using B = Cpu<Scalar>;
  Planted const planted(16, 24, 700, 3, false, false);
  LearningOptions const options{.atoms = 40, .lambda = .05, .passes = 2, .batch = 128, .patience = 150};
  B one(1);
  Outcome<B> const expected(one, learn_dictionary(one, in_memory_of(one, planted.X), options));
  CHECK(expected.steps == 12);
  for (int threads = 2; threads <= 3; ++threads) {
    B more(threads);
    bool const same =
        Outcome<B>(more, learn_dictionary(more, in_memory_of(more, planted.X), options)) == expected;
    CHECK(same);
  }
}

TEST_CASE_TEMPLATE("(O1) stopped after any step and gone on: the bits of a run without a stop", B, Cpu<float>,
                   Cpu<double>, archetype::Loops<double>) {
  B b;
  Planted const planted(8, 10, 90, 2, false, false);
  auto const X = in_memory_of(b, planted.X);
  LearningOptions options{.atoms = 24, .lambda = .3, .passes = 3, .batch = 20, .patience = 20, .seed = 5};
  Index replaced = 0;
  LearnedDictionary<B> whole;
  learn_dictionary(b, X, options, whole, [&](LearningProgress const& p) {
    replaced += p.replaced;
    return true;
  });
  Outcome<B> const expected(b, whole);
  REQUIRE(expected.steps == 15);
  REQUIRE(replaced > 0);
  for (Index const stop : {0, 4, 7, 14}) {
    LearnedDictionary<B> state;
    learn_dictionary(b, X, options, state, [&](LearningProgress const& p) { return p.step < stop; });
    CHECK(state.steps == stop + 1);  // the callback stops the work
    LearnedDictionary<B> const copy = state;
    state = copy;
    learn_dictionary(b, X, options, state);
    bool const same = Outcome<B>(b, state) == expected;
    CHECK(same);
  }
  LearnedDictionary<B> state;  // pass by pass
  for (options.passes = 0; options.passes <= 3; ++options.passes) learn_dictionary(b, X, options, state);
  bool const same = Outcome<B>(b, state) == expected;
  CHECK(same);
  learn_dictionary(b, X, options, state, [](LearningProgress const&) { return false; });  // pass 4: a step
  CHECK(state.steps == 16);
}

TEST_CASE_TEMPLATE("(O1) the order of samples is a function of seed and pass", Scalar, float, double) {
  using B = Cpu<Scalar>;
  B b;
  Planted const planted(8, 10, 90, 2, false, false);
  auto const X = in_memory_of(b, planted.X);
  auto const objectives = [&](std::uint64_t seed) {
    std::vector<double> out;
    LearnedDictionary<B> state;
    // Nothing is learnt where no code has an entry: objectives are |x|^2 / 2, and tell samples apart.
    learn_dictionary(b, X, {.atoms = 3, .lambda = 1e3, .passes = 2, .batch = 9, .seed = seed}, state,
                     [&](LearningProgress const& p) {
                       out.push_back(p.objective);
                       return true;
                     });
    return out;
  };
  auto const one = objectives(1), two = objectives(2);
  REQUIRE(one.size() == 20);
  CHECK(one == objectives(1));
  CHECK(one != two);
  CHECK(std::vector(one.begin(), one.begin() + 10) != std::vector(one.begin() + 10, one.end()));
  double total = 0;
  for (Index j = 0; j < 90; ++j)
    for (Index i = 0; i < 8; ++i) total += planted.X(i, j) * planted.X(i, j) / 2;
  // Each sample once a pass.
  CHECK(std::abs(mean(one, 0, 10) - total / 90) <= static_cast<double>(tolerance<Scalar>(90, total / 90)));
  CHECK(std::abs(mean(one, 10, 10) - total / 90) <= static_cast<double>(tolerance<Scalar>(90, total / 90)));
}

TEST_CASE_TEMPLATE("(O1) atoms out of use become the worst represented samples", B, Cpu<float>, Cpu<double>,
                   archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  // All samples are multiples of e_0 but one, 3 e_1; the atoms are e_0, -e_2 and -e_3.
  Index const N = 12;
  HostMatrix<double> x(4, N), D(4, 3);
  for (Index n = 0; n < N; ++n) x(0, n) = 1 + .1 * static_cast<double>(n);
  x(0, 5) = 0;
  x(1, 5) = 3;
  D(0, 0) = 1;
  D(2, 1) = D(3, 2) = -1;
  LearnedDictionary<B> state;
  state.synthesis.D = in_memory_of(b, D);
  std::vector<Index> replaced;
  LearningOptions const options{.atoms = 3, .lambda = .1, .passes = 4, .batch = N, .patience = 2 * N};
  auto const until = [&](Index last) {
    learn_dictionary(b, in_memory_of(b, x), options, state, [&](LearningProgress const& p) {
      replaced.push_back(p.replaced);
      return p.step < last;
    });
  };
  until(1);
  // As if atom 1 had been used before, beside atom 0.
  auto sums = in_double<B>(b, state.AA), products = in_double<B>(b, state.XA);
  sums(0, 1) = sums(1, 0) = .5;
  sums(1, 1) = .25;
  products(2, 1) = -1;
  state.AA = in_memory_of(b, sums);
  state.XA = in_memory_of(b, products);
  until(2);
  CHECK(replaced == std::vector<Index>{0, 0, 2});  // after 24 samples not yet, after 36 both
  auto const learnt = in_double<B>(b, state.synthesis.D);
  for (Index i = 0; i < 4; ++i) CHECK(learnt(i, 1) == (i == 1 ? 1 : 0));  // the worst: 3 e_1
  CHECK(std::abs(learnt(0, 2) - 1) <=
        static_cast<double>(tolerance<Scalar>(4, 1)));  // then one of the others
  auto const AA = in_double<B>(b, state.AA), XA = in_double<B>(b, state.XA);
  for (Index j = 1; j < 3; ++j) {
    for (Index l = 0; l < 3; ++l) {
      CHECK(AA(l, j) == 0);
      CHECK(AA(j, l) == 0);
    }
    for (Index i = 0; i < 4; ++i) CHECK(XA(i, j) == 0);
  }
  CHECK(AA(0, 0) > 0);
  CHECK(state.idle == std::vector<Index>{0, 0, 0});
  until(3);
  CHECK(state.idle[1] == 0);  // in use now
}

TEST_CASE_TEMPLATE("(O1) the first atoms are samples of unit norm, none of them 0", B, Cpu<float>,
                   Cpu<double>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  auto x = normal_matrix<double>(5, 30, seed(8));
  for (Index n = 0; n < 30; ++n)
    for (Index i = 0; i < 5; ++i) x(i, n) = n % 2 == 0 ? 0 : i == 0 ? std::abs(x(i, n)) : x(i, n);
  for (bool const nonnegative : {false, true})
    for (Index const atoms : {6, 15, 20}) {
      LearnedDictionary<B> state;
      learn_dictionary(b, in_memory_of(b, x),
                       {.atoms = atoms, .lambda = 1, .nonnegative_atoms = nonnegative, .passes = 0}, state);
      auto const D = in_double<B>(b, state.synthesis.D);
      REQUIRE(D.cols() == atoms);
      for (Index j = 0; j < atoms; ++j) {
        double square = 0, best = 0;
        for (Index i = 0; i < 5; ++i) {
          square += D(i, j) * D(i, j);
          if (nonnegative) CHECK(D(i, j) >= 0);
        }
        CHECK(std::abs(square - 1) <= static_cast<double>(tolerance<Scalar>(5, 1)));
        for (Index n = 1; n < 30; n += 2) {
          double cosine = 0, length = 0;
          for (Index i = 0; i < 5; ++i) {
            double const v = nonnegative ? std::max(0., x(i, n)) : x(i, n);
            cosine += v * D(i, j);
            length += v * v;
          }
          best = std::max(best, cosine / std::sqrt(length));
        }
        if (j < 15) CHECK(best > 1 - 1e-5);  // there are 15 samples, the other atoms are random
      }
    }
}

TEST_CASE_TEMPLATE("(O1) atoms stay in the unit ball, and nonnegative where asked", Scalar, float, double) {
  using B = Cpu<Scalar>;
  B b;
  auto const X = random_matrix(b, 5, 60, seed(9));
  for (bool const nonnegative : {false, true}) {
    LearningOptions const options{
        .atoms = 9, .lambda = .2, .nonnegative_atoms = nonnegative, .passes = 3, .batch = 20, .patience = 30};
    auto const D = learn_dictionary<SignedCodes>(b, X, options).synthesis.D;
    CHECK((D.minCoeff() >= 0) == nonnegative);
    CHECK(D.colwise().norm().maxCoeff() <= 1 + tolerance<Scalar>(5, 1));
  }
}

TEST_CASE("(O1) codes that are not optimal are an error, and the state is that of the step before") {
  using B = Cpu<double>;
  B b;
  Planted planted(6, 8, 40, 2, false, false);
  LearningOptions const options{.atoms = 8, .lambda = .1, .batch = 10};
  std::vector<Index> order(40);
  shuffle(Random(0, 0), order);
  auto const whole = in_memory_of(b, planted.X);
  LearnedDictionary<B> before, state;
  learn_dictionary(b, whole, options, before, [](LearningProgress const& p) { return p.step < 1; });
  state.synthesis.D = learn::first_atoms<B>(b, whole, options.atoms, options.nonnegative_atoms,
                                            Random(options.seed, ~std::uint64_t{0}));
  planted.X(3, order[25]) = std::numeric_limits<double>::quiet_NaN();  // in the third batch
  check_throws_with<NotConverged>([&] { learn_dictionary(b, in_memory_of(b, planted.X), options, state); },
                                  "learn_dictionary: the codes of step 2 are not_finite, residual ");
  bool const same = Outcome<B>(b, state) == Outcome<B>(b, before);
  CHECK(same);
}

TEST_CASE("learn_dictionary: what it refuses") {
  using B = Cpu<double>;
  B b;
  B::Matrix const X = B::Matrix::Ones(3, 5);
  double const nan = std::numeric_limits<double>::quiet_NaN();
  auto const refuses = [&](LearningOptions const& options, char const* sentence) {
    check_throws_with<DomainError>([&] { learn_dictionary(b, X, options); }, sentence);
  };
  refuses({.atoms = 0, .lambda = 1}, "learn_dictionary: atoms = 0, must be >= 1");
  refuses({.atoms = 2, .lambda = nan}, "learn_dictionary: lambda = nan, must be >= 0");
  refuses({.atoms = 2, .lambda = 1, .alpha = 0}, "learn_dictionary: alpha = 0, must be > 0");
  refuses({.atoms = 2, .lambda = 1, .passes = -1}, "learn_dictionary: passes = -1, must be >= 0");
  refuses({.atoms = 2, .lambda = 1, .batch = 0}, "learn_dictionary: batch = 0, must be >= 1");
  refuses({.atoms = 2, .lambda = 1, .forgetting = -1}, "learn_dictionary: forgetting = -1, must be >= 0");
  refuses({.atoms = 2, .lambda = 1, .sweeps = 0}, "learn_dictionary: sweeps = 0, must be >= 1");
  refuses({.atoms = 2, .lambda = 1, .patience = -1}, "learn_dictionary: patience = -1, must be >= 0");
  LearningOptions const options{.atoms = 2, .lambda = 1};
  check_throws_with<ShapeError>([&] { learn_dictionary(b, B::Matrix(3, 0), options); },
                                "learn_dictionary: X is 3 x 0, must have rows and samples");
  check_throws_with<ShapeError>([&] { learn_dictionary(b, B::Matrix(0, 3), options); }, "X is 0 x 3");
  auto state = learn_dictionary(b, X, options);
  check_throws_with<ShapeError>([&] { learn_dictionary(b, X, {.atoms = 3, .lambda = 1}, state); },
                                "learn_dictionary: D is 3 x 2, must be 3 x 3");
  check_throws_with<ShapeError>([&] { learn_dictionary(b, B::Matrix::Ones(4, 5), options, state); },
                                "learn_dictionary: D is 3 x 2, must be 4 x 2");
  auto cut = state;
  cut.AA.resize(1, 2);
  check_throws_with<ShapeError>([&] { learn_dictionary(b, X, options, cut); },
                                "learn_dictionary: AA is 1 x 2, must be 2 x 2");
  cut = state;
  cut.XA.resize(3, 1);
  check_throws_with<ShapeError>([&] { learn_dictionary(b, X, options, cut); },
                                "learn_dictionary: XA is 3 x 1, must be 3 x 2");
  cut = state;
  cut.idle.pop_back();
  check_throws_with<ShapeError>([&] { learn_dictionary(b, X, options, cut); },
                                "learn_dictionary: idle has 1 entries, must be 2");
}

}  // namespace detrame
