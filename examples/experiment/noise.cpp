// SPDX-License-Identifier: Apache-2.0
#include "noise.hpp"

#include <array>
#include <cstdio>
#include <numeric>

#include "detrame/robust/gaussian_noise.hpp"
#include "detrame/robust/predicted_labels.hpp"
#include "folder_lock.hpp"
#include "perturbation_report.hpp"
#include "quoted.hpp"
#include "runs.hpp"
#include "status_line.hpp"
#include "text.hpp"
#include "victim.hpp"

namespace experiment {

namespace {

/// The images' labels under the noise of one level and seed: those that are right, and other than before.
struct Count {
  Index right = 0, changed = 0;
};

struct Level {
  double rho;
  bool centred;
  std::uint64_t seed;
  std::array<Count, 2> counts{};  ///< as it is, and clipped
};

std::vector<Level> levels_of(NoiseAsked const& asked, bool normalised) {
  std::vector<Level> levels;
  for (bool const centred : {false, true}) {
    if (centred && !normalised) continue;  // the network reads pixels: its energy is theirs
    for (double const rho : asked.rho)
      for (std::uint64_t const seed : asked.seeds) levels.push_back({rho, centred, seed});
  }
  return levels;
}

Count counted(std::vector<int> const& labels, std::vector<int> const& before, std::span<int const> targets) {
  Count count;
  for (std::size_t j = 0; j < labels.size(); ++j) {
    count.right += labels[j] == targets[j];
    count.changed += before[j] >= 0 && labels[j] != before[j];
  }
  return count;
}

std::string command_of(NoiseAsked const& asked) {
  std::string command = "detrame-experiment noise" + with_value("--checkpoint", asked.at.checkpoint);
  if (!asked.at.data.empty()) command += with_value("--data", asked.at.data);
  command += with_value("--rho", joined(asked.rho, ",")) + with_value("--seeds", joined(asked.seeds, ","));
  if (asked.at.limit > 0) command += with_value("--limit", number_text(asked.at.limit));
  return command + with_value("--out", asked.out);
}

double share(Index part, Index all) { return static_cast<double>(part) / static_cast<double>(all); }

}  // namespace

void add_noise(NoiseAsked const& given) {
  NoiseAsked asked = given;
  if (asked.seeds.empty()) asked.seeds = {asked.seed};
  Victim victim(asked.at);
  auto const images = pixel_images(victim.model, asked.at, Part::test, asked.at.limit);
  std::optional<MadeFolder> folder;
  std::optional<FolderLock> lock;
  if (!asked.out.empty()) {
    folder.emplace(asked.out), lock.emplace(asked.out);
    require_none_of_others(asked.out, "noise.csv");
  }
  Shape const shape = images.shape;
  bool const normalised = !victim.model.scale.mean.empty();
  std::vector<Level> levels = levels_of(asked, normalised);
  auto& cpu = victim.network.backend();
  std::array<double, 2> energy{};  // of all images
  Index right = 0;
  StatusLine status = status_line();
  for (Index first = 0; first < images.samples(); first += test_batch) {
    Index const count = std::min(test_batch, images.samples() - first);
    status.show(message("noise: image ", first, " of ", images.samples()));
    auto const host = batch_of(images, first, count);
    auto const x = to_device(cpu, host);
    auto const targets =
        std::span(images.labels).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    auto const before = predicted_labels(victim.pixels, x, {}, {}, count, first);
    right += counted(before, before, targets).right;
    std::array const energies{image_energies(shape, host), image_energies(shape, host, victim.scale.mean)};
    for (std::size_t e = 0; e < 2; ++e)
      energy[e] += std::accumulate(energies[e].begin(), energies[e].end(), 0.);
    for (Level& level : levels) {
      auto const z = gaussian_noise(cpu, shape, x, energies[level.centred], level.rho, level.seed, first);
      for (bool const clipped : {false, true}) {
        auto const clip = clipped ? std::optional(PixelRange{}) : std::nullopt;
        auto const now = counted(predicted_labels(victim.pixels, z, {}, clip, count, first), before, targets);
        level.counts[clipped].right += now.right;
        level.counts[clipped].changed += now.changed;
      }
    }
  }
  status.clear();

  Index const n = images.samples();
  std::printf("%s on %td test images of %s, accuracy %.2f %%, under Gaussian noise, E |v|^2 = rho |x|^2\n",
              options_of(*victim.model.entry).c_str(), n, victim.model.dataset.c_str(),
              100 * share(right, n));
  if (!normalised) std::printf("The network reads pixels of [0, 1]: centred energy is not its input's.\n");
  std::printf("\n                                                              clipped to [0, 1]\n");
  std::printf(
      "  energy        rho   grey levels   accuracy %%     changed %%    accuracy %%     changed %%\n");
  ResultsFile csv("energy,rho,seed,grey_levels,clipped,images,clean_accuracy,accuracy,changed");
  for (auto level = levels.begin(); level != levels.end();
       level += static_cast<std::ptrdiff_t>(asked.seeds.size())) {
    double const deviation =
        255 * std::sqrt(level->rho * energy[level->centred] / static_cast<double>(n * shape.size()));
    char const* const name = level->centred ? "centred" : "raw";
    std::printf("  %-7s  %8.4g   %11.2f", name, level->rho, deviation);
    for (std::size_t const clipped : {0u, 1u}) {
      std::vector<double> accuracies, changed;
      for (auto one = level; one != level + static_cast<std::ptrdiff_t>(asked.seeds.size()); ++one) {
        Count const& c = one->counts[clipped];
        accuracies.push_back(100 * share(c.right, n));
        changed.push_back(100 * share(c.changed, n));
        csv.add({name, number_text(level->rho), number_text(one->seed), number_text(deviation),
                 number_text(clipped), number_text(n), number_text(share(right, n)),
                 number_text(share(c.right, n)), number_text(share(c.changed, n))});
      }
      std::printf("   %14s %13s", mean_text(accuracies).c_str(), mean_text(changed).c_str());
    }
    std::printf("\n");
  }
  if (asked.out.empty()) return;
  csv.write(asked.out / "noise.csv");
  auto json = described(victim, "noise", command_of(asked));
  json["test_images"] = n;
  json["rows"] = csv.json();
  replace_text(asked.out / "summary.json", json.dump(2) + "\n");
  std::printf("\nResults are in %s: noise.csv, summary.json\n", asked.out.c_str());
}

}  // namespace experiment
