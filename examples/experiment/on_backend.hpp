// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/io/parameters.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/any.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/start_from_dictionary.hpp"
#include "detrame/network/zoo/deep_dictionary.hpp"
#include "detrame/train/algorithm2.hpp"
#include "detrame/train/evaluate.hpp"
#include "network.hpp"

namespace experiment {

/// A network of the library with a backend, its parameters and velocities: compiled once a backend.
template <Backend B>
class OnBackend final : public HostNetwork {
  static constexpr std::string_view velocity = Sgd::moments[0];

 public:
  template <class... Arguments>  // of the backend
  explicit OnBackend(AnyNetwork<B> net, Arguments... arguments)
      : backend_(arguments...), net_(std::move(net)), theta_(net_.parameters(backend_)) {}

  void start(std::string const& initialiser, std::uint64_t seed) override {
    if (initialiser == "relu")
      initialise(backend_, theta_, ReluStart{.tied = deep_dictionary_values}, seed);
    else if (initialiser == "random")
      initialise(backend_, theta_, RandomStart{.tied = deep_dictionary_values}, seed);
    else
      throw DomainError(message("initialiser = ", initialiser, ", must be relu or random"));
    state_ = training_state(backend_, net_);
  }

  Measured step(HostMatrix<float> const& x, std::vector<int> const& labels, StepChoices const& how,
                Draw draw) override {
    Sgd const sgd{.momentum = how.momentum,
                  .weight_decay = how.weight_decay,
                  .decays = how.all_decay ? Sgd::everything : Sgd::weights_only,
                  .trains = Sgd::not_the_problem};  // lambda, alpha and beta of dictionaries stay
    state_.x = to_device(backend_, x);
    state_.targets = targets_of(labels);
    float const loss = train_step(backend_, net_, SoftmaxCrossEntropy(), sgd, how.rate, theta_, state_,
                                  ConstView<B>(state_.x), ConstView<B>(state_.targets), draw)
                           .loss;
    return {double{loss}, correct(state_.scores, labels)};
  }

  HostMatrix<float> scores(HostMatrix<float> const& x) override {
    return to_host(backend_, predict(backend_, net_, theta_, to_device(backend_, x)));
  }

  Answers answers(HostMatrix<float> const& x, std::vector<int> const& labels) override {
    auto const y = predict(backend_, net_, theta_, to_device(backend_, x));
    auto const targets = targets_of(labels);
    return {double{SoftmaxCrossEntropy().value(backend_, ConstView<B>(y), ConstView<B>(targets))},
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
    float const loss = SoftmaxCrossEntropy().value(backend_, y, ConstView<B>(targets), state.y_bar);
    pullback_parameters(backend_, net_, theta_, state.tape, state.y_bar, state.gradient);
    store_parameters(backend_, state.gradient, file);
    file.tensors["loss"] = tensor(HostMatrix<float>(1, 1, loss));
    return file;
  }

  void store(TensorFile& model) override {
    store_parameters(backend_, theta_, model);
    store_conventions(theta_, model);
  }
  void load(TensorFile const& model) override {  // with any T: see model_of
    require_conventions(model);
    load_parameters(backend_, theta_, model);
  }
  void store_velocities(TensorFile& state) override {
    store_parameters(backend_, state_.moments[0], state, velocity);
  }
  void load_velocities(TensorFile const& state) override {
    state_ = training_state(backend_, net_);
    load_parameters(backend_, state_.moments[0], state, velocity);
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
  SolvedAgain solved_again() const override { return net_.solved_again(theta_, state_.tape); }
  void start_from(HostNetwork& dictionaries) override {
    auto& from = dynamic_cast<OnBackend&>(dictionaries);
    start_from_dictionary(from.backend_, from.theta_, backend_, theta_);
  }

 private:
  Index correct(ConstView<B> scores, std::vector<int> const& labels) {
    std::vector<int> const found = classify_to_host(backend_, scores);
    Index count = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) count += found[i] == labels[i];
    return count;
  }

  Matrix<B> targets_of(std::vector<int> const& labels) {
    return one_hot(backend_, labels, static_cast<int>(net_.output.channels));
  }

  B backend_;
  AnyNetwork<B> net_;
  AnyParameters<B> theta_;
  TrainingState<AnyNetwork<B>> state_;
};

}  // namespace experiment
