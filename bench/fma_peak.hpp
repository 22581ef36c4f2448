// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

/// What the machine can do at most: multiply-adds on registers alone, float, on all of `threads` threads at
/// once. In flop/s, the best of a few rounds of about 20 ms. Measured, because clocks and neighbours vary.
inline double fma_peak(int threads) {
  using Packet = Eigen::internal::packet_traits<float>::type;
  constexpr int accumulators = 12,
                width = Eigen::internal::packet_traits<float>::size;  // 12 >= latency x units
  constexpr long steps = 2'000'000;
  double best = 0;
  for (int round = 0; round < 7; ++round) {
    std::vector<float> sums(static_cast<std::size_t>(threads));
    auto const multiply = [&sums](std::size_t thread) {
      Packet a[accumulators];
      for (int i = 0; i < accumulators; ++i) a[i] = Eigen::internal::pset1<Packet>(static_cast<float>(i));
      Packet const x = Eigen::internal::pset1<Packet>(.999f), y = Eigen::internal::pset1<Packet>(1e-3f);
      for (long step = 0; step < steps; ++step)
        for (int i = 0; i < accumulators; ++i) a[i] = Eigen::internal::pmadd(x, a[i], y);
      for (int i = 1; i < accumulators; ++i) a[0] = Eigen::internal::padd(a[0], a[i]);
      sums[thread] = Eigen::internal::predux(a[0]);
    };
    auto const start = std::chrono::steady_clock::now();
    std::vector<std::thread> others;
    for (std::size_t t = 1; t < sums.size(); ++t) others.emplace_back(multiply, t);
    multiply(0);
    for (std::thread& other : others) other.join();
    double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    static float volatile sink;
    for (float sum : sums) sink = sum;  // so that none of it can be left out
    static_cast<void>(sink);
    best = std::max(best, 2. * threads * static_cast<double>(steps) * accumulators * width / seconds);
  }
  return best;
}
