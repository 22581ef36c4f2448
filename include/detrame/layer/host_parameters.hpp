// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "detrame/layer/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// The parameters of a layer or of a network in host memory, under the names that `visit` gives them. One
/// recipe has another type of parameters on each backend:
/// this is what all of them can be moved to and made from.
template <class Scalar>
using HostParameters = std::map<std::string, HostMatrix<Scalar>, std::less<>>;

/// The values of the parameters theta, on the host.
///
/// Tested    tests/network/host_parameters_test.cpp
template <class B, class Theta>  // the concept Backend itself asks for to_host
  requires requires(Theta const& theta) { Theta::visit(has::Kernel(), Path(), theta); }
HostParameters<typename B::Scalar> to_host(B& backend, Theta const& theta) {
  HostParameters<typename B::Scalar> host;
  visit([&](std::string_view path, Role const&,
            Matrix<B> const& p) { host.emplace(path, to_host(backend, ConstView<B>(p))); },
        theta);
  return host;
}

/// The parameters of `net` in its backend's memory, with these values.
///
/// Requires  each parameter of the net, with its shape, and no other, else ShapeError that names it.
/// Tested    tests/network/host_parameters_test.cpp
template <Layer Net>
typename Net::Parameters to_device(typename Net::Backend& backend, Net const& net,
                                   HostParameters<typename Net::Backend::Scalar> const& host) {
  auto theta = net.parameters(backend);
  std::size_t count = 0;
  visit(
      [&](std::string_view path, Role const&, Matrix<typename Net::Backend>& p) {
        auto const found = host.find(path);
        if (found == host.end())
          throw ShapeError(message("to_device: ", path, ", ", p.rows(), " x ", p.cols(), ", is not given"));
        auto const& value = found->second;
        if (value.rows() != p.rows() || value.cols() != p.cols())
          throw ShapeError(message("to_device: ", path, " is ", p.rows(), " x ", p.cols(), ", given is ",
                                   value.rows(), " x ", value.cols()));
        p = to_device(backend, value);
        ++count;
      },
      theta);
  if (count != host.size())
    throw ShapeError(message("to_device: ", host.size(), " parameters are given, the network has ", count));
  return theta;
}

}  // namespace detrame::inline DETRAME_ABI
