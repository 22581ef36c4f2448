// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attack.hpp"
#include "detrame/robust/apgd.hpp"
#include "detrame/robust/pgd.hpp"

namespace experiment {

/// Images under fgsm, pgd or apgd within a region, with the settings' method, steps, restarts and loss; the
/// first has the number `first`.
template <ScoreMap M>
HostMatrix<ScalarOf<M>> ascended(M& map, HostMatrix<ScalarOf<M>> const& x, std::span<int const> targets,
                                 AttackSettings const& s, AttackRegion const& region, std::uint64_t seed,
                                 Index first) {
  auto const images = to_device(map.backend(), x);
  AttackLoss const loss = s.loss == "dlr" ? AttackLoss::dlr : AttackLoss::cross_entropy;
  if (s.method == "fgsm") return fgsm(map, images, targets, region, loss, first).x;
  if (s.method == "pgd")
    return pgd(map, images, targets,
               {.region = region,
                .step = s.step_size > 0 ? s.step_size : 2.5 * region.epsilon / std::max(s.steps, 1),
                .steps = s.steps,
                .loss = loss,
                .random_start = true,
                .seed = seed,
                .first_image = first})
        .x;
  return apgd(map, images, targets,
              {.region = region,
               .steps = s.steps,
               .restarts = s.restarts,
               .loss = loss,
               .seed = seed,
               .first_image = first})
      .x;
}

}  // namespace experiment
