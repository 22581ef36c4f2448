// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/relu.hpp"
#include "train_one.hpp"

namespace demo {

Run train_plain(Digits const& digits, std::uint64_t seed) {
  return train_one<Network<Dense<96>, ReLU, Dense<64>, ReLU>>(digits, ReluStart(), .1, 60, seed);
}

}  // namespace demo
