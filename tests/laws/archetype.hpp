// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/backend/concept.hpp"

/// A second model of the Backend concept: plain loops, and awkward wherever the contract leaves room, so that
/// no algorithm can lean on Eigen, on the host or on luck.
///
/// Like a device: memory is reached by verbs alone (views are opaque), a chunk is the whole batch, and there
/// is one lane. Awkward: columns of scratch are padded, fresh memory holds NaN, `any order` means backwards,
/// and misuse (shapes, overlap, scratch without a frame) throws std::logic_error.
namespace detrame::archetype {

template <class... Parts>
void require(bool condition, Parts const&... parts) {
  if (!condition) throw std::logic_error(message("archetype: ", parts...));
}

/// Opaque: it has a shape and can be narrowed, and only Access gets at its memory.
template <class Scalar>
class View {
 public:
  View() = default;
  Index rows() const { return raw_.rows(); }
  Index cols() const { return raw_.cols(); }
  View middle_cols(Index first, Index count) const {
    require(0 <= first && 0 <= count && first + count <= cols(), "columns [", first, ", ", first + count,
            ") of ", cols());
    return View(raw_.middle_cols(first, count));
  }
  View middle_rows(Index first, Index count) const {
    require(0 <= first && 0 <= count && first + count <= rows(), "rows [", first, ", ", first + count,
            ") of ", rows());
    return View(raw_.middle_rows(first, count));
  }
  bool contiguous() const { return raw_.contiguous(); }
  bool overlaps(View<Scalar const> v) const { return raw_.overlaps(v.raw_); }
  View reshaped(Index rows, Index cols) const {
    require(contiguous() && rows * cols == raw_.rows() * raw_.cols(), raw_.rows(), " x ", raw_.cols(), " as ",
            rows, " x ", cols);
    return View(raw_.reshaped(rows, cols));
  }
  operator View<Scalar const>() const
    requires(!std::is_const_v<Scalar>)
  {
    return View<Scalar const>(raw_);
  }

 private:
  friend class Access;
  template <class>
  friend class View;
  explicit View(MatrixView<Scalar> raw) : raw_(raw) {}
  MatrixView<Scalar> raw_;
};

/// For the verbs of this file, and nobody else.
class Access {
 public:
  template <class Scalar>
  static MatrixView<Scalar> raw(View<Scalar> v) {
    return v.raw_;
  }
  template <class Scalar>
  static View<Scalar> view(MatrixView<Scalar> raw) {
    return View<Scalar>(raw);
  }
};

/// rows x cols scalars, all NaN at first; between two columns lie `padding` entries that nobody uses.
template <class Scalar>
class Matrix {
 public:
  Matrix() = default;
  Matrix(Index rows, Index cols, Index padding = 0) : rows_(rows), cols_(cols), stride_(rows + padding) {
    require(rows >= 0 && cols >= 0, "a matrix of ", rows, " x ", cols);
    entries_.assign(static_cast<std::size_t>(stride_ * cols), std::numeric_limits<Scalar>::quiet_NaN());
  }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  operator View<Scalar>() { return Access::view(MatrixView<Scalar>(entries_.data(), rows_, cols_, stride_)); }
  operator View<Scalar const>() const {
    return Access::view(MatrixView<Scalar const>(entries_.data(), rows_, cols_, stride_));
  }

 private:
  Index rows_ = 0, cols_ = 0, stride_ = 0;
  std::vector<Scalar> entries_;
};

/// The one lane. Scratch is padded, starts as NaN, and is gone when its frame closes.
template <class Scalar_>
class Lane {
 public:
  using Scalar = Scalar_;
  class Frame {
   public:
    explicit Frame(Lane& lane) : lane_(lane), size_(lane.scratch_.size()) { ++lane_.open_; }
    Frame(Frame const&) = delete;
    Frame& operator=(Frame const&) = delete;
    ~Frame() {
      lane_.scratch_.resize(size_);
      --lane_.open_;
    }

   private:
    Lane& lane_;
    std::size_t size_;
  };

  [[nodiscard]] Frame frame() { return Frame(*this); }

  View<Scalar> scratch(Index rows, Index cols) {
    require(open_ > 0, "scratch of ", rows, " x ", cols, " without a frame");
    scratch_.push_back(std::make_unique<Matrix<Scalar>>(rows, cols, Index{3}));
    return *scratch_.back();
  }

