// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <algorithm>
#include <charconv>

#include "detrame/backend/cpu/cpu.hpp"
#include "detrame/io/metadata.hpp"
#include "ranges.hpp"
#include "text.hpp"

namespace experiment {

std::string data_set_text() {
  std::string text = "folder with the data: ";
  for (DataSet const& set : data_sets())
    text += "\n  " + std::string(set.name) + ": " + std::string(set.files);
  return text;
}

CLI::Validator in_range(std::string const& option) {
  return CLI::Validator(
      [option](std::string const& text) {
        double value = 0;
        char const* const last = text.data() + text.size();
        auto const [end, error] = std::from_chars(text.data(), last, value);
        return error == std::errc() && end == last ? range_error(option, value)
                                                   : text + " is not a number " + range_text(option);
      },
      range_text(option));
}

CLI::Validator is_seed() {
  return CLI::Validator(
      [](std::string const& text) {
        auto const one = seeds_in(text);
        return one && one->size() == 1 ? "" : text + " is not a whole number in [0, 2^64)";
      },
      "");
}

CLI::Validator list_in_range(std::string const& option) {
  return CLI::Validator([option](std::string const& text) { return range_error(option, text); }, "");
}

void add_seeds(CLI::App& app, std::uint64_t& seed, std::vector<std::uint64_t>& seeds,
               std::string const& seed_text, std::string const& seeds_text) {
  app.add_option("--seed", seed, seed_text)->check(is_seed())->capture_default_str();
  app.add_option_function<std::string>(
         "--seeds", [&seeds](std::string const& text) { seeds = *seeds_in(text); },
         "1..5 or 1,4,7: " + seeds_text)
      ->check(list_in_range("seeds"))
      ->excludes("--seed");
}

namespace {

/// "60 (digits, mnist); 200 (cifar10)": the rows' names by what they have, each once.
template <class Rows, class Has, class Name>
std::string grouped(Rows const& rows, Has const& has, Name const& name) {
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;
  for (auto const& row : rows) {
    std::string const text = has(row), one = name(row);
    auto group = std::find_if(groups.begin(), groups.end(), [&](auto const& g) { return g.first == text; });
    if (group == groups.end()) group = groups.insert(group, {text, {}});
    auto& names = group->second;
    if (std::find(names.begin(), names.end(), one) == names.end()) names.push_back(one);
  }
  std::string all;
  for (auto const& [text, names] : groups) {
    all += (all.empty() ? "" : "; ") + text;
    for (std::string const& one : names) all += (one == names[0] ? " (" : ", ") + one;
    all += ")";
  }
  return all;
}

/// What the data sets have in a column of their table.
template <class Column>
std::string by_data_set(Column const& column) {
  return grouped(data_sets(), column, [](DataSet const& set) { return std::string(set.name); });
}

std::string falls_text(DataSet const& set) {
  return "times " + number_text(set.factor) + " after " + joined(set.shares, ", ");
}

/// How the rate falls, and where it goes on otherwise.
void add_schedule(CLI::App& app, Settings& s) {
  app.add_option("--epochs", s.epochs,
                 "how many: " + by_data_set([](DataSet const& set) { return number_text(set.epochs); }))
      ->check(in_range("epochs"));
  app.add_option("--lr", s.rate, "first rate: " + by_data_set([](DataSet const& set) {
                                   return number_text(set.rate);
                                 }) + "; of adamw 0.001")
      ->check(in_range("lr"));
  app.add_option("--schedule", s.schedule,
                 "how the rate falls: in steps, at shares of the epochs: " + by_data_set(falls_text) +
                     "; or by half a cosine to 0")
      ->check(CLI::IsMember(choices("schedule")))
      ->capture_default_str();
  app.add_option("--schedule-epochs", s.schedule_epochs, "epochs that the schedule is made for (--epochs)")
      ->check(in_range("schedule-epochs"));
  app.add_option("--warm-up", s.warm_up,
                 "epochs, or a part of one, in which the rate grows from a tenth of it")
      ->check(in_range("warm-up"))
      ->capture_default_str();
  app.add_flag(
         "--reschedule", s.reschedule,
         "with --resume: from here on a new schedule, of --epochs, --lr, --schedule, --schedule-epochs and "
         "--warm-up, which count from the first epoch of all")
      ->needs("--resume");
}

void add_optimiser(CLI::App& app, Settings& s) {
  app.add_option("--optimiser", s.optimiser, "sgd, with momentum, or adamw (arXiv 1711.05101)")
      ->check(CLI::IsMember(choices("optimiser")))
      ->capture_default_str();
  app.add_option("--batch", s.batch, "images in a batch")->check(in_range("batch"))->capture_default_str();
  app.add_flag("--drop-last", s.drop_last, "leave out the last batch of an epoch where it has less images");
  app.add_option("--momentum", s.momentum, "of SGD, in [0, 1)")
      ->check(in_range("momentum"))
      ->capture_default_str();
  app.add_flag("--nesterov", s.nesterov, "Nesterov's momentum, of SGD");
  app.add_option("--weight-decay", s.weight_decay, "of SGD; beside the rate for adamw, where it is 0.01")
      ->check(in_range("weight-decay"))
      ->capture_default_str();
  app.add_option("--decays", s.decays, "what decays: all parameters, or weights (W and W~) alone")
      ->check(CLI::IsMember(choices("decays")))
      ->capture_default_str();
  app.add_option("--clip", s.clip, "the largest norm of a gradient, beyond which it is scaled; 0: any")
      ->check(in_range("clip"))
      ->capture_default_str();
}

void add_start(CLI::App& app, Settings& s) {
  app.add_option(
         "--initialiser", s.initialiser,
         "relu (W~ = 0, so that a Q-metric ReLU is a ReLU) or random (W~ normal); he or glorot: relu, "
         "with W by their laws; algorithm2: all at random")
      ->check(CLI::IsMember(choices("initialiser")))
      ->capture_default_str();
  app.add_option(
         "--from", s.from_file,
         "a model to start from, in place of --initialiser: its parameters by name and shape, with any T")
      ->excludes("--initialiser");
  app.add_option("--from-checksum", s.from_checksum, "refuse --from where it has another (that is printed)")
      ->needs("--from");
  add_seeds(app, s.seed, s.seeds, "of the start, the order, crops and dropout",
            "a run of each seed, in folders seed-1 ... of --out; then mean and deviation");
}

}  // namespace

void add_network(CLI::App& app, Settings& s) {
  app.add_option(
         "--net", s.net,
         "the network: detrame-... has a Q-metric ReLU in place of ReLU, deepened-... one more convolution")
      ->check(CLI::IsMember(choices("net")))
      ->capture_default_str();
  app.add_option(
         "--depth", s.depth,
         "number of layers: " + grouped(
                                    compiled_networks(), [](Entry const& e) { return std::string(e.family); },
                                    [](Entry const& e) { return number_text(e.depth); }))
      ->capture_default_str();
  app.add_option("--widen", s.widen, "how many times as many channels, for wideresnet")
      ->capture_default_str();
  app.add_option("--steps", s.steps,
                 "T, the updates of each Q-metric ReLU (2 for detrame-...; 3 for detrame-deep-dictionary)")
      ->check(in_range("steps"));
  app.add_option("--dataset", s.dataset, "the data")
      ->check(CLI::IsMember(choices("dataset")))
      ->capture_default_str();
}

void add_training(CLI::App& app, Settings& s) {
  add_network(app, s);
  app.add_option("--data", s.data, data_set_text());
  app.add_option("--out", s.out, "folder for checkpoints and results (required)");
  app.add_flag(
      "--resume", s.resume,
      "go on from the latest checkpoint in --out, with the settings that it has, to --epochs where they are "
      "given; where there is none, start");
  add_schedule(app, s);
  add_optimiser(app, s);
  add_start(app, s);
  app.add_option("--limit", s.limit, "the first N training images alone; 0: all")
      ->check(in_range("limit"))
      ->capture_default_str();
  app.add_option("--save-every", s.save_every,
                 "a checkpoint every N batches, besides those after each epoch and every 10 minutes; changes "
                 "no result")
      ->check(in_range("save-every"));
}

void add_place(CLI::App& app, Place& place) {
  place.threads = Cpu<float>::available_threads();
  app.add_option("--device", place.device, "what computes; results agree to rounding")
      ->check(CLI::IsMember(choices("device")))
      ->capture_default_str();
  app.add_option("--threads", place.threads, "threads of the CPU that compute; results do not depend on it")
      ->check(in_range("threads"))
      ->capture_default_str();
}

}  // namespace experiment
