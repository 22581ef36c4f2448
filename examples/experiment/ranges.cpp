// SPDX-License-Identifier: Apache-2.0
#include "ranges.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "data_sets.hpp"
#include "text.hpp"

namespace experiment {

namespace {

struct Range {
  std::string_view option;
  double low, high;
  bool has_low = true, has_high = true;  ///< whether the ends are in it
};

constexpr double many = 1ll << 40;
constexpr std::array<Range, 20> ranges{{{"steps", 0, 1000},
                                        {"xi", 0, 1e30, false, false},
                                        {"rho", 0, 1e30},
                                        {"delta", 0, 1, false, false},
                                        {"overshoot", 0, 1e3},
                                        {"passes", 0, 1e6},
                                        {"step-size", 0, 1e30},
                                        {"restarts", 1, 1000},
                                        {"images", 1, many},
                                        {"epochs", 0, 1e6},
                                        {"schedule-epochs", 0, 1e6},
                                        {"warm-up", 0, 1e6},
                                        {"clip", 0, 1e30},
                                        {"lr", 0, 1e30, false, false},
                                        {"batch", 1, 1e6},
                                        {"momentum", 0, 1, true, false},
                                        {"weight-decay", 0, 1e3},
                                        {"limit", 0, many},
                                        {"save-every", 0, many},
                                        {"threads", 1, 1024}}};

Range const* range_of(std::string_view option) {
  auto const found =
      std::find_if(ranges.begin(), ranges.end(), [&](Range const& r) { return r.option == option; });
  return found == ranges.end() ? nullptr : &*found;
}

}  // namespace

std::vector<std::string> choices(std::string_view option) {
  if (option == "net")
    return {"plainnet",
            "detrame-plainnet",
            "resnet",
            "detrame-resnet",
            "wideresnet",
            "detrame-wideresnet",
            "deepened-plainnet",
            "deepened-resnet",
            "deep-dictionary",
            "detrame-deep-dictionary",
            "certified"};
  if (option == "decays") return {"all", "weights"};
  if (option == "initialiser") return {"relu", "random", "he", "glorot", "algorithm2", "orthogonal", "dirac"};
  if (option == "optimiser") return {"sgd", "adamw"};
  if (option == "schedule") return {"steps", "cosine"};
  if (option == "method") return {"universal", "deepfool", "fgsm", "pgd", "apgd"};
  if (option == "p") return {"2", "inf"};
  if (option == "units") return {"pixels", "network"};
  if (option == "inner") return {"l2", "linf"};
  if (option == "loss") return {"cross-entropy", "dlr"};
  if (option == "device") return {"cpu", "cuda"};
  std::vector<std::string> names;
  if (option == "dataset")
    for (DataSet const& set : data_sets()) names.emplace_back(set.name);
  return names;
}

std::string range_text(std::string_view option) {
  Range const* const r = range_of(option);
  if (r == nullptr) return "";
  return message("in ", r->has_low ? '[' : '(', number_text(r->low), ", ", number_text(r->high),
                 r->has_high ? ']' : ')');
}

std::string range_error(std::string_view option, double value) {
  Range const* const r = range_of(option);
  if (r == nullptr ||
      ((r->has_low ? value >= r->low : value > r->low) && (r->has_high ? value <= r->high : value < r->high)))
    return "";
  return number_text(value) + " is not " + range_text(option);
}

std::string range_error(std::string_view option, std::string const& value) {
  if (option == "seeds")
    return seeds_in(value) ? "" : value.substr(0, 40) + " is no list of at most 1000 seeds, as 1..5 or 1,4,7";
  if (option == "xi" || option == "rho")
    return numbers_in(option, value) ? ""
                                     : message(value.substr(0, 40), " is no list of numbers ",
                                               range_text(option), ", each once, as .01,.03,1");
  auto const known = choices(option);
  if (known.empty() || std::find(known.begin(), known.end(), value) != known.end()) return "";
  return value.substr(0, 40) + " is not one of " + joined(known, " ");
}

std::optional<std::vector<double>> numbers_in(std::string_view option, std::string_view text) {
  std::vector<double> numbers;
  while (true) {
    double number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || !range_error(option, number).empty()) return std::nullopt;
    if (std::find(numbers.begin(), numbers.end(), number) != numbers.end()) return std::nullopt;
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty()) return numbers;
    if (text[0] != ',') return std::nullopt;
    text.remove_prefix(1);
  }
}

std::optional<std::vector<std::uint64_t>> seeds_in(std::string_view text) {
  constexpr std::size_t most = 1000;
  std::vector<std::uint64_t> seeds;
  while (true) {
    std::uint64_t seed = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (error != std::errc() || seeds.size() == most) return std::nullopt;
    if (std::find(seeds.begin(), seeds.end(), seed) != seeds.end()) return std::nullopt;
    seeds.push_back(seed);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty()) return seeds;
    if (text[0] == ',') {
      text.remove_prefix(1);
      continue;
    }
    if (seeds.size() > 1 || !text.starts_with("..")) return std::nullopt;
    std::uint64_t last = 0;
    auto const [stop, wrong] = std::from_chars(text.data() + 2, text.data() + text.size(), last);
    if (wrong != std::errc() || stop != text.data() + text.size() || last <= seed || last - seed >= most)
      return std::nullopt;
    while (seeds.back() < last) seeds.push_back(seeds.back() + 1);
    return seeds;
  }
}

}  // namespace experiment
