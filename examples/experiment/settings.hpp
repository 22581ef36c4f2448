// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "train.hpp"

namespace experiment {

/// f(name of the option, member) for each setting that decides the numbers.
template <class S, class F>
void each_setting(S& s, F&& f) {
  f("net", s.net), f("depth", s.depth), f("widen", s.widen), f("steps", s.steps), f("dataset", s.dataset);
  f("epochs", s.epochs), f("lr", s.rate), f("batch", s.batch), f("momentum", s.momentum);
  f("weight-decay", s.weight_decay), f("decays", s.decays), f("initialiser", s.initialiser);
  f("seed", s.seed), f("limit", s.limit), f("device", s.place.device);
}

/// Puts the settings into a checkpoint's state.
void store_settings(Settings const& settings, TensorFile& state);

/// Takes them out of it. FormatError where one is out of its range,
/// DomainError where the command line says otherwise.
void adopt_settings(Settings& settings, TensorFile const& state);

/// Puts the milestones of the rate into a checkpoint's state, as "3 5 7".
void store_milestones(std::vector<int> const& milestones, TensorFile& state);

/// Takes them out of it, where they are: runs begun before they were stored rounded the data set's shares of
/// all epochs down, and go on so. FormatError where the text is something else.
std::vector<int> milestones_of(TensorFile const& state, int epochs, std::vector<double> const& shares);

}  // namespace experiment
