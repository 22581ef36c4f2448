// SPDX-License-Identifier: Apache-2.0
#include "train.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cmath>
#include <ctime>
#include <random>

#include "detrame/data/loader.hpp"
#include "detrame/io/checkpoint.hpp"
#include "detrame/optim/schedule.hpp"
#include "progress.hpp"
#include "settings.hpp"
#include "signals.hpp"

namespace experiment {

namespace {

using Clock = std::chrono::steady_clock;

/// Only one process at a time trains in a folder. The system unlocks it when the process ends,
/// however it does.
class FolderLock {
 public:
  explicit FolderLock(std::filesystem::path const& folder)
      : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (descriptor_ >= 0) ::close(descriptor_);
      throw DomainError(folder.string() + ": another process trains in this folder, or it cannot be locked");
    }
  }
  FolderLock(FolderLock const&) = delete;
  FolderLock& operator=(FolderLock const&) = delete;
  ~FolderLock() { ::close(descriptor_); }

 private:
  int descriptor_;
};

/// Samples go into batches as they are, or cropped and flipped.
struct Prepare {
  bool crops;
  RandomCrop crop;
  template <class Scalar>
  void operator()(Shape const& shape, std::uint64_t epoch, Index sample, Scalar const* x, Scalar* y) const {
    if (crops)
      crop(shape, epoch, sample, x, y);
    else
      Unchanged()(shape, epoch, sample, x, y);
  }
};

/// Where training stands: with settings and data, all that the next step depends on
/// besides parameters and velocities.
struct Counters {
  int epoch = 0;           ///< of the next batch
  Index position = 0;      ///< of the next batch in its epoch
  std::uint64_t step = 0;  ///< of the next batch in all
  double loss = 0;         ///< of the epoch so far, summed over samples
  Index samples = 0, correct = 0;
  double seconds = 0, processor_seconds = 0;

  template <class C, class F>
  static void each(C& c, F&& f) {
    f("epoch", c.epoch), f("position", c.position), f("next step", c.step), f("loss", c.loss);
    f("samples", c.samples), f("correct", c.correct), f("seconds", c.seconds);
    f("processor_seconds", c.processor_seconds);
  }
};

std::string random_tag() {
  std::random_device device;
  std::string tag;
  for (int i = 0; i < 16; ++i) tag += "0123456789abcdef"[device() % 16];
  return tag;
}

class Training {
 public:
  explicit Training(Settings settings) : s_(std::move(settings)), lock_(s_.out) {
    auto const latest = latest_step(s_.out);
    if (latest && !s_.resume)
      throw DomainError(message(s_.out.string(), " holds a run, at ", detail::step_name(*latest),
                                ": --resume goes on with it; for another run name another folder"));
    if (!latest && s_.resume && !s_.given.contains("net") && !s_.given.contains("dataset"))
      throw DomainError(message(
          s_.out.string(), ": there is no checkpoint to go on from; with --net and --dataset a run starts"));
    if (!latest && s_.reschedule)
      throw DomainError(message("--reschedule: ", s_.out.string(), " has no run that could go on"));
    std::optional<Checkpoint> from;
    std::optional<Settings> before;
    if (latest) {
      from = read_checkpoint(s_.out);
      before = adopt_settings(s_, from->state);
    }
    constexpr std::array<std::string_view, 4> results{"model.safetensors", "epochs.csv", "classes.csv",
                                                      "summary.json"};
    remove_unfinished(s_.out, from ? from->tag : "", results);
    complete(s_);
    read_data();
    if (from)
      go_on(*from, *before);
    else
      begin();
  }

  int run() {
    announce();
    // Streams of the order, of crops, and of dropout, which has the seed itself.
    Prepare const prepare{set_->augmented, RandomCrop(s_.seed ^ 0x637261706f6e7321)};
    Loader loader(train_, {.size = s_.batch, .seed = s_.seed ^ 0x7368756666ull}, prepare);
    while (at_.epoch < s_.epochs) {
      loader.begin(static_cast<std::uint64_t>(at_.epoch));
      for (Index i = 0; i < at_.position; ++i) loader.next();
      double const rate = schedule_.at(at_.epoch);
      auto since = Clock::now();
      processor_since_ = std::clock();
      while (auto const* batch = loader.next()) {
        step(*batch, rate, since);
        show(rate, loader.batches());
        if (interrupted()) return stop();
        if ((s_.save_every > 0 && at_.step % static_cast<std::uint64_t>(s_.save_every) == 0) ||
            Clock::now() - saved_ > std::chrono::minutes(10))
          save();
      }
      progress_.show(message("epoch ", at_.epoch + 1, "/", s_.epochs, "  testing"));
      auto const tested = test_all();
      if (!tested) return stop();
      end_epoch(rate, *tested);
      if (interrupted() && at_.epoch < s_.epochs) return stop();
    }
    finish();
    return 0;
  }

