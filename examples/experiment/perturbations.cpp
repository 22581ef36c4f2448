// SPDX-License-Identifier: Apache-2.0
#include "perturbations.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "detrame/io/metadata.hpp"

namespace experiment {

using namespace detrame;

namespace {

using Json = nlohmann::json;

/// 0 where there is none.
double number(Json const& row, char const* key) {
  auto const found = row.find(key);
  if (found == row.end() || found->is_null()) return 0;
  double const value = found->get<double>();
  if (!(value >= 0 && value <= 1e30)) throw DomainError(message(key, ": ", value, " is not in [0, 1e30]"));
  return value;
}

void add_rows(Json const& json, std::vector<Perturbed>& all) {
  Row const network{json.at("net").get<std::string>(), json.at("depth").get<int>(),
                    json.at("widen").get<int>(), json.at("steps").get<int>(),
                    json.at("dataset").get<std::string>()};
  std::string const kind = json.at("perturbation").get<std::string>();
  bool const noise = kind == "noise";
  for (Json const& row : json.at("rows")) {
    if (noise && number(row, "clipped") != 0) continue;
    all.push_back({network, json.value("training_epoch", ""), json.value("checksum", ""), kind,
                   json.value("options", ""), noise ? "2" : row.at("p").get<std::string>(),
                   row.at(noise ? "energy" : "units").get<std::string>(), number(row, noise ? "rho" : "xi"),
                   number(row, "images"), number(row, "seed"), number(row, "changed"),
                   number(row, "changed_random")});
  }
}

}  // namespace

std::vector<Perturbed> read_perturbed(std::filesystem::path const& folder) {
  std::vector<std::filesystem::path> files;
  for (auto const& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Perturbed> all;
  for (auto const& file : files) {
    std::ifstream in(file, std::ios::binary);
    std::string const text{std::istreambuf_iterator<char>(in), {}};
    if (!is_of_perturbations(text)) continue;
    try {
      add_rows(Json::parse(text), all);
    } catch (std::exception const& wrong) {
      throw FormatError(
          message(file.string(), ": expected the summary of an attack or of noise, found: ", wrong.what()));
    }
  }
  auto const key = [](Perturbed const& one) { return one.run(); };
  std::set<decltype(key(all[0]))> seen;
  std::vector<Perturbed> once;
  for (Perturbed const& one : all)
    if (seen.insert(key(one)).second) once.push_back(one);
  return once;
}

std::vector<std::vector<Perturbed>> by_kind(std::vector<Perturbed> const& all) {
  std::vector<std::vector<Perturbed>> kinds;
  for (Perturbed const& one : all) {
    auto const found = std::find_if(kinds.begin(), kinds.end(),
                                    [&](auto const& kind) { return kind[0].kind_of() == one.kind_of(); });
    if (found == kinds.end())
      kinds.push_back({one});
    else
      found->push_back(one);
  }
  return kinds;
}

std::vector<Perturbed> those(std::vector<Perturbed> const& all, Row const& network, std::string_view kind,
                             std::string_view p, std::string_view units, double size) {
  std::vector<Perturbed> some;
  for (Perturbed const& one : all)
    if (one.network == network && one.kind == kind && one.p == p && one.units == units &&
        std::abs(one.size - size) <= 1e-9 * size)
      some.push_back(one);
  return some;
}

std::string changed_text(std::vector<Perturbed> const& some) {
  std::vector<double> changed, random;
  std::set<std::string> models;
  for (Perturbed const& one : some) {
    changed.push_back(100 * one.changed);
    random.push_back(100 * one.random);
    models.insert(one.model);
  }
  std::string text = message(mean_text(changed), " (", some.size(), some.size() == 1 ? " run, " : " runs, ",
                             models.size(), models.size() == 1 ? " model, " : " models, ", some[0].images,
                             " images", some[0].options.empty() ? "" : ";", some[0].options, ")");
  if (some[0].kind == "universal") text += ", random " + mean_text(random);
  return text;
}

}  // namespace experiment
