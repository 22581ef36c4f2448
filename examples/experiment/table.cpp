// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "inspect.hpp"
#include "protocol.hpp"
#include "published.hpp"

namespace experiment {

namespace {

using published::Accuracy;
using published::Architecture;
using published::Twins;

/// What a summary.json says of a run.
struct Summary {
  bool whole;  ///< all images, and all the epochs that were asked for
  int epochs;
  double accuracy, seconds, images_per_second, multiply_adds;
};

/// The summaries of a folder's folders, by "net depth widen steps dataset".
std::multimap<std::string, Summary> read_summaries(std::filesystem::path const& results) {
  std::multimap<std::string, Summary> all;
  if (results.empty()) return all;
  if (!std::filesystem::is_directory(results))
    throw FormatError(message("--results ", results.string(), ": expected a folder, found none"));
  for (auto const& entry : std::filesystem::directory_iterator(results)) {
    auto const file = entry.path() / "summary.json";
    if (!std::filesystem::exists(file)) continue;
    std::ifstream in(file);
    std::string const text(std::istreambuf_iterator<char>(in), {});
    if (text.find('\0') != text.npos)  // where the library would stop reading
      throw FormatError(message(file.string(), ": expected the summary of a run, found a byte 00"));
    try {
      auto const json = nlohmann::json::parse(text);
      auto const& s = json.at("settings");
      all.emplace(message(s.at("net").get<std::string>(), ' ', s.at("depth").get<int>(), ' ',
                          s.at("widen").get<int>(), ' ', s.at("steps").get<int>(), ' ',
                          s.at("dataset").get<std::string>()),
                  Summary{json.at("finished").get<bool>() && s.at("limit").get<Index>() == 0,
                          json.at("epochs_done").get<int>(), json.at("test_accuracy").get<double>(),
                          json.at("seconds").get<double>(), json.at("images_per_second").get<double>(),
                          json.at("multiply_adds").get<double>()});
    } catch (nlohmann::json::exception const& wrong) {
      throw FormatError(message(file.string(), ": expected the summary of a run, found: ", wrong.what()));
    }
  }
  return all;
}

/// One network on one data set: its command, and what came out here.
class Rows {
 public:
  explicit Rows(TableChoices const& choices)
      : choices_(choices), summaries_(read_summaries(choices.results)) {}

  /// "" for no figure
  static std::string text(Accuracy const& a, std::string_view mark = "") {
    char text[64];
    if (a.mean == 0) return "-";
    if (a.deviation > 0)
      std::snprintf(text, sizeof text, "%.2f +- %.2f", a.mean, a.deviation);
    else
      std::snprintf(text, sizeof text, "%.2f%.*s", a.mean, static_cast<int>(mark.size()), mark.data());
    return text;
  }

  void print(Architecture const& a, char const* dataset, Accuracy const& figure, int T) const {
    std::string const net = (T > 0 ? "detrame-" : "") + std::string(a.family);
    print_line(message(a.title, T > 0 ? " DeTraMe" : ""), dataset, text(figure), T, net, a);
  }

  /// The whole runs of a network that have the most epochs, one a seed.
  std::vector<Summary> runs(std::string const& net, Architecture const& a, int T, char const* dataset) const {
    std::vector<Summary> longest;
    auto const [begin, end] =
        summaries_.equal_range(message(net, ' ', a.depth, ' ', a.widen, ' ', T, ' ', dataset));
    for (auto run = begin; run != end; ++run) {
      if (!run->second.whole || (!longest.empty() && longest[0].epochs > run->second.epochs)) continue;
      if (!longest.empty() && longest[0].epochs < run->second.epochs) longest.clear();
      longest.push_back(run->second);
    }
    return longest;
  }

