// SPDX-License-Identifier: Apache-2.0
#include "universal_state.hpp"

#include <cmath>

#include "detrame/io/metadata.hpp"

namespace experiment {

namespace {

constexpr Index numbers = 5;  // of a pass

void put(UniversalPass const& pass, Index row, HostMatrix<double>& m) {
  m(row, 0) = pass.rate;
  m(row, 1) = static_cast<double>(pass.runs);
  m(row, 2) = static_cast<double>(pass.discarded);
  m(row, 3) = static_cast<double>(pass.moves);
  m(row, 4) = static_cast<double>(pass.steps);
}

UniversalPass pass_of(HostMatrix<double> const& m, Index row, std::string const& name) {
  for (Index i = 0; i < numbers; ++i)
    if (!(m(row, i) >= 0 && m(row, i) <= 1e15))
      throw FormatError(message(name, ": expected a rate and counts, found ", m(row, i)));
  auto const count = [&](Index i) { return static_cast<Index>(m(row, i)); };
  return {m(row, 0), count(1), count(2), count(3), count(4)};
}

}  // namespace

std::string_view text_of(UniversalStatus status) {
  switch (status) {
    case UniversalStatus::fooled_enough: return "fooled enough";
    case UniversalStatus::passes_done: return "passes done";
    case UniversalStatus::stalled: return "a pass moved nothing";
    case UniversalStatus::stopped: return "stopped";
  }
  return "";
}

void store_universal(UniversalState<float> const& state, std::string const& name, TensorFile& file) {
  HostMatrix<double> passes(static_cast<Index>(state.done.size()) + 1, numbers);  // and the present one
  for (std::size_t i = 0; i < state.done.size(); ++i) put(state.done[i], static_cast<Index>(i), passes);
  put(state.now, passes.rows() - 1, passes);
  file.tensors[name + ".v"] = tensor(state.v);
  file.tensors[name + ".best"] = tensor(state.best.cols() == 0 ? state.v : state.best);
  file.tensors[name + ".passes"] = tensor(passes);
  file.metadata[name + ".best rate"] = number_text(state.best_rate);
  file.metadata[name + ".position"] = number_text(state.position);
  file.metadata[name + ".moved at"] = number_text(state.moved_at);
}

UniversalState<float> stored_universal(TensorFile const& file, std::string const& name, Index size,
                                       Index images) {
  if (!file.tensors.contains(name + ".v")) return {};
  UniversalState<float> state;
  auto const matrix = [&]<class Scalar>(char const* of, Index rows, Index cols) {
    auto const found = file.tensors.find(name + of);
    std::string const full = message(file.name, ": tensor ", name, of);
    if (found == file.tensors.end()) throw FormatError(full + ": expected one, found no such tensor");
    auto m = host_matrix<Scalar>(found->second, full);
    if ((rows >= 0 && m.rows() != rows) || m.cols() != cols || m.rows() < 1)
      throw FormatError(
          message(full, ": expected ", rows, " x ", cols, ", found ", m.rows(), " x ", m.cols()));
    return m;
  };
  state.v = matrix.template operator()<float>(".v", size, 1);
  state.best = matrix.template operator()<float>(".best", size, 1);
  auto const passes = matrix.template operator()<double>(".passes", -1, numbers);
  for (Index row = 0; row + 1 < passes.rows(); ++row)
    state.done.push_back(pass_of(passes, row, file.name + ": tensor " + name + ".passes"));
  state.now = pass_of(passes, passes.rows() - 1, file.name + ": tensor " + name + ".passes");
  state.best_rate = number_of<double>(file, name + ".best rate");
  state.position = number_of<Index>(file, name + ".position");
  state.moved_at = number_of<Index>(file, name + ".moved at");
  if (state.position < 0 || state.position > images || state.moved_at < 0 ||
      state.moved_at > state.position || !(state.best_rate >= -1 && state.best_rate <= 1))
    throw FormatError(message(file.name, ": __metadata__: ", name, ": expected a place among ", images,
                              " images, found ", state.position));
  return state;
}

}  // namespace experiment
