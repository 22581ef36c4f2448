// SPDX-License-Identifier: Apache-2.0
#include "detrame/data/loader.hpp"

#include <atomic>
#include <chrono>

#include "data/loader_allocations.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

/// Samples that differ in every entry; the label of sample i is i mod 10.
LabelledImages<float> images(Index samples, Shape shape = {3, 4, 4}) {
  LabelledImages<float> data{
      shape, normal_matrix<float>(shape.channels, shape.sites() * samples, seed(1)), {}, 10};
  for (Index i = 0; i < samples; ++i) data.labels.push_back(static_cast<int>(i % 10));
  return data;
}

template <class L>
std::vector<HostBatch<float>> epoch_of(L& loader, std::uint64_t epoch) {
  std::vector<HostBatch<float>> batches;
  loader.begin(epoch);
  while (auto const* batch = loader.next()) batches.push_back(*batch);
  return batches;
}

/// Throws at one sample.
struct Refuses {
  Index sample;
  void operator()(Shape const& shape, std::uint64_t, Index i, float const* x, float* y) const {
    if (i == sample) throw DomainError(message("sample ", i));
    std::copy_n(x, shape.size(), y);
  }
};

/// Counts the samples that were prepared, and takes its time.
struct Slow {
  std::atomic<int>* prepared;
  void operator()(Shape const& shape, std::uint64_t, Index, float const* x, float* y) const {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::copy_n(x, shape.size(), y);
    ++*prepared;
  }
};

}  // namespace

TEST_CASE("loader: an epoch holds each sample once, in batches of the size, with its label and its pixels") {
  for (Index const samples : {23, 20, 5, 1, 0}) {
    auto const data = images(samples);
    RandomCrop const prepare(seed(2), 1);
    Loader<float, RandomCrop> loader(data, {.size = 5, .seed = seed(3)}, prepare);
    CHECK(loader.next() == nullptr);  // before begin
    for (std::uint64_t const epoch : {0, 1, 2}) {
      auto const batches = epoch_of(loader, epoch);
      CHECK(loader.next() == nullptr);
      REQUIRE(static_cast<Index>(batches.size()) == (samples + 4) / 5);
      std::vector<int> seen(static_cast<std::size_t>(samples));
      for (std::size_t b = 0; b < batches.size(); ++b) {
        auto const& [x, labels, places] = batches[b];
        Index const size = std::min<Index>(5, samples - 5 * static_cast<Index>(b));
        REQUIRE(static_cast<Index>(places.size()) == size);
        REQUIRE(labels.size() == places.size());
        REQUIRE(x.rows() == 3);
        REQUIRE(x.cols() == 16 * size);
        for (std::size_t i = 0; i < places.size(); ++i) {
          ++seen[static_cast<std::size_t>(places[i])];
          CHECK(labels[i] == places[i] % 10);
          HostMatrix<float> y(3, 16);
          prepare(data.shape, epoch, places[i], data.images.data() + 48 * places[i], y.data());
          for (Index c = 0; c < 3; ++c)
            for (Index j = 0; j < 16; ++j) REQUIRE(x(c, 16 * static_cast<Index>(i) + j) == y(c, j));
        }
      }
      CHECK(seen == std::vector<int>(static_cast<std::size_t>(samples), 1));
    }
  }
}

TEST_CASE("loader: a batch may be larger than any data set: it has all samples") {
  auto const data = images(7);
  for (Index const size :
       {std::numeric_limits<Index>::max(), std::numeric_limits<Index>::max() - 6, Index{8}}) {
    Loader<float> loader(data, {.size = size, .shuffled = false});
    CHECK(loader.batches() == 1);
    auto const batches = epoch_of(loader, 0);
    REQUIRE(batches.size() == 1);
    CHECK(batches[0].samples == std::vector<Index>{0, 1, 2, 3, 4, 5, 6});
    CHECK(batches[0].x == data.images);
  }
}

