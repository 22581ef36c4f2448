// SPDX-License-Identifier: Apache-2.0
#include "demo.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "detrame/core/version.hpp"

namespace {

/// The picture is drawn by a script of its own, which says so where matplotlib is missing.
void draw(std::filesystem::path const& out) {
  std::string const script = std::string(DETRAME_EXAMPLES_FOLDER) + "/plot_depth.py";
  std::string const command = "python3 \"" + script + "\" \"" + out.string() + "\"";
  std::fflush(stdout);
  if (std::system(command.c_str()) != 0) std::printf("No picture: the command %s failed.\n", command.c_str());
}

}  // namespace

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

  std::printf("Results are in %s: depth.csv, training.csv", std::filesystem::absolute(out).c_str());
  std::printf(" and, with matplotlib, depth.svg.\n");
  draw(out);
  std::chrono::duration<double> const elapsed = std::chrono::steady_clock::now() - start;
  std::printf("Done in %.0f s.\n", elapsed.count());
} catch (std::exception const& e) {
  std::fprintf(stderr, "demo: %s\n", e.what());
  return 1;
}
