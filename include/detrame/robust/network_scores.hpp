// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/inference_pullback.hpp"
#include "detrame/robust/score_map.hpp"

namespace detrame::inline DETRAME_ABI {

/// The scores of a network at inference, as what is attacked.
///
///   NetworkScores map(cpu, net, theta);
///
/// Requires  backend and theta outlive the map, and theta is not written; the network has one site for all
///           scores, else ShapeError.
/// Cost      a tape for the largest batch that it has seen. Each call prepares the products of the network
///           anew.
/// Tested    tests/robust/network_scores_test.cpp
template <LayerMaps Net>
class NetworkScores {
 public:
  using Backend = typename Net::Backend;

  NetworkScores(Backend& backend, Net net, typename Net::Parameters const& theta)
      : backend_(backend), net_(std::move(net)), theta_(theta) {
    if (Shape const out = net_.output; out.sites() != 1)
      throw ShapeError(message("NetworkScores: the network gives ", out, ", must give one number a class"));
  }
  NetworkScores(NetworkScores const&) = delete;
  NetworkScores& operator=(NetworkScores const&) = delete;

  Backend& backend() const { return backend_; }
  Shape input() const { return net_.input; }
  Index classes() const { return Shape(net_.output).channels; }

  void predict(ConstView<Backend> x, View<Backend> y) { net_.predict(backend_, theta_, x, y); }
  ConstView<Backend> scores(ConstView<Backend> x) {
    return inference_forward(backend_, net_, theta_, x, tape_);
  }
  void pullback(ConstView<Backend> y_bar, View<Backend> x_bar) {
    inference_pullback(backend_, net_, theta_, tape_, y_bar, x_bar);
  }

 private:
  Backend& backend_;
  Net net_;
  typename Net::Parameters const& theta_;
  typename Net::Tape tape_;
};

template <LayerMaps Net>
NetworkScores(typename Net::Backend&, Net, typename Net::Parameters const&) -> NetworkScores<Net>;

}  // namespace detrame::inline DETRAME_ABI
