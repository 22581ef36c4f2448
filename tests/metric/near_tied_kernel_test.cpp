// SPDX-License-Identifier: Apache-2.0
#include "detrame/metric/near_tied_kernel.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/convolutional_metric.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

template <Backend B>
using Convolution3 = Recurrence<B, ConvolutionalBlocks>;

/// Normal entries, of 4 channels in two groups.
template <Backend B>
Convolution3<B> random_kernel(B& b, double size, std::uint64_t n) {
  using Scalar = typename B::Scalar;
  auto const W = mapped([=](double w) { return size * w; }, normal_matrix<double>(2, 36, seed(n)));
  return {ConvolutionalBlocks{5, 4, 3, 2}, to_device(b, rounded<Scalar>(W)),
          to_device(b, HostMatrix<Scalar>(4, 1, Scalar(.75))),
          to_device(b, HostMatrix<Scalar>(4, 1, Scalar(.1)))};
}

std::vector<double> const ones(4, 1.);

}  // namespace

TEST_CASE_TEMPLATE("(F2) (K3) near_tied_kernel is a prox, at most 3 % farther than any can be near", B,
                   Cpu<float>, Cpu<double>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  Scalar const tolerance = Scalar(200) * std::numeric_limits<Scalar>::epsilon();
  auto const free = random_kernel(b, .4, 7);
  REQUIRE_FALSE(untie(b, free, tolerance).is_prox);
  auto const near = near_tied_kernel(b, free, ones, tolerance, 40);
  CHECK(untie(b, near.recurrence, tolerance).is_prox);
  REQUIRE(near.at_least > .5);
  CHECK(near.at_least <= near.distance);
  CHECK(near.distance <= 1.03 * near.at_least);  // no rate of Dykstra's is known: seen, not derived
  double squares = 0;                            // the distance of what came out, from its entries
  auto const W = to_host(b, ConstView<B>(free.W_tilde)),
             V = to_host(b, ConstView<B>(near.recurrence.W_tilde));
  for (Index j = 0; j < W.cols(); ++j)
    for (Index i = 0; i < W.rows(); ++i)
      squares += std::pow(static_cast<double>(W(i, j)) - static_cast<double>(V(i, j)), 2);
  CHECK(std::abs(std::sqrt(squares) - near.distance) <=
        test::tolerance<Scalar>(72, near.size + near.distance));
  // its own nearest is itself
  auto const again = near_tied_kernel(b, near.recurrence, ones, tolerance, 40);
  CHECK(again.distance == 0);
  CHECK(again.at_least == 0);
  CHECK(to_host(b, ConstView<B>(again.recurrence.W_tilde)) == V);
}

TEST_CASE("(F2) (K3) one channel: the symbol .9 + 1.2 cos omega is .3 / sqrt(3) from those that are >= 0") {
  // Of all taps those of this row alone matter, q_0 >= 2 |q_1|: the distance of (.9, .6 sqrt 2) to the line
  // q_0 = sqrt 2 (sqrt 2 q_1).
  Cpu<double> b;
  HostMatrix<double> W(1, 9);
  W(0, 3) = W(0, 5) = -.6;
  Convolution3<Cpu<double>> const free{{4, 5, 3},
                                       to_device(b, W),
                                       to_device(b, HostMatrix<double>(1, 1, .9)),
                                       to_device(b, HostMatrix<double>(1, 1, .1))};
  auto const near = near_tied_kernel(b, free, {1.}, 1e-9, 2000);
  double const exact = .3 / std::sqrt(3.);
  CHECK(near.at_least <= exact * (1 + 1e-12));
  CHECK(near.at_least == doctest::Approx(exact).epsilon(1e-3));  // rounds end at a move of 1e-3 of the way
  CHECK(near.distance >= exact * (1 - 1e-12));
  CHECK(near.distance <= 1.15 * exact);  // seen: it is raised by the lower bound of spectral_range
  CHECK(std::abs(near.size - .6 * std::sqrt(2.)) <= tolerance<double>(9, near.size));
}

