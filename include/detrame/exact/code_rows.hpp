// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/formulas.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// Neighbouring rows of sparse codes u and of the adjoint solution v, Team::width or what is left, and
/// the sums over their columns that cotangents are made of. A column costs work where it uses one of them.
template <class Activation, class Team>
class CodeRows {
 public:
  using Scalar = typename Team::Scalar;

  /// How many groups k rows make.
  static constexpr Index groups(Index k) { return (k + Team::width - 1) / Team::width; }

  DETRAME_HOST_DEVICE CodeRows(Activation activation, MatrixView<Scalar const> u, MatrixView<Scalar const> v,
                               Index group)
      : rule_(activation),
        u_(u),
        v_(v),
        first_(group * Team::width),
        count_(u.rows() - first_ < Team::width ? u.rows() - first_ : Team::width) {}

  DETRAME_HOST_DEVICE Index first() const { return first_; }
  DETRAME_HOST_DEVICE Index count() const { return count_; }

  /// f(i, j, u_ij, v_ij) for each u_ij of these rows but 0 at a kink, column after column, and the sums over
  /// them: within runs of columns, and then of runs. NaN is not 0.
  template <class F>
  DETRAME_HOST_DEVICE void visit(F&& f) {
    for (Index begin = 0; begin < u_.cols(); begin += run) {
      Index const end = begin + run < u_.cols() ? begin + run : u_.cols();
      Sums part[Team::width] = {};
      for (Index j = begin; j < end; ++j) {
        if (!any(j)) continue;
        for (Index c = 0; c < count_; ++c) {
          Scalar const u = u_(first_ + c, j);
          if (idle(u)) continue;
          Scalar const v = v_(first_ + c, j);
          part[c].solution += v;
          part[c].product += u * v;
          part[c].slope += formula::derivative(rule_, u) * v;
          f(first_ + c, j, u, v);
        }
      }
      for (Index c = 0; c < count_; ++c) {
        sums_[c].solution += part[c].solution;
        sums_[c].product += part[c].product;
        sums_[c].slope += part[c].slope;
      }
    }
  }

  /// lambda_bar_i = -sum_j rho'(u_ij) v_ij and beta_bar_i = -sum_j u_ij v_ij
  DETRAME_HOST_DEVICE void put_penalty(Team const& team, MatrixView<Scalar> lambda_bar,
                                       MatrixView<Scalar> beta_bar) const {
    team.once([=, this] {
      for (Index c = 0; c < count_; ++c) {
        lambda_bar(first_ + c, 0) = -sums_[c].slope;
        beta_bar(first_ + c, 0) = -sums_[c].product;
      }
    });
  }

  /// d_bar_i = -sum_j v_ij
  DETRAME_HOST_DEVICE void put_shift(Team const& team, MatrixView<Scalar> d_bar) const {
    team.once([=, this] {
      for (Index c = 0; c < count_; ++c) d_bar(first_ + c, 0) = -sums_[c].solution;
    });
  }

 private:
  static constexpr Index run = 64;  // columns
  struct Sums {
    Scalar solution, product, slope;
  };

  DETRAME_HOST_DEVICE bool idle(Scalar u) const {
    return u == Scalar(0) && formula::held(rule_, u, Scalar(1));
  }
  DETRAME_HOST_DEVICE bool any(Index j) const {
    Scalar const* const u = &u_(first_, j);
    bool some = false;
    for (Index c = 0; c < count_; ++c) some |= !idle(u[c]);
    return some;
  }

  Activation rule_;
  MatrixView<Scalar const> u_, v_;
  Index first_, count_;
  Sums sums_[Team::width] = {};
};

}  // namespace detrame::inline DETRAME_ABI::exact
