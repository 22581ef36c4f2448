// SPDX-License-Identifier: Apache-2.0
#include "certify.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "ascent.hpp"
#include "certify_report.hpp"
#include "host_certifier.hpp"
#include "in_parts.hpp"
#include "perturbation_report.hpp"
#include "quoted.hpp"
#include "signals.hpp"
#include "state_folder.hpp"
#include "status_line.hpp"
#include "text.hpp"

namespace experiment {

namespace {

using Clock = std::chrono::steady_clock;

constexpr Index batch = 25;  // what is lost where it is interrupted
constexpr char const* rows_in_state = "certified images";
constexpr char const* not_compiled =
    "certificates of this network are not compiled in (DETRAME_EXPERIMENT_CERTIFICATES)";

/// A row of the state: the image's five numbers, and two for each attack on it.
HostMatrix<double> matrix_of(std::vector<CertifiedRow> const& rows, Index attacks) {
  HostMatrix<double> all(static_cast<Index>(rows.size()), 5 + 2 * attacks);
  for (Index i = 0; i < all.rows(); ++i) {
    auto const& [image, attacked] = rows[static_cast<std::size_t>(i)];
    Index c = 0;
    for (double const number :
         {static_cast<double>(image.target), static_cast<double>(image.label),
          static_cast<double>(image.label_in_float), image.radius, image.in_real_arithmetic})
      all(i, c++) = number;
    for (auto const& both : attacked)
      for (AttackedLabel const& one : both)
        all(i, c++) = static_cast<double>(one.label), all(i, c++) = one.distance;
  }
  return all;
}

/// FormatError, which begins with `what`, where an entry is none that matrix_of writes.
std::vector<CertifiedRow> rows_of(HostMatrix<double> const& all, int classes, std::string const& what) {
  std::vector<CertifiedRow> rows;
  for (Index i = 0; i < all.rows(); ++i) {
    auto const checked = [&](Index c, bool valid, char const* expected) {
      if (!valid) throw FormatError(message(what, ": expected ", expected, ", found ", all(i, c)));
      return all(i, c);
    };
    auto const label = [&](Index c) {
      double const l = all(i, c);
      return static_cast<Index>(checked(c, l >= -1 && l < classes && l == std::floor(l), "a label, or -1"));
    };
    auto const length = [&](Index c) {
      return checked(c, all(i, c) >= 0 && std::isfinite(all(i, c)), "a length that is finite");
    };
    checked(3, all(i, 3) <= all(i, 4), "radii no larger than in real arithmetic");
    CertifiedRow row{{static_cast<int>(label(0)), label(1), length(3), length(4), label(2)}};
    for (Index c = 5; c < all.cols(); c += 4)
      row.attacked.push_back({AttackedLabel{label(c), length(c + 1)}, {label(c + 2), length(c + 3)}});
    rows.push_back(std::move(row));
  }
  return rows;
}

/// What predict says of images, -1 where two scores are the largest, or where it refuses one.
template <ScoreMap M>
std::vector<int> labels_or_refused(M& map, HostMatrix<ScalarOf<M>> const& x, Index first) {
  Index const sites = map.input().sites();
  std::vector<int> labels;
  in_parts(
      x, sites, first,
      [&](auto const& part, Index number) {
        auto const some =
            predicted_labels(map, to_device(map.backend(), part), {}, {}, part.cols() / sites, number);
        labels.insert(labels.end(), some.begin(), some.end());
      },
      [&] { labels.push_back(-1); });
  return labels;
}

/// The first of the largest scores, as a Certifier labels.
template <class Scalar>
Index label_of(HostMatrix<Scalar> const& y, Index j) {
  Index label = 0;
  for (Index i = 1; i < y.rows(); ++i)
    if (!(y(i, j) <= y(label, j))) label = i;
  return label;
}

/// What becomes of images that a map gives the labels `told`, under an attack; refused ones are wherever they
/// are refused, within the region.
template <ScoreMap M>
std::vector<AttackedLabel> attacked(M& map, HostMatrix<ScalarOf<M>> const& x, std::span<int const> told,
                                    Index first, AttackSettings const& settings, AttackRegion const& region) {
  Index const size = map.input().size(), sites = map.input().sites();
  std::vector<AttackedLabel> found;
  in_parts(
      x, sites, first,
      [&](auto const& part, Index number) {
        Index const n = part.cols() / sites;
        auto const of_part =
            told.subspan(static_cast<std::size_t>(number - first), static_cast<std::size_t>(n));
        auto const z = ascended(map, part, of_part, settings, region, 0, number);
        auto const there = to_device(map.backend(), z);
        auto const y = detail::finite_scores("certify", map, ConstView<typename M::Backend>(there),
                                             detail::NumberedFrom{number});
        for (Index j = 0; j < n; ++j)
          found.push_back({label_of(y, j), detail::length_from_above(size, [&](Index i) {
                             return static_cast<double>(z.data()[j * size + i]) -
                                    static_cast<double>(part.data()[j * size + i]);
                           })});
      },
      [&] { found.push_back({-1, region.epsilon}); });
  return found;
}

/// A model, its images, what is proved of them and what attacks find.
class Certification {
 public:
  explicit Certification(CertifyAsked asked)
      : asked_(std::move(asked)),
        folder_(asked_.out, "certify.safetensors", asked_.resume, "certificates: --resume goes on with them"),
        victim_(asked_.at) {
    settings_.method = asked_.attack;
    settings_.steps = usual_steps(asked_.attack);
    Entry const& entry = *victim_.model.entry;
    if (asked_.epsilon.empty())
      asked_.epsilon = entry.shape.height == 28 ? std::vector<double>{.3, 1, 1.58}
                                                : std::vector<double>{36. / 255, 72. / 255, 108. / 255};
    images_ = pixel_images(victim_.model, asked_.at, Part::test, asked_.at.limit);
    if (entry.make_certifier != nullptr) {
      status_.show("constants");
      auto const begin = Clock::now();
      certifier_ = entry.make_certifier(victim_.file.content, asked_.at.place.threads);
      twin_.emplace(*certifier_, entry, asked_.at.place.threads);
      twin_pixels_.emplace(*twin_, victim_.scale.mean, victim_.scale.deviation);
      auto const of_none = certifier_->certified(HostMatrix<double>(entry.shape.channels, 0), 1);
      claim_ = of_none.claim, why_ = of_none.why;
      times_.constants = seconds_since(begin);
      status_.clear();
    }
    take_rows();
  }

