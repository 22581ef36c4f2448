// SPDX-License-Identifier: Apache-2.0
#include "certify.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "certify_report.hpp"
#include "detrame/robust/apgd.hpp"
#include "detrame/robust/pgd.hpp"
#include "folder_lock.hpp"
#include "host_certifier.hpp"
#include "perturbation_report.hpp"
#include "quoted.hpp"
#include "signals.hpp"
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

template <class Scalar>
HostMatrix<Scalar> columns_of(HostMatrix<Scalar> const& x, Index first, Index count) {
  return host_matrix<Scalar>(x.rows(), count, [&](Index i, Index j) { return x(i, first + j); });
}

/// What predict says of images, -1 where two scores are the largest, or where it refuses one.
template <ScoreMap M>
std::vector<int> labels_or_refused(M& map, HostMatrix<ScalarOf<M>> const& x, Index first) {
  Index const sites = map.input().sites(), n = x.cols() / sites;
  try {
    return predicted_labels(map, to_device(map.backend(), x), {}, {}, n, first);
  } catch (NotCertified const&) {  // of one image at least
    if (n == 1) return {-1};
  }
  auto labels = labels_or_refused(map, columns_of(x, 0, n / 2 * sites), first);
  auto const rest =
      labels_or_refused(map, columns_of(x, n / 2 * sites, x.cols() - n / 2 * sites), first + n / 2);
  labels.insert(labels.end(), rest.begin(), rest.end());
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

/// An attack on images that a map gives the labels `told`, which has numbers from `first` on.
struct LabelAttack {
  std::string const& method;
  AttackRegion region;

  template <ScoreMap M>
  HostMatrix<ScalarOf<M>> ascended(M& map, HostMatrix<ScalarOf<M>> const& x, std::span<int const> told,
                                   Index first) const {
    auto const images = to_device(map.backend(), x);
    if (method == "apgd") return apgd(map, images, told, {.region = region, .first_image = first}).x;
    return pgd(map, images, told,
               {.region = region,
                .step = 2.5 * region.epsilon / 40,
                .steps = 40,
                .random_start = true,
                .first_image = first})
        .x;
  }

  /// What became of each: refused ones are wherever they are refused, within the region.
  template <ScoreMap M>
  void operator()(M& map, HostMatrix<ScalarOf<M>> const& x, std::span<int const> told, Index first,
                  std::vector<AttackedLabel>& found) const {
    auto const n = static_cast<Index>(told.size());
    Index const size = map.input().size(), sites = map.input().sites();
    try {
      auto const z = ascended(map, x, told, first);
      auto const there = to_device(map.backend(), z);
      auto const y = detail::finite_scores("certify", map, ConstView<typename M::Backend>(there),
                                           detail::NumberedFrom{first});
      for (Index j = 0; j < n; ++j)
        found.push_back({label_of(y, j), detail::length_from_above(size, [&](Index i) {
                           return static_cast<double>(z.data()[j * size + i]) -
                                  static_cast<double>(x.data()[j * size + i]);
                         })});
      return;
    } catch (NotCertified const&) {  // of one image at least
    }
    if (n == 1) return found.push_back({-1, region.epsilon});
    auto const half = static_cast<std::size_t>(n / 2);
    (*this)(map, columns_of(x, 0, n / 2 * sites), told.first(half), first, found);
    (*this)(map, columns_of(x, n / 2 * sites, x.cols() - n / 2 * sites), told.subspan(half), first + n / 2,
            found);
  }
};

/// A model, its images, what is proved of them and what attacks find.
class Certification {
 public:
  explicit Certification(CertifyAsked asked) : asked_(std::move(asked)), victim_(asked_.at) {
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
    if (!asked_.out.empty()) take_state();
  }

  int run() {
    Index const n = images_.samples();
    while (done() < n) {
      status_.show(message("certify: image ", done(), " of ", n));
      Index const count = std::min(batch, n - done());
      if (!(certifier_ ? take(*twin_pixels_, count) : take(victim_.pixels, count))) return stopped();
      if (Clock::now() - saved_ > std::chrono::seconds(60)) save();
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
  std::filesystem::path state_file() const { return asked_.out / "certify.safetensors"; }

  /// The folder, and what another process left there.
  void take_state() {
    folder_.emplace(asked_.out), lock_.emplace(asked_.out);
    require_none_of_others(asked_.out, state_file().filename().c_str());
    std::error_code none;
    bool const found = std::filesystem::exists(state_file(), none);
    if (found && !asked_.resume)
      throw DomainError(message(asked_.out.string(),
                                " holds certificates: --resume goes on with them; for others ",
                                "another folder"));
    if (found) state_ = read_safetensors(state_file());
    for (auto const& [key, now] : {std::pair<std::string, std::string>{"checksum", victim_.file.checksum},
                                   {"test fingerprint", fingerprint(images_)},
                                   {"--epsilon", joined(asked_.epsilon, ",")},
                                   {"--attack", asked_.attack},
                                   {"--limit", number_text(asked_.at.limit)},
                                   {"claim", certifier_ ? name(claim_) : not_compiled},
                                   {"written by", version_text()},
                                   {"--device", asked_.at.place.device}}) {
      if (found && text_of(state_, key) != now)
        throw DomainError(message(asked_.out.string(), " holds certificates with ", key, " ",
                                  text_of(state_, key), ", which cannot become ", now, " on the way"));
      state_.metadata[key] = now;
    }
    auto const rows = state_.tensors.find(rows_in_state);
    if (rows == state_.tensors.end()) return;
    std::string const full = message(state_.name, ": tensor ", rows_in_state);
    auto const all = host_matrix<double>(rows->second, full);
    if (all.cols() != 5 + 2 * attacks() || all.rows() > images_.samples())
      throw FormatError(message(full, ": expected at most ", images_.samples(), " x ", 5 + 2 * attacks(),
                                ", found ", all.rows(), " x ", all.cols()));
    rows_ = rows_of(all, victim_.model.entry->classes, full);
  }

  void save() {
    if (asked_.out.empty()) return;
    state_.tensors[rows_in_state] = tensor(matrix_of(rows_, attacks()));
    write_safetensors(state_file(), state_);
    saved_ = Clock::now();
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

  /// What the network reads, in double.
  HostMatrix<double> scaled(HostMatrix<float> const& pixels) const {
    return host_matrix<double>(pixels.rows(), pixels.cols(), [&](Index c, Index j) {
      auto const channel = static_cast<std::size_t>(c);
      return (double{pixels(c, j)} - victim_.scale.mean[channel]) / victim_.scale.deviation[channel];
    });
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
    auto const labels = certifier_ ? labels_or_refused(map, exact, first) : in_float;
    Certificate c;
    if (certifier_) {
      // No two images of [0, 1] are further apart than rho.
      double const least = *std::min_element(victim_.scale.deviation.begin(), victim_.scale.deviation.end());
      c = certifier_->certified(scaled(x), std::sqrt(static_cast<double>(images_.shape.size())) / least);
    }
    std::vector<CertifiedRow> rows;
    std::vector<int> told;  // attacked is what the network says, whether it is right or not
    for (std::size_t j = 0; j < in_float.size(); ++j) {
      int const target = images_.labels[static_cast<std::size_t>(first) + j];
      Index const label = labels[j];
      auto const pixels = [&](std::vector<double> const& radii) {
        return certifier_ ? radius_in_pixels(radii[j], victim_.scale, images_.shape.sites()) : 0.;
      };
      rows.push_back({{target, label, pixels(c.radius), pixels(c.in_real_arithmetic), Index{in_float[j]}}});
      told.push_back(label < 0 ? target : static_cast<int>(label));
    }
    times_.certificates += seconds_since(begin);
    begin = Clock::now();
    for (std::size_t e = 0; attacks() > 0 && e < asked_.epsilon.size(); ++e) {
      std::vector<AttackedLabel> within, beyond;
      for (auto* const found : {&within, &beyond}) {
        if (interrupted()) return false;
        auto const range = found == &within ? std::optional(PixelRange{}) : std::nullopt;
        LabelAttack const attack{asked_.attack,
                                 {.norm = AttackNorm::l2, .epsilon = asked_.epsilon[e], .range = range}};
        attack(map, exact, told, first, *found);
      }
      for (std::size_t j = 0; j < rows.size(); ++j) rows[j].attacked.push_back({within[j], beyond[j]});
    }
    times_.attacks += seconds_since(begin);
    rows_.insert(rows_.end(), rows.begin(), rows.end());
    return !interrupted() || done() == images_.samples();
  }

  CertifyAsked asked_;
  Victim victim_;
  std::optional<MadeFolder> folder_;
  std::optional<FolderLock> lock_;
  TensorFile state_;
  ImageBytes<float> images_{};
  std::unique_ptr<HostCertifier> certifier_;
  std::optional<HostScores<double>> twin_;
  std::optional<PixelScores<HostScores<double>>> twin_pixels_;
  Claim claim_ = Claim::none;
  std::string why_ = not_compiled;
  std::vector<CertifiedRow> rows_;
  CertifyTimes times_;
  Clock::time_point saved_ = Clock::now();
  StatusLine status_ = status_line();
};

}  // namespace

int certify_model(CertifyAsked asked) {
  listen_to_signals();
  return Certification(std::move(asked)).run();
}

}  // namespace experiment
