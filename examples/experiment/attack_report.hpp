// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attack.hpp"
#include "detrame/robust/perturbation_norms.hpp"
#include "detrame/robust/universal_perturbation.hpp"
#include "detrame/train/status_line.hpp"
#include "perturbation_report.hpp"

namespace experiment {

/// One attack of those that a command asks for.
struct AttackRun {
  double xi;
  std::uint64_t seed;
};

/// What comes out of attacks: prints it, and writes it into files.
class AttackReport {
 public:
  AttackReport(Victim& victim, AttackSettings const& settings);

  /// The labels of the held-out images, and a line that says what is attacked.
  void begin(ImageBytes<float> const& test, Index built, StatusLine& status);

  void add_universal(AttackRun const& run, UniversalState<float> const& state, UniversalStatus status,
                     ImageBytes<float> const& built, ImageBytes<float> const& test, StatusLine& line);

  /// Of an attack on each image; rows as in ImageAttack.
  void add_images(AttackRun const& run, HostMatrix<double> const& rows);

  /// Mean and deviation over the runs since the last call, where there are some.
  void end_of_seeds();

  /// attack.csv, passes.csv, summary.json, and each v as a tensor and as a picture.
  void write(std::filesystem::path const& folder) const;

 private:
  struct Rates {
    double changed, accuracy;
  };

  std::vector<int> labels(ImageBytes<float> const& images, HostMatrix<float> const& v, bool clipped,
                          std::string const& what, StatusLine& line);
  Rates rates(std::vector<int> const& before, std::vector<int> const& now,
              std::vector<int> const& targets) const;
  void print_radius(AttackRun const& run) const;
  void print_norms(PerturbationNorms const& norms) const;
  void add(std::string const& what, double share);

  Victim& victim_;
  AttackSettings const& s_;
  std::vector<int> before_, targets_;  ///< labels of the held-out images
  std::vector<double> energies_, centred_;
  ResultsFile csv_, passes_;
  std::vector<std::pair<std::string, HostMatrix<float>>>
      perturbations_;  ///< in pixels, with the names of files
  std::vector<std::pair<std::string, std::vector<double>>> of_seeds_;
};

/// "12.34"
std::string percent(double share);

/// What an attack is told, of one radius and seed.
UniversalOptions universal_options(AttackSettings const& settings, double xi, std::uint64_t seed,
                                   Index classes);

AttackNorm norm_of(std::string const& p);

/// use(map): that of pixels, or of what the network reads, as which x is scaled then.
template <class Use>
auto with_map(Victim& victim, AttackSettings const& settings, HostMatrix<float>& x, Use const& use) {
  if (settings.units == "pixels") return use(victim.pixels);
  detail::normalise_rows(x, victim.scale);
  return use(victim.network);
}

}  // namespace experiment
