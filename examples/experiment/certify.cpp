// SPDX-License-Identifier: Apache-2.0
#include "certify.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "certified_image.hpp"
#include "detrame/robust/apgd.hpp"
#include "detrame/robust/pgd.hpp"
#include "folder_lock.hpp"
#include "host_certifier.hpp"
#include "perturbation_report.hpp"
#include "quoted.hpp"
#include "status_line.hpp"
#include "victim.hpp"

namespace experiment {

namespace {

constexpr Index batch = 50;
constexpr char const* not_compiled =
    "certificates of this network are not compiled in (DETRAME_EXPERIMENT_CERTIFICATES)";

/// "36/255", as options read it, and whatever is no such part.
std::string length_text(double epsilon) {
  double const grey = std::round(255 * epsilon);
  return grey >= 1 && grey / 255 == epsilon && grey < 255 ? message(grey, "/255") : number_text(epsilon);
}

/// "same_label", as C++ names it.
char const* word(Claim claim) {
  return claim == Claim::same_label ? "same_label" : claim == Claim::none ? "none" : "same_label_or_refuses";
}

std::string command_of(CertifyAsked const& asked) {
  std::string command = "detrame-experiment certify" + with_value("--checkpoint", asked.at.checkpoint), list;
  if (!asked.at.data.empty()) command += with_value("--data", asked.at.data);
  for (double const epsilon : asked.epsilon) list += (list.empty() ? "" : ",") + length_text(epsilon);
  command += with_value("--epsilon", list) + with_value("--attack", asked.attack);
  if (asked.at.limit > 0) command += with_value("--limit", number_text(asked.at.limit));
  return command + with_value("--out", asked.out);
}

std::string text_of(Certified<double> const& number) {
  return number ? number_text(number.value()) : "none: " + number.reason();
}

/// f(path, bound) of each layer, "0.1" the second of the first.
template <class F>
void each_layer(NetworkBound const& bound, F const& f, std::string const& path = "") {
  if (bound.parts.empty()) return f(path, bound);
  for (std::size_t i = 0; i < bound.parts.size(); ++i)
    each_layer(bound.parts[i], f, message(path, path.empty() ? "" : ".", i));
}

/// A model, its images, what is proved of them and what attacks find.
class Certification {
 public:
  explicit Certification(CertifyAsked asked) : asked_(std::move(asked)), victim_(asked_.at) {
    Entry const& entry = *victim_.model.entry;
    if (asked_.epsilon.empty())
      asked_.epsilon = entry.shape.height == 28 ? std::vector<double>{.3, 1, 1.58}
                                                : std::vector<double>{36. / 255, 72. / 255, 108. / 255};
    images_ = pixel_images(victim_.model, asked_.at, Part::test, asked_.at.limit);
    if (!asked_.out.empty()) folder_.emplace(asked_.out), lock_.emplace(asked_.out);
    why_ = not_compiled;
    if (entry.make_certifier == nullptr) return;
    status_.show("constants");
    certifier_ = entry.make_certifier(victim_.file.content, asked_.at.place.threads);
    status_.clear();
  }

  void run() {
    attacks_.resize(asked_.epsilon.size());
    for (Index first = 0; first < images_.samples(); first += batch) {
      status_.show(message("certify: image ", first, " of ", images_.samples()));
      take(first, std::min(batch, images_.samples() - first));
    }
    status_.clear();
    print();
    if (!asked_.out.empty()) write();
    require_consistent();
  }

 private:
  bool proves() const { return claim_ != Claim::none; }
  bool attacks() const { return asked_.attack != "none"; }

  /// What the network reads, in double.
  HostMatrix<double> scaled(HostMatrix<float> const& pixels) const {
    return host_matrix<double>(pixels.rows(), pixels.cols(), [&](Index c, Index j) {
      auto const channel = static_cast<std::size_t>(c);
      return (double{pixels(c, j)} - victim_.scale.mean[channel]) / victim_.scale.deviation[channel];
    });
  }