TEST_CASE("(F2) (K2) a scaling: what is symmetric in S is as far as the symmetric kernel is in I") {
  Cpu<double> b;
  auto free = random_kernel(b, .4, 8);
  free.W_tilde =
      to_device(b, symmetric_part(free.structure, to_host(b, ConstView<Cpu<double>>(free.W_tilde))));
  std::vector<double> const s{.25, 4, 1, 9};
  auto scaled = free;
  auto const W = to_host(b, ConstView<Cpu<double>>(free.W_tilde));
  auto const root = [&](Index i) { return std::sqrt(s[static_cast<std::size_t>(i)]); };
  scaled.W_tilde = to_device(b, host_matrix<double>(2, 36, [&](Index o, Index column) {
                               Index const first = column / 18 * 2;
                               return W(o, column) * root(first + column % 2) / root(first + o);
                             }));
  auto const plain = near_tied_kernel(b, free, ones, 1e-9), near = near_tied_kernel(b, scaled, s, 1e-9);
  REQUIRE(plain.distance > .1);
  // the kernels differ by rounding; both are raised until an eigenvalue is shown to be 1e-9
  CHECK(near.distance == doctest::Approx(plain.distance).epsilon(1e-9));
  CHECK(near.at_least == doctest::Approx(plain.at_least).epsilon(1e-9));
  CHECK(near.size == doctest::Approx(plain.size).epsilon(1e-9));
  CHECK(untie(b, near.recurrence, 1e-9).is_prox);
  CHECK(near_tied_kernel(b, scaled, ones, 1e-9).distance > 1.01 * near.distance);
}

TEST_CASE("(F2) (K2) where the symmetric part is positive it is the nearest") {
  Cpu<double> b;
  auto const free = random_kernel(b, .03, 10);
  auto const W = to_host(b, ConstView<Cpu<double>>(free.W_tilde));
  auto const symmetric = symmetric_part(free.structure, W);
  double squares = 0;
  for (Index i = 0; i < W.rows() * W.cols(); ++i)
    squares += (W.data()[i] - symmetric.data()[i]) * (W.data()[i] - symmetric.data()[i]);
  REQUIRE(squares > .001);
  auto const near = near_tied_kernel(b, free, ones, 1e-9);
  CHECK(std::abs(near.at_least - std::sqrt(squares)) <= tolerance<double>(72, near.size));
  // the four middle taps are raised by 4e-9 times the largest row sum, which is below 1 + .75 + 18 x .1
  CHECK(near.distance <= std::sqrt(squares) + 2 * 4e-9 * 3.55);
  CHECK(near.at_least <= near.distance);
}

TEST_CASE("(F2) h and b out of range come back to it; refusals by name") {
  Cpu<double> b;
  auto free = random_kernel(b, .01, 9);
  free.h = to_device(b, HostMatrix<double>(4, 1, 1.5));
  free.b = to_device(b, HostMatrix<double>(4, 1, -.5));
  auto const near = near_tied_kernel(b, free, ones, 1e-9);
  CHECK(untie(b, near.recurrence, 1e-9).is_prox);
  CHECK(to_host(b, ConstView<Cpu<double>>(near.recurrence.h))(2, 0) == 1);
  CHECK(to_host(b, ConstView<Cpu<double>>(near.recurrence.b))(2, 0) == 0);
  check_throws_with<ShapeError>([&] { near_tied_kernel(b, free, {1., 1.}, 1e-9); },
                                "near_tied_kernel: s has 2 entries, must have 4");
  check_throws_with<DomainError>([&] { near_tied_kernel(b, free, {1., 1., 0., 1.}, 1e-9); },
                                 "near_tied_kernel: s has an entry 0, must be > 0");
  free = random_kernel(b, .4, 7);
  for (double const tolerance : {0., -1e-9, std::numeric_limits<double>::quiet_NaN()})
    check_throws_with<DomainError>([&] { near_tied_kernel(b, free, ones, tolerance); },
                                   message("near_tied_kernel: tolerance = ", tolerance, ", must be > 0"));
  // a smallest eigenvalue of 2, where the diagonal is 1, there is not
  check_throws_with<DomainError>([&] { near_tied_kernel(b, free, ones, 2, 1); },
                                 "near_tied_kernel: tolerance = 2: no Q is raised beyond it");
}

}  // namespace detrame
