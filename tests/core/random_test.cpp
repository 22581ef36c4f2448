// SPDX-License-Identifier: Apache-2.0
#include "detrame/core/random.hpp"

#include <array>
#include <vector>

#include "support.hpp"

namespace detrame {

using namespace test;

namespace {

constexpr std::uint64_t ones = ~std::uint64_t{0};

/// What Box and Muller make of two words.
double normal_of(std::uint32_t first, std::uint32_t second) {
  double const u = (first + 0.5) / 4294967296.0, v = second / 4294967296.0;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::acos(-1.0) * v);
}

/// |x - y| within the error of a mean of n terms with standard deviation `deviation`, five times over.
bool is_about(double x, double y, double deviation, std::size_t n) {
  return std::abs(x - y) <= 5 * deviation / std::sqrt(static_cast<double>(n));
}

}  // namespace

TEST_CASE("Random: Philox4x32-10 gives the known answers of Random123") {
  constexpr Random zero(0, 0);  // counter 0, key 0
  constexpr std::array<std::uint32_t, 4> known = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  for (std::uint64_t p = 0; p < 4; ++p) CHECK(zero.bits(p) == known[p]);
  static_assert(zero.bits(0) == 0x6627e8d5, "known while compiling too");

  // Counter and key all ones: 408f276d 41c83b0e a20bc7c6 6d5451fd. Positions of bits end at a quarter of the
  // counters; those of normals do not.
  CHECK(std::abs(Random(ones, ones).normal<double>(ones) - normal_of(0x408f276d, 0x41c83b0e)) <= 1e-15);
  // The digits of pi: counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0 give d16cfe09
  // 94fdcceb ...
  CHECK(std::abs(Random(0x299f31d0a4093822, 0x0370734413198a2e).normal<double>(0x85a308d3243f6a88) -
                 normal_of(0xd16cfe09, 0x94fdcceb)) <= 1e-15);
}

TEST_CASE_TEMPLATE("Random: uniform numbers are in [0, 1), and even", Scalar, float, double) {
  Random const random(seed(1), 0);
  std::size_t const n = 100000;
  std::array<int, 10> count{};
  double sum = 0, neighbours = 0;
  for (std::size_t p = 0; p < n; ++p) {
    Scalar const u = random.uniform<Scalar>(p);
    REQUIRE((u >= 0 && u < 1));
    ++count[static_cast<std::size_t>(u * 10)];
    sum += static_cast<double>(u);
    neighbours += (static_cast<double>(u) - 0.5) * (static_cast<double>(random.uniform<Scalar>(p + 1)) - 0.5);
  }
  CHECK(is_about(sum / n, 0.5, std::sqrt(1.0 / 12), n));
  CHECK(is_about(neighbours / n, 0, 1.0 / 12, n));
  for (int c : count) CHECK(is_about(c / static_cast<double>(n), 0.1, 0.3, n));
}

TEST_CASE("Random: the largest float below 1 is the largest uniform float") {
  CHECK(static_cast<float>(0xffffffffu >> 8) * float(1.0 / 16777216.0) < 1.0f);
  CHECK(static_cast<double>(0xffffffffu) * (1.0 / 4294967296.0) < 1.0);
}

TEST_CASE_TEMPLATE("Random: normals have the moments 0, 1, 0, 3", Scalar, float, double) {
  Random const random(seed(2), 7);
  std::size_t const n = 100000;
  double moment[5] = {};
  for (std::size_t p = 0; p < n; ++p) {
    double const x = static_cast<double>(random.normal<Scalar>(p));
    for (int power = 1; power <= 4; ++power) moment[power] += std::pow(x, power) / n;
  }
  CHECK(is_about(moment[1], 0, 1, n));
  CHECK(is_about(moment[2], 1, std::sqrt(2), n));
  CHECK(is_about(moment[3], 0, std::sqrt(15), n));
  CHECK(is_about(moment[4], 3, std::sqrt(96), n));
}

TEST_CASE("Random: seeds, streams and positions all count") {
  std::size_t const n = 20000;
  Random const random(seed(3), 5);
  for (Random const& other : {Random(seed(4), 5), Random(seed(3), 6), Random(seed(3), 5 + (1ull << 32)),
                              Random(seed(3) + (1ull << 32), 5)}) {
    double correlation = 0;
    for (std::size_t p = 0; p < n; ++p) correlation += random.normal<double>(p) * other.normal<double>(p) / n;
    CHECK(is_about(correlation, 0, 1, n));
  }
  CHECK(random.bits(1) != random.bits(1 + (1ull << 33)));
  CHECK(random.bits(12) == Random(seed(3), 5).bits(12));
}

TEST_CASE("Random: below(n) takes each of 0 ... n - 1, none else") {
  Random const random(seed(5), 0);
  for (Index n : {1, 2, 7, 1000}) {
    std::vector<int> count(static_cast<std::size_t>(n));
    std::size_t const draws = static_cast<std::size_t>(n) * 100;
    for (std::size_t p = 0; p < draws; ++p) {
      Index const i = random.below(n, p);
      REQUIRE((i >= 0 && i < n));
      ++count[static_cast<std::size_t>(i)];
    }
    for (int c : count) CHECK((c > 0 && std::abs(c - 100) <= 60));  // 100 +- 10 expected
  }
}

TEST_CASE("Random: a shuffle is a permutation, its places even, and the same again") {
  Index const n = 5;
  double mean[5][5] = {};
  std::uint64_t const shuffles = 10000;
  std::vector<Index> order(static_cast<std::size_t>(n), -1), again(static_cast<std::size_t>(n));
  for (std::uint64_t s = 0; s < shuffles; ++s) {
    shuffle(Random(seed(6), s), order);
    std::vector<Index> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    REQUIRE(sorted == std::vector<Index>{0, 1, 2, 3, 4});
    for (std::size_t i = 0; i < 5; ++i)
      mean[i][static_cast<std::size_t>(order[i])] += 1.0 / static_cast<double>(shuffles);
  }
  for (auto const& row : mean)
    for (double share : row) CHECK(is_about(share, 0.2, 0.4, shuffles));
  shuffle(Random(seed(6), 3), order);
  shuffle(Random(seed(6), 3), again);
  CHECK(order == again);
  std::vector<Index> none, one(1, 9);
  shuffle(Random(seed(6), 3), none);
  shuffle(Random(seed(6), 3), one);
  CHECK((none.empty() && one[0] == 0));
}

TEST_CASE("Draw: each layer, each step and each seed has numbers of its own") {
  Draw const draw{.seed = seed(7), .step = 3, .first_sample = 128};
  std::vector<std::uint32_t> first;
  for (Draw const& d :
       {draw, draw.at(0), draw.at(1), draw.at(0).at(0), draw.at(0).at(1), draw.at(1).at(0), draw.at(2)}) {
    CHECK((d.seed == draw.seed && d.step == draw.step && d.first_sample == draw.first_sample));
    first.push_back(d.random().bits(0));
  }
  for (std::uint64_t step : {0u, 1u, 2u, 4u}) {
    Draw later = draw;
    later.step = step;
    first.push_back(later.at(0).random().bits(0));
    later.seed = seed(8);
    first.push_back(later.at(0).random().bits(0));
  }
  std::sort(first.begin(), first.end());
  CHECK(std::adjacent_find(first.begin(), first.end()) == first.end());
}

}  // namespace detrame
