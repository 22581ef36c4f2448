// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "detrame/data/image_bytes.hpp"
#include "detrame/data/loader.hpp"
#include "detrame/io/training_checkpoint.hpp"
#include "detrame/layer/start.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/codes.hpp"
#include "detrame/network/recurrence_inputs.hpp"
#include "detrame/network/solved_again.hpp"
#include "detrame/network/summary.hpp"
#include "detrame/train/fit_result.hpp"
#include "detrame/train/training_options.hpp"

namespace experiment {

using namespace detrame;

/// One tensor of a network's parameters.
struct ParameterInfo {
  std::string name;
  std::string_view kind;
  Index rows, cols;
  bool trained;  ///< false for running statistics
};

/// Of some samples: the mean loss; their scores, classes x samples.
struct Answers {
  double loss;
  HostMatrix<float> scores;
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
using TrainingSource = Loader<float, Prepare, ImageBytes<float>>;
using TestSource = Loader<float, Unchanged, ImageBytes<float>>;

/// How a training ended; see FitResult.
struct Fitted {
  FitStatus status;
  FitRecord record;
  std::string explanation;
};

/// What a family of networks decides of its training, whatever the data.
struct Manner {
  SoftmaxCrossEntropy loss;
  TiedValues tied;  ///< what layers of dictionaries start with
};

/// The scores of a network with its parameters at inference, in terms of the host.
///
/// Shapes    x: channels x (sites samples)
template <class Scalar>
class HostMap {
 public:
  virtual ~HostMap() = default;

  /// The inference map: classes x samples.
  virtual HostMatrix<Scalar> scores(HostMatrix<Scalar> const& x) = 0;
  /// The scores again, up to rounding, and what `pulled_back` needs of them.
  virtual HostMatrix<Scalar> scores_with_tape(HostMatrix<Scalar> const& x) = 0;
  /// J^T y_bar, J the Jacobian of the inference map at the x of the last `scores_with_tape`.
  virtual HostMatrix<Scalar> pulled_back(HostMatrix<Scalar> const& y_bar) = 0;
};

/// What the runner knows of a network, wherever it computes.
class HostNetwork : public HostMap<float> {
 public:
  /// Overwrites the parameters; `initialiser` is one of choices("initialiser").
  virtual void start(std::string const& initialiser, std::uint64_t seed) = 0;
  /// `fit` from these parameters, or from what `checkpoints` have; `tested` is told of each batch of test
  /// images.
  virtual Fitted fit(TrainingSource& train, TestSource& test, TrainingOptions const& options,
                     TrainingCheckpoints& checkpoints, std::function<void(Answers const&)> const& tested) = 0;
  virtual Answers answers(HostMatrix<float> const& x, std::vector<int> const& labels) = 0;
  /// The gradient of the mean loss in training mode, where nothing is dropped; "loss" and "scores" are
  /// tensors beside it.
  virtual TensorFile gradient(HostMatrix<float> const& x, std::vector<int> const& labels) = 0;

  virtual void load(TensorFile const& model) = 0;

  virtual std::vector<ParameterInfo> parameters() const = 0;
  virtual Index multiply_adds() const = 0;  ///< of the inference map, for one sample
  virtual Summary summary() = 0;
  virtual std::vector<RecurrenceInput<float>> recurrence_inputs(HostMatrix<float> const& x) = 0;
  /// What layers of dictionaries and Q-metric ReLUs return for x.
  virtual std::vector<LayerCodes<float>> codes(HostMatrix<float> const& x) = 0;
  /// In the steps of `fit`: codes that float could not certify.
  virtual SolvedAgain solved_again() const = 0;
  /// Overwrites the parameters by what a deep dictionary at the same place makes of them.
  virtual void start_from(HostNetwork& dictionaries) = 0;
};

/// Where networks compute: on the CPU, with so many threads, or on a CUDA device.
struct Place {
  std::string device = "cpu";
  int threads = 1;

  /// "2 threads", "a CUDA device"
  std::string name() const;
};

/// WrongOption where threads were asked for and the place is no CPU.
void require_threads_of(Place const& place);

class HostCertifier;

/// A network that is compiled in.
struct Entry {
  std::string_view family;  ///< "plainnet"
  int depth, widen;
  Shape shape;
  int classes;
  int steps;  ///< T; 0: the network without Q-metric ReLUs
  std::unique_ptr<HostNetwork> (*make_on_cpu)(Place const&);
  std::unique_ptr<HostNetwork> (*make_on_cuda)(Place const&);  ///< null in a program built without CUDA
  /// What is proved of a model of it, on the CPU with so many threads; null where that is not compiled in.
  std::unique_ptr<HostCertifier> (*make_certifier)(TensorFile const& model, int threads);

  /// DomainError where the place has no device, or this program does not know it.
  std::unique_ptr<HostNetwork> make(Place const& place = {}) const;

  /// Its images are centred, and keep their unit: it is a distance that is certified.
  bool certified() const { return family == "certified"; }

  /// "detrame-plainnet"
  std::string net() const { return (steps > 0 ? "detrame-" : "") + std::string(family); }
};

/// All of them, in the order of networks.txt.
std::vector<Entry> const& compiled_networks();

/// What is asked for on the command line, and by the metadata of a model.
struct Wanted {
  std::string net;
  int depth, widen, steps;
  Shape shape;
  int classes;
};

/// The entry that is wanted; DomainError with what is compiled in for such images where there is none.
Entry const& find_network(Wanted const& wanted);

/// "detrame-plainnet --depth 3 --steps 2"
std::string options_of(Entry const& entry);

/// Trained scalars.
Index trained_count(HostNetwork const& network);

}  // namespace experiment
