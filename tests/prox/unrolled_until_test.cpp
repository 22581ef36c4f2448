// SPDX-License-Identifier: Apache-2.0
#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/prox/unrolled_prox_until.hpp"
#include "prox/unrolled_problem.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

/// The run-time form on the data of a recursion: here |W~|_2 < 1, so that S = I shows kappa < 1.
template <class B, class A>
struct Run : Unrolled<B, A> {
  using Unrolled<B, A>::Unrolled;
  using Scalar = typename B::Scalar;

  UnrolledResult<B> until(Until const& until,
                          std::optional<Contraction<B>> const& known = std::nullopt) const {
    return unrolled_prox(this->backend, this->structure, A{}, this->W, this->h, this->b, this->Z, until,
                         known);
  }
  Contraction<B> contraction() const {
    auto S = to_device(this->backend, HostMatrix<Scalar>(this->k, 1, 1));
    Scalar const kappa =
        contraction_factor(this->backend, Recurrence<B>{this->structure, this->W, this->h, this->b}, S);
    return {std::move(S), kappa};
  }
  Matrix<B> after(Index updates) const {
    Matrix<B> U = zeros(this->backend, this->k, this->N);
    unrolled_prox(this->backend, this->structure, A{}, this->W, this->h, this->b, this->Z, updates, U);
    return U;
  }
};

/// A recursion of two rows, Z in columns.
Data two_rows(HostMatrix<double> const& W, double h, double b, HostMatrix<double> const& Z) {
  Data d(1, 2, Z.cols(), 1, 900);
  d.W = W, d.h = HostMatrix<double>(2, 1, h), d.b = HostMatrix<double>(2, 1, b), d.Z = Z;
  return d;
}

HostMatrix<double> exchange(double w) {
  return host_matrix<double>(2, 2, [=](Index i, Index j) { return i == j ? 0 : w; });
}

}  // namespace

TEST_CASE_TEMPLATE(
    "(U3) |u - A(G + W~ u, b)| <= tolerance |t(0)|, from u as returned, and not one update before", P,
    MODELS) {
  using B = typename P::Backend;
  using A = typename P::Activation;
  using Scalar = typename B::Scalar;
  typename P::Backend backend;
  Data const d(2, 5, 6, 1, 910);
  Run<B, A> const run(backend, d);
  double const wanted = 1e-3;
  auto const result = run.until(Until{.tolerance = wanted});
  REQUIRE(result.status == Status::residual_reached);
  REQUIRE(result.iterations > 2);
  CHECK(static_cast<double>(result.residual) <= wanted);
  auto const shares = [&](Matrix<B> const& U) {  // by the definition, in double
    auto const u = in_double<B>(backend, U);
    auto const w = rounded<double>(d.structure.dense(backend, ConstView<B>(run.W)));
    std::vector<double> out;
    for (Index j = 0; j < d.N; ++j) {
      double r2 = 0, t2 = 0;
      for (Index i = 0; i < d.k; ++i) {
        double t = d.h(i, 0) * d.Z(i, j), p = std::abs(t);
        for (Index l = 0; l < d.k; ++l) {
          t += w(i, l) * (u(l, j) - d.Z(l, j));
          p += std::abs(w(i, l) * d.Z(l, j));
        }
        double const r = u(i, j) - A{}(t, d.b(i, 0));
        p += std::min(p, d.b(i, 0));
        r2 += r * r, t2 += p * p;
      }
      out.push_back(std::sqrt(r2 / t2));
    }
    return out;
  };
  double const rounding = static_cast<double>(tolerance<Scalar>(d.k, 1));
  double largest = 0;
  for (double share : shares(result.u)) largest = std::max(largest, share);
  CHECK(std::abs(largest - static_cast<double>(result.residual)) <= rounding);
  auto const before = shares(run.until(Until{.tolerance = wanted, .limit = result.iterations - 1}).u);
  CHECK(*std::max_element(before.begin(), before.end()) > wanted - rounding);
  // and u after n updates is U_n
  auto const five = run.until(Until{.tolerance = 0, .limit = 5});
  CHECK(five.status == Status::iteration_limit);
  CHECK(max_abs_difference(backend, five.u, run.after(5)) <= tolerance<Scalar>(d.k * 5, 3));
}

