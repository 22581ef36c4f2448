// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "detrame/core/errors.hpp"
#include "detrame/core/host_matrix.hpp"

/// Files of golden values; the format is described in README.md beside this file.
namespace golden {

using detrame::FormatError;
using detrame::HostMatrix;
using detrame::Index;
using detrame::message;

using Quantities = std::map<std::string, HostMatrix<double>>;

inline std::vector<std::string> words(std::string const& line) {
  std::istringstream in(line);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

/// The whole of `word` as a finite number.
inline double number(std::string const& where, std::string const& word) {
  char* end = nullptr;
  double const value = std::strtod(word.c_str(), &end);
  if (end == word.c_str() || *end != '\0' || !std::isfinite(value))
    throw FormatError(message(where, ": expected a finite number, found \"", word, "\""));
  return value;
}

inline Index size(std::string const& where, std::string const& word) {
  double const value = number(where, word);
  if (value < 0 || value > 1e9 || value != std::floor(value))
    throw FormatError(message(where, ": expected a number of rows or columns, found \"", word, "\""));
  return static_cast<Index>(value);
}

/// Reads a file called `file`; FormatError with file and line where it is not of the format, or has a
/// quantity twice.
inline Quantities read(std::istream& in, std::string const& file) {
  Quantities quantities;
  Index line_number = 0;
  std::string where;
  auto const next_line = [&] {  // the next line that is not blank; none at the end of the file
    for (std::string line; std::getline(in, line);) {
      where = message(file, ": line ", ++line_number);
      if (auto found = words(line); !found.empty()) return found;
    }
    return std::vector<std::string>();
  };
  for (auto header = next_line(); !header.empty(); header = next_line()) {
    if (header.size() != 3)
      throw FormatError(message(where, ": expected \"name rows cols\", found ", header.size(), " words"));
    std::string const name = header[0];
    Index const rows = size(where, header[1]), cols = size(where, header[2]);
    if (quantities.contains(name))
      throw FormatError(message(where, ": ", name, " stands in this file twice"));
    std::vector<std::vector<double>> entries;  // grows with the file, not with what the header announces
    for (Index i = 0; i < rows && cols > 0; ++i) {
      auto const row = next_line();
      if (static_cast<Index>(row.size()) != cols)
        throw FormatError(message(where, ": expected row ", i + 1, " of ", rows, " of ", name, " with ", cols,
                                  " numbers, found ", row.size(), " words"));
      entries.emplace_back();
      for (std::string const& word : row) entries.back().push_back(number(where, word));
    }
    if (cols == 0 || rows == 0) throw FormatError(message(where, ": ", name, " is empty"));
    quantities[name] = detrame::host_matrix<double>(rows, cols, [&](Index i, Index j) {
      return entries[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
    });
  }
  return quantities;
}

inline Quantities read(std::string const& file) {
  std::ifstream in(file);
  if (!in) throw FormatError(message(file, ": cannot be opened for reading"));
  return read(in, file);
}

/// The matrix as rows x cols, a vector also from its transposed form.
inline HostMatrix<double> shaped(std::string const& name, HostMatrix<double> const& m, Index rows,
                                 Index cols) {
  if (m.rows() == rows && m.cols() == cols) return m;
  if ((rows == 1 || cols == 1) && m.rows() == cols && m.cols() == rows)
    return detrame::host_matrix<double>(rows, cols, [&](Index i, Index j) { return m(j, i); });
  throw FormatError(message(name, ": expected ", rows, " x ", cols, ", found ", m.rows(), " x ", m.cols()));
}

/// The matrix with so many rows and any number of columns; one column also from a row.
inline HostMatrix<double> with_rows(std::string const& name, HostMatrix<double> const& m, Index rows) {
  if (m.rows() == rows) return m;
  if (m.cols() == rows && (m.rows() == 1 || rows == 1)) return shaped(name, m, rows, m.rows());
  throw FormatError(message(name, ": expected ", rows, " rows, found ", m.rows(), " x ", m.cols()));
}

/// How many entries a vector has.
inline Index length(std::string const& name, HostMatrix<double> const& v) {
  if (v.rows() != 1 && v.cols() != 1)
    throw FormatError(message(name, ": expected a row or a column, found ", v.rows(), " x ", v.cols()));
  return v.rows() * v.cols();
}

}  // namespace golden
