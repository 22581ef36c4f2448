// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/exact/certificate.hpp"
#include "detrame/exact/face_search.hpp"
#include "detrame/exact/report.hpp"
#include "detrame/metric/convolutional_metric.hpp"

namespace detrame {

namespace exact {

/// One image of the metric form with a convolutional Q, k x sites numbers in a row: two loops that share no code, one for
/// the solver, one for the certificate that judges it.
template <class Scalar>
struct ImageData {
  ConvolutionalBlocks shape;
  MatrixView<Scalar const> Q;  // kg x (taps k)
  MatrixView<Scalar const> z;  // (k sites) x 1
  Scalar row_sum;              // the largest sum of |q_il| over a row

  DETRAME_HOST_DEVICE Index k() const { return shape.groups * Q.rows(); }
  DETRAME_HOST_DEVICE Index scratch_rows() const { return z.rows(); }

  /// y = Q x, row of pixels after row of pixels and tap after tap.
  template <class Team>
  DETRAME_HOST_DEVICE void multiply(Team const& team, Scalar const* x, Scalar* y) const {
    Index const kg = Q.rows(), channels = k(), K = shape.kernel, r = (K - 1) / 2;
    team.each(z.rows(), [=](Index i) { y[i] = Scalar(0); });
    for (Index row = 0; row < shape.height; ++row)
      for (Index tap = 0; tap < K * K; ++tap) {
        Index const from = row + tap / K - r, shift = tap % K - r;
        if (from < 0 || from >= shape.height) continue;
        Index const first = shift < 0 ? -shift : 0, last = shift > 0 ? shape.width - shift : shape.width;
        if (first >= last) continue;
        for (Index g = 0; g < shape.groups; ++g) {
          auto const A = Q.middle_cols((g * K * K + tap) * kg, kg);
          // A run of pixels is contiguous where there is one group.
          Index const run = shape.groups == 1 ? last - first : 1;
          for (Index p = first; p < last; p += run)
            add_product(team, A, run, x + (from * shape.width + p + shift) * channels + g * kg,
                        y + (row * shape.width + p) * channels + g * kg);
        }
      }
  }

  /// g = Q (u - z), entry by entry, as the definition says. V: k sites scalars of scratch.
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index, Index, MatrixView<Scalar const> u, Scalar* V,
                                    Scalar* g) const {
    auto const data = *this;
    team.each(z.rows(), [=](Index i) { V[i] = u(i, 0) - data.z(i, 0); });
    team.each(z.rows(), [=](Index i) {
      Index const kg = data.Q.rows(), channels = data.k(), K = data.shape.kernel, r = (K - 1) / 2;
      Index const o = i % channels, group = o / kg, y = i / channels / data.shape.width,
                  x = i / channels % data.shape.width;
      Scalar sum(0);
      for (Index dy = 0; dy < K; ++dy)
        for (Index dx = 0; dx < K; ++dx) {
          Index const yy = y + dy - r, xx = x + dx - r;
          if (yy < 0 || yy >= data.shape.height || xx < 0 || xx >= data.shape.width) continue;
          Scalar const* const v = V + (yy * data.shape.width + xx) * channels + group * kg;
          for (Index l = 0; l < kg; ++l)
            sum += data.Q(o - group * kg, (group * K * K + dy * K + dx) * kg + l) * v[l];
        }
      g[i] = sum;
    });
  }

  /// Upper bounds of the terms that make (Q z)_i and (H u)_i.
  template <class Team>
  DETRAME_HOST_DEVICE Scalar magnitude(Team const& team, Index, Scalar const*, Scalar) const {
    auto const data = *this;
    return row_sum * team.max(z.rows(), [=](Index i) { return std::abs(data.z(i, 0)); });
  }
  template <class Team>
  DETRAME_HOST_DEVICE Scalar point_magnitude(Team const& team, MatrixView<Scalar const> u, Index,
                                             Scalar const*, Scalar) const {
    return row_sum * team.max(u.rows(), [=](Index i) { return std::abs(u(i, 0)); });
  }
};

/// One task: an image. A kernel of each_column.
template <class Activation, class Scalar>
struct ImageTask {
  ConvolutionalBlocks shape;
  Scalar row_sum;  ///< of |Q| + beta: bounds the eigenvalues of H
  bool warm;
  Index limit;

  template <class Team>
  static constexpr Index scratch_size(Index n) {
    return 4 * n + FaceSearch<Activation, Team>::scratch_size(n);
  }

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* scratch, MatrixView<Scalar const> Q,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                      MatrixView<Scalar const> z, MatrixView<Scalar> u,
                                      MatrixView<Scalar> report) const {
    Index const n = z.rows();
    ImageData<Scalar> const data{shape, Q, z.middle_cols(j, 1), row_sum};
    auto const u_j = u.middle_cols(j, 1), report_j = report.middle_cols(j, 1);
    Scalar *const point = scratch, *const r = point + n, *const V = r + n, *const root = V + n,
                  *const rest = root + n;
    bool const from_guess = warm;
    team.each(n, [=](Index i) {
      point[i] = from_guess ? Activation{}(u_j(i, 0), Scalar(0)) : Scalar(0);
      V[i] = data.z(i, 0);
      root[i] = Scalar(0);  // bounds of terms do not need them here
    });
    data.multiply(team, V, r);
    Scalar const tolerance = Scalar(4) * limits::epsilon<Scalar> * data.magnitude(team, 0, root, Scalar(0));
    FaceSearch<Activation, Team> search(team, n, row_sum, tolerance, lambda, r, point, rest);
    auto const end = search.run(limit, [&](Scalar const* x, Scalar* y) {
      data.multiply(team, x, y);
      team.each(n, [=](Index i) { y[i] += beta(i, 0) * x[i]; });
    });
    team.each(n, [=](Index i) { u_j(i, 0) = point[i]; });
    enter(team, report_j, 0, end.status, end.products);
    certify<Activation>(team, data, beta, lambda, root, 0, V, rest, u_j, report_j);
  }
};

