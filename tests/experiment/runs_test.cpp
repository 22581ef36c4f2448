// SPDX-License-Identifier: Apache-2.0
#include "../../examples/experiment/runs.cpp"

#include "../../examples/experiment/perturbations.cpp"
#include "../../examples/experiment/quoted.cpp"
#include "../../examples/experiment/ranges.cpp"
#include "mutated_file.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;
using namespace experiment;

namespace {

/// What the runner writes of a run, with some values changed.
std::string summary(Json const& changes = {}, Json const& settings = {}) {
  Json json = Json::parse(R"({
    "finished": true, "command": "",
    "settings": {"net": "resnet", "depth": 8, "widen": 1, "steps": 0, "dataset": "cifar10", "epochs": 200,
                 "lr": 0.1, "batch": 128, "momentum": 0.9, "weight-decay": 0.0005, "decays": "all",
                 "initialiser": "relu", "seed": 3, "limit": 0, "device": "cpu"},
    "train_images": 50000, "test_images": 10000, "parameters": 75290, "multiply_adds": 12239488,
    "epochs_done": 200, "test_accuracy": 0.8686, "seconds": 5698.5, "images_per_second": 1754.8})");
  if (!changes.is_null()) json.merge_patch(changes);
  if (!settings.is_null()) json.at("settings").merge_patch(settings);
  return json.dump();
}

void write_text(std::filesystem::path const& file, std::string const& text) {
  std::filesystem::create_directories(file.parent_path());
  write_bytes(file, Bytes(text.begin(), text.end()));
}

std::string const header =
    "epoch,rate,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds";

}  // namespace

TEST_CASE(
    "runs: of folders, of folders in them, and of summaries under other names; what else is there is not "
    "read") {
  TemporaryFolder const folder("runs");
  write_text(folder / "a/seed-1/summary.json", summary({{"test_seconds_an_image", .25}}));
  write_text(folder / "a/seed-1/epochs.csv", header + "\n1,.1,1,.5,1,.5,1000,50\n");
  write_text(folder / "b.json", summary({{"test_accuracy", .5}}));
  write_text(folder / "b.csv", header + "\n1,.1,1,.5,1,.5,1000,50\n");  // the summary says more
  write_text(folder / "other.json", "{\"a\": 1}");
  write_text(folder / "other.csv", "x,y\n1,2\n");
  Runs const runs = read_runs(folder.path());
  REQUIRE(runs.all.size() == 2);
  CHECK(runs.left_out.empty());
  Run const& a = runs.all[0];
  CHECK(a.net == "resnet");
  CHECK(a.depth == 8);
  CHECK(a.widen == 1);
  CHECK(a.steps == 0);
  CHECK(a.dataset == "cifar10");
  CHECK(a.seed == "3");
  CHECK(a.others.empty());
  CHECK(a.finished);
  CHECK(a.epochs == 200);
  CHECK(a.accuracy == .8686);
  CHECK(a.train_images == 50000);
  CHECK(a.seconds == 5698.5);
  CHECK(a.images_per_second == 1754.8);
  CHECK(a.multiply_adds == 12239488);
  CHECK(a.test_seconds == .25);
  CHECK(runs.all[1].accuracy == .5);
  CHECK(runs.all[1].test_seconds == 0);
}

TEST_CASE(
    "runs: of one that had its processors for less than four fifths of its time processor seconds count") {
  TemporaryFolder const folder("busy");
  for (double const processor : {9200., 9000.}) {
    write_text(folder / "summary.json",
               summary({{"test_seconds_an_image", .25}, {"threads", 2}, {"processor_seconds", processor}}));
    Run const run = read_runs(folder.path()).all[0];
    bool const busy = processor < .8 * 2 * 5698.5;
    CHECK(run.processor_seconds == (busy ? processor : 0));
    CHECK(run.test_seconds == (busy ? 0 : .25));
  }
}

TEST_CASE("runs: what differs from the protocol is told, but for the number of epochs, seed and device") {
  TemporaryFolder const folder("runs");
  auto const others = [&](Json const& settings) {
    write_text(folder / "summary.json", summary({}, settings));
    return read_runs(folder.path()).all.at(0).others;
  };
  CHECK(others({{"epochs", 8}, {"seed", 1}, {"device", "cuda"}}) == "");
  CHECK(others({{"lr", .02}}) == "--lr 0.02");
  CHECK(others({{"initialiser", "random"}, {"limit", 10000}}) == "--initialiser random --limit 10000");
  CHECK(others({{"dataset", "svhn"}}) == "--lr 0.1 on 50000 images");  // .01, 604388 are the protocol's
  write_text(folder / "summary.json", summary({{"train_images", 73257}}, {{"dataset", "svhn"}, {"lr", .01}}));
  CHECK(read_runs(folder.path()).all.at(0).others == "on 73257 images");
  char const* const went_on = "train --out F --epochs 5 && train --out F --resume --epochs 200";
  write_text(folder / "summary.json", summary({{"command", went_on}}));
  CHECK(read_runs(folder.path()).all.at(0).others == "");
  write_text(folder / "summary.json", summary({{"command", message(went_on, " --reschedule")}}));
  CHECK(read_runs(folder.path()).all.at(0).others == "--reschedule");
}

