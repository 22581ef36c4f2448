// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <stdexcept>

#include "model.hpp"

namespace experiment {

/// What `train` is told. The first part decides which numbers come out, and stands in checkpoints.
struct Settings {
  std::string net = "detrame-plainnet";
  int depth = 3, widen = 1, steps = 0;
  std::string dataset = "digits";
  int epochs = 0;           ///< 0: the data set's
  int schedule_epochs = 0;  ///< that the schedule of the rate is for; 0: all
  double rate = 0;          ///< 0: the data set's
  Index batch = 128;
  double momentum = .9, weight_decay = 5e-4;
  std::string decays = "all";
  std::string initialiser = "relu";
  std::uint64_t seed = 1;
  Index limit = 0;                  ///< 0: all
  std::string from, from_checksum;  ///< the model that training starts from, as a shell reads it

  std::filesystem::path data, out;
  Place place;
  Index save_every = 0;
  bool resume = false, reschedule = false;
  std::set<std::string> given{};      ///< names of the options on the command line
  std::filesystem::path from_file{};  ///< what `from` names
  std::vector<std::string> parts{};   ///< options of the commands whose runs --reschedule went on with
};

/// Training came to numbers that are not finite. Nothing was written since the last checkpoint.
struct Diverged : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One epoch, as a line of epochs.csv.
struct EpochRow {
  double epoch;  ///< counted from 1
  double rate, loss, accuracy, test_loss, test_accuracy, images_per_second;
  double seconds, processor_seconds;  ///< of training; those of all threads together
  static constexpr Index columns = 9;
};
inline constexpr char const* epoch_columns =
    "epoch,rate,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds,processor_"
    "seconds";

/// Fills in what the data set decides where it was not said. DomainError where a value is none.
void complete(Settings& settings);

/// Trains, or goes on. Returns the exit status: 0, or 130 where it was interrupted.
int train(Settings settings);

/// The command that repeats a run with these settings, to be typed into a shell: all of them but those that
/// the network and the data set have anyway.
std::string command_of(Settings const& settings);

/// The command that goes on with a run.
std::string resume_command(Settings const& settings);

/// Of an epoch, class by class: a line each of classes.csv.
struct ClassRow {
  int epoch;                                   ///< counted from 1
  double seconds;                              ///< of the test
  std::vector<Index> correct_of, positive_of;  ///< see Tally
};

/// How many images, and of them how many of each class.
struct Images {
  Index train, test;
  std::vector<Index> test_of;
};

/// Writes epochs.csv, classes.csv and summary.json.
void write_results(Settings const& settings, Model const& model, Images const& images,
                   std::vector<EpochRow> const& epochs, std::vector<ClassRow> const& classes);

}  // namespace experiment
