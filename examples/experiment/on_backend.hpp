// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/io/parameters.hpp"
#include "detrame/layer/inference_pullback.hpp"
#include "detrame/layer/orthogonal_start.hpp"
#include "detrame/network/any.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/start_from_dictionary.hpp"
#include "detrame/train/fit.hpp"
#include "network.hpp"

namespace experiment {

/// The loss of training, which shows what the inference map says of the test images on the way.
struct ShownLoss {
  SoftmaxCrossEntropy loss;
  std::function<void(Answers const&)> const& tested;

  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t) const {
    auto const value = loss.value(backend, y, t);
    tested({double{value}, to_host(backend, y)});
    return value;
  }
  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t, View<B> y_bar) const {
    return loss.value(backend, y, t, y_bar);
  }
};

/// A network that adds up, over the forward maps of training, what its exact dictionaries solved again.
template <Backend B>
struct Counted : AnyNetwork<B> {
  SolvedAgain* sum;

  auto forward(B& backend, AnyParameters<B> const& theta, ConstView<B> x, typename AnyNetwork<B>::Tape& tape,
               Draw draw) const {
    auto const y = AnyNetwork<B>::forward(backend, theta, x, tape, draw);
    SolvedAgain const now = this->solved_again(theta, tape);
    sum->problems += now.problems;
    sum->again += now.again;
    return y;
  }
};

/// A network of the library with a backend and its parameters: compiled once a backend.
template <Backend B>
class OnBackend final : public HostNetwork {
 public:
  template <class... Arguments>  // of the backend
  OnBackend(AnyNetwork<B> net, Manner const& manner, Arguments... arguments)
      : backend_(arguments...), manner_(manner), net_(std::move(net)), theta_(net_.parameters(backend_)) {}

  void start(std::string const& initialiser, std::uint64_t seed) override {
    auto const as = [&](auto const& policy) { initialise(backend_, theta_, policy, seed); };
    if (initialiser == "relu") return as(ReluStart{.tied = manner_.tied});
    if (initialiser == "random") return as(RandomStart{.tied = manner_.tied});
    if (initialiser == "he") return as(HeStart{.tied = manner_.tied});
    if (initialiser == "glorot") return as(GlorotStart{.tied = manner_.tied});
    if (initialiser == "algorithm2") return as(Algorithm2Start{.tied = manner_.tied});
    if (initialiser == "orthogonal") return as(OrthogonalStart{.tied = manner_.tied});
    if (initialiser == "dirac") return as(DiracStart{.tied = manner_.tied});
    throw DomainError(message("initialiser = ", initialiser, " is none"));
  }

  Fitted fit(TrainingSource& train, TestSource& test, TrainingOptions const& options,
             TrainingCheckpoints& checkpoints, std::function<void(Answers const&)> const& tested) override {
    Counted<B> const net{net_, &solved_again_};
    auto result = detrame::fit(backend_, net, theta_, train, options, test, checkpoints,
                               ShownLoss{manner_.loss, tested});
    return {result.status, std::move(result.record), std::move(result.explanation)};
  }

  HostMatrix<float> scores(HostMatrix<float> const& x) override {
    return to_host(backend_, predict(backend_, net_, theta_, to_device(backend_, x)));
  }

  HostMatrix<float> scores_with_tape(HostMatrix<float> const& x) override {
    x_ = to_device(backend_, x);
    return to_host(backend_, inference_forward(backend_, net_, theta_, ConstView<B>(x_), tape_));
  }

  HostMatrix<float> pulled_back(HostMatrix<float> const& y_bar) override {
    resize(backend_, x_bar_, x_.rows(), x_.cols());
    Matrix<B> const bar = to_device(backend_, y_bar);
    inference_pullback(backend_, net_, theta_, tape_, ConstView<B>(bar), View<B>(x_bar_));
    return to_host(backend_, ConstView<B>(x_bar_));
  }

  Answers answers(HostMatrix<float> const& x, std::vector<int> const& labels) override {
    auto const y = predict(backend_, net_, theta_, to_device(backend_, x));
    auto const targets = targets_of(labels);
    return {double{manner_.loss.value(backend_, ConstView<B>(y), ConstView<B>(targets))},
            to_host(backend_, y)};
  }

  TensorFile gradient(HostMatrix<float> const& x, std::vector<int> const& labels) override {
    auto state = training_state(backend_, net_);
    state.x = to_device(backend_, x);
    auto const targets = targets_of(labels);
    auto const y = net_.forward(backend_, theta_, ConstView<B>(state.x), state.tape, {.dropping = false});
    TensorFile file;
    file.tensors["scores"] = tensor(to_host(backend_, y));  // the pullback may write over them
    resize(backend_, state.y_bar, y.rows(), y.cols());
    float const loss = manner_.loss.value(backend_, y, ConstView<B>(targets), state.y_bar);
    pullback_parameters(backend_, net_, theta_, state.tape, state.y_bar, state.gradient);
    store_parameters(backend_, state.gradient, file);
    file.tensors["loss"] = tensor(HostMatrix<float>(1, 1, loss));
    return file;
  }

  void load(TensorFile const& model) override {  // with any T: see model_of
    require_conventions(model);
    load_parameters(backend_, theta_, model);
  }

  std::vector<ParameterInfo> parameters() const override {
    std::vector<ParameterInfo> all;
    visit(
        [&](std::string_view path, Role const& role, auto const& p) {
          all.push_back({std::string(path), role.name, p.rows(), p.cols(), role.trained});
        },
        theta_);
    return all;
  }
  Index multiply_adds() const override { return net_.multiply_adds(); }
  Summary summary() override { return net_.summary(backend_); }
  std::vector<RecurrenceInput<float>> recurrence_inputs(HostMatrix<float> const& x) override {
    return net_.recurrence_inputs(backend_, theta_, to_device(backend_, x));
  }
  std::vector<LayerCodes<float>> codes(HostMatrix<float> const& x) override {
    return net_.codes(backend_, theta_, ConstView<B>(to_device(backend_, x)));
  }
  SolvedAgain solved_again() const override { return solved_again_; }
  void start_from(HostNetwork& dictionaries) override {
    auto& from = dynamic_cast<OnBackend&>(dictionaries);
    start_from_dictionary(from.backend_, from.theta_, backend_, theta_);
  }

 private:
  Matrix<B> targets_of(std::vector<int> const& labels) {
    return one_hot(backend_, labels, static_cast<int>(net_.output.channels));
  }

  B backend_;
  Manner manner_;
  AnyNetwork<B> net_;
  AnyParameters<B> theta_;
  SolvedAgain solved_again_{};
  Matrix<B> x_{}, x_bar_{};  ///< of the last `scores_with_tape`, whose tape is this
  typename AnyNetwork<B>::Tape tape_{};
};

}  // namespace experiment
