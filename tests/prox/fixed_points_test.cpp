// SPDX-License-Identifier: Apache-2.0
#include "detrame/prox/fixed_points.hpp"

#include "detrame/operator/convolutional_blocks.hpp"
#include "prox/unrolled_problem.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

/// h = 1/2, b = 0.1, z = 1 and W~ = [[0, w], [w, 0]]: the examples of (F1), from each column of `starts`.
template <class B>
struct Example {
  B backend;
  Matrix<B> W, h, b, z;
  explicit Example(double w)
      : W(device({{0, w}, {w, 0}})),
        h(device({{.5}, {.5}})),
        b(device({{.1}, {.1}})),
        z(device({{1}, {1}})) {}

  Matrix<B> device(std::vector<std::vector<double>> const& rows) {
    return to_device(backend, host_matrix<typename B::Scalar>(
                                  static_cast<Index>(rows.size()), static_cast<Index>(rows[0].size()),
                                  [&](Index i, Index j) {
                                    return static_cast<typename B::Scalar>(
                                        rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]);
                                  }));
  }
  FixedPoints from(std::vector<std::vector<double>> const& points) {
    std::vector<Matrix<B>> starts;
    for (auto const& u : points) starts.push_back(device({{u[0]}, {u[1]}}));
    return fixed_points(backend, DenseBlocks{1}, NonnegativeShrinkage{}, ConstView<B>(W), ConstView<B>(h),
                        ConstView<B>(b), ConstView<B>(z), std::span<Matrix<B> const>(starts),
                        Until{.limit = 400});
  }
  UnrolledResult<B> run(std::vector<double> const& u) {
    Matrix<B> const start = device({{u[0]}, {u[1]}});
    return unrolled_prox(backend, DenseBlocks{1}, NonnegativeShrinkage{}, ConstView<B>(W), ConstView<B>(h),
                         ConstView<B>(b), ConstView<B>(z), Until{.limit = 400}, std::nullopt,
                         std::optional<ConstView<B>>(ConstView<B>(start)));
  }
};

}  // namespace

TEST_CASE_TEMPLATE("(F1) W~ = [[0, 2], [2, 0]]: the fixed points 0 and 1.6, growth from beyond", B,
                   Cpu<float>, Cpu<double>, archetype::Loops<double>) {
  Example<B> example(2);
  auto const found = example.from({{0, 0}, {1.6, 1.6}, {.3, .2}, {3, 3}});
  CHECK(found.distinct == std::vector<Index>{2});
  CHECK(found.diverged == std::vector<Index>{1});
  CHECK(found.cycling == std::vector<Index>{0});
  CHECK(found.unsettled == std::vector<Index>{0});
}

TEST_CASE_TEMPLATE("(F1) W~ = [[0, -2], [-2, 0]]: a cycle from 0, three fixed points from elsewhere", B,
                   Cpu<float>, Cpu<double>, archetype::Loops<double>) {
  Example<B> example(-2);
  auto const found = example.from({{0, 0}, {3, 0}, {2.5, .1}, {0, 3}, {.8, .8}});
  CHECK(found.distinct == std::vector<Index>{3});  // (2.4, 0), (0, 2.4), (0.8, 0.8), which repels
  CHECK(found.cycling == std::vector<Index>{1});
  CHECK(found.diverged == std::vector<Index>{0});
}

TEST_CASE_TEMPLATE("(F1) points that differ by less than `apart` are one", B, Cpu<double>) {
  Example<B> example(-2);
  std::vector<Matrix<B>> const starts{example.device({{3}, {0}}), example.device({{0}, {3}})};
  auto const count = [&](double apart) {
    return fixed_points(example.backend, DenseBlocks{1}, NonnegativeShrinkage{}, ConstView<B>(example.W),
                        ConstView<B>(example.h), ConstView<B>(example.b), ConstView<B>(example.z),
                        std::span<Matrix<B> const>(starts), Until{.limit = 400}, apart)
        .distinct[0];
  };
  CHECK(count(.99) == 2);  // they differ by all of their size
  CHECK(count(1.01) == 1);
}

TEST_CASE_TEMPLATE("(U3) from U_0: the fixed point that is reached from there, |r| in the unit of 0's start",
                   B, Cpu<float>, Cpu<double>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  Example<B> example(-2);
  auto const right = example.run({3, 0});
  CHECK(right.status == Status::residual_reached);
  auto const u = to_host(example.backend, ConstView<B>(right.u));
  CHECK(std::abs(u(0, 0) - Scalar(2.4)) <= tolerance<Scalar>(4, 5));  // 1/2 + 2 - .1, where u_2 = 0
  CHECK(u(1, 0) == Scalar(0));
  // however far U_0 is, t(0) is that of u = 0: |(2.6, 2.6)|
  auto const far = example.run({1e4, 0});
  CHECK(far.status == Status::residual_reached);
  CHECK(far.residual <= Scalar(1e-5));
  double const t = 2.6 * std::sqrt(2.);
  Matrix<B> const start = example.device({{1}, {0}});
  auto const none =
      unrolled_prox(example.backend, DenseBlocks{1}, NonnegativeShrinkage{}, ConstView<B>(example.W),
                    ConstView<B>(example.h), ConstView<B>(example.b), ConstView<B>(example.z),
                    Until{.limit = 0}, std::nullopt, std::optional<ConstView<B>>(ConstView<B>(start)));
  // u = (1, 0): A(2.4 - 2 u_2, 2.4 - 2 u_1) = (2.4, 0.4), r = (-1.4, -0.4)
  CHECK(std::abs(static_cast<double>(none.residual) - std::hypot(1.4, .4) / t) <=
        static_cast<double>(tolerance<Scalar>(10, 1)));
  CHECK(example.run({.8, .8}).status != Status::all_zero);  // r = 0 there, but u is not
  CHECK(example.run({.8, .8}).iterations == 0);
}

