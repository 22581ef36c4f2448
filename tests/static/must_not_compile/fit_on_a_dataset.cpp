// expect: fit: samples come from a SampleSource: a Loader of images, or Batches of a Dataset
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

using Net = Bind<Stack<Dense<3>>, Shape{2}, Cpu<float>>;

void train(Cpu<float>& cpu, Net::Parameters& theta, Dataset<Cpu<float>> const& data) {
  (void)fit(cpu, Net(), theta, data, {.epochs = 1, .schedule = StepSchedule{.1, 1, {}}});
}
