// SPDX-License-Identifier: Apache-2.0
#include "allocation_counter.hpp"
#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/loss/squared_error.hpp"
#include "detrame/optim/adam_w.hpp"
#include "detrame/train/algorithm2.hpp"
#include "detrame/train/evaluate.hpp"
#include "laws/archetype.hpp"
#include "train/problem.hpp"

namespace detrame {
namespace {

using namespace test;

TEST_CASE(
    "a training step leaves the scores that it started from: those of predict where nothing is dropped") {
  using Net = SmallNet<Cpu<double>>;
  Cpu<double> b(1);
  Net const net;
  auto const data = clusters(b, 20, 2);
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart{.spread = 0.8}, 1);
  auto const before = to_host(b, predict(b, net, theta, data.x));
  auto state = training_state(b, net);
  train_step(b, net, Cross(), Sgd{}, .1, theta, state, data.x, data.targets, {.dropping = false});
  REQUIRE(to_host(b, predict(b, net, theta, data.x)) != before);
  CHECK(to_host(b, state.scores) == before);
}

TEST_CASE("(F3) a step keeps W~ in D0, h in [0, 1], b >= 0, and ends on the boundary that it would cross") {
  // From h = 1 and b = 0 two steps, for targets t and -t, have opposite gradients, bit for bit: one of them
  // would leave [0, 1] or [0, infinity) at every entry whose gradient is not 0, whatever the seed.
  using B = Cpu<double>;
  using Net = SmallNet<B>;
  using Matrix = B::Matrix;
  B b(1);
  Net const net;
  for (std::uint64_t n = 1; n <= 10; ++n)
    for (double const rate : {.1, 1e6}) {
      auto const data = clusters(b, 40, n);
      Matrix const opposite = -data.targets;
      auto start = net.parameters(b);
      initialise(b, start, RandomStart{.spread = 0.8}, n);
      auto down = start, up = start;
      auto state = training_state(b, net), state_up = training_state(b, net);
      Sgd const sgd{.weight_decay = 0};
      train_step(b, net, Cross(), sgd, rate, down, state, data.x, data.targets, {.seed = n});
      train_step(b, net, Cross(), sgd, rate, up, state_up, data.x, opposite, {.seed = n});
      Index crossing = 0, off_D0 = 0, at_zero = 0;
      visit(
          [&](std::string_view, Role const& role, Matrix const& g, Matrix const& g_up) {
            CHECK(g == -g_up);
            if (role.name == "h" || role.name == "b") crossing += (g.array() != 0).count();
            if (role.name == "W_tilde")
              for (Index j = 0; j < g.cols(); ++j) off_D0 += g(j % g.rows(), j) != 0;
          },
          state.gradient, state_up.gradient);
      visit(
          [&](std::string_view, Role const& role, Matrix const& p, Matrix const& p_up) {
            for (Matrix const* const q : {&p, &p_up}) {
              if (role.name == "W_tilde")
                for (Index j = 0; j < q->cols(); ++j) CHECK((*q)(j % q->rows(), j) == 0);
              if (role.name == "h") CHECK((q->minCoeff() >= 0 && q->maxCoeff() <= 1));
              if (role.name == "b") CHECK(q->minCoeff() >= 0);
              if (role.name == "h") at_zero += (q->array() == 0).count();
            }
            if (role.name == "h") CHECK((p.array().max(p_up.array()) == 1).all());
            if (role.name == "b") CHECK((p.array().min(p_up.array()) == 0).all());
          },
          down, up);
      REQUIRE((crossing > 0 && off_D0 > 0));  // each projection has acted,
      if (rate > 1) REQUIRE(at_zero > 0);     // from below too
    }
}

TEST_CASE("a step is forward, loss, pullback and Sgd, on a gradient that starts at zero; the same bits") {
  using B = Cpu<double>;
  using Net = SmallNet<B>;
  B b(1);
  Net const net;
  auto const data = clusters(b, 40, 2);
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart(), 2);
  auto by_hand = theta, velocity = net.parameters(b);
  auto state = training_state(b, net);
  Draw const draw{.seed = 5};
  for (int step = 0; step < 2; ++step) {
    double const value =
        train_step(b, net, Cross(), Sgd(), 0.1, theta, state, data.x, data.targets, draw).loss;
    Net::Tape tape;
    auto gradient = net.parameters(b);
    auto const y = net.forward(b, by_hand, data.x, tape, draw);
    B::Matrix y_bar(3, 40);
    CHECK(value == Cross().value(b, y, data.targets, y_bar));
    net.pullback(b, by_hand, tape, y_bar, gradient);
    Sgd().step(b, by_hand, gradient, {&velocity, 1}, 0.1);
    CHECK(on_host(b, theta) == on_host(b, by_hand));
  }
  CHECK(state.step == 2);
}

