// SPDX-License-Identifier: Apache-2.0
#include "cuda/im2col.hpp"
#include "cuda/window_products.hpp"

/// The kernels of windows beside plain products of cuBLAS, at sizes that fill no tile.
namespace detrame::laws {

/// Every entry, within the rounding of two sums of n terms, whose magnitudes add up to that of `terms`.
template <class Scalar>
bool agree(HostMatrix<Scalar> const& A, HostMatrix<Scalar> const& B, HostMatrix<double> const& terms,
           Index n) {
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = 0; i < A.rows(); ++i)
      if (!(std::abs(A(i, j) - B(i, j)) <= tolerance<Scalar>(n, terms(i, j)))) return false;
  return true;
}

template <class Scalar>
void agrees_with_im2col(WindowCase const& at) {
  using B = Cuda<Scalar>;
  B b;
  Window const& w = at.window;
  CAPTURE(w.stride);
  CAPTURE(at.channels);
  CAPTURE(at.images);
  WindowProducts<Scalar> const of(at);
  auto const &W = of.W, &U = of.U, &P = of.P;
  auto const W_bar = normal_matrix<Scalar>(at.k, w.taps() * at.channels, seed(4));
  Scalar const sign = -2;
  auto const W_terms = mapped([](double terms, double start) { return 2 * terms + std::abs(start); },
                              of.W_terms, rounded<double>(W_bar));

  Framed<B> W_b(b, W), U_b(b, U), P_b(b, P);  // leading dimensions larger than the rows
  ConstView<B> const weights = W_b.view(), images = U_b.view(), cotangents = P_b.view();
  auto& lane = b.lane();
  {
    Framed<B> here(b, HostMatrix<Scalar>(P.rows(), P.cols())), there(b, here.host());
    auto const frame = lane.frame();
    convolve_each(lane, prepare_convolution(Direct(), b, w, weights, Op::none), images, formula::Store(),
                  here.view());
    im2col::convolve(lane, w, weights, images, there.view());
    CHECK(agree(here.host(), there.host(), of.V_terms, w.taps() * at.channels));
    if (at.images > 0) REQUIRE(max_abs(there.host()) > 0);
    CHECK((here.margin_survived() && there.margin_survived()));
  }
  {
    Framed<B> here(b, HostMatrix<Scalar>(U.rows(), U.cols())), there(b, here.host());
    auto const frame = lane.frame();
    convolve_each(lane, prepare_convolution(Direct(), b, w, weights, Op::transposed), cotangents,
                  formula::Store(), here.view());
    im2col::convolve_adjoint(lane, w, weights, cotangents, there.view());
    CHECK(agree(here.host(), there.host(), of.U_terms, w.taps() * at.k));
    CHECK((here.margin_survived() && there.margin_survived()));
  }
  {
    Framed<B> here(b, W_bar), there(b, W_bar);
    add_convolution_gradient(Direct(), lane, w, cotangents, images, sign, here.view());
    im2col::add_gradient(lane, w, cotangents, images, sign, there.view());
    CHECK(agree(here.host(), there.host(), W_terms, P.cols() + 1));
    if (at.images > 0) REQUIRE(max_abs_difference(there.host(), W_bar) > 0);
    CHECK((here.margin_survived() && there.margin_survived()));
  }
}

TEST_CASE_TEMPLATE("(K1) windows on a device agree with im2col and cuBLAS: forward, adjoint, gradient",
                   Scalar, float, double) {
  for (Index stride : {1, 2})
    for (Index channels : {1, 31, 33})
      for (Index images : {0, 1, 2}) {
        agrees_with_im2col<Scalar>({{6, 5, 3, stride, 1}, channels, 64 - channels, images});
        agrees_with_im2col<Scalar>({{4, 7, 2, stride, 0}, channels, channels, images});
      }
}

/// More positions than one part of a gradient takes.
TEST_CASE("(K1) a gradient that is cut into parts agrees with im2col and cuBLAS") {
  agrees_with_im2col<float>({{20, 14, 3, 1, 1}, 3, 5, 2});
}

}  // namespace detrame::laws
