// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdio>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/io/safetensors.hpp"
#include "detrame/metric/near_tied_kernel.hpp"
#include "detrame/prox/fixed_points.hpp"
#include "inspect.hpp"
#include "status_line.hpp"

namespace experiment {

namespace {

// What bounds the time: minutes for the largest layers of Table 4, seconds for those of the digits.
constexpr Index most_entries = 400'000;  // of z: samples x channels x sites, and one sample at least
constexpr Index most_updates = 300;      // of a run to a fixed point
constexpr double tolerance = 1e-5;       // of a W~ stored as float, for untie
constexpr Index forward_images = 100;    // whose statistics batch normalisation takes

/// A Q-metric ReLU as it is stored, and what it reads.
struct QMetricLayer {
  std::string place;
  HostMatrix<float> W, h, b;  // kg x (taps k), k x 1, k x 1
  Shape shape;
  HostMatrix<float> z;

  Index k() const { return h.rows(); }
};

/// What a layer becomes where the nearest tied one takes its place.
struct Tied {
  HostMatrix<float> W, h, b;
  double distance, at_least;  ///< shares of |S^{1/2} W~ S^{-1/2}|_F; that of the nearest is between
  float kappa;
};

template <class To, class From>
HostMatrix<To> rounded(HostMatrix<From> const& m) {
  return host_matrix<To>(m.rows(), m.cols(), [&](Index i, Index j) { return static_cast<To>(m(i, j)); });
}

template <Backend B, class S>
Recurrence<B, S> recurrence_of(B& backend, S const& structure, QMetricLayer const& layer) {
  using Scalar = typename B::Scalar;
  return {structure, to_device(backend, rounded<Scalar>(layer.W)),
          to_device(backend, rounded<Scalar>(layer.h)), to_device(backend, rounded<Scalar>(layer.b))};
}

/// |S^{1/2} A S^{-1/2}|_F
double size_in(std::vector<double> const& s, HostMatrix<double> const& A) {
  double squares = 0;
  Index const kg = A.rows();
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = 0; i < kg; ++i)
      squares +=
          A(i, j) * A(i, j) * s[static_cast<std::size_t>(j / kg * kg + i)] / s[static_cast<std::size_t>(j)];
  return std::sqrt(squares);
}

/// The nearest tied layer of dense blocks, exactly.
template <class Report>
Tied tied_of(Cpu<double>& cpu, Recurrence<Cpu<double>, DenseBlocks> const& free, Report const& report,
             std::vector<double> const& s) {
  Symmetriser by{s, report.component, report.components, 0, 0, 0};
  if (!report.symmetrisable) by.component.assign(s.size(), 0), by.components = 1;
  auto const near = report.is_prox ? free : nearest_tied(cpu, free, by, tolerance);
  auto const W = to_host(cpu, ConstView<Cpu<double>>(free.W_tilde));
  auto difference = to_host(cpu, ConstView<Cpu<double>>(near.W_tilde));
  for (Index i = 0; i < W.rows() * W.cols(); ++i) difference.data()[i] -= W.data()[i];
  double const size = size_in(s, W), distance = size > 0 ? size_in(s, difference) / size : 0;
  return {rounded<float>(to_host(cpu, ConstView<Cpu<double>>(near.W_tilde))),
          rounded<float>(to_host(cpu, ConstView<Cpu<double>>(near.h))),
          rounded<float>(to_host(cpu, ConstView<Cpu<double>>(near.b))),
          distance,
          distance,
          0};
}

/// A tied convolution near it. Rounds enough for some seconds.
template <class Report>
Tied tied_of(Cpu<double>& cpu, Recurrence<Cpu<double>, ConvolutionalBlocks> const& free, Report const&,
             std::vector<double> const& s) {
  double const ratio = 64. / static_cast<double>(free.W_tilde.rows());
  auto const rounds = static_cast<Index>(std::clamp(6 * ratio * ratio * ratio, 1., 40.));
  auto const near = near_tied_kernel(cpu, free, s, tolerance, rounds);
  double const size = near.size > 0 ? near.size : 1;
  return {rounded<float>(to_host(cpu, ConstView<Cpu<double>>(near.recurrence.W_tilde))),
          rounded<float>(to_host(cpu, ConstView<Cpu<double>>(near.recurrence.h))),
          rounded<float>(to_host(cpu, ConstView<Cpu<double>>(near.recurrence.b))),
          near.distance / size,
          near.at_least / size,
          0};
}

std::string share_text(std::vector<Index> const& of_sample) {
  std::vector<Index> count;  // of samples with 0, 1, 2 ... of them
  for (Index const n : of_sample) {
    if (static_cast<Index>(count.size()) <= n) count.resize(static_cast<std::size_t>(n) + 1, 0);
    ++count[static_cast<std::size_t>(n)];
  }
  std::string text;
  for (std::size_t n = 0; n < count.size(); ++n)
    if (count[n] > 0) text += message(text.empty() ? "" : ", ", n, " in ", count[n]);
  return text;
}

Index sum(std::vector<Index> const& v) {
  Index all = 0;
  for (Index const n : v) all += n;
  return all;
}

/// From 0, from relu(z), from twice max |z| everywhere and from a random point between.
void print_fixed_points(Cpu<float>& cpu, QMetricLayer const& layer) {
  HostMatrix<float> const& z = layer.z;
  float largest = 0;
  for (Index i = 0; i < z.rows() * z.cols(); ++i) largest = std::max(largest, std::abs(z.data()[i]));
  Random const random(1, 1);
  std::vector<Matrix<Cpu<float>>> starts;
  for (int which = 0; which < 4; ++which)
    starts.push_back(to_device(cpu, host_matrix<float>(z.rows(), z.cols(), [&](Index i, Index j) {
                                 if (which == 0) return 0.f;
                                 if (which == 1) return z(i, j) < 0 ? 0.f : z(i, j);
                                 if (which == 2) return 2 * largest;
                                 return 2 * largest *
                                        random.uniform<float>(static_cast<std::uint64_t>(j * z.rows() + i));
                               })));
  FixedPoints const found = with_structure(layer.W, layer.k(), layer.shape, [&](auto const& structure) {
    auto const r = recurrence_of(cpu, structure, layer);
    Matrix<Cpu<float>> const Z = to_device(cpu, z);
    return fixed_points(cpu, structure, formula::NonnegativeShrinkage{}, ConstView<Cpu<float>>(r.W_tilde),
                        ConstView<Cpu<float>>(r.h), ConstView<Cpu<float>>(r.b), ConstView<Cpu<float>>(Z),
                        std::span<Matrix<Cpu<float>> const>(starts), Until{.limit = most_updates});
  });
  auto const samples = static_cast<Index>(found.distinct.size());
  std::printf("    fixed points   %td samples from 4 starts: %s\n", samples,
              share_text(found.distinct).c_str());
  Index const cycling = sum(found.cycling), diverged = sum(found.diverged), unsettled = sum(found.unsettled);
  if (cycling + diverged + unsettled > 0)
    std::printf(
        "                   of %td runs %td cycle, %td diverge, %td are not settled after %td updates\n",
        4 * samples, cycling, diverged, unsettled, most_updates);
}

/// Prints what a layer is, and returns the tied one beside it.
Tied inspect(Cpu<float>& cpu, QMetricLayer const& layer, StatusLine& status, std::string const& which) {
  std::printf("  %s   W~ %td x %td, %td channels\n", layer.place.c_str(), layer.W.rows(), layer.W.cols(),
              layer.k());
  std::printf("    kappa          %.4g\n", static_cast<double>(kappa_of(layer.W, layer.k())));
  status.show(which + "fixed points");
  print_fixed_points(cpu, layer);
  status.show(which + "a tied layer near it");
  Tied tied = with_structure(layer.W, layer.k(), layer.shape, [&](auto const& structure) {
    Cpu<double> exact(1);
    auto const free = recurrence_of(exact, structure, layer);
    auto const report = untie(exact, free, tolerance);
    status.clear();
    std::printf("    a prox         %s\n", report.is_prox ? "yes" : report.explanation.c_str());
    std::vector<double> s(static_cast<std::size_t>(layer.k()), 1.);
    if (report.symmetrisable)
      for (std::size_t i = 0; i < s.size(); ++i) s[i] = report.s(static_cast<Index>(i), 0);
    return tied_of(exact, free, report, s);
  });
  tied.kappa = kappa_of(tied.W, layer.k());
  if (tied.distance == tied.at_least)
    std::printf("    nearest tied   %.4f |W~| away", tied.distance);
  else
    std::printf("    nearest tied   at least %.4f, at most %.4f |W~| away", tied.at_least, tied.distance);
  std::printf(" (kappa %.4g)\n", static_cast<double>(tied.kappa));
  std::fflush(stdout);
  return tied;
}

void replace(TensorFile& file, std::string const& place, Tied const& tied) {
  file.tensors[place + ".W_tilde"] = tensor(tied.W);
  file.tensors[place + ".h"] = tensor(tied.h);
  file.tensors[place + ".b"] = tensor(tied.b);
}

}  // namespace

