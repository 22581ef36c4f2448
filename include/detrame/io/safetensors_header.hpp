// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "detrame/core/file_bytes.hpp"
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

}  // namespace detail

}  // namespace detrame::inline DETRAME_ABI
