// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "detrame/layer/inference.hpp"
#include "detrame/layer/inference_pullback.hpp"
#include "detrame/layer/samples.hpp"
#include "detrame/network/any_parameters.hpp"
#include "detrame/network/codes.hpp"
#include "detrame/network/recurrence_inputs.hpp"
#include "detrame/network/solved_again.hpp"
#include "detrame/network/summary.hpp"

namespace detrame::inline DETRAME_ABI {

/// A network, or a layer, that is chosen at run time: one type for all networks on a backend. It is to their
/// types what a pointer to a function is to functions: a value without state, cheap to copy, const in use.
/// Parameters and tape stay with the caller, as they do with a layer, and every function that asks for
/// LayerMaps takes it: `fit`, `train_step`, `evaluate`, `predict`, `with_inference`.
///
///   AnyNetwork<Cpu<float>> const net = deep ? AnyNetwork("deep", Deep()) : AnyNetwork("flat", Flat());
///   auto theta = net.parameters(cpu);
///   initialise(cpu, theta, ReluStart(), 1);
///
/// Shapes    x: input.channels x (input.sites() samples); y, y_bar likewise by output
/// Requires  theta, theta_bar and the tape are this network's, else DomainError; x, y and y_bar have the
///           shapes above, else ShapeError.
/// Ensures   the same bits as the network's own type, from a start policy that is ours
/// Cost      a virtual call and a check of types for each call; what allocates is what allocates in the
///           network's own type, besides parameters() and the first forward of a tape.
/// Tested    tests/network/any_test.cpp
template <Backend B>
class AnyNetwork {
 public:
  using Backend = B;
  using Parameters = AnyParameters<B>;
  using Tape = AnyTape;
  using Map = std::function<void(ConstView<B>, View<B>)>;  ///< map(x, y), for some samples

  std::string name;
  Shape input, output;

  template <Layer Net>
    requires std::same_as<typename Net::Backend, B>
  AnyNetwork(std::string name_, Net net)
      : name(std::move(name_)),
        input(Net::input),
        output(Net::output),
        held_(std::make_shared<Held<Net>>(std::move(net))) {}

  Index multiply_adds() const { return held_->multiply_adds(); }
  Index least_samples() const { return held_->least_samples(); }
  Summary summary(B& backend) const { return held_->summary(backend); }
  auto recurrence_inputs(B& backend, Parameters const& theta, ConstView<B> x) const {
    samples(name.c_str(), input, x);
    return held_->recurrence_inputs(backend, theta, x, name);
  }
  auto codes(B& backend, Parameters const& theta, ConstView<B> x) const {
    samples(name.c_str(), input, x);
    return held_->codes(backend, theta, x, name);
  }
  SolvedAgain solved_again(Parameters const& theta, Tape const& tape) const {
    return held_->solved_again(theta, tape, name);
  }

