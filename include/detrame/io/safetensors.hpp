// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <utility>

#include "detrame/core/file_bytes.hpp"
#include "detrame/io/replace_file.hpp"
#include "detrame/io/safetensors_header.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// n bytes, which stand at a place in the file.
inline void require_bytes(std::istream& in, std::string const& name, std::uint8_t* bytes, Index n, Index at) {
  if (Index const found = read_bytes(in, bytes, n); found < n)
    throw format_error(name, at + found, "expected ", n - found, " bytes more, but reading failed");
}

/// The tensors must stand one after the other, from the end of the header to the end of the file.
inline void require_no_gap(SafetensorsHeader& header, std::string const& file, Index start, Index size) {
  Index at = 0;
  for (Announced const& a : header.tensors()) {
    if (a.begin != at)
      throw header.error(a.name, "expected its bytes from ", at,
                         " on, where those before it end, found data_offsets ", a.begin, " ... ", a.end);
    if (a.end > size - start)
      throw header.error(a.name, "expected its bytes within the ", size - start,
                         " after the header, found data_offsets ", a.begin, " ... ", a.end);
    at = a.end;
  }
  if (at != size - start)
    throw format_error(file, start + at, "expected the end of the file after the last tensor, found ",
                       size - start - at, " bytes more");
}

/// The header of a stream, which then stands behind it, and the sizes of what was read and of the stream.
struct SafetensorsStart {
  SafetensorsHeader header;
  Index start, size;
};

/// Adds the bytes that were read to `sum`, where there is one.
inline SafetensorsStart read_safetensors_header(std::istream& in, std::string const& name,
                                                Checksum* sum = nullptr) {
  Index const size = size_and_rewind(in, name);
  std::array<std::uint8_t, 8> little_endian{};
  if (Index const found = read_bytes(in, little_endian.data(), 8); found < 8)
    throw format_error(name, found,
                       "expected the length of the header in 8 bytes, found the end of the file");
  std::uint64_t length = 0;
  std::memcpy(&length, little_endian.data(), 8);
  if (length > static_cast<std::uint64_t>(safetensors_header_limit))
    throw format_error(name, 0, "expected a header of at most ", safetensors_header_limit, " bytes, found ",
                       length);
  Index const start = 8 + static_cast<Index>(length);
  if (start > size)
    throw format_error(name, size, "expected a header of ", length,
                       " bytes, found the end of the file after ", size - 8);
  std::string text(static_cast<std::size_t>(length), ' ');
  auto* const bytes = reinterpret_cast<std::uint8_t*>(text.data());
  require_bytes(in, name, bytes, start - 8, 8);
  if (sum != nullptr) {
    sum->add(little_endian.data(), little_endian.size());
    sum->add(bytes, text.size());
  }
  return {SafetensorsHeader(name, text), start, size};
}

}  // namespace detail

/// The tensors of a stream in the safetensors format.
///
///   length of the header, 8 bytes | header in JSON | the bytes of the tensors, without gaps
///   {"__metadata__": {"key": "text"},
///    "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
///
/// Requires  in: can be positioned, and throws nothing itself; name: what messages call it.
/// Ensures   FormatError with the file, the tensor or the offset, what was expected and what was found, if
///           the header is longer than 100 MB or the file, is not JSON of that form and nothing more, has a
///           name twice, a shape or dtype that is not one, offsets that overlap, leave a gap or end elsewhere
///           than the file. Nothing is read by halves, and tensors are allocated only after the file was
///           found to have their bytes. Tensors of every dtype of the format are read; who uses one says
///           which it may have. The bytes of the stream are added to `sum`, where there is one.
/// Source    https://huggingface.co/docs/safetensors, the format; stricter in refusing members that it does
///           not name.
/// Tested    tests/io/safetensors_test.cpp
inline TensorFile read_safetensors(std::istream& in, std::string const& name, Checksum* sum = nullptr) {
  auto [header, start, size] = detail::read_safetensors_header(in, name, sum);
  detail::require_no_gap(header, name, start, size);
  TensorFile file{name, {}, std::move(header.metadata())};
  for (auto& [key, tensor, begin, end] : header.tensors()) {
    tensor.bytes.resize(static_cast<std::size_t>(end - begin));
    detail::require_bytes(in, name, tensor.bytes.data(), end - begin, start + begin);
    if (sum != nullptr) sum->add(tensor.bytes.data(), tensor.bytes.size());
    file.tensors.emplace(std::move(key), std::move(tensor));
  }
  return file;
}

