// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "detrame/core/errors.hpp"

namespace detrame::inline DETRAME_ABI {

/// A step schedule: the rate is multiplied by `factor` at each milestone, an epoch counted from 0.
struct StepSchedule {
  double rate;
  double factor;
  std::vector<int> milestones;

  double at(int epoch) const {
    double r = rate;
    for (int const milestone : milestones)
      if (epoch >= milestone) r *= factor;
    return r;
  }
};

/// The step schedule with milestones at the given shares of all epochs, rounded up, and none before the
/// second epoch, so that the first has `rate`: {0.3, 0.6, 0.8} of 60 epochs are 18, 36 and 48, of 8 they are
/// 3, 5, 7.
inline StepSchedule step_schedule(double rate, double factor, int epochs, std::vector<double> const& shares) {
  require_at_least("step_schedule", "rate", rate, 0.);
  require_at_least("step_schedule", "factor", factor, 0.);
  StepSchedule schedule{rate, factor, {}};
  for (double const share : shares) {
    if (!(share >= 0 && share <= 1))
      throw DomainError(message("step_schedule: share = ", share, ", must be in [0, 1]"));
    constexpr double rounding = 1 - 4 * std::numeric_limits<double>::epsilon();  // 0.07 of 100 epochs are 7
    schedule.milestones.push_back(std::max(1, static_cast<int>(std::ceil(share * epochs * rounding))));
  }
  return schedule;
}

}  // namespace detrame::inline DETRAME_ABI