 private:
  void read_data() {
    set_ = &find_data_set(s_.dataset);
    Entry const& entry = find_network({s_.net, s_.depth, s_.widen, s_.steps, set_->shape, set_->classes});
    train_ = read_images(*set_, s_.data, Part::train, s_.limit);
    test_ = read_images(*set_, s_.data, Part::test, 0);
    for (auto const* const part : {&train_, &test_})
      if (part->samples() == 0)
        throw FormatError(message(s_.data.string(), ": expected ", part == &train_ ? "training" : "test",
                                  " images, found none"));
    fingerprints_ = {fingerprint(train_), fingerprint(test_)};
    model_ = {&entry, entry.make(s_.place), s_.dataset, {}};
    if (set_->normalised) model_.scale = channel_statistics(train_);
    scale_images(train_, model_.scale);
    scale_images(test_, model_.scale);
  }

  StepSchedule planned() const {
    return step_schedule(s_.rate, set_->factor, s_.schedule_epochs, set_->shares);
  }

  void begin() {
    tag_ = random_tag();
    schedule_ = planned();
    model_.network->start(s_.initialiser, s_.seed);
    if (!s_.from.empty()) start_from_model();
    save();
  }

  void start_from_model() {
    auto const own = s_.out / "model.safetensors";
    if (std::error_code none; std::filesystem::equivalent(s_.from_file, own, none))
      throw DomainError(message("--from ", s_.from, ": the run would replace it by its own ", own.string()));
    std::string const name = s_.from_file.string();
    std::ifstream in = open_file(s_.from_file, "a safetensors file");
    Checksum sum;
    TensorFile const model = read_safetensors(in, name, &sum);
    std::string const found = hexadecimal_text(sum.value());
    if (!s_.from_checksum.empty() && s_.from_checksum != found)
      throw FormatError(message(name, ": expected the checksum ", s_.from_checksum.substr(0, 40),
                                " of --from-checksum, found ", found));
    s_.from_checksum = found;
    model_.network->load(model);
  }

  void require_same_images(TensorFile const& state) const {
    for (auto const& [key, now, what] : {std::tuple("fingerprint", fingerprints_.train, "training"),
                                         std::tuple("test fingerprint", fingerprints_.test, "test")}) {
      if (key == std::string_view("test fingerprint") && !state.metadata.contains(key)) continue;  // older
      if (auto const& was = text_of(state, key); was != now)
        throw DomainError(message(s_.data.string(), ": the ", what, " images are not those of the run in ",
                                  s_.out.string(), ": their fingerprint is ", now, ", was ",
                                  was.substr(0, 40)));
    }
  }

  void go_on(Checkpoint const& from, Settings const& before) {
    TensorFile const& state = from.state;
    require_same_images(state);
    tag_ = from.tag;
    Counters::each(at_, [&](char const* name, auto& n) {
      n = number_of<std::remove_cvref_t<decltype(n)>>(state, name);
    });
    require_counters(from, before.epochs);
    if (s_.epochs < at_.epoch + (at_.position > 0 ? 1 : 0))
      throw DomainError(message(s_.out.string(), " holds a run that has done ", at_.epoch, " epochs and ",
                                at_.position, " batches of the next: --epochs ", s_.epochs, " is less"));
    schedule_ = {s_.rate, set_->factor, milestones_of(state, before.schedule_epochs, set_->shares)};
    if (s_.reschedule) {
      if (at_.position > 0)
        throw DomainError(message("--reschedule: epoch ", at_.epoch + 1, " is not done; --resume --epochs ",
                                  at_.epoch + 1, " ends it first"));
      begin_another_part(s_, before, at_.epoch);
      schedule_ = planned();
    }
    auto const found = state.tensors.find("history");
    if (found == state.tensors.end())
      throw FormatError(message(state.name, ": tensor history: expected one, found no such tensor"));
    auto const history = detrame::host_matrix<double>(found->second, state.name + ": tensor history");
    if (history.rows() != at_.epoch || history.cols() != EpochRow::columns)
      throw FormatError(message(state.name, ": tensor history: expected ", at_.epoch, " x ",
                                EpochRow::columns, ", found ", history.rows(), " x ", history.cols()));
    for (Index i = 0; i < history.rows(); ++i)
      epochs_.push_back({history(i, 0), history(i, 1), history(i, 2), history(i, 3), history(i, 4),
                         history(i, 5), history(i, 6), history(i, 7), history(i, 8)});
    model_.network->load(from.model);
    take_classes(state);
    model_.network->load_velocities(state);
    if (s_.reschedule || s_.epochs != before.epochs) {
      save();
      write_all_results();
    }
  }

