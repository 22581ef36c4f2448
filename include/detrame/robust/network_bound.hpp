// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "detrame/layer/inference.hpp"
#include "detrame/network/repeat.hpp"
#include "detrame/network/residual.hpp"
#include "detrame/network/stack.hpp"
#include "detrame/robust/dictionary_bounds.hpp"
#include "detrame/robust/linear_bounds.hpp"
#include "detrame/robust/q_metric_bounds.hpp"
#include "detrame/robust/reflected_bounds.hpp"

namespace detrame::inline DETRAME_ABI {

/// What is proved of a network and of its layers, from parameters alone: made once, for any number of images.
struct NetworkBound {
  std::string name;
  Certified<double> lipschitz;
  Certified<Deviation> deviation;     ///< of a layer; what is made of layers has its parts'
  std::vector<NetworkBound> parts{};  ///< of a Stack or Repeat in their order; of a Residual branch, shortcut
};

/// A batch on its way through the layers, with what is known of each sample: x is what was computed at its
/// centre,                                                                                               (R4)
///
///   centre = |x|_2,   |x_r(x') - x_r| <= radius and |x^_r(x') - x_r(x')| <= error for all x' of the ball,
///
/// x_r without rounding and x^_r with it, from above. At the centre alone |x^_r(x) - x_r(x)| <= off.
template <Backend B>
struct Balls {
  Matrix<B> x;
  std::vector<double> centre, radius, error, off;

  /// No x^_r(x') of the ball is longer.
  double reach(std::size_t n) const { return detail::above(centre[n] + radius[n] + 2 * error[n]); }
};

namespace detail {

/// |x|_2 of each of the samples in x, of so many sites.
template <Backend B>
std::vector<double> lengths(B& backend, ConstView<B> x, Index sites) {
  auto const host = to_host(backend, x);
  std::vector<double> all;
  Index const entries = x.rows() * sites;
  for (Index n = 0; n < x.cols() / sites; ++n)
    all.push_back(length_from_above(
        entries, [&](Index i) { return static_cast<double>(host.data()[n * entries + i]); }));
  return all;
}

/// f(x) of every sample, and how far it can be from it.
template <class L>
void advance_layer(typename L::Backend& backend, L const& layer, typename L::Parameters const& theta,
                   NetworkBound const& bound, Balls<typename L::Backend>& balls) {
  using B = typename L::Backend;
  double const most = static_cast<double>(std::numeric_limits<typename B::Scalar>::max()) / 4;
  constexpr Shape out = L::output;
  balls.x = predict(backend, layer, theta, ConstView<B>(balls.x));
  auto const after = lengths<B>(backend, balls.x, out.sites());
  for (std::size_t n = 0; n < after.size(); ++n) {
    double const infinite = std::numeric_limits<double>::infinity(),
                 least = std::numeric_limits<double>::min(),
                 lipschitz = bound.lipschitz ? bound.lipschitz.value() : infinite;
    auto const error = [&](double before, double reach) {
      if (!bound.deviation) return infinite;
      Deviation const& d = bound.deviation.value();
      return d.range * (reach + 1) < most
                 ? above(lipschitz * before + d.relative * reach + d.absolute) + least
                 : infinite;
    };
    balls.error[n] = error(balls.error[n], balls.reach(n));
    balls.off[n] = error(balls.off[n], balls.centre[n]);
    balls.radius[n] = product_from_above(lipschitz, balls.radius[n]);
    balls.centre[n] = after[n];
  }
}

/// The name of a tensor of theta that has an entry that is not finite; empty where there is none.
template <Backend B, class Theta>
std::string not_finite(B& backend, Theta const& theta) {
  std::string found;
  visit(
      [&](Path const& path, auto const&, Matrix<B> const& tensor) {
        auto const host = to_host(backend, ConstView<B>(tensor));
        for (Index i = 0; i < host.rows() * host.cols() && found.empty(); ++i)
          if (!std::isfinite(host.data()[i])) found = std::string_view(path);
      },
      theta);
  return found;
}

}  // namespace detail

/// What is proved of a layer or a network.                                                               (L3)
///
/// Ensures   nothing of a layer of which a parameter is not finite
/// Cost      that of the constants: Cholesky factors of the weights, on the host; see window_norm
/// Tested    tests/robust/certify_test.cpp
template <LayerMaps L>
NetworkBound network_bound(typename L::Backend& backend, L const& layer,
                           typename L::Parameters const& theta) {
  if constexpr (requires { detail::GuaranteeOf<L>::type::bound(backend, layer, theta); })
    return detail::GuaranteeOf<L>::type::bound(backend, layer, theta);
  else if (auto const which = detail::not_finite(backend, theta); !which.empty())
    return {name_of<L>(), detail::none_for<L>((which + " is not finite").c_str()),
            detail::none_for<L>((which + " is not finite").c_str())};
  else
    return {name_of<L>(), lipschitz(backend, layer, theta), deviation(backend, layer, theta)};
}

/// Takes a batch through a layer with these parameters, whose bound is given.                            (R4)
template <LayerMaps L>
void advance(typename L::Backend& backend, L const& layer, typename L::Parameters const& theta,
             NetworkBound const& bound, Balls<typename L::Backend>& balls) {
  if constexpr (requires { detail::GuaranteeOf<L>::type::advance(backend, layer, theta, bound, balls); })
    detail::GuaranteeOf<L>::type::advance(backend, layer, theta, bound, balls);
  else
    detail::advance_layer(backend, layer, theta, bound, balls);
}

namespace detail {

/// The product of the parts' constants, or the first reason.
inline Certified<double> product_of(std::vector<NetworkBound> const& parts) {
  double product = 1;
  for (auto const& part : parts) {
    if (!part.lipschitz) return NoCertificate{part.lipschitz.reason()};
    product = product_from_above(product, part.lipschitz.value());
  }
  return product;
}

/// A composition has no rounding of its own: that of its parts is followed by `advance`.
inline NoCertificate of_its_parts() { return {"the rounding of a network is that of its layers"}; }

/// f(i, layer, theta_i) for the layers of a Stack, i a constant, or the blocks of a Repeat, in their order.
struct StackParts {
  static constexpr char const* name = "Stack";
  template <class S, class Theta, class F>
  static void each(S const& stack, Theta const& theta, F const& f) {
    [&]<std::size_t... i>(std::index_sequence<i...>) {
      (f(std::integral_constant<std::size_t, i>(), leaf<i>(stack.layers), leaf<i>(theta)), ...);
    }(std::make_index_sequence<S::shapes.size() - 1>());
  }
};
struct RepeatParts {
  static constexpr char const* name = "Repeat";
  template <class R, class Theta, class F>
  static void each(R const& repeat, Theta const& theta, F const& f) {
    for (std::size_t i = 0; i < theta.block.size(); ++i) f(i, repeat.layer, theta.block[i]);
  }
};

/// What is proved of parts that follow one another.
template <class Parts>
struct OneAfterAnother {
  template <class L>
  static NetworkBound bound(typename L::Backend& backend, L const& net, typename L::Parameters const& theta) {
    std::vector<NetworkBound> parts;
    Parts::each(net, theta, [&](auto, auto const& layer, auto const& own) {
      parts.push_back(network_bound(backend, layer, own));
    });
    auto product = product_of(parts);
    return {Parts::name, std::move(product), of_its_parts(), std::move(parts)};
  }
  template <class L>
  static void advance(typename L::Backend& backend, L const& net, typename L::Parameters const& theta,
                      NetworkBound const& bound, Balls<typename L::Backend>& balls) {
    Parts::each(net, theta, [&](auto i, auto const& layer, auto const& own) {
      ::detrame::advance(backend, layer, own, bound.parts[i], balls);
    });
  }
};

}  // namespace detail

template <Recipe... Recipes>
struct Guarantee<Stack<Recipes...>> : detail::OneAfterAnother<detail::StackParts> {};
template <int n, Recipe Block>
struct Guarantee<Repeat<n, Block>> : detail::OneAfterAnother<detail::RepeatParts> {};

/// The sum of both constants; 1 and that of the branch where x itself is added.
template <Recipe Through, Recipe Branch>
struct Guarantee<detail::ResidualOf<Through, Branch>> {
  static constexpr bool unchanged = std::is_same_v<Through, detail::Unchanged>;

