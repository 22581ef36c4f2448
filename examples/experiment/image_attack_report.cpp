// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <numeric>

#include "attack_report.hpp"
#include "detrame/io/metadata.hpp"
#include "detrame/robust/predicted_labels.hpp"
#include "image_attack.hpp"

namespace experiment {

void AttackReport::add_images(AttackRun const& run, HostMatrix<double> const& rows) {
  using Image = ImageAttack;
  if (run.xi > 0) print_radius(run);
  Index const n = rows.rows();
  std::vector<double> lengths, largest;  // of those whose label changed
  double changed[2]{}, right[2]{}, squares = 0;
  for (Index i = 0; i < n; ++i) {
    bool const has_label = rows(i, Image::label) >= 0;
    for (Index k = 0; k < 2; ++k) {
      changed[k] += has_label && rows(i, Image::label_v + k) != rows(i, Image::label);
      right[k] += rows(i, Image::right_v + k);
    }
    if (!has_label || rows(i, Image::label_v) == rows(i, Image::label)) continue;
    lengths.push_back(rows(i, Image::l2)), largest.push_back(rows(i, Image::l_inf));
    squares += rows(i, Image::of_energy);
  }
  auto const all = static_cast<double>(n),
             moved = static_cast<double>(std::max<std::size_t>(lengths.size(), 1));
  auto const mean = [&](std::vector<double> const& v) {
    return std::accumulate(v.begin(), v.end(), 0.) / moved;
  };
  auto const median = [](std::vector<double> v) {
    if (v.empty()) return 0.;
    std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
    return v[v.size() / 2];
  };
  std::printf("  %%                          other labels    accuracy: %s without\n",
              percent(accuracy(before_, targets_)).c_str());
  char const* const ends[] = {"", ", within [0, 1]"};
  for (std::size_t const k : {0u, 1u})
    std::printf("    v%-24s %12s   %9s\n", ends[k], percent(changed[k] / all).c_str(),
                percent(right[k] / all).c_str());
  std::printf(
      "  of those with another label: |v|_2 %.5g in the mean, %.5g the median; |v|_inf %.5g, %.5g (%.4g grey "
      "levels);\n  |v|^2 / |x|^2 %.4g in the mean\n",
      mean(lengths), median(lengths), mean(largest), median(largest), 255 * median(largest), squares / moved);
  std::fflush(stdout);
  add("other labels", changed[0] / all), add("within [0, 1]", changed[1] / all),
      add("accuracy", right[0] / all);
  csv_.add({s_.method,
            s_.p,
            s_.units,
            run.xi > 0 ? number_text(run.xi) : "",
            run.xi > 0 && s_.units == "pixels" ? number_text(255 * run.xi) : "",
            number_text(run.seed),
            "",
            "",
            s_.method == "deepfool" ? number_text(1 - changed[0] / all) : "",
            number_text(mean(largest)),
            number_text(mean(lengths)),
            number_text(squares / moved),
            "",
            number_text(n),
            number_text(accuracy(before_, targets_)),
            number_text(right[0] / all),
            number_text(right[1] / all),
            "",
            "",
            "",
            number_text(changed[0] / all),
            number_text(changed[1] / all),
            "",
            ""});
}

}  // namespace experiment