  /// Runs that began before there were any have none of their first epochs.
  void take_classes(TensorFile const& state) {
    auto const found = state.tensors.find("classes");
    if (found == state.tensors.end()) return;
    auto const rows = detrame::host_matrix<double>(found->second, state.name + ": tensor classes");
    Index const classes = set_->classes;
    if (rows.rows() > at_.epoch || rows.cols() != 2 + 2 * classes)
      throw FormatError(message(state.name, ": tensor classes: expected at most ", at_.epoch, " x ",
                                2 + 2 * classes, ", found ", rows.rows(), " x ", rows.cols()));
    auto const count = [&](Index i, Index j) {
      double const n = rows(i, j);
      if (!(n >= 0 && n <= static_cast<double>(test_.samples())))
        throw FormatError(message(state.name, ": tensor classes: expected counts, found ", n));
      return static_cast<Index>(n);
    };
    for (Index i = 0; i < rows.rows(); ++i) {
      ClassRow row{static_cast<int>(at_.epoch - rows.rows() + i + 1), rows(i, 1), {}, {}};
      for (Index c = 0; c < classes; ++c) {
        row.correct_of.push_back(count(i, 2 + c));
        row.positive_of.push_back(count(i, 2 + classes + c));
      }
      classes_.push_back(std::move(row));
    }
  }

  Tensor class_tensor() const {
    Index const classes = set_->classes;
    HostMatrix<double> rows(static_cast<Index>(classes_.size()), 2 + 2 * classes);
    for (Index i = 0; i < rows.rows(); ++i) {
      ClassRow const& row = classes_[static_cast<std::size_t>(i)];
      rows(i, 0) = row.epoch;
      rows(i, 1) = row.seconds;
      for (Index c = 0; c < classes; ++c) {
        rows(i, 2 + c) = static_cast<double>(row.correct_of[static_cast<std::size_t>(c)]);
        rows(i, 2 + classes + c) = static_cast<double>(row.positive_of[static_cast<std::size_t>(c)]);
      }
    }
    return tensor(rows);
  }

  /// Counters are those of a run with these settings, on these images.
  void require_counters(Checkpoint const& from, int epochs) const {
    Index const n = train_.samples(), batches = Batching{s_.batch}.batches(n);
    Index const most = at_.epoch == epochs ? 0 : batches;
    bool const placed = at_.epoch >= 0 && at_.epoch <= epochs && at_.position >= 0 && at_.position <= most &&
                        at_.step == from.step &&
                        at_.step == static_cast<std::uint64_t>(at_.epoch * batches + at_.position);
    if (!placed)
      throw FormatError(message(from.state.name, ": __metadata__: expected an epoch in 0 ... ", epochs,
                                " of ", batches, " batches, a batch of it, and step ", from.step,
                                ", which is theirs, found epoch ", at_.epoch, ", batch ", at_.position,
                                ", step ", at_.step));
    Index const seen = std::min(at_.position * s_.batch, n);
    if (at_.samples != seen || at_.correct < 0 || at_.correct > seen || !std::isfinite(at_.loss) ||
        !(at_.seconds >= 0) || !(at_.processor_seconds >= 0) || !std::isfinite(at_.seconds) ||
        !std::isfinite(at_.processor_seconds))
      throw FormatError(
          message(from.state.name, ": __metadata__: expected ", seen,
                  " samples, of which at most all are correct, a finite loss and times >= 0, found ",
                  at_.samples, " samples, ", at_.correct, " correct, loss ", at_.loss, ", seconds ",
                  at_.seconds, " and ", at_.processor_seconds));
  }

