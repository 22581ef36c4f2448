// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace demo {

/// Each python3 that exists in a folder of `path`, a list as in PATH, in its order; Debian's last.
inline std::vector<std::filesystem::path> pythons(std::string_view path,
                                                  std::filesystem::path const& debian = "/usr/bin") {
  std::vector<std::filesystem::path> folders, found;
  for (std::size_t begin = 0; begin < path.size();) {
    std::size_t const end = std::min(path.find(':', begin), path.size());
    folders.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  folders.push_back(debian);
  std::error_code error;  // of folders that do not exist
  auto const last = folders.end() - 1;
  for (auto folder = folders.begin(); folder != folders.end(); ++folder) {
    auto const same = [&](auto const& other) { return std::filesystem::equivalent(*folder, other, error); };
    auto const python = *folder / "python3";
    bool const again = folder != last && (same(*last) || std::any_of(folders.begin(), folder, same));
    if (!again && std::filesystem::is_regular_file(python, error) && ::access(python.c_str(), X_OK) == 0)
      found.push_back(python);
  }
  return found;
}

/// Runs a program to its end, without a shell; whether its exit status is 0. A silent one prints nothing.
inline bool succeeds(std::vector<std::string> words, bool silent = false) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (silent)
    for (int const stream : {STDOUT_FILENO, STDERR_FILENO})
      posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0);
  pid_t process = 0;
  bool const started =
      ::posix_spawn(&process, arguments[0], &actions, nullptr, arguments.data(), environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  if (!started) return false;
  int status = 0;
  pid_t ended = 0;
  do ended = ::waitpid(process, &status, 0);
  while (ended < 0 && errno == EINTR);  // a signal does not end the program
  return ended == process && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Draws what stands in `folder` by `script`, with the first of the pythons that has matplotlib. Returns
/// nothing, or the sentence that says why there is no picture.
inline std::string draw(std::filesystem::path const& script, std::filesystem::path const& folder,
                        std::vector<std::filesystem::path> const& pythons) {
  std::string tried;
  for (auto const& python : pythons) {
    if (succeeds({python, "-c", "import matplotlib.pyplot"}, true)) {
      if (succeeds({python, script, folder})) return "";
      return "No picture: " + python.string() + " " + script.string() + " " + folder.string() + " failed.";
    }
    tried += (tried.empty() ? "" : ", ") + python.string();
  }
  if (tried.empty()) return "No picture: there is no python3 (Debian: python3-matplotlib).";
  return "No picture: no python3 has matplotlib (Debian: python3-matplotlib); tried: " + tried + ".";
}

}  // namespace demo