/// The tensors of a file; see read_safetensors(stream, name).
inline TensorFile read_safetensors(std::filesystem::path const& file) {
  std::ifstream in = open_file(file, "a safetensors file");
  return read_safetensors(in, file.string());
}

namespace detail {

/// Tensors of large entries first, so that each is aligned; then by name.
inline std::vector<std::pair<std::string_view, Tensor const*>> writing_order(TensorFile const& content) {
  std::vector<std::pair<std::string_view, Tensor const*>> order;
  for (auto const& [name, tensor] : content.tensors) order.emplace_back(name, &tensor);
  std::stable_sort(order.begin(), order.end(), [](auto const& a, auto const& b) {
    return bits_of(a.second->dtype) > bits_of(b.second->dtype);
  });
  return order;
}

/// The header, filled up with spaces to a multiple of 8 bytes.
inline std::string safetensors_header(TensorFile const& content) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!content.metadata.empty()) json["__metadata__"] = content.metadata;
  for (Index at = 0; auto const& [name, tensor] : writing_order(content)) {
    Index const end = at + static_cast<Index>(tensor->bytes.size());
    if (name == "__metadata__")
      throw DomainError("write_safetensors: no tensor can have the name __metadata__");
    if (byte_count(tensor->dtype, tensor->shape) != end - at)
      throw ShapeError(message("write_safetensors: tensor ", name, " has ", tensor->bytes.size(),
                               " bytes, its shape ", shape_text(tensor->shape), " of ",
                               detrame::name(tensor->dtype), " says otherwise"));
    json[std::string(name)] = {
        {"dtype", detrame::name(tensor->dtype)}, {"shape", tensor->shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text;
  try {
    text = json.dump();
  } catch (nlohmann::json::exception const& wrong) {
    throw DomainError(message("write_safetensors: names and metadata must be UTF-8: ", wrong.what()));
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (static_cast<Index>(text.size()) > safetensors_header_limit)
    throw DomainError(message("write_safetensors: the header has ", text.size(),
                              " bytes, must be <= ", safetensors_header_limit));
  return text;
}

/// take(bytes, count) for each piece of the file, in order.
template <class Take>
void each_piece(std::string const& header, TensorFile const& content, Take const& take) {
  std::uint64_t const length = header.size();
  take(&length, 8);
  take(header.data(), header.size());
  for (auto const& [name, tensor] : writing_order(content)) take(tensor->bytes.data(), tensor->bytes.size());
}

}  // namespace detail

/// Writes the tensors and metadata of `content` (its name is not looked at) in the safetensors format.
///
/// Requires  as many bytes as dtype and shape say, else ShapeError; names and texts in UTF-8, none
///           `__metadata__`, and a header of at most 100 MB, else DomainError.
/// Ensures   the file is replaced as a whole or not at all (ReplacedFile); the same content gives the same
///           bytes; read_safetensors gives it back. Returns the Checksum of the file's bytes.
/// Tested    tests/io/safetensors_test.cpp
inline std::uint64_t write_safetensors(std::filesystem::path const& file, TensorFile const& content) {
  std::string const header = detail::safetensors_header(content);
  ReplacedFile out(file);
  detail::each_piece(header, content, [&](void const* bytes, std::size_t n) { out.write(bytes, n); });
  out.commit();
  return out.checksum();
}

/// What write_safetensors would return, without a file.
inline std::uint64_t safetensors_checksum(TensorFile const& content) {
  Checksum sum;
  detail::each_piece(detail::safetensors_header(content), content, [&](void const* bytes, std::size_t n) {
    sum.add(static_cast<std::uint8_t const*>(bytes), n);
  });
  return sum.value();
}

}  // namespace detrame::inline DETRAME_ABI
