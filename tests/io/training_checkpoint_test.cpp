// SPDX-License-Identifier: Apache-2.0
#include "detrame/io/training_checkpoint.hpp"

#include "detrame/layer/batch_norm.hpp"
#include "detrame/train/fit.hpp"
#include "mutated_file.hpp"
#include "train/problem.hpp"

namespace detrame {
namespace {

using namespace test;

using B = Cpu<double>;
using Net =
    Bind<Stack<Flatten, Dense<4>, BatchNorm, QMetricReLU<Full, Unroll<2>>, Dropout<Rate{.3}>, Dense<3>>,
         Shape{2, 1, 3}, B>;
using Theta = Net::Parameters;

struct Problem {
  B b{1};
  Net net{};
  Dataset<B> data = clusters(b, 46, 2), fresh = clusters(b, 20, 3);
  Batches<B> source{b, data, {.size = 16, .seed = 5}};
  Batches<B> validation{b, fresh, {.size = 20, .shuffled = false}};

  Theta start() {
    auto theta = net.parameters(b);
    initialise(b, theta, RandomStart(), 2);
    return theta;
  }
  FitResult<Theta> run(Theta& theta, TrainingOptions const& options, TrainingCheckpoints& checkpoints) {
    return fit(b, net, theta, source, options, validation, checkpoints);
  }
  std::vector<HostMatrix<double>> host(Theta const& theta) { return on_host(b, theta); }
};

TrainingOptions three_epochs() {
  return {.epochs = 3, .schedule = CosineSchedule{.05, 3}, .seed = 7, .keep_best = true};
}

/// The history without what depends on time.
std::vector<double> measured(FitRecord const& record) {
  std::vector<double> all;
  auto const matrix = record.history_matrix();
  for (Index i = 0; i < matrix.rows(); ++i)
    for (Index j = 0; j < 6; ++j) all.push_back(matrix(i, j));
  return all;
}

TEST_CASE_TEMPLATE(
    "stopped at every step and gone on with from files: the same bits, history, best parameters", O, Sgd,
    AdamW) {
  Problem p;
  auto options = three_epochs();
  options.optimiser = O();
  TemporaryFolder const folder("training");
  auto whole = p.start();
  TrainingCheckpoints fresh(folder / "whole");
  CHECK_FALSE(fresh.found());
  auto const expected = p.run(whole, options, fresh);
  REQUIRE(expected.status == FitStatus::finished);
  for (int stop_at = 1; stop_at <= 3 * (3 + 1); ++stop_at) {
    auto const path = folder / ("stopped" + std::to_string(stop_at));
    TrainingCheckpoints first(path);
    int calls = 0;
    options.on_step = [&](StepReport const&) { return ++calls != stop_at; };
    auto theta = p.start();
    REQUIRE(p.run(theta, options, first).status == FitStatus::stopped);
    options.on_step = {};
    TrainingCheckpoints second(path);
    REQUIRE(second.found());
    CHECK(second.tag() == first.tag());
    auto again = p.net.parameters(p.b);
    auto const result = p.run(again, options, second);
    CHECK(result.status == FitStatus::finished);
    CHECK(p.host(again) == p.host(whole));
    CHECK(p.host(result.best.value()) == p.host(expected.best.value()));
    CHECK(measured(result.record) == measured(expected.record));
  }
}

TEST_CASE("one object, stopped after each step and gone on with: it reads what it wrote last") {
  Problem p;
  auto options = three_epochs();
  TemporaryFolder const folder("training");
  auto whole = p.start();
  TrainingCheckpoints all(folder / "whole");
  auto const expected = p.run(whole, options, all);
  options.on_step = [](StepReport const& r) { return r.validating; };
  for (int const before : {0, 1}) {  // steps before the object
    auto const path = folder / ("one" + std::to_string(before));
    auto theta = p.start();
    if (before == 1) {
      TrainingCheckpoints other(path);
      REQUIRE(p.run(theta, options, other).status == FitStatus::stopped);
    }
    TrainingCheckpoints one(path);
    for (int stops = before;; ++stops) {
      auto const result = p.run(theta, options, one);
      if (result.status == FitStatus::finished) {
        CHECK(stops == 9);
        CHECK(p.host(result.best.value()) == p.host(expected.best.value()));
        CHECK(measured(result.record) == measured(expected.record));
        break;
      }
      REQUIRE((result.status == FitStatus::stopped && stops < 9));
      theta = p.net.parameters(p.b);  // zeros: all comes from the checkpoint
    }
    CHECK(p.host(theta) == p.host(whole));
  }
}

TEST_CASE("the files of a training: names of tensors, numbers in the metadata, history of nine columns") {
  Problem p;
  auto options = three_epochs();
  options.on_step = [](StepReport const& r) { return r.step < 5; };  // in the second epoch
  TemporaryFolder const folder("training");
  auto theta = p.start();
  TrainingCheckpoints checkpoints(folder.path());
  checkpoints.describe = [](Checkpoint& c) { c.model.metadata["said"] = c.state.metadata.at("epoch"); };
  auto const result = p.run(theta, options, checkpoints);
  Checkpoint const found = read_checkpoint(folder.path());
  CHECK((found.step == 5 && found.tag == checkpoints.tag() && found.tag.size() == 16));
  std::vector<std::string> names;
  for (auto const& [name, tensor] : found.state.tensors) names.push_back(name);
  std::vector<std::string> expected{"history"};
  visit(
      [&](std::string_view path, Role const&, auto const&) {
        for (char const* prefix : {"best.", "velocity."}) expected.push_back(prefix + std::string(path));
        CHECK(found.model.tensors.contains(std::string(path)));
      },
      theta);
  std::sort(expected.begin(), expected.end());
  CHECK(names == expected);
  CHECK((found.model.metadata.at("said") == "1" && found.model.metadata.at("T") == "2"));
  auto const& m = found.state.metadata;
  CHECK((m.at("epoch") == "1" && m.at("position") == "2" && m.at("next step") == "5"));
  CHECK((m.at("samples") == "32" && number_of<double>(found.state, "loss") == result.record.loss));
  CHECK(number_of<Index>(found.state, "correct") == result.record.correct);
  CHECK((number_of<double>(found.state, "seconds") > 0 && m.contains("processor_seconds")));
  auto const history = host_matrix<double>(found.state.tensors.at("history"), "history");
  CHECK((history.rows() == 1 && history.cols() == 9));
  EpochReport const& e = result.record.history.at(0);
  double const row[] = {1,
                        .05,
                        e.loss,
                        e.accuracy,
                        e.validation->loss,
                        e.validation->accuracy,
                        e.samples_per_second,
                        e.seconds,
                        e.processor_seconds};
  for (Index j = 0; j < 9; ++j) CHECK(history(0, j) == row[j]);
  CHECK(std::abs(e.samples_per_second * e.seconds - 46) < 1e-6);
}

TEST_CASE("a checkpoint that is not of this training is refused, and the state stays") {
  Problem p;
  auto options = three_epochs();
  options.epochs = 1;
  TemporaryFolder const folder("training");
  auto theta = p.start();
  TrainingCheckpoints checkpoints(folder.path());
  REQUIRE(p.run(theta, options, checkpoints).status == FitStatus::finished);
  Checkpoint const saved = read_checkpoint(folder.path());
  auto const untouched = p.host(p.start());
  auto const refuses = [&](auto const& change, std::string const& text, auto const& optimiser) {
    Checkpoint changed = saved;
    change(changed);
    write_checkpoint(folder.path(), changed);
    TrainingCheckpoints read(folder.path());
    auto other = p.start();
    auto changed_options = options;
    changed_options.optimiser = optimiser;
    check_throws_with<FormatError>([&] { (void)p.run(other, changed_options, read); }, text);
    CHECK(p.host(other) == untouched);
  };
  auto const same = [](Checkpoint&) {};
  refuses(same, "tensor mean.1.W: expected weight, 4 x 6, found no such tensor", AdamW());
  refuses([](Checkpoint& c) { c.state.tensors.erase("best.3.h"); }, "tensor best.3.h: expected h", Sgd());
  refuses([](Checkpoint& c) { c.state.tensors.erase("velocity.1.W"); }, "tensor velocity.1.W", Sgd());
  refuses([](Checkpoint& c) { c.state.tensors.erase("history"); }, "tensor history: expected one", Sgd());
  refuses([](Checkpoint& c) { c.state.tensors["history"] = tensor(HostMatrix<double>(1, 8)); },
          "tensor history: expected 9 columns, found 8", Sgd());
  refuses([](Checkpoint& c) { c.state.metadata["next step"] = "2"; },
          "next step: expected step 3, that of the checkpoint, found step 2", Sgd());
  refuses([](Checkpoint& c) { c.state.metadata.erase("correct"); }, "expected a text for correct", Sgd());
  refuses([](Checkpoint& c) { c.state.metadata["epoch"] = "1.5"; }, "epoch: expected a whole number", Sgd());
  refuses([](Checkpoint& c) { c.model.metadata["T"] = "3"; }, "T: expected \"2\", found \"3\"", Sgd());
  refuses([](Checkpoint& c) { c.model.metadata["signs"] = "x"; }, "signs: expected", Sgd());
  refuses([](Checkpoint& c) { c.model.tensors.erase("1.W"); }, "tensor 1.W: expected weight", Sgd());
  options.epochs = 0;
  refuses(same, "expected an epoch in 0 ... 0 of 3 batches", Sgd());
}

}  // namespace
}  // namespace detrame
