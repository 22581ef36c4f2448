// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "detrame/layer/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// A layer of a network, as `summary` describes it.
struct LayerSummary {
  std::string place;  ///< "3.branch.0", to which a dot and the names of its parameters are added
  std::string name;   ///< "Convolution 3 x 3, stride 2"
  Shape input, output;
  Index parameters;     ///< that are trained: without running statistics
  Index multiply_adds;  ///< of the inference map, for one sample
};

/// The layers of a network in the order of their work. Written to a stream, or as a part of `message`, it is
/// a table with one line a layer and the sums below.
struct Summary {
  std::vector<LayerSummary> layers;

  Index parameters() const {
    Index sum = 0;
    for (LayerSummary const& layer : layers) sum += layer.parameters;
    return sum;
  }
  Index multiply_adds() const {
    Index sum = 0;
    for (LayerSummary const& layer : layers) sum += layer.multiply_adds;
    return sum;
  }

  friend void append(std::string& text, Summary const& s) {
    constexpr std::size_t columns = 6, first_number = 4;  // numbers stand to the right
    std::vector<std::array<std::string, columns>> rows{
        {"", "layer", "input", "output", "parameters", "multiply-adds"}};
    for (LayerSummary const& l : s.layers)
      rows.push_back({l.place, l.name, message(l.input), message(l.output), message(l.parameters),
                      message(l.multiply_adds)});
    rows.push_back({"", "all", "", "", message(s.parameters()), message(s.multiply_adds())});
    std::array<std::size_t, columns> width{};
    for (auto const& row : rows)
      for (std::size_t c = 0; c < columns; ++c) width[c] = std::max(width[c], row[c].size());
    for (auto const& row : rows) {
      for (std::size_t c = 0; c < columns; ++c) {
        std::string const gap(width[c] - row[c].size(), ' ');
        text += (c == 0 ? "" : "  ") + (c < first_number ? row[c] + gap : gap + row[c]);
      }
      text += '\n';
    }
  }
  friend std::ostream& operator<<(std::ostream& out, Summary const& s) { return out << message(s); }
};

/// Each layer of a network: where it is, what it is, its shapes, parameters and multiply-adds, by `walk`. A
/// layer says what it is in a static member `name()`. An AnyNetwork is described as what it holds.
///
///   std::cout << summary(cpu, net);
///
/// Ensures   the parameters add up to parameter_count of the network's, the multiply-adds to multiply_adds of
///           the network, whose conventions they have.
/// Cost      allocates the parameters.
/// Tested    tests/network/summary_test.cpp
template <LayerMaps Net>
Summary summary(typename Net::Backend& backend, Net const& net) {
  if constexpr (requires { net.summary(backend); }) {
    return net.summary(backend);
  } else {
    Summary all;
    auto const tape = std::make_unique<typename Net::Tape>();  // of no forward: large, and not looked at
    walk(
        [&]<class L>(Path const& path, L const&, typename L::Parameters const& theta, auto const&) {
          all.layers.push_back({std::string(path.place()), name_of<L>(), L::input, L::output,
                                parameter_count(theta), multiply_adds<L>()});
        },
        net, Path(), net.parameters(backend), *tape);
    return all;
  }
}

}  // namespace detrame::inline DETRAME_ABI
