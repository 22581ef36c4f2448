// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

/// The figures that the paper prints (arXiv 2002.07898v2), as it prints them.
namespace experiment::published {

/// A percentage, and its deviation over runs; 0 where none is given, a mean of 0 where there is no figure.
struct Accuracy {
  double mean, deviation = 0;
};

/// Table 4: accuracy on the test images, of the network and of its twin, and the twin's T.
struct Twins {
  Accuracy original, twin;
  int T;
};
struct Architecture {
  std::string_view title, family;
  int depth, widen;
  Twins cifar10, cifar100, svhn;
};
inline constexpr std::array<Architecture, 10> table4{{
    {"PlainNet 3-layer",
     "plainnet",
     3,
     1,
     {{35.14, 4.94}, {88.51, .17}, 5},
     {{22.01, 1.24}, {64.99, .34}, 3},
     {{45.64}, {97.21}, 8}},
    {"PlainNet 6-layer",
     "plainnet",
     6,
     1,
     {{86.71, .36}, {92.24, .32}, 2},
     {{62.81, .75}, {69.49, .61}, 2},
     {{97.55}, {98.17}, 5}},
    {"PlainNet 9-layer",
     "plainnet",
     9,
     1,
     {{90.31, .31}, {93.05, .46}, 2},
     {{66.15, .61}, {69.68, .50}, 2},
     {{97.98}, {98.26}, 5}},
    {"PlainNet 12-layer",
     "plainnet",
     12,
     1,
     {{91.28, .27}, {92.03, .54}, 2},
     {{68.70, .65}, {70.92, .78}, 2},
     {{98.14}, {98.27}, 3}},
    {"ResNet 8",
     "resnet",
     8,
     1,
     {{87.36, .34}, {89.13, .23}, 3},
     {{60.38, .49}, {64.50, .54}, 2},
     {{96.70}, {97.50}, 3}},
    {"ResNet 20",
     "resnet",
     20,
     1,
     {{92.17, .15}, {92.19, .30}, 3},
     {{68.42, .29}, {68.62, .27}, 2},
     {{97.70}, {97.82}, 2}},
    {"ResNet 56",
     "resnet",
     56,
     1,
     {{93.48, .16}, {93.54, .30}, 3},
     {{71.52, .34}, {71.52, .44}, 2},
     {{97.96}, {98.04}, 2}},
    {"ResNet 110",
     "resnet",
     110,
     1,
     {{93.57, .14}, {93.68, .32}, 2},
     {{72.99, .43}, {73.05, .40}, 2},
     {{0}, {0}, 0}},
    {"WideResNet 16-4",
     "wideresnet",
     16,
     4,
     {{95.18, .10}, {95.18, .13}, 2},
     {{76.72, .13}, {76.85, .48}, 3},
     {{98.06}, {98.16}, 3}},
    {"WideResNet 16-8",
     "wideresnet",
     16,
     8,
     {{95.62, .12}, {95.66, .22}, 2},
     {{79.55, .12}, {79.69, .55}, 3},
     {{98.17}, {98.23}, 3}},
}};

/// Table 3: accuracy against deep dictionary learning [27]. A star: as [27] reports it.
struct AgainstDdl {
  std::string_view title, parameters;
  Accuracy cifar10, cifar100;
  std::string_view mark;
};
inline constexpr std::array<AgainstDdl, 4> table3{{
    {"PlainNet 9-layer [30]", "1.4M", {90.31, .31}, {66.15, .61}, ""},
    {"DDL 9 [27]", "1.4M", {93.04}, {68.76}, "*"},
    {"DeTraMe-Net 9", "3.0M", {93.05, .46}, {69.68, .50}, ""},
    {"DeTraMe-Net 9 (Best)", "3.0M", {93.40}, {70.34}, ""},
}};

/// Table 5: seconds. A star: averaged from what [27] reports.
struct Seconds {
  std::string_view title, parameters, mark;
  double training, testing;
};
inline constexpr std::array<Seconds, 2> table5{{
    {"DDL [27]", "0.35 M", "*", .2784, 9.40e-2},
    {"DeTraMe-Net 12", "2.4 M", "", .1605, 3.52e-4},
}};

/// Table 6: % of images that a universal perturbation fools, of WideResNet-16-8 and of its twin, whose T is
/// Table 4's. The unit of xi is not published.
struct Fooled {
  std::string_view dataset;
  double xi;
  Accuracy original, twin;
  int T;
};
inline constexpr std::array<Fooled, 3> table6{{
    {"cifar10", 5e-2, {18.03, 1.75}, {6.78, .73}, 2},
    {"cifar100", 5e-2, {59.61, 2.72}, {23.65, 1.84}, 3},
    {"svhn", 2e-4, {46.84, 3.05}, {23.61, 5.61}, 3},
}};

/// Table 7, CIFAR-10: seconds of training, and 1e-4 seconds of testing, of the network and of its twin.
struct Times {
  std::string_view title;
  double training, training_twin, testing, testing_twin;
};
inline constexpr std::array<Times, 10> table7{{
    {"PlainNet 3-layer", 2964.45, 5837.72, 1.93, 2.50},
    {"PlainNet 6-layer", 3762.75, 6706.76, 1.94, 2.94},
    {"PlainNet 9-layer", 3948.24, 7451.42, 2.01, 3.24},
    {"PlainNet 12-layer", 4087.98, 8023.02, 2.12, 3.52},
    {"ResNet 8", 3152.10, 3962.09, 1.76, 2.10},
    {"ResNet 20", 3840.02, 5316.47, 1.90, 2.21},
    {"ResNet 56", 6411.03, 8752.61, 2.27, 3.37},
    {"ResNet 110", 7709.55, 12997.66, 3.10, 4.53},
    {"WideResNet 16-4", 4562.02, 6425.65, 2.41, 2.84},
    {"WideResNet 16-8", 7104.62, 11897.93, 3.26, 5.15},
}};

}  // namespace experiment::published
