// SPDX-License-Identifier: Apache-2.0
#include "detrame/learn/patches.hpp"

#include <doctest/doctest.h>

#include <set>

#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

#define ANY_BACKEND Cpu<float>, Cpu<double>, archetype::Loops<double>

TEST_CASE_TEMPLATE("patches: pixel (c, y, x) of square (top, left) of an image, image after image", B,
                   ANY_BACKEND) {
  B b;
  Shape const image{2, 4, 5};
  Index const size = 3, images = 2;
  auto const x = normal_matrix<double>(2, image.sites() * images, seed(1));
  auto const P = in_double<B>(b, patches(b, image, size, in_memory_of(b, x)));
  REQUIRE(P.rows() == 2 * 9);
  REQUIRE(P.cols() == images * 2 * 3);
  Index column = 0;
  for (Index n = 0; n < images; ++n)
    for (Index top = 0; top < 2; ++top)
      for (Index left = 0; left < 3; ++left, ++column)
        for (Index row = 0; row < size; ++row)
          for (Index col = 0; col < size; ++col)
            for (Index c = 0; c < 2; ++c) {
              auto const pixel = x(c, n * 20 + (top + row) * 5 + left + col);
              CHECK(P(c + 2 * (row * size + col), column) ==
                    static_cast<double>(static_cast<typename B::Scalar>(pixel)));
            }
}

TEST_CASE_TEMPLATE("patches: unpatch gives the images back, and averages where patches differ", B,
                   ANY_BACKEND) {
  using Scalar = typename B::Scalar;
  B b;
  for (auto const& [channels, height, width, size, images] : {std::array<Index, 5>{1, 1, 1, 1, 1},
                                                              {3, 6, 4, 1, 2},
                                                              {1, 5, 7, 3, 1},
                                                              {2, 4, 9, 4, 3},
                                                              {3, 8, 8, 8, 2},
                                                              {1, 9, 3, 2, 0}}) {
    Shape const image{channels, height, width};
    auto const x = random_matrix(b, channels, image.sites() * images, seed(2));
    auto const back = unpatch(b, image, size, patches(b, image, size, x));
    REQUIRE(back.cols() == image.sites() * images);
    CHECK(max_abs_difference<B>(b, back, x) <= tolerance<Scalar>(size * size, 4));
  }
  // Two patches of a 1 x 3 strip in a row: the middle one of four pixels is covered by both.
  auto const P =
      to_device(b, host_matrix<Scalar>(1, 3, [](Index, Index j) { return Scalar(j == 1 ? 4 : 1); }));
  auto const same = to_host(b, unpatch(b, Shape{1, 1, 3}, 1, P));
  CHECK(same(0, 1) == 4);
  auto const overlapping = to_device(
      b, host_matrix<Scalar>(4, 2, [](Index, Index j) { return Scalar(j == 0 ? 1 : 3); }));  // 2 x 2 squares
  auto const averaged = to_host(b, unpatch(b, Shape{1, 2, 3}, 2, overlapping));
  for (Index row = 0; row < 2; ++row) {
    CHECK(averaged(0, 3 * row) == 1);
    CHECK(averaged(0, 3 * row + 1) == 2);
    CHECK(averaged(0, 3 * row + 2) == 3);
  }
}

TEST_CASE_TEMPLATE(
    "patches: random ones are distinct, of all, in order, a function of the seed, and every one as likely", B,
    Cpu<double>, archetype::Loops<double>) {
  B b;
  Shape const image{1, 6, 7};  // 5 x 6 squares of size 2; a pixel says where it stands
  auto const x =
      to_device(b, host_matrix<double>(1, 84, [](Index, Index j) { return static_cast<double>(j); }));
  auto const firsts = [&](Index count, std::uint64_t n) {
    auto const P = to_host(b, patches(b, image, 2, x, RandomPatches{count, seed(n)}));
    std::vector<double> out;
    for (Index j = 0; j < P.cols(); ++j) out.push_back(P(0, j));
    return out;
  };
  auto const all = to_host(b, patches(b, image, 2, x));
  REQUIRE(all.cols() == 60);
  for (Index const count : {0, 1, 23, 59, 60}) {
    auto const some = firsts(count, 1);
    CHECK(static_cast<Index>(some.size()) == count);
    CHECK(std::set<double>(some.begin(), some.end()).size() == some.size());
    CHECK(std::is_sorted(some.begin(), some.end()));
    CHECK(some == firsts(count, 1));
  }
  CHECK(firsts(23, 1) != firsts(23, 2));
  CHECK(to_host(b, patches(b, image, 2, x, RandomPatches{60, seed(3)})) == all);
  // 400 draws of 6 of 60: each patch 40 times, with a deviation of 6.
  std::vector<int> times(84, 0);
  for (std::uint64_t n = 0; n < 400; ++n)
    for (double const first : firsts(6, n)) ++times[static_cast<std::size_t>(first)];
  for (Index j = 0; j < all.cols(); ++j) {
    int const t = times[static_cast<std::size_t>(all(0, j))];
    CHECK(t > 40 - 5 * 6);
    CHECK(t < 40 + 5 * 6);
  }
  std::set<double> alone;  // 600 draws of 1 of 60: none is missed but with probability .003
  for (std::uint64_t n = 0; n < 600; ++n) alone.insert(firsts(1, n).front());
  CHECK(alone.size() == 60);
}

