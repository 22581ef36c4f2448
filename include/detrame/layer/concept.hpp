// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "detrame/backend/concept.hpp"
#include "detrame/core/parameters.hpp"
#include "detrame/core/random.hpp"
#include "detrame/core/shape.hpp"

namespace detrame::inline DETRAME_ABI {

/// A layer is a pair of maps, forward and pullback, between batches of two fixed shapes on one backend. It
/// holds choices (T, rate) and no state.
///
///   forward   y = f(theta, x; draw), in training mode, or where draw.inference says so as predict has it. y
///             lives in the tape; so does what pullback needs. The tape keeps a view of x, which must outlive
///             it.
///   pullback  the gradient of <f(theta, x), y_bar>: returns x_bar (it lives in the tape, or is y_bar in
///             another shape) and *adds* to theta_bar. One call for each forward: afterwards y is lost, since
///             x_bar may stand in its memory, and with it all else in the tape but what absorb reads. x and
///             y_bar are not written. y_bar lies neither in the tape nor in x, unless y is lent.
///   lending   forward returns y as a View, and not as a ConstView, where pullback does not read it: whoever
///             reads y may then write over it, be it y_bar (LendsOutput), be it, by the optional
///             forward_in_place of a layer that stands behind, its own y, and x_bar there too (RunsInPlace).
///   predict   the inference map, written to y.
///   inference optional: the inference map with these parameters as a function of some samples, map(lane, x,
///             y), for a layer whose samples depend on no other in inference. It is prepared for many calls
///             and lives until the innermost frame of backend.lane() closes. A layer that has it says how
///             many samples should be in a call, as `samples_at_once`, and whether y may be x, as `in_place`;
///             its predict is `predict_in_chunks`. A Stack of such layers takes a few samples through all of
///             them while they are in a cache.
///   inference_pullback
///             the gradient of <predict(theta, x), y_bar> in x, written to x_bar, behind a forward of
///             draw.inference: see layer/inference_pullback.hpp.
///   pullback_parameters
///             optional: pullback that adds to theta_bar and forms no x_bar, for the first layer of a
///             network, whose x_bar nobody reads; a training step ends with it.
///   absorb    optional: takes what forward measured of the batch into theta (running statistics).
///   walk      optional: of what is made of layers, walk(f, path, theta, tape) walks through each of them.
///   name      optional, static: what the layer is, in words, "Dense"; for `summary`.
///   FromRecipe optional, a type: the recipe that it was made of, under which robust/ knows what is proved of
///             it (Guarantee).
///
/// Laws (tests/laws/layer_laws.hpp): pullback is that gradient (check_pullback), and pullback_parameters its
/// part; forward of a batch is forward of its parts; predict is forward where the layer is not random, and
/// always where draw.inference says so; inference_pullback is its gradient in x, the same in each call, and
/// leaves the tape to pullback; a tape serves again after pullback; the bits are the same with y_bar in y's
/// memory where y is lent, and in place; x and y_bar are kept; nothing is allocated from the second call on;
/// the bits do not depend on the number of threads.
namespace has {

template <class L>
concept shapes = requires(L const& layer) {
  { layer.input } -> std::convertible_to<Shape>;
  { layer.output } -> std::convertible_to<Shape>;
};

/// The compiler knows the shapes.
template <class L>
concept constant_shapes = shapes<L> && requires {
  typename std::integral_constant<Index, Shape(L::input).channels>;
  typename std::integral_constant<Index, Shape(L::output).channels>;
};

template <class L>
concept parameters = Backend<typename L::Backend> && std::copyable<typename L::Parameters> &&
                     requires(L const layer, typename L::Backend& b) {
                       { layer.parameters(b) } -> std::same_as<typename L::Parameters>;
                     };

template <class V, class B>
concept view_of = std::same_as<V, View<B>> || std::same_as<V, ConstView<B>>;

template <class L>
concept forward = requires(L const layer, typename L::Backend& b, typename L::Parameters const& theta,
                           ConstView<typename L::Backend> x, typename L::Tape& tape, Draw draw) {
  { layer.forward(b, theta, x, tape, draw) } -> view_of<typename L::Backend>;
};

template <class L>
concept pullback = requires(L const layer, typename L::Backend& b, typename L::Parameters const& theta,
                            typename L::Parameters& theta_bar, ConstView<typename L::Backend> y_bar,
                            typename L::Tape& tape) {
  { layer.pullback(b, theta, tape, y_bar, theta_bar) } -> std::same_as<ConstView<typename L::Backend>>;
};

template <class L>
concept predict = requires(L const layer, typename L::Backend& b, typename L::Parameters const& theta,
                           ConstView<typename L::Backend> x,
                           View<typename L::Backend> y) { layer.predict(b, theta, x, y); };

}  // namespace has

/// The maps of a layer, whose shapes may be known at run time alone (AnyNetwork).
template <class L>
concept LayerMaps = std::default_initializable<typename L::Tape> && has::shapes<L> && has::parameters<L> &&
                    has::forward<L> && has::pullback<L> && has::predict<L>;

template <class L>
concept Layer = std::default_initializable<L> && has::constant_shapes<L> && LayerMaps<L>;

/// What forward returns: a View where the layer lends y, else a ConstView.
template <Layer L>
using ForwardResult = decltype(std::declval<L const&>().forward(
    std::declval<typename L::Backend&>(), std::declval<typename L::Parameters const&>(),
    std::declval<ConstView<typename L::Backend>>(), std::declval<typename L::Tape&>(), Draw()));

/// The reader of y may write over it, and pass a y_bar that stands there.
template <class L>
concept LendsOutput = Layer<L> && std::same_as<ForwardResult<L>, View<typename L::Backend>>;

/// The layer can write y over an x that is lent.
template <class L>
concept RunsInPlace =
    Layer<L> && requires(L const layer, typename L::Backend& b, typename L::Parameters const& theta,
                         View<typename L::Backend> x, typename L::Tape& tape, Draw draw) {
      { layer.forward_in_place(b, theta, x, tape, draw) } -> std::same_as<ConstView<typename L::Backend>>;
    };

/// A recipe knows neither its input shape nor its backend: `output(input)` gives the shape that it makes, and
/// `Layer<input, Backend>` the layer that it becomes.
template <class R>
concept Recipe = requires {
  { R::output(Shape{1}) } -> std::same_as<Shape>;
};

/// The layer that a recipe becomes at an input shape on a backend. Not constrained: a recipe that refuses its
/// numbers would be refused a second time, as no Recipe.
template <class R, Shape input, Backend B>
using Bind = typename R::template Layer<input, B>;

/// Takes into theta the statistics that forward measured, where the layer has such: called once for each step
/// of training, after it. A layer offers it as a member `absorb(backend, theta, tape)`.
template <LayerMaps L>
void absorb(typename L::Backend& backend, L const& layer, typename L::Parameters& theta,
            typename L::Tape const& tape) {
  if constexpr (requires { layer.absorb(backend, theta, tape); }) layer.absorb(backend, theta, tape);
}

/// The theta_bar of pullback alone.
template <LayerMaps L>
void pullback_parameters(typename L::Backend& backend, L const& layer, typename L::Parameters const& theta,
                         typename L::Tape& tape, ConstView<typename L::Backend> y_bar,
                         typename L::Parameters& theta_bar) {
  if constexpr (requires { layer.pullback_parameters(backend, theta, tape, y_bar, theta_bar); })
    layer.pullback_parameters(backend, theta, tape, y_bar, theta_bar);
  else if constexpr (!std::same_as<typename L::Parameters, NoParameters>)
    layer.pullback(backend, theta, tape, y_bar, theta_bar);
}

/// f(path, layer, theta, tape) for each layer of a network that is not made of layers itself, in the order in
/// which forward takes them, a branch before its shortcut. `path` is the layer's place, "3.branch.0.", before
/// the names of its parameters. f sees of the tape what the last forward left there, before a pullback.
template <class F, LayerMaps L>
void walk(F&& f, L const& layer, Path const& path, typename L::Parameters const& theta,
          typename L::Tape const& tape) {
  if constexpr (requires { layer.walk(f, path, theta, tape); })
    layer.walk(f, path, theta, tape);
  else
    f(path, layer, theta, tape);
}

/// Walks through the layers of a network with the tape that a forward of x leaves, in training mode where
/// nothing is dropped.
///
/// Cost      a forward, whose tape is allocated
template <class F, LayerMaps L>
void walk_forward(F&& f, typename L::Backend& backend, L const& net, typename L::Parameters const& theta,
                  ConstView<typename L::Backend> x) {
  auto const tape = std::make_unique<typename L::Tape>();
  net.forward(backend, theta, x, *tape, {.dropping = false});
  walk(f, net, Path(), theta, *tape);
}

/// What a layer, or a part of one, says that it is.
template <class L>
std::string name_of() {
  if constexpr (requires { L::name(); })
    return L::name();
  else
    return "a layer without a name";
}

/// How many samples a batch of training must have at least: a layer that needs more than one says so as a
/// static member `least_samples`, and so do the networks that it is a part of.
template <class L>
constexpr Index least_samples() {
  if constexpr (requires {
                  { L::least_samples } -> std::convertible_to<Index>;
                })
    return L::least_samples;
  else
    return 1;
}

/// The same of a network that may be known at run time alone.
template <LayerMaps L>
Index least_samples(L const& layer) {
  if constexpr (requires {
                  { layer.least_samples() } -> std::convertible_to<Index>;
                })
    return layer.least_samples();
  else
    return least_samples<L>();
}

/// The multiply-adds of the matrix products that the inference map takes for one sample: a layer that has
/// such offers them as a static member `multiply_adds`. Entrywise maps, means and biases are not counted, nor
/// is what is prepared of the parameters alone. Of an exact dictionary they are those of D^T x, since the
/// search for the support takes what the data make it take.
template <class L>
constexpr Index multiply_adds() {
  if constexpr (requires { L::multiply_adds; })
    return L::multiply_adds;
  else
    return 0;
}

}  // namespace detrame::inline DETRAME_ABI
