// SPDX-License-Identifier: Apache-2.0
#include "attack.hpp"

#include <cstdio>

#include "attack_report.hpp"
#include "image_attack.hpp"
#include "ranges.hpp"
#include "signals.hpp"
#include "state_folder.hpp"
#include "status_line.hpp"
#include "universal_state.hpp"

namespace experiment {

namespace {

/// An attack with its model, its images and what is left of it in a folder.
class Attack {
 public:
  explicit Attack(AttackSettings settings)
      : s_(std::move(settings)),
        folder_(s_.out, "state.safetensors", s_.resume, "an attack: --resume goes on with it"),
        victim_((take_settings(), s_.at)),
        report_(victim_, s_) {
    auto const& model = victim_.model;
    test_ = pixel_images(model, s_.at, Part::test, s_.at.limit);
    if (universal()) {
      built_ = pixel_images(model, s_.at, Part::train, s_.images);
      if (built_.samples() < s_.images)
        throw DomainError(
            message("--images ", s_.images, ": there are ", built_.samples(), " images to train on"));
    }
    auto const require_same = [&](char const* key, std::string const& now, std::string const& what) {
      if (folder_.state.metadata.contains(key) && text_of(folder_.state, key) != now)
        throw DomainError(message(s_.out.string(), " holds an attack on ", what));
      folder_.state.metadata[key] = now;
    };
    require_same("checksum", victim_.file.checksum, "another model");
    require_same("test fingerprint", fingerprint(test_), "other test images");
    if (universal()) require_same("fingerprint", fingerprint(built_), "other images to train on");
    store_settings(s_, folder_.state);
  }

  int run() {
    report_.begin(test_, universal() ? built_.samples() : 0, status_);
    std::size_t number = 0;
    auto const radii = s_.xi.empty() ? std::vector<double>{0} : *numbers_in("xi", s_.xi);
    auto const seeds = seeds_in(s_.seeds).value();
    for (double const xi : radii) {
      for (std::uint64_t const seed : seeds) {
        std::string const name = message("run ", ++number);
        bool const done = universal() ? build(xi, seed, name) : images(xi, seed, name);
        if (!done) return stopped();
        folder_.save();
      }
      report_.end_of_seeds();
    }
    if (!s_.out.empty()) report_.write(s_.out);
    return 0;
  }

 private:
  bool universal() const { return s_.method == "universal"; }

  /// Those of the state, where another process left one.
  void take_settings() {
    if (folder_.found())
      adopt_settings(s_, folder_.state);
    else if (s_.resume && !s_.given.contains("method") && !s_.given.contains("xi"))
      throw DomainError(
          message(s_.out.string(), ": there is no attack to go on with; with --method or --xi one starts"));
    complete(s_);
  }

  /// Whether to go on; what was done is saved every minute.
  template <class Store>
  bool go_on(Store const& store) {
    if (interrupted()) return store(), false;
    if (folder_.due()) store(), folder_.save();
    return true;
  }

  bool build(double xi, std::uint64_t seed, std::string const& name) {
    auto const options = universal_options(s_, xi, seed, victim_.network.classes());
    auto& cpu = victim_.network.backend();
    auto state = stored_universal(folder_.state, name, built_.shape.size(), built_.samples());
    auto const store = [&] { store_universal(state, name, folder_.state); };
    auto const observe = [&](UniversalState<float> const& now) {
      if (status_.shows())
        status_.show(
            message("xi ", xi, ", seed ", number_text(seed), ": pass ", now.done.size() + 1, ", image ",
                    now.position, " of ", built_.samples(), ", moved by ", now.now.moves,
                    now.done.empty() ? "" : message("; before it ", percent(now.done.back().rate), " %")));
      return go_on(store);
    };
    auto x = batch_of(built_, 0, built_.samples());
    UniversalStatus const status = with_map(victim_, s_, x, [&](auto& map) {
      return universal_perturbation(map, to_device(cpu, x), options, state, observe);
    });
    store();
    status_.clear();
    if (status == UniversalStatus::stopped) return false;
    report_.add_universal({xi, seed}, state, status, built_, test_, status_);
    return true;
  }

  bool images(double xi, std::uint64_t seed, std::string const& name) {
    ImageAttack attack(victim_, s_, xi, seed, stored_images(folder_.state, name, test_.samples()));
    auto const store = [&] { store_images(attack.rows(), name, folder_.state); };
    while (attack.done() < test_.samples()) {
      status_.show(message(s_.method, ": image ", attack.done(), " of ", test_.samples()));
      attack.next(test_);
      if (!go_on(store)) return status_.clear(), false;
    }
    store();
    status_.clear();
    report_.add_images({xi, seed}, attack.rows());
    return true;
  }

  int stopped() {
    if (s_.out.empty()) {
      std::printf("Interrupted. With --out an attack can go on.\n");
      return 130;
    }
    folder_.save();
    std::printf("Interrupted; what was done is in %s. To go on:\n  %s\n", s_.out.c_str(),
                resume_command(s_).c_str());
    return 130;
  }

  AttackSettings s_;
  StateFolder folder_;
  Victim victim_;
  AttackReport report_;
  ImageBytes<float> test_{}, built_{};
  StatusLine status_ = status_line();
};

}  // namespace

int attack(AttackSettings settings) {
  listen_to_signals();
  return Attack(std::move(settings)).run();
}

}  // namespace experiment
