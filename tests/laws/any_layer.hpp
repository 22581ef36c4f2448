// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "allocation_counter.hpp"
#include "detrame/layer/check_pullback.hpp"
#include "support.hpp"

/// A layer, its parameters and its tape behind one interface of host matrices, so that the laws are compiled
/// once and not once a layer.
namespace detrame::laws {

/// What a forward and a pullback give; two are equal where all bits are.
template <class Scalar>
struct Outcome {
  HostMatrix<Scalar> y, x_bar;
  std::vector<HostMatrix<Scalar>> theta_bar;
  std::vector<bool> support;  ///< of the states whose zeros are kinks
  friend bool operator==(Outcome const&, Outcome const&) = default;
};

struct ParameterShape {
  Role role;
  Index rows, cols;
};

template <class Scalar>
class AnyLayer {
 public:
  using Host = HostMatrix<Scalar>;
  using Parameters = std::vector<Host>;  ///< in the order of visiting

  Shape input, output;
  std::vector<ParameterShape> parameters;

  virtual ~AnyLayer() = default;
  /// The tape is kept, so that a second call finds it used.
  virtual Host forward(Parameters const& theta, Host const& x, Draw draw) = 0;
  virtual std::vector<bool> support() = 0;
  /// Of the last forward; adds to theta_bar.
  virtual Host pullback(Parameters const& theta, Host const& y_bar, Parameters& theta_bar) = 0;
  /// Whether x and y_bar were after the last pullback, or inference_pullback, what they were before.
  virtual bool inputs_kept() const = 0;
  /// The outcomes, without support, of the other ways to run the layer, where it offers them: y_bar written
  /// over y, y written over x.
  virtual std::vector<Outcome<Scalar>> in_place(Parameters const& theta, Host const& x, Host const& y_bar,
                                                Draw draw) = 0;
  /// theta_bar by pullback_parameters, where the layer offers it.
  virtual std::optional<Parameters> parameters_alone(Parameters const& theta, Host const& x,
                                                     Host const& y_bar, Draw draw) = 0;
  /// inference_forward, and any number of inference_pullbacks behind it, on the tape of `forward`.
  virtual Host inference_forward(Parameters const& theta, Host const& x) = 0;
  virtual Host inference_pullback(Parameters const& theta, Host const& y_bar) = 0;
  virtual Host predict(Parameters const& theta, Host const& x, Index y_columns) = 0;
  /// How often forward and pullback allocate on a new tape, how often predict does, and how often
  /// inference_forward and inference_pullback do, in a second run.
  struct Allocations {
    long training, inference, adjoint;
  };
  virtual Allocations allocations_of_a_second_run(Parameters const& theta, Host const& x,
                                                  Host const& y_bar) = 0;
  /// check_pullback and, of x alone, check_inference_pullback. Only where Scalar is double.
  virtual std::vector<PullbackCheck> check(Parameters const& theta, Host const& x,
                                           PullbackCheckOptions const&) = 0;
  virtual std::vector<PullbackCheck> check_inference(Parameters const& theta, Host const& x,
                                                     PullbackCheckOptions const&) = 0;
};

/// Transfers that are compiled once a backend: in every layer's copy of the model they would cost
/// most of its time.
template <Backend B>
[[gnu::noinline]] Matrix<B> sent(B& b, HostMatrix<typename B::Scalar> const& A) {
  return to_device(b, A);
}
template <Backend B>
[[gnu::noinline]] HostMatrix<typename B::Scalar> fetched(B& b, ConstView<B> A) {
  return to_host(b, A);
}
template <Backend B>
[[gnu::noinline]] void append_support(B& b, ConstView<B> state, std::vector<bool>& support,
                                      auto const&... rule) {
  auto const u = to_host(b, state);
  for (Index i = 0; i < u.rows() * u.cols(); ++i)
    support.push_back(detail::on_a_line(static_cast<double>(u.data()[i]), rule...));
}

template <Layer L>
class LayerModel : public AnyLayer<typename L::Backend::Scalar> {
  using B = typename L::Backend;
  using Scalar = typename B::Scalar;
  using Host = HostMatrix<Scalar>;
  using Parameters = std::vector<Host>;
  using Theta = typename L::Parameters;
  using Tape = typename L::Tape;

