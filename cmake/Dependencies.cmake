# SPDX-License-Identifier: Apache-2.0
# Each dependency is looked for on the system first. What is missing is fetched from Debian's source archives;
# the hashes are those of the signed .dsc files of Debian 12.

include(FetchContent)

set(DETRAME_DEBIAN_MIRROR "" CACHE STRING
  "Root of a Debian mirror, from which missing dependencies are fetched; empty: ask apt for the system's mirrors")

# The mirrors that apt uses, as a list; DETRAME_DEBIAN_MIRROR where it is set.
function(detrame_debian_mirrors result package)
  set(mirrors ${DETRAME_DEBIAN_MIRROR})
  if(NOT mirrors)
    find_program(DETRAME_APT_GET apt-get)
    mark_as_advanced(DETRAME_APT_GET)
    if(DETRAME_APT_GET)
      execute_process(
        COMMAND ${DETRAME_APT_GET} indextargets --format "$(REPO_URI)"
          "Created-By: Packages" "Origin: Debian" "Component: main"
        OUTPUT_VARIABLE mirrors ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
      string(REPLACE "\n" ";" mirrors "${mirrors}")
      list(REMOVE_DUPLICATES mirrors)
    endif()
  endif()
  if(NOT mirrors)
    message(FATAL_ERROR
      "detrame: ${package} is not installed, and apt names no Debian mirror to fetch it from. Either install "
      "${package}, or run 'apt-get update' on Debian, or name a mirror by hand: -DDETRAME_DEBIAN_MIRROR=<url>, "
      "the url of a folder that contains pool/main.")
  endif()
  set(${result} ${mirrors} PARENT_SCOPE)
endfunction()

# Declares the content `name`: the file `archive` below pool/main of a mirror, unpacked.
function(detrame_fetch name package archive sha256)
  detrame_debian_mirrors(mirrors ${package})
  set(urls "")
  foreach(mirror IN LISTS mirrors)
    string(REGEX REPLACE "/+$" "" mirror "${mirror}")
    list(APPEND urls "${mirror}/pool/main/${archive}")
  endforeach()
  list(JOIN mirrors " or " from)
  message(STATUS "detrame: ${package} is not installed, fetching its source from ${from} "
    "(DETRAME_DEBIAN_MIRROR names another)")
  FetchContent_Declare(${name} URL ${urls} URL_HASH SHA256=${sha256} DOWNLOAD_EXTRACT_TIMESTAMP ON ${ARGN})
endfunction()

# --- Eigen, which the headers need --------------------------------------------------------------------------
if(NOT TARGET Eigen3::Eigen)
  find_package(Eigen3 CONFIG QUIET)
  if(Eigen3_FOUND AND (Eigen3_VERSION VERSION_LESS 3.4 OR Eigen3_VERSION VERSION_GREATER_EQUAL 3.4.90))
    message(FATAL_ERROR
      "detrame needs Eigen 3.4, and Eigen ${Eigen3_VERSION} was found in ${Eigen3_DIR}. Point Eigen3_DIR to an "
      "installation of 3.4, or have 3.4.0 fetched with -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON.")
  endif()
  if(NOT Eigen3_FOUND)
    detrame_fetch(eigen3 libeigen3-dev e/eigen3/eigen3_3.4.0.orig.tar.bz2
      b4c198460eba6f28d34894e3a5710998818515104d6e74e5cc331ce31e46e626 SOURCE_SUBDIR no-targets-of-its-own)
    FetchContent_MakeAvailable(eigen3)
    add_library(Eigen3::Eigen INTERFACE IMPORTED GLOBAL)
    target_include_directories(Eigen3::Eigen SYSTEM INTERFACE ${eigen3_SOURCE_DIR})
  endif()
endif()

# --- Threads ------------------------------------------------------------------------------------------------
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads QUIET)

# --- zlib and libmatio, for detrame::data -------------------------------------------------------------------
if(NOT TARGET ZLIB::ZLIB)
  find_package(ZLIB QUIET)
endif()
if(NOT TARGET ZLIB::ZLIB AND own_programs)
  detrame_fetch(zlib zlib1g-dev z/zlib/zlib_1.2.13.dfsg.orig.tar.bz2
    71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1 SOURCE_SUBDIR no-targets-of-its-own)
  FetchContent_MakeAvailable(zlib)
  enable_language(C)
  set(zlib_sources adler32 crc32 deflate inffast inflate inftrees trees zutil)
  list(TRANSFORM zlib_sources REPLACE "(.+)" "${zlib_SOURCE_DIR}/\\1.c")
  add_library(detrame_zlib STATIC EXCLUDE_FROM_ALL ${zlib_sources})
  add_library(ZLIB::ZLIB INTERFACE IMPORTED GLOBAL)
  target_link_libraries(ZLIB::ZLIB INTERFACE detrame_zlib)
  target_include_directories(ZLIB::ZLIB SYSTEM INTERFACE ${zlib_SOURCE_DIR})
