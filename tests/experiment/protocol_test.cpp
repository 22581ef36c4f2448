// SPDX-License-Identifier: Apache-2.0
#include "../../examples/experiment/protocol.hpp"

#include <fstream>
#include <map>
#include <sstream>

#define DETRAME_HAS_MATIO  // which all tests need
#include "../../examples/experiment/data_sets.cpp"
#include "../../examples/experiment/published.hpp"
#include "../../examples/experiment/train.hpp"
#include "detrame/data/augment.hpp"
#include "detrame/network/zoo/plain_net.hpp"
#include "detrame/network/zoo/res_net.hpp"
#include "detrame/optim/schedule.hpp"
#include "mutated_file.hpp"
#include "support.hpp"

// What is asserted here was typed from the text of arXiv 2002.07898v2, not from our tables of it.

using namespace detrame;
using namespace detrame::test;
using namespace experiment;

namespace {

/// The layers of a network as Table 1 writes them.
template <class L>
struct Written {
  static std::string text() { return "activation"; }
};
template <Rate rate>
struct Written<Dropout<rate>> {
  static std::string text() { return message("dropout ", rate.value); }
};
template <Index k, Index K, class... Choices>
struct Written<Convolution<k, K, Choices...>> {
  static std::string text() { return message(K, " x ", K, " conv ", k); }
};
template <Index k, Index K>
struct Written<Convolution<k, K, Stride<2>>> {
  static std::string text() { return message(K, " x ", K, " conv ", k, " stride 2"); }
};
template <>
struct Written<GlobalAveragePool> {
  static std::string text() { return "average"; }
};
template <class... L>
struct Written<Stack<L...>> {
  static std::vector<std::string> list() { return {Written<L>::text()...}; }
};

/// Table 1, with the activation that is behind every convolution.
std::vector<std::string> table1(std::vector<std::string> const& rows) {
  std::vector<std::string> all;
  for (std::string const& row : rows) {
    all.push_back(row);
    if (row.find("conv") != row.npos) all.push_back("activation");
  }
  all.push_back("average");
  return all;
}

template <class Net, class Twin>
void has_layers(std::vector<std::string> const& rows) {
  CHECK(Written<Net>::list() == table1(rows));
  CHECK(Written<Twin>::list() == table1(rows));
}

/// The rates of all epochs, as pairs of the first epoch (counted from 1) and the rate from there on.
std::vector<std::pair<int, double>> rates(DataSet const& set) {
  std::vector<std::pair<int, double>> changes;
  StepSchedule const schedule = step_schedule(set.rate, set.factor, set.epochs, set.shares);
  for (int epoch = 0; epoch < set.epochs; ++epoch)
    if (double const rate = schedule.at(epoch); changes.empty() || changes.back().second != rate)
      changes.emplace_back(epoch + 1, rate);
  return changes;
}

}  // namespace

