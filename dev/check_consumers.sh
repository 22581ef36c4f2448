#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the library into a fresh folder, moves the folder, and builds and runs the consumers of tests/install
# against it: find_package, pkg-config, and add_subdirectory on the source tree.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "-- install"
cmake -S "$root" -B "$work/build" -DDETRAME_BUILD_TESTS=OFF -DDETRAME_BUILD_EXAMPLES=OFF >"$work/log" ||
  { cat "$work/log"; exit 1; }
cmake --install "$work/build" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
mv "$work/first" "$work/prefix"  # an installation may be moved as a whole

missing=$(diff <(cd "$root/include" && find . -name '*.hpp' | sort) \
               <(cd "$work/prefix/include" && find . -name '*.hpp' | sort) || true)
if [ -n "$missing" ]; then
  echo "the installed headers are not those of include/:"
  echo "$missing"
  exit 1
fi

for consumer in find_package add_subdirectory; do
  echo "-- $consumer"
  cmake -S "$root/tests/install/$consumer" -B "$work/$consumer" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" &&
    cmake --build "$work/$consumer" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  "$work/$consumer/consumer"
done

echo "-- pkg_config"
cp "$root/tests/install/consumer.cpp" "$work"
cp -r "$root/tests/install/pkg_config" "$work"
PKG_CONFIG_PATH="$work/prefix/share/pkgconfig" make -s -C "$work/pkg_config"
"$work/pkg_config/consumer"
