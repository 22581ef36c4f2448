// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

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

/// theta gets these values, rounded to its backend's scalar: each by its name, all or none.
///
/// Requires  each parameter of theta, with its shape, and no other, else ShapeError that begins with `who`
///           and names the first that is not so; theta is then what it was.
/// Tested    tests/network/host_parameters_test.cpp
template <class Scalar, Backend B, class Theta>
void assign_parameters(char const* who, HostParameters<Scalar> const& values, B& backend, Theta& theta) {
  std::vector<HostMatrix<Scalar> const*> found;  // in the order of visit
  visit(
      [&](std::string_view path, Role const&, Matrix<B> const& p) {
        auto const at = values.find(path);
        if (at == values.end())
          throw ShapeError(message(who, ": ", path, ", ", p.rows(), " x ", p.cols(), ", is not given"));
        auto const& value = at->second;
        if (value.rows() != p.rows() || value.cols() != p.cols())
          throw ShapeError(message(who, ": ", path, " is ", p.rows(), " x ", p.cols(), ", given is ",
                                   value.rows(), " x ", value.cols()));
        found.push_back(&value);
      },
      std::as_const(theta));
  if (found.size() != values.size())
    for (auto const& [path, value] : values)
      if (std::find(found.begin(), found.end(), &value) == found.end())
        throw ShapeError(message(who, ": ", path, ", ", value.rows(), " x ", value.cols(),
                                 ", is given, and is no parameter of the network"));
  auto next = found.begin();
  visit(
      [&](std::string_view, Role const&, Matrix<B>& p) {
        HostMatrix<Scalar> const& value = **next++;
        p = to_device(backend, host_matrix<typename B::Scalar>(p.rows(), p.cols(), [&](Index i, Index j) {
                        return static_cast<typename B::Scalar>(value(i, j));
                      }));
      },
      theta);
}

/// to <- from, between two networks of the same names and shapes of parameters, whatever else differs: the T
/// of their recursions, the backend, its scalar, to whose precision entries are rounded. What was learnt with
/// T = 3 so goes on with T = 5:
///
///   assign_parameters(cpu, theta_3, cpu, theta_5);
///
/// Requires  as above, else ShapeError that names the first path that differs; `to` is then what it was.
/// Cost      both sets of parameters pass through host memory.
/// Tested    tests/network/any_test.cpp
template <Backend From, class FromTheta, Backend To, class ToTheta>
void assign_parameters(From& from_backend, FromTheta const& from, To& to_backend, ToTheta& to) {
  assign_parameters("assign_parameters", to_host(from_backend, from), to_backend, to);
}

/// The parameters of `net` in its backend's memory, with these values.
///
/// Requires  each parameter of the net, with its shape, and no other, else ShapeError that names it.
/// Tested    tests/network/host_parameters_test.cpp
template <LayerMaps Net>
typename Net::Parameters to_device(typename Net::Backend& backend, Net const& net,
                                   HostParameters<typename Net::Backend::Scalar> const& host) {
  auto theta = net.parameters(backend);
  assign_parameters("to_device", host, backend, theta);
  return theta;
}

}  // namespace detrame::inline DETRAME_ABI