TEST_CASE("the paper's 5.2: images, epochs, rates, milestones, batch, momentum, decay, scale, crops") {
  struct Set {
    std::string_view name;
    int train, test, classes, epochs;
    std::vector<std::pair<int, double>> rates;
    bool normalised, augmented;
  };
  std::vector<Set> const paper{
      // "50,000 images are used for training and 10,000 images for testing"; "starts with a learning rate of
      // 0.1", "reduced by 0.2 at the 60-th, 120-th, 160-th and 200-th epochs": times 0.2, and the last has no
      // effect.
      {"cifar10", 50000, 10000, 10, 200, {{1, .1}, {61, .02}, {121, .004}, {161, .0008}}, true, true},
      {"cifar100", 50000, 10000, 100, 200, {{1, .1}, {61, .02}, {121, .004}, {161, .0008}}, true, true},
      // "604,388 images are used for training and 26,032"; "0.01 ... divided by 10 at the 80-th and 120-th
      // epochs within a total of 160"; "we normalize the range of the images between 0 and 1".
      {"svhn", 604388, 26032, 10, 160, {{1, .01}, {81, .001}, {121, .0001}}, false, false}};
  for (Set const& set : paper) {
    DataSet const& ours = find_data_set(set.name);
    CAPTURE(set.name);
    CHECK(ours.shape == Shape{3, 32, 32});
    CHECK(ours.train_images == set.train);
    CHECK(ours.test_images == set.test);
    CHECK(ours.classes == set.classes);
    CHECK(ours.epochs == set.epochs);
    CHECK(ours.normalised == set.normalised);
    CHECK(ours.augmented == set.augmented);
    auto const found = rates(ours);
    REQUIRE(found.size() == set.rates.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CHECK(found[i].first == set.rates[i].first);
      CHECK(std::abs(found[i].second - set.rates[i].second) <= tolerance<double>(3, set.rates[i].second));
    }
  }
  CHECK(protocol::svhn_train + protocol::svhn_extra == 604388);
  DataSet const& svhn = find_data_set("svhn");  // "SVHN contains 630,420 color images"
  CHECK(svhn.train_images + svhn.test_images == 630420);

  Settings const settings;  // "128 mini-batch size", "momentum equal to 0.9 and a weight decay of 5e-4"
  CHECK(protocol::batch == 128);
  CHECK(protocol::momentum == .9);
  CHECK(protocol::weight_decay == 5e-4);
  CHECK(settings.batch == protocol::batch);
  CHECK(settings.momentum == protocol::momentum);
  CHECK(settings.weight_decay == protocol::weight_decay);
  CHECK(settings.decays == "all");

  RandomCrop const crop(seed(1));  // "randomly cropped after 4 x 4 padding ... and random flipping"
  Index largest = 0, flips = 0;
  for (Index sample = 0; sample < 2000; ++sample) {
    Crop const one = crop.crop(0, sample);
    largest = std::max({largest, one.top, one.left});
    flips += one.flipped;
  }
  CHECK(protocol::padding == 4);
  CHECK(largest == 2 * protocol::padding);
  CHECK(flips > 800);
  CHECK(flips < 1200);
}

TEST_CASE(
    "the paper's Table 1: convolutions, widths, strides, dropout's rates and places, of nets and twins") {
  has_layers<PlainNet3<Plain>, PlainNet3<DeTraMe<5>>>(
      {"dropout 0.2", "3 x 3 conv 96", "3 x 3 conv 96 stride 2", "3 x 3 conv 10 stride 2"});
  has_layers<PlainNet6<Plain>, PlainNet6<DeTraMe<2>>>(
      {"dropout 0.2", "3 x 3 conv 96", "3 x 3 conv 96", "3 x 3 conv 96 stride 2", "dropout 0.5",
       "3 x 3 conv 192", "3 x 3 conv 192", "3 x 3 conv 10 stride 2"});
  has_layers<PlainNet9<Plain>, PlainNet9<DeTraMe<2>>>(
      {"dropout 0.2", "3 x 3 conv 96", "3 x 3 conv 96", "3 x 3 conv 96 stride 2", "dropout 0.5",
       "3 x 3 conv 192", "3 x 3 conv 192", "3 x 3 conv 192 stride 2", "dropout 0.5", "3 x 3 conv 192",
       "1 x 1 conv 192", "1 x 1 conv 10"});
  has_layers<PlainNet12<Plain>, PlainNet12<DeTraMe<2>>>(
      {"dropout 0.2", "3 x 3 conv 96", "3 x 3 conv 96", "3 x 3 conv 96 stride 2", "dropout 0.5",
       "3 x 3 conv 192", "3 x 3 conv 192", "3 x 3 conv 192 stride 2", "dropout 0.5", "3 x 3 conv 192",
       "3 x 3 conv 192", "3 x 3 conv 192 stride 2", "3 x 3 conv 192", "1 x 1 conv 192", "1 x 1 conv 10"});
  CHECK(std::same_as<PlainNet9<Plain, 100>,
                     Stack<Dropout<Rate{.2}>, Convolution<96, 3>, ReLU, Convolution<96, 3>, ReLU,
                           Convolution<96, 3, Stride<2>>, ReLU, Dropout<Rate{.5}>, Convolution<192, 3>, ReLU,
                           Convolution<192, 3>, ReLU, Convolution<192, 3, Stride<2>>, ReLU, Dropout<Rate{.5}>,
                           Convolution<192, 3>, ReLU, Convolution<192, 1>, ReLU, Convolution<100, 1>, ReLU,
                           GlobalAveragePool>>);
}

