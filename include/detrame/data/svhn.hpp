// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <matio.h>

#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "detrame/core/file_bytes.hpp"
#include "detrame/data/labelled.hpp"

namespace detrame {

namespace detail {

struct CloseMat {
  void operator()(mat_t* file) const { Mat_Close(file); }
};
struct FreeMatvar {
  void operator()(matvar_t* variable) const { Mat_VarFree(variable); }
};
using MatFile = std::unique_ptr<mat_t, CloseMat>;
using MatVariable = std::unique_ptr<matvar_t, FreeMatvar>;

/// Checks that the data elements of a MATLAB file of level 5 follow one another up to its end: a header of
/// 128 bytes, then type and size, 4 bytes each, and the element. FormatError with the place where the chain
/// breaks. Returns the size of the file.
inline Index require_mat5(std::filesystem::path const& file) {
  std::string const name = file.string();
  std::ifstream in = open_file(file, "a MATLAB file");
  Index const size = size_and_rewind(in, name);
  std::array<std::uint8_t, 128> header{};
  if (Index const found = read_bytes(in, header.data(), 128); found < 128)
    throw format_error(name, found, "expected the 128 bytes of a MATLAB header, found the end of the file");
  // 0x0100 and "MI", in the byte order of the writer; every machine that MATLAB still runs on is
  // little-endian.
  if (header[124] != 0 || header[125] != 1 || header[126] != 'I' || header[127] != 'M')
    throw format_error(name, 124,
                       "expected the bytes 00 01 49 4d of a little-endian MATLAB file of level 5, found ",
                       hexadecimal(header.data() + 124, 4));
  for (Index at = 128; at < size;) {
    std::array<std::uint8_t, 8> tag{};
    if (Index const found = read_bytes(in, tag.data(), 8); found < 8)
      throw format_error(name, at + found,
                         "expected type and size of a data element, found the end of the file");
    Index bytes = 0;
    for (std::size_t i = 8; i-- > 4;) bytes = bytes * 256 + tag[i];
    if (bytes > size - at - 8)
      throw format_error(name, size, "expected a data element of ", bytes, " bytes from byte ", at + 8,
                         " on, found the end of the file after ", size - at - 8);
    at += 8 + bytes;
    in.seekg(at);
  }
  return size;
}

/// A variable's class and sizes, without its entries. FormatError where it is not an array of the class and
/// rank.
inline MatVariable mat_variable(mat_t* mat, std::string const& file, char const* name, int rank) {
  MatVariable variable(Mat_VarReadInfo(mat, name));
  if (!variable)
    throw FormatError(message(file, ": expected a variable ", name, ", found none that can be read"));
  if (variable->class_type != MAT_C_UINT8 || variable->isComplex || variable->rank != rank || !variable->dims)
    throw FormatError(message(file, ": ", name, ": expected an array of uint8 of rank ", rank,
                              ", found class ", static_cast<int>(variable->class_type), " of libmatio, rank ",
                              variable->rank));
  return variable;
}

/// The entries [0, count) along the last dimension.
inline std::vector<std::uint8_t> mat_entries(mat_t* mat, std::string const& file, matvar_t& variable,
                                             std::vector<int> edge) {
  Index entries = 1;
  for (int const n : edge) entries *= n;
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(entries));
  std::vector<int> start(edge.size(), 0), stride(edge.size(), 1);
  if (entries > 0 &&
      Mat_VarReadData(mat, &variable, bytes.data(), start.data(), stride.data(), edge.data()) != 0)
    throw FormatError(message(file, ": ", variable.name, ": expected ", entries,
                              " entries, found data that libmatio cannot read"));
  return bytes;
}

}  // namespace detail

/// The first `limit` of SVHN's cropped digits, `train_32x32.mat`, `extra_32x32.mat` or `test_32x32.mat`,
/// through libmatio: entry = byte / 255, in [0, 1]; the label 10 means the digit 0.
///
///   X: 32 (row) x 32 (column) x 3 x N of uint8, the first dimension fastest      y: N x 1 of uint8, in 1 ...
///   10
///
/// Shapes    images: 3 x (32 * 32 * samples), a column a site, sites row by row
/// Requires  limit >= 0, else DomainError.
/// Ensures   FormatError with the file, what was expected and what was found, if the file is not of MATLAB's
///           level 5 or is cut (with the offset), X or y is missing, of another type or size, or a label is
///           not in 1 ... 10.
/// Tested    tests/data/svhn_test.cpp
template <class Scalar>
LabelledImages<Scalar> read_svhn(std::filesystem::path const& file,
                                 Index limit = std::numeric_limits<Index>::max()) {
  require_at_least("read_svhn", "limit", limit, Index{0});
  constexpr Index side = 32, sites = side * side;
  std::string const name = file.string();
  Index const size = detail::require_mat5(file);
  detail::MatFile const mat(Mat_Open(name.c_str(), MAT_ACC_RDONLY));
  if (!mat) throw FormatError(message(name, ": expected a MATLAB file, found one that libmatio cannot open"));
  auto const X = detail::mat_variable(mat.get(), name, "X", 4);
  auto const y = detail::mat_variable(mat.get(), name, "y", 2);
  std::size_t const* const d = X->dims;
  if (d[0] != side || d[1] != side || d[2] != 3 || d[3] > std::numeric_limits<std::int32_t>::max() / 3072)
    throw FormatError(
        message(name, ": X: expected 32 x 32 x 3 x N, found ", d[0], " x ", d[1], " x ", d[2], " x ", d[3]));
  if (Index const most = size * 1032 / (3 * sites); static_cast<Index>(d[3]) > most)  // deflate's best ratio
    throw FormatError(
        message(name, ": X: expected at most ", most, " images in a file of ", size, " bytes, found ", d[3]));
  if (y->dims[0] != d[3] || y->dims[1] != 1)
    throw FormatError(message(name, ": y: expected ", d[3], " x 1, a label for each image, found ",
                              y->dims[0], " x ", y->dims[1]));

  int const samples = static_cast<int>(std::min(limit, static_cast<Index>(d[3])));
  auto const pixels = detail::mat_entries(mat.get(), name, *X, {side, side, 3, samples});
  auto const labels = detail::mat_entries(mat.get(), name, *y, {samples, 1});
  LabelledImages<Scalar> data{{3, side, side}, {3, sites * samples}, {}, 10};
  for (Index n = 0; n < samples; ++n) {
    int const label = labels[static_cast<std::size_t>(n)];
    if (label < 1 || label > 10)
      throw FormatError(message(name, ": y: expected a label in 1 ... 10, found ", label, " at entry ", n));
    data.labels.push_back(label % 10);
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

}  // namespace detrame
