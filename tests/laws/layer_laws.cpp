// SPDX-License-Identifier: Apache-2.0
#include "laws/layer_laws.hpp"

namespace detrame::laws {

template struct LayerAt<float>;
template struct LayerAt<double>;

/// pullback is the gradient of <forward, y_bar>: three directions for each argument, none across a kink.
void pullback_is_the_gradient(AnyLayer<double>& layer) {
  LayerAt<double> const at(layer, 4, 1);
  auto const here = at.outcome();
  REQUIRE(norm(here.x_bar) > 0);  // not vacuous: every argument matters
  for (std::size_t i = 0; i < here.theta_bar.size(); ++i)
    REQUIRE((norm(here.theta_bar[i]) > 0) == layer.parameters[i].role.trained);
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

/// inference_pullback is the gradient of <predict, y_bar> in x: three directions, none across a kink.
void inference_pullback_is_the_gradient(AnyLayer<double>& layer) {
  LayerAt<double> const at(layer, 4, 1);
  REQUIRE(norm(at.inference().x_bar) > 0);
  int compared = 0;
  for (std::uint64_t n = 1; n <= 5 && compared < 3; ++n)
    for (auto const& check : layer.check_inference(at.theta, at.x, {.seed = seed(n)})) {
      compared += check.same_support;
      if (check.same_support) CHECK_MESSAGE(check.agrees(), check);
    }
  REQUIRE(compared >= 3);
}

/// inference_forward is predict, bit for bit; inference_pullback leaves the tape, x and y_bar as they are,
/// and has the x_bar of the pullback that may follow, which is that of training where nothing is random or
/// of the batch.
template <class Scalar>
void inference_pullback_keeps_the_tape(AnyLayer<Scalar>& layer, LayerFacts facts) {
  LayerAt<Scalar> const at(layer, 70, 16);
  auto const training = at.outcome(), again = at.outcome(at.x, at.y_bar, Draw{.seed = 6}),
             whole = at.outcome(at.x, at.y_bar, Draw{.inference = true});
  auto const once = at.inference();
  CHECK(layer.inputs_kept());
  CHECK(once.y == at.predicted(at.x));
  CHECK(once.y == whole.y);
  CHECK(once.support == whole.support);
  CHECK(layer.inference_pullback(at.theta, at.y_bar) == once.x_bar);
  CHECK(layer.support() == once.support);
  auto theta_bar = at.theta;
  for (auto& p : theta_bar) p = HostMatrix<Scalar>(p.rows(), p.cols());
  CHECK(layer.pullback(at.theta, at.y_bar, theta_bar) == whole.x_bar);
  CHECK(theta_bar == whole.theta_bar);
  CHECK(relative_difference(once.x_bar, whole.x_bar) <= at.rounding(facts));
  CHECK((training == again && !facts.of_the_batch) == (training == whole));
}

/// Its samples are each other's strangers, in whatever batch they stand, also where training is of the batch;
/// and a batch may be one sample, or none.
template <class Scalar>
void inference_pullback_of_parts(AnyLayer<Scalar>& layer, LayerFacts facts) {
  LayerAt<Scalar> const at(layer, 70, 17);
  auto const whole = at.inference();
  for (Columns const part :
       {Columns{0, 1}, Columns{1, 33}, Columns{34, 0}, Columns{34, 36}, Columns{0, 70}}) {
    auto const cut = [&](auto const& A, Shape shape) {
      return columns_of(A, part.first * shape.sites(), part.count * shape.sites());
    };
    auto const out = at.inference(cut(at.x, layer.input), cut(at.y_bar, layer.output));
    REQUIRE(out.x_bar.cols() == part.count * layer.input.sites());
    if (part.count > 0)
      CHECK(relative_difference(out.x_bar, cut(whole.x_bar, layer.input)) <= at.rounding(facts));
  }
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

  layer.inference_forward(at.theta, at.x);
  for (Host const& wrong : {Host(at.y_bar.rows(), y_cols + 1), Host(at.y_bar.rows() + 1, y_cols)})
    CHECK_THROWS_AS(layer.inference_pullback(at.theta, wrong), ShapeError);
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
    auto const inference = at.inference();
    auto const reference_inference = LayerAt<double>(reference_layer, 9, n).inference();
    if (inference.support == reference_inference.support)
      CHECK(relative_difference(rounded<double>(inference.x_bar), reference_inference.x_bar) <= rounding);
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
  CHECK(at.inference() == at_other.inference());
}

/// Nothing is allocated from the second call on.
template <class Scalar>
void memory_is_kept(AnyLayer<Scalar>& layer, LayerFacts facts) {
  LayerAt<Scalar> const at(layer, 300, 14);
  auto const [training, inference, adjoint] = layer.allocations_of_a_second_run(at.theta, at.x, at.y_bar);
  CHECK(training == 0);
  CHECK(adjoint == 0);
  CHECK((inference == 0) != facts.predict_allocates);
}

template <class Scalar>
void laws_in_one_precision(AnyLayer<Scalar>& layer, LayerFacts facts) {
  pullback_adds_to_theta_bar(layer);
  memory_is_shared(layer);
  predict_is_forward(layer, facts);
  inference_pullback_keeps_the_tape(layer, facts);
  inference_pullback_of_parts(layer, facts);
  a_batch_is_its_parts(layer, facts);
  a_tape_serves_any_batch(layer);
  wrong_shapes_are_refused(layer);
  nan_stays_visible(layer);
}

template void laws_in_one_precision(AnyLayer<float>&, LayerFacts);
template void laws_in_one_precision(AnyLayer<double>&, LayerFacts);
template void agrees_with(AnyLayer<float>&, AnyLayer<double>&, LayerFacts);
template void agrees_with(AnyLayer<double>&, AnyLayer<double>&, LayerFacts);
template void same_bits(AnyLayer<float>&, AnyLayer<float>&);
template void same_bits(AnyLayer<double>&, AnyLayer<double>&);
template void memory_is_kept(AnyLayer<float>&, LayerFacts);
template void memory_is_kept(AnyLayer<double>&, LayerFacts);

}  // namespace detrame::laws
