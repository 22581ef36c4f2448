// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/certified_radius.hpp"

#include "../support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

double radius(std::vector<double> const& y, std::vector<double> const& L, std::vector<double> const& e,
              double rho = 10, Index label = 0) {
  return certified_radius([&](Index j) { return y[static_cast<std::size_t>(j)]; },
                          static_cast<Index>(y.size()), label, rho,
                          [&](Index j) { return L[static_cast<std::size_t>(j)]; },
                          [&](Index j) { return e[static_cast<std::size_t>(j)]; });
}

}  // namespace

TEST_CASE("(R5) the radius is the least of all classes, not the runner-up's, and never more than rho") {
  double const nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  double const r = radius({3, 2, 1}, {0, 1, 8}, {0, 0, 0});  // the runner-up would allow 1
  CHECK(r <= .25);
  CHECK(r >= .25 * (1 - 1e-13));
  CHECK(radius({3, 2, 1}, {0, 1, 1}, {0, 0, 0}, .5) == .5);
  CHECK(radius({3, 2, 1}, {0, 0, 0}, {0, 0, 0}, .5) == .5);
  CHECK(radius({3}, {0}, {0}, .5) == .5);
  double const charged = radius({3, 2, 1}, {0, 1, 1}, {0, .25, 0});
  CHECK(charged <= .5);
  CHECK(charged >= .5 * (1 - 1e-13));
  CHECK(radius({3, 2, 1}, {0, 1, 1}, {0, .5, 0}) == 0);  // the numerator is 0: no division by what is small
  CHECK(radius({3, 3, 1}, {0, 0, 1}, {0, 0, 0}) == 0);
  CHECK(radius({3, 2, 1}, {0, 0, 0}, {0, 1, 0}) == 0);
  CHECK(radius({1, 3, 2}, {1, 1, 1}, {0, 0, 0}) == 0);  // not the largest score
  CHECK(radius({3, nan, 1}, {0, 1, 1}, {0, 0, 0}) == 0);
  CHECK(radius({nan, 2, 1}, {0, 1, 1}, {0, 0, 0}) == 0);
  CHECK(radius({inf, 2, 1}, {0, 1, 1}, {0, 0, 0}) == 0);
  CHECK(radius({3, 2, 1}, {0, nan, 1}, {0, 0, 0}) == 0);
  CHECK(radius({3, 2, 1}, {0, inf, 1}, {0, 0, 0}) == 0);
  CHECK(radius({3, 2, 1}, {0, 1, 1}, {0, nan, 0}) == 0);
  CHECK(radius({3, 2, 1}, {0, 1, 1}, {0, inf, 0}) == 0);
  CHECK(radius({3, 2, 1}, {0, 1, 1}, {0, 0, 0}, 0) == 0);
  CHECK(radius({3, 2, 1}, {0, 1, 1}, {0, 0, 0}, nan) == 0);
}
