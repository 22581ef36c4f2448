// SPDX-License-Identifier: Apache-2.0
//
// A noisy picture denoised by a dictionary that is learnt from nothing but its own patches.
//   06_denoise [--image FILE.png or .pgm] [--sigma 25] [--out FOLDER]
// Without an image: a test card. Noise is added to either; sigma is its deviation in levels of 255.
#include <detrame/detrame.hpp>
#include <iostream>

#include "picture.hpp"
#include "test_card.hpp"

using namespace detrame;
using picture::Picture, picture::test_card;
using B = Cpu<float>;

namespace {

// --- What is shown -----------------------------------------------------------------------------------------

/// Pictures of one shape side by side on white, each pixel `zoom` x `zoom` large.
Picture mosaic(std::vector<Picture> const& all, Index columns, Index zoom, Index gap) {
  Shape const one = all.front().shape;
  Index const rows = (static_cast<Index>(all.size()) - 1) / columns + 1;
  Index const high = one.height * zoom + gap, wide = one.width * zoom + gap;
  Shape const shape{one.channels, rows * high + gap, columns * wide + gap};
  return {shape, host_matrix<float>(shape.channels, shape.sites(), [&](Index c, Index site) {
            Index const y = site / shape.width - gap, x = site % shape.width - gap;
            if (y < 0 || x < 0 || y % high >= one.height * zoom || x % wide >= one.width * zoom) return 1.f;
            std::size_t const which = static_cast<std::size_t>(y / high * columns + x / wide);
            if (which >= all.size()) return 1.f;
            return all[which].pixels(c, y % high / zoom * one.width + x % wide / zoom);
          })};
}

/// Atoms as small pictures, 0 in the middle of the greys, the most used first.
std::vector<Picture> portraits(LearnedDictionary<B> const& learnt, Shape patch) {
  Eigen::MatrixXf const& D = learnt.synthesis.D;
  std::vector<Index> order(static_cast<std::size_t>(D.cols()));
  for (std::size_t j = 0; j < order.size(); ++j) order[j] = static_cast<Index>(j);
  std::stable_sort(order.begin(), order.end(),
                   [&](Index a, Index b) { return learnt.AA(a, a) > learnt.AA(b, b); });
  std::vector<Picture> out;
  for (Index const j : order) {
    float const largest = std::max(D.col(j).cwiseAbs().maxCoeff(), 1e-6f);
    out.push_back({patch, host_matrix<float>(patch.channels, patch.sites(), [&](Index c, Index site) {
                     return .5f + .5f * D(c + patch.channels * site, j) / largest;
                   })});
  }
  return out;
}

/// The norm of a code shrinks it towards 0: the same atoms again, with the coefficients of least squares.
void refit(Eigen::MatrixXf const& D, Eigen::MatrixXf const& X, Eigen::MatrixXf& codes) {
  for (Index n = 0; n < X.cols(); ++n) {
    std::vector<Index> used;
    for (Index j = 0; j < D.cols(); ++j)
      if (codes(j, n) != 0) used.push_back(j);
    if (used.empty()) continue;
    Eigen::MatrixXf const atoms = D(Eigen::all, used);
    codes(used, n) = atoms.colPivHouseholderQr().solve(X.col(n)).eval();
  }
}

double psnr(HostMatrix<float> const& clean, HostMatrix<float> const& other) {
  double sum = 0;
  for (Index j = 0; j < clean.cols(); ++j)
    for (Index c = 0; c < clean.rows(); ++c)
      sum += std::pow(static_cast<double>(clean(c, j)) - static_cast<double>(other(c, j)), 2);
  return -10 * std::log10(sum / static_cast<double>(clean.rows() * clean.cols()));
}

}  // namespace

int main(int argc, char** argv) try {
  std::string image, out = ".";
  double sigma = 25;
  for (int i = 1; i < argc; i += 2) {
    std::string const name = argv[i];
    if (i + 1 == argc) throw DomainError(message(name, ": needs a value"));
    if (name == "--image")
      image = argv[i + 1];
    else if (name == "--out")
      out = argv[i + 1];
    else if (name == "--sigma")
      sigma = std::stod(argv[i + 1]);
    else
      throw DomainError(message(name, " is none of --image, --sigma, --out"));
  }
  Picture const clean = image.empty() ? test_card() : picture::read(image);
  Shape const shape = clean.shape;
  float const noise = static_cast<float>(sigma / 255), threshold = std::max(noise, 5e-4f);
  Random const random(1, 0);
  Picture noisy = clean;
  for (Index n = 0; n < shape.size(); ++n)
    noisy.pixels.data()[n] += noise * random.normal<float>(static_cast<std::uint64_t>(n));

  // Patches of 8 x 8 without their means. An atom enters a code where it explains some deviations of the
  // noise: three while atoms are learnt, four where patches are judged by them.
  B cpu;
  Index const size = 8;
  auto const y = to_device(cpu, noisy.pixels);
  Eigen::MatrixXf X = patches(cpu, shape, size, y);    // 64 channels x N
  Eigen::MatrixXf const means = remove_means(cpu, X);  // 1 x N
  Eigen::MatrixXf some =
      patches(cpu, shape, size, y, RandomPatches{.count = std::min<Index>(X.cols(), 20000), .seed = 2});
  remove_means(cpu, some);
  Index const atoms = std::clamp<Index>(X.cols() / 16, 1, 256);
  LearningOptions const options{.atoms = atoms, .lambda = 3 * threshold, .passes = 3};
  LearnedDictionary<B> learnt;
  learn_dictionary<SignedCodes>(cpu, some, options, learnt, [&](LearningProgress const& p) {
    if (p.step % 20 == 0)
      std::cout << "pass " << p.pass + 1 << ", step " << p.step + 1 << ": objective " << p.objective << '\n';
    return true;
  });

  // Each patch becomes D a and its mean; where patches overlap, their average counts.
  ElasticNet<B> const psi(cpu, atoms, 4 * threshold, 0);
  Eigen::MatrixXf codes = require_optimal(exact_synthesis(cpu, learnt.synthesis, psi, X)).u;  // k x N
  refit(learnt.synthesis.D, X, codes);
  Eigen::MatrixXf denoised = decode(cpu, learnt.synthesis, codes);
  add_means(cpu, denoised, means);
  Picture const after{shape, to_host(cpu, unpatch(cpu, shape, size, denoised))};

  double const before_dB = psnr(clean.pixels, noisy.pixels), after_dB = psnr(clean.pixels, after.pixels);
  std::cout << X.cols() << " patches, "
            << static_cast<double>((codes.array() != 0).count()) / static_cast<double>(X.cols())
            << " atoms each\nPSNR: " << before_dB << " dB before, " << after_dB << " dB after\n";
  auto const save = [&](char const* name, Picture const& p) {
    std::string const file = out + '/' + name + picture::extension(p);
    picture::write(file, p);
    std::cout << "wrote " << file << '\n';
  };
  save("before_after", mosaic({clean, noisy, after}, 3, 1, 8));
  save("atoms", mosaic(portraits(learnt, Shape{shape.channels, size, size}), 16, 4, 2));
  return !image.empty() || sigma == 0 || after_dB > before_dB ? 0 : 1;
} catch (std::exception const& e) {
  std::cerr << "06_denoise: " << e.what() << '\n';
  return 1;
}