TEST_CASE("nothing is allocated from the second step on, with 1 thread and with 2") {
  using Net = SmallNet<Cpu<float>>;
  for (int threads : {1, 2}) {
    Cpu<float> b(threads);
    auto const data = clusters(b, 300, 2);
    Net const net;
    auto theta = net.parameters(b);
    initialise(b, theta, RandomStart(), 2);
    auto state = training_state(b, net);
    std::vector<Index> samples(300), sites;
    shuffle(Random(1, 0), samples);
    auto const step = [&] {
      gather_samples(b, data, std::span<Index const>(samples), sites, state.x, state.targets);
      train_step(b, net, Cross(), Sgd(), 0.1, theta, state, Cpu<float>::ConstView(state.x), state.targets,
                 Draw{.step = state.step});
    };
    step();
    for (int again = 0; again < 3; ++again) CHECK(allocations(step) == 0);
  }
}

TEST_CASE_TEMPLATE("a label is the unique largest score: ties and NaN tell nothing", B, Cpu<float>,
                   archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  Scalar const nan = std::numeric_limits<Scalar>::quiet_NaN(),
               infinity = std::numeric_limits<Scalar>::infinity();
  Scalar const columns[9][3] = {{3, 1, 2},
                                {1, 3, 3},
                                {3, 3, 1},
                                {3, 1, 3},
                                {nan, 1, 2},
                                {1, nan, 2},
                                {1, 2, nan},
                                {-infinity, infinity, 0},
                                {infinity, infinity, 0}};
  auto const scores =
      to_device(b, host_matrix<Scalar>(3, 9, [&](Index i, Index j) { return columns[j][i]; }));
  CHECK(classify_to_host(b, scores) == std::vector<int>{0, -1, -1, -1, -1, -1, -1, 1, -1});
  CHECK(classify_to_host(b, zeros(b, 3, 0)).empty());
  CHECK(classify_to_host(b, zeros(b, 1, 2)) == std::vector<int>{0, 0});
}

TEST_CASE("evaluate: a network that tells nothing apart has accuracy 0") {
  using Net = SmallNet<Cpu<float>>;
  Cpu<float> b;
  Net const net;
  auto const result = evaluate(b, net, Cross(), net.parameters(b), clusters(b, 30, 2), 7);
  CHECK(result.accuracy == 0);
  CHECK(std::abs(result.loss - std::log(3.)) <= static_cast<double>(tolerance<float>(30, 1)));
}

TEST_CASE_TEMPLATE("count_correct counts what classify_to_host finds, ties and NaN too", B, Cpu<float>,
                   archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  Index const n = 600;
  Random const random(seed(1), 0);
  Scalar const few[4] = {Scalar(-1), Scalar(0), Scalar(1), std::numeric_limits<Scalar>::quiet_NaN()};
  auto const scores = host_matrix<Scalar>(3, n, [&](Index i, Index j) {
    return few[random.below(j % 5 == 0 ? 4 : 3, static_cast<std::uint64_t>(i + 3 * j))];
  });
  std::vector<int> labels;
  for (Index j = 0; j < n; ++j) labels.push_back(static_cast<int>(j % 3));
  auto const y = to_device(b, scores), targets = one_hot(b, labels, 3);
  auto const found = classify_to_host(b, ConstView<B>(y));
  Index expected = 0, undecided = 0;
  for (std::size_t j = 0; j < labels.size(); ++j) {
    expected += found[j] == labels[j];
    undecided += found[j] == -1;
  }
  REQUIRE((expected > 50 && undecided > 50));
  CHECK(count_correct(b, ConstView<B>(y), ConstView<B>(targets)) == expected);
  auto const none = zeros(b, 3, 0);
  CHECK(count_correct(b, ConstView<B>(none), ConstView<B>(none)) == 0);
}

