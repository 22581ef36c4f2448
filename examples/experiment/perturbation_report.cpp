// SPDX-License-Identifier: Apache-2.0
#include "perturbation_report.hpp"

#include <charconv>
#include <sstream>

#include "detrame/io/metadata.hpp"

namespace experiment {

ResultsFile::ResultsFile(std::string const& columns, std::string text) : text_(std::move(text)) {
  std::istringstream names(columns);
  for (std::string name; std::getline(names, name, ',');) columns_.push_back(name);
}

void ResultsFile::add(std::vector<std::string> cells) { lines_.push_back(std::move(cells)); }

void ResultsFile::write(std::filesystem::path const& file) const {
  std::string text;
  auto const line = [&](std::vector<std::string> const& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) text += (i == 0 ? "" : ",") + cells[i];
    text += '\n';
  };
  line(columns_);
  for (auto const& cells : lines_) line(cells);
  replace_text(file, text);
}

nlohmann::ordered_json ResultsFile::json() const {
  auto rows = nlohmann::ordered_json::array();
  for (auto const& cells : lines_) {
    nlohmann::ordered_json row;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      double number = 0;
      char const* const end = cells[i].data() + cells[i].size();
      auto const [stop, error] = std::from_chars(cells[i].data(), end, number);
      if (cells[i].empty())
        row[columns_[i]] = nullptr;
      else if (error == std::errc() && stop == end && columns_[i] != text_)
        row[columns_[i]] = number;
      else
        row[columns_[i]] = cells[i];
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

void require_none_of_others(std::filesystem::path const& folder, char const* own) {
  std::error_code none;
  if (std::filesystem::exists(folder / own, none)) return;
  for (char const* const theirs : {"latest", "summary.json", "state.safetensors", "certify.safetensors"})
    if (std::filesystem::exists(folder / theirs, none))
      throw DomainError(
          message(folder.string(), ": its ", theirs, " is of something else: name another folder"));
}

nlohmann::ordered_json described(Victim const& victim, std::string const& kind, std::string const& command,
                                 std::string const& of) {
  Entry const& entry = *victim.model.entry;
  nlohmann::ordered_json json;
  json[of] = kind;
  json["command"] = command;
  json["checkpoint"] = victim.file.content.name;
  json["checksum"] = victim.file.checksum;
  json["net"] = entry.net();
  json["depth"] = entry.depth;
  json["widen"] = entry.widen;
  json["steps"] = entry.steps;
  json["dataset"] = victim.model.dataset;
  for (char const* const key : {"seed", "epoch"})
    if (auto const found = victim.file.content.metadata.find(key);
        found != victim.file.content.metadata.end())
      json[std::string("training_") + key] = found->second;
  return json;
}

}  // namespace experiment
