// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <matio.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "detrame/core/file_bytes.hpp"
#include "detrame/data/labelled.hpp"
#include "detrame/data/mat5.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

struct CloseMat {
  void operator()(mat_t* file) const { Mat_Close(file); }
};
struct FreeMatvar {
  void operator()(matvar_t* variable) const { Mat_VarFree(variable); }
};
using MatFile = std::unique_ptr<mat_t, CloseMat>;
using MatVariable = std::unique_ptr<matvar_t, FreeMatvar>;

/// Refuses variables X and y of a class that has no numbers, before libmatio looks into them.
inline void judge_svhn(std::string const& file, Mat5Variable const& variable) {
  bool const numbers = variable.class_number >= MAT_C_DOUBLE && variable.class_number <= MAT_C_UINT64;
  if (!numbers && (variable.name == "X" || variable.name == "y"))
    throw FormatError(message(file, ": ", variable.name,
                              ": expected an array of numbers, found one of class ",
                              mat_class_name(variable.class_number)));
}

/// A variable's class and sizes, without its entries. FormatError where it is not a real array of at most
/// `rank` sizes.
inline MatVariable mat_variable(mat_t* mat, std::string const& file, char const* name, int rank) {
  MatVariable variable(Mat_VarReadInfo(mat, name));
  if (!variable)
    throw FormatError(message(file, ": expected a variable ", name, ", found none that can be read"));
  if (variable->isComplex || variable->rank < 2 || variable->rank > rank || !variable->dims)
    throw FormatError(message(file, ": ", name, ": expected a real array of rank ", rank, ", found a ",
                              variable->isComplex ? "complex" : "real", " one of rank ", variable->rank));
  return variable;
}

/// The entries in a box that starts at the first one. FormatError where they cannot be read.
template <class Entry>
std::vector<Entry> mat_entries(mat_t* mat, std::string const& file, matvar_t& variable,
                               std::vector<int> edge) {
  Index entries = 1;
  for (int const n : edge) entries *= n;
  std::vector<Entry> values(static_cast<std::size_t>(entries));
  std::vector<int> start(edge.size(), 0), stride(edge.size(), 1);
  if (entries > 0 &&
      Mat_VarReadData(mat, &variable, values.data(), start.data(), stride.data(), edge.data()) != 0)
    throw FormatError(message(file, ": ", variable.name, ": expected ", entries,
                              " entries, found data that libmatio cannot read"));
  return values;
}

/// The first `count` entries of a vector of numbers of any class.
inline std::vector<double> mat_numbers(mat_t* mat, std::string const& file, matvar_t& variable, int count) {
  std::vector<int> const edge = variable.dims[0] == 1 ? std::vector{1, count} : std::vector{count, 1};
  auto const read = [&]<class Entry>(Entry) {
    auto const entries = mat_entries<Entry>(mat, file, variable, edge);
    return std::vector<double>(entries.begin(), entries.end());
  };
  switch (variable.class_type) {
    case MAT_C_DOUBLE: return read(double{});
    case MAT_C_SINGLE: return read(float{});
    case MAT_C_INT8: return read(std::int8_t{});
    case MAT_C_UINT8: return read(std::uint8_t{});
    case MAT_C_INT16: return read(std::int16_t{});
    case MAT_C_UINT16: return read(std::uint16_t{});
    case MAT_C_INT32: return read(std::int32_t{});
    case MAT_C_UINT32: return read(std::uint32_t{});
    case MAT_C_INT64: return read(std::int64_t{});
    case MAT_C_UINT64: return read(std::uint64_t{});
    default: break;
  }
  throw FormatError(message(file, ": ", variable.name, ": expected an array of numbers, found one of class ",
                            mat_class_name(variable.class_type)));
}

}  // namespace detail