TEST_CASE_TEMPLATE("patches: means are removed, kept and added again", B, ANY_BACKEND) {
  using Scalar = typename B::Scalar;
  B b;
  auto const x = in_memory_of(b, uniform_matrix<double>(9, 200, seed(4), 1, 2));
  auto X = x;
  auto const means = remove_means(b, X);
  auto const host = in_double<B>(b, X), sums = in_double<B>(b, x), mean = in_double<B>(b, means);
  REQUIRE(mean.rows() == 1);
  for (Index j = 0; j < 200; ++j) {
    double left = 0, sum = 0;
    for (Index i = 0; i < 9; ++i) {
      left += host(i, j);
      sum += sums(i, j);
    }
    CHECK(std::abs(mean(0, j) - sum / 9) <= tolerance<Scalar>(9, 2));
    CHECK(std::abs(left) <= 9 * tolerance<Scalar>(9, 2));
  }
  add_means(b, X, means);
  CHECK(max_abs_difference<B>(b, X, x) <= tolerance<Scalar>(2, 2));
}

TEST_CASE("patches: the same bits for any number of threads") {
  Cpu<double> one(1), three(3);
  Shape const image{3, 40, 50};
  auto const x = random_matrix(one, 3, image.sites() * 2, seed(5));
  auto const P = patches(one, image, 8, x);
  CHECK(patches(three, image, 8, x) == P);
  CHECK(unpatch(three, image, 8, P) == unpatch(one, image, 8, P));
}

TEST_CASE("patches: what they refuse") {
  using B = Cpu<double>;
  B b;
  B::Matrix const x = B::Matrix::Zero(3, 40);
  check_throws_with<DomainError>([&] { patches(b, Shape{3, 4, 5}, 5, x); },
                                 "patches: patches of size 5 in images of 3 x 4 x 5, must be >= 1 and fit");
  check_throws_with<DomainError>([&] { patches(b, Shape{3, 4, 5}, 0, x); }, "size 0");
  check_throws_with<ShapeError>([&] { patches(b, Shape{3, 3, 5}, 2, x); },
                                "patches: 40 columns, an image of 3 x 3 x 5 has 15");
  check_throws_with<ShapeError>([&] { patches(b, Shape{1, 4, 5}, 2, x); },
                                "images is 3 x 40, must be 1 x 40");
  check_throws_with<DomainError>([&] { patches(b, Shape{3, 4, 5}, 2, x, RandomPatches{25}); },
                                 "patches: 25 of 24 patches, must be in 0 ... 24");
  check_throws_with<DomainError>([&] { patches(b, Shape{3, 4, 5}, 2, x, RandomPatches{-1}); }, "patches: -1");
  check_throws_with<ShapeError>([&] { unpatch(b, Shape{3, 4, 5}, 2, x); },
                                "unpatch: P is 3 x 40, an image of 3 x 4 x 5 has 12 patches of 12 rows");
  check_throws_with<ShapeError>([&] { unpatch(b, Shape{3, 4, 5}, 2, B::Matrix::Zero(12, 13)); }, "12 x 13");
  B::Matrix none(0, 3), some(2, 3);
  check_throws_with<ShapeError>([&] { remove_means(b, none); }, "remove_means: X is 0 x 3");
  check_throws_with<ShapeError>([&] { add_means(b, some, B::Matrix::Zero(1, 2)); },
                                "add_means: means is 1 x 2, must be 1 x 3");
}

}  // namespace detrame
