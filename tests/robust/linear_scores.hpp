// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/robust/attack_norm.hpp"
#include "detrame/robust/score_map.hpp"
#include "support.hpp"

namespace detrame::test {

inline constexpr AttackNorm norms[] = {AttackNorm::l2, AttackNorm::l_inf};

/// y = W x + c of images read as columns: a map whose attacks are known in closed form.
template <Backend B>
class LinearScores {
 public:
  using Backend = B;
  using Scalar = typename B::Scalar;

  LinearScores(B& b, Shape shape, HostMatrix<double> const& W, HostMatrix<double> const& c)
      : b_(b), shape_(shape), W_(in_memory_of(b, W)), c_(in_memory_of(b, c)) {}

  B& backend() const { return b_; }
  Shape input() const { return shape_; }
  Index classes() const { return W_.rows(); }

  void predict(ConstView<B> x, View<B> y) {
    gemm(b_.lane(), Scalar(1), ConstView<B>(W_), Op::none, detail::as_columns(shape_, x), Op::none, Scalar(0),
         y);
    each(b_.lane(), formula::Add(), y, PerRow{ConstView<B>(c_)});
  }
  ConstView<B> scores(ConstView<B> x) {
    ++forwards, scored += x.cols() / shape_.sites();
    resize(b_, y_, classes(), x.cols() / shape_.sites());
    predict(x, y_);
    return y_;
  }
  void pullback(ConstView<B> y_bar, View<B> x_bar) {
    ++pullbacks;
    gemm(b_.lane(), Scalar(1), ConstView<B>(W_), Op::transposed, y_bar, Op::none, Scalar(0),
         detail::as_columns(shape_, x_bar));
  }

  int forwards = 0, pullbacks = 0;
  Index scored = 0;  ///< images, by `scores`

 private:
  B& b_;
  Shape shape_;
  Matrix<B> W_, c_, y_;
};

/// Weights, images and what is known of them: five classes, images of 3 x 2 x 2 in [0, 1]. No two scores of
/// an image are near one another.
struct LinearProblem {
  static constexpr Shape shape{3, 2, 2};
  HostMatrix<double> W = normal_matrix<double>(5, shape.size(), seed(1)),
                     c = normal_matrix<double>(5, 1, seed(2));
  HostMatrix<double> x;  ///< size x n

  explicit LinearProblem(Index n = 7)
      : x(rounded<double>(uniform_matrix<float>(shape.size(), n, seed(3), .2, .8))) {}

  template <Backend B>
  Matrix<B> images(B& b) const {
    return in_memory_of(b, reshaped(x, shape.channels, shape.sites() * x.cols()));
  }
  double score(Index i, HostMatrix<double> const& z, Index j) const {
    double y = c(i, 0);
    for (Index l = 0; l < z.rows(); ++l) y += W(i, l) * z(l, j);
    return y;
  }
  int label(HostMatrix<double> const& z, Index j) const {
    int best = 0;
    for (int i = 1; i < W.rows(); ++i)
      if (score(i, z, j) > score(best, z, j)) best = i;
    return best;
  }
  /// Of all images.
  std::vector<int> labels() const {
    std::vector<int> all;
    for (Index j = 0; j < x.cols(); ++j) all.push_back(label(x, j));
    return all;
  }
  /// The distance of image j to the boundary of class k, by the norm of the weights' difference.
  double distance(Index j, int k, bool l2) const {
    int const l = label(x, j);
    double norm = 0;
    for (Index i = 0; i < x.rows(); ++i) {
      double const w = W(k, i) - W(l, i);
      norm += l2 ? w * w : std::abs(w);
    }
    return (score(l, x, j) - score(k, x, j)) / (l2 ? std::sqrt(norm) : norm);
  }
  /// The nearest class of image j.
  int nearest(Index j, bool l2) const {
    int best = -1;
    for (int k = 0; k < W.rows(); ++k)
      if (k != label(x, j) && (best < 0 || distance(j, k, l2) < distance(j, best, l2))) best = k;
    return best;
  }
};

}  // namespace detrame::test
