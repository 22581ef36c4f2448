// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "laws/any_layer.hpp"

/// The laws of layer/concept.hpp, for any layer on any backend:
///
///   laws::layer<Recipe, Shape{5, 2, 3}, Cpu, archetype::Loops>();
///
/// They speak of AnyLayer and are compiled once, in layer_laws.cpp, which every test program links.
namespace detrame::laws {

using namespace detrame::test;

/// What the laws need to know of a layer.
struct LayerFacts {
  double conditioning = 1;         ///< by how much it magnifies rounding: of systems that it solves
  bool predict_allocates = false;  ///< it has no tape to keep its memory in
  bool of_the_batch = false;  ///< in training a column depends on all others: BatchNorm, and what contains it
};

/// Parameters of usual sizes, away from all bounds; W~ with a diagonal,
/// since maps are defined without constraints.
inline HostMatrix<double> some_parameter(ParameterShape p, std::uint64_t n) {
  auto const normal = [&](double deviation) {
    return mapped([&](double t) { return deviation * t; }, normal_matrix<double>(p.rows, p.cols, n));
  };
  auto const uniform = [&](double low, double high) {
    return uniform_matrix<double>(p.rows, p.cols, n, low, high);
  };
  auto const is = [&](auto... names) { return ((p.role.name == names) || ...); };
  if (is("W_tilde")) return normal(0.4 / std::sqrt(static_cast<double>(p.rows)));
  if (is("dictionary")) return unit_norm_dictionary<double>(p.rows, p.cols, n);
  if (is("bias", "shift", "offset", "running_mean")) return normal(0.2);
  if (is("gain", "running_variance")) return uniform(0.5, 1.5);
  if (is("h")) return uniform(0.5, 1);
  if (is("alpha")) return uniform(0.3, 0.5);
  if (is("b", "lambda", "beta")) return uniform(0.05, 0.15);
  return normal(1 / std::sqrt(static_cast<double>(p.cols)));  // weights, and roles of a test's own
}

template <class Scalar>
HostMatrix<Scalar> columns_of(HostMatrix<Scalar> const& A, Index first, Index count) {
  return host_matrix<Scalar>(A.rows(), count, [&](Index i, Index j) { return A(i, first + j); });
}

/// A layer at the n-th point: parameters, a batch and a cotangent. A float can hold every entry, so that each
/// backend and scalar sees the same numbers.
template <class Scalar>
struct LayerAt {
  using Host = HostMatrix<Scalar>;

  AnyLayer<Scalar>& layer;
  Index samples;
  Host x, y_bar;
  std::vector<Host> theta;
  Draw draw{.seed = 5, .step = 3, .first_sample = 11};

  LayerAt(AnyLayer<Scalar>& l, Index samples_, std::uint64_t n)
      : layer(l),
        samples(samples_),
        x(short_numbers(normal_matrix<double>(l.input.channels, samples * l.input.sites(), seed(n)))),
        y_bar(short_numbers(
            normal_matrix<double>(l.output.channels, samples * l.output.sites(), seed(n + 50)))) {
    for (auto const& p : l.parameters) theta.push_back(short_numbers(some_parameter(p, seed(n += 100))));
  }

  Outcome<Scalar> outcome(Host const& x_, Host const& y_bar_, Draw draw_, Scalar start = 0) const {
    Outcome<Scalar> out;
    out.y = layer.forward(theta, x_, draw_);
    out.support = layer.support();
    for (auto const& p : theta) out.theta_bar.emplace_back(p.rows(), p.cols(), start);
    out.x_bar = layer.pullback(theta, y_bar_, out.theta_bar);
    return out;
  }
  Outcome<Scalar> outcome() const { return outcome(x, y_bar, draw); }
  /// By inference_forward and inference_pullback: no theta_bar.
  Outcome<Scalar> inference(Host const& x_, Host const& y_bar_) const {
    Outcome<Scalar> out;
    out.y = layer.inference_forward(theta, x_);
    out.support = layer.support();
    out.x_bar = layer.inference_pullback(theta, y_bar_);
    return out;
  }
  Outcome<Scalar> inference() const { return inference(x, y_bar); }
  Host predicted(Host const& x_) const {
    return layer.predict(theta, x_, x_.cols() / layer.input.sites() * layer.output.sites());
  }