TEST_CASE("evaluate: over a source as over the data set, unless it is stopped; NaN is seen") {
  using B = Cpu<double>;
  using Net = SmallNet<B>;
  B b(1);
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart{.spread = 0.8}, 1);
  auto const data = clusters(b, 70, 2);
  Batches batches(b, data, {.size = 32, .shuffled = false});
  Evaluation const whole = evaluate(b, net, Cross(), theta, data, 32),
                   found = evaluate(b, net, Cross(), theta, batches);
  REQUIRE((whole.finite() && whole.accuracy > 0));
  CHECK((found.loss == whole.loss && found.accuracy == whole.accuracy));
  for (int calls = 1; calls <= 5; ++calls) {
    int left = calls;
    auto const stopped = evaluate(b, net, Cross(), theta, batches, [&] { return --left == 0; });
    CHECK(stopped.has_value() == (calls >= 4));  // three batches
  }
  auto poisoned = data;
  poisoned.x(1, 100) = std::numeric_limits<double>::quiet_NaN();
  CHECK_FALSE(evaluate(b, net, Cross(), theta, poisoned).finite());
}

TEST_CASE_TEMPLATE("evaluate: infinite scores are seen, where they leave the loss finite too", B, Cpu<float>,
                   Cpu<double>, archetype::Loops<double>) {
  using Net = Bind<Stack<Flatten, Dense<3>>, Shape{2, 1, 3}, B>;
  using Scalar = typename B::Scalar;
  B b;
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart{.spread = 0.8}, 1);
  auto data = clusters(b, 70, 2);
  data.labels.assign(70, 0);
  data.targets = one_hot(b, data.labels, 3);
  REQUIRE(evaluate(b, net, Cross(), theta, data).finite());
  visit(
      [&](std::string_view, Role const& role, auto& p) {
        if (role.name != "bias") return;
        auto bias = to_host(b, p);
        bias(2, 0) = limits::infinity<Scalar>;  // y = W x - c
        p = to_device(b, bias);
      },
      theta);
  auto const y = predict(b, net, theta, data.x);
  REQUIRE(std::isfinite(Cross().value(b, ConstView<B>(y), ConstView<B>(data.targets))));
  REQUIRE(count_correct(b, ConstView<B>(y), ConstView<B>(data.targets)) > 0);
  CHECK_FALSE(evaluate(b, net, Cross(), theta, data).finite());
}

