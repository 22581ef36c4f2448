// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/pad_channels.hpp"
#include "detrame/network/repeat.hpp"
#include "detrame/network/residual.hpp"
#include "detrame/network/zoo/activation.hpp"

namespace detrame::inline DETRAME_ABI {

/// What x is added through where a block changes the shape: every second site and channels of zeros, which
/// has no parameters, or a 1 x 1 convolution.
struct PaddedShortcut {
  template <Index k, class StrideChoice>
  using To = Shortcut<PadChannels<k, StrideChoice>>;
};
struct ProjectedShortcut {
  template <Index k, class StrideChoice>
  using To = Shortcut<Convolution<k, 1, StrideChoice, NoBias>>;
};

namespace detail {

/// A first block, which may change the shape, and n - 1 of another.
template <int n, Recipe First, Recipe Then>
struct StageOf {
  using type = Stack<First, Repeat<n - 1, Then>>;
};
template <Recipe First, Recipe Then>
struct StageOf<1, First, Then> {
  using type = Stack<First>;
};
template <int n, Recipe First, Recipe Then>
using Stage = typename StageOf<n, First, Then>::type;

/// ReLU(x + f(x)), f = conv, BN, activation, conv, BN
template <class A, Index k>
using BasicBlock = Stack<Residual<Convolution<k, 3, NoBias>, BatchNorm, typename A::template After<3>,
                                  Convolution<k, 3, NoBias>, BatchNorm>,
                         ReLU>;
template <class A, Index k, class Policy>
using BasicDown =
    Stack<Residual<typename Policy::template To<k, Stride<2>>, Convolution<k, 3, Stride<2>, NoBias>,
                   BatchNorm, typename A::template After<3>, Convolution<k, 3, NoBias>, BatchNorm>,
          ReLU>;

template <class A, int n, Index classes, class Policy>
using ResNetOf =
    Stack<Convolution<16, 3, NoBias>, BatchNorm, ReLU,  //
          Repeat<n, BasicBlock<A, 16>>,                 //
          Stage<n, BasicDown<A, 32, Policy>, BasicBlock<A, 32>>,
          Stage<n, BasicDown<A, 64, Policy>, BasicBlock<A, 64>>, GlobalAveragePool, Dense<classes>>;

/// x + f(x), f = BN, ReLU, conv, BN, activation, conv
template <class A, Index k>
using WideBlock = Residual<BatchNorm, ReLU, Convolution<k, 3, NoBias>, BatchNorm,
                           typename A::template After<3>, Convolution<k, 3, NoBias>>;
template <class A, Index k, class StrideChoice>
using WideFirst = Residual<typename ProjectedShortcut::template To<k, StrideChoice>, BatchNorm, ReLU,
                           Convolution<k, 3, StrideChoice, NoBias>, BatchNorm, typename A::template After<3>,
                           Convolution<k, 3, NoBias>>;

template <class A, int n, Index q, Index classes>
using WideResNetOf =
    Stack<Convolution<16, 3, NoBias>, Stage<n, WideFirst<A, 16 * q, Stride<1>>, WideBlock<A, 16 * q>>,
          Stage<n, WideFirst<A, 32 * q, Stride<2>>, WideBlock<A, 32 * q>>,
          Stage<n, WideFirst<A, 64 * q, Stride<2>>, WideBlock<A, 64 * q>>, BatchNorm, ReLU, GlobalAveragePool,
          Dense<classes>>;

}  // namespace detail

/// Residual networks of He et al. 2016 for images of 32 x 32: depth 6 n + 2 with n blocks at each of 16, 32
/// and 64 channels. The activation inside a block is A's; behind the sum and behind the first convolution it
/// is ReLU.
///
///   ResNet<Plain, 20>, ResNet<DeTraMe<3>, 20>
///
/// Tested    tests/network/zoo_test.cpp, tests/network/twins_test.cpp
template <class A, int depth, Index classes = 10, class Policy = PaddedShortcut>
struct ResNet : detail::ResNetOf<A, (depth - 2) / 6, classes, Policy> {
  static_assert(depth % 6 == 2 && depth > 2, "ResNet: the depth must be 6 n + 2");
};

/// Wide residual networks of Zagoruyko and Komodakis 2016: depth 6 n + 4, q times as many channels,
/// normalisation and activation before each convolution. The second activation of a block is A's. Where a
/// block changes the shape, a 1 x 1 convolution of x is its shortcut.
///
/// Tested    tests/network/zoo_test.cpp, tests/network/twins_test.cpp
template <class A, int depth, Index q, Index classes = 10>
struct WideResNet : detail::WideResNetOf<A, (depth - 4) / 6, q, classes> {
  static_assert(depth % 6 == 4 && depth > 4, "WideResNet: the depth must be 6 n + 4");
};

}  // namespace detrame::inline DETRAME_ABI
