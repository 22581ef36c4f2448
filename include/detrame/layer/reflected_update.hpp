// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include "detrame/layer/dictionary_unrolled.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/reflected_dictionary.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// r <- 2 / (theta + shift); 0 where that is 0, of an atom of zeros
template <class Scalar>
struct TwiceInverse {
  Scalar shift;
  DETRAME_HOST_DEVICE void operator()(Scalar& r, Scalar theta) const {
    Scalar const s = theta + shift;
    r = s == Scalar(0) ? Scalar(0) : Scalar(2) / s;
  }
};

/// A code of one update, doubled, fused to v = (D^T x)_i: a <- r (v - c)_+
struct DoubledCode {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& a, Scalar c, Scalar r) const {
    a = r * relu(v - c);
  }
};

/// Its cotangent where y = x - D a, fused to v = (D^T y_bar)_i: p <- -1[a != 0] v
struct DoubledCodePullback {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& p, Scalar a) const {
    p = a != Scalar{} ? -v : Scalar{};
  }
};

/// A product taken away from what is beside it, fused to v: y <- x - v
struct MinusProduct {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y, Scalar x) const {
    y = x - v;
  }
};

/// c <- d + lambda
template <class Scalar>
struct StoreShifted {
  Scalar lambda;
  DETRAME_HOST_DEVICE void operator()(Scalar& c, Scalar d) const { c = d + lambda; }
};

/// y <- y r
struct ScaleBy {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar r) const {
    y *= r;
  }
};

/// With r = 2 / s and a = r (v - c)_+, and p the cotangent of a: s_bar = -1/2 r sum p a. sum <- s_bar
struct StepCotangent {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& sum, Scalar r) const {
    sum *= -r / Scalar(2);
  }
};

}  // namespace formula

/// The reflected layer of a dictionary of one update from 0.                                             (L6)
///
///   y = x - 2 D (Theta + alpha + beta)^{-1} ReLU(D^T x - d - lambda),     D^T D <= Theta
///
/// Step      Gershgorin: the layer of arXiv 2303.03169 without its scalings q.  SpectralNorm: the convex
///           potential layer of arXiv 2110.12690, where atoms at two positions do not overlap (K = 1, or a
///           stride of K or more). See Majorant.
/// Choices   Stride<s>, Padding<p>; By<Arithmetic>, else Automatic, whose Winograd in float rounds more than
///           what bounds of rounding have use for: certificates want Direct, or double.
/// Shapes    as ReflectedConvolutionalDictionary.
/// Requires  alpha >= 0, beta >= 0, lambda >= 0, else DomainError. Both 0 leave most of |x|.
/// Ensures   |y - y'| <= |x - x'| for every D, d, lambda, alpha and beta, in real arithmetic.            (L6)
/// Adjoint   of this map in closed form, with that of Theta(D).
/// Lending   y is not lent: pullback writes x_bar over it while it reads y_bar. Cannot run in place.
/// Cost      4 K^2 k channels flops a code site, 12 with the pullback, and that of Theta once a batch. The
///           tape keeps the codes.
/// Source    docs/maths.md (L6)
/// Tested    tests/layer/reflected_update_test.cpp
template <Index k, Index K, class Step, int T, class... Choices>
struct ReflectedConvolutionalDictionary<k, K, Unrolled<Step, Unroll<T>>, Choices...> {
  static_assert(k > 0 && K > 0, "ReflectedDictionary: atoms and kernel must be positive");
  static_assert(T == 1,
                "ReflectedDictionary: one update or Exact; between them the layer is not 1-Lipschitz");
  using Geometry = Convolution<k, K, Choices...>;
  static_assert(std::is_same_v<Step, Gershgorin> || K <= Geometry::choices.stride,
                "ReflectedDictionary: SpectralNorm takes atoms that do not overlap, a stride of K or more");
  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(Geometry::window(in).fits(),
                  "ReflectedDictionary: the kernel must fit the padded image, and the padding be less than "
                  "the kernel");
    using Backend = B;
    using FromRecipe = ReflectedConvolutionalDictionary;
    using Scalar = typename B::Scalar;
    static constexpr Shape input = in, output = in;
    static constexpr Window window = Geometry::window(in);
    using Parameters = WindowDictionaryParameters<B, window.taps()>;
    static constexpr Index patch = window.taps() * in.channels;
    using Arithmetic = Resolved<typename detail::ChosenArithmetic<Choices...>::type, Scalar, K, window.stride,
                                (in.channels < k ? in.channels : k)>;
    static constexpr Index multiply_adds = 2 * k * patch * window.out_sites();
    static constexpr Index samples_at_once = (wanted_columns<Arithmetic> + in.sites() - 1) / in.sites();
    static std::string name() { return message("Reflected dictionary ", window); }

