// SPDX-License-Identifier: Apache-2.0
#include "runs.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <tuple>

#include "quoted.hpp"
#include "ranges.hpp"
#include "settings.hpp"
#include "text.hpp"

namespace experiment {

namespace {

using Json = nlohmann::json;

std::string text_of_file(std::filesystem::path const& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A number of a summary that lies in [low, high]: of any other the cast to a whole one may be undefined.
double number(Json const& json, char const* key, double low, double high) {
  double const value = json.at(key).get<double>();
  if (!(value >= low && value <= high))
    throw DomainError(message(key, ": ", value, " is not in [", low, ", ", high, "]"));
  return value;
}

int whole(Json const& json, char const* key) {
  double const value = number(json, key, 0, 1e9);
  if (value != std::floor(value)) throw DomainError(message(key, ": ", value, " is not whole"));
  return static_cast<int>(value);
}

void add_other(std::string& others, std::string const& other) {
  others += (others.empty() ? "" : " ") + other;
}

/// By what a run differs from what is usual for its data set: options, and images.
std::string others_of(Json const& json) {
  Json const& settings = json.at("settings");
  static std::set<std::string_view> const said{"net",     "depth",  "widen", "steps",
                                               "dataset", "epochs", "seed",  "device"};
  DataSet const& set = find_data_set(settings.at("dataset").get<std::string>());
  Settings usual;
  usual.rate = set.rate;
  std::string others;
  each_setting(usual, [&](std::string_view option, auto const& value) {
    std::string const name(option);
    if (said.contains(option) || !settings.contains(name)) return;
    Json const expected = option == "schedule-epochs" ? settings.at("epochs") : Json(value);
    Json const& found = settings.at(name);
    if (found != expected)
      add_other(others, message("--", name, ' ',
                                found.is_string() ? shell_quoted(found.get<std::string>()) : found.dump()));
  });
  // the settings are those of the last part of a run whose schedule was changed on the way
  static std::regex const rescheduled("(^| )--reschedule( |$)");
  if (std::regex_search(json.value("command", ""), rescheduled)) add_other(others, "--reschedule");
  if (double const images = number(json, "train_images", 0, 1e18);
      images != set.train_images && settings.value("limit", 0.) == 0)
    add_other(others, message("on ", images, " images"));
  return others;
}

/// The processor seconds of a run on the CPU whose threads did not have their processors to themselves for
/// four fifths of its time: its seconds say nothing of it then. Else 0, as where they are not known.
double where_busy(Json const& json) {
  constexpr double most = 1e18;
  if (!json.contains("processor_seconds") || !json.contains("threads") ||
      json.at("settings").value("device", "cpu") != "cpu")
    return 0;
  double const processor = number(json, "processor_seconds", 0, most);
  return processor < .8 * number(json, "threads", 1, 1024) * number(json, "seconds", 0, most) ? processor : 0;
}

Run run_of(Json const& json) {
  Json const& s = json.at("settings");
  constexpr double most = 1e18;
  double const busy = where_busy(json);
  return {.net = s.at("net").get<std::string>(),
          .depth = whole(s, "depth"),
          .widen = whole(s, "widen"),
          .steps = whole(s, "steps"),
          .dataset = s.at("dataset").get<std::string>(),
          .seed = s.at("seed").dump(),
          .others = others_of(json),
          .finished = json.at("finished").get<bool>(),
          .epochs = whole(json, "epochs_done"),
          .accuracy = number(json, "test_accuracy", 0, 1),
          .train_images = number(json, "train_images", 0, most),
          .seconds = number(json, "seconds", 0, most),
          .images_per_second = number(json, "images_per_second", 0, most),
          .multiply_adds = number(json, "multiply_adds", 0, most),
          .test_seconds = json.contains("test_seconds_an_image") && busy == 0
                              ? number(json, "test_seconds_an_image", 0, most)
                              : 0,
          .processor_seconds = busy};
}

Run read_summary(std::filesystem::path const& file, std::string const& text) {
  if (text.find('\0') != text.npos)  // where the library would stop reading
    throw FormatError(message(file.string(), ": expected the summary of a run, found a byte 00"));
  try {
    return run_of(Json::parse(text));
  } catch (std::exception const& wrong) {
    throw FormatError(message(file.string(), ": expected the summary of a run, found: ", wrong.what()));
  }
}

/// Where a table of epochs begins; later columns may follow.
constexpr std::string_view columns =
    "epoch,rate,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds";

/// Fills in the network that a file is named after.
bool named_after(std::string const& name, Run& run) {
  static std::regex const pattern(
      message("(", joined(choices("dataset"), "|"), ")-(", joined(choices("net"), "|"),
              ")-?([0-9]{1,4})(-([0-9]{1,4}))?(-T([0-9]{1,4}))?(-seed([0-9]+))?"));
  std::smatch m;
  if (!std::regex_match(name, m, pattern)) return false;
  auto const optional = [&](std::size_t i, int otherwise) {
    return m[i].matched ? std::stoi(m[i].str()) : otherwise;
  };
  run.dataset = m[1].str(), run.net = m[2].str();
  run.depth = std::stoi(m[3].str()), run.widen = optional(5, 1), run.steps = optional(7, 0);
  run.seed = m[9].matched ? m[9].str() : "1";
  return true;
}

/// Fills in what a table of epochs says. FormatError where a line has not the columns' numbers.
void read_epochs(std::filesystem::path const& file, std::string const& text, Run& run) {
  DataSet const& set = find_data_set(run.dataset);
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  for (double row[8]; std::getline(lines, line);) {
    char const* at = line.data();
    char const* const end = at + line.size();
    bool numbers = true;
    for (double& cell : row) {
      auto const [next, error] = std::from_chars(at, end, cell);
      numbers = numbers && error == std::errc();
      at = next < end && *next == ',' ? next + 1 : next;
    }
    if (!numbers || !(row[0] >= 1 && row[0] <= 1e6) || !(row[5] >= 0 && row[5] <= 1) || !(row[7] >= 0))
      throw FormatError(
          message(file.string(), ": expected lines of ", columns, ", found ", line.substr(0, 80)));
    if (run.epochs == 0) {
      run.train_images = std::round(row[6] * row[7]);
      if (row[1] != set.rate) add_other(run.others, message("--lr ", row[1]));
      if (run.train_images != set.train_images) add_other(run.others, message("--limit ", run.train_images));
    }
    run.epochs = static_cast<int>(row[0]);
    run.accuracy = row[5];
    run.seconds += row[7];
  }
  run.finished = true;
  run.images_per_second = run.train_images * run.epochs / std::max(run.seconds, 1e-9);
}

}  // namespace

bool is_of_perturbations(std::string const& text) { return text.find("\"perturbation\"") != text.npos; }
bool is_of_certificates(std::string const& text) { return text.find("\"certificate\"") != text.npos; }

Runs read_runs(std::filesystem::path const& folder) {
  if (!std::filesystem::is_directory(folder))
    throw FormatError(message("--results ", folder.string(), ": expected a folder, found none"));
  std::vector<std::filesystem::path> files;
  for (auto const& entry : std::filesystem::recursive_directory_iterator(folder))
    if (auto const& path = entry.path();
        entry.is_regular_file() && (path.extension() == ".json" || path.extension() == ".csv"))
      files.push_back(path);
  std::sort(files.begin(), files.end());
  Runs runs;
  for (auto const& file : files) {
    std::string const text = text_of_file(file);
    if (file.extension() == ".json") {
      if (!is_of_perturbations(text) && !is_of_certificates(text) &&
          (file.filename() == "summary.json" || text.find("\"epochs_done\"") != text.npos))
        runs.all.push_back(read_summary(file, text));
      continue;
    }
    auto const summary = std::filesystem::path(file).replace_extension(".json");
    bool const summarised =
        std::binary_search(files.begin(), files.end(), summary) ||
        std::binary_search(files.begin(), files.end(), file.parent_path() / "summary.json");
    if (summarised || !text.starts_with(columns)) continue;
    Run run{};
    if (!named_after(file.stem().string(), run)) {
      runs.left_out.push_back(file.filename().string());
      continue;
    }
    read_epochs(file, text, run);
    if (run.epochs > 0) runs.all.push_back(run);
  }
  return runs;
}

std::vector<Run> best_runs(std::vector<Run> const& runs, Row const& row, bool any_settings) {
  auto const network = [](auto const& r, int const& T) {
    return std::tie(r.net, r.depth, r.widen, r.dataset, T);
  };
  auto const rank = [](Run const& r) { return std::tie(r.train_images, r.epochs); };
  std::vector<Run> best;
  for (Run const& run : runs) {
    if (network(run, run.steps) != network(row, row.T) || !run.finished || run.epochs == 0) continue;
    if (!any_settings && !run.others.empty()) continue;
    if (!best.empty() && rank(run) < rank(best[0])) continue;
    if (!best.empty() && rank(best[0]) < rank(run)) best.clear();
    if (std::none_of(best.begin(), best.end(),
                     [&](Run const& b) { return b.seed == run.seed || b.others != run.others; }))
      best.push_back(run);
  }
  return best;
}

Run const* longest(std::vector<Run> const& runs, bool of_exact_dictionaries) {
  auto const work = [](Run const& r) {
    return r.images_per_second > 0 ? r.epochs * r.train_images * r.multiply_adds : 0;
  };
  Run const* best = nullptr;
  for (Run const& run : runs)
    if ((run.net == "deep-dictionary") == of_exact_dictionaries && work(run) > (best ? work(*best) : 0))
      best = &run;
  return best;
}

std::string mean_text(double mean, double deviation) {
  return formatted("%.2f", mean) + formatted(" +- %.2f", deviation);
}

std::string mean_text(std::vector<double> const& numbers) {
  double const n = static_cast<double>(numbers.size());
  double mean = 0, squares = 0;
  for (double const number : numbers) mean += number / n;
  for (double const number : numbers) squares += (number - mean) * (number - mean);
  return numbers.size() > 1 ? mean_text(mean, std::sqrt(squares / (n - 1))) : formatted("%.2f", mean);
}

std::string accuracy_text(std::vector<Run> const& runs) {
  std::vector<double> accuracies;
  for (Run const& run : runs) accuracies.push_back(100 * run.accuracy);
  Run const& one = runs.at(0);
  return message(mean_text(accuracies), " (", runs.size(), runs.size() == 1 ? " seed, " : " seeds, ",
                 one.epochs, " of ", find_data_set(one.dataset).epochs, " epochs",
                 one.others.empty() ? "" : ", ", one.others, ")");
}

}  // namespace experiment
