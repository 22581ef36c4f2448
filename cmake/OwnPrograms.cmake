# SPDX-License-Identifier: Apache-2.0
# Flags of our own programs (tests, examples, benchmarks): never of detrame::detrame.

add_library(detrame_own INTERFACE)
target_link_libraries(detrame_own INTERFACE detrame::detrame detrame::data)
target_compile_definitions(detrame_own INTERFACE DETRAME_DATA_DIR="${PROJECT_SOURCE_DIR}/data")
set(own_flags -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Collecting garbage below 1 GB takes the compiler a tenth of its time.
  list(APPEND own_flags --param=ggc-min-heapsize=1000000)
  # g++ 12 sees impossible overruns inside Eigen's inlined kernels, at -O3 and with sanitizers.
  list(APPEND own_flags -Wno-array-bounds -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # Its avx512fintrin.h reads variables that it left uninitialised on purpose, wherever Eigen's packets call it.
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS "")
  if(DETRAME_NATIVE)
    set(CMAKE_REQUIRED_FLAGS -march=native)
  endif()
  check_cxx_source_compiles("#ifndef __AVX512F__\n#error\n#endif\nint main() {}" DETRAME_AVX512)
  unset(CMAKE_REQUIRED_FLAGS)
  if(DETRAME_AVX512)
    list(APPEND own_flags -Wno-uninitialized)
  endif()
endif()
if(DETRAME_WERROR)
  list(APPEND own_flags -Werror)
endif()
if(DETRAME_NATIVE)
  list(APPEND own_flags -march=native)
endif()
if(DETRAME_SANITIZE)
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  list(APPEND own_flags ${sanitizers})
  target_link_options(detrame_own INTERFACE ${sanitizers})
endif()
target_compile_options(detrame_own INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${own_flags}>")

# Adds one of our programs, with our flags.
function(detrame_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE detrame_own)
endfunction()

# Lets one of our programs have .cu units, for the host's processor as its other units are. The shared runtime lets an
# emulator take its place.
function(detrame_device_code name)
  set(host_flags -Wall,-Wextra)
  if(DETRAME_NATIVE)
    string(APPEND host_flags ",-march=native")
  endif()
  if(DETRAME_AVX512)
    string(APPEND host_flags ",-Wno-uninitialized")
  endif()
  target_link_libraries(${name} PRIVATE detrame::cuda)
  target_compile_options(${name} PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Xcompiler=${host_flags} $<$<BOOL:${DETRAME_WERROR}>:-Werror all-warnings>>")
  set_target_properties(${name} PROPERTIES CUDA_RUNTIME_LIBRARY Shared)
endfunction()

# Adds one of our programs of .cu units.
function(detrame_device_program name)
  add_executable(${name} ${ARGN})
  detrame_device_code(${name})
endfunction()

# Compiles one of our programs without optimisation where DETRAME_QUICK_TESTS is on: it runs in seconds all the same.
function(detrame_unoptimised name)
  if(DETRAME_QUICK_TESTS)
    target_compile_options(${name} PRIVATE -O0)
  endif()
endfunction()

# Registers a test that runs at the root of the repository.
function(detrame_test name)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()