  Parameters parameters(B& backend) const { return held_->parameters(backend); }

  ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw draw) const {
    samples(name.c_str(), input, x);
    return held_->forward(backend, theta, x, tape, draw, name);
  }

  ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                        Parameters& theta_bar) const {
    return held_->pullback(backend, theta, tape, y_bar, theta_bar, name);
  }

  void pullback_parameters(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                           Parameters& theta_bar) const {
    held_->pullback_parameters(backend, theta, tape, y_bar, theta_bar, name);
  }

  /// DomainError where a layer of the network has no inference_pullback.
  void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                          View<B> x_bar) const {
    held_->inference_pullback(backend, theta, tape, y_bar, x_bar, name);
  }

  void absorb(B& backend, Parameters& theta, Tape const& tape) const {
    held_->absorb(backend, theta, tape, name);
  }

  void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
    require_shape(name.c_str(), "y", y, output.channels, samples(name.c_str(), input, x) * output.sites());
    held_->with_inference(backend, theta, [&](Map const& map) { map(x, y); }, name);
  }

  /// use(map): the free function's, below.
  void with_inference(B& backend, Parameters const& theta, std::function<void(Map const&)> const& use) const {
    held_->with_inference(backend, theta, use, name);
  }

 private:
  using Name = std::string const&;
  using Inputs = std::vector<RecurrenceInput<typename B::Scalar>>;
  using Codes = std::vector<LayerCodes<typename B::Scalar>>;
  struct Holder {
    virtual ~Holder() = default;
    virtual Index multiply_adds() const = 0;
    virtual Index least_samples() const = 0;
    virtual Summary summary(B&) const = 0;
    virtual Inputs recurrence_inputs(B&, Parameters const&, ConstView<B> x, Name) const = 0;
    virtual Codes codes(B&, Parameters const&, ConstView<B> x, Name) const = 0;
    virtual SolvedAgain solved_again(Parameters const&, Tape const&, Name) const = 0;
    virtual Parameters parameters(B&) const = 0;
    virtual ConstView<B> forward(B&, Parameters const&, ConstView<B> x, Tape&, Draw, Name) const = 0;
    virtual ConstView<B> pullback(B&, Parameters const&, Tape&, ConstView<B> y_bar, Parameters& theta_bar,
                                  Name) const = 0;
    virtual void pullback_parameters(B&, Parameters const&, Tape&, ConstView<B> y_bar, Parameters& theta_bar,
                                     Name) const = 0;
    virtual void inference_pullback(B&, Parameters const&, Tape const&, ConstView<B> y_bar, View<B> x_bar,
                                    Name) const = 0;
    virtual void absorb(B&, Parameters&, Tape const&, Name) const = 0;
    virtual void with_inference(B&, Parameters const&, std::function<void(Map const&)> const&,
                                Name) const = 0;
  };

  template <class Net>
  struct Held final : Holder {
    using Theta = typename Net::Parameters;
    Net net;

    explicit Held(Net net_) : net(std::move(net_)) {}
    Index multiply_adds() const override { return ::detrame::multiply_adds<Net>(); }
    Index least_samples() const override { return ::detrame::least_samples<Net>(); }
    Summary summary(B& backend) const override { return ::detrame::summary(backend, net); }
    Inputs recurrence_inputs(B& backend, Parameters const& theta, ConstView<B> x, Name who) const override {
      return ::detrame::recurrence_inputs(backend, net, theta.template as<Theta>(who), x);
    }
    Codes codes(B& backend, Parameters const& theta, ConstView<B> x, Name who) const override {
      return ::detrame::codes(backend, net, theta.template as<Theta>(who), x);
    }
    SolvedAgain solved_again(Parameters const& theta, Tape const& tape, Name who) const override {
      return ::detrame::solved_again(net, theta.template as<Theta>(who), tape.as<typename Net::Tape>(who));
    }
    Parameters parameters(B& backend) const override { return Parameters(net.parameters(backend)); }
    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw draw,
                         Name who) const override {
      Theta const& own = theta.template as<Theta>(who);  // before an empty tape becomes this network's
      return net.forward(backend, own, x, tape.of<typename Net::Tape>(who), draw);
    }
    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar, Name who) const override {
      return net.pullback(backend, theta.template as<Theta>(who), tape.as<typename Net::Tape>(who), y_bar,
                          theta_bar.template as<Theta>(who));
    }
    void pullback_parameters(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                             Parameters& theta_bar, Name who) const override {
      ::detrame::pullback_parameters(backend, net, theta.template as<Theta>(who),
                                     tape.as<typename Net::Tape>(who), y_bar,
                                     theta_bar.template as<Theta>(who));
    }
    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar, Name who) const override {
      if constexpr (has::inference_pullback<Net>)
        ::detrame::inference_pullback(backend, net, theta.template as<Theta>(who),
                                      tape.as<typename Net::Tape>(who), y_bar, x_bar);
      else
        throw DomainError(message(who, ": a layer of this network has no inference_pullback"));
    }
    void absorb(B& backend, Parameters& theta, Tape const& tape, Name who) const override {
      ::detrame::absorb(backend, net, theta.template as<Theta>(who), tape.as<typename Net::Tape>(who));
    }
    void with_inference(B& backend, Parameters const& theta, std::function<void(Map const&)> const& use,
                        Name who) const override {
      ::detrame::with_inference(backend, net, theta.template as<Theta>(who),
                                [&](auto const& map) { use(Map(std::cref(map))); });
    }
  };

  std::shared_ptr<Holder const> held_;  // const, so that copies share it
};

template <Layer Net>
AnyNetwork(std::string, Net) -> AnyNetwork<typename Net::Backend>;

/// use(map) with the inference map of a network that is chosen at run time, prepared once.
template <Backend B, class Use>
void with_inference(B& backend, AnyNetwork<B> const& net, AnyParameters<B> const& theta, Use const& use) {
  net.with_inference(backend, theta, [&](typename AnyNetwork<B>::Map const& map) { use(map); });
}

}  // namespace detrame::inline DETRAME_ABI