TEST_CASE("the paper's Table 4: T of every row, all of which networks.txt compiles, and the accuracies") {
  struct Row {
    std::string_view family;
    int depth, widen;
    std::array<int, 3> T;  // CIFAR-10, CIFAR-100, SVHN; 0: not in the table
    std::array<double, 6> accuracy;
  };
  std::vector<Row> const paper{{"plainnet", 3, 1, {5, 3, 8}, {35.14, 88.51, 22.01, 64.99, 45.64, 97.21}},
                               {"plainnet", 6, 1, {2, 2, 5}, {86.71, 92.24, 62.81, 69.49, 97.55, 98.17}},
                               {"plainnet", 9, 1, {2, 2, 5}, {90.31, 93.05, 66.15, 69.68, 97.98, 98.26}},
                               {"plainnet", 12, 1, {2, 2, 3}, {91.28, 92.03, 68.70, 70.92, 98.14, 98.27}},
                               {"resnet", 8, 1, {3, 2, 3}, {87.36, 89.13, 60.38, 64.50, 96.70, 97.50}},
                               {"resnet", 20, 1, {3, 2, 2}, {92.17, 92.19, 68.42, 68.62, 97.70, 97.82}},
                               {"resnet", 56, 1, {3, 2, 2}, {93.48, 93.54, 71.52, 71.52, 97.96, 98.04}},
                               {"resnet", 110, 1, {2, 2, 0}, {93.57, 93.68, 72.99, 73.05, 0, 0}},
                               {"wideresnet", 16, 4, {2, 3, 3}, {95.18, 95.18, 76.72, 76.85, 98.06, 98.16}},
                               {"wideresnet", 16, 8, {2, 3, 3}, {95.62, 95.66, 79.55, 79.69, 98.17, 98.23}}};
  REQUIRE(published::table4.size() == paper.size());
  std::map<std::string, std::vector<int>> compiled;  // T, by "family depth widen classes"
  std::ifstream networks(DETRAME_DATA_DIR "/../examples/experiment/networks.txt");
  for (std::string line; std::getline(networks, line);) {
    std::istringstream row(line);
    std::string family, depth, widen, shape, classes, colon;
    if (row >> family >> depth >> widen >> shape >> classes >> colon && shape == "3x32x32")
      for (int T; row >> T;) compiled[message(family, ' ', depth, ' ', widen, ' ', classes)].push_back(T);
  }
  for (std::size_t i = 0; i < paper.size(); ++i) {
    auto const& [family, depth, widen, T, accuracy] = paper[i];
    published::Architecture const& a = published::table4[i];
    CAPTURE(i);
    CHECK(a.family == family);
    CHECK(a.depth == depth);
    CHECK(a.widen == widen);
    std::array<published::Twins, 3> const twins{a.cifar10, a.cifar100, a.svhn};
    for (std::size_t set = 0; set < 3; ++set) {
      CAPTURE(set);
      CHECK(twins[set].T == T[set]);
      CHECK(twins[set].original.mean == accuracy[2 * set]);
      CHECK(twins[set].twin.mean == accuracy[2 * set + 1]);
      if (T[set] == 0) continue;
      auto const& rows = compiled[message(family, ' ', depth, ' ', widen, set == 1 ? " 100" : " 10")];
      CHECK(std::count(rows.begin(), rows.end(), T[set]) == 1);
      CHECK(std::count(rows.begin(), rows.end(), 0) == 1);
    }
  }
}

TEST_CASE("the sets that the paper has not: their images, and the rates that we train with") {
  struct Set {
    std::string_view name;
    int train, test;
    double rate;
    Shape shape;
  };
  for (auto const& [name, train, test, rate, shape] :
       {Set{"digits", 1437, 360, .05, {1, 8, 8}}, Set{"mnist", 60000, 10000, .1, {1, 28, 28}},
        Set{"fashion-mnist", 60000, 10000, .1, {1, 28, 28}}, Set{"usps", 7291, 2007, .1, {1, 16, 16}}}) {
    DataSet const& set = find_data_set(name);
    CHECK(set.train_images == train);
    CHECK(set.test_images == test);
    CHECK(set.rate == rate);
    CHECK(set.shape == shape);
    CHECK(set.epochs == 60);
    CHECK(set.classes == 10);
    CHECK(set.normalised);
    CHECK_FALSE(set.augmented);
  }
  DataSet const& digits = find_data_set("digits");
  CHECK(read_images(digits, default_folder(digits), Part::train, 0).samples() == digits.train_images);
  CHECK(read_images(digits, default_folder(digits), Part::test, 0).samples() == digits.test_images);
  CHECK(data_sets().size() == protocol::all.size());
}