TEST_CASE("loader: samples, batches and the smallest batch are those of an epoch, whole or with drop_last") {
  struct Case {
    Index samples, size;
    bool drop_last;
    Index in_epoch, batches, least;
  };
  for (auto const& [samples, size, drop_last, in_epoch, batches, least] :
       {Case{23, 5, false, 23, 5, 3}, Case{23, 5, true, 20, 4, 5}, Case{20, 5, false, 20, 4, 5},
        Case{20, 5, true, 20, 4, 5}, Case{3, 5, false, 3, 1, 3}, Case{3, 5, true, 0, 0, 0},
        Case{0, 5, false, 0, 0, 0}, Case{0, 5, true, 0, 0, 0}, Case{21, 5, false, 21, 5, 1}}) {
    auto const data = images(samples, {3, 4, 2});
    Loader<float> loader(data, {.size = size, .seed = seed(7), .drop_last = drop_last});
    CHECK(loader.shape() == Shape{3, 4, 2});
    CHECK(loader.classes() == 10);
    CHECK(loader.samples() == in_epoch);
    CHECK(loader.batches() == batches);
    CHECK(loader.least_batch() == least);
    for (std::uint64_t const epoch : {0, 1}) {
      auto const found = epoch_of(loader, epoch);
      CHECK(static_cast<Index>(found.size()) == batches);
      std::vector<int> seen(static_cast<std::size_t>(samples));
      Index all = 0, smallest = 0;
      for (auto const& batch : found) {
        auto const n = static_cast<Index>(batch.samples.size());
        CHECK(batch.x.cols() == 8 * n);
        smallest = all == 0 ? n : std::min(smallest, n);
        all += n;
        for (Index const place : batch.samples) ++seen[static_cast<std::size_t>(place)];
      }
      CHECK(all == in_epoch);
      CHECK(smallest == least);
      CHECK(std::count(seen.begin(), seen.end(), 1) == in_epoch);
    }
  }
}

TEST_CASE("loader: drop_last leaves the other batches as they are, and other samples out in other epochs") {
  auto const data = images(23);
  Loader<float> whole(data, {.size = 5, .seed = seed(8)});
  Loader<float> dropping(data, {.size = 5, .seed = seed(8), .drop_last = true});
  std::vector<std::vector<Index>> left_out;
  for (std::uint64_t const epoch : {0, 1}) {
    auto const all = epoch_of(whole, epoch), full = epoch_of(dropping, epoch);
    REQUIRE(full.size() == 4);
    for (std::size_t b = 0; b < 4; ++b) {
      CHECK(full[b].x == all[b].x);
      CHECK(full[b].samples == all[b].samples);
    }
    left_out.push_back(all[4].samples);
  }
  CHECK(left_out[0] != left_out[1]);
}

TEST_CASE("loader: skip(n) leaves what n calls of next leave, and prepares none of theirs but the first") {
  auto const data = images(47);
  std::atomic<int> prepared = 0;
  Loader<float, Slow> called(data, {.size = 5, .seed = seed(9)}, Slow{&prepared});
  for (Index const before : {0, 1, 3})
    for (Index const n : {Index{0}, Index{1}, Index{2}, Index{4}, Index{7}, Index{10}, Index{11},
                          std::numeric_limits<Index>::max()}) {
      std::atomic<int> count = 0;
      Loader<float, Slow> skipped(data, {.size = 5, .seed = seed(9)}, Slow{&count});
      called.begin(3);
      skipped.begin(3);
      for (Index i = 0; i < before; ++i) called.next(), skipped.next();
      for (Index i = 0; i < std::min<Index>(n, 10); ++i) called.next();
      skipped.skip(n);
      int rest = 0;
      while (auto const* const batch = called.next()) {
        auto const* const same = skipped.next();
        REQUIRE(same != nullptr);
        CHECK(same->x == batch->x);
        CHECK(same->labels == batch->labels);
        rest += static_cast<int>(batch->labels.size());
      }
      CHECK(skipped.next() == nullptr);
      int const asked = 5 * static_cast<int>(before) + rest;  // and the batch in preparation when it skipped
      CHECK(count <= std::min(asked + (n > 0 ? 5 : 0), 47));
    }
  Loader<float> fresh(data, {.size = 5});
  fresh.skip(2);  // before begin: at the end of no epoch
  CHECK(fresh.next() == nullptr);
  check_throws_with<DomainError>([&] { fresh.skip(-1); }, "Loader::skip: n = -1, must be >= 0");
}

TEST_CASE("loader: what the preparation of a skipped batch throws is dropped with it") {
  auto const data = images(20);
  Loader<float, Refuses> loader(data, {.size = 4, .shuffled = false}, Refuses{2});
  loader.begin(0);
  loader.skip(1);
  CHECK(loader.next()->samples == std::vector<Index>{4, 5, 6, 7});
}

