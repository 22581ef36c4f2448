// SPDX-License-Identifier: Apache-2.0
#include "detrame/exact/exact_prox.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"
#include "detrame/layer/patches.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/reshape.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/transform.hpp"
#include "detrame/network/stack.hpp"
#include "laws/everywhere.hpp"

/// The deep dictionary (N1), paper (5), is the network (N2), paper (14), end to end.
namespace detrame {
namespace {

using B = Cpu<double>;
using Host = HostMatrix<double>;

Synthesis<B> problem(Index m, Index k, double alpha, double beta, double lambda, std::uint64_t n) {
  B b(1);
  return {to_device(b, test::unit_norm_dictionary<double>(m, k, test::seed(n))), alpha, beta, lambda,
          to_device(b, test::mapped([](double t) { return 0.1 * t; },
                                    test::normal_matrix<double>(k, 1, test::seed(n + 1))))};
}

DictionaryParameters<B> parameters_of(Synthesis<B> const& s) {
  auto const number = [](double value) { return B::Matrix(B::Matrix::Constant(1, 1, value)); };
  return {s.D, s.d, number(s.lambda), number(s.alpha), number(s.beta)};
}

/// prox^Q_psi(W u - c), a layer of (N2): one block of Q for each of the sites that the code is cut in.
Host network_layer(B& b, Host const& W, Host const& c, Synthesis<B> const& s, Host const& u, Index sites) {
  Host const Wu = test::product(W, u);
  Host const Z =
      host_matrix<double>(Wu.rows(), Wu.cols(), [&](Index i, Index j) { return Wu(i, j) - c(i, 0); });
  Index const k = s.D.cols();
  Host const Q = test::product(test::transposed(to_host(b, s.D)), to_host(b, s.D));
  Host const blocks = host_matrix<double>(
      k, k * sites, [&](Index i, Index j) { return Q(i, j % k) + (i == j % k ? s.alpha : 0); });
  BlockDiagonalMetric<B> const metric(b, to_device(b, blocks));
  NonnegativeElasticNet<B> const psi(b, k * sites, s.lambda, s.beta);
  auto const result = exact_prox(b, metric, psi, to_device(b, Z));
  REQUIRE(result.status == ExactStatus::optimal);
  REQUIRE(result.u.maxCoeff() > 0);   // not vacuous: some entry is active,
  REQUIRE(result.u.minCoeff() == 0);  // and some entry is not
  return to_host(b, result.u);
}

/// The same matrix on each of the sites of a sample: diag(A, ..., A);
/// a vector: all of them below one another.
Host at_each_site(Host const& A, Index sites) {
  Index const m = A.rows(), n = A.cols();
  return host_matrix<double>(m * sites, n * sites,
                             [&](Index i, Index j) { return i / m == j / n ? A(i % m, j % n) : 0; });
}
Host repeated(Host const& v, Index sites) {
  return host_matrix<double>(v.rows() * sites, 1, [&](Index i, Index) { return v(i % v.rows(), 0); });
}

TEST_CASE(
    "(N1) = (N2) end to end: M_D layers with Reshape between are prox^Q layers with W = F P, c = Q^-1 d; "
    "(E8) the classifier's c is free") {
  B b(1);
  auto const s_1 = problem(6, 8, 0.2, 0.05, 0.1, 1), s_2 = problem(4, 5, 0.3, 0.1, 0.05, 3);
  Host const C = test::normal_matrix<double>(3, 10, test::seed(5)),
             c_3 = test::normal_matrix<double>(3, 1, test::seed(6));
  Host const x = test::normal_matrix<double>(6, 40, test::seed(7));

  // P^(1) cuts the 8 numbers of a code into 4 channels at 2 sites, and M_D(2) codes each site
  using Deep =
      Bind<Stack<Dictionary<8, Exact>, Reshape<Shape{4, 1, 2}>, Dictionary<5, Exact>, Flatten, Dense<3>>,
           Shape{6}, B>;
  Deep const deep;
  auto theta = deep.parameters(b);
  leaf<0>(theta) = parameters_of(s_1);
  leaf<2>(theta) = parameters_of(s_2);
  leaf<4>(theta) = {to_device(b, C), to_device(b, c_3)};
  Host const y = to_host(b, predict(b, deep, theta, to_device(b, x)));

  // on flat vectors P^(1) and P^(2) are identity matrices, F^(2) stands at each of the two sites
  auto const t_1 = transform(b, s_1), t_2 = transform(b, s_2);
  Host const u_1 = network_layer(b, to_host(b, t_1.W), to_host(b, t_1.c), s_1, x, 1);
  Host const W_2 = at_each_site(to_host(b, t_2.W), 2), c_2 = repeated(to_host(b, t_2.c), 2);
  Host const u_2 = network_layer(b, W_2, c_2, s_2, u_1, 2);
  Host const Cu = test::product(C, u_2);
  Host const expected = host_matrix<double>(3, 40, [&](Index i, Index j) { return Cu(i, j) - c_3(i, 0); });
  CHECK(test::relative_difference(y, expected) <= test::tolerance<double>(60, 15));

  // not vacuous: the order of the numbers matters, here P^(1) a reversal
  Host const reversed = host_matrix<double>(8, 40, [&](Index i, Index j) { return u_1(7 - i, j); });
  CHECK(test::relative_difference(network_layer(b, W_2, c_2, s_2, reversed, 2), u_2) > 0.1);
}

TEST_CASE("(N1) = (N2) with a tall matrix P: W^(2) = F^(2) P^(1)") {
  B b(1);
  auto const s_1 = problem(6, 8, 0.2, 0.05, 0.1, 11), s_2 = problem(12, 7, 0.3, 0.1, 0.05, 13);
  Host const P =
      host_matrix<double>(12, 8, [](Index i, Index j) { return (i * 5) % 8 == j ? 1. : 0.; });  // copies
  Host const x = test::normal_matrix<double>(6, 40, test::seed(7));

  using Deep = Bind<Stack<Dictionary<8, Exact>, Dense<12>, Dictionary<7, Exact>>, Shape{6}, B>;
  Deep const deep;
  auto theta = deep.parameters(b);
  leaf<0>(theta) = parameters_of(s_1);
  leaf<1>(theta).W = to_device(b, P);
  leaf<2>(theta) = parameters_of(s_2);
  Host const y = to_host(b, predict(b, deep, theta, to_device(b, x)));

  auto const t_1 = transform(b, s_1), t_2 = transform(b, s_2);
  Host const u_1 = network_layer(b, to_host(b, t_1.W), to_host(b, t_1.c), s_1, x, 1);
  Host const u_2 = network_layer(b, test::product(to_host(b, t_2.W), P), to_host(b, t_2.c), s_2, u_1, 1);
  CHECK(test::relative_difference(y, u_2) <= test::tolerance<double>(60, 15));
}

/// The matrix of Patches<3, Stride<s>> on the entries of an image below one another.
Host patch_operator(Shape image, Index s) {
  Index const h = (image.height - 1) / s + 1, w = (image.width - 1) / s + 1, C = image.channels;
  Host P(9 * C * h * w, image.size());
  for (Index q = 0; q < h * w; ++q)
    for (Index tap = 0; tap < 9; ++tap) {
      Index const row = q / w * s + tap / 3 - 1, col = q % w * s + tap % 3 - 1;
      if (row < 0 || row >= image.height || col < 0 || col >= image.width) continue;
      for (Index c = 0; c < C; ++c) P((q * 9 + tap) * C + c, (row * image.width + col) * C + c) = 1;
    }
  return P;
}

TEST_CASE(
    "(N1) = (N2) with overlapping patches of images: W^(r) = F^(r) P^(r) at each site, P with zeros around") {
  B b(1);
  auto const s_1 = problem(18, 5, 0.4, 0.05, 0.1, 31), s_2 = problem(45, 4, 0.5, 0.1, 0.02, 33);
  constexpr Shape image{2, 2, 3}, coded{5, 2, 3};
  using Deep =
      Bind<Stack<Patches<3>, Dictionary<5, Exact>, Patches<3, Stride<2>>, Dictionary<4, Exact>>, image, B>;
  auto theta = Deep().parameters(b);
  leaf<1>(theta) = parameters_of(s_1);
  leaf<3>(theta) = parameters_of(s_2);
  Host const x = test::normal_matrix<double>(2, 40 * 6, test::seed(9));
  auto const flat = [](Host const& A, Index rows) {
    return host_matrix<double>(rows, A.rows() * A.cols() / rows,
                               [&](Index i, Index j) { return A.data()[j * rows + i]; });
  };
  Host const y = to_host(b, predict(b, Deep(), theta, to_device(b, x)));
  auto const t_1 = transform(b, s_1), t_2 = transform(b, s_2);
  Host const W_1 = test::product(at_each_site(to_host(b, t_1.W), 6), patch_operator(image, 1)),
             W_2 = test::product(at_each_site(to_host(b, t_2.W), 2), patch_operator(coded, 2));
  Host const u_1 = network_layer(b, W_1, repeated(to_host(b, t_1.c), 6), s_1, flat(x, 12), 6);
  Host const u_2 = network_layer(b, W_2, repeated(to_host(b, t_2.c), 2), s_2, u_1, 2);
  CHECK(test::relative_difference(flat(y, 8), u_2) <= test::tolerance<double>(60, 30));
}

/// A Q-metric ReLU with the tied parameters of a problem, (M7).
template <class Theta>
void set_tied(B& b, Theta& theta, Synthesis<B> const& s) {
  auto const Q = s.metric(b);
  auto const recurrence = tie(b, Q, s.penalty(b), coordinate_step(b, Q));
  theta = {recurrence.W_tilde, recurrence.h, recurrence.b};
}

TEST_CASE("(N1) = (N2) unrolled: a deep dictionary of T tied updates is a stack of Dense and QMetricReLU") {
  B b(1);
  auto const s_1 = problem(6, 8, 0.2, 0.05, 0.1, 21), s_2 = problem(4, 5, 0.3, 0.1, 0.05, 23);
  using Q = QMetricReLU<Full, Unroll<3>>;
  using Coding = Unrolled<Jacobi, Unroll<3>>;
  using Deep =
      Bind<Stack<Dictionary<8, Coding>, Reshape<Shape{4, 1, 2}>, Dictionary<5, Coding>>, Shape{6}, B>;
  using Network = Bind<Stack<Dense<8>, Q, Reshape<Shape{4, 1, 2}>, Dense<5>, Q>, Shape{6}, B>;
  auto deep_theta = Deep().parameters(b);
  leaf<0>(deep_theta) = parameters_of(s_1);
  leaf<2>(deep_theta) = parameters_of(s_2);
  auto theta = Network().parameters(b);
  auto const t_1 = transform(b, s_1), t_2 = transform(b, s_2);
  leaf<0>(theta) = {t_1.W, t_1.c};
  set_tied(b, leaf<1>(theta), s_1);
  leaf<3>(theta) = {t_2.W, t_2.c};
  set_tied(b, leaf<4>(theta), s_2);
  auto const x = test::random_matrix(b, 6, 40, test::seed(8));
  auto const deep = predict(b, Deep(), deep_theta, x);
  REQUIRE(deep.maxCoeff() > 0);
  CHECK(test::relative_difference(b, predict(b, Network(), theta, x), deep) <=
        test::tolerance<double>(60, 15));
}

TEST_CASE("(A3) a deep dictionary obeys the laws of a layer: gradients through all its exact solutions") {
  using Codes = Stack<Dictionary<8, Exact>, Reshape<Shape{4, 1, 2}>, Dictionary<3, Exact>, Flatten, Dense<2>>;
  laws::layer<Codes, Shape{5}, Cpu>({.conditioning = 15. * 15, .predict_allocates = true});
}

}  // namespace
}  // namespace detrame
