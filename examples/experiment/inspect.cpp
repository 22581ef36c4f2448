// SPDX-License-Identifier: Apache-2.0
#include "inspect.hpp"

#include <cmath>
#include <cstdio>
#include <map>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/core/parameters.hpp"
#include "detrame/io/safetensors.hpp"
#include "detrame/prox/bounds.hpp"

namespace experiment {

ImageBytes<float> pixel_images(Model const& model, Inspected const& asked, Part part, Index limit) {
  DataSet const& set = find_data_set(model.dataset);
  auto const folder = data_folder(set, asked.data);
  auto data = read_images(set, folder, part, limit);
  if (data.samples() == 0)
    throw FormatError(message(folder.string(), ": expected ", part == Part::train ? "training" : "test",
                              " images, found none"));
  return data;
}

ImageBytes<float> test_images(Model const& model, Inspected const& asked) {
  auto data = pixel_images(model, asked, Part::test, asked.limit);
  scale_images(data, model.scale);
  return data;
}

namespace {

/// A tensor N x C x H x W of pixels, F32 in [0, 1] or U8, of which 255 is 1, as a batch, scaled as the model
/// has it.
HostMatrix<float> images_of(TensorFile const& file, Model const& model) {
  auto const found = file.tensors.find("images");
  if (found == file.tensors.end())
    throw FormatError(message(file.name, ": tensor images: expected one, found no such tensor"));
  Tensor const& t = found->second;
  Shape const in = model.entry->shape;
  Index const n = t.shape.empty() ? 0 : t.shape[0];
  bool const bytes = t.dtype == DType::u8;
  if ((!bytes && t.dtype != DType::f32) || t.shape != std::vector<Index>{n, in.channels, in.height, in.width})
    throw FormatError(message(file.name, ": tensor images: expected N x ", in.channels, " x ", in.height,
                              " x ", in.width, " of F32 or U8, found ", shape_text(t.shape), " of ",
                              name(t.dtype)));
  LabelledImages<float> data{
      in, {in.channels, in.sites() * n}, std::vector<int>(static_cast<std::size_t>(n)), model.entry->classes};
  for (Index i = 0, entry = 0; i < n; ++i)
    for (Index c = 0; c < in.channels; ++c)
      for (Index site = 0; site < in.sites(); ++site, ++entry)
        if (float& x = data.images(c, i * in.sites() + site); bytes)
          x = static_cast<float>(t.bytes[static_cast<std::size_t>(entry)]) / 255.f;
        else if (std::memcpy(&x, t.bytes.data() + 4 * entry, 4); x < 0 || x > 1)
          throw FormatError(message(file.name, ": tensor images: expected pixels of F32 in [0, 1], found ", x,
                                    " in image ", i, "; bytes, of which 255 is 1, are U8"));
  scale_images(data, model.scale);
  return std::move(data.images);
}

std::vector<int> labels_of(TensorFile const& file, Index samples, int classes) {
  auto const found = file.tensors.find("labels");
  if (found == file.tensors.end() || found->second.shape != std::vector<Index>{samples})
    throw FormatError(
        message(file.name, ": tensor labels: expected ", samples, " whole numbers, found ",
                found == file.tensors.end() ? "no such tensor" : shape_text(found->second.shape)));
  std::vector<int> labels;
  for (std::int64_t const label : whole_numbers(found->second, file.name + ": tensor labels")) {
    if (label < 0 || label >= classes)
      throw FormatError(
          message(file.name, ": tensor labels: expected labels in 0 ... ", classes - 1, ", found ", label));
    labels.push_back(static_cast<int>(label));
  }
  return labels;
}

}  // namespace

void evaluate_model(Inspected const& asked) {
  Model const model = model_of(read_safetensors(model_in(asked.checkpoint)), asked.place);
  auto const data = test_images(model, asked);
  Tally const m = *test(*model.network, data);
  char loss[32];
  std::snprintf(loss, sizeof loss, m.loss() < 1e6 ? "%.6f" : "%.6g", m.loss());
  std::printf("%s on %td test images of %s: accuracy %.2f %% (%td correct), loss %s, %.1f images/s\n",
              options_of(*model.entry).c_str(), data.samples(), model.dataset.c_str(), 100 * m.accuracy(),
              m.correct(), loss, static_cast<double>(m.samples()) / m.seconds());
}

void predict_file(Inspected const& asked) {
  Model const model = model_of(read_safetensors(model_in(asked.checkpoint)), asked.place);
  auto const images = images_of(read_safetensors(asked.input), model);
  HostMatrix<float> const logits =
      scores_of(*model.network, images, model.entry->shape.sites(), model.entry->classes);
  TensorFile out;
  out.tensors["logits"] = tensor(logits);
  write_safetensors(asked.output, out);
  std::printf("logits, %td x %d, are in %s\n", logits.rows(), model.entry->classes, asked.output.c_str());
}

void gradient_file(Inspected const& asked) {
  Model const model = model_of(read_safetensors(model_in(asked.checkpoint)), asked.place);
  TensorFile const input = read_safetensors(asked.input);
  auto const images = images_of(input, model);
  auto const labels = labels_of(input, images.cols() / model.entry->shape.sites(), model.entry->classes);
  if (labels.empty()) throw DomainError(message(input.name, ": there are no images, so no mean loss"));
  TensorFile gradient = model.network->gradient(images, labels);
  require_finite_scores(host_matrix<float>(gradient.tensors.at("scores"), "scores"));
  gradient.tensors.erase("scores");
  require_finite_tensors(gradient);
  write_safetensors(asked.output, gradient);
  std::printf("the gradient over %zu images is in %s\n", labels.size(), asked.output.c_str());
}

void print_depth(Inspected const& asked) {
  TensorFile const file = read_safetensors(model_in(asked.checkpoint));
  Model const trained = model_of(file, asked.place);
  if (trained.entry->steps == 0)
    throw DomainError(message(file.name, ": ", trained.entry->net(), " has no Q-metric ReLU, so no T"));
  auto const data = test_images(trained, asked);
  std::printf("%s on %td test images of %s, with other T:\n\n", options_of(*trained.entry).c_str(),
              data.samples(), trained.dataset.c_str());
  std::printf("   T   accuracy %%      loss   ms an image   multiply-adds\n");
  for (Entry const& entry : compiled_networks()) {
    Entry const& t = *trained.entry;
    if (entry.family != t.family || entry.depth != t.depth || entry.widen != t.widen ||
        entry.shape != t.shape || entry.classes != t.classes || entry.steps == 0)
      continue;
    Model const model = model_of(file, asked.place, entry.steps);
    char const* const trained_with = entry.steps == t.steps ? "   trained with this T" : "";
    try {
      Tally const m = *test(*model.network, data);
      std::printf("  %2d   %10.2f  %8.4f   %11.4f   %13td%s\n", entry.steps, 100 * m.accuracy(), m.loss(),
                  1000 * m.seconds() / static_cast<double>(m.samples()), model.network->multiply_adds(),
                  trained_with);
    } catch (NotFinite const& what) {
      std::printf("  %2d   %s%s\n", entry.steps, what.what(), trained_with);
    }
  }
}

void print_info(Entry const& entry) {
  auto const network = entry.make();
  std::map<std::string_view, Index> counts;
  Index untrained = 0;
  for (ParameterInfo const& p : network->parameters()) {
    counts[p.kind] += p.rows * p.cols;
    untrained += p.trained ? 0 : p.rows * p.cols;
  }
  std::string const input = message(entry.shape);
  std::printf("%s\n  reads %s, returns %d scores\n", options_of(entry).c_str(), input.c_str(), entry.classes);
  std::printf("  %td parameters, %td multiply-adds an image, forward\n", trained_count(*network),
              network->multiply_adds());
  for (auto const& [kind, count] : counts)
    std::printf("    %-16.*s %12td\n", static_cast<int>(kind.size()), kind.data(), count);
  if (untrained > 0) std::printf("  of which %td are running statistics, not counted above\n", untrained);
  std::printf("  layers:\n%s", message(network->summary()).c_str());
  std::printf("  tensors, as a checkpoint names them:\n");
  for (ParameterInfo const& p : network->parameters())
    std::printf("    %-40s %5td x %-6td %.*s\n", p.name.c_str(), p.rows, p.cols,
                static_cast<int>(p.kind.size()), p.kind.data());
}

float kappa_of(HostMatrix<float> const& W_tilde, Index k) {
  Cpu<float> cpu;
  return with_structure(W_tilde, k, {}, [&]<class S>(S const& structure) {
    auto const column = [&] { return zeros(cpu, k, 1); };
    return contraction(cpu, Recurrence<Cpu<float>, S>{structure, to_device(cpu, W_tilde), column(), column()})
        .kappa;
  });
}

namespace {

/// Of each recurrent layer: kappa, and the T with kappa^T <= 1/100 and 1/10000.                          (C2)
void print_contractions(HostNetwork const& network, TensorFile const& file) {
  constexpr std::string_view kind = "W_tilde";
  bool first = true;
  for (ParameterInfo const& p : network.parameters()) {
    if (p.kind != kind) continue;
    if (first)
      std::printf(
          "  recurrent layers: kappa, and the T for |U_T - U*| <= |U*| / 100 and / 10000, if kappa < 1\n");
    first = false;
    std::string const h = p.name.substr(0, p.name.size() - kind.size()) + "h";
    Index const k = file.tensors.at(h).shape.at(0);
    float const kappa = kappa_of(host_matrix<float>(file.tensors.at(p.name), p.name), k);
    std::printf("    %-40s %10.4g", p.name.c_str(), static_cast<double>(kappa));
    for (float const share : {1e-2f, 1e-4f})
      if (auto const T = steps_for(kappa, 1 - kappa, share))  // (1 - kappa) / (1 - kappa) kappa^T
        std::printf("  %8td", *T);
    std::printf("\n");
  }
}

}  // namespace

void print_info(std::filesystem::path const& checkpoint) {
  TensorFile const file = read_safetensors(model_in(checkpoint));
  Model const model = model_of(file, {});
  for (auto const& [key, text] : file.metadata) std::printf("%-12s %s\n", key.c_str(), text.c_str());
  print_info(*model.entry);
  print_contractions(*model.network, file);
}

void print_networks() {
  std::printf("networks that are compiled in:\n");
  for (Entry const& entry : compiled_networks()) {
    std::string const text =
        message(options_of(entry), "   images of ", entry.shape, ", ", entry.classes, " classes");
    std::printf("  --net %s\n", text.c_str());
  }
}

}  // namespace experiment
