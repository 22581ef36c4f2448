// expect: fit: behind the options stand a validation, a SampleSource or NoSource(), then checkpoints
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"
#include "detrame/io/training_checkpoint.hpp"

using namespace detrame;

using Net = Bind<Stack<Dense<3>>, Shape{2}, Cpu<float>>;

void train(Cpu<float>& cpu, Net::Parameters& theta, Dataset<Cpu<float>> const& data) {
  Batches samples(cpu, data, {.size = 8});
  TrainingCheckpoints checkpoints("folder");
  (void)fit(cpu, Net(), theta, samples, {.epochs = 1, .schedule = StepSchedule{.1, 1, {}}}, checkpoints);
}