/// The first `limit` of SVHN's cropped digits, `train_32x32.mat`, `extra_32x32.mat` or `test_32x32.mat`,
/// through libmatio: entry = byte / 255, in [0, 1]; the label 10 means the digit 0.
///
///   X: 32 (row) x 32 (column) x 3 x N of uint8, the first dimension fastest
///   y: N x 1 or 1 x N, in 1 ... 10
///
/// y may have any class of numbers, since programs other than MATLAB write double.
///
/// Shapes    images: 3 x (32 * 32 * samples), a column a site, sites row by row
/// Requires  limit >= 0, else DomainError.
/// Ensures   FormatError with the file, what was expected and what was found, if the file is not of MATLAB's
///           level 5 or is cut (with the offset), X or y is missing, of another class or size, or a label is
///           not in 1 ... 10. Entries are allocated for sizes that the file can have. Cells and structures
///           beside X and y are read by libmatio, which may allocate for them what a damaged file announces.
/// Tested    tests/data/svhn_test.cpp
template <class Scalar>
LabelledImages<Scalar> read_svhn(std::filesystem::path const& file,
                                 Index limit = std::numeric_limits<Index>::max()) {
  require_at_least("read_svhn", "limit", limit, Index{0});
  constexpr Index side = 32, sites = side * side;
  std::string const name = file.string();
  Index const size = detail::require_mat5(
      file, [&](detail::Mat5Variable const& variable) { detail::judge_svhn(name, variable); });
  detail::MatFile const mat(Mat_Open(name.c_str(), MAT_ACC_RDONLY));
  if (!mat) throw FormatError(message(name, ": expected a MATLAB file, found one that libmatio cannot open"));
  auto const X = detail::mat_variable(mat.get(), name, "X", 4);
  auto const y = detail::mat_variable(mat.get(), name, "y", 2);
  if (X->class_type != MAT_C_UINT8)
    throw FormatError(message(name, ": X: expected an array of uint8, found one of ",
                              detail::mat_class_name(X->class_type)));
  std::array<std::size_t, 4> d{1, 1, 1, 1};  // of one image, MATLAB leaves out the last size
  std::copy_n(X->dims, X->rank, d.begin());
  if (d[0] != side || d[1] != side || d[2] != 3 || d[3] > std::numeric_limits<std::int32_t>::max() / 3072)
    throw FormatError(
        message(name, ": X: expected 32 x 32 x 3 x N, found ", d[0], " x ", d[1], " x ", d[2], " x ", d[3]));
  if (Index const most = size * 1032 / (3 * sites); static_cast<Index>(d[3]) > most)  // deflate's best ratio
    throw FormatError(
        message(name, ": X: expected at most ", most, " images in a file of ", size, " bytes, found ", d[3]));
  bool const is_column = y->dims[0] == d[3] && y->dims[1] == 1;
  bool const is_row = y->dims[0] == 1 && y->dims[1] == d[3];
  if (!is_column && !is_row)
    throw FormatError(message(name, ": y: expected ", d[3], " x 1 or 1 x ", d[3],
                              ", a label for each image, found ", y->dims[0], " x ", y->dims[1]));

  int const samples = static_cast<int>(std::min(limit, static_cast<Index>(d[3])));
  std::vector<int> edge{side, side, 3, samples};
  edge.resize(static_cast<std::size_t>(X->rank));
  auto const pixels = samples == 0 ? std::vector<std::uint8_t>()
                                   : detail::mat_entries<std::uint8_t>(mat.get(), name, *X, edge);
  auto const labels = detail::mat_numbers(mat.get(), name, *y, samples);
  LabelledImages<Scalar> data{{3, side, side}, {3, sites * samples}, {}, 10};
  for (Index n = 0; n < samples; ++n) {
    double const label = labels[static_cast<std::size_t>(n)];
    if (!(label >= 1 && label <= 10) || label != std::floor(label))
      throw FormatError(message(name, ": y: expected a label in 1 ... 10, found ", label, " at entry ", n));
    data.labels.push_back(static_cast<int>(label) % 10);
    for (Index channel = 0; channel < 3; ++channel)
      for (Index col = 0; col < side; ++col)
        for (Index row = 0; row < side; ++row)
          data.images(channel, n * sites + side * row + col) =
              static_cast<Scalar>(
                  pixels[static_cast<std::size_t>(row + side * (col + side * (channel + 3 * n)))]) /
              Scalar(255);
  }
  return data;
}

}  // namespace detrame::inline DETRAME_ABI
