// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "certified_image.hpp"
#include "certify.hpp"
#include "detrame/robust/certify.hpp"
#include "victim.hpp"

namespace experiment {

/// Seconds, of this process.
struct CertifyTimes {
  double constants = 0, certificates = 0, attacks = 0;
};

/// What comes out of `certify`: prints it, writes it into files, and finds where it contradicts itself.
struct CertifyReport {
  Victim const& victim;
  CertifyAsked const& asked;
  NetworkBound const* bound;  ///< null where nothing is known of the network
  Claim claim;
  std::string why;  ///< why it is not a stronger one
  std::vector<CertifiedRow> const& rows;

  void print(CertifyTimes const& times) const;
  /// certify.csv, summary.json
  void write() const;
  /// Throws where an attack succeeds within the radius of an image.
  void require_consistent() const;

 private:
  bool proves() const { return claim != Claim::none; }
  bool attacks() const { return asked.attack != "none"; }

  /// The share of rows that have it.
  template <class Has>
  double share(Has const& has) const {
    return static_cast<double>(std::count_if(rows.begin(), rows.end(), has)) /
           static_cast<double>(rows.size());
  }
  /// Of one epsilon: shares that are right, certified, without rounding, and under the two attacks.
  struct Level {
    double clean, certified, in_real_arithmetic, attacked, attacked_beyond;
  };
  Level level(std::size_t e) const;
  double without_label() const;
  /// A line of each attack that succeeds within the radius of its image.
  std::vector<std::string> contradictions() const;
  Index other_labels() const;
  /// A quantile of the radii, of labels right or wrong.
  double radius_at(double quantile) const;
};

/// The command that repeats it, without the folder.
std::string command_of(CertifyAsked const& asked);

}  // namespace experiment
