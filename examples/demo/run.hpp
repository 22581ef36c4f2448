// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace demo {

/// One training run: accuracies, the mean loss of the last epoch, time.
struct Run {
  double test, validation, loss, seconds;
};

inline constexpr double chance = .1;  ///< the accuracy of guessing one of ten digits

/// Whether it learnt anything: the loss is finite, the accuracy more than 5 points above chance.
inline bool trained(Run const& run) { return std::isfinite(run.loss) && run.validation > chance + .05; }

struct Mean {
  int runs;  ///< of how many
  double mean, deviation;
};

/// Of a number of each run that trained.
inline Mean mean(std::vector<Run> const& runs, double Run::* what) {
  Mean m{0, 0, 0};
  for (Run const& run : runs)
    if (trained(run)) ++m.runs, m.mean += run.*what;
  m.mean /= std::max(m.runs, 1);
  for (Run const& run : runs)
    if (trained(run)) m.deviation += (run.*what - m.mean) * (run.*what - m.mean);
  m.deviation = std::sqrt(m.deviation / std::max(m.runs - 1, 1));
  return m;
}

}  // namespace demo