  /// Rounding relative to the largest entry: sums over channels, a few one after the other, and over columns.
  Scalar rounding(LayerFacts facts) const {
    return tolerance<Scalar>(8 * (layer.input.channels + layer.output.channels) + x.cols(),
                             facts.conditioning);
  }

  static Host short_numbers(HostMatrix<double> const& A) { return rounded<Scalar>(rounded<float>(A)); }
};

extern template struct LayerAt<float>;
extern template struct LayerAt<double>;

/// pullback is the gradient of <forward, y_bar>: three directions for each argument, none across a kink.
void pullback_is_the_gradient(AnyLayer<double>& layer);

/// inference_pullback is the gradient of <predict, y_bar> in x: three directions, none across a kink.
void inference_pullback_is_the_gradient(AnyLayer<double>& layer);

/// Two backends, or two scalars, agree to the rounding of the first, where all masks are the same.
template <class Scalar>
void agrees_with(AnyLayer<Scalar>& layer, AnyLayer<double>& reference_layer, LayerFacts facts);

/// The same bits as on other numbers of threads.
template <class Scalar>
void same_bits(AnyLayer<Scalar>& layer, AnyLayer<Scalar>& other);

/// Nothing is allocated from the second call on.
template <class Scalar>
void memory_is_kept(AnyLayer<Scalar>& layer, LayerFacts facts);

/// All that a layer's outcomes must obey in one precision:
/// the laws of layer_laws.cpp that need no second layer.
template <class Scalar>
void laws_in_one_precision(AnyLayer<Scalar>& layer, LayerFacts facts);

/// The laws of one layer in one precision, and of threads where the backend has them.
template <Layer L>
void layer_laws(AnyLayer<typename L::Backend::Scalar>& layer, LayerFacts facts) {
  laws_in_one_precision(layer, facts);
  if constexpr (std::constructible_from<typename L::Backend, int>) {
    LayerModel<L> one(1), two(2), three(3);
    same_bits(one, two);
    same_bits(one, three);
    memory_is_kept(one, facts);
    memory_is_kept(two, facts);
  }
}

/// All laws in double on one backend, of a layer that is returned.
template <Recipe R, Shape in, template <class> class BackendOf>
std::unique_ptr<AnyLayer<double>> double_layer_on(LayerFacts facts) {
  using L = Bind<R, in, BackendOf<double>>;
  static_assert(Layer<L> && has::inference_pullback<L> && L::output == R::output(in));
  auto layer = std::make_unique<LayerModel<L>>();
  pullback_is_the_gradient(*layer);
  inference_pullback_is_the_gradient(*layer);
  layer_laws<L>(*layer, facts);
  return layer;
}

/// All laws on one backend; the double layer is returned.
template <Recipe R, Shape in, template <class> class BackendOf>
std::unique_ptr<AnyLayer<double>> layer_on(LayerFacts facts) {
  using FloatL = Bind<R, in, BackendOf<float>>;
  static_assert(Layer<FloatL>);
  auto layer = double_layer_on<R, in, BackendOf>(facts);
  LayerModel<FloatL> float_layer;
  layer_laws<FloatL>(float_layer, facts);
  agrees_with(float_layer, *layer, facts);
  return layer;
}

/// All laws on the first backend; in double alone on each other, which shares the
/// layer's code: and they agree.
template <Recipe R, Shape in, template <class> class First, template <class> class... Others>
void layer(LayerFacts facts = {}) {
  auto const first = layer_on<R, in, First>(facts);
  (agrees_with(*double_layer_on<R, in, Others>(facts), *first, facts), ...);
}

}  // namespace detrame::laws