  /// Certifies and attacks some images.
  void take(Index first, Index count) {
    auto const x = batch_of(images_, first, count);
    auto const at = static_cast<std::size_t>(first);
    auto& cpu = victim_.network.backend();
    auto const in_float = predicted_labels(victim_.pixels, to_device(cpu, x));
    Certificate c;
    if (certifier_) {
      // No two images of [0, 1] are further apart than rho.
      double const least = *std::min_element(victim_.scale.deviation.begin(), victim_.scale.deviation.end());
      c = certifier_->certified(scaled(x), std::sqrt(static_cast<double>(images_.shape.size())) / least);
      claim_ = c.claim, why_ = c.why;
    }
    std::vector<int> told;  // attacked is what the network says, whether it is right or not
    for (std::size_t j = 0; j < in_float.size(); ++j) {
      Index const label = certifier_ ? c.label[j] : Index{in_float[j]};
      auto const pixels = [&](std::vector<double> const& radii) {
        return certifier_ ? radius_in_pixels(radii[j], victim_.scale, images_.shape.sites()) : 0.;
      };
      rows_.push_back({images_.labels[at + j], label, pixels(c.radius), pixels(c.in_real_arithmetic)});
      told.push_back(static_cast<int>(label < 0 ? Index{images_.labels[at + j]} : label));
      differ_ += label != in_float[j];
    }
    for (std::size_t e = 0; attacks() && e < attacks_.size(); ++e)
      attack(x, told, first, asked_.epsilon[e], attacks_[e]);
  }

  void attack(HostMatrix<float> const& x, std::vector<int> const& told, Index first, double epsilon,
              std::vector<AttackedLabel>& all) {
    auto const images = to_device(victim_.network.backend(), x);
    AttackRegion const region{.norm = AttackNorm::l2, .epsilon = epsilon, .range = PixelRange{}};
    auto const found = asked_.attack == "apgd"
                           ? apgd(victim_.pixels, images, told, {.region = region, .first_image = first})
                           : pgd(victim_.pixels, images, told,
                                 {.region = region,
                                  .step = 2.5 * epsilon / 40,
                                  .steps = 40,
                                  .random_start = true,
                                  .first_image = first});
    std::vector<Index> labels;
    if (certifier_)
      labels = certifier_->labels(scaled(found.x));
    else
      for (auto const& image : found.images) labels.push_back(image.fooled_label);
    Index const size = images_.shape.size();
    for (std::size_t j = 0; j < labels.size(); ++j) {
      Index const begin = static_cast<Index>(j) * size;
      all.push_back({labels[j], detail::length_from_above(size, [&](Index i) {
                       return double{found.x.data()[begin + i]} - double{x.data()[begin + i]};
                     })});
    }
  }

  template <class Has>
  double share(Has const& has) const {
    Index n = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) n += has(i);
    return static_cast<double>(n) / static_cast<double>(rows_.size());
  }
  double clean() const {
    return share([&](std::size_t i) { return rows_[i].correct(); });
  }
  double refused() const {
    return share([&](std::size_t i) { return certifier_ && rows_[i].label < 0; });
  }
  double certified(double epsilon) const {
    return share([&](std::size_t i) { return rows_[i].certified(epsilon); });
  }
  double certified_in_real_arithmetic(double epsilon) const {
    return share([&](std::size_t i) { return rows_[i].correct() && rows_[i].in_real_arithmetic >= epsilon; });
  }
  double robust(std::size_t e) const {
    return share(
        [&](std::size_t i) { return rows_[i].correct() && attacks_[e][i].label == rows_[i].target; });
  }

  void print() const {
    std::printf("%s on %td test images of %s\n", options_of(*victim_.model.entry).c_str(), images_.samples(),
                victim_.model.dataset.c_str());
    if (proves())
      std::printf(
          "Proved: %s, by the network with these parameters in double on this machine, for r an l2 "
          "distance in pixels of [0, 1].\n",
          name(claim_).c_str());
    else
      std::printf("No certificate: %s.\n", why_.c_str());
    if (proves() && !why_.empty()) std::printf("  Not more: %s.\n", why_.c_str());
    if (certifier_) {
      std::printf(
          "\n  layer                                          Lipschitz     rounding: share, and part\n");
      each_layer(certifier_->bound(), [](std::string const& path, NetworkBound const& layer) {
        std::printf("  %-10s %-33s %-12s", path.c_str(), layer.name.substr(0, 33).c_str(),
                    layer.lipschitz ? message(layer.lipschitz.value()).c_str() : "none");
        if (layer.deviation)
          std::printf("  %.2g %.2g%s", layer.deviation.value().relative, layer.deviation.value().absolute,
                      layer.deviation.value().may_refuse ? ", or refuses" : "");
        std::printf("\n");
        for (auto const& why : {layer.lipschitz.reason(), layer.deviation.reason()})
          if (!why.empty()) std::printf("             %s\n", why.c_str());
      });
      std::printf("  %-44s %s\n", "all", text_of(certifier_->bound().lipschitz).c_str());
      std::printf("\n%.2f %% refused; float says another label than double of %td images.\n", 100 * refused(),
                  differ_);
    }
    std::printf("\n  epsilon      clean %%   certified %%   without rounding %%   attacked %% (%s)\n",
                asked_.attack.c_str());
    for (std::size_t e = 0; e < attacks_.size(); ++e) {
      double const epsilon = asked_.epsilon[e];
      std::printf("  %-10s %9.2f", length_text(epsilon).c_str(), 100 * clean());
      if (proves())
        std::printf("   %11.2f   %18.2f", 100 * certified(epsilon),
                    100 * certified_in_real_arithmetic(epsilon));
      else
        std::printf("   %11s   %18s", "", "");
      if (attacks()) std::printf("   %10.2f", 100 * robust(e));
      std::printf("\n");
    }
    std::fflush(stdout);
  }

