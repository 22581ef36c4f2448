// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <string_view>
#include <type_traits>

#include "detrame/core/host_matrix.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/random.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a parameter is, as its layer says at `visit`: all that optimiser, initialiser and files know of it. A
/// new kind of parameter is a Role in the layer that has it; nothing else needs to know.
///
/// It starts at `initial`, whatever the policy (layer/start.hpp). A type derived from Role says another start
/// in a member like this one, with an overload for each policy that it tells apart. Visitors take a Role
/// const&.
struct Role {
  /// Of the kind, "weight", for messages and for policies.
  std::string_view name = "";
  /// The n-th parameter with this number draws from a stream of its own. The library's are below 64.
  std::uint32_t stream = 64;
  double initial = 0;
  /// Entries are kept in [low, high] or, where it is open, away from its ends by Constraints::margin.
  double low = -limits::infinity<double>, high = limits::infinity<double>;
  bool open = false;
  /// If not 0, it is in D0: of `taps` square matrices in a block the middle one has a zero diagonal.
  Index taps = 0;
  bool free_diagonal = false;   ///< it has taps and is not in D0: its diagonal is free
  Index window = 1;             ///< of a linear map's matrix: entries of its kernel; 1: it has none
  int updates = 0;              ///< T, without which it means nothing; 0: it says the same for every T
  bool trained = true;          ///< false: measured, as running statistics are; its gradient is 0
  bool decays = true;           ///< false: weight decay never applies
  bool weight = false;          ///< the matrix of a linear map: Sgd::weights_only decays no others
  bool hyperparameter = false;  ///< weighs terms of a problem: Sgd::not_the_problem does not train it

  /// Sets p, zeros of its shape, to its values before training.
  template <class Scalar, class Policy>
  void start(HostMatrix<Scalar>& p, Random const&, Policy const&) const {
    p = HostMatrix<Scalar>(p.rows(), p.cols(), static_cast<Scalar>(initial));
  }
};

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
  /// Of a layer: its path without the dot at the end.
  std::string_view place() const { return {text_.data(), size_ == 0 ? 0 : size_ - 1}; }

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

/// The number of scalars that are trained.
template <class Theta>
Index parameter_count(Theta const& theta) {
  Index count = 0;
  visit(
      [&](std::string_view, Role const& role, auto const& tensor) {
        if (role.trained) count += tensor.rows() * tensor.cols();
      },
      theta);
  return count;
}

}  // namespace detrame::inline DETRAME_ABI
