// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "network.hpp"
#include "ranges.hpp"

namespace experiment {

std::string options_of(Entry const& entry) {
  std::string text = message(entry.net(), " --depth ", entry.depth);
  if (entry.widen != 1) text += message(" --widen ", entry.widen);
  if (entry.steps > 0) text += message(" --steps ", entry.steps);
  return text;
}

std::string Place::name() const {
  return device == "cpu" ? message(threads, threads == 1 ? " thread" : " threads") : "a CUDA device";
}

void require_threads_of(Place const& place) {
  if (place.device != "cpu")
    throw WrongOption(
        message("--threads ", place.threads, ": threads are the CPU's, and --device is ", place.device));
}

std::unique_ptr<HostNetwork> Entry::make(Place const& place) const {
  if (place.device == "cpu") return make_on_cpu(place);
  if (!make_on_cuda)
    throw DomainError(
        message("--device ", place.device, ": this program was built without CUDA (-DDETRAME_CUDA=ON)"));
  return make_on_cuda(place);
}

Entry const& find_network(Wanted const& wanted) {
  std::string known;
  for (Entry const& entry : compiled_networks()) {
    if (entry.shape != wanted.shape || entry.classes != wanted.classes) continue;
    if (entry.net() == wanted.net && entry.depth == wanted.depth && entry.widen == wanted.widen &&
        entry.steps == wanted.steps)
      return entry;
    known += "\n  --net " + options_of(entry);
  }
  std::string const images = message("images of ", wanted.shape, " in ", wanted.classes, " classes");
  if (known.empty()) throw DomainError("no network is compiled in for " + images);
  std::string asked = message("--net ", wanted.net, " --depth ", wanted.depth, " --widen ", wanted.widen);
  if (wanted.steps != 0) asked += message(" --steps ", wanted.steps);
  throw DomainError(message(asked, " is not compiled in. For ", images, " there are:", known,
                            "\nOthers are rows of examples/experiment/networks.txt to be added."));
}

Index trained_count(HostNetwork const& network) {
  Index count = 0;
  for (ParameterInfo const& p : network.parameters()) count += p.trained ? p.rows * p.cols : 0;
  return count;
}

}  // namespace experiment