  void step(HostBatch<float> const& batch, double rate, Clock::time_point& since) {
    auto const n = static_cast<Index>(batch.labels.size());
    Draw const draw{.seed = s_.seed, .step = at_.step, .first_sample = at_.position * s_.batch};
    Measured const m = model_.network->step(batch.x, batch.labels,
                                            {rate, s_.momentum, s_.weight_decay, s_.decays == "all"}, draw);
    if (!std::isfinite(m.loss)) throw diverged(at_.position + 1, message("the loss is ", m.loss));
    ++at_.step, ++at_.position;
    at_.loss += m.loss * static_cast<double>(n);
    at_.samples += n;
    at_.correct += m.correct;
    auto const now = Clock::now();
    double const seconds = std::chrono::duration<double>(now - since).count();
    since = now;
    at_.seconds += seconds;
    auto const processor = std::clock();
    at_.processor_seconds += static_cast<double>(processor - processor_since_) / CLOCKS_PER_SEC;
    processor_since_ = processor;
    here_seconds_ += seconds;
    ++here_steps_;
  }

  std::optional<Tally> test_all() {
    try {
      return test(*model_.network, test_, interrupted);
    } catch (NotFinite const& what) {
      throw diverged(at_.position, message("test ", what.what()));
    }
  }

  void end_epoch(double rate, Tally const& tested) {
    auto const n = static_cast<double>(std::max<Index>(at_.samples, 1));
    EpochRow const row{at_.epoch + 1.,
                       rate,
                       at_.loss / n,
                       static_cast<double>(at_.correct) / n,
                       tested.loss(),
                       tested.accuracy(),
                       n / std::max(at_.seconds, 1e-9),
                       at_.seconds,
                       at_.processor_seconds};
    epochs_.push_back(row);
    ++at_.epoch;
    classes_.push_back({at_.epoch, tested.seconds(), tested.correct_of, tested.positive_of});
    at_.position = at_.samples = at_.correct = 0;
    at_.loss = at_.seconds = at_.processor_seconds = 0;
    save();
    write_all_results();
    progress_.clear();
    std::printf("epoch %3.0f/%d  rate %-8.3g loss %.4f  train %6.2f %%  test %6.2f %%  %8.1f images/s  %s\n",
                row.epoch, s_.epochs, rate, row.loss, 100 * row.accuracy, 100 * row.test_accuracy,
                row.images_per_second, Progress::clock(row.seconds).c_str());
    std::fflush(stdout);
  }

  void show(double rate, Index batches) {
    if (!progress_.shows()) return;
    auto const n = static_cast<double>(at_.samples);
    double const a_step = here_seconds_ / static_cast<double>(here_steps_);
    double const left = static_cast<double>((s_.epochs - at_.epoch) * batches - at_.position) * a_step;
    char text[160];
    std::snprintf(text, sizeof text, "epoch %d/%d %s rate %.3g  loss %.4f  %.2f %%  %.1f images/s  %s left",
                  at_.epoch + 1, s_.epochs,
                  Progress::bar(static_cast<double>(at_.position) / static_cast<double>(batches)).c_str(),
                  rate, at_.loss / n, 100 * static_cast<double>(at_.correct) / n,
                  static_cast<double>(s_.batch) / a_step, Progress::clock(left).c_str());
    progress_.show(text);
  }