TEST_CASE_TEMPLATE("(U3) where kappa < 1, |u - u*|_S <= |u - A(G + W~ u, b)|_S / (1 - kappa)", P, MODELS) {
  using B = typename P::Backend;
  typename P::Backend backend;
  Data const d(2, 5, 6, 1, 910);
  Run<B, typename P::Activation> const run(backend, d);
  auto const known = run.contraction();
  REQUIRE(known.kappa < 1);
  CHECK_FALSE(run.until({}).bound.has_value());
  auto const star = in_double<B>(backend, run.after(400));
  for (Index n : {0, 1, 2, 5, 9}) {
    auto const result = run.until(Until{.tolerance = 0, .limit = n}, known);
    auto const u = in_double<B>(backend, result.u);
    double farthest = 0;
    for (Index j = 0; j < d.N; ++j) {
      double square = 0;
      for (Index i = 0; i < d.k; ++i) square += (u(i, j) - star(i, j)) * (u(i, j) - star(i, j));
      farthest = std::max(farthest, std::sqrt(square));
    }
    REQUIRE(result.bound.has_value());
    CHECK(farthest <=
          static_cast<double>(*result.bound) + static_cast<double>(tolerance<typename B::Scalar>(d.k, 20)));
    CHECK(farthest > static_cast<double>(*result.bound) / 100);  // not vacuous
  }
  // sharp: u <- .5 u + 1 from 0 goes to 2 in both rows, on one side
  auto const half = host_matrix<double>(2, 2, [](Index i, Index j) { return i == j ? .5 : 0; });
  Run<B, typename P::Activation> const line(backend, two_rows(half, 1, 0, HostMatrix<double>(2, 1, 2)));
  auto const at_0 = line.until(Until{.limit = 0}, line.contraction());
  CHECK(static_cast<double>(*at_0.bound) == doctest::Approx(std::sqrt(8.)));
  Contraction<B> none = known;
  none.kappa = 1;
  CHECK_FALSE(run.until({}, none).bound.has_value());
}

TEST_CASE_TEMPLATE("(F1) free parameters: a fixed point, a cycle, growth, each under its name", P,
                   NONNEGATIVE) {
  using B = typename P::Backend;
  typename P::Backend backend;
  auto const status = [&](double w, double z) {
    return Run<B, NonnegativeShrinkage>(backend, two_rows(exchange(w), .5, .1, HostMatrix<double>(2, 1, z)))
        .until(Until{.limit = 500})
        .status;
  };
  CHECK(status(-2, 1) == Status::cycling);  // between 2.4 and 0
  CHECK(status(2, 1) == Status::all_zero);  // one of two fixed points
  CHECK(status(2, -1) == Status::diverged);
  CHECK(status(.5, 1) == Status::all_zero);
  CHECK(status(-.5, 1) == Status::residual_reached);
  // kappa just below 1 is slow, and no cycle, whether it is known beforehand or not
  Run<B, NonnegativeShrinkage> const slow(backend,
                                          two_rows(exchange(-1 + 1e-5), .5, .1, HostMatrix<double>(2, 1, 1)));
  REQUIRE(slow.contraction().kappa < 1);
  CHECK(slow.until(Until{.limit = 3000}, slow.contraction()).status == Status::iteration_limit);
  CHECK(slow.until(Until{.limit = 3000}).status == Status::iteration_limit);
}

TEST_CASE_TEMPLATE("(U2) free: Z and b by 2^n give s u bit for bit, the same statuses and counts", P,
                   MODELS) {
  using B = typename P::Backend;
  using Scalar = typename B::Scalar;
  typename P::Backend backend;
  Data const d(2, 5, 6, 1, 910);
  Run<B, typename P::Activation> const here(backend, d);
  auto const known = here.contraction();
  for (int n : {-70, 2, 80}) {
    double const s = std::ldexp(1., n);
    Data scaled = d;
    scaled.Z = mapped([=](double x) { return s * x; }, d.Z);
    scaled.b = mapped([=](double x) { return s * x; }, d.b);
    Run<B, typename P::Activation> const there(backend, scaled);
    for (Until const& until : {Until{}, Until{.tolerance = 0}, Until{.limit = 3}}) {
      auto const u = here.until(until, known), v = there.until(until, known);
      CHECK(mapped([=](Scalar x) { return static_cast<Scalar>(s) * x; },
                   to_host(backend, ConstView<B>(u.u))) == to_host(backend, ConstView<B>(v.u)));
      CHECK(u.column_status == v.column_status);
      CHECK(u.iterations == v.iterations);
      CHECK(u.residual == v.residual);
      CHECK(*u.bound * static_cast<Scalar>(s) == *v.bound);
    }
  }
}

