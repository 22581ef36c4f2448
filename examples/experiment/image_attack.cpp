// SPDX-License-Identifier: Apache-2.0
#include "image_attack.hpp"

#include "ascent.hpp"
#include "attack_report.hpp"
#include "detrame/robust/deep_fool.hpp"

namespace experiment {

namespace {

HostMatrix<float> within(HostMatrix<float> z) {
  for (Index i = 0; i < z.rows() * z.cols(); ++i) z.data()[i] = std::clamp(z.data()[i], 0.f, 1.f);
  return z;
}

}  // namespace

ImageAttack::Found ImageAttack::deep_fooled(HostMatrix<float> const& x) {
  auto& cpu = victim_.network.backend();
  auto scaled = x;
  auto const found = with_map(victim_, s_, scaled, [&](auto& map) {
    return deep_fool(map, to_device(cpu, scaled),
                     {.norm = norm_of(s_.p),
                      .classes = std::min<Index>(10, victim_.network.classes()),
                      .overshoot = s_.overshoot,
                      .steps = s_.steps,
                      .first_image = done()});
  });
  Index const channels = x.rows();
  Found all{x, {}, {}};
  for (Index i = 0; i < x.rows() * x.cols(); ++i)
    all.z.data()[i] += static_cast<float>(
        double{found.v.data()[i]} *
        (s_.units == "network" ? victim_.scale.deviation[static_cast<std::size_t>(i % channels)] : 1.));
  all.z_clipped = within(all.z);
  for (DeepFoolImage const& image : found.images) all.steps.push_back(image.steps);
  return all;
}

ImageAttack::Found ImageAttack::attacked(HostMatrix<float> const& x, std::vector<int> const& targets) {
  if (s_.method == "deepfool") return deep_fooled(x);
  auto const moved = [&](std::optional<PixelRange> range) {
    return ascended(victim_.pixels, x, targets, s_, {norm_of(s_.p), xi_, range}, seed_, done());
  };
  return {moved(std::nullopt), moved(PixelRange{}), {}};
}

void ImageAttack::next(ImageBytes<float> const& images) {
  Index const first = done(), count = std::min(test_batch, images.samples() - first);
  auto& cpu = victim_.network.backend();
  auto const x = batch_of(images, first, count);
  std::vector<int> const targets(images.labels.begin() + first, images.labels.begin() + first + count);
  auto const found = attacked(x, targets);
  auto const labels = [&](HostMatrix<float> const& z) {
    return predicted_labels(victim_.pixels, to_device(cpu, z), {}, {}, count, first);
  };
  std::vector<int> const of[] = {labels(x), labels(found.z), labels(found.z_clipped)};
  HostMatrix<double> rows(first + count, columns);
  for (Index i = 0; i < first; ++i)
    for (Index c = 0; c < columns; ++c) rows(i, c) = rows_(i, c);
  Index const size = images.shape.size();
  for (Index j = 0; j < count; ++j) {
    Index const i = first + j;
    for (Index k = 0; k < 3; ++k) {
      int const now = of[k][static_cast<std::size_t>(j)];
      rows(i, label + k) = now;
      rows(i, right + k) = now == targets[static_cast<std::size_t>(j)];
    }
    float const *const before = x.data() + size * j, *const after = found.z.data() + size * j;
    auto const moved = [&](Index n) { return double{after[n]} - double{before[n]}; };
    rows(i, l2) = norm_in_double(AttackNorm::l2, size, moved);
    rows(i, l_inf) = norm_in_double(AttackNorm::l_inf, size, moved);
    double const energy = norm_in_double(AttackNorm::l2, size, [&](Index n) { return before[n]; });
    rows(i, of_energy) = energy > 0 ? std::pow(rows(i, l2) / energy, 2) : 0;
    rows(i, steps) = found.steps.empty() ? 0 : found.steps[static_cast<std::size_t>(j)];
  }
  rows_ = std::move(rows);
}

void store_images(HostMatrix<double> const& rows, std::string const& name, TensorFile& state) {
  state.tensors[name + ".images"] = tensor(rows);
}

HostMatrix<double> stored_images(TensorFile const& state, std::string const& name, Index images) {
  auto const found = state.tensors.find(name + ".images");
  if (found == state.tensors.end()) return HostMatrix<double>(0, ImageAttack::columns);
  std::string const full = message(state.name, ": tensor ", name, ".images");
  auto rows = host_matrix<double>(found->second, full);
  if (rows.cols() != ImageAttack::columns || rows.rows() > images)
    throw FormatError(message(full, ": expected at most ", images, " x ", int{ImageAttack::columns},
                              ", found ", rows.rows(), " x ", rows.cols()));
  return rows;
}

}  // namespace experiment
