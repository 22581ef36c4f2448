// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <string_view>
#include <type_traits>

#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a parameter is. The kind alone fixes its constraint (Algorithm 2's projections) and its weight decay.
enum class Kind {
  weight,            ///< W of a linear layer; free
  bias,              ///< c of a linear layer; free
  W_tilde,           ///< recurrent weights; in D0 (zero diagonal)
  h,                 ///< in [0, 1]
  b,                 ///< >= 0
  dictionary,        ///< D; free
  shift,             ///< d; free
  lambda,            ///< >= 0
  alpha,             ///< >= alpha_min > 0
  beta,              ///< >= 0
  gain,              ///< gamma of a BatchNorm; free
  offset,            ///< beta of a BatchNorm; free
  running_mean,      ///< of a BatchNorm; not trained
  running_variance,  ///< of a BatchNorm; not trained
};

inline constexpr std::size_t kind_count = static_cast<std::size_t>(Kind::running_variance) + 1;

/// Whether gradients say how it changes. Statistics are measured instead: they are parameters of the
/// inference map, so that copies and checkpoints have them, with a gradient of zero.
constexpr bool trainable(Kind kind) { return kind != Kind::running_mean && kind != Kind::running_variance; }

/// What `visit` says of a parameter: its kind; for W~ how many square matrices stand in a block (the taps of
/// a kernel), which fixes where its diagonal is, and how many updates T are made with it, without which it
/// means nothing. A visitor that needs the kind alone takes a Kind.
struct Role {
  Kind kind;
  Index taps = 1;
  int updates = 0;  ///< 0: the parameter is not of a recursion, or says the same for every T

  constexpr Role(Kind kind_, Index taps_ = 1, int updates_ = 0)
      : kind(kind_), taps(taps_), updates(updates_) {}
  constexpr operator Kind() const { return kind; }
};

constexpr std::string_view name(Kind kind) {
  switch (kind) {
    case Kind::weight: return "weight";
    case Kind::bias: return "bias";
    case Kind::W_tilde: return "W_tilde";
    case Kind::h: return "h";
    case Kind::b: return "b";
    case Kind::dictionary: return "dictionary";
    case Kind::shift: return "shift";
    case Kind::lambda: return "lambda";
    case Kind::alpha: return "alpha";
    case Kind::beta: return "beta";
    case Kind::gain: return "gain";
    case Kind::offset: return "offset";
    case Kind::running_mean: return "running_mean";
    case Kind::running_variance: return "running_variance";
  }
  return "unknown";
}

/// The name of a parameter: the way to it through the network, "3.branch.0.W". Of fixed capacity, so that
/// visiting parameters in a training step allocates nothing.
class Path {
 public:
  constexpr Path() = default;

  Path operator/(std::string_view part) const {
    Path longer = *this;
    if (size_ + part.size() > capacity)
      throw ShapeError(
          message("Path: ", std::string_view(*this), part, " has more than ", capacity, " characters"));
    for (char const c : part) longer.text_[longer.size_++] = c;
    return longer;
  }
  /// Appends a position and a dot: Path() / 3 is "3.".
  Path operator/(Index position) const {
    std::array<char, 24> digits;
    auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), position).ptr;
    return *this / std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())) / ".";
  }
  operator std::string_view() const { return {text_.data(), size_}; }

 private:
  static constexpr std::size_t capacity = 120;
  std::array<char, capacity> text_{};
  std::size_t size_ = 0;
};

/// No parameters at all: ReLU, Dropout, Reshape.
struct NoParameters {
  template <class F, class... Values>
  static void visit(F&&, Path const&, Values&&...) {}
};

/// Walks several values of one parameter type in step, in a fixed order:
///
///   f(path, role, tensor of theta, tensors of rest...)
///
/// Optimiser, projections, checkpoints, gradient checks and parameter counts are written on it, once. A
/// layer's parameters offer it as a static member `visit(f, path, theta, rest...)`, where `path` is the place
/// of the layer ("3.branch.0."), to which it adds its own names ("W").
template <class F, class Theta, class... Rest>
void visit(F&& f, Theta&& theta, Rest&&... rest) {
  static_assert((std::is_same_v<std::remove_cvref_t<Theta>, std::remove_cvref_t<Rest>> && ...),
                "visit: all values must be of one parameter type");
  std::remove_cvref_t<Theta>::visit(f, Path(), theta, rest...);
}

/// The number of trainable scalars.
template <class Theta>
Index parameter_count(Theta const& theta) {
  Index count = 0;
  visit(
      [&](std::string_view, Kind kind, auto const& tensor) {
        if (trainable(kind)) count += tensor.rows() * tensor.cols();
      },
      theta);
  return count;
}

}  // namespace detrame::inline DETRAME_ABI
