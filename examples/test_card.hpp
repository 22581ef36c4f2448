// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "picture.hpp"

/// A picture that is drawn by code: brightness at a point, in pixels.
namespace picture {

inline constexpr double side = 256;

/// The distance of (x, y) to the segment from (a, b) to (c, d).
inline double distance(double x, double y, double a, double b, double c, double d) {
  double const along = ((x - a) * (c - a) + (y - b) * (d - b)) / ((c - a) * (c - a) + (d - b) * (d - b));
  double const t = std::clamp(along, 0., 1.);
  return std::hypot(x - a - t * (c - a), y - b - t * (d - b));
}

/// The distance to the strokes of DETRAME, letters of 22 x 34 from (0, 0) on, 30 apart.
inline double distance_to_word(double x, double y) {
  struct Stroke {
    double letter, a, b, c, d;
  };
  static constexpr Stroke strokes[] = {
      {0, 0, 0, 0, 34},   {0, 0, 0, 12, 0},   {0, 12, 0, 20, 8},  {0, 20, 8, 20, 26}, {0, 20, 26, 12, 34},
      {0, 12, 34, 0, 34}, {1, 0, 0, 0, 34},   {1, 0, 0, 18, 0},   {1, 0, 17, 14, 17}, {1, 0, 34, 18, 34},
      {2, 0, 0, 20, 0},   {2, 10, 0, 10, 34}, {3, 0, 0, 0, 34},   {3, 0, 0, 18, 2},   {3, 18, 2, 18, 16},
      {3, 18, 16, 0, 18}, {3, 7, 18, 19, 34}, {4, 0, 34, 10, 0},  {4, 10, 0, 20, 34}, {4, 4, 23, 16, 23},
      {5, 0, 34, 0, 0},   {5, 0, 0, 11, 20},  {5, 11, 20, 22, 0}, {5, 22, 0, 22, 34}, {6, 0, 0, 0, 34},
      {6, 0, 0, 18, 0},   {6, 0, 17, 14, 17}, {6, 0, 34, 18, 34}};
  double nearest = side;
  for (auto const& s : strokes)
    nearest = std::min(nearest, distance(x - 31 * s.letter, y, s.a, s.b, s.c, s.d));
  return nearest;
}

inline double brightness(double x, double y) {
  double const pi = std::numbers::pi;
  if (double const r = std::hypot(x - 66, y - 66); r < 54) return .5 + .42 * std::cos(pi * r * r / 230);
  if (double const r = std::hypot(x - 190, y - 66); r < 52) {  // a ball, lit from the upper left
    double const u = (x - 190) / 52, v = (y - 66) / 52, w = std::sqrt(1 - u * u - v * v);
    double const light = std::max(0., -.5 * u - .55 * v + .67 * w);
    return .1 + .62 * light + .28 * std::pow(light, 24);
  }
  if (y > 132 && y < 188 && x > 12 && x < 122) {  // a herringbone cloth
    double const lean = static_cast<int>((x - 12) / 14) % 2 ? 1 : -1;
    return .5 + .3 * std::tanh(2 * std::sin(2 * pi * (y + lean * x) / 8)) + .1 * std::sin(2 * pi * x / 28);
  }
  if (double const r = std::hypot(x - 160, y - 160); r < 28)  // a star
    return r < 4 ? .9 : std::sin(16 * std::atan2(y - 160, x - 160)) > 0 ? .9 : .12;
  if (std::abs(x - 220) + std::abs(y - 160) < 28) {  // tiles on their corners
    double const u = std::floor((x + y) / 8.5), v = std::floor((x - y) / 8.5);
    return std::fmod(std::abs(u + v), 2) < 1 ? .82 : .25;
  }
  if (y > 198 && y < 246 && x > 12 && x < 244)
    return distance_to_word(x - 26, y - 205) < 2.2 ? .92 : .16 + .1 * (x - 12) / 232;
  double const shadow = .2 * std::exp(-std::pow(std::hypot((x - 200) / 50, (y - 122) / 10), 2));
  return .78 - .38 * (.4 * x + .6 * y) / side - shadow;
}

inline Picture test_card() {
  constexpr int fine = 4;  // points a pixel, in either direction
  Index const n = static_cast<Index>(side);
  return {detrame::Shape{1, n, n}, detrame::host_matrix<float>(1, n * n, [&](Index, Index site) {
            Index const row = site / n, col = site % n;
            double sum = 0;
            for (int y = 0; y < fine; ++y)
              for (int x = 0; x < fine; ++x)
                sum += brightness(static_cast<double>(col) + (x + .5) / fine,
                                  static_cast<double>(row) + (y + .5) / fine);
            return static_cast<float>(sum / (fine * fine));
          })};
}

}  // namespace picture
