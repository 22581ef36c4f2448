// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "detrame/train/algorithm2.hpp"
#include "detrame/train/checkpoint_writer.hpp"
#include "detrame/train/finite.hpp"
#include "detrame/train/fit_result.hpp"
#include "detrame/train/stopwatch.hpp"
#include "detrame/train/training_options.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// A training on its way: `fit` runs it.
template <LayerMaps Net, class Source, class Validation, class Checkpoints, class Loss>
class Fitting {
  using B = typename Net::Backend;
  using Theta = typename Net::Parameters;
  using Ended = std::optional<FitStatus>;
  static constexpr bool validates = !std::same_as<Validation, NoSource>;
  static constexpr bool saves = !std::same_as<Checkpoints, NoCheckpoints>;

 public:
  Fitting(B& backend, Net const& net, Theta& theta, Source& source, TrainingOptions const& options,
          Validation& validation, Checkpoints& checkpoints, Loss const& loss)
      : backend_(backend),
        net_(net),
        theta_(theta),
        source_(source),
        options_(options),
        validation_(validation),
        checkpoints_(checkpoints),
        loss_(loss) {
    check();
    std::visit(
        [&](auto const& optimiser) {
          state_ = training_state(backend, net, optimiser);
          names_ = optimiser.moments;
          trains_ = optimiser.trains;
        },
        options.optimiser);
    if (options.keep_best) best_ = theta;
  }

  FitResult<Theta> run() {
    FitStatus const status = train();
    if (best_epoch(at_.history) == 0) best_.reset();
    return {status, std::move(at_), std::move(best_), std::move(explanation_)};
  }

 private:
  void check() const {
    require_samples("fit", net_, source_.shape(), source_.classes());
    options_.check();
    require_at_least("fit", "the number of samples in an epoch", source_.samples(), Index{1});
    if (Index const least = least_samples(net_); source_.least_batch() < least)
      throw DomainError(message("fit: an epoch has a batch of size ", source_.least_batch(),
                                ", and in training the network needs ", least,
                                " samples at least: another size of batches, or drop_last"));
    if constexpr (validates) {
      require_samples("fit, validation", net_, validation_.shape(), validation_.classes());
      require_at_least("fit", "the number of validation samples", validation_.samples(), Index{1});
    } else if (options_.early_stopping || options_.keep_best) {
      throw DomainError("fit: early_stopping and keep_best need a source for the validation");
    }
  }

  FitStatus train() {
    if (!read())
      if (auto const bad = save()) return *bad;
    try {
      return epochs();
    } catch (NotCertified const&) {  // theta is that of before the step
      save();
      throw;
    }
  }

  /// Whether it goes on from a checkpoint: theta changes where that is one of this training alone.
  bool read() {
    if constexpr (saves) {
      Theta theta = theta_;
      if (checkpoints_.read(backend_, kept(theta))) {
        require_record(std::string(checkpoints_.name()), at_, options_.epochs, source_);
        theta_ = std::move(theta);
        return true;
      }
    }
    return false;
  }

  FitStatus epochs() {
    while (at_.epoch < options_.epochs) {
      if (auto const& early = options_.early_stopping; early && early->is_due(at_.history)) {
        explanation_ = early->explanation(at_.history);
        return FitStatus::stopped_early;
      }
      source_.begin(static_cast<std::uint64_t>(at_.epoch));
      source_.skip(at_.position);
      watch_.lap();
      while (auto const* const batch = source_.next())
        if (auto const ended = step(*batch)) return *ended;
      if (auto const ended = end_epoch()) return *ended;
    }
    return FitStatus::finished;
  }

  template <class Batch>
  Ended step(Batch const& given) {
    auto const batch = on_backend(backend_, given, source_.classes(), state_.x, state_.targets);
    Index const n = batch.samples();
    double const share = static_cast<double>(at_.position) / static_cast<double>(source_.batches());
    rate_ = options_.schedule.at(at_.epoch + share);
    Draw const draw{.seed = options_.seed, .step = at_.step, .first_sample = at_.samples};
    auto const update = [&](double scale) {
      std::visit(
          [&](auto const& optimiser) {
            optimiser.step(backend_, theta_, state_.gradient, std::span<Theta>(state_.moments), rate_,
                           at_.step, scale);
          },
          options_.optimiser);
    };
    auto const result = take_step(backend_, net_, loss_, update, trains_, theta_, state_, batch.x,
                                  batch.targets, draw, options_.clip);
    if (result.status == StepStatus::loss_not_finite)
      return explained(FitStatus::loss_not_finite,
                       message("batch ", at_.position + 1, ": the loss is ", result.loss));
    if (result.status == StepStatus::gradient_not_finite)
      return explained(FitStatus::gradient_not_finite,
                       message("batch ", at_.position + 1, ": the norm of the gradient is not finite"));
    ++at_.step, ++at_.position;
    at_.loss += static_cast<double>(result.loss) * static_cast<double>(n);
    at_.samples += n;
    at_.correct += count_correct(backend_, ConstView<B>(state_.scores), batch.targets);
    Lap const lap = watch_.lap();
    at_.seconds += lap.seconds;
    at_.processor_seconds += lap.processor_seconds;
    seconds_here_ += lap.seconds;
    samples_here_ += static_cast<double>(n);
    bool const stops = options_.on_step && !options_.on_step(report(false));
    if (stops || due()) {
      if (auto const bad = save()) return bad;
      watch_.lap();
    }
    return stops ? Ended(FitStatus::stopped) : std::nullopt;
  }