    /// What the parameters make, once a batch.
    struct Tied {
      Matrix<B> D_T, shift, scale;  // k x patch; k x 1: d + lambda, 2 / (Theta + alpha + beta)
      Majorant<B, Step> majorant;
    };
    struct Tape {
      ConstView<B> x{};
      Tied tied;
      Matrix<B> a, y;                   // k x (out_sites samples); m x N, pullback writes x_bar over it
      Matrix<B> D_T_bar, s_bar, d_bar;  // k x patch, k x 1
    };

    Parameters parameters(B& backend) const { return {Parameters::zeros(backend, patch, k)}; }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      Index const n = samples<Layer>("ReflectedDictionary", x);
      resize(backend, tape.a, k, n * window.out_sites());
      resize(backend, tape.y, in.channels, x.cols());
      tape.x = x;
      tie(backend, theta, tape.tied);
      auto const frame = backend.lane().frame();
      Map const map(backend, tape.tied);
      View<B> const a = tape.a, y = tape.y;
      each_chunk(backend, batch(x.cols()), k + 2 * in.channels, [=](auto& lane, Columns c) {
        map(lane, columns(x, c), columns(a, codes(c)), columns(y, c));
      });
      return tape.y;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("ReflectedDictionary", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    /// What the layer makes of these parameters, with which it computes: what a certificate reads.
    static std::shared_ptr<Tied> tied(B& backend, Parameters const& theta) {
      auto const made = std::make_shared<Tied>();
      tie(backend, theta, *made);
      return made;
    }

    auto inference(B& backend, Parameters const& theta) const {
      auto const tied = Layer::tied(backend, theta);
      return [tied, map = Map(backend, *tied)](auto& lane, ConstView<B> x, View<B> y) {
        auto const frame = lane.frame();
        map(lane, x, lane.scratch(k, codes({0, x.cols()}).count), y);
      };
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      require_cotangent("ReflectedDictionary", tape.y, y_bar);
      theta_bar.check(patch, k, "_bar");
      auto& lane = backend.lane();
      auto const frame = lane.frame();
      resize(backend, tape.D_T_bar, k, patch);
      for (Matrix<B>* const column : {&tape.s_bar, &tape.d_bar}) resize(backend, *column, k, 1);
      for (Matrix<B>* const sum : {&tape.D_T_bar, &tape.s_bar, &tape.d_bar})
        each(lane, formula::Fill<Scalar>{0}, View<B>(*sum));
      Map const map(backend, tape.tied);
      auto const gradient = convolution_gradient(Arithmetic(), backend, tape.D_T_bar);
      ConstView<B> const x = tape.x, a = tape.a, r = map.scale;
      View<B> const x_bar = tape.y;
      std::array<View<B>, 3> const sums{gradient.sum, View<B>(tape.s_bar), View<B>(tape.d_bar)};
      sum_chunks(backend, batch(y_bar.cols()), 2 * k + 3 * in.channels, sums,
                 [=](auto& chunk_lane, Columns c, std::array<View<B>, 3> const& partial) {
                   auto const chunk_frame = chunk_lane.frame();
                   ConstView<B> const a_c = columns(a, codes(c)), y_bar_c = columns(y_bar, c);
                   View<B> const p = chunk_lane.scratch(k, a_c.cols());
                   convolve_each(chunk_lane, map.D_T, y_bar_c, formula::DoubledCodePullback(), p, a_c);
                   row_sums(chunk_lane, partial[1], formula::Product(), ConstView<B>(p), a_c);
                   add_convolution_gradient(Arithmetic(), chunk_lane, window, a_c, y_bar_c, -1, partial[0]);
                   each(chunk_lane, formula::ScaleBy(), p, PerRow{r});  // of D^T x
                   row_sums(chunk_lane, partial[2], formula::Negative(), ConstView<B>(p));
                   add_convolution_gradient(Arithmetic(), chunk_lane, window, ConstView<B>(p), columns(x, c),
                                            1, partial[0]);
                   convolve_each(chunk_lane, map.D, ConstView<B>(p), formula::StoreSum(), columns(x_bar, c),
                                 y_bar_c);
                 });
      finish_gradient(backend, gradient, tape.D_T_bar);
      each(lane, formula::StepCotangent(), View<B>(tape.s_bar), r);
      add_parameters(backend, theta, tape, theta_bar);
      return x_bar;
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("ReflectedDictionary", tape.y, y_bar);
      auto const frame = backend.lane().frame();
      Map const map(backend, tape.tied);
      ConstView<B> const a = tape.a;
      each_chunk(backend, batch(y_bar.cols()), 2 * k + 2 * in.channels, [=](auto& lane, Columns c) {
        auto const chunk_frame = lane.frame();
        ConstView<B> const a_c = columns(a, codes(c)), y_bar_c = columns(y_bar, c);
        View<B> const p = lane.scratch(k, a_c.cols());
        convolve_each(lane, map.D_T, y_bar_c, formula::DoubledCodePullback(), p, a_c);
        each(lane, formula::ScaleBy(), p, PerRow{map.scale});
        convolve_each(lane, map.D, ConstView<B>(p), formula::StoreSum(), columns(x_bar, c), y_bar_c);
      });
    }

    /// The states whose zeros are the kinks of this layer, for check_pullback.
    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      f(tape.a);
      tape.tied.majorant.visit_states(f);
    }

