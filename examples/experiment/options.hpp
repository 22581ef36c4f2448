// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "attack.hpp"
#include "noise.hpp"
#include "train.hpp"

namespace experiment {

/// What the help says of --data.
std::string data_set_text();

/// The check of an option that is a number, by the one function of ranges.
CLI::Validator in_range(std::string const& option);

/// That of an option that is a list.
CLI::Validator list_in_range(std::string const& option);

/// The check of one seed.
CLI::Validator is_seed();

/// --seed and --seeds, which exclude each other.
void add_seeds(CLI::App& app, std::uint64_t& seed, std::vector<std::uint64_t>& seeds,
               std::string const& seed_text, std::string const& seeds_text);

/// --net, --depth, --widen, --steps, --dataset.
void add_network(CLI::App& app, Settings& settings);

/// All that `train` has.
void add_training(CLI::App& app, Settings& settings);

/// --device, --threads.
void add_place(CLI::App& app, Place& place);

/// --checkpoint and the place; with `data`, --data and --limit.
void add_inspection(CLI::App& app, Inspected& asked, bool data);

/// All that `noise` and `attack` have.
void add_noise_options(CLI::App& app, NoiseAsked& asked);
void add_attack_options(CLI::App& app, AttackSettings& settings);

}  // namespace experiment