  Ended end_epoch() {
    if (auto const bad = not_finite()) return bad;
    std::optional<Evaluation> validation;
    if constexpr (validates) {
      auto const stops = [&] { return options_.on_step && !options_.on_step(report(true)); };
      validation = evaluate(backend_, net_, loss_, theta_, validation_, stops);
      if (!validation) {
        checkpoints_.write(backend_, kept(theta_));
        return FitStatus::stopped;
      }
      if (!validation->finite())
        return explained(FitStatus::validation_not_finite,
                         message(between(), ": the loss of the validation is ", validation->loss));
    }
    auto const n = static_cast<double>(at_.samples);
    at_.history.push_back({at_.epoch + 1, options_.schedule.at(at_.epoch), at_.loss / n,
                           static_cast<double>(at_.correct) / n, validation, n / std::max(at_.seconds, 1e-9),
                           at_.seconds, at_.processor_seconds});
    ++at_.epoch;
    at_.position = at_.samples = at_.correct = 0;
    at_.loss = at_.seconds = at_.processor_seconds = 0;
    if (best_ && best_epoch(at_.history) == at_.epoch) best_ = theta_;
    checkpoints_.write(backend_, kept(theta_));
    saved_ = std::chrono::steady_clock::now();
    bool const stops = options_.on_epoch && !options_.on_epoch(at_);
    return stops && at_.epoch < options_.epochs ? Ended(FitStatus::stopped) : std::nullopt;
  }

  bool due() const {
    auto const [steps, seconds] = options_.saving;
    std::chrono::duration<double> const since = std::chrono::steady_clock::now() - saved_;
    return (steps > 0 && at_.step % static_cast<std::uint64_t>(steps) == 0) ||
           (seconds > 0 && since.count() > seconds);
  }

  /// Gives the state to the writer, unless it is not finite.
  Ended save() {
    if constexpr (saves) {
      if (auto const bad = not_finite()) return bad;
      checkpoints_.write(backend_, kept(theta_));
      saved_ = std::chrono::steady_clock::now();
    }
    return std::nullopt;
  }

  Ended not_finite() {
    std::optional<std::string> name = name_of_not_finite(backend_, theta_);
    for (std::size_t i = 0; !name && i < names_.size(); ++i)
      if ((name = name_of_not_finite(backend_, state_.moments[i]))) name->insert(0, names_[i]);
    if (!name) return std::nullopt;
    return explained(FitStatus::parameters_not_finite,
                     message(between(), ": an entry of ", *name, " is not finite"));
  }

  FitStatus explained(FitStatus status, std::string const& what) {
    explanation_ = message("in epoch ", at_.epoch + 1, ", ", what);
    return status;
  }
  std::string between() const {
    return at_.position == 0 ? "before batch 1" : message("after batch ", at_.position);
  }
  FitState<Theta> kept(Theta& theta) {
    return {theta, names_, state_.moments, best_ ? &*best_ : nullptr, at_};
  }

  StepReport report(bool validating) const {
    auto const n = static_cast<double>(std::max<Index>(at_.samples, 1));
    auto const left = static_cast<double>((options_.epochs - at_.epoch) * source_.samples() - at_.samples);
    double const speed = samples_here_ / std::max(seconds_here_, 1e-9);
    return {.epoch = at_.epoch + 1,
            .epochs = options_.epochs,
            .position = at_.position,
            .batches = source_.batches(),
            .step = at_.step,
            .rate = rate_,
            .loss = at_.loss / n,
            .accuracy = static_cast<double>(at_.correct) / n,
            .samples_per_second = speed,
            .seconds_left = speed > 0 ? left / speed : 0,
            .validating = validating};
  }

  B& backend_;
  Net const& net_;
  Theta& theta_;
  Source& source_;
  TrainingOptions const& options_;
  Validation& validation_;
  Checkpoints& checkpoints_;
  Loss const& loss_;
  TrainingState<Net> state_;
  std::span<std::string_view const> names_;
  bool (*trains_)(Role const&) = nullptr;
  std::optional<Theta> best_;
  FitRecord at_;
  std::string explanation_;
  Stopwatch watch_;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
  double rate_ = 0, seconds_here_ = 0, samples_here_ = 0;  ///< of this call
};

}  // namespace detail

}  // namespace detrame::inline DETRAME_ABI
