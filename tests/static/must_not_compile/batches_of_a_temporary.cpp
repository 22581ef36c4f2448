// expect: Batches: the data set must outlive the batches
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

Dataset<Cpu<float>> data();

void train(Cpu<float>& cpu) { Batches batches(cpu, data(), {.size = 32}); }