/// A vector of numbers a channel as one of all entries of an image; a view of the lane's scratch.
template <Backend B>
typename B::ConstView per_entry(typename B::Lane& lane, typename B::ConstView per_channel, Index sites) {
  auto const out = lane.scratch(per_channel.rows() * sites, 1);
  each(lane, formula::Assign{}, out.reshaped(per_channel.rows(), sites), PerRow{per_channel});
  return out;
}

/// A batch as a matrix with a column an image: itself, read differently, or a copy in scratch.
template <Backend B>
typename B::ConstView by_image(typename B::Lane& lane, typename B::ConstView Z, Index sites,
                               typename B::Matrix& copy, B& backend) {
  Index const n = Z.rows() * sites, images = Z.cols() / sites;
  if (Z.contiguous()) return Z.reshaped(n, images);
  resize(backend, copy, n, images);
  copy_entries(lane, Z, copy);
  return copy;
}

}  // namespace exact

/// The exact proximity operator of psi in a convolutional metric: one strictly convex problem per image. (M3)
///
///   prox^Q_psi(z) = argmin_u  1/2 <u - z, Q (u - z)> + psi(u)
///
/// Shapes    Q: a convolution of k channels.  z, u: k x (sites images).  In the result, "column" is an image.
/// Requires  z of k rows and whole images, psi of k rows, and a guess of the shape of z where one is used, else
///           ShapeError; pivot_limit >= 0, else DomainError.
/// Ensures   (1) u >= 0 exactly where psi says so.
///           (2) residual, subgradient, bound as ExactResult says, from z, Q and u as returned, by loops that neither the
///               solver nor the recursions use.
///           (3) status `optimal` if and only if for every image residual <= 32 eps t, with t = R (|z|_inf + |u|_inf) +
///               |u|_inf and R the largest row sum of |Q| and beta. Any other status comes with the residual reached.
///           (4) the bits of an image depend neither on the other images nor on the number of threads.
///           (5) images = 0 returns at once, optimal with residual 0.
/// Cost      matrix-free: products with Q, of 2 taps k kg flops a site each; `pivots` counts them, and pivot_limit
///           bounds them. Their number grows with the square root of the condition number. Scratch 7 k sites.
/// Source    docs/maths.md (M3), (C4), (K2)
/// Tested    tests/exact/convolutional_test.cpp
template <Backend B, Penalty Psi>
void exact_prox(B& backend, ConvolutionalMetric<B> const& Q, Psi const& psi, typename B::Input z,
                ExactResult<B>& result, ExactOptions options = {}) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  using Scalar = typename B::Scalar;
  using Task = exact::ImageTask<typename Psi::Activation, Scalar>;
  ConstView const Z = z;
  ConvolutionalBlocks const shape = Q.structure();
  Index const k = Q.dim(), sites = shape.unit(), n = k * sites;
  if (Z.rows() != k || psi.dim() != k || Z.cols() % sites != 0)
    throw ShapeError(message("exact_prox: z is ", Z.rows(), " x ", Z.cols(), ", psi has ", psi.dim(),
                             " rows, Q has ", k, " channels and images of ", sites, " sites"));
  bool const warm = exact::prepare(backend, "exact_prox", k, Z.cols(), options, result);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  ConstView const beta = exact::per_entry<B>(lane, psi.beta(), sites),
                  lambda = exact::per_entry<B>(lane, psi.lambda(), sites);
  typename B::Matrix copy, sums = Q.absolute_row_sums(backend);
  each(lane, formula::Add{}, sums, psi.beta());
  ConstView const z_image = exact::by_image<B>(lane, Z, sites, copy, backend);
  View const report = lane.scratch(Index(exact::Report::count), Z.cols() / sites);
  Scalar const row_sum = max_to_host(lane, ConstView(sums));
  each_column(backend, Z.cols() / sites, Task::template scratch_size<typename B::Team>(n),
              Task{shape, row_sum, warm, options.pivot_limit}, Q.weights(), beta, lambda, z_image,
              View(result.u).reshaped(n, Z.cols() / sites), report);
  exact::finish(backend, Q.lambda_min(), psi.beta(), ConstView(report), result);
}

/// The same, as a value.
template <Backend B, Penalty Psi>
ExactResult<B> exact_prox(B& backend, ConvolutionalMetric<B> const& Q, Psi const& psi, typename B::Input z,
                          ExactOptions options = {}) {
  ExactResult<B> result;
  exact_prox(backend, Q, psi, std::move(z), result, options);
  return result;
}

}  // namespace detrame
