// SPDX-License-Identifier: Apache-2.0
#include "detrame/data/image_bytes.hpp"

#include "data/loader_allocations.hpp"
#include "detrame/data/loader.hpp"
#include "detrame/data/normalise.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

/// Every byte up to the maximum, at places that differ from channel to channel.
template <class Scalar>
ImageBytes<Scalar> bytes(Index samples, Shape shape = {3, 4, 5}, int maximum = 255) {
  ImageBytes<Scalar> data{shape, {}, {}, 10, byte_values<Scalar>(shape.channels, maximum)};
  Random const random(seed(1), 0);
  for (Index i = 0; i < shape.size() * samples; ++i)
    data.pixels.push_back(
        static_cast<std::uint8_t>(random.below(maximum + 1, static_cast<std::uint64_t>(i))));
  for (Index i = 0; i < samples; ++i) data.labels.push_back(static_cast<int>(i * 3 % 10));
  return data;
}

/// The same images without a table: byte / maximum, as the readers of numbers have always had it.
template <class Scalar>
LabelledImages<Scalar> divided(ImageBytes<Scalar> const& data, int maximum = 255) {
  Index const channels = data.shape.channels;
  return {data.shape,
          host_matrix<Scalar>(channels, data.shape.sites() * data.samples(),
                              [&](Index c, Index j) {
                                return static_cast<Scalar>(
                                           data.pixels[static_cast<std::size_t>(c + channels * j)]) /
                                       static_cast<Scalar>(maximum);
                              }),
          data.labels, data.classes};
}

template <class L>
auto epoch_of(L& loader, std::uint64_t epoch) {
  std::vector<std::remove_cvref_t<decltype(*loader.next())>> batches;
  loader.begin(epoch);
  while (auto const* batch = loader.next()) batches.push_back(*batch);
  return batches;
}

}  // namespace

TEST_CASE_TEMPLATE("image bytes: pixels are byte / maximum, of all samples or of one", Scalar, float,
                   double) {
  for (int const maximum : {255, 16, 1})
    for (Index const channels : {1, 2, 3}) {
      auto const data = bytes<Scalar>(5, {channels, 3, 2}, maximum);
      auto const numbers = unpacked(data);
      CHECK(numbers.shape == data.shape);
      CHECK(numbers.images == divided(data, maximum).images);
      CHECK(numbers.labels == data.labels);
      CHECK(numbers.classes == 10);
      std::vector<Scalar> third(static_cast<std::size_t>(data.shape.size()));
      data.read(2, third.data());
      CHECK(std::equal(third.begin(), third.end(), numbers.images.data() + 2 * data.shape.size()));
    }
}

TEST_CASE_TEMPLATE("image bytes: statistics and normalised pixels have the bits of the numbers'", Scalar,
                   float, double) {
  for (Index const channels : {1, 3}) {
    auto data = bytes<Scalar>(40, {channels, 4, 5});
    auto numbers = divided(data);
    auto const mine = channel_statistics(data), theirs = channel_statistics(numbers);
    CHECK(mine.mean == theirs.mean);
    CHECK(mine.deviation == theirs.deviation);
    auto const before = data.pixels;
    normalise(data, mine);
    normalise(numbers, theirs);
    CHECK(data.pixels == before);
    REQUIRE(numbers.images != divided(data).images);
    CHECK(unpacked(data).images == numbers.images);
    normalise(data, {std::vector<double>(static_cast<std::size_t>(channels), .3),
                     std::vector<double>(static_cast<std::size_t>(channels), .7)});  // and again
    normalise(numbers, {std::vector<double>(static_cast<std::size_t>(channels), .3),
                        std::vector<double>(static_cast<std::size_t>(channels), .7)});
    CHECK(unpacked(data).images == numbers.images);
  }
}

TEST_CASE_TEMPLATE("image bytes: batches, cropped ones too, have the bits of those of the numbers", Scalar,
                   float, double) {
  auto data = bytes<Scalar>(23);
  auto numbers = divided(data);
  auto const statistics = channel_statistics(numbers);
  normalise(data, statistics);
  normalise(numbers, statistics);
  Batching const batching{.size = 5, .seed = seed(2)};
  auto const agree = [&](auto const& prepare) {
    Loader of_bytes(data, batching, prepare);
    Loader of_numbers(numbers, batching, prepare);
    CHECK(of_bytes.shape() == Shape{3, 4, 5});
    CHECK(of_bytes.classes() == 10);
    for (std::uint64_t const epoch : {0, 1}) {
      auto const mine = epoch_of(of_bytes, epoch), theirs = epoch_of(of_numbers, epoch);
      REQUIRE(mine.size() == 5);
      for (std::size_t b = 0; b < 5; ++b) {
        CHECK(mine[b].x == theirs[b].x);
        CHECK(mine[b].labels == theirs[b].labels);
        CHECK(mine[b].samples == theirs[b].samples);
      }
    }
    return epoch_of(of_bytes, 0)[0].x;
  };
  auto const x = agree(Unchanged{});
  auto const cropped = agree(RandomCrop(seed(3), 2));
  Index zeros = 0;  // the border, which no byte is after normalising
  for (Index i = 0; i < 3 * 20 * 5; ++i) {
    REQUIRE(x.data()[i] != Scalar(0));
    zeros += cropped.data()[i] == Scalar(0);
  }
  CHECK(zeros > 20);
}

TEST_CASE("image bytes: a loader allocates nothing after its constructor") {
  auto const data = bytes<float>(50);
  Loader loader(data, {.size = 8}, RandomCrop(seed(4)));
  check_allocates_nothing(loader);
}

TEST_CASE("image bytes: subset has its samples; what cannot be is refused") {
  auto const data = bytes<float>(6);
  auto const part = subset(data, 2, 3);
  CHECK(part.labels == std::vector<int>{6, 9, 2});
  CHECK(part.pixels == std::vector<std::uint8_t>(data.pixels.begin() + 120, data.pixels.begin() + 300));
  CHECK(part.values == data.values);
  CHECK(subset(data, 6, 0).samples() == 0);
  check_throws_with<DomainError>([&] { subset(data, 4, 3); }, "subset: 3 samples from 4 on, of 6");
  auto wrong = data;
  wrong.labels.pop_back();
  check_throws_with<ShapeError>([&] { Loader(wrong, {.size = 1}); },
                                "Loader: images are 360 bytes, 5 samples of shape 3 x 4 x 5 are 300");
  check_throws_with<ShapeError>([&] { unpacked(wrong); }, "unpacked: images are 360 bytes, 5 samples");
  check_throws_with<ShapeError>([&] { subset(wrong, 0, 1); }, "subset: images are 360 bytes, 5 samples");
  check_throws_with<ShapeError>([&] { channel_statistics(wrong); }, "channel_statistics: images are 360");
  wrong.shape = {3, Index{1} << 62, 4};
  check_throws_with<ShapeError>([&] { unpacked(wrong); }, "are more than can be counted");
  wrong = data;
  wrong.values = byte_values<float>(1, 255);
  check_throws_with<ShapeError>(
      [&] { unpacked(wrong); },
      "unpacked: the values of bytes are 1 x 256, images of shape 3 x 4 x 5 ask for 3 x 256");
  check_throws_with<DomainError>([] { byte_values<float>(1, 0); }, "byte_values: maximum = 0, must be >= 1");
}
