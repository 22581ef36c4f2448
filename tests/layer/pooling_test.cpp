// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/pad_channels.hpp"
#include "laws/everywhere.hpp"

namespace detrame {

using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

TEST_CASE("GlobalAveragePool obeys the laws of a layer, and is the mean over sites") {
  laws::everywhere<GlobalAveragePool, Shape{5, 2, 3}>();
  LayerModel<Bind<GlobalAveragePool, Shape{5, 2, 3}, Cpu<double>>> pool;
  LayerAt<double> const at(pool, 4, 1);
  auto const out = at.outcome();
  for (Index n = 0; n < 4; ++n)
    for (Index i = 0; i < 5; ++i) {
      double sum = 0;
      for (Index s = 0; s < 6; ++s) {
        sum += at.x(i, 6 * n + s);
        CHECK(std::abs(out.x_bar(i, 6 * n + s) - at.y_bar(i, n) / 6) <= test::tolerance<double>(1, 1));
      }
      CHECK(std::abs(out.y(i, n) - sum / 6) <= test::tolerance<double>(6, 1));
    }
}

using Padded = PadChannels<5, Stride<2>>;

TEST_CASE("PadChannels is every second site, then channels of zeros; its pullback is the adjoint") {
  static_assert(Padded::output({3, 3, 4}) == Shape{5, 2, 2});
  LayerModel<Bind<Padded, Shape{3, 3, 4}, Cpu<double>>> pad;
  LayerAt<double> const at(pad, 2, 1);
  CHECK(at.outcome().y == host_matrix<double>(5, 8, [&](Index i, Index j) {
          Index const site = j % 4 / 2 * 2 * 4 + j % 2 * 2;
          return i < 3 ? at.x(i, j / 4 * 12 + site) : 0.;
        }));
  Host const x_bar = at.outcome().x_bar;
  CHECK(std::abs(test::inner(at.outcome().y, at.y_bar) - test::inner(at.x, x_bar)) <=
        test::tolerance<double>(24, 24));
  CHECK(at.predicted(at.x) == at.outcome().y);
}

}  // namespace detrame