   private:
    /// a and y of the samples of a chunk.
    struct Map {
      using Kernel = decltype(prepare_convolution(Arithmetic(), std::declval<B&>(), window,
                                                  std::declval<ConstView<B>>(), Op::none));
      Kernel D_T, D;
      ConstView<B> shift, scale;

      Map(B& backend, Tied const& tied)
          : D_T(prepare_convolution(Arithmetic(), backend, window, tied.D_T, Op::none)),
            D(prepare_convolution(Arithmetic(), backend, window, tied.D_T, Op::transposed)),
            shift(tied.shift),
            scale(tied.scale) {}
      void operator()(auto& lane, ConstView<B> x, View<B> a, View<B> y) const {
        convolve_each(lane, D_T, x, formula::DoubledCode(), a, PerRow{shift}, PerRow{scale});
        convolve_each(lane, D, ConstView<B>(a), formula::MinusProduct(), y, x);
      }
    };

    static Columns codes(Columns c) {
      return {c.first / in.sites() * window.out_sites(), c.count / in.sites() * window.out_sites()};
    }
    static Batch batch(Index columns) {
      return {columns, in.sites(), wanted_columns<Arithmetic>, 4. * k * window.taps() * in.channels};
    }

    static void tie(B& backend, Parameters const& theta, Tied& tied) {
      theta.check(patch, k);
      auto& lane = backend.lane();
      Scalar const alpha = max_to_host(lane, theta.alpha), beta = max_to_host(lane, theta.beta),
                   lambda = max_to_host(lane, theta.lambda);
      require_at_least("ReflectedDictionary", "alpha", alpha, Scalar(0));
      require_at_least("ReflectedDictionary", "beta", beta, Scalar(0));
      require_at_least("ReflectedDictionary", "lambda", lambda, Scalar(0));
      resize(backend, tied.D_T, k, patch);
      transpose(backend, ConstView<B>(theta.D), View<B>(tied.D_T));
      tied.majorant.compute(backend, window, theta.D, tied.D_T);
      for (Matrix<B>* const column : {&tied.shift, &tied.scale}) resize(backend, *column, k, 1);
      each(lane, formula::StoreShifted<Scalar>{lambda}, View<B>(tied.shift), ConstView<B>(theta.d));
      each(lane, formula::TwiceInverse<Scalar>{alpha + beta}, View<B>(tied.scale), tied.majorant.Theta());
    }

    /// theta_bar += what D_T_bar, s_bar and d_bar say of the parameters.
    static void add_parameters(B& backend, Parameters const& theta, Tape& tape, Parameters& theta_bar) {
      auto& lane = backend.lane();
      auto const frame = lane.frame();
      View<B> const D_bar = lane.scratch(patch, k);
      transpose(backend, ConstView<B>(tape.D_T_bar), D_bar);
      each(lane, formula::Add(), View<B>(theta_bar.D), ConstView<B>(D_bar));
      tape.tied.majorant.pullback(backend, window, theta.D, tape.tied.D_T, tape.s_bar, theta_bar.D);
      each(lane, formula::Add(), View<B>(theta_bar.d), ConstView<B>(tape.d_bar));
      detail::add_total(backend, tape.d_bar, theta_bar.lambda);
      detail::add_total(backend, tape.s_bar, theta_bar.alpha);
      detail::add_total(backend, tape.s_bar, theta_bar.beta);
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
