// SPDX-License-Identifier: Apache-2.0
#include "certify_report.hpp"

#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "perturbation_report.hpp"
#include "quoted.hpp"
#include "text.hpp"

namespace experiment {

namespace {

/// "same_label", as C++ names it.
char const* word(Claim claim) {
  return claim == Claim::same_label ? "same_label" : claim == Claim::none ? "none" : "same_label_or_refuses";
}

/// "36/255", and whatever is no such part.
std::string length_text(double epsilon) {
  double const grey = std::round(255 * epsilon);
  return grey >= 1 && grey / 255 == epsilon && grey < 255 ? message(grey, "/255") : number_text(epsilon);
}

/// f(path, bound) of each layer, "0.1" the second of the first.
template <class F>
void each_layer(NetworkBound const& bound, F const& f, std::string const& path = "") {
  if (bound.parts.empty()) return f(path, bound);
  for (std::size_t i = 0; i < bound.parts.size(); ++i)
    each_layer(bound.parts[i], f, message(path, path.empty() ? "" : ".", i));
}

void print_bound(NetworkBound const& bound) {
  std::printf("\n  %-63s %-20s rounding: share, and part\n", "layer", "Lipschitz");
  each_layer(bound, [](std::string const& path, NetworkBound const& layer) {
    std::printf("  %-10s %-52s %-20s", path.c_str(), layer.name.c_str(),
                layer.lipschitz ? number_text(layer.lipschitz.value()).c_str() : "none");
    if (layer.deviation)
      std::printf("  %.2g %.2g%s", layer.deviation.value().relative, layer.deviation.value().absolute,
                  layer.deviation.value().may_refuse ? ", or refuses" : "");
    std::printf("\n");
    for (auto const& why : {layer.lipschitz.reason(), layer.deviation.reason()})
      if (!why.empty()) std::printf("             %s\n", why.c_str());
  });
  std::printf("  %-63s %s\n", "all",
              bound.lipschitz ? number_text(bound.lipschitz.value()).c_str()
                              : message("none: ", bound.lipschitz.reason()).c_str());
}

}  // namespace

std::string command_of(CertifyAsked const& asked) {
  std::string command = "detrame-experiment certify" + with_value("--checkpoint", asked.at.checkpoint);
  if (!asked.at.data.empty()) command += with_value("--data", asked.at.data);
  command += with_value("--epsilon", joined(asked.epsilon, ",")) + with_value("--attack", asked.attack);
  if (asked.at.limit > 0) command += with_value("--limit", number_text(asked.at.limit));
  if (asked.at.place.device != "cpu") command += with_value("--device", asked.at.place.device);
  return command;
}

CertifyReport::Level CertifyReport::level(std::size_t e) const {
  double const epsilon = asked.epsilon[e];
  auto const keeps = [&](std::size_t which) {
    return share([&](CertifiedRow const& row) {
      return row.image.correct() && attacks() && row.attacked[e][which].label == row.image.target;
    });
  };
  return {share([](CertifiedRow const& row) { return row.image.correct(); }),
          share([&](CertifiedRow const& row) { return row.image.certified(epsilon); }),
          share([&](CertifiedRow const& row) {
            return row.image.correct() && row.image.in_real_arithmetic >= epsilon;
          }),
          keeps(0), keeps(1)};
}

double CertifyReport::without_label() const {
  return share([&](CertifiedRow const& row) { return bound != nullptr && row.image.label < 0; });
}

double CertifyReport::radius_at(double quantile) const {
  std::vector<double> radii;
  for (CertifiedRow const& row : rows) radii.push_back(row.image.radius);
  auto const at = static_cast<std::size_t>(quantile * static_cast<double>(radii.size() - 1));
  std::nth_element(radii.begin(), radii.begin() + static_cast<std::ptrdiff_t>(at), radii.end());
  return radii[at];
}

Index CertifyReport::other_labels() const {
  return std::count_if(rows.begin(), rows.end(),
                       [](CertifiedRow const& row) { return row.image.label_in_float != row.image.label; });
}

void CertifyReport::print(CertifyTimes const& times) const {
  std::printf("%s on %zu test images of %s\n", options_of(*victim.model.entry).c_str(), rows.size(),
              victim.model.dataset.c_str());
  if (proves())
    std::printf(
        "Proved: %s, by the network with these parameters in double on this machine, for r an l2 "
        "distance in pixels of [0, 1].\n",
        name(claim).c_str());
  else
    std::printf("No certificate: %s.\n", why.c_str());
  if (proves() && !why.empty()) std::printf("  Not more: %s.\n", why.c_str());
  if (bound != nullptr) {
    print_bound(*bound);
    std::printf(
        "\n%.2f %% without a label, refused or by two largest scores; float says another one than double of "
        "%td images.\n",
        100 * without_label(), other_labels());
    if (proves())
      std::printf("Radii: median %s, largest %s.\n", number_text(radius_at(.5)).c_str(),
                  number_text(radius_at(1)).c_str());
  }
  std::printf("\n  epsilon      clean %%   certified %%   without rounding %%");
  if (attacks()) std::printf("   attacked %% (%s)   not clipped %%", asked.attack.c_str());
  std::printf("\n");
  for (std::size_t e = 0; e < asked.epsilon.size(); ++e) {
    Level const now = level(e);
    std::printf("  %-10s %9.2f", length_text(asked.epsilon[e]).c_str(), 100 * now.clean);
    if (proves())
      std::printf("   %11.2f   %18.2f", 100 * now.certified, 100 * now.in_real_arithmetic);
    else
      std::printf("   %11s   %18s", "", "");
    if (attacks())
      std::printf("   %*.2f   %13.2f", static_cast<int>(asked.attack.size()) + 13, 100 * now.attacked,
                  100 * now.attacked_beyond);
    std::printf("\n");
  }
  std::printf("\nIt took %.1f s for the constants, %.1f s for the certificates, %.1f s for the attacks.\n",
              times.constants, times.certificates, times.attacks);
  std::fflush(stdout);
}

void CertifyReport::write() const {
  ResultsFile each(
      "image,target,label,label_in_float,radius,radius_in_real_arithmetic,claim,epsilon,certified,"
      "attacked_label,distance,not_clipped_label,not_clipped_distance");
  ResultsFile levels(
      "epsilon,images,clean_accuracy,certified,certified_in_real_arithmetic,attacked,attacked_not_clipped");
  auto const if_proved = [&](auto number) { return proves() ? number_text(number) : ""; };
  auto const if_attacked = [&](auto number) { return attacks() ? number_text(number) : ""; };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CertifiedImage const& image = rows[i].image;
    for (std::size_t e = 0; e < asked.epsilon.size(); ++e) {
      auto const [within, beyond] = attacks() ? rows[i].attacked[e] : std::array<AttackedLabel, 2>{};
      each.add({number_text(i), number_text(image.target), number_text(image.label),
                number_text(image.label_in_float), if_proved(image.radius),
                if_proved(image.in_real_arithmetic), word(claim), number_text(asked.epsilon[e]),
                if_proved(int{image.certified(asked.epsilon[e])}), if_attacked(within.label),
                if_attacked(within.distance), if_attacked(beyond.label), if_attacked(beyond.distance)});
    }
  }
  each.write(asked.out / "certify.csv");
  for (std::size_t e = 0; e < asked.epsilon.size(); ++e) {
    Level const now = level(e);
    levels.add({number_text(asked.epsilon[e]), number_text(rows.size()), number_text(now.clean),
                if_proved(now.certified), if_proved(now.in_real_arithmetic), if_attacked(now.attacked),
                if_attacked(now.attacked_beyond)});
  }
  auto json = described(victim, "certify", command_of(asked) + with_value("--out", asked.out), "certificate");
  json["claim"] = word(claim);
  json["claim_in_words"] = proves() ? name(claim) : "no certificate";
  json["why_not_more"] = why;
  json["attack"] = asked.attack;
  json["without_label"] = without_label();
  json["contradicted"] = contradictions().size();
  json["other_labels_in_float"] = other_labels();
  auto layers = nlohmann::ordered_json::array();
  if (bound != nullptr) {
    auto const number = [](Certified<double> const& found) {
      return found ? nlohmann::ordered_json(found.value()) : nlohmann::ordered_json(found.reason());
    };
    json["lipschitz"] = number(bound->lipschitz);
    each_layer(*bound, [&](std::string const& path, NetworkBound const& layer) {
      layers.push_back({{"layer", path}, {"name", layer.name}, {"lipschitz", number(layer.lipschitz)}});
    });
  }
  json["layers"] = layers;
  json["rows"] = levels.json();
  replace_text(asked.out / "summary.json", json.dump(2) + "\n");
  std::printf("\nResults are in %s: certify.csv, summary.json\n", asked.out.c_str());
  std::fflush(stdout);
}

std::vector<std::string> CertifyReport::contradictions() const {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (auto const& both : rows[i].attacked)
      for (AttackedLabel const& attacked : both)
        if (CertifiedImage const& image = rows[i].image;
            contradicts(image, attacked, claim == Claim::same_label_or_refuses))
          all.push_back(message("image ", i, ": label ", image.label, " is certified within ",
                                number_text(image.radius), ", and is ", attacked.label, " at a distance of ",
                                number_text(attacked.distance)));
  return all;
}

void CertifyReport::require_consistent() const {
  if (auto const all = contradictions(); !all.empty())
    throw std::runtime_error("certificates are wrong: attacks succeed within their radii\n  " +
                             joined(all, "\n  "));
}

}  // namespace experiment