  void write() const {
    ResultsFile each(
        "image,target,label,radius,radius_in_real_arithmetic,claim,epsilon,certified,attacked_label,"
        "distance");
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      CertifiedImage const& image = rows_[i];
      for (std::size_t e = 0; e < attacks_.size(); ++e) {
        auto const if_proved = [&](auto number) { return proves() ? number_text(number) : ""; };
        each.add({number_text(i), number_text(image.target), number_text(image.label),
                  if_proved(image.radius), if_proved(image.in_real_arithmetic), word(claim_),
                  number_text(asked_.epsilon[e]), if_proved(int{image.certified(asked_.epsilon[e])}),
                  attacks() ? number_text(attacks_[e][i].label) : "",
                  attacks() ? number_text(attacks_[e][i].distance) : ""});
      }
    }
    each.write(asked_.out / "certify.csv");
    ResultsFile rows("epsilon,images,clean_accuracy,certified,certified_in_real_arithmetic,attacked");
    for (std::size_t e = 0; e < attacks_.size(); ++e) {
      double const epsilon = asked_.epsilon[e];
      rows.add({number_text(epsilon), number_text(images_.samples()), number_text(clean()),
                proves() ? number_text(certified(epsilon)) : "",
                proves() ? number_text(certified_in_real_arithmetic(epsilon)) : "",
                attacks() ? number_text(robust(e)) : ""});
    }
    auto json = described(victim_, "certify", command_of(asked_), "certificate");
    json["claim"] = word(claim_);
    json["claim_in_words"] = proves() ? name(claim_) : "no certificate";
    json["why_not_more"] = why_;
    json["attack"] = asked_.attack;
    json["refused"] = refused();
    json["other_labels_in_float"] = differ_;
    auto layers = nlohmann::ordered_json::array();
    if (certifier_) {
      auto const number = [](Certified<double> const& found) {
        return found ? nlohmann::ordered_json(found.value()) : nlohmann::ordered_json(found.reason());
      };
      json["lipschitz"] = number(certifier_->bound().lipschitz);
      each_layer(certifier_->bound(), [&](std::string const& path, NetworkBound const& layer) {
        layers.push_back({{"layer", path}, {"name", layer.name}, {"lipschitz", number(layer.lipschitz)}});
      });
    }
    json["layers"] = layers;
    json["rows"] = rows.json();
    replace_text(asked_.out / "summary.json", json.dump(2) + "\n");
    std::printf("\nResults are in %s: certify.csv, summary.json\n", asked_.out.c_str());
    std::fflush(stdout);
  }

  /// No attack may succeed where a certificate says so.
  void require_consistent() const {
    std::string all;
    for (std::size_t i = 0; i < rows_.size(); ++i)
      for (auto const& attacked : attacks_)
        if (attacks() && contradicts(rows_[i], attacked[i], claim_ == Claim::same_label_or_refuses))
          all += message("\n  image ", i, ": label ", rows_[i].label, " is certified within ",
                         number_text(rows_[i].radius), ", and is ", attacked[i].label, " at a distance of ",
                         number_text(attacked[i].distance));
    if (!all.empty())
      throw std::runtime_error("certificates are wrong: attacks succeed within their radii" + all);
  }

  CertifyAsked asked_;
  Victim victim_;
  std::optional<MadeFolder> folder_;
  std::optional<FolderLock> lock_;
  ImageBytes<float> images_{};
  std::unique_ptr<HostCertifier> certifier_;
  Claim claim_ = Claim::none;
  std::string why_;
  std::vector<CertifiedImage> rows_;
  std::vector<std::vector<AttackedLabel>> attacks_;  ///< of each epsilon, of each image
  Index differ_ = 0;
  StatusLine status_ = status_line();
};

}  // namespace

void certify_model(CertifyAsked const& asked) { Certification(asked).run(); }

}  // namespace experiment
