// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <sstream>
#include <thread>
#include <utility>

#include "demo.hpp"
#include "detrame/core/errors.hpp"
#include "detrame/train/status_line.hpp"

namespace demo {

namespace {

struct Network {
  std::string name;
  int T;  ///< updates of its prox; 0 where it has none or runs to convergence
  std::function<Run(std::uint64_t)> train;
  std::vector<Run> runs{};
};

/// "95.00 +- 0.35", or what of it is known; per cent.
std::string text(Mean const& m) {
  char text[32] = "-";
  if (m.runs == 1) std::snprintf(text, sizeof text, "%.2f", 100 * m.mean);
  if (m.runs > 1) std::snprintf(text, sizeof text, "%.2f +- %.2f", 100 * m.mean, 100 * m.deviation);
  return text;
}

/// All runs of all networks, on as many threads as the machine has.
void train_all(std::vector<Network>& networks, int seeds) {
  for (Network& network : networks) network.runs.resize(static_cast<std::size_t>(seeds));
  std::size_t const jobs = networks.size() * static_cast<std::size_t>(seeds);
  std::atomic<std::size_t> next = 0, done = 0;
  std::vector<std::exception_ptr> thrown(jobs);
  auto const work = [&] {
    for (std::size_t job; (job = next++) < jobs; ++done) try {
        // the longest first, so that both threads end together
        Network& network = networks[networks.size() - 1 - job / static_cast<std::size_t>(seeds)];
        std::size_t const seed = job % static_cast<std::size_t>(seeds);
        network.runs[seed] = network.train(seed + 1);
      } catch (...) {
        thrown[job] = std::current_exception();
      }
  };
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < std::max(1u, std::thread::hardware_concurrency()); ++t) threads.emplace_back(work);
  detrame::StatusLine status(std::cout, isatty(STDOUT_FILENO) != 0);
  while (done < jobs) {
    status.show(detrame::message("   training: ", done.load(), " of ", jobs, " runs done"));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  threads.clear();
  status.clear();
  for (auto const& e : thrown)
    if (e) std::rethrow_exception(e);
}

}  // namespace

void train_networks(Digits const& digits, int seeds, std::filesystem::path const& out) {
  std::printf(
      "3. Training: 64 -> 96 -> 64 -> 10 with Algorithm 2, %d seeds, %td digits to train, %td to validate,\n"
      "   %td to test. Plain: ReLU. DeTraMe: T updates with free W~, h, b, started as a ReLU network. DDL "
      "[27]:\n"
      "   dictionaries solved exactly, gradients by the implicit adjoint, 40 epochs in place of 60,\n   "
      "lambda, alpha, beta fixed. Means and deviations are of the seeds that trained; one did not where its "
      "last\n"
      "   loss is not finite, or its validation accuracy not more than 5 points above chance (%.0f %%).\n\n",
      seeds, digits.train.samples(), digits.validation.samples(), digits.test.samples(), 100 * chance);
  std::vector<Network> networks;
  networks.push_back({"plain ReLU", 0, [&](std::uint64_t seed) { return train_plain(digits, seed); }});
  for (int const T : {1, 2, 3, 5, 8})
    networks.push_back({"DeTraMe", T, [&, T](std::uint64_t seed) { return train_detrame(T, digits, seed); }});
  networks.push_back({"DDL exact", 0, [&](std::uint64_t seed) { return train_dictionaries(digits, seed); }});
  train_all(networks, seeds);

  std::printf("    %-12s  %2s   %-15s  %-15s  %10s  %8s\n", "network", "T", "validation %", "test %",
              "train loss", "s a run");
  std::ostringstream csv;
  csv << "network,T,seed,trained,validation,test,loss,seconds\n";
  for (Network const& network : networks) {
    int const alive = mean(network.runs, &Run::test).runs;
    std::printf("    %-12s  %2s   %-15s  %-15s", network.name.c_str(),
                network.T > 0 ? std::to_string(network.T).c_str() : "-",
                text(mean(network.runs, &Run::validation)).c_str(),
                text(mean(network.runs, &Run::test)).c_str());
    if (alive > 0)
      std::printf("  %10.2e  %8.2f", mean(network.runs, &Run::loss).mean,
                  mean(network.runs, &Run::seconds).mean);
    if (alive < seeds) std::printf("   %d of %d seeds did not train", seeds - alive, seeds);
    std::printf("\n");
    for (std::size_t seed = 0; seed < network.runs.size(); ++seed) {
      Run const& r = network.runs[seed];
      csv << network.name << ',' << network.T << ',' << seed + 1 << ',' << (trained(r) ? "yes" : "no") << ','
          << r.validation << ',' << r.test << ',' << std::abs(r.loss)
          << ','  // NaN has a sign, a loss has none
          << r.seconds << '\n';
    }
  }
  write_file(out / "training.csv", csv.str());
  auto const better = [](Network const& a, Network const& b) {
    Mean const first = mean(a.runs, &Run::validation), second = mean(b.runs, &Run::validation);
    return std::pair(first.runs, first.mean) < std::pair(second.runs, second.mean);
  };
  Network const& chosen = *std::max_element(networks.begin() + 1, networks.end() - 1, better);
  std::printf(
      "\n   T = 1 is ReLU((diag(h) - W~) z - b), a second linear map behind W: the gradient of W~ is -P z', "
      "as large as\n"
      "   W's own, where for T >= 2 it is -P (z - u)', zero on active entries at the start. At this rate W~ "
      "can grow\n"
      "   until every unit of a layer is inactive, whose gradients are zero for good, or until numbers "
      "overflow: that\n"
      "   seed does not train.\n");
  Mean const test = mean(chosen.runs, &Run::test);
  if (test.runs > 0)
    std::printf(
        "\n   By validation accuracy, among those of which the most seeds trained (%d of %d), one would "
        "choose "
        "T = %d:\n"
        "   %.2f %% on the test digits.\n",
        test.runs, seeds, chosen.T, 100 * test.mean);
  std::printf("\n");
}

}  // namespace demo
