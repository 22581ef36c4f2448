// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/host_parameters.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/residual.hpp"
#include "support.hpp"

namespace detrame {

using Net =
    Bind<Stack<Dense<4>, Residual<QMetricReLU<Blocks<2>, Unroll<2>>>, Dense<3>>, Shape{5}, Cpu<double>>;

TEST_CASE("parameters on the host: by name, there and back") {
  Cpu<double> b, other;
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart(), 1);
  auto const host = to_host(b, theta);
  CHECK(host.at("0.W").cols() == 5);
  CHECK(host.at("1.branch.0.W_tilde").rows() == 2);
  std::size_t count = 0;
  visit(
      [&](std::string_view path, Role const&, auto const& p) {
        ++count;
        CHECK_MESSAGE(host.at(std::string(path)) == to_host(b, p), path);
      },
      theta);
  CHECK(host.size() == count);
  CHECK(to_host(other, to_device(other, net, host)) == host);
}

TEST_CASE("parameters on the host that are not the network's are refused by name") {
  Cpu<double> b;
  Net const net;
  auto const right = to_host(b, net.parameters(b));
  auto host = right;
  host.at("2.c") = HostMatrix<double>(2, 1);
  CHECK_THROWS_WITH_AS(to_device(b, net, host), "to_device: 2.c is 3 x 1, given is 2 x 1", ShapeError);
  host = right;
  host.erase("0.W");
  CHECK_THROWS_WITH_AS(to_device(b, net, host), "to_device: 0.W, 4 x 5, is not given", ShapeError);
  host = right;
  host["3.W"] = HostMatrix<double>(1, 1);
  CHECK_THROWS_AS(to_device(b, net, host), ShapeError);
}

}  // namespace detrame