 public:
  /// On a backend of its own, made from `arguments` (a number of threads).
  explicit LayerModel(auto... arguments) : b_(arguments...) {
    this->input = L::input;
    this->output = L::output;
    visit([&](std::string_view, Role const& role,
              auto const& p) { this->parameters.push_back({role, p.rows(), p.cols()}); },
          layer_.parameters(b_));
  }

  Host forward(Parameters const& theta, Host const& x, Draw draw) override {
    x_host_ = x;
    x_ = sent(b_, x);
    return fetched(b_, run_forward(there(theta), x_, tape_, draw));
  }

  std::vector<bool> support() override {
    std::vector<bool> on_lines;
    if constexpr (requires { L::visit_states([](auto const&...) {}, tape_); })
      L::visit_states(
          [&](auto const& state, auto const&... rule) { append_support<B>(b_, state, on_lines, rule...); },
          tape_);
    return on_lines;
  }

  Host pullback(Parameters const& theta, Host const& y_bar, Parameters& theta_bar) override {
    auto const y_bar_there = sent(b_, y_bar);
    Host const x_bar = pullback_there(theta, y_bar_there, theta_bar);
    inputs_kept_ = fetched(b_, x_) == x_host_ && fetched(b_, y_bar_there) == y_bar;
    return x_bar;
  }

  bool inputs_kept() const override { return inputs_kept_; }

  std::vector<Outcome<Scalar>> in_place(Parameters const& theta, Host const& x, Host const& y_bar,
                                        Draw draw) override {
    std::vector<Outcome<Scalar>> outcomes;
    auto const pull_back = [&](Host const& y, ConstView<B> y_bar_there) {
      Outcome<Scalar>& out = outcomes.emplace_back(Outcome<Scalar>{y, {}, {}, {}});
      for (auto const& p : theta) out.theta_bar.emplace_back(p.rows(), p.cols());
      out.x_bar = pullback_there(theta, y_bar_there, out.theta_bar);
    };
    auto const theta_there = there(theta);
    x_ = sent(b_, x);
    auto const y_bar_there = sent(b_, y_bar);
    if constexpr (LendsOutput<L>) {
      View<B> const y = layer_.forward(b_, theta_there, x_, tape_, draw);
      Host const y_host = fetched(b_, y);
      each(b_.lane(), formula::Assign(), y, ConstView<B>(y_bar_there));
      pull_back(y_host, y);
    }
    if constexpr (RunsInPlace<L>) {
      ConstView<B> const y = layer_.forward_in_place(b_, theta_there, x_, tape_, draw);
      Host const y_host = fetched(b_, y);
      pull_back(y_host, y_bar_there);
    }
    return outcomes;
  }

  std::optional<Parameters> parameters_alone(Parameters const& theta, Host const& x, Host const& y_bar,
                                             Draw draw) override {
    if constexpr (requires(L const l, B& b, Theta t, Tape tape, ConstView<B> v) {
                    l.pullback_parameters(b, t, tape, v, t);
                  }) {
      Parameters theta_bar;
      for (auto const& p : theta) theta_bar.emplace_back(p.rows(), p.cols());
      auto const theta_there = there(theta);
      auto bar = there(theta_bar);
      x_ = sent(b_, x);
      run_forward(theta_there, x_, tape_, draw);
      layer_.pullback_parameters(b_, theta_there, tape_, sent(b_, y_bar), bar);
      fetch(bar, theta_bar);
      return theta_bar;
    } else {
      return {};
    }
  }

  Host inference_forward(Parameters const& theta, Host const& x) override {
    x_host_ = x;
    x_ = sent(b_, x);
    return fetched(b_, run_forward(there(theta), x_, tape_, Draw{.inference = true}));
  }

  Host inference_pullback(Parameters const& theta, Host const& y_bar) override {
    auto const y_bar_there = sent(b_, y_bar);
    auto x_bar = sent(b_, Host(L::input.channels, x_.cols(), Scalar(9)));
    run_inference_pullback(there(theta), y_bar_there, x_bar, tape_);
    inputs_kept_ = fetched(b_, x_) == x_host_ && fetched(b_, y_bar_there) == y_bar;
    return fetched(b_, x_bar);
  }

