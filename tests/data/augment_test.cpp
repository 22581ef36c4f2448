// SPDX-License-Identifier: Apache-2.0
#include "detrame/data/augment.hpp"

#include <map>
#include <tuple>
#include <vector>

#include "detrame/data/normalise.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;

TEST_CASE_TEMPLATE("normalise: mean and deviation of every channel, in double; then they are 0 and 1", Scalar,
                   float, double) {
  LabelledImages<Scalar> data{
      {2, 1, 2},
      host_matrix<Scalar>(2, 4,
                          [](Index i, Index j) { return static_cast<Scalar>(i == 0 ? j : (j < 2 ? 5 : 9)); }),
      {0, 0},
      1};
  auto const statistics = channel_statistics(data);
  CHECK(statistics.mean == std::vector<double>{1.5, 7});
  CHECK(statistics.deviation == std::vector<double>{std::sqrt(1.25), 2});
  normalise(data, statistics);
  CHECK(data.images(1, 0) == Scalar(-1));
  CHECK(data.images(1, 3) == Scalar(1));
  CHECK(data.images(0, 3) == static_cast<Scalar>(1.5 / std::sqrt(1.25)));
  normalise(data, {{0, 1}, {1, 2}});  // given ones
  CHECK(data.images(1, 0) == Scalar(-1));
  CHECK(data.images(1, 3) == Scalar(0));
}

TEST_CASE("normalise: float sums of many terms are not lost; a deviation far below the mean is not") {
  Index const n = 3 << 19;
  LabelledImages<float> const data{
      {1},
      host_matrix<float>(1, n, [](Index, Index j) { return 4096.0f + static_cast<float>(j % 2) / 1024; }),
      {},
      1};
  auto const [mean, deviation] = channel_statistics(data);
  CHECK(mean[0] == 4096 + 0.5 / 1024);  // exact in double; a float sum near 2^32 has an ulp of 512
  CHECK(deviation[0] == 0.5 / 1024);    // E x^2 - (E x)^2 would keep 6 bits of it
}

TEST_CASE("normalise: what cannot be is refused") {
  LabelledImages<float> data{{2}, HostMatrix<float>(2, 3), {0, 0, 0}, 1};
  check_throws_with<ShapeError>([&] { normalise(data, {{0}, {1}}); },
                                "normalise: 2 channels, 1 means, 1 deviations");
  check_throws_with<DomainError>([&] { normalise(data, channel_statistics(data)); },
                                 "normalise: the deviation of channel 0 is 0, must be > 0 and finite");
  check_throws_with<DomainError>([&] { normalise(data, {{0, std::nan("")}, {1, 1}}); },
                                 "normalise: the mean of channel 1 is nan, must be finite");
  check_throws_with<DomainError>([&] { normalise(data, {{0, 0}, {1, std::nan("")}}); },
                                 "the deviation of channel 1 is nan");
  LabelledImages<float> const none{{2}, HostMatrix<float>(2, 0), {}, 1};
  check_throws_with<ShapeError>([&] { channel_statistics(none); }, "of no columns there is no mean");
}

TEST_CASE_TEMPLATE("random crop: y(c, row, col) = x(c, row + top - p, col + left - p), flipped, 0 outside",
                   Scalar, float, double) {
  Shape const shape{3, 5, 7};
  Index const padding = 2;
  auto const x = uniform_matrix<Scalar>(3, 35, seed(1), 0.5, 1);  // nowhere 0
  RandomCrop const prepare(seed(2), padding);
  int flips = 0, moved = 0;
  for (Index sample = 0; sample < 60; ++sample) {
    HostMatrix<Scalar> y(3, 35, Scalar(-1));
    prepare(shape, 3, sample, x.data(), y.data());
    auto const [top, left, flipped] = prepare.crop(3, sample);
    flips += flipped;
    moved += top != padding && left != padding;
    HostMatrix<Scalar> bordered(3, 9 * 11);  // the other way: the border written out
    for (Index row = 0; row < 5; ++row)
      for (Index col = 0; col < 7; ++col)
        for (Index c = 0; c < 3; ++c) bordered(c, (row + 2) * 11 + col + 2) = x(c, row * 7 + col);
    auto const expected =
        host_matrix<Scalar>(3, 35, [&, top = top, left = left, flipped = flipped](Index c, Index j) {
          Index const row = j / 7, col = flipped ? 6 - j % 7 : j % 7;
          return bordered(c, (row + top) * 11 + col + left);
        });
    REQUIRE(y == expected);
  }
  REQUIRE(flips > 15);
  REQUIRE(flips < 45);
  REQUIRE(moved > 20);
}

TEST_CASE("random crop: windows are uniform, flips even, and a function of seed, epoch and sample") {
  RandomCrop const prepare(seed(3));
  std::map<std::tuple<Index, Index, bool>, int> counts;
  int same_epoch = 0, same_seed = 0, same_next = 0, chained = 0;
  Index const n = 16200;  // 100 for each of 9 * 9 * 2 outcomes
  for (Index i = 0; i < n; ++i) {
    Crop const crop = prepare.crop(0, i);
    ++counts[{crop.top, crop.left, crop.flipped}];
    CHECK(crop == RandomCrop(seed(3)).crop(0, i));
    same_epoch += crop == prepare.crop(1, i);
    same_seed += crop == RandomCrop(seed(4)).crop(0, i);
    same_next += crop == prepare.crop(0, i + 1);
    chained += crop.left == prepare.crop(0, i + 1).top;
    CHECK(crop == prepare.crop(0, i));
  }
  CHECK(counts.size() == 162);
  double chi_square = 0;
  for (auto const& [outcome, count] : counts) chi_square += (count - 100.0) * (count - 100.0) / 100;
  CHECK(chi_square < 161 + 5 * std::sqrt(2.0 * 161));  // mean and five deviations of chi^2 with 161 degrees
  CHECK(chained < n / 6);                              // by chance, n / 9
  for (int const same : {same_epoch, same_seed, same_next}) {
    CHECK(same > 50);  // by chance, n / 162 = 100
    CHECK(same < 150);
  }
}

TEST_CASE("random crop: no padding and no flip change nothing; Unchanged does neither") {
  Shape const shape{2, 3, 3};
  auto const x = normal_matrix<double>(2, 9, seed(5));
  HostMatrix<double> y(2, 9), z(2, 9);
  RandomCrop const still(seed(6), 0, false);
  for (Index sample = 0; sample < 20; ++sample) {
    still(shape, 1, sample, x.data(), y.data());
    REQUIRE(x == y);
  }
  Unchanged()(shape, 1, 0, x.data(), z.data());
  CHECK(x == z);
  check_throws_with<DomainError>([] { RandomCrop(0, -1); }, "RandomCrop: padding = -1, must be >= 0");
}