 private:
  std::vector<std::unique_ptr<Matrix<Scalar>>> scratch_;
  int open_ = 0;
};

template <class Scalar>
class Team;

template <class Scalar_>
class Loops {
 public:
  using Scalar = Scalar_;
  using Matrix = archetype::Matrix<Scalar>;
  using View = archetype::View<Scalar>;
  using ConstView = archetype::View<Scalar const>;
  using Input = ConstView;
  using Lane = archetype::Lane<Scalar>;
  using Team = archetype::Team<Scalar>;

  Loops() = default;
  Loops(Loops const&) = delete;
  Loops& operator=(Loops const&) = delete;

  Lane& lane() { return lane_; }

 private:
  Lane lane_;
};

template <class Scalar>
using ConstView = View<Scalar const>;

// ---- transfer ---------------------------------------------------------------------------------------------

template <class Scalar>
Matrix<Scalar> to_device(Loops<Scalar>&, HostMatrix<Scalar> const& host) {
  Matrix<Scalar> m(host.rows(), host.cols());
  auto const raw = Access::raw(View<Scalar>(m));
  for (Index j = 0; j < host.cols(); ++j)
    for (Index i = 0; i < host.rows(); ++i) raw(i, j) = host(i, j);
  return m;
}

template <class Scalar>
HostMatrix<Scalar> to_host(Loops<Scalar>&, std::type_identity_t<ConstView<Scalar>> v) {
  auto const raw = Access::raw(v);
  return host_matrix<Scalar>(v.rows(), v.cols(), [&](Index i, Index j) { return raw(i, j); });
}

/// Whatever the shape was, the entries are NaN afterwards.
template <class Scalar>
void resize(Loops<Scalar>&, Matrix<Scalar>& m, Index rows, Index cols) {
  m = Matrix<Scalar>(rows, cols);
}

// ---- arguments of the elementwise verbs -------------------------------------------------------------------

namespace detail {

/// at(i, j) is what f gets; only whole matrices can be written.
template <class Scalar>
struct Entries {
  MatrixView<Scalar> raw;
  static constexpr bool writable = !std::is_const_v<Scalar>;
  Scalar& at(Index i, Index j) const { return raw(i, j); }
  bool fits(Index rows, Index cols) const { return raw.rows() == rows && raw.cols() == cols; }
};
template <class Scalar>
struct RowVector {
  MatrixView<Scalar const> raw;
  static constexpr bool writable = false;
  Scalar const& at(Index i, Index) const { return raw(i, 0); }
  bool fits(Index rows, Index) const { return raw.rows() == rows && raw.cols() == 1; }
};
template <class Scalar>
struct ColumnVector {
  MatrixView<Scalar const> raw;
  static constexpr bool writable = false;
  Scalar const& at(Index, Index j) const { return raw(0, j); }
  bool fits(Index, Index cols) const { return raw.rows() == 1 && raw.cols() == cols; }
};

template <class Scalar>
Entries<Scalar> argument(View<Scalar> v) {
  return {Access::raw(v)};
}
template <class Scalar>
Entries<Scalar> argument(Matrix<Scalar>& m) {
  return {Access::raw(View<Scalar>(m))};
}
template <class Scalar>
Entries<Scalar const> argument(Matrix<Scalar> const& m) {
  return {Access::raw(ConstView<Scalar>(m))};
}
template <class Scalar>
RowVector<std::remove_const_t<Scalar>> argument(PerRow<View<Scalar>> v) {
  return {Access::raw(v.vector)};
}
template <class Scalar>
ColumnVector<std::remove_const_t<Scalar>> argument(PerColumn<View<Scalar>> v) {
  return {Access::raw(v.vector)};
}

/// Whether two views share an entry.
template <class S, class R>
bool overlap(MatrixView<S> a, MatrixView<R> b) {
  if (a.rows() == 0 || b.rows() == 0 || a.cols() == 0 || b.cols() == 0) return false;
  auto const end = [](auto v) { return &v(v.rows() - 1, v.cols() - 1) + 1; };
  if (end(a) <= b.data() || end(b) <= a.data()) return false;
  for (Index j = 0; j < a.cols(); ++j)
    for (Index l = 0; l < b.cols(); ++l)
      if (&a(0, j) < &b(0, l) + b.rows() && &b(0, l) < &a(0, j) + a.rows()) return true;
  return false;
}

/// Arguments may be the same matrix, and may not overlap otherwise where one of them can be written.
template <class A, class B>
void require_same_or_apart(char const* who, A const& a, B const& b) {
  if constexpr (A::writable || B::writable) {
    bool const same =
        a.raw.data() == b.raw.data() && a.raw.rows() == b.raw.rows() && a.raw.cols() == b.raw.cols();
    require(same || !overlap(a.raw, b.raw), who, ": arguments overlap");
  }
}

inline void check_arguments(char const*) {}
template <class First, class... Args>
void check_arguments(char const* who, First const& first, Args const&... args) {
  (require_same_or_apart(who, first, args), ...);
  check_arguments(who, args...);
}

/// g(i, j, args_ij...) for every entry of the first argument; last row first.
template <class G, class First, class... Args>
void loop(char const* who, G const& g, First const& first, Args const&... args) {
  Index const rows = first.raw.rows(), cols = first.raw.cols();
  (require(args.fits(rows, cols), who, ": an argument of ", args.raw.rows(), " x ", args.raw.cols(),
           " beside ", rows, " x ", cols),
   ...);
  check_arguments(who, first, args...);
  for (Index i = rows - 1; i >= 0; --i)
    for (Index j = 0; j < cols; ++j) g(i, j, first.at(i, j), args.at(i, j)...);
}

template <class S>
void require_shape(char const* who, View<S> out, Index rows, Index cols) {
  require(out.rows() == rows && out.cols() == cols, who, ": a result of ", out.rows(), " x ", out.cols(),
          ", must be ", rows, " x ", cols);
}

}  // namespace detail

// ---- elementwise verbs, sums ------------------------------------------------------------------------------

template <class Scalar, class F, class First, class... Args>
void each(Lane<Scalar>&, F const& f, First&& first, Args&&... args) {
  detail::loop(
      "each", [&](Index, Index, auto&&... entry) { f(entry...); }, detail::argument(first),
      detail::argument(args)...);
}

template <class Scalar, class F, class First, class... Args>
void each_indexed(Lane<Scalar>&, F const& f, First&& first, Args&&... args) {
  detail::loop(
      "each_indexed", [&](Index i, Index j, auto&&... entry) { f(i, j, entry...); }, detail::argument(first),
      detail::argument(args)...);
}

/// The last item first.
template <class Scalar, class F, class... Views>
void each_of(Loops<Scalar>& backend, std::span<Item<F, Views...> const> items) {
  for (std::size_t n = items.size(); n-- > 0;)
    std::apply([&](auto const&... views) { each_indexed(backend.lane(), items[n].f, views...); },
               items[n].views);
}

template <class Scalar>
void copy_entries(Lane<Scalar>&, std::type_identity_t<ConstView<Scalar>> from,
                  std::type_identity_t<View<Scalar>> to) {
  auto const x = Access::raw(from);
  auto const y = Access::raw(to);
  require(x.rows() * x.cols() == y.rows() * y.cols(), "copy_entries: ", x.rows(), " x ", x.cols(), " to ",
          y.rows(), " x ", y.cols());
  require(!detail::overlap(x, y), "copy_entries: arguments overlap");
  for (Index n = 0; n < x.rows() * x.cols(); ++n)
    y(n % y.rows(), n / y.rows()) = x(n % x.rows(), n / x.rows());
}

template <class Scalar>
void gather_columns(Lane<Scalar>&, std::type_identity_t<ConstView<Scalar>> from,
                    std::span<Index const> indices, std::type_identity_t<View<Scalar>> out) {
  detail::require_shape("gather_columns", out, from.rows(), static_cast<Index>(indices.size()));
  auto const x = Access::raw(from);
  auto const y = Access::raw(out);
  require(!detail::overlap(x, y), "gather_columns: arguments overlap");
  for (Index j = 0; j < y.cols(); ++j) {
    Index const source = indices[static_cast<std::size_t>(j)];
    require(0 <= source && source < x.cols(), "gather_columns: column ", source, " of ", x.cols());
    for (Index i = 0; i < y.rows(); ++i) y(i, j) = x(i, source);
  }
}

template <class Scalar, class F, class First, class... Args>
void row_sums(Lane<Scalar>&, std::type_identity_t<View<Scalar>> out, F const& f, First&& first,
              Args&&... args) {
  auto const lead = detail::argument(first);
  detail::require_shape("row_sums", out, lead.raw.rows(), 1);
  auto const sum = Access::raw(out);
  detail::loop(
      "row_sums", [&](Index i, Index, auto&&... entry) { sum(i, 0) += f(entry...); }, lead,
      detail::argument(args)...);
}

template <class Scalar, class F, class First, class... Args>
void column_sums(Lane<Scalar>&, std::type_identity_t<View<Scalar>> out, F const& f, First&& first,
                 Args&&... args) {
  auto const lead = detail::argument(first);
  detail::require_shape("column_sums", out, 1, lead.raw.cols());
  auto const sum = Access::raw(out);
  for (Index j = 0; j < sum.cols(); ++j) sum(0, j) = Scalar(0);
  detail::loop(
      "column_sums", [&](Index, Index j, auto&&... entry) { sum(0, j) += f(entry...); }, lead,
      detail::argument(args)...);
}

/// The larger of the two, NaN if either is.
template <class Scalar>
Scalar larger(Scalar a, Scalar b) {
  return std::isnan(a) || a > b ? a : b;
}

template <class Scalar, class F, class First, class... Args>
void column_max(Lane<Scalar>&, std::type_identity_t<View<Scalar>> out, F const& f, First&& first,
                Args&&... args) {
  auto const lead = detail::argument(first);
  detail::require_shape("column_max", out, 1, lead.raw.cols());
  auto const largest = Access::raw(out);
  for (Index j = 0; j < largest.cols(); ++j) largest(0, j) = -std::numeric_limits<Scalar>::infinity();
  detail::loop(
      "column_max",
      [&](Index, Index j, auto&&... entry) { largest(0, j) = larger<Scalar>(largest(0, j), f(entry...)); },
      lead, detail::argument(args)...);
}

/// Two passes, last column first.
template <class Scalar>
void row_moments(Loops<Scalar>&, std::type_identity_t<ConstView<Scalar>> x,
                 std::type_identity_t<View<Scalar>> mean, std::type_identity_t<View<Scalar>> variance) {
  detail::require_shape("row_moments", mean, x.rows(), 1);
  detail::require_shape("row_moments", variance, x.rows(), 1);
  auto const from = Access::raw(x);
  auto const m = Access::raw(mean), v = Access::raw(variance);
  require(!detail::overlap(from, m) && !detail::overlap(from, v) && !detail::overlap(m, v),
          "row_moments: arguments overlap");
  auto const count = static_cast<Scalar>(std::max<Index>(x.cols(), 1));
  for (Index i = 0; i < x.rows(); ++i) {
    Scalar sum(0), squares(0);
    for (Index j = x.cols() - 1; j >= 0; --j) sum += from(i, j) - from(i, 0);
    for (Index j = x.cols() - 1; j >= 0; --j) {
      Scalar const deviation = (from(i, j) - from(i, 0)) - sum / count;
      squares += deviation * deviation;
    }
    m(i, 0) = x.cols() == 0 ? Scalar(0) : from(i, 0) + sum / count;
    v(i, 0) = squares / count;
  }
}

template <class Scalar>
Scalar sum_to_host(Lane<Scalar>&, std::type_identity_t<ConstView<Scalar>> v) {
  Scalar sum(0);
  detail::loop("sum_to_host", [&](Index, Index, Scalar x) { sum += x; }, detail::argument(v));
  return sum;
}

template <class Scalar>
Scalar max_to_host(Lane<Scalar>&, std::type_identity_t<ConstView<Scalar>> v) {
  Scalar largest = -std::numeric_limits<Scalar>::infinity();
  detail::loop(
      "max_to_host", [&](Index, Index, Scalar x) { largest = larger(largest, x); }, detail::argument(v));
  return largest;
}

// ---- products ---------------------------------------------------------------------------------------------

template <class Scalar>
void gemm(Lane<Scalar>&, std::type_identity_t<Scalar> alpha, std::type_identity_t<ConstView<Scalar>> A,
          Op op_A, std::type_identity_t<ConstView<Scalar>> B, Op op_B, std::type_identity_t<Scalar> beta,
          std::type_identity_t<View<Scalar>> C) {
  auto const a = Access::raw(A);
  auto const b = Access::raw(B);
  auto const c = Access::raw(C);
  bool const plain_A = op_A == Op::none, plain_B = op_B == Op::none;
  Index const depth = plain_A ? a.cols() : a.rows();
  require((plain_B ? b.rows() : b.cols()) == depth, "gemm: ", depth, " columns of op(A), ",
          plain_B ? b.rows() : b.cols(), " rows of op(B)");
  detail::require_shape("gemm", C, plain_A ? a.rows() : a.cols(), plain_B ? b.cols() : b.rows());
  require(!detail::overlap(a, c) && !detail::overlap(b, c), "gemm: C overlaps a factor");
  for (Index j = 0; j < c.cols(); ++j)
    for (Index i = 0; i < c.rows(); ++i) {
      Scalar sum(0);
      for (Index l = 0; l < depth; ++l) sum += (plain_A ? a(i, l) : a(l, i)) * (plain_B ? b(l, j) : b(j, l));
      c(i, j) = alpha * sum + (beta == Scalar(0) ? Scalar(0) : beta * c(i, j));
    }
}

template <class Scalar>
void add_outer_product(Lane<Scalar>& lane, std::type_identity_t<ConstView<Scalar>> A,
                       std::type_identity_t<ConstView<Scalar>> B, std::type_identity_t<Scalar> sign,
                       std::type_identity_t<View<Scalar>> C) {
  gemm(lane, sign, A, Op::none, B, Op::transposed, Scalar(1), C);
}

/// Nothing is prepared.
template <class Scalar>
struct PreparedProduct {
  ConstView<Scalar> A;
  Op op;
  Index groups;
  PreparedProduct group(Index g) const {
    return {A.middle_cols(g * (A.cols() / groups), A.cols() / groups), op, 1};
  }
};

template <class Where>
PreparedProduct<typename Where::Scalar> prepare_product(
    Where&, std::type_identity_t<ConstView<typename Where::Scalar>> A, Op op, Index groups = 1) {
  require(A.cols() % groups == 0, "prepare_product: ", A.cols(), " columns in ", groups, " groups");
  return {A, op, groups};
}

template <class Scalar, class F, class... Args>
void product_each(Lane<Scalar>& lane, PreparedProduct<Scalar> const& A,
                  std::type_identity_t<ConstView<Scalar>> B, F const& f, Args&&... args) {
  require(A.groups == 1, "product_each: ", A.groups, " groups");
  auto const frame = lane.frame();
  View<Scalar> const V = lane.scratch(A.op == Op::none ? A.A.rows() : A.A.cols(), B.cols());
  gemm(lane, Scalar(1), A.A, A.op, B, Op::none, Scalar(0), V);
  each(lane, f, ConstView<Scalar>(V), args...);
}

/// f(o, q, w's column, u's row and column) for every product w u of a cross-correlation: output entry (o, q).
namespace detail {
template <class F>
void each_tap(Window const& w, Index channels, Index images, F&& f) {
  for (Index n = 0; n < images; ++n)
    for (Index y = 0; y < w.out_height(); ++y)
      for (Index x = 0; x < w.out_width(); ++x)
        for (Index dy = 0; dy < w.kernel; ++dy)
          for (Index dx = 0; dx < w.kernel; ++dx) {
            Index const row = w.stride * y + dy - w.padding, col = w.stride * x + dx - w.padding;
            if (row < 0 || row >= w.height || col < 0 || col >= w.width) continue;
            for (Index c = 0; c < channels; ++c)
              f(n * w.out_sites() + y * w.out_width() + x, (dy * w.kernel + dx) * channels + c, c,
                n * w.sites() + row * w.width + col);
          }
}
inline Index whole_images(char const* who, Index columns, Index sites) {
  require(sites > 0 && columns % sites == 0, who, ": ", columns, " columns in images of ", sites);
  return columns / sites;
}
}  // namespace detail

/// Nothing is prepared.
template <class Scalar>
struct PreparedConvolution {
  Window window;
  ConstView<Scalar> W;
  Op op;
  Index groups;
  PreparedConvolution group(Index g) const {
    return {window, W.middle_cols(g * (W.cols() / groups), W.cols() / groups), op, 1};
  }
};

template <class Arithmetic, class Where>
PreparedConvolution<typename Where::Scalar> prepare_convolution(
    Arithmetic, Where&, Window const& window, std::type_identity_t<ConstView<typename Where::Scalar>> W,
    Op op, Index groups = 1) {
  require(window.fits() && W.cols() % (groups * window.taps()) == 0, "prepare_convolution: ", W.cols(),
          " columns in ", groups, " groups");
  return {window, W, op, groups};
}

template <class Scalar, class F, class... Args>
void convolve_each(Lane<Scalar>& lane, PreparedConvolution<Scalar> const& K,
                   std::type_identity_t<ConstView<Scalar>> U, F const& f, Args&&... args) {
  bool const adjoint = K.op == Op::transposed;
  Index const channels = K.W.cols() / K.window.taps(), sites = K.window.sites(),
              out_sites = K.window.out_sites();
  require(K.groups == 1, "convolve_each: ", K.groups, " groups");
  require(U.rows() == (adjoint ? K.W.rows() : channels), "convolve_each: weights of ", K.W.rows(), " x ",
          K.W.cols(), " for ", U.rows(), " rows");
  Index const images = detail::whole_images("convolve_each", U.cols(), adjoint ? out_sites : sites);
  auto const frame = lane.frame();
  View<Scalar> const V =
      adjoint ? lane.scratch(channels, images * sites) : lane.scratch(K.W.rows(), images * out_sites);
  auto const v = Access::raw(V);
  auto const w = Access::raw(K.W), u = Access::raw(U);
  for (Index q = 0; q < v.cols(); ++q)
    for (Index o = 0; o < v.rows(); ++o) v(o, q) = Scalar(0);
  detail::each_tap(K.window, channels, images, [&](Index q, Index tap, Index c, Index site) {
    for (Index o = 0; o < w.rows(); ++o) {
      if (adjoint)
        v(c, site) += w(o, tap) * u(o, q);
      else
        v(o, q) += w(o, tap) * u(c, site);
    }
  });
  each(lane, f, ConstView<Scalar>(V), args...);
}

template <class Scalar>
struct ConvolutionGradient {
  View<Scalar> sum;
};

template <class Arithmetic, class Scalar>
ConvolutionGradient<Scalar> convolution_gradient(Arithmetic, Loops<Scalar>&,
                                                 std::type_identity_t<View<Scalar>> W_bar, Index = 1) {
  return {W_bar};
}

template <class Arithmetic, class Scalar>
void add_convolution_gradient(Arithmetic, Lane<Scalar>&, Window const& window,
                              std::type_identity_t<ConstView<Scalar>> P,
                              std::type_identity_t<ConstView<Scalar>> U, std::type_identity_t<Scalar> sign,
                              std::type_identity_t<View<Scalar>> sum) {
  require(window.fits(), "add_convolution_gradient: no such window");
  detail::require_shape("add_convolution_gradient", sum, P.rows(), window.taps() * U.rows());
  Index const images = detail::whole_images("add_convolution_gradient", U.cols(), window.sites());
  require(P.cols() == images * window.out_sites(), "add_convolution_gradient: P has ", P.cols(), " columns");
  auto const p = Access::raw(P), u = Access::raw(U);
  auto const w = Access::raw(sum);
  detail::each_tap(window, U.rows(), images, [&](Index q, Index tap, Index c, Index site) {
    for (Index o = 0; o < w.rows(); ++o) w(o, tap) += sign * p(o, q) * u(c, site);
  });
}

template <class Scalar>
void finish_gradient(Loops<Scalar>&, ConvolutionGradient<Scalar> const&, std::type_identity_t<View<Scalar>>) {
}

// ---- chunks -----------------------------------------------------------------------------------------------

inline void require_whole_samples(Batch batch) {
  require(batch.columns >= 0 && batch.unit >= 1 && batch.columns % batch.unit == 0, "a batch of ",
          batch.columns, " columns in samples of ", batch.unit);
}

template <class Scalar, class F>
void each_chunk(Lane<Scalar>& lane, Batch batch, Index scalars_per_column, F&& f) {
  require_whole_samples(batch);
  require(scalars_per_column >= 0, scalars_per_column, " scalars per column");
  if (batch.columns == 0) return;
  auto const frame = lane.frame();
  f(lane, Columns{0, batch.columns});
}

template <class Scalar, class F>
void each_chunk(Loops<Scalar>& backend, Batch batch, Index scalars_per_column, F&& f) {
  each_chunk(backend.lane(), batch, scalars_per_column, f);
}

/// The one chunk adds to the sums themselves: what f must not do is assign.
template <class Scalar, std::size_t n, class F>
void sum_chunks(Loops<Scalar>& backend, Batch batch, Index scalars_per_column,
                std::array<View<Scalar>, n> const& sums, F&& f) {
  each_chunk(backend, batch, scalars_per_column, [&](Lane<Scalar>& lane, Columns c) { f(lane, c, sums); });
}

// ---- work by column, factorisations -----------------------------------------------------------------------

/// Columns side by side and rows of a factor's tiles come in odd numbers.
template <class Scalar_>
class Team {
 public:
  using Scalar = Scalar_;
  static constexpr Index width = 3, height = 2, tile = 5;