  Host predict(Parameters const& theta, Host const& x, Index y_columns) override {
    auto y = sent(b_, Host(L::output.channels, y_columns));
    run_predict(there(theta), sent(b_, x), y);
    return fetched(b_, y);
  }

  typename AnyLayer<Scalar>::Allocations allocations_of_a_second_run(Parameters const& theta, Host const& x,
                                                                     Host const& y_bar) override {
    Tape tape;
    auto const theta_there = there(theta);
    auto theta_bar = theta_there;
    auto const x_there = sent(b_, x), y_bar_there = sent(b_, y_bar);
    auto y = y_bar_there;
    auto const train = [&] {
      run_forward(theta_there, x_there, tape, Draw{});
      run_pullback(theta_there, tape, y_bar_there, theta_bar);
    };
    auto const infer = [&] { run_predict(theta_there, x_there, y); };
    Tape inference_tape;
    auto x_bar = x_there;
    auto const pull_back = [&] {
      run_forward(theta_there, x_there, inference_tape, Draw{.inference = true});
      run_inference_pullback(theta_there, y_bar_there, x_bar, inference_tape);
    };
    train();
    infer();
    pull_back();
    long const training = test::allocations(train), inference = test::allocations(infer);
    return {training, inference, test::allocations(pull_back)};
  }

  std::vector<PullbackCheck> check(Parameters const& theta, Host const& x,
                                   PullbackCheckOptions const& options) override {
    if constexpr (std::is_same_v<Scalar, double>)
      return check_pullback(b_, layer_, there(theta), sent(b_, x), options);
    else
      throw DomainError("check: differences need double");
  }

  std::vector<PullbackCheck> check_inference(Parameters const& theta, Host const& x,
                                             PullbackCheckOptions const& options) override {
    if constexpr (std::is_same_v<Scalar, double> && has::inference_pullback<L>)
      return check_inference_pullback(b_, layer_, there(theta), sent(b_, x), options);
    else
      throw DomainError("check_inference: differences need double, and a layer that has the adjoint");
  }

 private:
  [[gnu::noinline]] Theta there(Parameters const& theta) {
    auto out = layer_.parameters(b_);
    visit(
        [&, i = std::size_t(0)](std::string_view, Role const&, auto& p) mutable { p = sent(b_, theta[i++]); },
        out);
    return out;
  }
  Host pullback_there(Parameters const& theta, ConstView<B> y_bar, Parameters& theta_bar) {
    auto bar = there(theta_bar);
    Host const x_bar = fetched(b_, run_pullback(there(theta), tape_, y_bar, bar));
    fetch(bar, theta_bar);
    return x_bar;
  }
  [[gnu::noinline]] void fetch(Theta const& there, Parameters& here) {
    visit([&, i = std::size_t(0)](std::string_view, Role const&,
                                  auto const& g) mutable { here[i++] = fetched(b_, g); },
          there);
  }
  [[gnu::noinline]] ConstView<B> run_forward(Theta const& theta, ConstView<B> x, Tape& tape, Draw draw) {
    return layer_.forward(b_, theta, x, tape, draw);
  }
  [[gnu::noinline]] ConstView<B> run_pullback(Theta const& theta, Tape& tape, ConstView<B> y_bar,
                                              Theta& theta_bar) {
    return layer_.pullback(b_, theta, tape, y_bar, theta_bar);
  }
  [[gnu::noinline]] void run_inference_pullback(Theta const& theta, ConstView<B> y_bar, View<B> x_bar,
                                                Tape const& tape) {
    if constexpr (has::inference_pullback<L>)
      detrame::inference_pullback(b_, layer_, theta, tape, y_bar, x_bar);
    else
      throw DomainError("the layer has no inference_pullback");
  }
  [[gnu::noinline]] void run_predict(Theta const& theta, ConstView<B> x, View<B> y) {
    layer_.predict(b_, theta, x, y);
  }

  B b_;
  L layer_;
  Tape tape_;
  Matrix<B> x_;
  Host x_host_;
  bool inputs_kept_ = false;
};

}  // namespace detrame::laws
