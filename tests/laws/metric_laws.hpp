// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/concept.hpp"
#include "support.hpp"

/// The laws of a Metric: each takes any model on any backend.
namespace detrame::laws {

using namespace detrame::test;

/// dense is symmetric, exactly.
template <Metric M>
void metric_is_symmetric(typename M::Backend& b, M const& Q) {
  auto const dense = to_host(b, detrame::dense(b, Q));  // k x k
  REQUIRE(dense.rows() == Q.dim());
  CHECK(dense == transposed(dense));
}

/// 0 < lambda_min <= the smallest eigenvalue, and <v, Q v> >= lambda_min |v|^2 wherever one looks.
template <Metric M>
void lambda_min_bounds_from_below(typename M::Backend& b, M const& Q) {
  using Scalar = typename M::Backend::Scalar;
  auto const dense_b = detrame::dense(b, Q);  // k x k
  auto const dense = to_host(b, dense_b);
  auto const eigenvalues = symmetric_eigenvalues(b, dense_b);
  Scalar const rounding = tolerance<Scalar>(Q.dim(), static_cast<double>(eigenvalues.back()));
  CHECK(Q.lambda_min() > 0);
  CHECK(Q.lambda_min() <= eigenvalues.front() + rounding);
  for (std::uint64_t n = 0; n < 20; ++n) {
    auto const v = normal_matrix<Scalar>(Q.dim(), 1, seed(n));
    double const square = inner(v, v);
    CHECK(inner(v, product(dense, v)) >= (static_cast<double>(Q.lambda_min() - rounding)) * square);
  }
}

/// apply(V) = dense V
template <Metric M>
void metric_applies_its_dense_form(typename M::Backend& b, M const& Q) {
  using Scalar = typename M::Backend::Scalar;
  auto const dense = to_host(b, detrame::dense(b, Q));  // k x k
  for (Index N : {0, 1, 7}) {
    auto const V = normal_matrix<Scalar>(Q.dim(), N, seed(1));  // k x N
    auto QV = zeros(b, Q.dim(), N);                             // k x N
    Q.apply(b.lane(), to_device(b, V), QV);
    double const scale = static_cast<double>(Q.dim()) * max_abs(dense) * max_abs(V);
    CHECK(max_abs_difference(to_host(b, QV), product(dense, V)) <= tolerance<Scalar>(Q.dim(), scale));
  }
}

/// diagonal and absolute_row_sums are those of dense.
template <Metric M>
void metric_tells_its_entries(typename M::Backend& b, M const& Q) {
  using Scalar = typename M::Backend::Scalar;
  auto const dense = to_host(b, detrame::dense(b, Q));  // k x k
  auto const ones = HostMatrix<Scalar>(Q.dim(), 1, Scalar(1));
  CHECK(to_host(b, diagonal(b, Q)) ==
        host_matrix<Scalar>(Q.dim(), 1, [&](Index i, Index) { return dense(i, i); }));
  auto const sums = product(mapped([](Scalar q) { return std::abs(q); }, dense), ones);  // k x 1
  CHECK(max_abs_difference(to_host(b, absolute_row_sums(b, Q)), sums) <=
        tolerance<Scalar>(Q.dim(), max_abs(sums)));
}

/// weights hold Q in the layout of structure.
template <Metric M>
void metric_weights_are_its_dense_form(typename M::Backend& b, M const& Q) {
  auto const dense = to_host(b, detrame::dense(b, Q));  // k x k
  CHECK(Q.structure().dense(b, Q.weights()) == dense);
  CHECK(to_host(b, Q.weights()) == Q.structure().from_dense(dense));
}

/// diag(absolute_row_sums) - Q is positive semi-definite (Gershgorin).
template <Metric M>
void row_sums_dominate(typename M::Backend& b, M const& Q) {
  using Scalar = typename M::Backend::Scalar;
  auto const dense = to_host(b, detrame::dense(b, Q)), sums = to_host(b, absolute_row_sums(b, Q));
  auto const difference = host_matrix<Scalar>(
      Q.dim(), Q.dim(), [&](Index i, Index l) { return (i == l ? sums(i, 0) : Scalar(0)) - dense(i, l); });
  auto const eigenvalues = symmetric_eigenvalues(b, to_device(b, difference));
  CHECK(eigenvalues.front() >= -tolerance<Scalar>(Q.dim(), 2.0 * max_abs(sums)));
}

/// All laws for a collection of metrics, which offers for_each(f): a test case of its own subcases.
template <Backend B, class Metrics>
void metric_laws(B& b, Metrics const& metrics) {
  auto const frame = b.lane().frame();
  SUBCASE("Q = Q^T, bit for bit") {
    metrics.for_each([&](auto const& Q) { metric_is_symmetric(b, Q); });
  }
  SUBCASE("0 < lambda_min |v|^2 <= <v, Q v>") {
    metrics.for_each([&](auto const& Q) { lambda_min_bounds_from_below(b, Q); });
  }
  SUBCASE("apply is the product with the dense form") {
    metrics.for_each([&](auto const& Q) { metric_applies_its_dense_form(b, Q); });
  }
  SUBCASE("diagonal and row sums are those of the dense form") {
    metrics.for_each([&](auto const& Q) { metric_tells_its_entries(b, Q); });
  }
  SUBCASE("weights are the dense form in the structure's layout") {
    metrics.for_each([&](auto const& Q) { metric_weights_are_its_dense_form(b, Q); });
  }
  SUBCASE("Q <= diag(row sums of |Q|)") {
    metrics.for_each([&](auto const& Q) { row_sums_dominate(b, Q); });
  }
}

}  // namespace detrame::laws
