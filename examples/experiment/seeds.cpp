// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <utility>

#include "detrame/io/checkpoint.hpp"
#include "folder_lock.hpp"
#include "runs.hpp"
#include "settings.hpp"

namespace experiment {

namespace {

/// The file of a folder of runs that lists their seeds, one a line.
std::filesystem::path list_in(std::filesystem::path const& folder) { return folder / "seeds"; }

std::filesystem::path folder_of(Settings const& s, std::uint64_t seed) {
  return s.out / ("seed-" + number_text(seed));
}

void write_list(std::filesystem::path const& folder, std::vector<std::uint64_t> const& seeds) {
  std::string text;
  for (std::uint64_t const seed : seeds) text += number_text(seed) + "\n";
  ReplacedFile file(list_in(folder));
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

/// The folders seed-N of a folder that hold a run.
std::set<std::filesystem::path> begun_in(std::filesystem::path const& folder) {
  std::set<std::filesystem::path> begun;
  for (auto const& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("seed-") && latest_step(entry.path()))
      begun.insert(entry.path());
  return begun;
}

/// The settings of one of the runs, in a folder of its own; of a run that is not begun yet those of another,
/// where the command says none. DomainError where the command says otherwise of one that is begun.
Settings one_of(Settings const& all, std::uint64_t seed) {
  Settings one = all;
  one.seeds.clear();
  one.all_runs = all.out;
  one.out = folder_of(all, seed);
  one.seed = seed;
  one.given.insert("seed");
  if (latest_step(one.out)) {
    if (!all.resume)
      throw DomainError(message(one.out.string(), " holds a run: --resume goes on with it; for another run ",
                                "name another folder"));
    FolderLock const lock(one.out);
    Settings same = one;
    adopt_settings(same, read_checkpoint(one.out).state);
    return one;
  }
  if (!all.resume) return one;
  auto const begun = begun_in(all.out);
  if (begun.empty() || all.given.contains("net") || all.given.contains("dataset")) return one;
  std::filesystem::path const sibling = *begun.begin(), own = std::exchange(one.out, sibling);
  one.given.erase("seed");
  adopt_settings(one, read_checkpoint(sibling).state);
  one.out = own;
  one.seed = seed;
  return one;
}

}  // namespace

bool has_seeds(std::filesystem::path const& folder) {
  std::error_code none;
  return std::filesystem::exists(list_in(folder), none);
}

void require_no_seeds(Settings const& s) {
  if (!has_seeds(s.out)) return;
  std::string const out = s.out.string();
  if (s.resume)
    throw DomainError(message("--seed ", s.seed, ": ", out, " holds the runs of --seeds; ",
                              folder_of(s, s.seed).string(), " is the folder of that one"));
  throw DomainError(message(out, " holds the runs of --seeds: --resume goes on with them; for another run ",
                            "name another folder"));
}

int train_seeds(Settings const& given) {
  Settings all = given;
  if (all.reschedule)
    throw DomainError(message("--reschedule: the runs in ", all.out.string(),
                              " have a folder each, which --out has to name"));
  MadeFolder const folder(all.out);
  FolderLock const lock(all.out);
  constexpr std::array<std::string_view, 1> own{"seeds"};
  remove_unfinished(all.out, "", own);
  if (auto const step = latest_step(all.out))
    throw DomainError(message(all.out.string(), " holds a run, at ", detail::step_name(*step),
                              ": for those of --seeds name another folder"));
  std::vector<std::uint64_t> listed;
  if (has_seeds(all.out)) {
    if (!all.resume) require_no_seeds(all);
    listed = read_list(all.out);
  }
  if (all.seeds.empty()) all.seeds = listed;
  for (std::uint64_t const seed : all.seeds) {
    one_of(all, seed);  // refuses
    if (std::find(listed.begin(), listed.end(), seed) == listed.end()) listed.push_back(seed);
  }
  std::vector<double> accuracies;
  for (std::uint64_t const seed : all.seeds) {
    std::printf("seed %s\n", number_text(seed).c_str());
    Ended const ended = train(one_of(all, seed), [&] { write_list(all.out, listed); });
    if (ended.status != 0) return ended.status;
    if (ended.accuracy) accuracies.push_back(100 * *ended.accuracy);
  }
  if (accuracies.size() > 1)
    std::printf("test accuracy over %zu seeds: %s %%\n", accuracies.size(), mean_text(accuracies).c_str());
  return 0;
}

}  // namespace experiment
