// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "laws/any_layer.hpp"

/// The laws of layer/concept.hpp, for any layer on any backend:
///
///   laws::layer<Recipe, Shape{5, 2, 3}, Cpu, archetype::Loops>();
namespace detrame::laws {

using namespace detrame::test;

/// What the laws need to know of a layer.
struct LayerFacts {
  double conditioning = 1;         ///< by how much it magnifies rounding: of systems that it solves
  bool predict_allocates = false;  ///< it has no tape to keep its memory in
  bool of_the_batch = false;  ///< in training a column depends on all others: BatchNorm, and what contains it
};

/// Parameters of usual sizes, away from all bounds; W~ with a diagonal, since maps are defined without
/// constraints.
inline HostMatrix<double> some_parameter(ParameterShape p, std::uint64_t n) {
  auto const normal = [&](double deviation) {
    return mapped([&](double t) { return deviation * t; }, normal_matrix<double>(p.rows, p.cols, n));
  };
  switch (p.kind) {
    case Kind::weight: return normal(1 / std::sqrt(static_cast<double>(p.cols)));
    case Kind::bias:
    case Kind::shift:
    case Kind::offset:
    case Kind::running_mean: return normal(0.2);
    case Kind::gain:
    case Kind::running_variance: return uniform_matrix<double>(p.rows, p.cols, n, 0.5, 1.5);
    case Kind::W_tilde: return normal(0.4 / std::sqrt(static_cast<double>(p.rows)));
    case Kind::h: return uniform_matrix<double>(p.rows, p.cols, n, 0.5, 1);
    case Kind::dictionary: return unit_norm_dictionary<double>(p.rows, p.cols, n);
    case Kind::alpha: return uniform_matrix<double>(p.rows, p.cols, n, 0.3, 0.5);
    case Kind::b:
    case Kind::lambda:
    case Kind::beta: return uniform_matrix<double>(p.rows, p.cols, n, 0.05, 0.15);
  }
  throw DomainError("some_parameter: unknown kind");
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

/// pullback is the gradient of <forward, y_bar>: three directions for each argument, none across a kink.
inline void pullback_is_the_gradient(AnyLayer<double>& layer) {
  LayerAt<double> const at(layer, 4, 1);
  auto const here = at.outcome();
  REQUIRE(norm(here.x_bar) > 0);  // not vacuous: every argument matters
  for (std::size_t i = 0; i < here.theta_bar.size(); ++i)
    REQUIRE((norm(here.theta_bar[i]) > 0) == trainable(layer.parameters[i].kind));
  if (!here.support.empty()) {  // and so do the masks
    REQUIRE(std::count(here.support.begin(), here.support.end(), true) > 0);
    REQUIRE(std::count(here.support.begin(), here.support.end(), false) > 0);
  }
  std::map<std::string, int> compared;
  auto const fewest = [&] {
    int n = compared.empty() ? 0 : 3;
    for (auto const& [argument, count] : compared) n = std::min(n, count);
    return n;
  };
  for (std::uint64_t n = 1; n <= 5 && fewest() < 3; ++n)
    for (auto const& check : layer.check(at.theta, at.x, {.seed = seed(n), .draw = at.draw})) {
      compared[check.argument] += check.same_support;
      if (check.same_support) CHECK_MESSAGE(check.agrees(), check);
    }
  REQUIRE(compared.size() == 1 + here.theta_bar.size());
  REQUIRE(fewest() >= 3);
}

/// pullback adds to theta_bar, and assigns x_bar.
template <class Scalar>
void pullback_adds_to_theta_bar(AnyLayer<Scalar>& layer) {
  LayerAt<Scalar> const at(layer, 5, 2);
  auto const from_0 = at.outcome(), from_2 = at.outcome(at.x, at.y_bar, at.draw, Scalar(2));
  CHECK((from_0.y == from_2.y && from_0.x_bar == from_2.x_bar));
  for (std::size_t i = 0; i < from_0.theta_bar.size(); ++i) {
    auto const grown = mapped([](Scalar g) { return g - 2; }, from_2.theta_bar[i]);
    double const scale = 2 + static_cast<double>(max_abs(from_0.theta_bar[i]));
    CHECK(max_abs_difference(grown, from_0.theta_bar[i]) <= tolerance<Scalar>(at.x.cols(), scale));
  }
}

/// pullback writes neither x nor y_bar, and leaves a tape that serves again; y_bar may be written over y
/// where forward lends it, and y over x and theta_bar alone where the layer offers that: the same bits.
template <class Scalar>
void memory_is_shared(AnyLayer<Scalar>& layer) {
  LayerAt<Scalar> const at(layer, 70, 15);
  auto const once = at.outcome();
  CHECK(layer.inputs_kept());
  for (auto other : layer.in_place(at.theta, at.x, at.y_bar, at.draw)) {
    other.support = once.support;
    CHECK(other == once);
  }
  if (auto const theta_bar = layer.parameters_alone(at.theta, at.x, at.y_bar, at.draw))
    CHECK(*theta_bar == once.theta_bar);
  CHECK(at.outcome() == once);
}

/// predict is forward where the layer is not random and does not normalise by the batch: the same bits.
template <class Scalar>
void predict_is_forward(AnyLayer<Scalar>& layer, LayerFacts facts) {
  LayerAt<Scalar> const at(layer, 70, 3);
  auto const once = at.outcome(), again = at.outcome(at.x, at.y_bar, Draw{.seed = 6});
  bool const random = !(once == again);
  if (!random) CHECK((at.predicted(at.x) == once.y) != facts.of_the_batch);
}

/// A batch is its samples: forward, predict and x_bar are cut as the batch is, theta_bar is the sum of the
/// parts'. Only predict is where training normalises by the batch.
template <class Scalar>
void a_batch_is_its_parts(AnyLayer<Scalar>& layer, LayerFacts facts) {
  LayerAt<Scalar> const at(layer, 70, 4);
  auto const whole = at.outcome();
  auto const predicted = at.predicted(at.x);
  auto const rounding = at.rounding(facts);
  std::vector<HostMatrix<Scalar>> sums;
  for (auto const& g : whole.theta_bar) sums.emplace_back(g.rows(), g.cols());
  for (Columns const part : {Columns{0, 1}, Columns{1, 33}, Columns{34, 36}}) {
    if (facts.of_the_batch && part.count * layer.input.sites() == 1) continue;  // has no variance
    auto const cut = [&](auto const& A, Shape shape) {
      return columns_of(A, part.first * shape.sites(), part.count * shape.sites());
    };
    auto const x = cut(at.x, layer.input);
    Draw draw = at.draw;
    draw.first_sample += part.first;
    auto const out = at.outcome(x, cut(at.y_bar, layer.output), draw);
    CHECK(relative_difference(at.predicted(x), cut(predicted, layer.output)) <= rounding);
    CHECK((relative_difference(out.y, cut(whole.y, layer.output)) <= rounding) != facts.of_the_batch);
    if (facts.of_the_batch) continue;
    CHECK(relative_difference(out.x_bar, cut(whole.x_bar, layer.input)) <= rounding);
    for (std::size_t i = 0; i < sums.size(); ++i)
      sums[i] = mapped([](Scalar s, Scalar g) { return s + g; }, sums[i], out.theta_bar[i]);
  }
  if (facts.of_the_batch) return;
  for (std::size_t i = 0; i < sums.size(); ++i)
    CHECK(relative_difference(sums[i], whole.theta_bar[i]) <= rounding);
}

/// A tape serves batches of any size, one after the other; a batch without samples is legal.
template <class Scalar>
void a_tape_serves_any_batch(AnyLayer<Scalar>& layer) {
  std::map<Index, Outcome<Scalar>> seen;
  for (Index const samples : {5, 0, 2, 5, 0}) {
    LayerAt<Scalar> const at(layer, samples, 5);
    auto const out = at.outcome();
    CHECK((out.y.rows() == layer.output.channels && out.y.cols() == samples * layer.output.sites()));
    CHECK((out.x_bar.rows() == layer.input.channels && out.x_bar.cols() == samples * layer.input.sites()));
    if (seen.count(samples)) CHECK(out == seen[samples]);
    seen[samples] = out;
    if (samples > 0) continue;
    for (auto const& g : out.theta_bar) CHECK(max_abs(g) == 0);
    CHECK(at.predicted(at.x).cols() == 0);
  }
}

/// Shapes that do not fit are refused with both sizes, and the layer works afterwards.
template <class Scalar>
void wrong_shapes_are_refused(AnyLayer<Scalar>& layer) {
  using Host = HostMatrix<Scalar>;
  LayerAt<Scalar> const at(layer, 3, 6);
  auto const before = at.outcome();
  auto const refused = [](std::string const& text, auto const& f) { check_throws_with<ShapeError>(f, text); };
  auto const size = [](Host const& A) { return message(A.rows(), " x ", A.cols()); };
  Index const rows = at.x.rows(), cols = at.x.cols(), y_cols = at.y_bar.cols();

  auto const expected = message(", a batch of samples of shape ", layer.input);
  Host const tall(rows + 1, cols), ragged(rows, cols + 1);
  refused("x is " + size(tall) + expected, [&] { layer.forward(at.theta, tall, at.draw); });
  refused("x is " + size(tall) + expected, [&] { layer.predict(at.theta, tall, y_cols); });
  if (layer.input.sites() > 1)
    refused("x is " + size(ragged) + expected, [&] { layer.forward(at.theta, ragged, at.draw); });
  refused(message(at.y_bar.rows(), " x ", y_cols - 1), [&] { layer.predict(at.theta, at.x, y_cols - 1); });

  layer.forward(at.theta, at.x, at.draw);
  auto theta_bar = at.theta;
  for (Host const& wrong : {Host(at.y_bar.rows(), y_cols + 1), Host(at.y_bar.rows() + 1, y_cols)})
    refused("y_bar is " + size(wrong), [&] { layer.pullback(at.theta, wrong, theta_bar); });

  for (std::size_t i = 0; i < at.theta.size(); ++i) {  // one tensor has a row too many
    auto theta = at.theta;
    theta[i] = Host(at.theta[i].rows() + 1, at.theta[i].cols(), Scalar(0.1));
    refused(size(theta[i]), [&] { layer.forward(theta, at.x, at.draw); });
    layer.forward(at.theta, at.x, at.draw);
    refused(size(theta[i]), [&] { layer.pullback(at.theta, at.y_bar, theta); });
  }
  CHECK(at.outcome() == before);
}

/// NaN in a sample comes out of this sample, and of no other.
template <class Scalar>
void nan_stays_visible(AnyLayer<Scalar>& layer) {
  LayerAt<Scalar> const at(layer, 3, 7);
  auto x = at.x;
  x(0, layer.input.sites()) = std::numeric_limits<Scalar>::quiet_NaN();
  auto const healthy = at.predicted(at.x), ill = at.predicted(x);
  Index const n = layer.output.sites();
  CHECK(std::isnan(max_abs(columns_of(ill, n, n))));
  CHECK(columns_of(ill, 0, n) == columns_of(healthy, 0, n));
  CHECK(columns_of(ill, 2 * n, n) == columns_of(healthy, 2 * n, n));
}

/// Two backends, or two scalars, agree to the rounding of the first, where all masks are the same.
template <class Scalar>
void agrees_with(AnyLayer<Scalar>& layer, AnyLayer<double>& reference_layer, LayerFacts facts) {
  for (std::uint64_t n = 8; n < 13; ++n) {
    LayerAt<Scalar> const at(layer, 9, n);
    auto const out = at.outcome();
    auto const reference = LayerAt<double>(reference_layer, 9, n).outcome();
    if (out.support != reference.support) continue;
    auto const rounding = static_cast<double>(at.rounding(facts));
    CHECK(relative_difference(rounded<double>(out.y), reference.y) <= rounding);
    CHECK(relative_difference(rounded<double>(out.x_bar), reference.x_bar) <= rounding);
    for (std::size_t i = 0; i < out.theta_bar.size(); ++i)
      CHECK(relative_difference(rounded<double>(out.theta_bar[i]), reference.theta_bar[i]) <= rounding);
    return;
  }
  FAIL("five points, and the masks differ at each");
}

/// The same bits as on other numbers of threads.
template <class Scalar>
void same_bits(AnyLayer<Scalar>& layer, AnyLayer<Scalar>& other) {
  LayerAt<Scalar> const at(layer, 300, 13), at_other(other, 300, 13);
  CHECK(at.outcome() == at_other.outcome());
  CHECK(at.predicted(at.x) == at_other.predicted(at.x));
}

/// Nothing is allocated from the second call on.
template <class Scalar>
void memory_is_kept(AnyLayer<Scalar>& layer, LayerFacts facts) {
  LayerAt<Scalar> const at(layer, 300, 14);
  auto const [training, inference] = layer.allocations_of_a_second_run(at.theta, at.x, at.y_bar);
  CHECK(training == 0);
  CHECK((inference == 0) != facts.predict_allocates);
}

/// The laws of one layer in one precision, and of threads where the backend has them.
template <Layer L>
void layer_laws(AnyLayer<typename L::Backend::Scalar>& layer, LayerFacts facts) {
  pullback_adds_to_theta_bar(layer);
  memory_is_shared(layer);
  predict_is_forward(layer, facts);
  a_batch_is_its_parts(layer, facts);
  a_tape_serves_any_batch(layer);
  wrong_shapes_are_refused(layer);
  nan_stays_visible(layer);
  if constexpr (std::constructible_from<typename L::Backend, int>) {
    LayerModel<L> one(1), two(2), three(3);
    same_bits(one, two);
    same_bits(one, three);
    memory_is_kept(one, facts);
    memory_is_kept(two, facts);
  }
}

/// All laws on one backend; the double layer is returned.
template <Recipe R, Shape in, template <class> class BackendOf>
std::unique_ptr<AnyLayer<double>> layer_on(LayerFacts facts) {
  using L = Bind<R, in, BackendOf<double>>;
  using FloatL = Bind<R, in, BackendOf<float>>;
  static_assert(Layer<L> && Layer<FloatL> && L::output == R::output(in));
  auto layer = std::make_unique<LayerModel<L>>();
  LayerModel<FloatL> float_layer;
  pullback_is_the_gradient(*layer);
  layer_laws<L>(*layer, facts);
  layer_laws<FloatL>(float_layer, facts);
  agrees_with(float_layer, *layer, facts);
  return layer;
}

/// All laws on each backend, and they agree.
template <Recipe R, Shape in, template <class> class First, template <class> class... Others>
void layer(LayerFacts facts = {}) {
  auto const first = layer_on<R, in, First>(facts);
  (agrees_with(*layer_on<R, in, Others>(facts), *first, facts), ...);
}

}  // namespace detrame::laws
