// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdio>
#include <tuple>
#include <vector>

#include "inspect.hpp"
#include "perturbations.hpp"
#include "protocol.hpp"
#include "published.hpp"
#include "quoted.hpp"
#include "runs.hpp"
#include "text.hpp"

namespace experiment {

namespace {

using published::Accuracy;
using published::Architecture;
using published::Twins;

Row row_of(Architecture const& a, char const* dataset, int T) {
  return {(T > 0 ? "detrame-" : "") + std::string(a.family), a.depth, a.widen, T, dataset};
}

/// Deep dictionary learning: [27]'s schedule is not known, so that runs with any settings are shown, with
/// what they are.
bool is_deep_dictionary(Row const& row) { return row.net.ends_with("deep-dictionary"); }

Entry const* compiled(Row const& row) {
  DataSet const& set = find_data_set(row.dataset);
  for (Entry const& e : compiled_networks())
    if (e.net() == row.net && e.depth == row.depth && e.widen == row.widen && e.steps == row.T &&
        e.shape == set.shape && e.classes == set.classes)
      return &e;
  return nullptr;
}

/// The networks of the tables: their commands, and what came out here.
class Rows {
 public:
  explicit Rows(TableChoices const& choices) : choices_(choices) {
    if (!choices.results.empty()) runs_ = read_runs(choices.results);
    for (Run& run : runs_.all)
      if (run.multiply_adds == 0)
        if (Entry const* const e = compiled({run.net, run.depth, run.widen, run.steps, run.dataset}))
          run.multiply_adds = static_cast<double>(e->make()->multiply_adds());
  }

  /// The paper's, "-" for no figure.
  static std::string text(Accuracy const& a, std::string_view mark = "") {
    if (a.mean == 0) return "-";
    return a.deviation > 0 ? mean_text(a.mean, a.deviation) : formatted("%.2f", a.mean) + std::string(mark);
  }

  std::vector<Run> runs(Row const& row) const { return best_runs(runs_.all, row, is_deep_dictionary(row)); }

  /// "80.79 (1 seed, 8 of 200 epochs)", or what stands in for it.
  std::string ours(Row const& row) const {
    auto const found = runs(row);
    return found.empty() ? not_run(row) : accuracy_text(found);
  }

  /// "not run here: 27.8 hours at 100 images/s"
  std::string not_run(Row const& row) const {
    double const speed = choices_.images_per_second > 0 ? choices_.images_per_second : scaled_speed(row);
    if (!(speed > 0)) return "not run here";
    double const hours = protocol::training_of(row.dataset).hours(speed);
    return "not run here: " + formatted(hours < 1e6 ? "%.1f" : "%.3g", hours) + " hours at " +
           formatted(speed < 100 ? "%.3g" : "%.0f", speed) + " images/s";
  }

  /// What hours are told by.
  void print_longest() const {
    if (choices_.images_per_second > 0) return;
    for (bool const exact : {false, true})
      if (Run const* const run = longest(runs_.all, exact))
        std::printf(
            "Hours of %s are of all epochs at the multiply-adds a second of the longest run here: %s, %s, "
            "depth %d, T = %d,\n%.0f images/s of %.0f each.\n",
            exact ? "exact dictionaries" : "what was not run", run->dataset.c_str(), run->net.c_str(),
            run->depth, run->steps, run->images_per_second, run->multiply_adds);
    if (!runs_.all.empty()) std::printf("\n");
  }

  /// Seconds of training, with the epochs that they are of.
  std::string training_seconds(Row const& row) const {
    auto const found = runs(row);
    if (found.empty()) return not_run(row);
    return message(std::round(training_seconds(found[0])),
                   found[0].processor_seconds > 0 ? " processor s (" : " s (", found[0].epochs, " epochs)");
  }
  /// Those that say how long it takes.
  static double training_seconds(Run const& run) {
    return run.processor_seconds > 0 ? run.processor_seconds : run.seconds;
  }

  /// Seconds of testing an image in some unit; "-" where no run says them.
  std::string testing_seconds(Row const& row, char const* format, double unit) const {
    for (Run const& run : runs(row))
      if (run.test_seconds > 0) return formatted(format, run.test_seconds / unit);
    return "-";
  }

