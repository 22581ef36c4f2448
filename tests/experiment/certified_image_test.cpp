// SPDX-License-Identifier: Apache-2.0
#include "../../examples/experiment/certified_image.hpp"

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
