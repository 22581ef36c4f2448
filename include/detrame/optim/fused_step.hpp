// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <utility>

#include "detrame/optim/concept.hpp"
#include "detrame/optim/projection.hpp"

/// What optimisers share: one pass over theta, gradient and moments, step and projection together.
namespace detrame::inline DETRAME_ABI {

namespace formula {

/// A step with a gradient that is scaled. One that is not scaled does without, and so without its rounding.
template <class Step, class Scalar>
struct ScaledGradient {
  Step step;
  Scalar scale;
  template <class... Moments>
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar g, Moments&... moments) const {
    step(p, scale * g, moments...);
  }
};

/// A step, then the projection.
template <class Step, class Scalar>
struct Projected {
  Step step;
  Projection<Scalar> projection;
  template <class... Moments>
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p, Scalar g, Moments&... moments) const {
    step(p, g, moments...);
    projection(i, j, p);
  }
};

}  // namespace formula

namespace detail {

/// f(path, role, p, g, moments) for a parameter. It is told of views alone, so that the walk through a
/// network is compiled once for all that an optimiser does.
template <class B, std::size_t moments>
using OfParameter = std::function<void(std::string_view, Role const&, View<B>, ConstView<B>,
                                       std::array<View<B>, moments> const&)>;

template <Backend B, std::size_t... m, class Theta>
void visit_moments(std::index_sequence<m...>, Theta& theta, Theta const& theta_bar, std::span<Theta> moments,
                   std::type_identity_t<OfParameter<B, sizeof...(m)>> const& f) {
  visit([&](std::string_view path, Role const& role, Matrix<B>& p, Matrix<B> const& g,
            auto&... v) { f(path, role, p, g, std::array<View<B>, sizeof...(m)>{View<B>(v)...}); },
        theta, theta_bar, moments[m]...);
}

template <class B, std::size_t>
using MomentView = View<B>;

/// Takes a step whose formula is step(p, g, moments...), after the projections' Requires and those below.
template <class B, class O, class Theta>
class FusedStep {
  using Scalar = typename B::Scalar;
  static constexpr std::make_index_sequence<O::moments.size()> all{};

 public:
  /// DomainError or ShapeError where the arguments of O::step, or what all optimisers have, are not in their
  /// ranges, or not of theta's shapes, or where a set to project onto is empty: no step is begun that cannot
  /// be ended.
  FusedStep(B& backend, char const* who, O const& optimiser, Theta& theta, Theta const& theta_bar,
            std::span<Theta> moments, double rate, double gradient_scale)
      : backend_(backend),
        optimiser_(optimiser),
        theta_(theta),
        theta_bar_(theta_bar),
        moments_(moments),
        gradient_scale_(gradient_scale) {
    require_at_least(who, "rate", rate, 0.);
    require_at_least(who, "gradient_scale", gradient_scale, 0.);
    require_at_least(who, "weight_decay", optimiser.weight_decay, 0.);
    if (!(optimiser.constraints.margin > 0))
      throw DomainError(message(who, ": margin = ", optimiser.constraints.margin, ", must be > 0"));
    if (moments.size() != O::moments.size())
      throw ShapeError(message(who, ": ", moments.size(), " moments, must be ", O::moments.size()));
    auto const require_like = [&](std::string_view path, View<B> p, std::string_view what, ConstView<B> v) {
      if (p.rows() != v.rows() || p.cols() != v.cols())
        throw ShapeError(message(who, ": ", path, " is ", p.rows(), " x ", p.cols(), ", its ", what, " is ",
                                 v.rows(), " x ", v.cols()));
    };
    auto const require = [&](std::string_view path, Role const& role, View<B> p, ConstView<B> g,
                             std::array<View<B>, O::moments.size()> const& v) {
      if (moves(role)) (void)projection<Scalar>(optimiser.constraints, role, p.rows());
      require_like(path, p, "gradient", g);
      for (std::size_t n = 0; n < v.size(); ++n)
        require_like(path, p, O::moments[n].substr(0, O::moments[n].size() - 1), v[n]);
    };
    visit_moments<B>(all, theta, theta_bar, moments, std::ref(require));
  }

  /// step_of(decay): the formula for a parameter of this weight decay.
  template <class StepOf>
  void operator()(StepOf const& step_of) const {
    using Step = decltype(step_of(0.));
    if (gradient_scale_ == 1) {
      take<Step>(all, step_of);
    } else {
      Scalar const scale = static_cast<Scalar>(gradient_scale_);
      using ScaledGradient = formula::ScaledGradient<Step, Scalar>;
      take<ScaledGradient>(all, [&](double decay) { return ScaledGradient{step_of(decay), scale}; });
    }
  }

 private:
  template <class Step, std::size_t... m, class StepOf>
  void take(std::index_sequence<m...> indices, StepOf const& step_of) const {
    using Fused = formula::Projected<Step, Scalar>;
    Items<B, Fused, View<B>, ConstView<B>, MomentView<B, m>...> items(backend_);
    auto const add = [&](std::string_view, Role const& role, View<B> p, ConstView<B> g,
                         std::array<View<B>, sizeof...(m)> const& v) {
      if (!moves(role)) return;
      double const decay = role.decays && optimiser_.decays(role) ? optimiser_.weight_decay : 0;
      items.add(Fused{step_of(decay), projection<Scalar>(optimiser_.constraints, role, p.rows())}, p, g,
                v[m]...);
    };
    visit_moments<B>(indices, theta_, theta_bar_, moments_, std::ref(add));
    items.finish();
  }

  bool moves(Role const& role) const { return role.trained && optimiser_.trains(role); }

  B& backend_;
  O const& optimiser_;
  Theta& theta_;
  Theta const& theta_bar_;
  std::span<Theta> moments_;
  double gradient_scale_;
};

}  // namespace detail
}  // namespace detrame::inline DETRAME_ABI
