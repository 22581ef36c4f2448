// SPDX-License-Identifier: Apache-2.0
#include "cuda/penalty_test.hpp"

#include "detrame/backend/cpu/backend.hpp"

namespace detrame::test {

Found found_on_cpu(OfBox const& of) {
  Cpu<double> b;
  return found(b, of);
}

Found found_on_cpu(OfHuber const& of) {
  Cpu<double> b;
  return found(b, of);
}

}  // namespace detrame::test
