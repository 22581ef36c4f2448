// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/q_metric.hpp"
#include "train_one.hpp"

namespace demo {

namespace {

template <int T>
using Prox = QMetricReLU<Full, Unroll<T>>;

template <int T>
Run train(Digits const& digits, std::uint64_t seed) {
  return train_one<Network<Dense<96>, Prox<T>, Dense<64>, Prox<T>>>(digits, ReluStart(), .1, 60, seed);
}

}  // namespace

Run train_detrame(int T, Digits const& digits, std::uint64_t seed) {
  switch (T) {
    case 1: return train<1>(digits, seed);
    case 2: return train<2>(digits, seed);
    case 3: return train<3>(digits, seed);
    case 5: return train<5>(digits, seed);
    case 8: return train<8>(digits, seed);
    default: throw DomainError(message("train_detrame: T = ", T, ", must be one of 1, 2, 3, 5, 8"));
  }
}

}  // namespace demo
