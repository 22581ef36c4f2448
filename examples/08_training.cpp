// SPDX-License-Identifier: Apache-2.0
//
// Training as a whole, on the digits: batches of bytes that a thread shifts about, validation after each
// epoch, AdamW with a warm-up and clipping, early stopping, checkpoints. It is stopped in the middle of an
// epoch, goes on from the checkpoint, and ends with the bits of a training that nothing stopped.
//   08_training [FOLDER]     what was kept in FOLDER/digits-checkpoints before is removed
#include <unistd.h>

#include <detrame/data/loader.hpp>
#include <detrame/detrame.hpp>
#include <detrame/io/training_checkpoint.hpp>
#include <iostream>

using namespace detrame;
using B = Cpu<float>;

using Prox = QMetricReLU<Full, Unroll<3>>;
using Design = Stack<Flatten, Dense<96>, Prox, Dropout<Rate{.1}>, Dense<64>, Prox, Dense<10>>;
using Net = Bind<Design, Shape{1, 8, 8}, B>;

int main(int argc, char** argv) try {
  // Pixels stay bytes until they are in a batch, where 0 is black: so is the border of a shifted digit.
  std::string const digits = DETRAME_DATA_DIR "/digits/digits-";
  auto const all =
      read_image_bytes<float>(digits + "images-idx3-ubyte", digits + "labels-idx1-ubyte", {16, 10});
  auto const train = subset(all, 0, 1237), validation = subset(all, 1237, 200), test = subset(all, 1437, 360);
  Batching const batching{.size = 64, .seed = 1, .drop_last = true};
  Loader samples(train, batching, RandomCrop(/*seed*/ 2, /*padding*/ 1, /*flip*/ false));
  Loader held_out(validation, {.size = 100, .shuffled = false});

  B cpu;
  Net const net;
  std::cout << summary(cpu, net);
  auto const start = [&] {
    auto theta = net.parameters(cpu);
    initialise(cpu, theta, HeStart(), /*seed*/ 1);
    return theta;
  };

  TrainingOptions options{.epochs = 40,
                          .schedule = WarmUp{CosineSchedule{.rate = 3e-3, .length = 40}, /*length*/ 2, .1},
                          .optimiser = AdamW{.decays = Sgd::weights_only},
                          .seed = 3,
                          .clip = Clip{1},
                          .early_stopping = EarlyStopping{.patience = 5},
                          .keep_best = true};
  TrainingOptions const quiet = options;
  Progress progress(std::cout, options.epochs, /*terminal*/ isatty(STDOUT_FILENO) != 0);
  options.on_epoch = [&](FitRecord const& record) { return progress.epoch(record); };

  // Stopped after 50 steps, as Ctrl-C might.
  std::filesystem::path const folder = std::filesystem::path(argc > 1 ? argv[1] : ".") / "digits-checkpoints";
  std::filesystem::remove_all(folder);
  options.on_step = [&](StepReport const& report) { return progress.step(report) && report.step != 50; };
  TrainingCheckpoints begins(folder);
  auto theta = start();
  auto const half = fit(cpu, net, theta, samples, options, held_out, begins);
  progress.clear();
  std::cout << name(half.status) << " in epoch " << half.record.epoch + 1 << ", after "
            << half.record.position << " of " << samples.batches() << " batches\n";

  // It goes on from the folder alone, as another process would.
  options.on_step = [&](StepReport const& report) { return progress.step(report); };
  TrainingCheckpoints goes_on(folder);
  theta = net.parameters(cpu);
  auto const trained = fit(cpu, net, theta, samples, options, held_out, goes_on);
  std::cout << name(trained.status) << ". " << trained.explanation << '\n';
  if (!trained.best) return 1;  // no epoch was done

  Loader unseen(test, {.size = 100, .shuffled = false});
  auto const result = evaluate(cpu, net, SoftmaxCrossEntropy(), *trained.best, unseen);
  std::cout << "best in epoch " << best_epoch(trained.record.history) << ": " << 100 * result.accuracy
            << " % of the test set\n";

  auto whole = start();
  auto const uninterrupted = fit(cpu, net, whole, samples, quiet, held_out);
  bool same = uninterrupted.status == trained.status && uninterrupted.best;
  auto const compare = [&](std::string_view, Role const&, auto const& p, auto const& q) {
    same = same && p == q;
  };
  visit(compare, theta, whole);
  if (same) visit(compare, *trained.best, *uninterrupted.best);
  std::cout << "Nothing stopped: " << (same ? "the same bits\n" : "OTHER BITS\n");
  return same && result.accuracy > .85 ? 0 : 1;
} catch (std::exception const& e) {
  std::cerr << "08_training: " << e.what() << '\n';
  return 1;
}
