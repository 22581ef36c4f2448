// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/robust/pixel_scores.hpp"
#include "inspect.hpp"

namespace experiment {

/// A network as what is attacked: the steps of an attack are computed on the CPU, the network where it is.
template <class Scalar>
class HostScores {
 public:
  using Backend = Cpu<Scalar>;

  HostScores(HostMap<Scalar>& network, Entry const& entry, int threads)
      : network_(network), entry_(entry), backend_(threads) {}
  HostScores(HostScores const&) = delete;
  HostScores& operator=(HostScores const&) = delete;

  Backend& backend() { return backend_; }
  Shape input() const { return entry_.shape; }
  Index classes() const { return entry_.classes; }

  void predict(ConstView<Backend> x, View<Backend> y) {
    copy_entries(backend_.lane(), on_device(network_.scores(to_host(backend_, x))), y);
  }
  ConstView<Backend> scores(ConstView<Backend> x) {
    scores_ = to_device(backend_, network_.scores_with_tape(to_host(backend_, x)));
    return scores_;
  }
  void pullback(ConstView<Backend> y_bar, View<Backend> x_bar) {
    copy_entries(backend_.lane(), on_device(network_.pulled_back(to_host(backend_, y_bar))), x_bar);
  }

 private:
  /// Lives until the next call.
  ConstView<Backend> on_device(HostMatrix<Scalar> const& m) {
    moved_ = to_device(backend_, m);
    return moved_;
  }

  HostMap<Scalar>& network_;
  Entry const& entry_;
  Backend backend_;
  Matrix<Backend> scores_, moved_;
};

/// A model that is attacked, its network as a map of what it reads and as one of pixels in [0, 1].
struct Victim {
  explicit Victim(Inspected const& asked);

  ModelFile file;
  Model model;
  ChannelStatistics scale;  ///< the model's; mean 0 and deviation 1 where it reads pixels
  HostScores<float> network;
  PixelScores<HostScores<float>> pixels;
};

/// The images first, ..., first + count - 1 as a batch.
HostMatrix<float> batch_of(ImageBytes<float> const& images, Index first, Index count);

}  // namespace experiment
