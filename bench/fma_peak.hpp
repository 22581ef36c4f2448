// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#if defined(_OPENMP)
#include <omp.h>
#endif

/// What the machine can do at most: multiply-adds on registers alone, float, on all of `threads` threads at
/// once. In flop/s, the best of a few rounds of about 20 ms. Measured, because clocks and neighbours vary.
inline double fma_peak(int threads) {
  using Packet = Eigen::internal::packet_traits<float>::type;
  constexpr int accumulators = 12,
                width = Eigen::internal::packet_traits<float>::size;  // 12 >= latency x units
  constexpr long steps = 2'000'000;
  double best = 0;
  for (int round = 0; round < 7; ++round) {
    float sum = 0;
    auto const start = std::chrono::steady_clock::now();
#if defined(_OPENMP)
#pragma omp parallel num_threads(threads) reduction(+ : sum)
#endif
    {
      Packet a[accumulators];
      for (int i = 0; i < accumulators; ++i) a[i] = Eigen::internal::pset1<Packet>(static_cast<float>(i));
      Packet const x = Eigen::internal::pset1<Packet>(.999f), y = Eigen::internal::pset1<Packet>(1e-3f);
      for (long step = 0; step < steps; ++step)
        for (int i = 0; i < accumulators; ++i) a[i] = Eigen::internal::pmadd(x, a[i], y);
      for (int i = 1; i < accumulators; ++i) a[0] = Eigen::internal::padd(a[0], a[i]);
      sum += Eigen::internal::predux(a[0]);
    }
    double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    static float volatile sink;
    sink = sum;  // so that none of it can be left out
    static_cast<void>(sink);
    best = std::max(best, 2. * threads * static_cast<double>(steps) * accumulators * width / seconds);
  }
  return best;
}
