// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The version, the only place where it is written: CMake and Meson read it here.
///
/// What it promises, while the major number is 0:
///   patch  existing source keeps compiling, with the same meaning;
///   minor  may break source; CHANGELOG.md says how;
///   both   may change results in the last digits or beyond: each such change stands under "Numerics" in
///          CHANGELOG.md.
/// The library is headers alone: there is no binary interface,
/// so build all units of a program against one version.
#define DETRAME_VERSION_MAJOR 0
#define DETRAME_VERSION_MINOR 1
#define DETRAME_VERSION_PATCH 0

/// One number to compare with: 0.1.0 is 100, 1.2.3 is 10203.
#define DETRAME_VERSION (DETRAME_VERSION_MAJOR * 10000 + DETRAME_VERSION_MINOR * 100 + DETRAME_VERSION_PATCH)
