// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "detrame/core/errors.hpp"

namespace detrame::inline DETRAME_ABI {

/// Why there is no certificate.
struct NoCertificate {
  std::string reason;
};

/// What is proved, or the reason why nothing is: no number stands in for a certificate that cannot be had.
///
/// Tested    tests/robust/layer_bounds_test.cpp
template <class Claim>
class Certified {
 public:
  Certified(Claim proved) : held_(std::move(proved)) {}
  Certified(NoCertificate none) : held_(std::move(none)) {}

  explicit operator bool() const { return std::holds_alternative<Claim>(held_); }
  /// NotCertified with the reason where nothing is proved.
  Claim const& value() const {
    if (auto const* const none = std::get_if<NoCertificate>(&held_)) throw NotCertified(none->reason);
    return *std::get_if<Claim>(&held_);
  }
  /// Empty where something is proved.
  std::string reason() const {
    auto const* const none = std::get_if<NoCertificate>(&held_);
    return none == nullptr ? std::string() : none->reason;
  }

 private:
  std::variant<Claim, NoCertificate> held_;
};

}  // namespace detrame::inline DETRAME_ABI
