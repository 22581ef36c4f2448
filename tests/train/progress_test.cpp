// SPDX-License-Identifier: Apache-2.0
#include "detrame/train/progress.hpp"

#include <sstream>

#include "detrame/backend/cpu/backend.hpp"
#include "support.hpp"

using namespace detrame;

namespace {

StepReport const halfway{.epoch = 3,
                         .epochs = 60,
                         .position = 5,
                         .batches = 10,
                         .step = 25,
                         .rate = .1,
                         .loss = .42114,
                         .accuracy = .8825,
                         .samples_per_second = 4012.34,
                         .seconds_left = 3725.9,
                         .validating = false};

FitRecord record() {
  FitRecord r;
  r.epoch = 3;
  r.history.resize(2);
  r.history.push_back({3, .1, .42114, .8825, Evaluation{.5, .864}, 4012.34, 65.4, 130});
  return r;
}

}  // namespace

TEST_CASE("the text of a progress line: epoch, bar, rate, loss, accuracy, speed, time left") {
  CHECK(progress_text(halfway) ==
        "epoch 3/60 [==========          ] rate 0.1  loss 0.4211  88.25 %  4012.3 samples/s  1:02:05 left");
  auto validating = halfway;
  validating.validating = true;
  CHECK(progress_text(validating) == "epoch 3/60  validation");
  CHECK(bar_text(0, 4) == "[    ]");
  CHECK(bar_text(.5, 4) == "[==  ]");
  CHECK(bar_text(1, 4) == "[====]");
  CHECK(clock_text(0) == "0:00");
  CHECK(clock_text(65.9) == "1:05");
  CHECK(clock_text(7384) == "2:03:04");
  CHECK(clock_text(std::numeric_limits<double>::infinity()) == clock_text(1e15));
}

TEST_CASE("the line of an epoch, with a validation and without") {
  auto e = record().history.back();
  CHECK(epoch_text(e, 60) ==
        "epoch   3/60  rate 0.1      loss 0.4211  train  88.25 %  validation  86.40 %    4012.3 samples/s  "
        "1:05");
  e.validation.reset();
  CHECK(epoch_text(e, 60) ==
        "epoch   3/60  rate 0.1      loss 0.4211  train  88.25 %    4012.3 samples/s  1:05");
}

TEST_CASE(
    "StatusLine: at most as often as is said, at once after clear; nothing where there is no terminal") {
  std::ostringstream terminal, file;
  StatusLine line(terminal, true, 1e9), none(file, false, 0);
  CHECK((line.shows() && !none.shows()));
  for (StatusLine* const each : {&line, &none})
    each->show("a"), each->show("b"), each->clear(), each->show("c");
  CHECK(terminal.str() == "\ra\033[K\r\033[K\rc\033[K");
  CHECK(file.str().empty());
}

TEST_CASE(
    "Progress: on a terminal a line that is written over, at most as often as is said; elsewhere epochs") {
  std::ostringstream terminal, file;
  Progress often(terminal, 60, true, 0), rarely(terminal, 60, true, 1e9), never(file, 60, false);
  std::string const line = "\r" + progress_text(halfway) + "\033[K";
  CHECK(often.step(halfway));
  CHECK(often.step(halfway));
  CHECK(terminal.str() == line + line);
  CHECK(often.epoch(record()));
  CHECK(terminal.str() == line + line + "\r\033[K" + epoch_text(record().history.back(), 60) + "\n");
  terminal.str("");
  rarely.step(halfway), rarely.step(halfway);
  CHECK(terminal.str() == line);
  rarely.clear(), rarely.clear();
  CHECK(terminal.str() == line + "\r\033[K");

  CHECK(never.step(halfway));
  CHECK(file.str().empty());
  CHECK(never.epoch(record()));
  CHECK(file.str() == epoch_text(record().history.back(), 60) + "\n");
}