TEST_CASE(
    "runs: epochs alone count where the name says the network, and rate and images are the protocol's") {
  TemporaryFolder const folder("runs");
  std::string const epochs =
      header + ",processor_seconds\n1,0.1,2,.25,2,.375,1000,50,90\n2,0.1,1,.5,1,.5,1000,50,90\n";
  write_text(folder / "cifar10-detrame-wideresnet-16-4-T3-seed2.csv", epochs);
  write_text(folder / "cifar10-resnet8-seed1.csv", epochs);
  write_text(folder / "cifar10-milestones246-resnet8-seed1.csv", epochs);
  write_text(folder / "svhn-resnet8.csv", epochs);
  Runs const runs = read_runs(folder.path());
  REQUIRE(runs.all.size() == 3);
  CHECK(runs.left_out == std::vector<std::string>{"cifar10-milestones246-resnet8-seed1.csv"});
  Run const& wide = runs.all[0];
  CHECK(wide.net == "detrame-wideresnet");
  CHECK(wide.depth == 16);
  CHECK(wide.widen == 4);
  CHECK(wide.steps == 3);
  CHECK(wide.seed == "2");
  CHECK(wide.dataset == "cifar10");
  CHECK(wide.others.empty());
  CHECK(wide.epochs == 2);
  CHECK(wide.accuracy == .5);
  CHECK(wide.train_images == 50000);
  CHECK(wide.seconds == 100);
  CHECK(wide.images_per_second == 1000);
  CHECK(runs.all[1].depth == 8);
  CHECK(runs.all[1].widen == 1);
  CHECK(runs.all[1].steps == 0);
  CHECK(runs.all[2].others == "--lr 0.1 --limit 50000");
  write_text(folder / "svhn-resnet8.csv", header + "\n1,0.01,2,.25,2,.375,1000,50\n");
  CHECK(read_runs(folder.path()).all.at(2).others == "--limit 50000");
  for (char const* const line : {"1,0.1,2,.25,2", "1,0.1,2,.25,2,.375,1000,x", "1,0.1,2,.25,2,1.5,1000,50",
                                 "1e300,0.1,2,.25,2,.5,1000,50", "1,0.1,2,.25,2,nan,1000,50"}) {
    write_text(folder / "cifar10-resnet8-seed1.csv", header + "\n" + line + "\n");
    check_throws_with<FormatError>([&] { read_runs(folder.path()); },
                                   "cifar10-resnet8-seed1.csv: expected lines of");
  }
}

TEST_CASE("runs: numbers of a summary that cannot be are refused before they are cast, with the file") {
  TemporaryFolder const folder("runs");
  auto const refuses = [&](std::string const& text, std::string const& expected) {
    write_text(folder / "summary.json", text);
    check_throws_with<FormatError>([&] { read_runs(folder.path()); },
                                   "summary.json: expected the summary of a run, found");
    check_throws_with<FormatError>([&] { read_runs(folder.path()); }, expected);
  };
  refuses(summary({}, {{"depth", 1e300}}), "depth: 1e+300 is not in [0, 1e+09]");
  refuses(summary({}, {{"depth", -1}}), "depth: -1 is not in");
  refuses(summary({}, {{"steps", .5}}), "steps: 0.5 is not whole");
  refuses(summary({{"epochs_done", 1e18}}), "epochs_done: 1e+18 is not in");
  refuses(summary({{"test_accuracy", 1.5}}), "test_accuracy: 1.5 is not in [0, 1]");
  refuses(summary({{"seconds", -1}}), "seconds: -1 is not in");
  refuses(summary({{"seconds", "long"}}), "found: [json");
  refuses(summary({}, {{"dataset", "none"}}), "--dataset none: must be one of");
  refuses(summary() + '\0' + "more", "found a byte 00");
  refuses("{", "found: [json");
  check_throws_with<FormatError>([&] { read_runs(folder / "none"); }, "none: expected a folder, found none");
}

TEST_CASE("runs: the longest did most multiply-adds; exact dictionaries are compared among themselves") {
  auto const run = [](char const* net, int epochs, double images, double multiply_adds) {
    Run one{};
    one.net = net, one.epochs = epochs, one.train_images = images, one.multiply_adds = multiply_adds;
    one.images_per_second = 10;
    return one;
  };
  std::vector<Run> runs{run("resnet", 8, 500, 12),         run("resnet", 200, 500, 12),
                        run("plainnet", 60, 14, 346),      run("deep-dictionary", 9, 5, 1e9),
                        run("deep-dictionary", 9, 6, 1e9), run("resnet", 300, 1e6, 0),
                        run("resnet", 300, 1e6, 12)};
  runs.back().images_per_second = 0;
  CHECK(longest(runs, false) == &runs[1]);
  CHECK(longest(runs, true) == &runs[4]);
  CHECK(longest({runs[5]}, false) == nullptr);
}

