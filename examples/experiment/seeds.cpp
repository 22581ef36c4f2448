// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdio>

#include "detrame/io/checkpoint.hpp"
#include "folder_lock.hpp"
#include "settings.hpp"

namespace experiment {

namespace {

/// The file of a folder of runs that lists their seeds, one a line.
std::filesystem::path list_in(std::filesystem::path const& folder) { return folder / "seeds"; }

std::filesystem::path folder_of(Settings const& s, std::uint64_t seed) {
  return s.out / ("seed-" + number_text(seed));
}

void write_list(Settings const& s) {
  std::string text;
  for (std::uint64_t const seed : s.seeds) text += number_text(seed) + "\n";
  ReplacedFile file(list_in(s.out));
  file.write(text.data(), text.size());
  file.commit();
}

std::vector<std::uint64_t> read_list(std::filesystem::path const& folder) {
  std::string const name = list_in(folder).string();
  std::ifstream in = open_file(list_in(folder), "a list of seeds");
  std::vector<std::uint64_t> seeds;
  for (std::string line; std::getline(in, line);)
    seeds.push_back(number_of<std::uint64_t>({name, {}, {{"seed", line}}}, "seed"));
  if (seeds.empty()) throw FormatError(message(name, ": expected a seed a line, found none"));
  return seeds;
}

/// The settings of one of the runs, in a folder of its own; of a run that is not begun yet those of another,
/// where the command says none.
Settings one_of(Settings const& all, std::uint64_t seed) {
  Settings one = all;
  one.seeds.clear();
  one.all_runs = all.out;
  one.out = folder_of(all, seed);
  if (!latest_step(one.out) && all.resume && !all.given.contains("net") && !all.given.contains("dataset"))
    for (std::uint64_t const sibling : all.seeds)
      if (auto const folder = folder_of(all, sibling); latest_step(folder)) {
        one.given.erase("seed");
        adopt_settings(one, read_checkpoint(folder).state);
        break;
      }
  one.seed = seed;
  one.given.insert("seed");
  return one;
}

}  // namespace

bool has_seeds(std::filesystem::path const& folder) {
  std::error_code none;
  return std::filesystem::exists(list_in(folder), none);
}

int train_seeds(Settings const& given) {
  Settings all = given;
  if (all.reschedule)
    throw DomainError(message("--reschedule: the runs in ", all.out.string(),
                              " have a folder each, which --out has to name"));
  std::filesystem::create_directories(all.out);
  FolderLock const lock(all.out);
  constexpr std::array<std::string_view, 1> own{"seeds"};
  remove_unfinished(all.out, "", own);
  if (all.seeds.empty()) all.seeds = read_list(all.out);
  write_list(all);
  std::vector<double> accuracies;
  for (std::uint64_t const seed : all.seeds) {
    std::printf("seed %s\n", number_text(seed).c_str());
    Ended const ended = train(one_of(all, seed));
    if (ended.status != 0) return ended.status;
    if (ended.accuracy) accuracies.push_back(100 * *ended.accuracy);
  }
  double const n = static_cast<double>(accuracies.size());
  double mean = 0, squares = 0;
  for (double const accuracy : accuracies) mean += accuracy / n;
  for (double const accuracy : accuracies) squares += (accuracy - mean) * (accuracy - mean);
  if (accuracies.size() > 1)
    std::printf("test accuracy over %zu seeds: %.2f +- %.2f %%\n", accuracies.size(), mean,
                std::sqrt(squares / (n - 1)));
  return 0;
}

}  // namespace experiment