endif()

# libmatio needs libraries of its own, so it is not fetched. Only data/svhn.hpp includes it.
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
find_package(Matio QUIET)
if(NOT Matio_FOUND AND DETRAME_BUILD_TESTS)
  message(FATAL_ERROR "detrame: the tests need libmatio, which is not installed: install libmatio-dev")
endif()

# --- nlohmann-json, for detrame::io -------------------------------------------------------------------------
if(NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json 3.9 CONFIG QUIET)
endif()
if(NOT TARGET nlohmann_json::nlohmann_json AND own_programs)
  detrame_fetch(nlohmann_json nlohmann-json3-dev n/nlohmann-json3/nlohmann-json3_3.11.2.orig.tar.gz
    d69f9deb6a75e2580465c6c4c5111b89c4dc2fa94e3a85fcd2ffcd9a143d9273 SOURCE_SUBDIR no-targets-of-its-own)
  FetchContent_MakeAvailable(nlohmann_json)
  add_library(nlohmann_json::nlohmann_json INTERFACE IMPORTED GLOBAL)
  target_include_directories(nlohmann_json::nlohmann_json SYSTEM INTERFACE ${nlohmann_json_SOURCE_DIR}/include)
endif()

# --- The CUDA toolkit, for detrame::cuda ---------------------------------------------------------------------
find_package(CUDAToolkit QUIET)
if(DETRAME_CUDA AND NOT CUDAToolkit_FOUND)
  message(FATAL_ERROR "detrame: DETRAME_CUDA is on and no CUDA toolkit was found: put nvcc into PATH, or set CUDAToolkit_ROOT")
endif()

# --- doctest, for the tests ---------------------------------------------------------------------------------
if(DETRAME_BUILD_TESTS)
  find_package(doctest CONFIG QUIET)
  if(NOT doctest_FOUND)
    detrame_fetch(doctest doctest-dev d/doctest/doctest_2.4.9~ds.orig.tar.xz
      7cc78169975bea36e70ab9d67e7de9b03d89b38653499ad03243e3944429b1ab SOURCE_SUBDIR no-targets-of-its-own)
    FetchContent_MakeAvailable(doctest)
    add_library(doctest::doctest INTERFACE IMPORTED GLOBAL)
    target_include_directories(doctest::doctest SYSTEM INTERFACE ${doctest_SOURCE_DIR})
  endif()
endif()

# --- CLI11, for the experiment runner ------------------------------------------------------------------------
if(DETRAME_BUILD_EXPERIMENT)
  find_package(CLI11 CONFIG QUIET)
  if(NOT CLI11_FOUND)
    detrame_fetch(cli11 libcli11-dev c/cli11/cli11_2.1.2+ds.orig.tar.xz
      8143d20b688e98ccce8e24562d3b68e5f47c12e896c42c7ca8553dbde5bed55d SOURCE_SUBDIR no-targets-of-its-own)
    FetchContent_MakeAvailable(cli11)
    add_library(CLI11::CLI11 INTERFACE IMPORTED GLOBAL)
    target_include_directories(CLI11::CLI11 SYSTEM INTERFACE ${cli11_SOURCE_DIR}/include)
  endif()
endif()

# --- Google Benchmark, for bench/ ---------------------------------------------------------------------------
if(DETRAME_BUILD_BENCH)
  find_package(benchmark CONFIG QUIET)
  if(NOT benchmark_FOUND)
    detrame_fetch(benchmark libbenchmark-dev b/benchmark/benchmark_1.7.1.orig.tar.gz
      6430e4092653380d9dc4ccb45a1e2dc9259d581f4866dc0759713126056bc1d7)
    foreach(unwanted ENABLE_TESTING ENABLE_INSTALL ENABLE_WERROR INSTALL_DOCS)
      set(BENCHMARK_${unwanted} OFF CACHE INTERNAL "")
    endforeach()
    FetchContent_MakeAvailable(benchmark)
    set_target_properties(benchmark benchmark_main PROPERTIES SYSTEM ON)
  endif()
endif()
