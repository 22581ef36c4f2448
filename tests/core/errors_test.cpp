// SPDX-License-Identifier: Apache-2.0
#include "detrame/core/errors.hpp"

#include <limits>
#include <locale>
#include <sstream>

#include "detrame/core/shape.hpp"
#include "support.hpp"

namespace detrame {

using namespace test;

TEST_CASE("errors: a message is its parts, one after the other") {
  CHECK(message("prox: z has ", 7, " rows, Q is ", 12, " x ", 12) == "prox: z has 7 rows, Q is 12 x 12");
  CHECK(message(Shape{3, 32, 32}, " | ", Shape{96}) == "3 x 32 x 32 | 96");
}

TEST_CASE("errors: messages are those of the classic locale, whatever the program's is") {
  GroupedDigits const locale;
  std::ostringstream grouped;
  grouped << 1234574 << ' ' << 0.5;
  REQUIRE(grouped.str() == "1.234.574 0,5");
  CHECK(message("at byte ", 1234574, ", ", 12345.5, ", ", Shape{3000, 32, 1000}) ==
        "at byte 1234574, 12345.5, 3000 x 32 x 1000");
  check_throws_with<DomainError>([] { require_at_least("Penalty", "lambda", -2000.5, 0.0); },
                                 "lambda = -2000.5, must be >= 0");
}

TEST_CASE("errors: a number out of its range is refused by name, value and range") {
  check_throws_with<DomainError>([] { require_at_least("Penalty", "lambda", -0.1, 0.0); },
                                 "Penalty: lambda = -0.1, must be >= 0");
  check_throws_with<DomainError>(
      [] { require_at_least("Penalty", "beta", std::numeric_limits<float>::quiet_NaN(), 0.0f); },
      "beta = nan");
  CHECK_NOTHROW(require_at_least("Penalty", "lambda", 0.0, 0.0));
  CHECK_NOTHROW(require_at_least("Penalty", "lambda", std::numeric_limits<double>::infinity(), 0.0));
}

TEST_CASE("errors: callers catch them as what they are") {
  CHECK(std::is_base_of_v<std::invalid_argument, ShapeError>);
  CHECK(std::is_base_of_v<std::domain_error, DomainError>);
  CHECK((std::is_base_of_v<std::runtime_error, FormatError> &&
         std::is_base_of_v<std::runtime_error, NotConverged> &&
         std::is_base_of_v<std::runtime_error, NotCertified>));
}

TEST_CASE("Shape: channels at each of height x width sites") {
  constexpr Shape image{3, 32, 16}, dense{64};
  CHECK((image.sites() == 512 && image.size() == 1536));
  CHECK((dense.sites() == 1 && dense.size() == 64));
  CHECK((image == Shape{3, 32, 16} && image != Shape{3, 16, 32} && dense == Shape{64, 1, 1}));
}

}  // namespace detrame