  int run() {
    Index const n = images_.samples();
    while (done() < n) {
      status_.show(message("certify: image ", done(), " of ", n));
      Index const count = std::min(batch, n - done());
      if (!(certifier_ ? take(*twin_pixels_, count) : take(victim_.pixels, count))) return stopped();
      if (folder_.due()) save();
    }
    status_.clear();
    save();
    CertifyReport const report{victim_, asked_, certifier_ ? &certifier_->bound() : nullptr,
                               claim_,  why_,   rows_};
    report.print(times_);
    if (!asked_.out.empty()) report.write();
    report.require_consistent();
    return 0;
  }

 private:
  static double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }
  Index done() const { return static_cast<Index>(rows_.size()); }
  Index attacks() const {
    return asked_.attack == "none" ? 0 : 2 * static_cast<Index>(asked_.epsilon.size());
  }

  /// Those that another process left, which was about the same.
  void take_rows() {
    TensorFile& state = folder_.state;
    for (auto const& [key, now] : {std::pair<std::string, std::string>{"checksum", victim_.file.checksum},
                                   {"test fingerprint", fingerprint(images_)},
                                   {"--epsilon", joined(asked_.epsilon, ",")},
                                   {"--attack", asked_.attack},
                                   {"--limit", number_text(asked_.at.limit)},
                                   {"claim", certifier_ ? name(claim_) : not_compiled},
                                   {"written by", version_text()},
                                   {"--device", asked_.at.place.device}}) {
      if (folder_.found() && text_of(state, key) != now)
        throw DomainError(message(asked_.out.string(), " holds certificates with ", key, " ",
                                  text_of(state, key), ", which cannot become ", now, " on the way"));
      state.metadata[key] = now;
    }
    auto const rows = state.tensors.find(rows_in_state);
    if (rows == state.tensors.end()) return;
    std::string const full = message(state.name, ": tensor ", rows_in_state);
    auto const all = host_matrix<double>(rows->second, full);
    if (all.cols() != 5 + 2 * attacks() || all.rows() > images_.samples())
      throw FormatError(message(full, ": expected at most ", images_.samples(), " x ", 5 + 2 * attacks(),
                                ", found ", all.rows(), " x ", all.cols()));
    rows_ = rows_of(all, victim_.model.entry->classes, full);
  }