  static constexpr Index factor_size(Index n) { return first_of((n + tile - 1) / tile); }
  static constexpr Index factor_place(Index i, Index j) { return first_of(i / tile) + j * tile + i % tile; }
  static constexpr Index padded(Index n) { return n; }

  template <class F>
  void each(Index n, F&& f) const {
    for (Index i = n - 1; i >= 0; --i) f(i);
  }

  template <class F>
  void once(F&& f) const {
    f();
  }

  template <class F>
  Scalar sum(Index n, F&& f) const {
    Scalar s(0);
    for (Index i = 0; i < n; ++i) s += f(i);
    return s;
  }

  template <class F>
  Scalar max(Index n, F&& f, Scalar least = Scalar(0)) const {
    Scalar largest = least;
    for (Index i = 0; i < n; ++i) largest = larger<Scalar>(largest, f(i));
    return largest;
  }

  void inner_products(Scalar const* A, Index stride, Index n, Index count, Scalar const* X,
                      Scalar* out) const {
    require(0 <= count && count <= height, "inner_products: ", count, " columns at once");
    for (Index a = 0; a < count; ++a)
      for (Index c = 0; c < width; ++c) {
        Scalar sum(0);
        for (Index l = 0; l < n; ++l) sum += A[l + a * stride] * X[l * width + c];
        out[a * width + c] = sum;
      }
  }