TEST_CASE_TEMPLATE("(U3) images: a sample is an image; NaN in one leaves the others alone", P, NONNEGATIVE) {
  using B = typename P::Backend;
  using Scalar = typename B::Scalar;
  typename P::Backend backend;
  ConvolutionalBlocks const shape{3, 4, 3, 1};
  auto const W =
      in_memory_of(backend, mapped([](double w) { return .1 * w; }, normal_matrix<double>(2, 18, seed(920))));
  auto const h = in_memory_of(backend, HostMatrix<double>(2, 1, .8)),
             b = in_memory_of(backend, HostMatrix<double>(2, 1, .1));
  auto z = normal_matrix<double>(2, 36, seed(921));
  auto const solve = [&] {
    return unrolled_prox(backend, shape, NonnegativeShrinkage{}, W, h, b, in_memory_of(backend, z), Until{});
  };
  auto const whole = solve();
  CHECK(whole.status == Status::residual_reached);
  REQUIRE(whole.column_status.size() == 3);
  z(1, 17) = std::numeric_limits<double>::quiet_NaN();
  auto const spoilt = solve();
  CHECK(spoilt.column_status ==
        std::vector<Status>{Status::residual_reached, Status::not_finite, Status::residual_reached});
  CHECK_FALSE(spoilt.residual < 1);
  auto const u = to_host(backend, ConstView<B>(whole.u)), v = to_host(backend, ConstView<B>(spoilt.u));
  for (Index j = 0; j < 36; ++j)
    for (Index i = 0; i < 2; ++i) CHECK((j / 12 != 1 ? u(i, j) == v(i, j) : std::isnan(v(i, j))));
  static_assert(std::is_same_v<Scalar, decltype(whole.residual)>);
}

TEST_CASE_TEMPLATE("(U3) a row of z that h and W~ leave out is no product out of range", P, NONNEGATIVE) {
  using B = typename P::Backend;
  typename P::Backend backend;
  double const least = static_cast<double>(std::numeric_limits<typename B::Scalar>::min());
  auto const solve = [&](double weight, double z) {
    auto const W = host_matrix<double>(2, 2, [=](Index i, Index j) {
      return i != j ? 0 : i == 0 ? .5 : weight;
    });
    Data d = two_rows(W, 1, .1, host_matrix<double>(2, 1, [=](Index i, Index) { return i == 0 ? 0 : z; }));
    d.h(1, 0) = 0;
    return Run<B, NonnegativeShrinkage>(backend, d).until({});
  };
  auto const zero = solve(0, 3);
  CHECK(zero.status == Status::all_zero);
  CHECK(in_double<B>(backend, ConstView<B>(zero.u)) == HostMatrix<double>(2, 1));
  auto const lost = solve(least, least);
  CHECK(lost.status == Status::not_finite);
  CHECK(std::isnan(in_double<B>(backend, ConstView<B>(lost.u))(1, 0)));
}

TEST_CASE("refusals of the run-time form, by name") {
  Cpu<double> backend(1);
  Run<Cpu<double>, NonnegativeShrinkage> const run(backend, Data(1, 3, 2, 1, 930));
  check_throws_with<DomainError>(
      [&] { run.until(Until{.tolerance = std::numeric_limits<double>::infinity()}); },
      "unrolled_prox: tolerance = inf, must be finite");
  Contraction<Cpu<double>> wrong{Matrix<Cpu<double>>::Ones(2, 1), .5};
  check_throws_with<ShapeError>([&] { run.until({}, wrong); }, "unrolled_prox: S is 2 x 1, must be 3 x 1");
  Matrix<Cpu<double>> const W = Matrix<Cpu<double>>::Zero(2, 2), z = Matrix<Cpu<double>>::Zero(3, 1);
  check_throws_with<ShapeError>(
      [&] { unrolled_prox(backend, DenseBlocks{1}, NonnegativeShrinkage{}, W, z, z, z, Until{}); },
      "unrolled_prox: W_tilde is 2 x 2, must be 3 x 3");
}

}  // namespace detrame