TEST_CASE("hours of a whole training: epochs times images by speed") {
  auto const hours = [](std::string_view name) { return protocol::training_of(name).hours(1000); };
  CHECK(hours("cifar10") == 200. * 50000 / 3600000);
  CHECK(hours("svhn") == 160. * 604388 / 3600000);  // 26.9, where train alone would be 3.3
  check_throws_with<DomainError>([&] { hours("cifar"); }, "the protocol has no data set cifar");
}

TEST_CASE("svhn is train and extra together; where extra is missing, the sentence names it") {
  TemporaryFolder const folder("protocol");
  DataSet const& svhn = find_data_set("svhn");
  auto const write = [&](char const* name, std::size_t n, std::uint8_t label) {
    std::array<std::size_t, 4> X_dims{32, 32, 3, n};
    std::array<std::size_t, 2> y_dims{n, 1};
    std::vector<std::uint8_t> X(3072 * n, label), y(n, label);
    detail::MatFile const mat(Mat_CreateVer((folder / name).c_str(), nullptr, MAT_FT_MAT5));
    detail::MatVariable const images(
        Mat_VarCreate("X", MAT_C_UINT8, MAT_T_UINT8, 4, X_dims.data(), X.data(), 0));
    detail::MatVariable const labels(
        Mat_VarCreate("y", MAT_C_UINT8, MAT_T_UINT8, 2, y_dims.data(), y.data(), 0));
    REQUIRE(Mat_VarWrite(mat.get(), images.get(), MAT_COMPRESSION_ZLIB) == 0);
    REQUIRE(Mat_VarWrite(mat.get(), labels.get(), MAT_COMPRESSION_ZLIB) == 0);
  };
  auto const read = [&](Part part, Index limit) { return read_images(svhn, folder.path(), part, limit); };
  write("train_32x32.mat", 2, 1);
  write("test_32x32.mat", 3, 3);
  check_throws_with<FormatError>([&] { read(Part::train, 0); },
                                 "extra_32x32.mat: expected the images that are trained on besides those of "
                                 "train_32x32.mat, found no such file; --limit 73257 trains without them");
  check_throws_with<FormatError>([&] { read(Part::train, 3); }, "extra_32x32.mat: expected a MATLAB file");
  CHECK(read(Part::train, 2).labels == std::vector<int>{1, 1});
  write("extra_32x32.mat", 3, 2);
  CHECK(read(Part::train, 0).labels == std::vector<int>{1, 1, 2, 2, 2});
  CHECK(read(Part::train, 4).labels == std::vector<int>{1, 1, 2, 2});
  CHECK(read(Part::test, 0).labels == std::vector<int>{3, 3, 3});
  CHECK(read(Part::test, 1).labels == std::vector<int>{3});
}

TEST_CASE(
    "fashion-mnist is found where Debian's package puts it; else the list of its files names the package") {
  DataSet const& set = find_data_set("fashion-mnist");
  TemporaryFolder const folder("protocol");
  CHECK(default_folder(set, folder.path()).empty());
  CHECK(set.files.find("Debian's package dataset-fashion-mnist") != set.files.npos);
  std::filesystem::create_directory(folder / "fashion-mnist");
  std::filesystem::create_directory(folder / "mnist");  // of no package
  CHECK(default_folder(set, folder.path()) == folder / "fashion-mnist");
  CHECK(default_folder(find_data_set("mnist"), folder.path()).empty());
  CHECK(default_folder(find_data_set("digits"), folder.path()) == DETRAME_DATA_DIR "/digits");
  if (auto const installed = default_folder(set); !installed.empty()) {
    auto const train = read_images(set, installed, Part::train, 0);
    CHECK(train.samples() == set.train_images);
    CHECK(std::vector<int>(train.labels.begin(), train.labels.begin() + 6) ==
          std::vector<int>{9, 0, 0, 3, 0, 2});
    CHECK(read_images(set, installed, Part::test, 0).samples() == set.test_images);
    CHECK(read_images(set, installed, Part::train, 64).samples() == 64);
  }
}
