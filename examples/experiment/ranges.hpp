// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "detrame/core/errors.hpp"

namespace experiment {

/// The command line asks for what cannot be, whatever the files hold: exit status 2.
struct WrongOption : detrame::DomainError {
  using DomainError::DomainError;
};

/// The texts that an option may have; none where it is no such option.
std::vector<std::string> choices(std::string_view option);

/// "in [0, 1)": the range of an option that is a number; "" where every number will do.
std::string range_text(std::string_view option);

/// What is wrong with the value of an option, wherever it comes from, the command line or a checkpoint: "5 is
/// not in [0, 1)"; "" where nothing is.
std::string range_error(std::string_view option, double value);
std::string range_error(std::string_view option, std::string const& value);

/// ".01,.03,1" as numbers, each once and in the range of an option; nothing where the text is no such list.
std::optional<std::vector<double>> numbers_in(std::string_view option, std::string_view text);

/// "1..5", "1,4,7": the seeds; nothing where the text is neither.
std::optional<std::vector<std::uint64_t>> seeds_in(std::string_view text);

}  // namespace experiment