void inspect_layers(Inspected const& asked) {
  TensorFile const file = read_safetensors(model_in(asked.checkpoint));
  Model const model = model_of(file, asked.place);
  require_finite_tensors(file);
  if (model.entry->steps == 0)
    throw DomainError(message(file.name, ": ", model.entry->net(), " has no Q-metric ReLU to look at"));
  auto const data = test_images(model, asked);
  std::printf("%s, %td test images of %s\n", options_of(*model.entry).c_str(), data.samples(),
              model.dataset.c_str());
  auto const read = unpacked(subset(data, 0, std::min(forward_images, data.samples())));
  Cpu<float> cpu(asked.place.threads);
  StatusLine status = status_line();
  std::vector<std::pair<std::string, Tied>> all;
  auto const inputs = model.network->recurrence_inputs(read.images);
  for (auto const& input : inputs) {
    auto const stored = [&](char const* name) {
      std::string const full = input.place + name;
      return host_matrix<float>(file.tensors.at(full), full);
    };
    Index const sites = input.shape.sites(), a_sample = sites * input.shape.channels;
    Index const samples = std::min(std::clamp<Index>(most_entries / a_sample, 1, 32), input.z.cols() / sites);
    QMetricLayer const layer{
        input.place,
        stored(".W_tilde"),
        stored(".h"),
        stored(".b"),
        input.shape,
        host_matrix<float>(input.z.rows(), samples * sites, [&](Index i, Index j) { return input.z(i, j); })};
    all.emplace_back(layer.place, inspect(cpu, layer, status,
                                          message("layer ", all.size() + 1, " of ", inputs.size(), ": ")));
  }

  std::printf("  accuracy with tied layers in their places\n");
  auto const accuracy = [&](char const* what, std::string const& place, TensorFile const& changed) {
    status.show("accuracy, " + std::string(what) + place);
    model.network->load(changed);
    Tally const m = *test(*model.network, data);
    status.clear();
    std::printf("    %-14s %6.2f %%   loss %.4f\n", (what + place).c_str(), 100 * m.accuracy(), m.loss());
    std::fflush(stdout);
  };
  accuracy("as trained", "", file);
  TensorFile every = file;
  for (auto const& [place, tied] : all) {
    TensorFile one = file;
    replace(one, place, tied);
    replace(every, place, tied);
    accuracy("", place, one);
  }
  if (all.size() > 1) accuracy("all of them", "", every);
  print_depth(asked);
}

}  // namespace experiment
