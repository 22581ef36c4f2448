// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "detrame/core/errors.hpp"
#include "detrame/core/host_matrix.hpp"

namespace detrame {

static_assert(std::endian::native == std::endian::little,
              "io: files of tensors are little-endian, and so must be we");

/// What an entry of a tensor is.
enum class DType { f32, f64, i64, u64, u8 };

/// The name of a dtype in a file of the safetensors format, and the bytes of an entry.
struct DTypeName {
  DType dtype;
  std::string_view name;
  Index size;
};
inline constexpr std::array<DTypeName, 5> dtypes{{{DType::f32, "F32", 4},
                                                  {DType::f64, "F64", 8},
                                                  {DType::i64, "I64", 8},
                                                  {DType::u64, "U64", 8},
                                                  {DType::u8, "U8", 1}}};

constexpr std::string_view name(DType dtype) { return dtypes[static_cast<std::size_t>(dtype)].name; }
constexpr Index size_of(DType dtype) { return dtypes[static_cast<std::size_t>(dtype)].size; }
static_assert(name(DType::u8) == "U8" && size_of(DType::i64) == 8);

template <class Scalar>
concept TensorScalar =
    std::same_as<Scalar, float> || std::same_as<Scalar, double> || std::same_as<Scalar, std::int64_t> ||
    std::same_as<Scalar, std::uint64_t> || std::same_as<Scalar, std::uint8_t>;

template <TensorScalar Scalar>
constexpr DType dtype_of() {
  if constexpr (std::same_as<Scalar, float>) return DType::f32;
  if constexpr (std::same_as<Scalar, double>) return DType::f64;
  if constexpr (std::same_as<Scalar, std::int64_t>) return DType::i64;
  if constexpr (std::same_as<Scalar, std::uint64_t>) return DType::u64;
  return DType::u8;
}

/// An array with the last index fastest; of no dimensions, one entry.
struct Tensor {
  DType dtype = DType::u8;
  std::vector<Index> shape;
  std::vector<std::uint8_t> bytes;  ///< size_of(dtype) times the product of shape, little-endian

  friend bool operator==(Tensor const&, Tensor const&) = default;
};

/// Named tensors and named strings.
struct TensorFile {
  std::string name;  ///< of the file, for messages
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// "3 x 4", and "no dimensions".
inline std::string shape_text(std::vector<Index> const& shape) {
  std::string text;
  for (Index const d : shape) text += (text.empty() ? "" : " x ") + std::to_string(d);
  return text.empty() ? "no dimensions" : text;
}

/// The bytes of a tensor; nothing where a size is negative, or the product of the sizes other than 0 does not
/// fit.
inline std::optional<Index> byte_count(DType dtype, std::vector<Index> const& shape) {
  Index product = size_of(dtype);
  bool empty = false;
  for (Index const d : shape) {
    if (d < 0 || (d > 0 && product > std::numeric_limits<Index>::max() / d)) return std::nullopt;
    empty = empty || d == 0;
    if (d > 0) product *= d;
  }
  return empty ? 0 : product;
}

/// A rows x cols matrix as the tensor [rows, cols]: other programs see the same rows and columns.
template <TensorScalar Scalar>
Tensor tensor(HostMatrix<Scalar> const& matrix) {
  Tensor t{dtype_of<Scalar>(), {matrix.rows(), matrix.cols()}, {}};
  t.bytes.resize(sizeof(Scalar) * static_cast<std::size_t>(matrix.rows() * matrix.cols()));
  std::uint8_t* to = t.bytes.data();
  for (Index i = 0; i < matrix.rows(); ++i)
    for (Index j = 0; j < matrix.cols(); ++j, to += sizeof(Scalar))
      std::memcpy(to, &matrix(i, j), sizeof(Scalar));
  return t;
}

/// The tensor [rows, cols] as a matrix. FormatError, with the `name` of the tensor, where it has another
/// dtype or rank, or not the bytes that its shape asks for.
template <TensorScalar Scalar>
HostMatrix<Scalar> host_matrix(Tensor const& t, std::string const& name) {
  if (t.dtype != dtype_of<Scalar>())
    throw FormatError(message(name, ": expected entries ", detrame::name(dtype_of<Scalar>()), ", found ",
                              detrame::name(t.dtype)));
  if (t.shape.size() != 2)
    throw FormatError(message(name, ": expected a matrix, found ", shape_text(t.shape)));
  if (byte_count(t.dtype, t.shape) != static_cast<Index>(t.bytes.size()))
    throw FormatError(message(name, ": expected the bytes of ", shape_text(t.shape), " entries ",
                              detrame::name(t.dtype), ", found ", t.bytes.size()));
  HostMatrix<Scalar> matrix(t.shape[0], t.shape[1]);
  std::uint8_t const* from = t.bytes.data();
  for (Index i = 0; i < matrix.rows(); ++i)
    for (Index j = 0; j < matrix.cols(); ++j, from += sizeof(Scalar))
      std::memcpy(&matrix(i, j), from, sizeof(Scalar));
  return matrix;
}

}  // namespace detrame