TEST_CASE("loader: batches are a function of seed and epoch; unshuffled ones keep the order") {
  auto const data = images(40);
  Batching const batching{.size = 8, .seed = seed(4)};
  Loader<float> one(data, batching), two(data, batching), other(data, {.size = 8, .seed = seed(5)});
  auto const places = [](std::vector<HostBatch<float>> const& batches) {
    std::vector<Index> all;
    for (auto const& b : batches) all.insert(all.end(), b.samples.begin(), b.samples.end());
    return all;
  };
  auto const first = epoch_of(one, 7), later = epoch_of(one, 8);
  epoch_of(two, 3);
  CHECK(places(first) == places(epoch_of(two, 7)));  // whatever came before
  CHECK(first.back().x == epoch_of(two, 7).back().x);
  CHECK(places(first) != places(later));
  CHECK(places(first) != places(epoch_of(other, 7)));
  Loader<float> ordered(data, {.size = 8, .shuffled = false});
  auto const in_order = places(epoch_of(ordered, 7));
  for (std::size_t i = 0; i < in_order.size(); ++i) CHECK(in_order[i] == static_cast<Index>(i));
}

TEST_CASE(
    "loader: a batch stays as it is while the next one is prepared, and that one is prepared meanwhile") {
  auto const data = images(12);
  std::atomic<int> prepared = 0;
  Loader<float, Slow> loader(data, {.size = 4}, Slow{&prepared});
  loader.begin(0);
  auto const* const batch = loader.next();
  REQUIRE(batch != nullptr);
  HostBatch<float> const before = *batch;
  for (int ms = 0; prepared < 8 && ms < 10000; ++ms)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(prepared == 8);  // without a second call of next
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(prepared == 8);  // one ahead, not more
  CHECK(batch->x == before.x);
  CHECK(batch->samples == before.samples);
}

TEST_CASE(
    "loader: what the preparation throws arrives in the call of next for its batch; the loader goes on") {
  auto const data = images(20);
  Loader<float, Refuses> loader(data, {.size = 4, .shuffled = false}, Refuses{9});
  for (std::uint64_t const epoch : {0, 1}) {
    loader.begin(epoch);
    CHECK(loader.next() != nullptr);
    CHECK(loader.next() != nullptr);
    check_throws_with<DomainError>([&] { loader.next(); }, "sample 9");
    CHECK(loader.next() == nullptr);
  }
  loader.begin(2);  // the failure of a batch that nobody asked for is dropped with its epoch
  CHECK(loader.next() != nullptr);
  CHECK(loader.next() != nullptr);
  loader.begin(3);
  CHECK(loader.next()->samples == std::vector<Index>{0, 1, 2, 3});
}

TEST_CASE("loader: an epoch may be left at any time, by another or by the end of the loader") {
  auto const data = images(30);
  std::atomic<int> prepared = 0;
  for (int taken = 0; taken < 5; ++taken) {
    Loader<float, Slow> loader(data, {.size = 7}, Slow{&prepared});
    loader.begin(1);
    for (int i = 0; i < taken; ++i) loader.next();
    auto const batches = epoch_of(loader, 2);
    CHECK(batches.size() == 5);
    loader.begin(3);
    for (int i = 0; i < taken; ++i) loader.next();
  }  // ends here, with a batch in preparation
  Loader<float> unused(data, {.size = 7});
}

TEST_CASE("loader: nothing is allocated after the constructor") {
  auto const data = images(50);
  Loader<float, RandomCrop> loader(data, {.size = 8}, RandomCrop(seed(6)));
  check_allocates_nothing(loader);
}

TEST_CASE("loader: what cannot be is refused") {
  auto data = images(4);
  check_throws_with<DomainError>([&] { Loader<float>(data, {.size = 0}); },
                                 "Batching: size = 0, must be >= 1");
  data.labels.pop_back();
  check_throws_with<ShapeError>([&] { Loader<float>(data, {.size = 1}); },
                                "Loader: images are 3 x 64, 3 samples of shape 3 x 4 x 4 are 3 x 48");
  data.shape = {3, Index{1} << 62, 4};  // times 4 is 0 in 64 bits
  data.images = HostMatrix<float>(3, 0);
  check_throws_with<ShapeError>(
      [&] { Loader<float>(data, {.size = 1}); },
      "Loader: images are 3 x 0, 3 samples of shape 3 x 4611686018427387904 x 4 are 3 x more");
}
