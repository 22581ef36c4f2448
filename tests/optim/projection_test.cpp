// SPDX-License-Identifier: Apache-2.0
#include "detrame/optim/projection.hpp"

#include "laws/archetype.hpp"
#include "optim/one_of_each.hpp"
#include "support.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

TEST_CASE_TEMPLATE("(F3) the projections of Algorithm 2: each role on its set, idempotent, NaN stays", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Constraints const constraints{.margin = 0.25};
  auto theta = values(b, 2, 1);
  auto const before = theta;
  project(b, constraints, theta);
  for (std::size_t n = 0; n < 10; ++n) {
    auto const p = to_host(b, before.p[n]);
    CHECK(to_host(b, theta.p[n]) == host_matrix<Scalar>(4, 8, [&](Index i, Index j) {
            return projected(roles[n].name, i, j, p(i, j), Scalar(0.25));
          }));
  }
  auto again = theta;
  project(b, constraints, again);
  for (std::size_t n = 0; n < 10; ++n) CHECK(to_host(b, again.p[n]) == to_host(b, theta.p[n]));
  for (std::size_t n = 0; n < 10; ++n) {
    Scalar const nan = std::numeric_limits<Scalar>::quiet_NaN();
    theta.p[n] = to_device(b, HostMatrix<Scalar>(4, 8, nan));
    project(b, constraints, theta);
    auto const p = to_host(b, theta.p[n]);
    for (Index i = 0; i < 4; ++i)
      for (Index j = 0; j < 8; ++j)
        CHECK((std::isnan(p(i, j)) || (roles[n].name == "W_tilde" && j % 4 == i)));
  }
}

TEST_CASE_TEMPLATE("(F3) the ends of an interval are rounded inwards, those of an open one never reached",
                   Scalar, float, double) {
  auto const ends = [](double low, double high, bool open) {
    auto const p = projection<Scalar>({}, {.low = low, .high = high, .open = open}, 1);
    return std::pair(static_cast<double>(p.low), static_cast<double>(p.high));
  };
  for (double low : {.9, -.9, 0., 1e5, 1e17}) {
    double const high = low + 1 + std::abs(low) / 2;
    auto const [closed_low, closed_high] = ends(low, high, false);
    CHECK((closed_low >= low && closed_high <= high));
    CHECK(closed_low - low <=
          2 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) * std::abs(low));
    auto const [open_low, open_high] = ends(low, high, true);
    CHECK((open_low > low && open_high < high));
  }
  CHECK(ends(0, 1, false) == std::pair(0., 1.));
}

TEST_CASE("a projection refuses a set that is empty") {
  auto const refused = [](Role const& role, double margin, char const* text) {
    test::check_throws_with<DomainError>([&] { projection<float>({.margin = margin}, role, 1); }, text);
  };
  refused({.name = "s", .low = 1, .high = 0.5}, 1, "projection: s in [1, 0.5], which is empty");
  refused({.name = "s", .low = 0, .high = 1, .open = true}, 0.75, "s in [0.75, 0.25], which is empty");
  refused({.name = "s", .low = std::numeric_limits<double>::quiet_NaN()}, 1, "s in [nan, inf], which");
  CHECK(projection<float>({.margin = 0.5}, {.low = 0, .high = 1, .open = true}, 1).low == 0.5f);
}

}  // namespace detrame
