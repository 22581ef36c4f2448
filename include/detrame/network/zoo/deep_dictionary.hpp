// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/convolution.hpp"
#include "detrame/layer/convolutional_dictionary.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/patches.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/start.hpp"
#include "detrame/network/stack.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a deep dictionary network takes: how k atoms on windows of K x K pixels code an image. Each is one
/// layer of the network, so that networks of different codes have the same places.
///
/// Overlapping patches, coded exactly: M_D o P of (N1).
struct ExactCodes {
  template <Index k, Index K, class... Choices>
  using Of = Stack<Patches<K, Choices...>, Dictionary<k, Exact>>;
};

/// T updates on each patch with parameters of their own, the layer of (N2) with W~ full and its diagonal
/// free: what `start_from_dictionary` makes of ExactCodes. W x - c of all patches is a convolution.
template <int T>
struct FreedCodes {
  template <Index k, Index K, class... Choices>
  using Of =
      Stack<Convolution<k, K, Choices...>, QMetricReLU<Full, Unroll<T>, RecomputeStates, FreeDiagonal>>;
};

/// One code of the whole image, with atoms that may stand anywhere (K4).
struct ConvolutionalCodes {
  template <Index k, Index K, class... Choices>
  using Of = ConvolutionalDictionary<k, K, Exact, Choices...>;
};

/// What they start with, on images of unit variance. A lone atom of norm n codes x in at most
/// n / (n^2 + alpha) |x|, most where n^2 = alpha: so codes keep their size from layer to layer, where those
/// of unit atoms die out within eight (docs/networks.md).
inline constexpr TiedValues deep_dictionary_values{.alpha = .1, .beta = .01, .lambda = .02, .atoms = .316};

/// Networks of deep dictionary learning, (5) and (4) of the paper: codes of codes, the mean over all sites, a
/// linear classifier. The number is that of their layers with the classifier, as of PlainNet.
///
///   DeepDictionary3<ExactCodes>        for digits of 8 x 8
///   DeepDictionary4<ExactCodes>        for 28 x 28: .35 M parameters, as many as the paper's Table 5 gives
///   DeepDictionary9<FreedCodes<3>>     for 32 x 32: the widths and strides of PlainNet9, 1.4 M
///
/// The layers of the method that the paper compares with are not in the paper: these are a reading
/// (docs/networks.md).
///
/// Tested    tests/network/deep_dictionary_zoo_test.cpp
template <class Codes, Index classes = 10>
using DeepDictionary3 = Stack<typename Codes::template Of<24, 3>,             //
                              typename Codes::template Of<48, 3, Stride<2>>,  //
                              GlobalAveragePool, Dense<classes>>;

template <class Codes, Index classes = 10>
using DeepDictionary4 = Stack<typename Codes::template Of<64, 3>,              //
                              typename Codes::template Of<128, 3, Stride<2>>,  //
                              typename Codes::template Of<240, 3, Stride<2>>,  //
                              GlobalAveragePool, Dense<classes>>;

template <class Codes, Index classes = 10>
using DeepDictionary9 = Stack<typename Codes::template Of<96, 3>,              //
                              typename Codes::template Of<96, 3>,              //
                              typename Codes::template Of<96, 3, Stride<2>>,   //
                              typename Codes::template Of<192, 3>,             //
                              typename Codes::template Of<192, 3>,             //
                              typename Codes::template Of<192, 3, Stride<2>>,  //
                              typename Codes::template Of<192, 3>,             //
                              typename Codes::template Of<192, 1>,             //
                              GlobalAveragePool, Dense<classes>>;

}  // namespace detrame::inline DETRAME_ABI
