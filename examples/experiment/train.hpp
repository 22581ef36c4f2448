// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <stdexcept>

#include "model.hpp"
#include "protocol.hpp"

namespace experiment {

/// What `train` is told. The first part decides which numbers come out, and stands in checkpoints.
struct Settings {
  std::string net = "detrame-plainnet";
  int depth = 3, widen = 1, steps = 0;
  std::string dataset = "digits";
  int epochs = 0;           ///< 0: the data set's
  int schedule_epochs = 0;  ///< that the schedule of the rate is for; 0: all
  std::string schedule = "steps";
  double warm_up = 0;  ///< in epochs
  double rate = 0;     ///< 0: the data set's
  Index batch = protocol::batch;
  bool drop_last = false;
  std::string optimiser = "sgd";
  double momentum = protocol::momentum, weight_decay = protocol::weight_decay;
  bool nesterov = false;
  std::string decays = "all";
  double clip = 0;  ///< 0: no clipping
  std::string initialiser = "relu";
  std::uint64_t seed = 1;
  Index limit = 0;                  ///< 0: all
  std::string from, from_checksum;  ///< the model that training starts from, as a shell reads it

  std::filesystem::path data, out;
  Place place;
  Index save_every = 0;
  bool resume = false, reschedule = false;
  std::vector<std::uint64_t> seeds{};  ///< a run each, in folders of --out
  std::set<std::string> given{};       ///< names of the options on the command line
  std::filesystem::path from_file{};   ///< what `from` names
  std::vector<std::string> parts{};    ///< options of the commands whose runs --reschedule went on with
  int part_began = 0;                  ///< after so many epochs the last --reschedule did
  std::filesystem::path all_runs{};    ///< the folder of --seeds, where this run is one of them
};

/// Training came to numbers that are not finite. Nothing was written since the last checkpoint.
struct Diverged : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Fills in what the data set decides where it was not said. WrongOption where a value is none.
void complete(Settings& settings);

/// The network that is asked for. WrongOption where it is not compiled in.
Entry const& network_of(Settings const& settings);

/// How a run ended: the exit status, 0, or 130 where it was interrupted, and the last accuracy on the test
/// images, where there is one.
struct Ended {
  int status;
  std::optional<double> accuracy;
};

/// Trains one run, or goes on with it. `begins` is called when nothing can be refused any more, before the
/// first step.
Ended train(Settings settings, std::function<void()> const& begins = [] {});

/// Trains a run for each of --seeds, or goes on with those of a folder, and prints mean and deviation.
/// Returns the exit status. What is refused changes nothing.
int train_seeds(Settings const& settings);

/// Whether a folder is that of --seeds.
bool has_seeds(std::filesystem::path const& folder);

/// Refuses one run in a folder of --seeds.
void require_no_seeds(Settings const& settings);

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

/// The rows as a tensor, an epoch a row, and back; FormatError where it is none of so many epochs.
Tensor class_tensor(std::vector<ClassRow> const& rows, int classes);
std::vector<ClassRow> class_rows(TensorFile const& state, int epochs, int classes);

/// How many images, and of them how many of each class.
struct Images {
  Index train, test;
  std::vector<Index> test_of;
};

/// What else is said of a run.
struct Notes {
  std::string start;     ///< how far the codes were at the start from those of a deep dictionary; perhaps ""
  SolvedAgain solved{};  ///< by exact dictionaries, in all steps
};

/// Replaces a file as a whole.
void replace_text(std::filesystem::path const& file, std::string const& text);

/// Writes epochs.csv, classes.csv and summary.json.
void write_results(Settings const& settings, Model const& model, Images const& images,
                   std::vector<EpochReport> const& epochs, std::vector<ClassRow> const& classes,
                   Notes const& notes);

}  // namespace experiment
