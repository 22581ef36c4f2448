// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/samples.hpp"
#include "detrame/layer/start.hpp"
#include "detrame/network/recurrence_inputs.hpp"
#include "detrame/network/summary.hpp"

namespace detrame::inline DETRAME_ABI {

/// The role of a parameter whose layer is chosen at run time: what its own says, with its starts under the
/// policies that there are. To a role, one that derives from them is the one that it derives from.
template <class Scalar>
struct AnyRole : Role {
  using Policy = std::variant<ReluStart, RandomStart, TiedStart>;

  template <std::derived_from<Role> R>
  explicit AnyRole(R const& role)
      : Role(role), start_([role](HostMatrix<Scalar>& p, Random const& random, Policy const& policy) {
          std::visit([&](auto const& known) { role.start(p, random, known); }, policy);
        }) {}

  template <class P>
  void start(HostMatrix<Scalar>& p, Random const& random, P const& policy) const {
    static_assert(
        std::convertible_to<P const&, Policy>,
        "AnyParameters: a start policy is ReluStart, RandomStart or TiedStart, or derives from one");
    start_(p, random, policy);
  }

 private:
  std::function<void(HostMatrix<Scalar>&, Random const&, Policy const&)> start_;
};

/// The parameters of an AnyNetwork: a value, whose copies are deep. `visit` walks them as those of a layer,
/// so that `initialise`, `Sgd`, `to_host`, `assign_parameters` and the files of io/ take them.
///
/// Requires  values that are visited in step are parameters of one network, else DomainError.
template <Backend B>
class AnyParameters {
 public:
  AnyParameters() = default;
  template <class Theta>
    requires(!std::same_as<Theta, AnyParameters>)
  explicit AnyParameters(Theta theta) : held_(std::make_unique<Held<Theta>>(std::move(theta))) {}
  AnyParameters(AnyParameters const& other) : held_(other.held_ ? other.held_->copy() : nullptr) {}
  AnyParameters(AnyParameters&&) noexcept = default;
  AnyParameters& operator=(AnyParameters other) noexcept {
    held_ = std::move(other.held_);
    return *this;
  }
  ~AnyParameters() = default;

  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    (require_the_same(theta.held_.get(), rest.held_.get()), ...);
    if (!theta.held_) return;
    for (std::size_t i = 0; i < theta.held_->table.size(); ++i)
      f(path / theta.held_->table[i].path, theta.held_->table[i].role, theta.tensor(i), rest.tensor(i)...);
  }

  /// In the type of their network. DomainError, with the name of who asks, where it is another's.
  template <class Theta>
  Theta const& as(std::string const& who) const {
    return held<Theta>(who).theta;
  }
  template <class Theta>
  Theta& as(std::string const& who) {
    return held<Theta>(who).theta;
  }

 private:
  struct Entry {
    Path path;
    AnyRole<typename B::Scalar> role;
    Matrix<B>* tensor;
  };
  struct Holder {
    std::vector<Entry> table;  ///< in the order of visit
    virtual ~Holder() = default;
    virtual std::unique_ptr<Holder> copy() const = 0;
  };
  template <class Theta>
  struct Held final : Holder {
    Theta theta;
    explicit Held(Theta values) : theta(std::move(values)) {
      ::detrame::visit(
          [&](Path const& path, auto const& role, Matrix<B>& p) {
            this->table.push_back({path, AnyRole<typename B::Scalar>(role), &p});
          },
          theta);
    }
    std::unique_ptr<Holder> copy() const override { return std::make_unique<Held>(theta); }
  };

  template <class Theta>
  Held<Theta>& held(std::string const& who) const {
    auto* const held = dynamic_cast<Held<Theta>*>(held_.get());
    if (held == nullptr)
      throw DomainError(message(who, ": these are ", held_ ? "another network's" : "no",
                                " parameters; assign_parameters copies those of the same names and shapes"));
    return *held;
  }
  static void require_the_same(Holder const* theta, Holder const* other) {
    bool const same =
        theta == nullptr || other == nullptr ? theta == other : typeid(*other) == typeid(*theta);
    if (!same) throw DomainError("visit: these are parameters of different networks");
  }
  Matrix<B>& tensor(std::size_t i) { return *held_->table[i].tensor; }
  Matrix<B> const& tensor(std::size_t i) const { return *held_->table[i].tensor; }

  std::unique_ptr<Holder> held_;
};

/// The tape of an AnyNetwork. It is empty before the first forward, and that network's afterwards.
class AnyTape {
 public:
  /// For forward: made where the tape is empty. DomainError where it is another network's.
  template <class Tape>
  Tape& of(std::string const& who) {
    if (!held_) held_ = std::make_unique<Held<Tape>>();
    return as<Tape>(who);
  }
  template <class Tape>
  Tape& as(std::string const& who) const {
    auto* const held = dynamic_cast<Held<Tape>*>(held_.get());
    if (held == nullptr)
      throw DomainError(message(who, held_ ? ": the tape is another network's" : ": forward comes first"));
    return held->tape;
  }

 private:
  struct Holder {
    virtual ~Holder() = default;
  };
  template <class Tape>
  struct Held final : Holder {
    Tape tape{};
  };
  std::unique_ptr<Holder> held_;
};

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
  struct Holder {
    virtual ~Holder() = default;
    virtual Index multiply_adds() const = 0;
    virtual Index least_samples() const = 0;
    virtual Summary summary(B&) const = 0;
    virtual Inputs recurrence_inputs(B&, Parameters const&, ConstView<B> x, Name) const = 0;
    virtual Parameters parameters(B&) const = 0;
    virtual ConstView<B> forward(B&, Parameters const&, ConstView<B> x, Tape&, Draw, Name) const = 0;
    virtual ConstView<B> pullback(B&, Parameters const&, Tape&, ConstView<B> y_bar, Parameters& theta_bar,
                                  Name) const = 0;
    virtual void pullback_parameters(B&, Parameters const&, Tape&, ConstView<B> y_bar, Parameters& theta_bar,
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
