// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/errors.hpp"
#include "detrame/core/host_matrix.hpp"

namespace experiment {

using namespace detrame;

/// f(part, number of its first image) of images in parts that the network does not refuse, halves and halves
/// of halves; refused() of an image that it refuses alone. An f that throws has done nothing.
template <class Scalar, class F, class Refused>
void in_parts(HostMatrix<Scalar> const& x, Index sites, Index first, F const& f, Refused const& refused) {
  Index const n = x.cols() / sites, half = n / 2;
  try {
    return f(x, first);
  } catch (NotCertified const&) {  // of one image at least
    if (n == 1) return refused();
  }
  auto const part = [&](Index begin, Index count) {
    return host_matrix<Scalar>(x.rows(), count * sites,
                               [&](Index i, Index j) { return x(i, begin * sites + j); });
  };
  in_parts(part(0, half), sites, first, f, refused);
  in_parts(part(half, n - half), sites, first + half, f, refused);
}

}  // namespace experiment
