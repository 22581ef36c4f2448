// SPDX-License-Identifier: Apache-2.0
#include "detrame/optim/schedule.hpp"

#include <limits>

#include "support.hpp"

namespace detrame {

TEST_CASE("a step schedule multiplies the rate at its milestones; shares of epochs are rounded up") {
  StepSchedule const schedule = step_schedule(0.1, 0.2, 60, {0.3, 0.6, 0.8});
  CHECK(schedule.milestones == std::vector<int>{18, 36, 48});
  CHECK((schedule.at(0) == 0.1 && schedule.at(17) == 0.1));
  CHECK((schedule.at(18) == 0.1 * 0.2 && schedule.at(35) == 0.1 * 0.2));
  CHECK((schedule.at(36) == 0.1 * 0.2 * 0.2 && schedule.at(59) == 0.1 * 0.2 * 0.2 * 0.2));
  REQUIRE((0.07 * 100 > 7 && 0.29 * 100 < 29));  // in doubles
  CHECK(step_schedule(1, 0.5, 100, {0.07, 0.29, 0.57}).milestones == std::vector<int>{7, 29, 57});
  CHECK(step_schedule(1, 0.5, 10, {0.55, 1}).milestones == std::vector<int>{6, 10});
  CHECK(step_schedule(1, 0.5, 8, {0.3, 0.6, 0.8}).milestones == std::vector<int>{3, 5, 7});
}

TEST_CASE("a step schedule has its rate in the first epoch, however few there are") {
  for (int const epochs : {0, 1, 2, 3, 8}) {
    CAPTURE(epochs);
    CHECK(step_schedule(0.05, 0.2, epochs, {0, 0.01, 0.3, 0.6, 0.8}).at(0) == 0.05);
  }
  CHECK(step_schedule(1, 0.5, 1, {0, 0.3, 0.6, 0.8}).milestones == std::vector<int>{1, 1, 1, 1});
  CHECK(step_schedule(1, 0.5, 3, {0, 0.3, 0.6, 0.8}).milestones == std::vector<int>{1, 1, 2, 3});
}

TEST_CASE("a step schedule refuses a rate, factor or share that is none") {
  auto const refused = [](auto const& f, char const* text) { test::check_throws_with<DomainError>(f, text); };
  refused([] { step_schedule(-1, 0.5, 10, {}); }, "step_schedule: rate = -1, must be >= 0");
  refused([] { step_schedule(1, -0.5, 10, {}); }, "step_schedule: factor = -0.5, must be >= 0");
  refused([] { step_schedule(1, 0.5, 10, {1.5}); }, "step_schedule: share = 1.5, must be in [0, 1]");
}

TEST_CASE("a step schedule is constant between its milestones, in fractions of epochs too") {
  StepSchedule const schedule{0.1, 0.2, {3}};
  CHECK((schedule.at(2.999) == 0.1 && schedule.at(3) == 0.1 * 0.2 && schedule.at(3.5) == 0.1 * 0.2));
}

TEST_CASE("a cosine falls from its rate to its last, moves within an epoch, and stays where it ended") {
  CosineSchedule const schedule{.rate = 0.5, .length = 8, .last = 0.25};
  double const tolerance = test::tolerance<double>(4, 0.5);
  CHECK(schedule.at(0) == 0.5);
  CHECK(std::abs(schedule.at(4) - 0.375) <= tolerance);
  CHECK(std::abs(schedule.at(8. / 3) - 0.4375) <= tolerance);  // cos(pi / 3) = 1/2
  CHECK(schedule.at(4.5) < schedule.at(4.25));
  CHECK((schedule.at(8) == 0.25 && schedule.at(12) == 0.25));
}

TEST_CASE("a warm-up multiplies another schedule by a line from its share to 1, then leaves it alone") {
  StepSchedule const then{0.5, 0.5, {2}};
  WarmUp const schedule{.then = then, .length = 4, .from = 0.25};
  CHECK(schedule.at(0) == 0.125);
  CHECK(schedule.at(1) == 0.5 * 0.4375);
  CHECK(schedule.at(1.5) == 0.5 * 0.53125);
  CHECK(schedule.at(2) == 0.25 * 0.625);
  CHECK((schedule.at(4) == then.at(4) && schedule.at(9) == then.at(9)));
}

/// A schedule of one's own.
struct Hyperbola {
  double rate;
  double at(double t) const { return rate / (1 + t); }
};
/// One that says what it is, and refuses.
struct Constant {
  double rate;
  void check() const { require_at_least("Constant", "rate", rate, 0.); }
  double at(double) const { return rate; }
  friend void append(std::string& text, Constant const& s) { text += message("always ", s.rate); }
};

TEST_CASE("a Schedule is any type with at: it is asked what it was made of, and says so in words") {
  Schedule schedule = StepSchedule{0.1, 0.2, {3, 4}};
  Schedule const copy = schedule;
  REQUIRE(schedule.as<StepSchedule>() != nullptr);
  CHECK(schedule.as<StepSchedule>()->milestones == std::vector<int>{3, 4});
  CHECK(schedule.as<CosineSchedule>() == nullptr);
  CHECK(message("rate: ", schedule) == "rate: 0.1, times 0.2 at 3 4");
  schedule = Hyperbola{0.5};
  CHECK((schedule.at(1) == 0.25 && copy.at(1) == 0.1));
  CHECK(message(schedule) == "a schedule of one's own");
  schedule = WarmUp{.then = CosineSchedule{.rate = 0.1, .length = 60}, .length = 5, .from = 0.25};
  CHECK(schedule.as<WarmUp>()->then.as<CosineSchedule>()->length == 60);
  CHECK(message(schedule) == "a warm-up from 0.25 until 5 of half a cosine from 0.1 to 0 at 60");
  CHECK(message(Schedule(Constant{2})) == "always 2");
}

TEST_CASE("a Schedule is refused when it is made, where its numbers are none of a schedule's") {
  auto const refused = [](auto const& schedule, char const* text) {
    test::check_throws_with<DomainError>([&] { Schedule{schedule}; }, text);
  };
  double const nan = std::numeric_limits<double>::quiet_NaN();
  refused(StepSchedule{nan, 1, {}}, "StepSchedule: rate = nan, must be >= 0");
  refused(StepSchedule{1, -1, {}}, "StepSchedule: factor = -1, must be >= 0");
  refused(CosineSchedule{.rate = -1, .length = 1}, "CosineSchedule: rate = -1, must be >= 0");
  refused(CosineSchedule{.rate = 1, .length = 0}, "CosineSchedule: length = 0, must be > 0");
  refused(CosineSchedule{.rate = 1, .length = 1, .last = -1}, "CosineSchedule: last = -1, must be >= 0");
  refused(WarmUp{.then = Constant{1}, .length = nan, .from = 1}, "WarmUp: length = nan, must be > 0");
  refused(WarmUp{.then = Constant{1}, .length = 1, .from = 1.5}, "WarmUp: from = 1.5, must be in [0, 1]");
  refused(WarmUp{.then = Constant{1}, .length = 1, .from = -0.5}, "WarmUp: from = -0.5");
  refused(Constant{-1}, "Constant: rate = -1");
}

}  // namespace detrame