  Index cholesky(Scalar* F, Index n, Index first) const {
    require(first % tile == 0, "cholesky: continued at row ", first);
    auto const L = [F](Index i, Index j) -> Scalar& { return F[factor_place(i, j)]; };
    for (Index i = first; i < n; ++i) {
      Scalar const least = static_cast<Scalar>(n) * std::numeric_limits<Scalar>::epsilon() * L(i, i);
      for (Index j = 0; j <= i; ++j) {
        for (Index l = 0; l < j; ++l) L(i, j) -= L(i, l) * L(j, l);
        if (j < i) L(i, j) /= L(j, j);
      }
      if (!(L(i, i) > least) || !std::isfinite(L(i, i))) return i;
      L(i, i) = std::sqrt(L(i, i));
    }
    return n;
  }

  void cholesky_solve(Scalar const* F, Index n, Scalar* x) const {
    auto const L = [F](Index i, Index j) { return F[factor_place(i, j)]; };
    for (Index i = 0; i < n; ++i) {
      for (Index l = 0; l < i; ++l) x[i] -= L(i, l) * x[l];
      x[i] /= L(i, i);
    }
    for (Index i = n - 1; i >= 0; --i) {
      for (Index l = i + 1; l < n; ++l) x[i] -= L(l, i) * x[l];
      x[i] /= L(i, i);
    }
  }

