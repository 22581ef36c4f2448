// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "golden/file.hpp"

namespace golden {

/// What PyTorch did: tests/<folder>/torch.txt, whose lines of comments are left out. make_torch.py beside it
/// says how it is made.
inline Quantities torch(std::string const& folder) {
  auto const file = std::filesystem::path(DETRAME_DATA_DIR).parent_path() / "tests" / folder / "torch.txt";
  std::ifstream in(file);
  std::stringstream rest;
  for (std::string line; std::getline(in, line);)
    if (line[0] != '#') rest << line << '\n';
  return read(rest, file.string());
}

}  // namespace golden
