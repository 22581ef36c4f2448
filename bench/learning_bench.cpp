// SPDX-License-Identifier: Apache-2.0
//
// One run of learn_dictionary for compare_learning.py: reads training and held-out samples, learns, writes
// after each pass its number, the seconds learnt until then, the held-out objective, and atoms replaced. With
// judge=FILE nothing is learnt: the held-out objective of that dictionary is written.
//
//   bench_learning_bench SAMPLES HELD_OUT rows=64 atoms=256 lambda=.15 passes=1 batch=512 seed=0 threads=2
//                        alpha=... forgetting=... sweeps=... patience=... scalar=double dictionary=FILE
//
// SAMPLES, HELD_OUT: files of doubles, a sample after the other. dictionary: where D is written, as they are.
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <string>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/encode.hpp"
#include "detrame/learn/learn_dictionary.hpp"
#include "detrame/metric/objective.hpp"

using namespace detrame;

namespace {

std::vector<double> numbers(std::string const& file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  std::vector<double> all(static_cast<std::size_t>(stream.tellg()) / sizeof(double));
  stream.seekg(0).read(reinterpret_cast<char*>(all.data()),
                       static_cast<std::streamsize>(all.size() * sizeof(double)));
  if (!stream) throw FormatError(message(file, ": cannot be read"));
  return all;
}

template <class Scalar>
void run(std::string const& samples, std::string const& held_out,
         std::map<std::string, std::string>& values) {
  using Clock = std::chrono::steady_clock;
  auto const number = [&](char const* name, double otherwise) {
    return values.count(name) ? std::stod(values[name]) : otherwise;
  };
  auto const whole = [&](char const* name, double otherwise) {
    return static_cast<Index>(number(name, otherwise));
  };
  Index const rows = whole("rows", 64);
  auto const matrix = [&](std::string const& file) {
    auto const all = numbers(file);
    return Eigen::Map<Eigen::MatrixXd const>(all.data(), rows, static_cast<Index>(all.size()) / rows)
        .cast<Scalar>()
        .eval();
  };
  Cpu<Scalar> cpu(static_cast<int>(whole("threads", 2)));
  auto const X = matrix(samples), test = matrix(held_out);
  LearningOptions options{.atoms = whole("atoms", 256), .lambda = number("lambda", .15)};
  options.alpha = number("alpha", options.alpha);
  options.batch = whole("batch", 512);
  options.forgetting = number("forgetting", options.forgetting);
  options.sweeps = whole("sweeps", static_cast<double>(options.sweeps));
  options.patience = whole("patience", static_cast<double>(options.patience));
  options.seed = static_cast<std::uint64_t>(whole("seed", 0));
  auto const held_out_objective = [&](Synthesis<Cpu<Scalar>> const& synthesis) {
    auto const code = require_optimal(encode(cpu, synthesis, test));
    return static_cast<double>(objective(cpu, synthesis, test, code.u).mean());
  };
  if (values.count("judge")) {
    auto const D = matrix(values["judge"]);
    std::cout << held_out_objective({D, static_cast<Scalar>(options.alpha), 0,
                                     static_cast<Scalar>(options.lambda), zeros(cpu, D.cols(), 1)})
              << '\n';
    return;
  }
  LearnedDictionary<Cpu<Scalar>> state;
  double seconds = 0;
  Index replaced = 0;
  for (options.passes = 1; options.passes <= whole("passes", 1); ++options.passes) {
    auto const begin = Clock::now();
    learn_dictionary(cpu, X, options, state, [&](LearningProgress const& p) {
      replaced += p.replaced;
      return true;
    });
    seconds += std::chrono::duration<double>(Clock::now() - begin).count();
    std::cout << options.passes << ' ' << seconds << ' ' << held_out_objective(state.synthesis) << ' '
              << replaced << '\n';
  }
  if (values.count("dictionary")) {
    Eigen::MatrixXd const D = state.synthesis.D.template cast<double>();
    std::ofstream(values["dictionary"], std::ios::binary)
        .write(reinterpret_cast<char const*>(D.data()),
               static_cast<std::streamsize>(static_cast<std::size_t>(D.size()) * sizeof(double)));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) throw DomainError("needs two files");
  std::map<std::string, std::string> values;
  for (int i = 3; i < argc; ++i) {
    std::string const word = argv[i];
    auto const at = word.find('=');
    if (at == std::string::npos) throw DomainError(message(word, " is not name=value"));
    values[word.substr(0, at)] = word.substr(at + 1);
  }
  if (values["scalar"] == "float")
    run<float>(argv[1], argv[2], values);
  else
    run<double>(argv[1], argv[2], values);
} catch (std::exception const& e) {
  std::cerr << "learning_bench: " << e.what() << '\n';
  return 1;
}
