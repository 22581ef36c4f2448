// expect: Loader: the data set must outlive the loader
// SPDX-License-Identifier: Apache-2.0
#include "detrame/data/loader.hpp"

using namespace detrame;

LabelledImages<float> images();

void train() { Loader<float> loader(images(), Batching{.size = 32}); }