  std::string ours(std::string const& net, Architecture const& a, int T, char const* dataset) const {
    DataSet const& set = find_data_set(dataset);
    auto const found = runs(net, a, T, dataset);
    if (!found.empty()) {
      double const n = static_cast<double>(found.size());
      double mean = 0, squares = 0;
      for (Summary const& run : found) mean += 100 * run.accuracy / n;
      for (Summary const& run : found) squares += (100 * run.accuracy - mean) * (100 * run.accuracy - mean);
      return text(Accuracy{mean, found.size() > 1 ? std::sqrt(squares / (n - 1)) : 0}) +
             message(" (", found.size(), found.size() == 1 ? " seed, " : " seeds, ", found[0].epochs, " of ",
                     set.epochs, " epochs)");
    }
    double const speed =
        choices_.images_per_second > 0 ? choices_.images_per_second : scaled_speed(net, a, T, dataset);
    if (speed == 0) return "not run here";
    return "not run here: " + message_of("%.1f", protocol::training_of(dataset).hours(speed)) + " hours at " +
           message_of("%.3g", speed) + " images/s";
  }

 private:
  static std::string message_of(char const* format, double number) {
    char text[64];
    std::snprintf(text, sizeof text, format, number);
    return text;
  }

  /// The speed of the run whose multiply-adds are nearest, scaled by them; 0 where that cannot be said.
  double scaled_speed(std::string const& net, Architecture const& a, int T, char const* dataset) const {
    DataSet const& set = find_data_set(dataset);
    for (Entry const& e : compiled_networks()) {
      if (e.net() != net || e.depth != a.depth || e.widen != a.widen || e.steps != T ||
          e.shape != set.shape || e.classes != set.classes)
        continue;
      double const own = static_cast<double>(e.make()->multiply_adds());
      double nearest = std::numeric_limits<double>::infinity(), speed = 0;
      for (auto const& [key, run] : summaries_) {
        double const distance = std::abs(std::log(run.multiply_adds / own));
        if (distance >= nearest) continue;
        nearest = distance;
        speed = run.images_per_second * run.multiply_adds / own;
      }
      return speed;
    }
    return 0;
  }

  void print_line(std::string const& title, char const* dataset, std::string const& figure, int T,
                  std::string const& net, Architecture const& a) const {
    std::string options = message("--net ", net, " --depth ", a.depth);
    std::string folder = message(dataset, '-', net, '-', a.depth);
    if (a.widen != 1) options += message(" --widen ", a.widen), folder += message('-', a.widen);
    if (T > 0) options += message(" --steps ", T), folder += message("-T", T);
    std::printf("  %-26s %-8s  %2s   %-14s  %s\n", title.c_str(), dataset,
                T > 0 ? std::to_string(T).c_str() : "-", figure.c_str(), ours(net, a, T, dataset).c_str());
    std::printf("      detrame-experiment train %s --dataset %s --data DIR --out %s/%s\n", options.c_str(),
                dataset, choices_.results.empty() ? "results" : choices_.results.c_str(), folder.c_str());
  }

