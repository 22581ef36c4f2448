// SPDX-License-Identifier: Apache-2.0
// What a user of the installed library writes: every consumer in this folder builds this program.
#include <detrame/data/idx.hpp>
#include <detrame/detrame.hpp>
#include <detrame/io/safetensors.hpp>
#include <iostream>

// This unit is built without any flag of ours: none may have come with the library.
#if defined(__OPTIMIZE__) || defined(__AVX__) || defined(NDEBUG)
#error "detrame must not set optimisation flags of its user"
#endif

int main(int argc, char** argv) {
  // Functions of the libraries that detrame::data and detrame::io bring.
  detrame::TensorFile const file{"nothing", {}, {}};
  if (argc > 1) detrame::write_safetensors(argv[1], file), detrame::read_idx(argv[1]);
  detrame::Cpu<double> cpu(1);
  std::cout << "detrame " << DETRAME_VERSION_MAJOR << '.' << DETRAME_VERSION_MINOR << '.'
            << DETRAME_VERSION_PATCH << " on " << cpu.threads() << " thread\n";
}
