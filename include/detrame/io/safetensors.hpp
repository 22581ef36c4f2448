// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "detrame/core/file_bytes.hpp"
#include "detrame/io/replace_file.hpp"
#include "detrame/io/tensor.hpp"

namespace detrame::inline DETRAME_ABI {

/// The most bytes that a header may have: no file can ask for more memory before its tensors.
inline constexpr Index safetensors_header_limit = 100'000'000;

namespace detail {

/// A tensor that the header announces: where its bytes stand, counted from the first byte after the header.
struct Announced {
  std::string name;
  Tensor tensor;
  Index begin, end;
};

/// The header, name by name. All errors name the file, and the tensor where there is one.
class SafetensorsHeader {
 public:
  using Json = nlohmann::json;

  SafetensorsHeader(std::string file, std::string const& text) : file_(std::move(file)) {
    Json const json = parse(text);
    for (auto const& [key, value] : json.items())
      if (key == "__metadata__")
        read_metadata(value);
      else
        tensors_.push_back(announced(key, value));
    std::sort(tensors_.begin(), tensors_.end(), [](auto const& a, auto const& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
  }

  std::vector<Announced>& tensors() { return tensors_; }  ///< in the order of their bytes
  std::map<std::string, std::string>& metadata() { return metadata_; }

  template <class... Parts>
  FormatError error(std::string const& tensor, Parts const&... parts) const {
    return FormatError(message(file_, ": tensor ", Json(tensor).dump(), ": ", parts...));
  }

 private:
  /// An object without duplicate names, nested no deeper than the format is. The library ends at a byte 00 as
  /// at the end of the text: no JSON has one.
  Json parse(std::string const& text) const {
    std::vector<std::set<std::string>> names;
    auto const watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
      if (depth > 3) throw FormatError(message(file_, ": expected a header nested 3 deep, found it deeper"));
      if (event == Json::parse_event_t::object_start) names.emplace_back();
      if (event == Json::parse_event_t::object_end) names.pop_back();
      if (event == Json::parse_event_t::key && !names.back().insert(parsed.get<std::string>()).second)
        throw FormatError(
            message(file_, ": expected each name once in the header, found ", parsed.dump(), " twice"));
      return true;
    };
    if (text.empty() || text[0] != '{')
      throw format_error(file_, 8, "expected the brace that opens the header, found ",
                         text.empty() ? "an empty header"
                                      : hexadecimal(reinterpret_cast<std::uint8_t const*>(text.data()), 1));
    if (std::size_t const nul = text.find('\0'); nul != text.npos)
      throw format_error(file_, 8 + static_cast<Index>(nul), "expected a header in JSON, found a byte 00");
    try {
      return Json::parse(text, watch);
    } catch (Json::parse_error const& wrong) {
      throw format_error(file_, 8 + std::max<Index>(static_cast<Index>(wrong.byte), 1) - 1,
                         "expected a header in JSON, found: ", wrong.what());
    } catch (Json::exception const& wrong) {
      throw FormatError(message(file_, ": expected a header in JSON, found: ", wrong.what()));
    }
  }

  void read_metadata(Json const& value) {
    if (!value.is_object())
      throw FormatError(message(file_,
                                ": __metadata__: expected an object of strings, found a JSON value of type ",
                                value.type_name()));
    for (auto const& [key, text] : value.items()) {
      if (!text.is_string())
        throw FormatError(message(file_, ": __metadata__: expected a string for ", Json(key).dump(),
                                  ", found a JSON value of type ", text.type_name()));
      metadata_[key] = text.get<std::string>();
    }
  }

  Announced announced(std::string const& name, Json const& value) const {
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
        !value.contains("data_offsets"))
      throw error(name, "expected an object of dtype, shape and data_offsets, found ", excerpt(value));
    Announced a{name, {dtype(name, value["dtype"]), sizes(name, "shape", value["shape"]), {}}, 0, 0};
    auto const offsets = sizes(name, "data_offsets", value["data_offsets"]);
    auto const bytes = byte_count(a.tensor.dtype, a.tensor.shape);
    if (!bytes)
      throw error(name, "expected a shape whose entries ", detrame::name(a.tensor.dtype),
                  " are whole bytes that can be counted in ", 8 * sizeof(Index) - 1, " bits, found ",
                  shape_text(a.tensor.shape));
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] - offsets[0] != *bytes)
      throw error(name, "expected data_offsets that are ", *bytes, " bytes apart, as ",
                  shape_text(a.tensor.shape), " entries ", detrame::name(a.tensor.dtype), " are, found ",
                  excerpt(value["data_offsets"]));
    a.begin = offsets[0], a.end = offsets[1];
    return a;
  }

  DType dtype(std::string const& name, Json const& value) const {
    for (DTypeName const& known : dtypes)
      if (value.is_string() && value.get_ref<std::string const&>() == known.name) return known.dtype;
    std::string known;
    for (DTypeName const& one : dtypes) known += (known.empty() ? "" : ", ") + std::string(one.name);
    throw error(name, "expected one of the dtypes ", known, ", found ", excerpt(value));
  }

  std::vector<Index> sizes(std::string const& name, char const* what, Json const& value) const {
    std::vector<Index> numbers;
    bool good = value.is_array();
    for (auto const& entry : value) {
      good = good && entry.is_number_unsigned() &&
             entry.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
      if (good) numbers.push_back(entry.get<Index>());
    }
    if (!good)
      throw error(name, "expected ", what, " to be a list of whole numbers from 0 on, found ",
                  excerpt(value));
    return numbers;
  }

  static std::string excerpt(Json const& value) {
    std::string const text = value.dump(-1, ' ', true);  // ASCII: may be cut anywhere
    return text.size() <= 80 ? text : text.substr(0, 80) + " ...";
  }

  std::string file_;
  std::vector<Announced> tensors_;
  std::map<std::string, std::string> metadata_;
};

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
