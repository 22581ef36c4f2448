// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/perturbation_norms.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/robust/gaussian_noise.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

TEST_CASE_TEMPLATE("keep_within: no norm in double exceeds the radius, and what is within it stays", Scalar,
                   float, double) {
  constexpr Index n = 3072;
  auto const x_0 = test::uniform_matrix<Scalar>(n, 1, test::seed(1));
  auto const direction = test::normal_matrix<Scalar>(n, 1, test::seed(2));
  for (AttackNorm const norm : {AttackNorm::l2, AttackNorm::l_inf})
    for (double const radius : {1e-9, 1e-3, .141, 3.}) {
      double const length = norm_in_double(norm, n, [&](Index i) { return direction(i, 0); });
      bool some_exceed = false;
      for (double const times : {.5, 1., 1.000001, 4.}) {
        auto x = host_matrix<Scalar>(n, 1, [&](Index i, Index) {
          return static_cast<Scalar>(static_cast<double>(x_0(i, 0)) +
                                     times * radius / length * static_cast<double>(direction(i, 0)));
        });
        auto const before = x;
        auto const moved = [&](Index i) {
          return static_cast<double>(x(i, 0)) - static_cast<double>(x_0(i, 0));
        };
        double const at_first = norm_in_double(norm, n, moved);
        keep_within(norm, radius, n, x_0.data(), x.data());
        double const at_last = norm_in_double(norm, n, moved);
        CHECK(at_last <= radius);
        if (at_first <= radius)
          CHECK(x == before);
        else if (norm == AttackNorm::l2 && radius > 1e-6)  // else it is all rounding in float
          CHECK(at_last >= radius * (1 - 1e-4));
        some_exceed = some_exceed || at_first > radius;
        for (Index i = 0; i < n; ++i) {
          CHECK_UNARY(std::min(before(i, 0), x_0(i, 0)) <= x(i, 0));
          CHECK_UNARY(x(i, 0) <= std::max(before(i, 0), x_0(i, 0)));
        }
      }
      if (radius > 1e-6) CHECK(some_exceed);
    }
  double const nan = limits::nan<double>;
  double const some[] = {1, nan, 2};
  for (AttackNorm const norm : {AttackNorm::l2, AttackNorm::l_inf})
    CHECK(std::isnan(norm_in_double(norm, 3, [&](Index i) { return some[i]; })));
}

TEST_CASE_TEMPLATE(
    "Gaussian noise has the energy it is given, image by image, and batches are parts of a whole", B,
    BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  constexpr Shape shape{3, 8, 8};
  constexpr Index n = 40;
  auto const x = test::uniform_matrix<Scalar>(3, n * shape.sites(), test::seed(1));
  std::vector<double> const mean{.4, .5, .6};
  auto const raw = image_energies(shape, x), centred = image_energies(shape, x, mean);
  double sum = 0, centred_sum = 0;
  for (Index s = 0; s < shape.sites(); ++s)
    for (Index c = 0; c < 3; ++c) {
      double const value = static_cast<double>(x(c, s + 2 * shape.sites()));
      sum += value * value;
      centred_sum +=
          (value - mean[static_cast<std::size_t>(c)]) * (value - mean[static_cast<std::size_t>(c)]);
    }
  CHECK(std::abs(raw[2] - sum) <= test::tolerance<double>(192, sum));
  CHECK(std::abs(centred[2] - centred_sum) <= test::tolerance<double>(192, sum));

  auto const z = to_host(b, ConstView<B>(gaussian_noise(b, shape, to_device(b, x), raw, .25, 7, 100)));
  double total = 0, third = 0;
  for (Index j = 0; j < n; ++j) {
    double energy = 0;
    for (Index i = 0; i < shape.size(); ++i) {
      double const v = static_cast<double>(z.data()[i + j * shape.size()]) -
                       static_cast<double>(x.data()[i + j * shape.size()]);
      energy += v * v, third += v * v * v;
    }
    // |v|^2 / (rho |x|^2) is a mean of 192 squares of normals, of deviation sqrt(2 / 192): five of them
    CHECK(std::abs(energy / (.25 * raw[static_cast<std::size_t>(j)]) - 1) <= 5 * std::sqrt(2. / 192));
    total += energy / (.25 * raw[static_cast<std::size_t>(j)]);
  }
  CHECK(std::abs(total / n - 1) <= 5 * std::sqrt(2. / (192 * n)));
  CHECK(std::abs(third) <= 5 * std::sqrt(15. * 192 * n) * std::pow(.25 / 3, 1.5));  // E g^6 = 15

  auto const part = to_host(
      b, ConstView<B>(gaussian_noise(b, shape, ConstView<B>(to_device(b, x)).middle_cols(5 * 64, 2 * 64),
                                     std::span(raw).subspan(5, 2), .25, 7, 105)));
  for (Index i = 0; i < 2 * shape.size(); ++i) CHECK(part.data()[i] == z.data()[i + 5 * shape.size()]);
  CHECK(to_host(b, ConstView<B>(gaussian_noise(b, shape, to_device(b, x), raw, 0, 7))) == x);
  CHECK(to_host(b, ConstView<B>(gaussian_noise(b, shape, to_device(b, x), raw, .25, 8, 100))) != z);
}

