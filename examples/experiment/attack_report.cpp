// SPDX-License-Identifier: Apache-2.0
#include "attack_report.hpp"

#include <cstdio>

#include "../picture.hpp"
#include "detrame/io/safetensors.hpp"
#include "runs.hpp"
#include "text.hpp"
#include "universal_state.hpp"

namespace experiment {

namespace {

std::string list_text(std::vector<double> const& numbers, char const* format) {
  std::string text;
  for (double const number : numbers) text += message(text.empty() ? "" : " ", formatted(format, number));
  return text;
}

/// v as channels x sites.
HostMatrix<float> as_image(Shape const& shape, HostMatrix<float> const& v) {
  return host_matrix<float>(shape.channels, shape.sites(),
                            [&](Index c, Index site) { return v(c + shape.channels * site, 0); });
}

/// Grey where v is 0, black and white where it is largest.
void write_picture(std::filesystem::path const& file, Shape const& shape, HostMatrix<float> const& v) {
  float largest = 0;
  for (Index i = 0; i < v.rows(); ++i) largest = std::max(largest, std::abs(v(i, 0)));
  picture::Picture p{shape, as_image(shape, v)};
  for (Index i = 0; i < shape.size(); ++i)
    p.pixels.data()[i] = largest > 0 ? .5f + p.pixels.data()[i] / (2 * largest) : .5f;
  picture::write(file.string() + picture::extension(p), p);
}

}  // namespace

std::string percent(double share) { return formatted("%.2f", 100 * share); }

AttackNorm norm_of(std::string const& p) {
  return p == "2" || p == "l2" ? AttackNorm::l2 : AttackNorm::l_inf;
}

UniversalOptions universal_options(AttackSettings const& s, double xi, std::uint64_t seed, Index classes) {
  UniversalOptions options{.norm = norm_of(s.p), .xi = xi, .delta = s.delta, .passes = s.passes};
  options.inner = {.norm = norm_of(s.inner),
                   .classes = std::min<Index>(10, classes),
                   .overshoot = s.overshoot,
                   .steps = s.steps};
  options.seed = seed;
  options.as_published = s.as_published;
  if (s.as_published) options.passes.reset();
  return options;
}

AttackReport::AttackReport(Victim& victim, AttackSettings const& settings)
    : victim_(victim),
      s_(settings),
      csv_(
          "method,p,units,xi,xi_grey_levels,seed,passes,ended,discarded,l_inf,l2,of_energy,of_centred_energy,"
          "images,clean_accuracy,accuracy,accuracy_clipped,built_images,changed_built,changed_built_clipped,"
          "changed,changed_clipped,changed_random,changed_random_clipped",
          "p"),
      passes_("xi,seed,pass,changed_built,runs,discarded,moves,steps") {}

std::vector<int> AttackReport::labels(ImageBytes<float> const& images, HostMatrix<float> const& v,
                                      bool clipped, std::string const& what, StatusLine& line) {
  std::vector<int> all;
  for (Index first = 0; first < images.samples(); first += test_batch) {
    line.show(message("labels, ", what, ": image ", first, " of ", images.samples()));
    auto const x = batch_of(images, first, std::min(test_batch, images.samples() - first));
    auto const some =
        predicted_labels(victim_.pixels, to_device(victim_.network.backend(), x), v,
                         clipped ? std::optional(PixelRange{}) : std::nullopt, test_batch, first);
    all.insert(all.end(), some.begin(), some.end());
  }
  line.clear();
  return all;
}

AttackReport::Rates AttackReport::rates(std::vector<int> const& before, std::vector<int> const& now,
                                        std::vector<int> const& targets) const {
  return {fooling_rate(before, now), accuracy(now, targets)};
}

void AttackReport::begin(ImageBytes<float> const& test, Index built, StatusLine& line) {
  for (Index first = 0; first < test.samples(); first += test_batch) {
    auto const x = batch_of(test, first, std::min(test_batch, test.samples() - first));
    auto const raw = image_energies(test.shape, x),
               centred = image_energies(test.shape, x, victim_.scale.mean);
    energies_.insert(energies_.end(), raw.begin(), raw.end());
    centred_.insert(centred_.end(), centred.begin(), centred.end());
  }
  before_ = labels(test, {}, false, "clean", line);
  targets_ = test.labels;
  std::printf("%s on %s: %s, p = %s, %td held-out test images, clean accuracy %s %%",
              options_of(*victim_.model.entry).c_str(), victim_.model.dataset.c_str(), s_.method.c_str(),
              s_.p.c_str(), test.samples(), percent(accuracy(before_, targets_)).c_str());
  if (built > 0)
    std::printf("; v is built on %td images to train on, DeepFool in %s, at most %d steps%s", built,
                s_.inner.c_str(), s_.steps, s_.as_published ? ", by the rules as published" : "");
  std::printf("\n");
  std::fflush(stdout);
}

void AttackReport::print_radius(AttackRun const& run) const {
  std::vector<double> pixels, network;
  for (double const deviation : victim_.scale.deviation) {
    pixels.push_back(s_.units == "pixels" ? run.xi : run.xi * deviation);
    network.push_back(s_.units == "pixels" ? run.xi / deviation : run.xi);
  }
  std::vector<double> grey = pixels;
  for (double& g : grey) g *= 255;
  bool const same = s_.units == "pixels";
  if (same) pixels.resize(1), grey.resize(1);
  std::printf(
      "\nxi = %s in pixels of [0, 1], %s grey levels%s; by channel %s as the network reads it; seed %s\n",
      list_text(pixels, "%.5g").c_str(), list_text(grey, "%.4g").c_str(), same ? "" : " by channel",
      list_text(network, "%.4g").c_str(), number_text(run.seed).c_str());
}

void AttackReport::print_norms(PerturbationNorms const& norms) const {
  std::printf(
      "  v: |v|_inf %.5g, %.4g grey levels, by channel %s as the network reads it; |v|_2 %.5g;\n"
      "     |v|^2 / mean |x|^2 %.4g, of centred energy %.4g\n",
      norms.l_inf, norms.grey_levels, list_text(norms.network_l_inf, "%.4g").c_str(), norms.l2,
      norms.of_energy, norms.of_centred_energy);
}

void AttackReport::add_universal(AttackRun const& run, UniversalState<float> const& state,
                                 UniversalStatus status, ImageBytes<float> const& built,
                                 ImageBytes<float> const& test, StatusLine& line) {
  Shape const shape = test.shape;
  auto const options = universal_options(s_, run.xi, run.seed, victim_.network.classes());
  auto const in_pixels = [&](HostMatrix<float> v) {
    if (s_.units == "network")
      for (Index i = 0; i < v.rows(); ++i)
        v(i, 0) = static_cast<float>(double{v(i, 0)} *
                                     victim_.scale.deviation[static_cast<std::size_t>(i % shape.channels)]);
    return v;
  };
  auto const v = in_pixels(state.result(options));
  auto const random = in_pixels(random_signs<float>(shape, options.norm, run.xi, run.seed));
  auto const norms = perturbation_norms(shape, v, energies_, centred_, victim_.scale.deviation);

  print_radius(run);
  Index runs = 0, discarded = 0;
  for (std::size_t i = 0; i < state.done.size(); ++i) {
    UniversalPass const& pass = state.done[i];
    runs += pass.runs, discarded += pass.discarded;
    std::printf(
        "  pass %zu: %s %% of those that build v have another label; %td runs of DeepFool, %td discarded, "
        "%td moved v\n",
        i + 1, percent(pass.rate).c_str(), pass.runs, pass.discarded, pass.moves);
    passes_.add({number_text(run.xi), number_text(run.seed), number_text(i + 1), number_text(pass.rate),
                 number_text(pass.runs), number_text(pass.discarded), number_text(pass.moves),
                 number_text(pass.steps)});
  }
  double const thrown = runs > 0 ? static_cast<double>(discarded) / static_cast<double>(runs) : 0;
  std::printf("  ended: %s; %s %% of all runs discarded\n", std::string(text_of(status)).c_str(),
              percent(thrown).c_str());
  print_norms(norms);

  auto const built_before = labels(built, {}, false, "clean, built", line);
  Rates of_built[2], held[2], by_chance[2];
  for (std::size_t const clipped : {0u, 1u}) {
    of_built[clipped] = rates(built_before, labels(built, v, clipped, "v, built", line), built.labels);
    held[clipped] = rates(before_, labels(test, v, clipped, "v, held out", line), targets_);
    by_chance[clipped] = rates(before_, labels(test, random, clipped, "random, held out", line), targets_);
  }
  std::printf(
      "  %%                          other labels: built   held out    accuracy, held out: %s without\n",
      percent(accuracy(before_, targets_)).c_str());
  char const* const ends[] = {"", ", clipped to [0, 1]"};
  for (std::size_t const clipped : {0u, 1u})
    std::printf("    v%-30s %9s  %9s    %9s\n", ends[clipped], percent(of_built[clipped].changed).c_str(),
                percent(held[clipped].changed).c_str(), percent(held[clipped].accuracy).c_str());
  for (std::size_t const clipped : {0u, 1u})
    std::printf("    %s%-*s %9s  %9s    %9s\n", s_.p == "inf" ? "random +-xi" : "random signs",
                s_.p == "inf" ? 20 : 19, ends[clipped], "", percent(by_chance[clipped].changed).c_str(),
                percent(by_chance[clipped].accuracy).c_str());
  std::fflush(stdout);
  add("built", of_built[0].changed), add("held out", held[0].changed),
      add("held out, clipped", held[1].changed);
  add("random", by_chance[0].changed), add("accuracy", held[0].accuracy);
  csv_.add({s_.method,
            s_.p,
            s_.units,
            number_text(run.xi),
            s_.units == "pixels" ? number_text(255 * run.xi) : "",
            number_text(run.seed),
            number_text(state.done.size()),
            std::string(text_of(status)),
            number_text(thrown),
            number_text(norms.l_inf),
            number_text(norms.l2),
            number_text(norms.of_energy),
            number_text(norms.of_centred_energy),
            number_text(test.samples()),
            number_text(accuracy(before_, targets_)),
            number_text(held[0].accuracy),
            number_text(held[1].accuracy),
            number_text(built.samples()),
            number_text(of_built[0].changed),
            number_text(of_built[1].changed),
            number_text(held[0].changed),
            number_text(held[1].changed),
            number_text(by_chance[0].changed),
            number_text(by_chance[1].changed)});
  perturbations_.emplace_back(message("v-xi", number_text(run.xi), "-seed", number_text(run.seed)), v);
}

void AttackReport::add(std::string const& what, double share) {
  auto found =
      std::find_if(of_seeds_.begin(), of_seeds_.end(), [&](auto const& o) { return o.first == what; });
  if (found == of_seeds_.end()) found = of_seeds_.insert(found, {what, {}});
  found->second.push_back(100 * share);
}

void AttackReport::end_of_seeds() {
  if (!of_seeds_.empty() && of_seeds_[0].second.size() > 1) {
    std::printf("  over %zu seeds, %%:", of_seeds_[0].second.size());
    for (auto const& [what, numbers] : of_seeds_)
      std::printf("%s %s %s", &what == &of_seeds_[0].first ? "" : ";", what.c_str(),
                  mean_text(numbers).c_str());
    std::printf("\n");
  }
  of_seeds_.clear();
}

void AttackReport::write(std::filesystem::path const& folder) const {
  csv_.write(folder / "attack.csv");
  auto json = described(victim_, s_.method, command_of(s_));
  constexpr std::array<std::string_view, 5> in_rows{"method", "p", "xi", "units", "seeds"};
  json["options"] = unusual_options(s_, in_rows);
  json["test_images"] = before_.size();
  json["rows"] = csv_.json();
  Shape const shape = victim_.network.input();
  if (s_.method == "universal") {
    passes_.write(folder / "passes.csv");
    json["passes"] = passes_.json();
    for (auto const& [name, v] : perturbations_) {
      TensorFile file;
      Tensor t = tensor(as_image(shape, v));
      t.shape = {shape.channels, shape.height, shape.width};
      file.tensors["v"] = std::move(t);
      file.metadata["units"] = "pixels of [0, 1]";
      file.metadata["model"] = victim_.file.checksum;
      write_safetensors(folder / (name + ".safetensors"), file);
      write_picture(folder / name, shape, v);
    }
  }
  replace_text(folder / "summary.json", json.dump(2) + "\n");
  std::printf("\nResults are in %s: attack.csv, summary.json%s\n", folder.c_str(),
              s_.method == "universal" ? ", passes.csv, and each v as a tensor and a picture" : "");
}

}  // namespace experiment