  std::string command(Row const& row) const {
    std::string options = message("--net ", row.net, " --depth ", row.depth);
    std::string folder = message(row.dataset, '-', row.net, '-', row.depth);
    if (row.widen != 1) options += message(" --widen ", row.widen), folder += message('-', row.widen);
    if (row.T > 0) options += message(" --steps ", row.T), folder += message("-T", row.T);
    auto const out = choices_.results.empty() ? std::filesystem::path("results") : choices_.results;
    return message("detrame-experiment train ", options, " --dataset ", row.dataset, " --data DIR --out ",
                   shell_quoted((out / folder).string()));
  }

  void print(std::string const& title, Row const& row, std::string const& figure) const {
    std::printf("  %-26s %-8s  %2s   %-14s  %s\n      %s\n", title.c_str(), row.dataset.c_str(),
                row.T > 0 ? std::to_string(row.T).c_str() : "-", figure.c_str(), ours(row).c_str(),
                command(row).c_str());
  }

  void print_left_out() const {
    if (runs_.left_out.empty()) return;
    std::printf("\nLeft out, since their names say no network of a table, or other settings:\n");
    for (std::string const& name : runs_.left_out) std::printf("  %s\n", name.c_str());
  }

 private:
  /// That of the longest run, scaled by multiply-adds; 0 where that cannot be said.
  double scaled_speed(Row const& row) const {
    Entry const* const e = compiled(row);
    Run const* const run = longest(runs_.all, is_deep_dictionary(row) && row.T == 0);
    if (e == nullptr || run == nullptr) return 0;
    return run->images_per_second * run->multiply_adds / static_cast<double>(e->make()->multiply_adds());
  }

