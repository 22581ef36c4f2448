// SPDX-License-Identifier: Apache-2.0
#include "demo.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "detrame/core/version.hpp"
#include "picture.hpp"

int main(int argc, char** argv) try {
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    std::fprintf(stderr, "usage: demo [FOLDER FOR THE RESULTS]\n");
    return 2;
  }
  std::filesystem::path const out = argc == 2 ? argv[1] : "demo-results";
  std::filesystem::create_directories(out);
  auto const start = std::chrono::steady_clock::now();

  std::printf("detrame %d.%d.%d on 1,797 handwritten digits of 8 x 8 pixels\n\n", DETRAME_VERSION_MAJOR,
              DETRAME_VERSION_MINOR, DETRAME_VERSION_PATCH);
  demo::Digits const digits = demo::read_digits(DETRAME_DATA_DIR "/digits");
  demo::check_theorems(digits);
  demo::print_depth_table(digits, out);
  demo::train_networks(digits, 5, out);

  std::fflush(stdout);
  char const* const path = std::getenv("PATH");
  std::string const missing =
      demo::draw(DETRAME_EXAMPLES_FOLDER "/plot_depth.py", out, demo::pythons(path == nullptr ? "" : path));
  std::printf("Results are in %s: depth.csv, training.csv%s\n", std::filesystem::absolute(out).c_str(),
              missing.empty() ? ", depth.svg." : (". " + missing).c_str());
  std::chrono::duration<double> const elapsed = std::chrono::steady_clock::now() - start;
  std::printf("Done in %.0f s.\n", elapsed.count());
} catch (std::exception const& e) {
  std::fprintf(stderr, "demo: %s\n", e.what());
  return 1;
}