  template <class L>
  static NetworkBound bound(typename L::Backend& backend, L const& residual,
                            typename L::Parameters const& theta) {
    std::vector<NetworkBound> parts{network_bound(backend, residual.branch, theta.branch)};
    if constexpr (unchanged)
      parts.push_back({"x", 1., Deviation{}});
    else
      parts.push_back(network_bound(backend, residual.shortcut, theta.shortcut));
    Certified<double> sum = 0.;
    for (auto const& part : parts) {
      if (!part.lipschitz) sum = NoCertificate{part.lipschitz.reason()};
      if (sum) sum = detail::above(sum.value() + part.lipschitz.value(), 1);
    }
    return {"Residual", std::move(sum), detail::of_its_parts(), std::move(parts)};
  }

  /// Both ways from the same ball; then a sum, rounded once.
  template <class L>
  static void advance(typename L::Backend& backend, L const& residual, typename L::Parameters const& theta,
                      NetworkBound const& bound, Balls<typename L::Backend>& balls) {
    using B = typename L::Backend;
    constexpr Shape out = L::output;
    Balls<B> through = balls;
    ::detrame::advance(backend, residual.branch, theta.branch, bound.parts[0], balls);
    if constexpr (!unchanged)
      ::detrame::advance(backend, residual.shortcut, theta.shortcut, bound.parts[1], through);
    each(backend.lane(), formula::Add(), View<B>(balls.x), ConstView<B>(through.x));
    auto const after = detail::lengths<B>(backend, balls.x, out.sites());
    for (std::size_t n = 0; n < after.size(); ++n) {
      double const u = detail::gamma<typename B::Scalar>(2);
      balls.error[n] =
          detail::above(balls.error[n] + through.error[n] + u * (balls.reach(n) + through.reach(n)));
      balls.off[n] = detail::above(balls.off[n] + through.off[n] +
                                   u * (balls.centre[n] + through.centre[n] + balls.off[n] + through.off[n]));
      balls.radius[n] = detail::above(balls.radius[n] + through.radius[n]);
      balls.centre[n] = after[n];
    }
  }
};

}  // namespace detrame::inline DETRAME_ABI