  TableChoices const& choices_;
  std::multimap<std::string, Summary> summaries_;
};

void print_table3(Rows const& rows) {
  std::printf("Table 3. Accuracy %%: against deep dictionary learning [27] (* as [27] reports it)\n\n");
  for (auto const& row : published::table3)
    std::printf("  %-22s %5.*s   cifar10 %-14s  cifar100 %s\n", std::string(row.title).c_str(),
                static_cast<int>(row.parameters.size()), row.parameters.data(),
                Rows::text(row.cifar10, row.mark).c_str(), Rows::text(row.cifar100, row.mark).c_str());
  Architecture const& nine = published::table4[2];
  for (char const* const dataset : {"cifar10", "cifar100"})
    std::printf("  ours, %-8s  PlainNet 9-layer: %s; DeTraMe-Net 9: %s\n", dataset,
                rows.ours("plainnet", nine, 0, dataset).c_str(),
                rows.ours("detrame-plainnet", nine, 2, dataset).c_str());
  std::printf("  The commands are those of the 9-layer networks in Table 4.\n\n");
}

void print_table4(Rows const& rows) {
  std::printf("Table 4. Accuracy %% on the test images\n\n  %-26s %-8s  %2s   %-14s  %s\n", "network", "data",
              "T", "paper", "ours");
  auto const both = [&](Architecture const& a, char const* dataset, Twins const& twins) {
    if (twins.T == 0) return;
    rows.print(a, dataset, twins.original, 0);
    rows.print(a, dataset, twins.twin, twins.T);
  };
  for (Architecture const& a : published::table4) {
    both(a, "cifar10", a.cifar10);
    both(a, "cifar100", a.cifar100);
    both(a, "svhn", a.svhn);
  }
}

/// Seconds of training and of testing an image, the paper's beside ours.
void print_times(Rows const& rows) {
  std::printf("\nTable 5. Seconds for one image (* averaged from what [27] reports)\n\n");
  for (auto const& row : published::table5)
    std::printf("  %-16s %6.*s   training %.4f%-2.*s testing %.2e%.*s\n", std::string(row.title).c_str(),
                static_cast<int>(row.parameters.size()), row.parameters.data(), row.training,
                static_cast<int>(row.mark.size()), row.mark.data(), row.testing,
                static_cast<int>(row.mark.size()), row.mark.data());
  std::printf(
      "  0.1605 s is all of the training, 8023.02 s in Table 7, over 50,000 images. 2.4 M is the plain "
      "network's count.\n"
      "  ours: detrame-experiment depth --checkpoint .../model.safetensors --data DIR\n\n"
      "Table 7. cifar10: seconds of training, 1e-4 s of testing an image\n\n"
      "  %-18s %10s %10s %9s %9s   ours, seconds of training: original, DeTraMe\n",
      "network", "original", "DeTraMe", "original", "DeTraMe");
  for (std::size_t i = 0; i < published::table7.size(); ++i) {
    auto const& t = published::table7[i];
    Architecture const& a = published::table4[i];
    auto const seconds = [&](std::string const& net, int T) {
      auto const runs = rows.runs(net, a, T, "cifar10");
      return runs.empty() ? std::string("not run here")
                          : message(std::round(runs[0].seconds), " (", runs[0].epochs, " epochs)");
    };
    std::printf("  %-18s %10.2f %10.2f %9.2f %9.2f   %s, %s\n", std::string(t.title).c_str(), t.training,
                t.training_twin, t.testing, t.testing_twin, seconds(std::string(a.family), 0).c_str(),
                seconds("detrame-" + std::string(a.family), a.cifar10.T).c_str());
  }
}

void print_figure2() {
  std::printf(
      "\nFigure 2. Accuracy %% against parameters, of the networks of Table 4 that are compiled in\n\n");
  std::printf("  %-20s %-8s  %12s %8s   %12s %8s\n", "network", "data", "parameters", "paper", "DeTraMe",
              "paper");
  auto const count = [](Architecture const& a, char const* dataset, int T) {
    DataSet const& set = find_data_set(dataset);
    for (Entry const& e : compiled_networks())
      if (e.family == a.family && e.depth == a.depth && e.widen == a.widen && e.steps == T &&
          e.shape == set.shape && e.classes == set.classes)
        return std::to_string(trained_count(*e.make()));
    return std::string("-");
  };
  for (Architecture const& a : published::table4)
    for (auto const& [dataset, twins] :
         {std::pair("cifar10", a.cifar10), std::pair("cifar100", a.cifar100), std::pair("svhn", a.svhn)})
      if (twins.T > 0)
        std::printf("  %-20s %-8s  %12s %8.2f   %12s %8.2f\n", std::string(a.title).c_str(), dataset,
                    count(a, dataset, 0).c_str(), twins.original.mean, count(a, dataset, twins.T).c_str(),
                    twins.twin.mean);
}

}  // namespace

void print_tables(TableChoices const& choices) {
  Rows const rows(choices);
  print_table3(rows);
  print_table4(rows);
  print_times(rows);
  print_figure2();
}

}  // namespace experiment
