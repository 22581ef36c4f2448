// SPDX-License-Identifier: Apache-2.0
#include "detrame/core/sizes.hpp"

#include "detrame/core/host_matrix.hpp"
#include "support.hpp"

namespace detrame {

using namespace test;

TEST_CASE("sizes: a product is exact, or nothing where it does not fit or a size is negative") {
  Index const most = std::numeric_limits<Index>::max();
  CHECK(product_of_sizes({}) == 1);
  CHECK(product_of_sizes({3, 4, 5}) == 60);
  CHECK(product_of_sizes({3, 0, 5}) == 0);
  CHECK(product_of_sizes({1, most, 1}) == most);
  CHECK(product_of_sizes({3037000499, 3037000499}) == 3037000499 * 3037000499);
  CHECK(product_of_sizes({3037000500, 3037000500}) == std::nullopt);
  CHECK(product_of_sizes({Index{1} << 32, Index{1} << 32}) == std::nullopt);  // 2^64 is 0 in 64 bits
  CHECK(product_of_sizes({0, Index{1} << 32, Index{1} << 32}) == std::nullopt);
  CHECK(product_of_sizes({2, -1}) == std::nullopt);
  CHECK(product_of_sizes({0, -1}) == std::nullopt);
}

TEST_CASE_TEMPLATE(
    "sizes: a host matrix of more entries than can be counted is refused, not made without them", Scalar,
    float, double, std::uint8_t) {
  Index const large = Index{1} << 32;
  check_throws_with<ShapeError>(
      [&] { HostMatrix<Scalar>(large, large); },
      message("HostMatrix: 4294967296 x 4294967296 entries of ", sizeof(Scalar),
              " bytes, must be sizes >= 0 whose product can be counted in 63 bits"));
  check_throws_with<ShapeError>([&] { HostMatrix<Scalar>(large, large / 2); },
                                "HostMatrix: 4294967296 x 2147483648");
  check_throws_with<ShapeError>([] { HostMatrix<Scalar>(-1, 2); }, "HostMatrix: -1 x 2 entries");
  check_throws_with<ShapeError>([] { HostMatrix<Scalar>(-1, -2); }, "HostMatrix: -1 x -2 entries");
  check_throws_with<ShapeError>(
      [&] { host_matrix<Scalar>(large, large, [](Index, Index) { return Scalar(0); }); },
      "HostMatrix: 4294967296");
  HostMatrix<Scalar> const none(0, 5), small(2, 3, Scalar(7));
  CHECK((none.rows() == 0 && none.cols() == 5));
  CHECK((small(0, 0) == Scalar(7) && small(1, 2) == Scalar(7)));
}

}  // namespace detrame
