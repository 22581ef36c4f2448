// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/io/parameters.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/any.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/train/fit.hpp"
#include "network.hpp"

namespace experiment {

/// The loss of training, which shows what the inference map says of the test images on the way.
struct ShownLoss {
  std::function<void(Answers const&)> const& tested;

  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t) const {
    auto const loss = SoftmaxCrossEntropy().value(backend, y, t);
    tested({double{loss}, to_host(backend, y)});
    return loss;
  }
  template <Backend B>
  typename B::Scalar value(B& backend, ConstView<B> y, ConstView<B> t, View<B> y_bar) const {
    return SoftmaxCrossEntropy().value(backend, y, t, y_bar);
  }
};

/// A network of the library with a backend and its parameters: compiled once a backend.
template <Backend B>
class OnBackend final : public HostNetwork {
 public:
  template <class... Arguments>  // of the backend
  explicit OnBackend(AnyNetwork<B> net, Arguments... arguments)
      : backend_(arguments...), net_(std::move(net)), theta_(net_.parameters(backend_)) {}

  void start(std::string const& initialiser, std::uint64_t seed) override {
    auto const as = [&](auto const& policy) { initialise(backend_, theta_, policy, seed); };
    if (initialiser == "relu") return as(ReluStart());
    if (initialiser == "random") return as(RandomStart());
    if (initialiser == "he") return as(HeStart());
    if (initialiser == "glorot") return as(GlorotStart());
    if (initialiser == "algorithm2") return as(Algorithm2Start());
    throw DomainError(message("initialiser = ", initialiser, " is none"));
  }

  Fitted fit(TrainingSource& train, TestSource& test, TrainingOptions const& options,
             TrainingCheckpoints& checkpoints, std::function<void(Answers const&)> const& tested) override {
    auto result = detrame::fit(backend_, net_, theta_, train, options, test, checkpoints, ShownLoss{tested});
    return {result.status, std::move(result.record), std::move(result.explanation)};
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

 private:
  Matrix<B> targets_of(std::vector<int> const& labels) {
    return one_hot(backend_, labels, static_cast<int>(net_.output.channels));
  }

  B backend_;
  AnyNetwork<B> net_;
  AnyParameters<B> theta_;
};

}  // namespace experiment
