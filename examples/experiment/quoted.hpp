// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace experiment {

/// A text as one word of a command, which a shell (bash, zsh, ksh) reads back byte for byte: as it is, or
/// 'in quotes', or, where it has control characters or is not UTF-8, as $'r\xe9sultats'. What comes out is
/// always UTF-8 of one line.
std::string shell_quoted(std::string const& text_or_path);

/// " --out 'my run'", or " --out='-run'", of a word as a shell reads it, and of any value.
std::string with_word(std::string const& option, std::string const& word);
std::string with_value(std::string const& option, std::string const& value);

}  // namespace experiment
