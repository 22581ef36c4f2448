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
void read_mat_entries(mat_t* mat, std::string const& file, matvar_t& variable, std::vector<int> edge,
                      Entry* values) {
  Index entries = 1;
  for (int const n : edge) entries *= n;
  std::vector<int> start(edge.size(), 0), stride(edge.size(), 1);
  if (entries > 0 && Mat_VarReadData(mat, &variable, values, start.data(), stride.data(), edge.data()) != 0)
    throw FormatError(message(file, ": ", variable.name, ": expected ", entries,
                              " entries, found data that libmatio cannot read"));
}

/// The first `count` entries of a vector of numbers of any class.
inline std::vector<double> mat_numbers(mat_t* mat, std::string const& file, matvar_t& variable, int count) {
  std::vector<int> const edge = variable.dims[0] == 1 ? std::vector{1, count} : std::vector{count, 1};
  auto const read = [&]<class Entry>(Entry) {
    std::vector<Entry> entries(static_cast<std::size_t>(count));
    read_mat_entries(mat, file, variable, edge, entries.data());
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

/// One of SVHN's files, found to be what it says; of X and y, classes and sizes alone are read.
class SvhnFile {
 public:
  static constexpr Index side = 32, sites = side * side, pixels = 3 * sites;

  explicit SvhnFile(std::filesystem::path const& file) : name_(file.string()) {
    Index const size = require_mat5(file, [&](Mat5Variable const& variable) { judge_svhn(name_, variable); });
    mat_.reset(Mat_Open(name_.c_str(), MAT_ACC_RDONLY));
    if (!mat_)
      throw FormatError(message(name_, ": expected a MATLAB file, found one that libmatio cannot open"));
    X_ = mat_variable(mat_.get(), name_, "X", 4);
    y_ = mat_variable(mat_.get(), name_, "y", 2);
    if (X_->class_type != MAT_C_UINT8)
      throw FormatError(
          message(name_, ": X: expected an array of uint8, found one of ", mat_class_name(X_->class_type)));
    std::array<std::size_t, 4> d{1, 1, 1, 1};  // of one image, MATLAB leaves out the last size
    std::copy_n(X_->dims, X_->rank, d.begin());
    if (d[0] != side || d[1] != side || d[2] != 3 || d[3] > std::numeric_limits<std::int32_t>::max() / pixels)
      throw FormatError(message(name_, ": X: expected 32 x 32 x 3 x N, found ", d[0], " x ", d[1], " x ",
                                d[2], " x ", d[3]));
    if (Index const most = size * 1032 / pixels; static_cast<Index>(d[3]) > most)  // deflate's best ratio
      throw FormatError(message(name_, ": X: expected at most ", most, " images in a file of ", size,
                                " bytes, found ", d[3]));
    bool const is_column = y_->dims[0] == d[3] && y_->dims[1] == 1;
    bool const is_row = y_->dims[0] == 1 && y_->dims[1] == d[3];
    if (!is_column && !is_row)
      throw FormatError(message(name_, ": y: expected ", d[3], " x 1 or 1 x ", d[3],
                                ", a label for each image, found ", y_->dims[0], " x ", y_->dims[1]));
    samples_ = static_cast<Index>(d[3]);
  }

  Index samples() const { return samples_; }

  /// Reads the first `count` images to `bytes`, channels of a site together, and adds their labels.
  void read(Index count, std::uint8_t* bytes, std::vector<int>& labels) {
    if (count == 0) return;
    int const n = static_cast<int>(count);
    std::vector<int> edge{side, side, 3, n};
    edge.resize(static_cast<std::size_t>(X_->rank));
    read_mat_entries(mat_.get(), name_, *X_, edge, bytes);  // in one box: for each, libmatio inflates anew
    for (Index i = 0; double const label : mat_numbers(mat_.get(), name_, *y_, n)) {
      if (!(label >= 1 && label <= 10) || label != std::floor(label))
        throw FormatError(
            message(name_, ": y: expected a label in 1 ... 10, found ", label, " at entry ", i));
      labels.push_back(static_cast<int>(label) % 10);
      ++i;
    }
    for (std::array<std::uint8_t, pixels> planes; count > 0; --count, bytes += pixels) {
      std::copy_n(bytes, pixels, planes.begin());
      for (Index channel = 0; channel < 3; ++channel)
        for (Index col = 0; col < side; ++col)
          for (Index row = 0; row < side; ++row)
            bytes[channel + 3 * (side * row + col)] =
                planes[static_cast<std::size_t>(row + side * (col + side * channel))];
    }
  }

 private:
  std::string name_;
  MatFile mat_;
  MatVariable X_, y_;
  Index samples_ = 0;
};

}  // namespace detail

/// The first `limit` images of some files of SVHN's cropped digits, one after the other, through libmatio:
/// read_svhn_bytes<float>({"train_32x32.mat", "extra_32x32.mat"}). A pixel is byte / 255, in [0, 1]; the
/// label 10 means the digit 0.
///
///   X: 32 (row) x 32 (column) x 3 x N of uint8, the first dimension fastest
///   y: N x 1 or 1 x N, in 1 ... 10
///
/// y may have any class of numbers, since programs other than MATLAB write double.
///
/// Requires  limit >= 0, else DomainError. Files beyond the limit are not opened.
/// Ensures   FormatError with the file, what was expected and what was found, if a file is not of MATLAB's
///           level 5 or is cut (with the offset), X or y is missing, of another class or size, or a label is
///           not in 1 ... 10. Entries are allocated for sizes that the files can have. Cells and structures
///           beside X and y are read by libmatio, which may allocate for them what a damaged file announces.
/// Cost      memory: the bytes of the images, once; some 20 bytes a label beside them
/// Tested    tests/data/svhn_test.cpp
template <class Scalar>
ImageBytes<Scalar> read_svhn_bytes(std::vector<std::filesystem::path> const& files,
                                   Index limit = std::numeric_limits<Index>::max()) {
  require_at_least("read_svhn", "limit", limit, Index{0});
  using File = detail::SvhnFile;
  std::vector<File> open;
  Index samples = 0;
  for (std::size_t i = 0; i < files.size() && samples < limit; ++i)
    samples = std::min(limit, samples + open.emplace_back(files[i]).samples());
  ImageBytes<Scalar> data{{3, File::side, File::side},
                          std::vector<std::uint8_t>(static_cast<std::size_t>(File::pixels * samples)),
                          {},
                          10,
                          byte_values<Scalar>(3, 255)};
  data.labels.reserve(static_cast<std::size_t>(samples));
  for (File& file : open) {
    Index const first = data.samples();
    file.read(std::min(file.samples(), samples - first), data.pixels.data() + File::pixels * first,
              data.labels);
  }
  return data;
}

/// read_svhn_bytes of one file, unpacked.
template <class Scalar>
LabelledImages<Scalar> read_svhn(std::filesystem::path const& file,
                                 Index limit = std::numeric_limits<Index>::max()) {
  return unpacked(read_svhn_bytes<Scalar>({file}, limit));
}

}  // namespace detrame::inline DETRAME_ABI