  void save() {
    folder_.state.tensors[rows_in_state] = tensor(matrix_of(rows_, attacks()));
    folder_.save();
  }

  int stopped() {
    status_.clear();
    if (asked_.out.empty()) {
      std::printf("Interrupted. With --out certificates can go on.\n");
      return 130;
    }
    save();
    std::printf("Interrupted; what was done is in %s. To go on:\n  %s%s --resume\n", asked_.out.c_str(),
                command_of(asked_).c_str(), with_value("--out", asked_.out).c_str());
    return 130;
  }

  /// Certifies and attacks the next images by a map of pixels: the twin's, where it is compiled in. False
  /// where it was interrupted before the last of all.
  template <ScoreMap M>
  bool take(M& map, Index count) {
    Index const first = done();
    auto const x = batch_of(images_, first, count);
    auto const exact = host_matrix<ScalarOf<M>>(
        x.rows(), x.cols(), [&](Index i, Index j) { return static_cast<ScalarOf<M>>(x(i, j)); });
    auto const in_float = labels_or_refused(victim_.pixels, x, first);
    auto begin = Clock::now();
    std::vector<int> labels = in_float;
    Certificate c;
    if (certifier_) {
      auto z = host_matrix<double>(x.rows(), x.cols(), [&](Index i, Index j) { return double{x(i, j)}; });
      detail::normalise_rows(z, victim_.scale);
      // No two images of [0, 1] are further apart than rho.
      double const least = *std::min_element(victim_.scale.deviation.begin(), victim_.scale.deviation.end());
      c = certifier_->certified(z, std::sqrt(static_cast<double>(images_.shape.size())) / least);
      std::transform(c.label.begin(), c.label.end(), labels.begin(),
                     [](Index label) { return static_cast<int>(label); });
      // Of two largest scores c has the first, and proves nothing.
      if (std::count(c.in_real_arithmetic.begin(), c.in_real_arithmetic.end(), 0.) > 0)
        labels = labels_or_refused(map, exact, first);
    }
    std::vector<CertifiedRow> rows;
    std::vector<int> told;  // attacked is what the network says, whether it is right or not
    for (std::size_t j = 0; j < in_float.size(); ++j) {
      int const target = images_.labels[static_cast<std::size_t>(first) + j];
      int const label = labels[j];
      auto const pixels = [&](std::vector<double> const& radii) {
        return certifier_ ? radius_in_pixels(radii[j], victim_.scale, images_.shape.sites()) : 0.;
      };
      rows.push_back(
          {{target, Index{label}, pixels(c.radius), pixels(c.in_real_arithmetic), Index{in_float[j]}}});
      told.push_back(label < 0 ? target : label);
    }
    times_.certificates += seconds_since(begin);
    begin = Clock::now();
    for (std::size_t e = 0; attacks() > 0 && e < asked_.epsilon.size(); ++e) {
      std::vector<AttackedLabel> within, beyond;
      for (auto* const found : {&within, &beyond}) {
        if (interrupted()) return false;
        auto const range = found == &within ? std::optional(PixelRange{}) : std::nullopt;
        *found = attacked(map, exact, told, first, settings_, {AttackNorm::l2, asked_.epsilon[e], range});
      }
      for (std::size_t j = 0; j < rows.size(); ++j) rows[j].attacked.push_back({within[j], beyond[j]});
    }
    times_.attacks += seconds_since(begin);
    rows_.insert(rows_.end(), rows.begin(), rows.end());
    return !interrupted() || done() == images_.samples();
  }

  CertifyAsked asked_;
  AttackSettings settings_{};  ///< of the attack
  StateFolder folder_;
  Victim victim_;
  ImageBytes<float> images_{};
  std::unique_ptr<HostCertifier> certifier_;
  std::optional<HostScores<double>> twin_;
  std::optional<PixelScores<HostScores<double>>> twin_pixels_;
  Claim claim_ = Claim::none;
  std::string why_ = not_compiled;
  std::vector<CertifiedRow> rows_;
  CertifyTimes times_;
  StatusLine status_ = status_line();
};

}  // namespace

int certify_model(CertifyAsked asked) {
  listen_to_signals();
  return Certification(std::move(asked)).run();
}

}  // namespace experiment
