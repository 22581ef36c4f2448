// SPDX-License-Identifier: Apache-2.0
#include "cuda/window_products.hpp"
#include "detrame/backend/cuda/backend.hpp"

/// What Precision::tf32 rounds, and by how much. TF32 keeps ten bits behind the point of a factor: each is
/// off by 2^-11 at most, a term by (1 + 2^-11)^2 - 1, and a sum by float's rounding besides.
namespace detrame::laws {

double tf32_bound() { return std::pow(1 + std::ldexp(1., -11), 2) - 1; }

/// max |v_ij - exact_ij| / terms_ij, where `terms` has the magnitudes of what is added to v_ij. 0 / 0 counts
/// as 0.
double worst_error(HostMatrix<float> const& v, HostMatrix<double> const& exact,
                   HostMatrix<double> const& terms) {
  return max_abs(mapped([](double c, double e, double t) { return c == e ? 0 : std::abs(c - e) / t; },
                        rounded<double>(v), exact, terms));
}

/// In full: within float's rounding. In TF32: other numbers, within its bound, the same ones in a second run.
template <class Verb>
void check_rounding(HostMatrix<double> const& exact, HostMatrix<double> const& terms, Index n, Verb&& verb) {
  Cuda<float> full, tf32(Precision::tf32);
  auto const v = verb(full), v_tf32 = verb(tf32);
  double const float_rounding = tolerance<float>(n, 1);
  REQUIRE(max_abs(exact) > 0);
  CHECK(worst_error(v, exact, terms) <= float_rounding);
  CHECK(worst_error(v_tf32, exact, terms) <= tf32_bound() + float_rounding);
  CHECK((v_tf32 == v) == !tf32.lane().tf32());
  CHECK(verb(tf32) == v_tf32);
}

TEST_CASE("a product in TF32, by cuBLAS and by the kernel of prepared factors") {
  auto const a = normal_matrix<float>(33, 31, seed(1)), x = normal_matrix<float>(31, 17, seed(2));
  auto const magnitude = [](double t) { return std::abs(t); };
  auto const a_exact = rounded<double>(a), x_exact = rounded<double>(x),
             terms = product(mapped(magnitude, a_exact), mapped(magnitude, x_exact));
  check_rounding(product(a_exact, x_exact), terms, 31, [&](Cuda<float>& b) {
    auto C = zeros(b, 33, 17);
    gemm(b.lane(), 1, to_device(b, a), Op::none, to_device(b, x), Op::none, 0, C);
    return to_host(b, C);
  });
  check_rounding(product(a_exact, x_exact), terms, 31, [&](Cuda<float>& b) {
    auto const frame = b.lane().frame();
    auto const A = to_device(b, a), X = to_device(b, x);
    auto C = zeros(b, 33, 17);
    auto const prepared = prepare_product(b, A, Op::none);
    REQUIRE(prepared.fused());
    product_each(b.lane(), prepared, X, formula::Store(), C);
    return to_host(b, C);
  });
}

void convolutions_round(WindowCase const& at) {
  using ConstView = Cuda<float>::ConstView;
  Window const& w = at.window;
  CAPTURE(w.kernel);
  CAPTURE(w.stride);
  CAPTURE(at.channels);
  WindowProducts<float> const of(at);
  auto const &W = of.W, &U = of.U, &P = of.P;
  check_rounding(of.V, of.V_terms, W.cols(), [&](Cuda<float>& b) {
    auto const W_b = to_device(b, W), U_b = to_device(b, U);
    auto out = zeros(b, of.V.rows(), of.V.cols());
    auto const frame = b.lane().frame();
    convolve_each(b.lane(), prepare_convolution(Direct(), b, w, W_b, Op::none), U_b, formula::Store(), out);
    return to_host(b, out);
  });
  check_rounding(of.U_bar, of.U_terms, w.taps() * at.k, [&](Cuda<float>& b) {
    auto const W_b = to_device(b, W), P_b = to_device(b, P);
    auto out = zeros(b, U.rows(), U.cols());
    auto const frame = b.lane().frame();
    convolve_each(b.lane(), prepare_convolution(Direct(), b, w, W_b, Op::transposed), P_b, formula::Store(),
                  out);
    return to_host(b, out);
  });
  check_rounding(of.W_bar, of.W_terms, P.cols(), [&](Cuda<float>& b) {
    auto const U_b = to_device(b, U), P_b = to_device(b, P);
    auto out = zeros(b, W.rows(), W.cols());
    add_convolution_gradient(Direct(), b.lane(), w, P_b, U_b, 1, out);
    return to_host(b, out);
  });
}

TEST_CASE("(K1) a convolution in TF32, its adjoint, its gradient: sums of one product") {
  convolutions_round({{1, 1, 1, 1, 0}, 1, 1, 1});
  convolutions_round({{6, 5, 1, 1, 0}, 1, 65, 1});
}
TEST_CASE("(K1) a convolution in TF32, its adjoint, its gradient: tiles that are not full, several of them") {
  for (Index stride : {1, 2})
    for (Index channels : {1, 31, 33}) convolutions_round({{7, 9, 3, stride, 1}, channels, 64 - channels, 3});
}
TEST_CASE("(K1) a convolution in TF32, its adjoint, its gradient: a gradient that is cut into parts") {
  convolutions_round({{20, 14, 3, 1, 1}, 3, 5, 2});
}

TEST_CASE("(K1) TF32 is exact where it holds the factors, and NaN stays NaN") {
  Cuda<float> b(Precision::tf32);
  windows_slide(b);
  nan_spreads_by_a_window(b);
}

TEST_CASE("double knows no TF32") {
  Cuda<double> b(Precision::tf32);
  CHECK(!b.lane().tf32());
}

}  // namespace detrame::laws
