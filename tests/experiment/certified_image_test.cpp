// SPDX-License-Identifier: Apache-2.0
#include "../../examples/experiment/certified_image.hpp"

#include "../../examples/experiment/in_parts.hpp"
#include "support.hpp"

using namespace detrame;
using namespace experiment;

TEST_CASE("certified image: an attack contradicts a radius by another label within it, and by nothing else") {
  CertifiedImage const image{3, 3, .5};
  CHECK(contradicts(image, {4, .5}, true));
  CHECK(contradicts(image, {4, 0.}, false));
  CHECK_FALSE(contradicts(image, {3, .25}, false));
  CHECK_FALSE(contradicts(image, {4, std::nextafter(.5, 1.)}, false));
  CHECK(contradicts(image, {-1, .25}, false));  // a refusal, which was excluded
  CHECK_FALSE(contradicts(image, {-1, .25}, true));
  CHECK(contradicts({3, 2, .5}, {3, .25}, false));  // of a wrong label, certified all the same
  CHECK_FALSE(contradicts({3, -1, 0.}, {4, 0.}, false));
}

TEST_CASE("certified image: it counts where its label is right, and its radius no smaller") {
  CHECK(CertifiedImage{3, 3, .5}.certified(.5));
  CHECK_FALSE(CertifiedImage{3, 3, .5}.certified(.51));
  CHECK_FALSE(CertifiedImage{3, 2, .5}.certified(.5));
  CHECK_FALSE(CertifiedImage{3, -1, 0.}.certified(.1));
}

TEST_CASE("certified image: a radius in pixels is that of the network times the smallest deviation") {
  ChannelStatistics const one{{.5}, {1.}}, three{{.4, .5, .9}, {.25, .125, .5}};
  double const r = .75;
  CHECK(radius_in_pixels(r, one, 64) < r);
  CHECK(radius_in_pixels(r, one, 64) > r - 1e-13);
  CHECK(radius_in_pixels(r, three, 64) < r / 8);
  CHECK(radius_in_pixels(r, three, 64) > r / 8 - 1e-13);
  CHECK(radius_in_pixels(0, one, 64) == 0);
  // 64 pixels of 1/2, each moved by rounding on both sides of a distance: by half an epsilon of it, at least
  CHECK(radius_in_pixels(32 * std::numeric_limits<double>::epsilon() / 8, one, 64) == 0);
}

TEST_CASE("images in parts: what a network refuses is alone, and each image comes once, in its place") {
  Index const sites = 2;
  for (Index const n : {1, 2, 5, 25}) {
    auto const x =
        host_matrix<double>(3, n * sites, [](Index i, Index j) { return double(j / 2 + 100 * i); });
    std::vector<double> seen;
    Index calls = 0;
    in_parts(
        x, sites, 10,
        [&](HostMatrix<double> const& part, Index first) {
          ++calls;
          for (Index j = 0; j < part.cols(); j += sites)
            if (Index const image = Index(part(0, j)); image % 7 == 3) throw NotCertified("refused");
          for (Index j = 0; j < part.cols(); j += sites) {
            REQUIRE(part(0, j) == double(first - 10 + j / sites));
            REQUIRE(part(2, j + 1) == 200 + part(0, j));
            seen.push_back(part(0, j));
          }
        },
        [&] { seen.push_back(-1); });
    REQUIRE(Index(seen.size()) == n);
    for (Index j = 0; j < n; ++j) CHECK(seen[std::size_t(j)] == (j % 7 == 3 ? -1 : double(j)));
    CHECK((n > 3 || calls == 1));
  }
}
