// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "detrame/backend/concept.hpp"
#include "detrame/core/parameters.hpp"
#include "detrame/io/conventions.hpp"
#include "detrame/io/safetensors.hpp"

namespace detrame::inline DETRAME_ABI {

/// Puts the parameters theta into `file`, each under `prefix` and the name that `visit` gives it:
/// "3.branch.0.W". A parameter of rows x cols becomes the tensor [rows, cols].
///
/// Requires  none of the names is taken, else DomainError.
/// Tested    tests/io/parameters_test.cpp
template <Backend B, class Theta>
void store_parameters(B& backend, Theta const& theta, TensorFile& file, std::string_view prefix = "") {
  visit(
      [&](std::string_view path, Role const&, auto const& parameter) {
        std::string const name = std::string(prefix).append(path);
        if (!file.tensors.emplace(name, tensor(to_host(backend, parameter))).second)
          throw DomainError(message("store_parameters: the name ", name, " is taken"));
      },
      theta);
}

/// Takes the parameters theta out of `file`: the tensors whose names start with `prefix`, all those of F32
/// and F64. What has another dtype beside them is no parameter, and let alone.
///
/// Requires  theta has the shapes that are expected. The metadata are not looked at: require_conventions,
///           require_updates.
/// Ensures   FormatError with the file, the tensor, what was expected and what was found, where a parameter
///           is missing, has another shape or dtype, or a tensor of F32 or F64 with the prefix is no
///           parameter; theta is then what it was.
/// Tested    tests/io/parameters_test.cpp
template <Backend B, class Theta>
void load_parameters(B& backend, Theta& theta, TensorFile const& file, std::string_view prefix = "") {
  using Scalar = typename B::Scalar;
  auto const full = [&](std::string_view path) { return std::string(prefix).append(path); };
  auto const said = [&](std::string const& name) { return message(file.name, ": tensor ", name); };
  std::set<std::string> known;
  visit(
      [&](std::string_view path, Role const& role, auto const& parameter) {
        std::string const name = full(path);
        known.insert(name);
        std::vector<Index> const shape{parameter.rows(), parameter.cols()};
        auto const found = file.tensors.find(name);
        if (found == file.tensors.end())
          throw FormatError(message(said(name), ": expected ", role.name, ", ", shape_text(shape),
                                    ", found no such tensor"));
        if (found->second.shape != shape)
          throw FormatError(message(said(name), ": expected ", role.name, ", ", shape_text(shape), ", found ",
                                    shape_text(found->second.shape)));
        host_matrix<Scalar>(found->second, said(name));  // dtype and bytes
      },
      std::as_const(theta));
  for (auto const& [name, tensor] : file.tensors)
    if (name.starts_with(prefix) && !known.contains(name) &&
        (tensor.dtype == DType::f32 || tensor.dtype == DType::f64))
      throw FormatError(message(said(name), ": expected parameters of the network alone, found ",
                                shape_text(tensor.shape), " that are none of them"));
  visit(
      [&](std::string_view path, Role const&, auto& parameter) {
        parameter = to_device(backend, host_matrix<Scalar>(file.tensors.at(full(path)), said(full(path))));
      },
      theta);
}

/// Writes the parameters theta to a file in the safetensors format, with what they mean in its metadata; see
/// store_parameters, store_conventions and write_safetensors.
template <Backend B, class Theta>
void save_parameters(B& backend, Theta const& theta, std::filesystem::path const& file) {
  TensorFile content;
  store_parameters(backend, theta, content);
  store_conventions(theta, content);
  write_safetensors(file, content);
}

/// Reads the parameters theta from a file; see load_parameters(backend, theta, file, prefix) and
/// read_safetensors.
///
/// Ensures   FormatError, besides, where the file says that they lie otherwise, have other signs, another T,
///           or are of a later version of this library (require_conventions, require_updates); files that do
///           not say are read.
/// Tested    tests/io/parameters_test.cpp
template <Backend B, class Theta>
void load_parameters(B& backend, Theta& theta, std::filesystem::path const& file) {
  TensorFile const content = read_safetensors(file);
  require_conventions(content);
  require_updates(theta, content);
  load_parameters(backend, theta, content);
}

}  // namespace detrame::inline DETRAME_ABI