TEST_CASE("runs: of a row, those of the protocol with the most epochs, one a seed, as mean and deviation") {
  Row const row{"resnet", 8, 1, 0, "cifar10"};
  Run run{};
  run.net = "resnet", run.depth = 8, run.widen = 1, run.dataset = "cifar10";
  run.finished = true, run.train_images = 50000;
  auto const with = [&](char const* seed, int epochs, double accuracy, char const* others = "") {
    Run other = run;
    other.seed = seed, other.epochs = epochs, other.accuracy = accuracy, other.others = others;
    return other;
  };
  std::vector<Run> runs{with("1", 8, .7), with("2", 200, .81), with("3", 200, .83), with("3", 200, .99)};
  runs.push_back(with("4", 200, .9, "--lr 0.02"));
  runs.push_back(with("5", 300, .9));
  runs.back().finished = false;
  runs.push_back(with("6", 300, .9));
  runs.back().steps = 3;
  runs.push_back(with("7", 300, .9));
  runs.back().dataset = "cifar100";
  CHECK(accuracy_text(best_runs(runs, row)) == "82.00 +- 1.41 (2 seeds, 200 of 200 epochs)");
  CHECK(accuracy_text({with("1", 8, 0)}) == "0.00 (1 seed, 8 of 200 epochs)");
  CHECK(best_runs(runs, {"resnet", 20, 1, 0, "cifar10"}).empty());

  runs = {with("1", 2, .4, "--batch 32"), with("2", 2, .5, "--limit 10000"), with("3", 2, .6, "--batch 32")};
  runs[1].train_images = 10000;
  CHECK(best_runs(runs, row).empty());
  CHECK(accuracy_text(best_runs(runs, row, true)) == "50.00 +- 14.14 (2 seeds, 2 of 200 epochs, --batch 32)");
  std::swap(runs[0], runs[1]);
  CHECK(best_runs(runs, row, true).size() == 2);
}

TEST_CASE(
    "runs: summaries of attacks, of noise and of certificates are no runs; theirs are the means over seeds "
    "and models") {
  TemporaryFolder const folder("perturbed");
  auto const attacked = [](char const* model, double changed, char const* units = "pixels",
                           char const* options = "") {
    return Json::parse(
               message(R"({"perturbation": "universal", "net": "resnet", "depth": 8, "widen": 1, "steps": 0,
      "dataset": "cifar10", "checksum": ")",
                       model, R"(", "options": ")", options, R"(", "rows": [{"p": "inf", "units": ")", units,
                       R"(", "xi": 0.05, "seed": 1, "images": 10000, "changed": )", changed,
                       R"(, "changed_random": 0.01}]})"))
        .dump();
  };
  write_text(folder / "a" / "summary.json", attacked("1", .5));
  write_text(folder / "b" / "summary.json", attacked("2", .7));
  write_text(folder / "b" / "copy.json", attacked("2", .7));
  write_text(folder / "c" / "summary.json", attacked("2", .9, "network"));
  write_text(folder / "f" / "summary.json", attacked("2", .2, "pixels", " --passes 1"));
  write_text(folder / "d" / "summary.json",
             R"({"perturbation": "noise", "net": "resnet", "depth": 8, "widen": 1,
    "steps": 0, "dataset": "cifar10", "rows": [
      {"energy": "raw", "rho": 0.1, "clipped": 0, "images": 9, "changed": 0.25, "accuracy": 0.5},
      {"energy": "raw", "rho": 0.1, "clipped": 1, "images": 9, "changed": 0.125, "accuracy": 0.5}]})");
  write_text(folder / "e" / "summary.json", summary());
  write_text(folder / "g" / "summary.json", R"({"certificate": "certify", "net": "certified"})");
  CHECK(read_runs(folder.path()).all.size() == 1);
  auto const all = read_perturbed(folder.path());
  REQUIRE(all.size() == 5);
  Row const resnet{"resnet", 8, 1, 0, "cifar10"};
  auto const in_pixels = by_kind(those(all, resnet, "universal", "inf", "pixels", .05));
  REQUIRE(in_pixels.size() == 2);
  CHECK(changed_text(in_pixels[0]) == "60.00 +- 14.14 (2 runs, 2 models, 10000 images), random 1.00 +- 0.00");
  CHECK(changed_text(in_pixels[1]) == "20.00 (1 run, 1 model, 10000 images; --passes 1), random 1.00");
  CHECK(changed_text(those(all, resnet, "universal", "inf", "network", .05)) ==
        "90.00 (1 run, 1 model, 10000 images), random 1.00");
  CHECK(changed_text(those(all, resnet, "noise", "2", "raw", .1)) == "25.00 (1 run, 1 model, 9 images)");
  CHECK(those(all, resnet, "universal", "inf", "pixels", .04).empty());
  CHECK(those(all, {"resnet", 8, 1, 3, "cifar10"}, "universal", "inf", "pixels", .05).empty());
  for (char const* const wrong : {R"({"perturbation": "noise"})", R"({"perturbation": )"}) {
    write_text(folder / "d" / "summary.json", wrong);
    CHECK_THROWS_AS(read_perturbed(folder.path()), FormatError);
  }
}
