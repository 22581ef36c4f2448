#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hides the packages of Eigen, doctest, zlib, nlohmann-json and Google Benchmark, so that they are fetched from
# Debian's source archives, then builds and runs one test. Exit status 77: no mirror answers here.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' |
  head -n 1 || true)
python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=20)' "${mirror:-none}" \
  >/dev/null 2>&1 || { echo "the mirror ${mirror:-of this system} does not answer"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake -S "$root" -B "$work" -DDETRAME_BUILD_BENCH=ON -DDETRAME_BUILD_EXAMPLES=OFF \
  -DDETRAME_WERROR=ON -DDETRAME_TEST_SUBSET='^data$' -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON \
  -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON \
  -DCMAKE_DISABLE_FIND_PACKAGE_doctest=ON -DCMAKE_DISABLE_FIND_PACKAGE_benchmark=ON >"$work/log" 2>&1 ||
  { tail -n 40 "$work/log"; exit 1; }
grep 'detrame:' "$work/log"
cmake --build "$work" --target data >"$work/log" 2>&1 || { tail -n 40 "$work/log"; exit 1; }
ctest --test-dir "$work" --output-on-failure
