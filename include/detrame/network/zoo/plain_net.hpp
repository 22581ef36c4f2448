// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/network/stack.hpp"
#include "detrame/network/zoo/activation.hpp"

namespace detrame::inline DETRAME_ABI {

/// The paper's PlainNets of 3, 6, 9 and 12 convolutions, as docs/networks.md reads its table. Each
/// convolution is followed by the activation, the last one too; no batch normalisation; the mean over all
/// sites gives the scores.
///
///   PlainNet9<Plain>, PlainNet9<DeTraMe<5>>        for Shape{3, 32, 32}
///
/// Tested    tests/network/zoo_test.cpp, tests/network/twins_test.cpp
template <class A, Index classes = 10>
using PlainNet3 = Stack<Dropout<Rate{.2}>,                                             //
                        Convolution<96, 3>, typename A::template After<3>,             //
                        Convolution<96, 3, Stride<2>>, typename A::template After<3>,  //
                        Convolution<classes, 3, Stride<2>>, typename A::template After<3>, GlobalAveragePool>;

template <class A, Index classes = 10>
using PlainNet6 = Stack<Dropout<Rate{.2}>,                                                                //
                        Convolution<96, 3>, typename A::template After<3>,                                //
                        Convolution<96, 3>, typename A::template After<3>,                                //
                        Convolution<96, 3, Stride<2>>, typename A::template After<3>, Dropout<Rate{.5}>,  //
                        Convolution<192, 3>, typename A::template After<3>,                               //
                        Convolution<192, 3>, typename A::template After<3>,                               //
                        Convolution<classes, 3, Stride<2>>, typename A::template After<3>, GlobalAveragePool>;

template <class A, Index classes = 10>
using PlainNet9 = Stack<Dropout<Rate{.2}>,                                                                 //
                        Convolution<96, 3>, typename A::template After<3>,                                 //
                        Convolution<96, 3>, typename A::template After<3>,                                 //
                        Convolution<96, 3, Stride<2>>, typename A::template After<3>, Dropout<Rate{.5}>,   //
                        Convolution<192, 3>, typename A::template After<3>,                                //
                        Convolution<192, 3>, typename A::template After<3>,                                //
                        Convolution<192, 3, Stride<2>>, typename A::template After<3>, Dropout<Rate{.5}>,  //
                        Convolution<192, 3>, typename A::template After<3>,                                //
                        Convolution<192, 1>, typename A::template After<1>,                                //
                        Convolution<classes, 1>, typename A::template After<1>, GlobalAveragePool>;

template <class A, Index classes = 10>
using PlainNet12 = Stack<Dropout<Rate{.2}>,                                                                 //
                         Convolution<96, 3>, typename A::template After<3>,                                 //
                         Convolution<96, 3>, typename A::template After<3>,                                 //
                         Convolution<96, 3, Stride<2>>, typename A::template After<3>, Dropout<Rate{.5}>,   //
                         Convolution<192, 3>, typename A::template After<3>,                                //
                         Convolution<192, 3>, typename A::template After<3>,                                //
                         Convolution<192, 3, Stride<2>>, typename A::template After<3>, Dropout<Rate{.5}>,  //
                         Convolution<192, 3>, typename A::template After<3>,                                //
                         Convolution<192, 3>, typename A::template After<3>,                                //
                         Convolution<192, 3, Stride<2>>, typename A::template After<3>,                     //
                         Convolution<192, 3>, typename A::template After<3>,                                //
                         Convolution<192, 1>, typename A::template After<1>,                                //
                         Convolution<classes, 1>, typename A::template After<1>, GlobalAveragePool>;

}  // namespace detrame::inline DETRAME_ABI
