// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/reflected_update.hpp"

#include "laws/everywhere.hpp"

namespace detrame {

using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

TEST_CASE("(L4) the reflected layer of one update obeys the laws of a layer") {
  using ByRows = Unrolled<Gershgorin, Unroll<1>>;
  using ByNorm = Unrolled<SpectralNorm, Unroll<1>>;
  laws::everywhere<ReflectedDictionary<7, ByRows>, Shape{5, 2, 3}>({.predict_allocates = true});
  laws::everywhere<ReflectedDictionary<7, ByNorm>, Shape{5}>({.predict_allocates = true});
  laws::everywhere<ReflectedConvolutionalDictionary<9, 3, ByRows>, Shape{8, 5, 4}>({.predict_allocates = true});
  laws::everywhere<ReflectedConvolutionalDictionary<6, 3, ByRows, Stride<2>>, Shape{3, 5, 4}>({.predict_allocates = true});
  laws::everywhere<ReflectedConvolutionalDictionary<6, 2, ByNorm, Stride<2>, Padding<1>>, Shape{3, 4, 4}>({.predict_allocates = true});
}

}  // namespace detrame
