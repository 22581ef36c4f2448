// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "laws/backend_laws.hpp"

/// The laws of the verbs that slide a window over images, judged by the sum of their definition. All entries
/// are small integers, so that sums are exact in whatever order they are added.
namespace detrame::laws {

/// Strides, paddings, kernels larger than the image, one row, no image.
struct WindowCase {
  Window window;
  Index channels, k, images;
};
inline std::vector<WindowCase> awkward_windows() {
  return {{{5, 7, 3, 1, 1}, 3, 4, 2},  {{5, 7, 3, 2, 1}, 3, 4, 2}, {{6, 6, 3, 2, 1}, 1, 5, 3},
          {{8, 5, 1, 1, 0}, 4, 3, 2},  {{8, 5, 1, 2, 0}, 4, 3, 2}, {{7, 9, 5, 3, 2}, 2, 3, 2},
          {{4, 4, 3, 1, 0}, 2, 2, 2},  {{1, 1, 3, 2, 1}, 3, 2, 2}, {{2, 1, 5, 1, 4}, 2, 3, 1},
          {{3, 4, 2, 2, 0}, 2, 3, 2},  {{9, 8, 4, 3, 1}, 2, 3, 2}, {{5, 5, 3, 1, 1}, 33, 17, 2},
          {{3, 3, 3, 1, 1}, 2, 2, 0},  {{1, 6, 3, 2, 2}, 1, 1, 2}, {{10, 10, 3, 4, 1}, 2, 2, 1},
          {{40, 38, 3, 2, 1}, 1, 2, 1}};
}

/// f(o, q, place in W's row, channel, column of U) for every product of the definition.
template <class F>
void every_product(WindowCase const& at, F&& f) {
  Window const& w = at.window;
  for (Index q = 0; q < at.images * w.out_sites(); ++q)
    for (Index tap = 0; tap < w.taps(); ++tap) {
      Index const site = q % w.out_sites();
      Index const y = site / w.out_width() * w.stride + tap / w.kernel - w.padding;
      Index const x = site % w.out_width() * w.stride + tap % w.kernel - w.padding;
      if (y < 0 || y >= w.height || x < 0 || x >= w.width) continue;
      for (Index c = 0; c < at.channels; ++c)
        for (Index o = 0; o < at.k; ++o)
          f(o, q, tap * at.channels + c, c, q / w.out_sites() * w.sites() + y * w.width + x);
    }
}

/// y <- v row - column + beside
struct Combine {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y, Scalar row, Scalar column, Scalar beside) const {
    y = v * row - column + beside;
  }
};

/// f(V), with V k x N and f what Combine does to it.
template <Backend B, class Verb>
void check_combined(B& b, HostMatrix<typename B::Scalar> const& V, Verb&& verb) {
  using Scalar = typename B::Scalar;
  Index const k = V.rows(), N = V.cols();
  auto const row = small_integers<Scalar>(k, 1, seed(6)), column = small_integers<Scalar>(1, N, seed(7)),
             beside = small_integers<Scalar>(k, N, seed(8));
  Framed<B> out(b, HostMatrix<Scalar>(k, N)), r(b, row), c(b, column), a(b, beside);
  verb(Combine{}, out.view(), PerRow{ConstView<B>(r.view())}, PerColumn{ConstView<B>(c.view())},
       ConstView<B>(a.view()));
  CHECK(out.host() == host_matrix<Scalar>(k, N, [&](Index i, Index j) {
          Scalar y(0);
          Combine{}(V(i, j), y, row(i, 0), column(0, j), beside(i, j));
          return y;
        }));
  CHECK(out.margin_survived());
}

template <Backend B>
void windows_slide(B& b) {
  using Scalar = typename B::Scalar;
  for (WindowCase const& at : awkward_windows()) {
    Window const& w = at.window;
    CAPTURE(w.height);
    CAPTURE(w.kernel);
    CAPTURE(w.stride);
    CAPTURE(w.padding);
    REQUIRE(w.fits());
    auto const W = small_integers<Scalar>(at.k, w.taps() * at.channels, seed(1));
    auto const U = small_integers<Scalar>(at.channels, at.images * w.sites(), seed(2));
    auto const P = small_integers<Scalar>(at.k, at.images * w.out_sites(), seed(3));
    HostMatrix<Scalar> V(at.k, at.images * w.out_sites()), U_bar(at.channels, at.images * w.sites());
    auto W_bar = small_integers<Scalar>(at.k, w.taps() * at.channels, seed(4));
    Framed<B> W_b(b, W), U_b(b, U), P_b(b, P), sum(b, W_bar);
    every_product(at, [&](Index o, Index q, Index place, Index c, Index site) {
      V(o, q) += W(o, place) * U(c, site);
      U_bar(c, site) += W(o, place) * P(o, q);
      W_bar(o, place) -= Scalar(2) * P(o, q) * U(c, site);
    });
    check_combined(b, V, [&](auto const&... args) {
      auto const frame = b.lane().frame();
      convolve_each(b.lane(), prepare_convolution(Direct(), b.lane(), w, W_b.view(), Op::none),
                    ConstView<B>(U_b.view()), args...);
    });
    check_combined(b, U_bar, [&](auto const&... args) {
      auto const frame = b.lane().frame();
      convolve_each(b.lane(), prepare_convolution(Direct(), b.lane(), w, W_b.view(), Op::transposed),
                    ConstView<B>(P_b.view()), args...);
    });
    auto const two_groups = host_matrix<Scalar>(at.k, 2 * W.cols(), [&](Index o, Index j) {
      return j < W.cols() ? nan<Scalar> : W(o, j - W.cols());
    });
    Framed<B> groups(b, two_groups);
    check_combined(b, U_bar, [&](auto const&... args) {
      auto const frame = b.lane().frame();
      auto const K = prepare_convolution(Direct(), b, w, ConstView<B>(groups.view()), Op::transposed, 2);
      convolve_each(b.lane(), K.group(1), ConstView<B>(P_b.view()), args...);
    });
    add_convolution_gradient(Direct(), b.lane(), w, P_b.view(), U_b.view(), Scalar(-2), sum.view());
    CHECK(sum.host() == W_bar);
    CHECK(sum.margin_survived());
  }
}

/// What lies outside the image is 0, whatever scratch held before; NaN in an image stays in it and spreads by
/// a window.
template <Backend B>
void nan_spreads_by_a_window(B& b) {
  using Scalar = typename B::Scalar;
  Window const w{5, 5, 3, 1, 1};
  HostMatrix<Scalar> U(1, 50, Scalar(1));
  U(0, 0) = nan<Scalar>;
  auto const W = to_device(b, HostMatrix<Scalar>(1, 9, Scalar(1)));
  auto const U_b = to_device(b, U);
  auto V = zeros(b, 1, 50);
  auto const frame = b.lane().frame();
  convolve_each(b.lane(), prepare_convolution(Direct(), b, w, W, Op::none), ConstView<B>(U_b),
                formula::Store{}, View<B>(V));
  auto const v = to_host(b, V);
  for (Index j = 0; j < 50; ++j) CHECK(std::isnan(v(0, j)) == (j < 25 && j / 5 <= 1 && j % 5 <= 1));
}

template <Backend B>
void convolution_laws() {
  B b;
  SUBCASE("the verbs of a window are the sums of its definition") { windows_slide(b); }
  SUBCASE("NaN spreads by a window, and not to other images") { nan_spreads_by_a_window(b); }
}

}  // namespace detrame::laws
