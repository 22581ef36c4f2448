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
#include <utility>
#include <vector>

#include "detrame/core/errors.hpp"
#include "detrame/core/host_matrix.hpp"
#include "detrame/core/sizes.hpp"

namespace detrame::inline DETRAME_ABI {

static_assert(std::endian::native == std::endian::little,
              "io: files of tensors are little-endian, and so must be we");

/// What an entry of a tensor is: all that the safetensors format knows. Those that are no TensorScalar are
/// carried along, from file to file, and refused where their entries are asked for.
enum class DType {
  f32,
  f64,
  i64,
  u64,
  u8,
  i32,
  u32,
  i16,
  u16,
  i8,
  boolean,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  f6_e2m3,
  f6_e3m2,
  f4,
  c64
};

/// The name of a dtype in a file of the safetensors format, and the bits of an entry.
struct DTypeName {
  DType dtype;
  std::string_view name;
  Index bits;
};
inline constexpr std::array<DTypeName, 20> dtypes{
    {{DType::f32, "F32", 32},        {DType::f64, "F64", 64},        {DType::i64, "I64", 64},
     {DType::u64, "U64", 64},        {DType::u8, "U8", 8},           {DType::i32, "I32", 32},
     {DType::u32, "U32", 32},        {DType::i16, "I16", 16},        {DType::u16, "U16", 16},
     {DType::i8, "I8", 8},           {DType::boolean, "BOOL", 8},    {DType::f16, "F16", 16},
     {DType::bf16, "BF16", 16},      {DType::f8_e4m3, "F8_E4M3", 8}, {DType::f8_e5m2, "F8_E5M2", 8},
     {DType::f8_e8m0, "F8_E8M0", 8}, {DType::f6_e2m3, "F6_E2M3", 6}, {DType::f6_e3m2, "F6_E3M2", 6},
     {DType::f4, "F4", 4},           {DType::c64, "C64", 64}}};

constexpr std::string_view name(DType dtype) { return dtypes[static_cast<std::size_t>(dtype)].name; }
constexpr Index bits_of(DType dtype) { return dtypes[static_cast<std::size_t>(dtype)].bits; }
static_assert([] {
  for (std::size_t i = 0; i < dtypes.size(); ++i)
    if (dtypes[i].dtype != static_cast<DType>(i)) return false;
  return true;
}());

template <class Scalar>
concept TensorScalar = std::same_as<Scalar, float> || std::same_as<Scalar, double> ||
                       std::same_as<Scalar, std::int64_t> || std::same_as<Scalar, std::uint64_t> ||
                       std::same_as<Scalar, std::int32_t> || std::same_as<Scalar, std::uint32_t> ||
                       std::same_as<Scalar, std::int16_t> || std::same_as<Scalar, std::uint16_t> ||
                       std::same_as<Scalar, std::int8_t> || std::same_as<Scalar, std::uint8_t>;

template <TensorScalar Scalar>
constexpr DType dtype_of() {
  if constexpr (std::same_as<Scalar, float>) return DType::f32;
  if constexpr (std::same_as<Scalar, double>) return DType::f64;
  if constexpr (std::same_as<Scalar, std::int64_t>) return DType::i64;
  if constexpr (std::same_as<Scalar, std::uint64_t>) return DType::u64;
  if constexpr (std::same_as<Scalar, std::int32_t>) return DType::i32;
  if constexpr (std::same_as<Scalar, std::uint32_t>) return DType::u32;
  if constexpr (std::same_as<Scalar, std::int16_t>) return DType::i16;
  if constexpr (std::same_as<Scalar, std::uint16_t>) return DType::u16;
  if constexpr (std::same_as<Scalar, std::int8_t>) return DType::i8;
  return DType::u8;
}

/// An array with the last index fastest; of no dimensions, one entry.
struct Tensor {
  DType dtype = DType::u8;
  std::vector<Index> shape;
  std::vector<std::uint8_t> bytes;  ///< bits_of(dtype) times the product of shape, little-endian

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

/// The bytes of a tensor; nothing where a size is negative, the bits cannot be counted,
/// or are no whole bytes.
inline std::optional<Index> byte_count(DType dtype, std::vector<Index> const& shape) {
  std::vector<Index> sizes = shape;
  sizes.push_back(bits_of(dtype));
  auto const bits = product_of_sizes(sizes);
  if (!bits || *bits % 8 != 0) return std::nullopt;
  return *bits / 8;
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

namespace detail {
inline void require_bytes_of_shape(Tensor const& t, std::string const& name) {
  if (byte_count(t.dtype, t.shape) != static_cast<Index>(t.bytes.size()))
    throw FormatError(message(name, ": expected the bytes of ", shape_text(t.shape), " entries ",
                              detrame::name(t.dtype), ", found ", t.bytes.size()));
}
}  // namespace detail

/// The entries of a tensor of whole numbers, I8 ... I64 and U8 ... U64, in the order of its bytes.
/// FormatError, with the `name` of the tensor, where it has another dtype, not the bytes that its shape asks
/// for, or an entry beyond 2^63 - 1.
inline std::vector<std::int64_t> whole_numbers(Tensor const& t, std::string const& name) {
  detail::require_bytes_of_shape(t, name);
  std::vector<std::int64_t> numbers;
  auto const read = [&]<class Scalar>(Scalar number) {
    if (t.dtype != dtype_of<Scalar>()) return;
    for (std::size_t at = 0; at < t.bytes.size(); at += sizeof(Scalar)) {
      std::memcpy(&number, t.bytes.data() + at, sizeof(Scalar));
      if (!std::in_range<std::int64_t>(number))
        throw FormatError(message(name, ": expected whole numbers below 2^63, found ", number));
      numbers.push_back(static_cast<std::int64_t>(number));
    }
  };
  read(std::int8_t{}), read(std::int16_t{}), read(std::int32_t{}), read(std::int64_t{});
  read(std::uint8_t{}), read(std::uint16_t{}), read(std::uint32_t{}), read(std::uint64_t{});
  if (numbers.empty() && !t.bytes.empty())
    throw FormatError(
        message(name, ": expected whole numbers, I8 ... I64 or U8 ... U64, found ", detrame::name(t.dtype)));
  return numbers;
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
  detail::require_bytes_of_shape(t, name);
  HostMatrix<Scalar> matrix(t.shape[0], t.shape[1]);
  std::uint8_t const* from = t.bytes.data();
  for (Index i = 0; i < matrix.rows(); ++i)
    for (Index j = 0; j < matrix.cols(); ++j, from += sizeof(Scalar))
      std::memcpy(&matrix(i, j), from, sizeof(Scalar));
  return matrix;
}

}  // namespace detrame::inline DETRAME_ABI
