// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <functional>

#include "detrame/backend/concept.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/parameters.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {
/// Of column j of g the largest magnitude m, and sum_i (g_ij / m)^2, or 0 where m is 0 or not finite.
struct ScaledSquares {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> g,
                                      MatrixView<Scalar> out) const {
    Scalar const m = team.max(g.rows(), [=](Index i) { return g(i, j) < Scalar(0) ? -g(i, j) : g(i, j); });
    bool const scales = m > Scalar(0) && m <= limits::largest<Scalar>;
    Scalar const sum =
        scales ? team.sum(g.rows(), [=](Index i) { return g(i, j) / m * (g(i, j) / m); }) : Scalar(0);
    team.once([=] {
      out(0, j) = m;
      out(1, j) = sum;
    });
  }
};
}  // namespace detail

/// The Euclidean norm of a gradient, over all parameters that are trained.
///
///   |theta_bar|_2
///
/// Ensures   no square overflows or vanishes: each column is scaled by its largest magnitude, and the columns
///           are put together in double. NaN where an entry is NaN, else infinity where one is. The same bits
///           on the CPU for every number of threads.
/// Cost      moves the gradient once, a kernel a tensor; one copy to the host, of two numbers a column.
/// Tested    tests/optim/clip_test.cpp
template <Backend B, class Theta>
double gradient_norm(B& backend, Theta const& theta_bar, bool (*trains)(Role const&)) {
  using Scalar = typename B::Scalar;
  std::function<void(ConstView<B>)> of_trained;
  auto const visit_trained = [&](auto const& f) {
    of_trained = std::ref(f);
    visit(
        [&](std::string_view, Role const& role, Matrix<B> const& g) {
          if (role.trained && trains(role)) of_trained(g);
        },
        theta_bar);
  };
  Index columns = 0;
  visit_trained([&](ConstView<B> g) { columns += g.cols(); });
  auto const frame = backend.lane().frame();
  View<B> const out = backend.lane().scratch(2, columns);
  Index first = 0;
  visit_trained([&](ConstView<B> g) {
    each_column(backend, g.cols(), 0, detail::ScaledSquares(), g, out.middle_cols(first, g.cols()));
    first += g.cols();
  });
  HostMatrix<Scalar> const of_columns = to_host(backend, ConstView<B>(out));
  double largest = 0, sum = 0;
  for (Index j = 0; j < columns; ++j) {
    double const m = of_columns(0, j);
    largest = m > largest || std::isnan(m) ? m : largest;
  }
  if (!(largest > 0 && largest <= limits::largest<double>)) return largest;
  for (Index j = 0; j < columns; ++j) {
    double const m = of_columns(0, j) / largest;
    sum += m * m * static_cast<double>(of_columns(1, j));
  }
  return largest * std::sqrt(sum);
}

/// Clipping by global norm: a gradient of norm |g| is scaled by `scale(|g|)`, for which an optimiser has
/// `gradient_scale`.
///
///   scale = min(1, norm / (|g| + 1e-6))
///
/// Requires  norm > 0, else DomainError.
/// Ensures   NaN for a norm that is NaN, which optimisers refuse.
/// Source    torch.nn.utils.clip_grad_norm_
/// Tested    tests/optim/clip_test.cpp, tests/optim/torch_test.cpp
struct Clip {
  double norm;

  void check() const {
    if (!(norm > 0)) throw DomainError(message("Clip: norm = ", norm, ", must be > 0"));
  }
  double scale(double gradient_norm) const {
    check();
    double const s = norm / (gradient_norm + 1e-6);
    return s > 1 ? 1 : s;
  }
};

}  // namespace detrame::inline DETRAME_ABI
