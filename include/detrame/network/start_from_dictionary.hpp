// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "detrame/backend/in_double.hpp"
#include "detrame/layer/dictionary.hpp"
#include "detrame/metric/synthesis.hpp"
#include "detrame/metric/tie.hpp"
#include "detrame/metric/transform.hpp"

namespace detrame::inline DETRAME_ABI {

/// A linear layer and the Q-metric ReLU behind it whose T updates tend to the codes of a dictionary as T
/// grows: Theorem 3.1 with Gershgorin's step, whose W~ has a diagonal (FreeDiagonal).
///
///   W = Q^{-1} D^T,  c = Q^{-1} d;   S = Theta + beta,  W~ = S^{-1} (Theta - Q),  h = Theta / S,
///   b = lambda / S,   with Q = D^T D + alpha I, Theta the row sums of |Q|
///
/// Shapes    W: k x m.  W_tilde: k x k.  c, h, b: k x 1.
template <Backend B>
struct FreedDictionary {
  Matrix<B> W, c, W_tilde, h, b;
};

/// Requires  alpha > 0, beta >= 0, lambda >= 0, a Q that is not singular to rounding, else DomainError.
/// Ensures   after T updates |U_T - U*|_S <= kappa^T |U*|_S, kappa < 1, up to rounding, also of W~     (C2)
/// Cost      that of `transform` and `tie`; allocates.
/// Source    docs/maths.md (M2), (M6), (C6)
/// Tested    tests/network/start_from_dictionary_test.cpp
template <Backend B>
FreedDictionary<B> freed(B& backend, DictionaryParameters<B> const& theta) {
  Synthesis<B> problem;
  detail::take_parameters(backend, theta, problem);
  auto const affine = transform(backend, problem);
  auto const Q = problem.metric(backend);
  auto const recurrence = tie(backend, Q, problem.penalty(backend), gershgorin_step(backend, Q));
  return {affine.W, affine.c, recurrence.W_tilde, recurrence.h, recurrence.b};
}

namespace detail {

/// A parameter that a network shall get: the name of its role, and its value.
struct Given {
  std::string path;  ///< where it comes from, for messages
  std::string_view role;
  HostMatrix<double> value;
};

}  // namespace detail

/// The parameters of a network in which a linear layer and a Q-metric ReLU with a free diagonal stand for
/// each dictionary of another: they start from its dictionaries, computed in double, as `freed` has it. All
/// other parameters are those of the other network. Parameters of types, and AnyParameters.
///
///   start_from_dictionary(cpu, exact, cpu, theta);   // DeepDictionary4<ExactCodes>, <FreedCodes<10>>
///
/// Requires  what `freed` does, and the same order of layers: for (D, d, lambda, alpha, beta) there stand
///           (W, c, W~, h, b), for any other the same role and shape, else ShapeError that names the first
///           which differs; `to` is then what it was. A ConvolutionalDictionary of more than a pixel is
///           refused: its codes are of whole images, and no such pair tends to them.
/// Cost      both sets of parameters pass through host memory.
/// Tested    tests/network/start_from_dictionary_test.cpp
template <Backend From, class FromTheta, Backend To, class ToTheta>
void start_from_dictionary(From& from_backend, FromTheta const& from, To& to_backend, ToTheta& to) {
  using Wide = typename InDouble<To>::Backend;
  Wide wide;
  std::vector<detail::Given> given;
  std::vector<std::size_t> dictionaries;  // where D, d, lambda, alpha, beta begin
  visit(
      [&](std::string_view path, Role const& role, auto const& p) {
        if (role.name == "dictionary") {
          if (role.window != 1)
            throw ShapeError(message("start_from_dictionary: the codes of ", path,
                                     " are of whole images, its atoms ", role.window,
                                     " pixels: no linear layer and Q-metric ReLU tend to them"));
          dictionaries.push_back(given.size());
        }
        given.push_back({std::string(path), role.name, detail::doubles_of(from_backend, p)});
      },
      from);
  for (std::size_t const at : dictionaries) {
    auto const matrix = [&](std::size_t n) { return to_device(wide, given.at(at + n).value); };
    auto const pair =
        freed(wide, DictionaryParameters<Wide>{matrix(0), matrix(1), matrix(2), matrix(3), matrix(4)});
    Matrix<Wide> const* const values[] = {&pair.W, &pair.c, &pair.W_tilde, &pair.h, &pair.b};
    std::string_view const roles[] = {"weight", "bias", "W_tilde", "h", "b"};
    for (std::size_t n = 0; n < 5; ++n) {
      given[at + n].role = roles[n];
      given[at + n].value = to_host(wide, ConstView<Wide>(*values[n]));
    }
  }
  std::size_t next = 0;
  visit(
      [&](std::string_view path, Role const& role, auto const& p) {
        if (next == given.size())
          throw ShapeError(message("start_from_dictionary: ", path, " has nothing to start from"));
        auto const& [from_path, name, value] = given[next++];
        if (role.name != name || p.rows() != value.rows() || p.cols() != value.cols())
          throw ShapeError(message("start_from_dictionary: ", path, " is ", role.name, ", ", p.rows(), " x ",
                                   p.cols(), "; from ", from_path, " comes ", name, ", ", value.rows(), " x ",
                                   value.cols()));
        if (role.name == "W_tilde" && !role.free_diagonal)
          throw ShapeError(message("start_from_dictionary: ", path, " has a diagonal that is kept at 0"));
      },
      std::as_const(to));
  if (next != given.size())
    throw ShapeError(message("start_from_dictionary: ", given[next].path, " has no parameter to go to"));
  next = 0;
  visit(
      [&](std::string_view, Role const&, Matrix<To>& p) {
        auto const& value = given[next++].value;
        p = to_device(to_backend,
                      host_matrix<typename To::Scalar>(value.rows(), value.cols(), [&](Index i, Index j) {
                        return static_cast<typename To::Scalar>(value(i, j));
                      }));
      },
      to);
}

}  // namespace detrame::inline DETRAME_ABI