  /// Refuses to write what is not finite.
  void save() {
    Checkpoint checkpoint{tag_, at_.step, {}, {}};
    model_.network->store(checkpoint.model);
    describe(checkpoint.model, *model_.entry, *set_, model_.scale);
    checkpoint.model.metadata["epoch"] = number_text(at_.epoch);
    checkpoint.model.metadata["seed"] = number_text(s_.seed);
    if (s_.from.empty())
      checkpoint.model.metadata["initialiser"] = s_.initialiser;
    else
      checkpoint.model.metadata["from"] = message(s_.from, ", checksum ", s_.from_checksum);
    model_.network->store_velocities(checkpoint.state);
    try {
      require_finite_tensors(checkpoint.model);
      require_finite_tensors(checkpoint.state);
    } catch (NotFinite const& what) {
      throw diverged(at_.position, what.what());
    }
    store_settings(s_, checkpoint.state);
    store_milestones(schedule_.milestones, checkpoint.state);
    checkpoint.state.metadata["fingerprint"] = fingerprints_.train;
    checkpoint.state.metadata["test fingerprint"] = fingerprints_.test;
    Counters::each(at_, [&](char const* name, auto n) { checkpoint.state.metadata[name] = number_text(n); });
    HostMatrix<double> history(static_cast<Index>(epochs_.size()), EpochRow::columns);
    for (Index i = 0; i < history.rows(); ++i) {
      EpochRow const& e = epochs_[static_cast<std::size_t>(i)];
      double const row[] = {e.epoch,
                            e.rate,
                            e.loss,
                            e.accuracy,
                            e.test_loss,
                            e.test_accuracy,
                            e.images_per_second,
                            e.seconds,
                            e.processor_seconds};
      for (Index j = 0; j < EpochRow::columns; ++j) history(i, j) = row[j];
    }
    checkpoint.state.tensors["history"] = tensor(history);
    checkpoint.state.tensors["classes"] = class_tensor();
    write_checkpoint(s_.out, std::move(checkpoint));
    saved_ = Clock::now();
  }

  Diverged diverged(Index batch, std::string const& what) const {
    progress_.clear();
    return Diverged(message("training diverged in epoch ", at_.epoch + 1, ", batch ", batch, ": ", what,
                            ". Nothing was written since the last checkpoint in ", s_.out.string(),
                            ". A smaller rate than --lr ", s_.rate, " may help."));
  }

  void announce() const {
    std::string changes;
    for (int const milestone : schedule_.milestones)
      if (milestone < s_.epochs)
        changes += (changes.empty() ? message(", times ", schedule_.factor, " after ") : ", ") +
                   number_text(milestone);
    std::printf("%s on %s: %td images to train, %td to test, %d epochs from rate %g%s, batches of %td, %s\n",
                options_of(*model_.entry).c_str(), s_.dataset.c_str(), train_.samples(), test_.samples(),
                s_.epochs, schedule_.rate, changes.c_str(), s_.batch, s_.place.name().c_str());
    if (at_.step > 0) std::printf("going on after epoch %d, batch %td\n", at_.epoch, at_.position);
    std::fflush(stdout);
  }

  int stop() {
    save();
    progress_.clear();
    std::printf("Interrupted after %d epochs and %td batches; the checkpoint is %s. To go on:\n  %s\n",
                at_.epoch, at_.position, (s_.out / detail::step_name(at_.step)).c_str(),
                resume_command(s_).c_str());
    return 130;
  }

  void write_all_results() const {
    Images images{train_.samples(), test_.samples(),
                  std::vector<Index>(static_cast<std::size_t>(set_->classes))};
    for (int const label : test_.labels) ++images.test_of[static_cast<std::size_t>(label)];
    write_results(s_, model_, images, epochs_, classes_);
  }

  void finish() {
    write_safetensors(s_.out / "model.safetensors", read_checkpoint(s_.out).model);
    write_all_results();
    progress_.clear();
    if (!epochs_.empty()) std::printf("test accuracy %.2f %%. ", 100 * epochs_.back().test_accuracy);
    std::printf("Results are in %s: model.safetensors, epochs.csv, classes.csv, summary.json\n",
                s_.out.c_str());
  }

  Settings s_;
  FolderLock lock_;
  DataSet const* set_ = nullptr;
  ImageBytes<float> train_{}, test_{};
  struct {
    std::string train, test;
  } fingerprints_;
  std::string tag_;
  Model model_{};
  StepSchedule schedule_{};
  Counters at_;
  std::vector<EpochRow> epochs_;
  std::vector<ClassRow> classes_;  ///< of the last of them
  Clock::time_point saved_ = Clock::now();
  double here_seconds_ = 0;
  std::clock_t processor_since_ = 0;
  Index here_steps_ = 0;
  Progress progress_;
};

}  // namespace

int train(Settings settings) {
  std::filesystem::create_directories(settings.out);
  listen_to_signals();
  return Training(std::move(settings)).run();
}

}  // namespace experiment