  TableChoices const& choices_;
  Runs runs_;
};

/// The deep dictionary that stands for [27], and the same with W~, h and b freed.
void print_deep_dictionary(Rows const& rows, int depth, char const* dataset, std::string const& figure) {
  rows.print("DDL, exact", {"deep-dictionary", depth, 1, 0, dataset}, figure);
  rows.print("DDL, freed", {"detrame-deep-dictionary", depth, 1, 3, dataset}, "-");
}

void print_table3(Rows const& rows) {
  std::printf("Table 3. Accuracy %%: against deep dictionary learning [27] (* as [27] reports it)\n\n");
  for (auto const& row : published::table3)
    std::printf("  %-22s %5.*s   cifar10 %-14s  cifar100 %s\n", std::string(row.title).c_str(),
                static_cast<int>(row.parameters.size()), row.parameters.data(),
                Rows::text(row.cifar10, row.mark).c_str(), Rows::text(row.cifar100, row.mark).c_str());
  std::printf("\n  %-26s %-8s  %2s   %-14s  %s\n", "network", "data", "T", "paper", "ours");
  Architecture const& nine = published::table4[2];
  for (auto const& [dataset, twins, ddl] :
       {std::tuple("cifar10", nine.cifar10, published::table3[1].cifar10),
        std::tuple("cifar100", nine.cifar100, published::table3[1].cifar100)}) {
    rows.print("PlainNet 9-layer", row_of(nine, dataset, 0), Rows::text(twins.original));
    print_deep_dictionary(rows, 9, dataset, Rows::text(ddl, "*"));
    rows.print("DeTraMe-Net 9", row_of(nine, dataset, twins.T), Rows::text(twins.twin));
  }
  std::printf(
      "\n  DDL: a reading of [27] with these widths. Freed: the same network with W~, h and b of its own, to "
      "be "
      "started\n  from the exact one with --from; other T: --steps.\n\n");
}

void print_table4(Rows const& rows) {
  std::printf("Table 4. Accuracy %% on the test images\n\n  %-26s %-8s  %2s   %-14s  %s\n", "network", "data",
              "T", "paper", "ours");
  auto const both = [&](Architecture const& a, char const* dataset, Twins const& twins) {
    if (twins.T == 0) return;
    std::string const title(a.title);
    rows.print(title, row_of(a, dataset, 0), Rows::text(twins.original));
    rows.print(title + " DeTraMe", row_of(a, dataset, twins.T), Rows::text(twins.twin));
  };
  for (Architecture const& a : published::table4) {
    both(a, "cifar10", a.cifar10);
    both(a, "cifar100", a.cifar100);
    both(a, "svhn", a.svhn);
  }
}

/// Seconds of training and of testing an image, the paper's beside ours.
void print_table5(Rows const& rows) {
  std::printf("\nTable 5. Seconds for one image (* averaged from what [27] reports)\n\n");
  for (auto const& row : published::table5)
    std::printf("  %-16s %6.*s   training %.4f%-2.*s testing %.2e%.*s\n", std::string(row.title).c_str(),
                static_cast<int>(row.parameters.size()), row.parameters.data(), row.training,
                static_cast<int>(row.mark.size()), row.mark.data(), row.testing,
                static_cast<int>(row.mark.size()), row.mark.data());
  std::printf(
      "  0.1605 s is all of the training, 8023.02 s in Table 7, over 50,000 images. 2.4 M is the plain "
      "network's count.\n\n  ours: training in all over the images, testing\n");
  for (Row const& row :
       {Row{"deep-dictionary", 4, 1, 0, "mnist"}, Row{"detrame-deep-dictionary", 4, 1, 3, "mnist"},
        row_of(published::table4[3], "cifar10", 2)}) {
    auto const found = rows.runs(row);
    std::string const training =
        found.empty() ? rows.not_run(row)
                      : message(formatted("%.4f", Rows::training_seconds(found[0]) / found[0].train_images),
                                " (", found[0].epochs, " epochs of ", found[0].train_images, " images)");
    std::printf("  %-26s %-8s  training %s, testing %s\n      %s\n", row.net.c_str(), row.dataset.c_str(),
                training.c_str(), rows.testing_seconds(row, "%.2e", 1).c_str(), rows.command(row).c_str());
  }
}

void print_table7(Rows const& rows) {
  std::printf(
      "\nTable 7. cifar10: seconds of training, 1e-4 s of testing an image; ours below, by the commands of "
      "Table 4 (\"-\": not\nmeasured; of any model, evaluate --checkpoint prints images/s)\n\n  %-20s %10s "
      "%10s   %9s %9s\n",
      "network", "original", "DeTraMe", "original", "DeTraMe");
  for (std::size_t i = 0; i < published::table7.size(); ++i) {
    auto const& t = published::table7[i];
    Architecture const& a = published::table4[i];
    Row const original = row_of(a, "cifar10", 0), twin = row_of(a, "cifar10", a.cifar10.T);
    std::printf("  %-20s %10.2f %10.2f   %9.2f %9.2f\n", std::string(t.title).c_str(), t.training,
                t.training_twin, t.testing, t.testing_twin);
    std::printf("      ours: original %s, testing %s; DeTraMe %s, testing %s\n",
                rows.training_seconds(original).c_str(), rows.testing_seconds(original, "%.2f", 1e-4).c_str(),
                rows.training_seconds(twin).c_str(), rows.testing_seconds(twin, "%.2f", 1e-4).c_str());
  }
}

void print_figure2(Rows const& rows) {
  std::printf(
      "\nFigure 2. Accuracy %% against parameters, of the networks of Table 4; the number of parameters, of "
      "those "
      "that are\ncompiled in; commands are Table 4's\n\n");
  std::printf("  %-26s %-8s  %12s %8s   %s\n", "network", "data", "parameters", "paper", "ours");
  auto const line = [&](std::string const& title, Row const& row, double paper) {
    Entry const* const e = compiled(row);
    std::printf("  %-26s %-8s  %12s %8.2f   %s\n", title.c_str(), row.dataset.c_str(),
                e ? std::to_string(trained_count(*e->make())).c_str() : "-", paper, rows.ours(row).c_str());
  };
  for (Architecture const& a : published::table4)
    for (auto const& [dataset, twins] :
         {std::pair("cifar10", a.cifar10), std::pair("cifar100", a.cifar100), std::pair("svhn", a.svhn)})
      if (twins.T > 0) {
        line(std::string(a.title), row_of(a, dataset, 0), twins.original.mean);
        line(std::string(a.title) + " DeTraMe", row_of(a, dataset, twins.T), twins.twin.mean);
      }
}

}  // namespace

void print_tables(TableChoices const& choices) {
  Rows const rows(choices);
  auto const perturbed = choices.results.empty() ? std::vector<Perturbed>() : read_perturbed(choices.results);
  rows.print_longest();
  print_table3(rows);
  print_table4(rows);
  print_table5(rows);
  print_table6(perturbed);
  print_table7(rows);
  print_figure2(rows);
  print_figures_3_and_4(perturbed);
  rows.print_left_out();
}

}  // namespace experiment
