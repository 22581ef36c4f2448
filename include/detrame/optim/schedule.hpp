// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <memory>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "detrame/core/errors.hpp"

namespace detrame::inline DETRAME_ABI {

/// The learning rate as a function of time. `at(t)` is the rate after t epochs, or after t steps, whichever
/// its caller counts; epochs come with their fractions. `check()`, where there is one, throws DomainError for
/// numbers that are no schedule's, and `append(text, schedule)` says what it is.
template <class S>
concept RateSchedule = std::copyable<S> && requires(S const schedule, double t) {
  { schedule.at(t) } -> std::convertible_to<double>;
};

/// Any schedule: a value that an option can hold. One of your own is a type with `at`.
///
///   Schedule const rate = WarmUp{.then = CosineSchedule{.rate = .1, .length = 60}, .length = 5, .from = .1};
///   if (auto const* steps = rate.as<StepSchedule>()) store(steps->milestones);
///   std::cout << message("the rate is ", rate);
///
/// Requires  what its `check` says, when it is made.
/// Tested    tests/optim/schedule_test.cpp; beside PyTorch's in tests/optim/torch_test.cpp
class Schedule {
 public:
  template <class S>
    requires(!std::same_as<S, Schedule> && RateSchedule<S>)
  Schedule(S schedule) : held_(std::make_shared<Held<S>>(std::move(schedule))) {
    if constexpr (requires(S const s) { s.check(); }) as<S>()->check();
  }

  double at(double t) const { return held_->at(t); }

  /// As the type that it was made of; null where it was another.
  template <class S>
  S const* as() const {
    auto const* const held = dynamic_cast<Held<S> const*>(held_.get());
    return held ? &held->schedule : nullptr;
  }

  friend void append(std::string& text, Schedule const& schedule) { schedule.held_->append_to(text); }

 private:
  struct Holder {
    virtual ~Holder() = default;
    virtual double at(double t) const = 0;
    virtual void append_to(std::string& text) const = 0;
  };
  template <class S>
  struct Held final : Holder {
    S schedule;
    explicit Held(S schedule_) : schedule(std::move(schedule_)) {}
    double at(double t) const override { return schedule.at(t); }
    void append_to(std::string& text) const override {
      if constexpr (requires { append(text, schedule); })
        append(text, schedule);
      else
        text += "a schedule of one's own";
    }
  };
  std::shared_ptr<Holder const> held_;  // const, so that copies share it
};

/// A step schedule: the rate is multiplied by `factor` at each milestone.
struct StepSchedule {
  double rate;
  double factor;
  std::vector<int> milestones;

  void check() const {
    require_at_least("StepSchedule", "rate", rate, 0.);
    require_at_least("StepSchedule", "factor", factor, 0.);
  }
  double at(double t) const {
    double r = rate;
    for (int const milestone : milestones)
      if (t >= milestone) r *= factor;
    return r;
  }
  friend void append(std::string& text, StepSchedule const& s) {
    text += message(s.rate, ", times ", s.factor, " at");
    for (int const milestone : s.milestones) text += message(' ', milestone);
  }
};

/// The step schedule with milestones at the given shares of all epochs, rounded up, and none before the
/// second epoch, so that the first has `rate`: {0.3, 0.6, 0.8} of 60 epochs are 18, 36 and 48, of 8 they are
/// 3, 5, 7.
inline StepSchedule step_schedule(double rate, double factor, int epochs, std::vector<double> const& shares) {
  require_at_least("step_schedule", "rate", rate, 0.);
  require_at_least("step_schedule", "factor", factor, 0.);
  StepSchedule schedule{rate, factor, {}};
  for (double const share : shares) {
    if (!(share >= 0 && share <= 1))
      throw DomainError(message("step_schedule: share = ", share, ", must be in [0, 1]"));
    constexpr double rounding = 1 - 4 * std::numeric_limits<double>::epsilon();  // 0.07 of 100 epochs are 7
    schedule.milestones.push_back(std::max(1, static_cast<int>(std::ceil(share * epochs * rounding))));
  }
  return schedule;
}

/// Half a period of a cosine, from `rate` at 0 to `last` at `length`, and `last` from there on.
///
///   last + (rate - last) (1 + cos(pi t / length)) / 2
///
/// Source    arXiv 1608.03983, eq. (5), without restarts
struct CosineSchedule {
  double rate;
  double length;
  double last = 0;

  void check() const {
    require_at_least("CosineSchedule", "rate", rate, 0.);
    require_at_least("CosineSchedule", "last", last, 0.);
    if (!(length > 0)) throw DomainError(message("CosineSchedule: length = ", length, ", must be > 0"));
  }
  double at(double t) const {
    if (t >= length) return last;
    return last + (rate - last) * (1 + std::cos(std::numbers::pi * t / length)) / 2;
  }
  friend void append(std::string& text, CosineSchedule const& s) {
    text += message("half a cosine from ", s.rate, " to ", s.last, " at ", s.length);
  }
};

/// Another schedule, multiplied until `length` by what grows linearly from `from` to 1.
///
///   (from + (1 - from) t / length) then(t)
///
/// Source    PyTorch's LinearLR, chained: their ChainedScheduler does the same to all but a cosine whose last
///           rate is not 0, which it does not multiply.
struct WarmUp {
  Schedule then;
  double length;
  double from;

  void check() const {
    if (!(length > 0)) throw DomainError(message("WarmUp: length = ", length, ", must be > 0"));
    if (!(from >= 0 && from <= 1)) throw DomainError(message("WarmUp: from = ", from, ", must be in [0, 1]"));
  }
  double at(double t) const {
    return t >= length ? then.at(t) : (from + (1 - from) * t / length) * then.at(t);
  }
  friend void append(std::string& text, WarmUp const& s) {
    text += message("a warm-up from ", s.from, " until ", s.length, " of ", s.then);
  }
};

}  // namespace detrame::inline DETRAME_ABI
