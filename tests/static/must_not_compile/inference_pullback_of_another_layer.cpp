// expect: inference_pullback: the layer, or one that it is made of, offers no member
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/inference_pullback.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/network/stack.hpp"

using namespace detrame;
using B = Cpu<float>;

/// A layer of somebody's that has no adjoint of predict.
struct Forgetful {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend Bk>
  struct Layer : private ReLU::Layer<in, Bk> {
    using Base = ReLU::Layer<in, Bk>;
    using Backend = Bk;
    using Base::forward, Base::input, Base::output, Base::parameters, Base::predict, Base::pullback;
    using typename Base::Parameters, typename Base::Tape;
  };
};
using L = Bind<Stack<ReLU, Forgetful>, Shape{5}, B>;

void gradient(B& b, L::Tape const& tape, B::ConstView y_bar, B::View x_bar) {
  inference_pullback(b, L(), {}, tape, y_bar, x_bar);
}