TEST_CASE_TEMPLATE("Gaussian noise and energies refuse what does not fit", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  constexpr Shape shape{1, 2, 2};
  Matrix<B> const x = zeros(b, 1, 8);
  std::vector<double> energies{1, 1};
  CHECK_THROWS_AS(gaussian_noise(b, shape, x, energies, -1, 0), DomainError);
  CHECK_THROWS_AS(gaussian_noise(b, shape, x, energies, limits::nan<double>, 0), DomainError);
  CHECK_THROWS_AS(gaussian_noise(b, shape, x, energies, limits::infinity<double>, 0), DomainError);
  CHECK_THROWS_AS(gaussian_noise(b, shape, x, std::span(energies).first(1), 1, 0), ShapeError);
  energies[1] = limits::nan<double>;
  CHECK_THROWS_WITH_AS(gaussian_noise(b, shape, x, energies, 1, 0),
                       "gaussian_noise: the energy of image 1 is nan, must be >= 0 and finite", DomainError);
  CHECK_THROWS_AS(image_energies(shape, HostMatrix<Scalar>(1, 7)), ShapeError);
  CHECK_THROWS_AS(image_energies(shape, HostMatrix<Scalar>(1, 8), std::vector{1., 2.}), ShapeError);
}

TEST_CASE_TEMPLATE("the norms of a perturbation in every unit", Scalar, float, double) {
  constexpr Shape shape{2, 1, 3};
  HostMatrix<Scalar> v(6, 1);  // channels .5, -.25, 0 and 0, 1, -2
  v(0, 0) = Scalar(.5), v(2, 0) = Scalar(-.25), v(3, 0) = Scalar(1), v(5, 0) = Scalar(-2);
  std::vector<double> const energies{4, 6}, centred{1, 3}, deviation{.25, .5};
  auto const n = perturbation_norms(shape, v, energies, centred, deviation);
  double const square = .25 + .0625 + 1 + 4;
  CHECK(n.l2 == std::sqrt(square));
  CHECK(n.l_inf == 2);
  CHECK(n.grey_levels == 510);
  CHECK(n.network_l_inf == std::vector<double>{2, 4});
  CHECK(n.network_l2 == std::sqrt(4. + 1 + 4 + 16));
  CHECK(std::abs(n.of_energy - square / 5) <= test::tolerance<double>(1, 2));
  CHECK(std::abs(n.of_centred_energy - square / 2) <= test::tolerance<double>(1, 3));
  CHECK(perturbation_norms(shape, v, energies, centred).network_l_inf == std::vector<double>{.5, 2});
  CHECK_THROWS_AS(perturbation_norms(Shape{2}, v, energies, centred), ShapeError);
  CHECK_THROWS_AS(perturbation_norms(shape, v, energies, centred, std::vector{1.}), ShapeError);
  CHECK_THROWS_AS(perturbation_norms(shape, v, energies, std::vector{1.}), ShapeError);
  CHECK_THROWS_WITH_AS(perturbation_norms(shape, v, {}, {}),
                       "perturbation_norms: energies of 0 and 0 images, must be of the same ones",
                       ShapeError);
  CHECK_THROWS_WITH_AS(perturbation_norms(shape, v, energies, centred, std::vector{1., 0.}),
                       "perturbation_norms: deviation = 0, must be > 0 and finite", DomainError);
}

TEST_CASE_TEMPLATE("a control is made of random signs, as large as one may be", Scalar, float, double) {
  constexpr Shape shape{3, 16, 16};
  for (AttackNorm const norm : {AttackNorm::l2, AttackNorm::l_inf}) {
    auto const v = random_signs<Scalar>(shape, norm, .05, 3);
    double const length = norm_in_double(norm, v.rows(), [&](Index i) { return v(i, 0); });
    CHECK(length <= .05);
    CHECK(length >= .05 - double(test::tolerance<Scalar>(768, .05)));
    int positive = 0;
    for (Index i = 0; i < v.rows(); ++i) {
      CHECK(std::abs(v(i, 0)) == std::abs(v(0, 0)));
      positive += v(i, 0) > 0;
    }
    CHECK(std::abs(positive - 384) <= 5 * std::sqrt(768. / 4));  // a binomial, five deviations
    CHECK(random_signs<Scalar>(shape, norm, .05, 4) != v);
    CHECK_THROWS_AS(random_signs<Scalar>(shape, norm, 0, 3), DomainError);
  }
}

}  // namespace detrame
