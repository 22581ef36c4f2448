// SPDX-License-Identifier: Apache-2.0
#include "detrame/train/source.hpp"

#include "detrame/data/loader.hpp"
#include "laws/archetype.hpp"
#include "train/problem.hpp"

namespace detrame {
namespace {

using namespace test;

static_assert(SampleSource<Loader<float>, Cpu<float>> &&
              SampleSource<Loader<double, RandomCrop>, Cpu<double>>);
static_assert(SampleSource<Batches<Cpu<float>>, Cpu<float>>);
static_assert(SampleSource<Batches<archetype::Loops<double>>, archetype::Loops<double>>);
static_assert(!SampleSource<Loader<double>, Cpu<float>>);
static_assert(!SampleSource<Dataset<Cpu<float>>, Cpu<float>> && !SampleSource<NoSource, Cpu<float>>);

/// Each batch as x and targets on the host.
template <class B>
using OnHost = std::vector<std::pair<HostMatrix<typename B::Scalar>, HostMatrix<typename B::Scalar>>>;

template <class B, class Source>
OnHost<B> rest_of_epoch(B& b, Source& source) {
  OnHost<B> batches;
  Matrix<B> x, targets;
  while (auto const* const next = source.next()) {
    BatchView<B> const batch = on_backend(b, *next, source.classes(), x, targets);
    CHECK(batch.x.cols() == batch.samples() * source.shape().sites());
    batches.emplace_back(to_host(b, batch.x), to_host(b, batch.targets));
  }
  CHECK(source.next() == nullptr);
  return batches;
}

template <class B, class Source>
OnHost<B> epoch_of(B& b, Source& source, std::uint64_t epoch) {
  source.begin(epoch);
  return rest_of_epoch(b, source);
}

/// The laws of SampleSource.
template <class B, class Source>
void check_laws(B& b, Source& source) {
  CHECK(source.next() == nullptr);
  auto const first = epoch_of(b, source, 0), second = epoch_of(b, source, 1);
  Index const n = source.batches();
  REQUIRE(static_cast<Index>(first.size()) == n);

  // (1) whatever was begun before, and left
  CHECK(epoch_of(b, source, 0) == first);
  source.begin(1), source.next(), source.skip(1);
  CHECK(epoch_of(b, source, 1) == second);

  // (2) skip
  for (Index skipped = 0; skipped <= n + 1; ++skipped)
    for (Index taken : {0, 1, 2}) {
      source.begin(0);
      for (Index i = 0; i < taken; ++i) source.next();
      source.skip(skipped);
      auto const rest = rest_of_epoch(b, source);
      auto const from = std::min<std::ptrdiff_t>(taken + skipped, n);
      CHECK(rest == OnHost<B>(first.begin() + from, first.end()));
    }

  // (3) sizes
  Index samples = 0, least = n == 0 ? 0 : first[0].second.cols();
  for (std::size_t i = 0; i < first.size(); ++i) {
    Index const size = first[i].second.cols();
    CHECK((size == batch_size(source) || (i + 1 == first.size() && size < batch_size(source))));
    samples += size;
    least = std::min(least, size);
  }
  CHECK((source.samples() == samples && source.least_batch() == least));
}

template <class B>
LabelledImages<typename B::Scalar> on_host(B& b, Dataset<B> const& data) {
  return {data.shape, to_host(b, ConstView<B>(data.x)), data.labels, data.classes};
}

TEST_CASE_TEMPLATE("Batches and Loader obey the laws of a source of samples, and give the same batches", B,
                   Cpu<float>, Cpu<double>, archetype::Loops<double>) {
  B b;
  for (Index const samples : {0, 1, 7, 23, 24})
    for (Index const size : {1, 8, 23, 30})
      for (bool const shuffled : {true, false})
        for (bool const drop_last : {true, false}) {
          CAPTURE(samples);
          CAPTURE(size);
          CAPTURE(drop_last);
          auto const data = clusters(b, samples, 2);
          Batching const batching{size, seed(3), shuffled, drop_last};
          Batches batches(b, data, batching);
          check_laws(b, batches);
          auto const host = on_host(b, data);
          Loader<typename B::Scalar> loader(host, batching);
          check_laws(b, loader);
          CHECK(epoch_of(b, loader, 5) == epoch_of(b, batches, 5));
          CHECK(loader.classes() == batches.classes());
          CHECK(loader.shape() == batches.shape());
        }
}

TEST_CASE("Batches: an epoch holds each sample once, in an order of its own where it is shuffled") {
  Cpu<double> b(1);
  auto const data = clusters(b, 23, 2);
  auto const samples_of = [&](bool shuffled, std::uint64_t epoch) {
    Batches batches(b, data, {.size = 5, .seed = 1, .shuffled = shuffled});
    std::vector<Index> places;
    for (auto const& [x, targets] : epoch_of(b, batches, epoch))
      for (Index j = 0; j < targets.cols(); ++j)
        for (Index i = 0; i < 23; ++i)
          if (data.x(0, 3 * i) == x(0, 3 * j) && data.x(1, 3 * i + 2) == x(1, 3 * j + 2)) {
            CHECK(targets(data.labels[static_cast<std::size_t>(i)], j) == 1);
            places.push_back(i);
          }
    return places;
  };
  std::vector<Index> in_order(23);
  for (Index i = 0; i < 23; ++i) in_order[static_cast<std::size_t>(i)] = i;
  CHECK(samples_of(false, 1) == in_order);
  auto one = samples_of(true, 1), two = samples_of(true, 2);
  CHECK(one != two);
  std::sort(one.begin(), one.end());
  std::sort(two.begin(), two.end());
  CHECK((one == in_order && two == in_order));
}

}  // namespace
}  // namespace detrame
