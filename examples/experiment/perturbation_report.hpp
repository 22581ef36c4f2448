// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "victim.hpp"

namespace experiment {

/// Lines with the columns of a heading, as CSV and as JSON.
class ResultsFile {
 public:
  /// `text`: a column that holds no numbers, whatever it looks like.
  explicit ResultsFile(std::string const& columns, std::string text = "");

  /// A cell a column; "" where there is no such number.
  void add(std::vector<std::string> cells);

  /// Replaces a file as a whole.
  void write(std::filesystem::path const& file) const;
  nlohmann::ordered_json json() const;

 private:
  std::vector<std::string> columns_;
  std::string text_;
  std::vector<std::vector<std::string>> lines_;
};

/// DomainError where results in a folder would replace what a run, or something else than what leaves a file
/// `own` there, has left.
void require_none_of_others(std::filesystem::path const& folder, char const* own);

/// What a summary of noise or of an attack says of its model. `kind` names what it is a summary of.
nlohmann::ordered_json described(Victim const& victim, std::string const& kind, std::string const& command);

}  // namespace experiment
