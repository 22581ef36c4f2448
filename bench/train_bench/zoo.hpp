// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/network/zoo/plain_net.hpp"
#include "detrame/network/zoo/res_net.hpp"

/// The networks of train_bench by name. make.template of<Recipe>(name) gives what stands for one.
namespace bench {

template <class Make>
auto plain_nets(Make const& make) {
  using namespace detrame;
  return std::vector{
      make.template of<PlainNet3<Plain>>("plain3"), make.template of<PlainNet3<DeTraMe<5>>>("detrame3_T5"),
      make.template of<PlainNet9<Plain>>("plain9"), make.template of<PlainNet9<DeTraMe<2>>>("detrame9_T2")};
}

template <class Make>
auto res_nets(Make const& make) {
  using namespace detrame;
  return std::vector{make.template of<ResNet<Plain, 8>>("resnet8"),
                     make.template of<ResNet<DeTraMe<3>, 8>>("detrame_resnet8_T3")};
}

}  // namespace bench
