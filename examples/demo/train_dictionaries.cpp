// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/dictionary_exact.hpp"
#include "train_one.hpp"

namespace demo {

Run train_dictionaries(Digits const& digits, std::uint64_t seed) {
  ReluStart const start{{.alpha = .1, .beta = .01, .lambda = .02}};
  return train_one<Network<Dictionary<96, Exact>, Dictionary<64, Exact>>>(digits, start, .1, 40, seed);
}

}  // namespace demo