TEST_CASE_TEMPLATE("(U3) what becomes of a sample does not depend on where another one starts", B, Cpu<float>,
                   Cpu<double>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  Example<B> example(2);  // (3, 3) doubles with each update: beyond |t(0)| / eps after 23, or 52
  auto const run = [&](std::vector<double> const& starts) {
    auto const N = static_cast<Index>(starts.size());
    auto const column = [&](double value) {
      return to_device(example.backend, HostMatrix<Scalar>(2, N, static_cast<Scalar>(value)));
    };
    Matrix<B> const Z = column(1),
                    U = to_device(example.backend, host_matrix<Scalar>(2, N, [&](Index, Index j) {
                                    return static_cast<Scalar>(starts[static_cast<std::size_t>(j)]);
                                  }));
    return unrolled_prox(example.backend, DenseBlocks{1}, NonnegativeShrinkage{}, ConstView<B>(example.W),
                         ConstView<B>(example.h), ConstView<B>(example.b), ConstView<B>(Z),
                         Until{.limit = 70}, std::nullopt, std::optional<ConstView<B>>(ConstView<B>(U)))
        .column_status;
  };
  REQUIRE(run({3}).at(0) == Status::diverged);
  CHECK(run({3, 1e20}).at(0) == Status::diverged);
}

TEST_CASE_TEMPLATE("(U3) where z = 0, |r| has no unit: from elsewhere no tolerance is reached on the way", B,
                   Cpu<float>, Cpu<double>) {
  Example<B> example(.9);  // u shrinks to .9 u with each update
  example.b = example.device({{0}, {0}});
  example.z = example.device({{0}, {0}});
  auto const run = example.run({1, 1});
  CHECK(run.iterations == 400);
  CHECK(run.status == Status::iteration_limit);
  CHECK(run.residual == std::numeric_limits<typename B::Scalar>::infinity());
}

TEST_CASE("(U3) images: each has its own count") {
  using B = Cpu<double>;
  B cpu(1);
  ConvolutionalBlocks const structure{2, 2, 3, 1};
  HostMatrix<double> W(2, 18);  // the example of (F1) at every pixel
  W(0, 4 * 2 + 1) = W(1, 4 * 2) = -2;
  Matrix<B> const W_d = to_device(cpu, W), h = to_device(cpu, HostMatrix<double>(2, 1, .5)),
                  b = to_device(cpu, HostMatrix<double>(2, 1, .1));
  // two images; in the first z = -1, where u = 0 is all there is
  auto const z = host_matrix<double>(2, 8, [](Index, Index j) { return j < 4 ? -1. : 1.; });
  std::vector<Matrix<B>> starts;
  for (double const second : {0., 3.})
    starts.push_back(to_device(cpu, host_matrix<double>(2, 8, [&](Index i, Index j) {
                                 return j == 7 ? (i == 0 ? 3. - second : second) : i == 0 ? 3. : 0.;
                               })));
  Matrix<B> const Z = to_device(cpu, z);
  auto const found =
      fixed_points(cpu, structure, NonnegativeShrinkage{}, ConstView<B>(W_d), ConstView<B>(h),
                   ConstView<B>(b), ConstView<B>(Z), std::span<Matrix<B> const>(starts), Until{.limit = 400});
  CHECK(found.distinct == std::vector<Index>{1, 2});
}

TEST_CASE("refusals of fixed_points and of a start, by name") {
  using B = Cpu<double>;
  Example<B> example(2);
  check_throws_with<DomainError>([&] { example.from({{std::numeric_limits<double>::infinity(), 0}}); },
                                 "unrolled_prox: U_0 has an entry of size inf, must be finite");
  std::vector<Matrix<B>> const starts{Matrix<B>::Zero(3, 1)};
  check_throws_with<ShapeError>(
      [&] {
        fixed_points(example.backend, DenseBlocks{1}, NonnegativeShrinkage{}, ConstView<B>(example.W),
                     ConstView<B>(example.h), ConstView<B>(example.b), ConstView<B>(example.z),
                     std::span<Matrix<B> const>(starts), Until{});
      },
      "unrolled_prox: U is 3 x 1, must be 2 x 1");
  check_throws_with<DomainError>(
      [&] {
        fixed_points(example.backend, DenseBlocks{1}, NonnegativeShrinkage{}, ConstView<B>(example.W),
                     ConstView<B>(example.h), ConstView<B>(example.b), ConstView<B>(example.z),
                     std::span<Matrix<B> const>(), Until{}, -1);
      },
      "fixed_points: apart = -1, must be >= 0");
}

}  // namespace detrame