 private:
  static constexpr Index first_of(Index t) { return tile * tile * (t * (t + 1) / 2); }
};

/// Last column first. Kernels get raw views.
template <class Scalar, class F, class... Views>
void each_column(Loops<Scalar>&, Tasks tasks, Index scratch_size, F&& f, Views&&... views) {
  Index const N = tasks.count;
  require(N >= 0 && scratch_size >= 0, "each_column: ", N, " columns, ", scratch_size, " scalars of scratch");
  for (Index j = N - 1; j >= 0; --j) {
    std::vector<Scalar> scratch(static_cast<std::size_t>(scratch_size),
                                std::numeric_limits<Scalar>::quiet_NaN());
    f(Team<Scalar>(), j, scratch.data(), detail::argument(views).raw...);
  }
}
template <class Scalar, class F, class... Views>
void each_column(Lane<Scalar>&, Index N, F const& f, Views&&... views) {
  require(N >= 0, "each_column: ", N, " columns");
  for (Index j = N - 1; j >= 0; --j) f(Team<Scalar>(), j, detail::argument(views).raw...);
}

template <class Scalar>
bool definite_solve(Loops<Scalar>& backend, std::type_identity_t<ConstView<Scalar>> A,
                    std::type_identity_t<ConstView<Scalar>> rhs, std::type_identity_t<View<Scalar>> out) {
  Index const k = A.rows();
  require(A.cols() == k && rhs.rows() == k, "definite_solve: A is ", k, " x ", A.cols(), ", rhs has ",
          rhs.rows(), " rows");
  detail::require_shape("definite_solve", out, k, rhs.cols());
  Team<Scalar> const team;
  auto const a = Access::raw(A);
  std::vector<Scalar> factor(static_cast<std::size_t>(team.factor_size(k)));
  for (Index i = 0; i < k; ++i)
    for (Index j = 0; j <= i; ++j) factor[static_cast<std::size_t>(team.factor_place(i, j))] = a(i, j);
  HostMatrix<Scalar> X = to_host(backend, rhs);
  if (team.cholesky(factor.data(), k, 0) != k) return false;
  auto const y = Access::raw(out);
  for (Index j = 0; j < X.cols(); ++j) {
    team.cholesky_solve(factor.data(), k, X.data() + j * k);
    for (Index i = 0; i < k; ++i) y(i, j) = X(i, j);
  }
  return true;
}

/// Cyclic Jacobi rotations of a copy, until nothing is left off the diagonal to working precision.
template <class Scalar>
std::vector<Scalar> symmetric_eigenvalues(Loops<Scalar>& backend, std::type_identity_t<ConstView<Scalar>> A) {
  Index const k = A.rows();
  require(A.cols() == k, "symmetric_eigenvalues: A is ", k, " x ", A.cols());
  HostMatrix<Scalar> S = to_host(backend, A);
  for (Index j = 0; j < k; ++j)
    for (Index i = 0; i < j; ++i) S(i, j) = S(j, i);
  std::vector<Scalar> values(static_cast<std::size_t>(k), std::numeric_limits<Scalar>::quiet_NaN());
  for (int sweep = 0; sweep < 60; ++sweep) {
    Scalar off(0), all(0);
    for (Index j = 0; j < k; ++j)
      for (Index i = 0; i < k; ++i) {
        all += S(i, j) * S(i, j);
        if (i != j) off += S(i, j) * S(i, j);
      }
    Scalar const eps = std::numeric_limits<Scalar>::epsilon();
    if (!std::isfinite(all)) return values;
    if (off <= eps * eps * all) {
      for (Index i = 0; i < k; ++i) values[static_cast<std::size_t>(i)] = S(i, i);
      std::sort(values.begin(), values.end());
      return values;
    }
    for (Index p = 0; p < k; ++p)
      for (Index q = p + 1; q < k; ++q) {
        if (S(p, q) == Scalar(0)) continue;
        Scalar const theta = (S(q, q) - S(p, p)) / (Scalar(2) * S(p, q));
        Scalar const t =
            (theta < Scalar(0) ? Scalar(-1) : Scalar(1)) / (std::abs(theta) + std::hypot(theta, Scalar(1)));
        Scalar const c = Scalar(1) / std::hypot(t, Scalar(1)), s = t * c;
        for (Index i = 0; i < k; ++i) {
          Scalar const x = S(i, p), y = S(i, q);
          S(i, p) = c * x - s * y;
          S(i, q) = s * x + c * y;
        }
        for (Index i = 0; i < k; ++i) {
          Scalar const x = S(p, i), y = S(q, i);
          S(p, i) = c * x - s * y;
          S(q, i) = s * x + c * y;
        }
      }
  }
  return values;
}

static_assert(Backend<Loops<float>> && Backend<Loops<double>>);

}  // namespace detrame::archetype
