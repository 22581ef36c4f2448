// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/backend/concept.hpp"
#include "detrame/core/shape.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// What is attacked: a map f from images to scores, whose largest is the label, and its adjoint. An object
/// has memory of its own, and is used by one caller at a time.
///
///   predict(x, y)          y = f(x), the scores by which the program labels
///   scores(x)              f(x) up to rounding; it lives in the map until the next call
///   pullback(y_bar, x_bar) x_bar = J^T y_bar, J the Jacobian of f at the x that `scores` read last, as often
///                          as one likes. That x is still what it was.
///
/// Shapes    x, x_bar: input().channels x (input().sites() n), n images.  y, y_bar: classes() x n.
/// Laws      (1) what is computed of an image depends on no other one;
///           (2) pullback is the adjoint of the derivative of predict.
/// Models    NetworkScores, PixelScores
template <class M>
concept ScoreMap = Backend<typename M::Backend> &&
                   requires(M& map, ConstView<typename M::Backend> x, View<typename M::Backend> y) {
                     { map.backend() } -> std::same_as<typename M::Backend&>;
                     { map.input() } -> std::same_as<Shape>;
                     { map.classes() } -> std::same_as<Index>;
                     map.predict(x, y);
                     { map.scores(x) } -> std::same_as<ConstView<typename M::Backend>>;
                     map.pullback(x, y);
                   };

template <ScoreMap M>
using ScalarOf = typename M::Backend::Scalar;

namespace detail {

/// Refuses the scores of a column that are not finite: of the image of that number.
template <class Scalar>
void require_finite(char const* who, HostMatrix<Scalar> const& scores, Index column, Index image) {
  for (Index i = 0; i < scores.rows(); ++i)
    if (!std::isfinite(scores(i, column)))
      throw DomainError(message(who, ": the score of class ", i, " of image ", image, " is ",
                                scores(i, column), ", must be finite"));
}

/// Image j of a batch that begins at `first`.
struct NumberedFrom {
  Index first;
  Index operator()(Index j) const { return first + j; }
};

/// f(x) on the host, by predict.
template <ScoreMap M>
HostMatrix<ScalarOf<M>> predicted_scores(char const* who, M& map, ConstView<typename M::Backend> x) {
  auto& backend = map.backend();
  Matrix<typename M::Backend> y;
  resize(backend, y, map.classes(), samples(who, map.input(), x));
  map.predict(x, y);
  return to_host(backend, ConstView<typename M::Backend>(y));
}

/// The same, finite or refused. Image j has the number `number(j)`.
template <ScoreMap M, class Number>
HostMatrix<ScalarOf<M>> finite_scores(char const* who, M& map, ConstView<typename M::Backend> x,
                                      Number const& number) {
  auto scores = predicted_scores(who, map, x);
  for (Index j = 0; j < scores.cols(); ++j) require_finite(who, scores, j, number(j));
  return scores;
}

/// out_j = 0 where all entries of column j are finite, else 1.
template <class Scalar>
struct NotFinite {
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> G,
                                      MatrixView<Scalar> out) const {
    Scalar const any =
        team.max(G.rows(), [=](Index i) { return G(i, j) - G(i, j) == Scalar(0) ? Scalar(0) : Scalar(1); });
    team.once([=] { out(0, j) = any; });
  }
};

/// Refuses columns of gradients that are not finite: column j is of the image `number(j)`, where that is not
/// negative.
template <Backend B, class Number>
void require_finite_gradients(char const* who, B& b, ConstView<B> G, Number const& number) {
  Matrix<B> bad;
  resize(b, bad, 1, G.cols());
  each_column(b, G.cols(), 0, NotFinite<typename B::Scalar>(), G, View<B>(bad));
  auto const there = to_host(b, ConstView<B>(bad));
  for (Index j = 0; j < there.cols(); ++j)
    if (there(0, j) != 0 && number(j) >= 0)
      throw DomainError(message(who, ": the gradient at image ", number(j), " is not finite"));
}

/// The images of a batch as columns of their own: size x n. Requires x.contiguous().
template <class View>
View as_columns(Shape const& shape, View x) {
  return x.reshaped(shape.size(), x.cols() / shape.sites());
}

/// And back: channels x (sites n).
template <class View>
View as_images(Shape const& shape, View x) {
  return x.reshaped(shape.channels, shape.sites() * x.cols());
}

/// Refuses what is not in (0, infinity), NaN included.
inline void require_positive(char const* who, char const* name, double value) {
  if (!(value > 0) || std::isinf(value))
    throw DomainError(message(who, ": ", name, " = ", value, ", must be > 0 and finite"));
}

}  // namespace detail

}  // namespace detrame::inline DETRAME_ABI