TEST_CASE_TEMPLATE("a step whose loss, or clipped gradient, is not finite is not taken: nothing changes", O,
                   Sgd, AdamW) {
  using B = Cpu<double>;
  using Net = Bind<Stack<Flatten, Dense<5>, BatchNorm, Dense<3>>, Shape{2, 1, 3}, B>;
  struct Steep : SquaredError {  // of an infinite gradient
    double value(B& backend, ConstView<B> y, ConstView<B> t, View<B> y_bar) const {
      each(backend.lane(), formula::Fill<double>{std::numeric_limits<double>::infinity()}, y_bar);
      return SquaredError::value(backend, y, t);
    }
  };
  B b(1);
  Net const net;
  auto const data = clusters(b, 20, 2);
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart(), 1);
  auto state = training_state(b, net, O());
  REQUIRE(state.moments.size() == O::moments.size());
  auto const step = [&](auto const& loss, auto const& x, std::optional<Clip> clip = {}) {
    return train_step(b, net, loss, O(), .1, theta, state, ConstView<B>(x), ConstView<B>(data.targets),
                      Draw(), clip);
  };
  REQUIRE(step(Cross(), data.x).status == StepStatus::taken);
  auto const before = on_host(b, theta);
  std::vector<std::vector<HostMatrix<double>>> moments;
  for (auto const& m : state.moments) moments.push_back(on_host(b, m));
  auto const check_unchanged = [&] {
    CHECK(on_host(b, theta) == before);
    for (std::size_t i = 0; i < moments.size(); ++i) CHECK(on_host(b, state.moments[i]) == moments[i]);
    CHECK(state.step == 1);
  };
  auto x = data.x;
  x(0, 7) = std::numeric_limits<double>::quiet_NaN();
  auto const lost = step(Cross(), x);
  CHECK((lost.status == StepStatus::loss_not_finite && std::isnan(lost.loss)));
  check_unchanged();
  auto const steep = step(Steep(), data.x, Clip{1});
  CHECK((steep.status == StepStatus::gradient_not_finite && std::isfinite(steep.loss)));
  check_unchanged();
  CHECK(step(Steep(), data.x).status == StepStatus::taken);  // nobody looked
  CHECK_FALSE(on_host(b, theta) == before);
}

TEST_CASE("a clipped step is that of the gradient scaled to the norm") {
  using B = Cpu<double>;
  using Net = Bind<Stack<Flatten, Dense<3>>, Shape{2, 1, 3}, B>;
  B b(1);
  Net const net;
  auto const data = clusters(b, 20, 2);
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart(), 1);
  auto by_hand = theta, velocity = net.parameters(b);
  auto state = training_state(b, net);
  Clip const clip{.01};
  ConstView<B> const x = data.x, targets = data.targets;
  train_step(b, net, Cross(), Sgd(), .1, theta, state, x, targets, Draw(), clip);
  double const norm = gradient_norm(b, state.gradient, Sgd::everything);
  REQUIRE(norm > 1.1 * clip.norm);
  Sgd().step(b, by_hand, state.gradient, {&velocity, 1}, .1, 0, clip.scale(norm));
  CHECK(on_host(b, theta) == on_host(b, by_hand));
}

TEST_CASE("dataset, Batches and evaluate refuse what does not fit") {
  using Net = SmallNet<Cpu<float>>;
  Cpu<float> b;
  Net const net;
  auto theta = net.parameters(b);
  auto const data = clusters(b, 30, 2);
  HostMatrix<float> const x(2, 12);
  auto const shape = [](auto const& f, char const* text) { check_throws_with<ShapeError>(f, text); };
  auto const number = [](auto const& f, char const* text) { check_throws_with<DomainError>(f, text); };
  shape([&] { dataset(b, Shape{2, 1, 3}, x, {0, 1, 2}, 3); },
        "dataset: x is 2 x 12, 3 samples of shape 2 x 1 x 3 are 2 x 9");
  shape([&] { dataset(b, Shape{3, 1, 2}, x, {0, 1, 2, 0, 1, 2}, 3); },
        "6 samples of shape 3 x 1 x 2 are 3 x 12");
  number([&] { dataset(b, Shape{2, 1, 3}, x, {0, 1, 2, 3}, 3); }, "one_hot: label 3 is 3");
  auto wide = data, more = data;
  wide.shape = Shape{2, 3, 1};
  more.classes = 4;
  char const* const text = "evaluate: the data are 2 x 3 x 1 in 3 classes, the network maps 2 x 1 x 3 to 3";
  shape([&] { evaluate(b, net, Cross(), theta, wide); }, text);
  shape([&] { evaluate(b, net, Cross(), theta, more); }, "in 4 classes");
  number([&] { evaluate(b, net, Cross(), theta, data, 0); }, "Batching: size = 0, must be >= 1");
  number([&] { evaluate(b, net, Cross(), theta, clusters(b, 0, 2)); },
         "evaluate: the number of samples = 0, must be >= 1");
  Batches batches(b, data, {.size = 4});
  number([&] { batches.skip(-1); }, "Batches::skip: n = -1, must be >= 0");
}

}  // namespace
}  // namespace detrame
