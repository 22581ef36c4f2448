// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/time.h>

#include <csignal>
#include <fstream>
#include <limits>
#include <sstream>

#include "../../examples/demo/picture.hpp"
#include "../../examples/demo/run.hpp"

namespace demo {

namespace {

/// A folder of its own, removed in the end.
struct Folder {
  std::filesystem::path path;

  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "detrame-demo-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  Folder(Folder const&) = delete;
  Folder& operator=(Folder const&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }

  /// A program of the shell: path/folder/python3.
  std::filesystem::path python(char const* folder, std::string const& commands, bool runs = true) const {
    std::filesystem::create_directories(path / folder);
    auto const file = path / folder / "python3";
    std::ofstream(file) << "#!/bin/sh\n" << commands << "\n";
    std::filesystem::permissions(file, std::filesystem::perms(runs ? 0755 : 0644));
    return file;
  }

  std::string text(char const* file) const {
    std::ostringstream all;
    all << std::ifstream(path / file).rdbuf();
    return all.str();
  }
};

std::string const has_none = "echo noise; echo noise >&2; exit 1";  // whatever it is asked
std::string const draws = "[ \"$1\" = -c ] || echo \"drawn by $0 $1\" > \"$2/depth.svg\"";

}  // namespace

TEST_CASE("every python3 of PATH is tried in its order, each folder once, and Debian's last") {
  Folder const f;
  auto const a = f.python("a", ""), b = f.python("b", ""), debian = f.python("debian", "");
  f.python("cannot be run", "", false);
  std::filesystem::create_directories(f.path / "a folder" / "python3");
  std::filesystem::create_directory_symlink(f.path / "debian", f.path / "link");
  auto const list = [&](std::initializer_list<char const*> folders) {
    std::string text;
    for (char const* folder : folders) text += (f.path / folder).string() + ":";
    return text;
  };
  using Paths = std::vector<std::filesystem::path>;
  auto const last = f.path / "debian";
  CHECK(pythons(list({"b", "link", "debian", "none", "a", "b", "cannot be run", "a folder"}), last) ==
        Paths{b, a, debian});
  CHECK(pythons(list({"a"}) + ":", last) == Paths{a, debian});
  CHECK(pythons("", last) == Paths{debian});
  CHECK(pythons(list({"a"}), f.path / "none") == Paths{a});
}

TEST_CASE("the picture is drawn by the first python3 that has matplotlib, wherever it stands") {
  Folder const f;
  auto const out = f.path / "it's $HOME; \"out\"";  // no shell reads it
  std::filesystem::create_directories(out);
  auto const without = f.python("first", has_none), with = f.python("second", draws);
  auto const never = f.python("third", "echo asked > \"" + (f.path / "asked").string() + "\"");
  CHECK(draw("script.py", out, {f.path / "none" / "python3", without, with, never}) == "");
  std::ostringstream drawn;
  drawn << std::ifstream(out / "depth.svg").rdbuf();
  CHECK(drawn.str() == "drawn by " + with.string() + " script.py\n");
  CHECK(!std::filesystem::exists(f.path / "asked"));
}

TEST_CASE("where no python3 has matplotlib one sentence says so, and where drawing fails another") {
  Folder const f;
  auto const a = f.python("a", has_none), b = f.python("b", has_none);
  CHECK(draw("script.py", f.path, {a, b}) ==
        "No picture: no python3 has matplotlib (Debian: python3-matplotlib); tried: " + a.string() + ", " +
            b.string() + ".");
  CHECK(draw("script.py", f.path, {}) == "No picture: there is no python3 (Debian: python3-matplotlib).");
  auto const fails = f.python("fails", "[ \"$1\" = -c ]");
  CHECK(draw("script.py", f.path, {a, fails}) ==
        "No picture: " + fails.string() + " script.py " + f.path.string() + " failed.");
}

TEST_CASE("a signal that comes while a program runs does not make it one that failed") {
  struct sigaction waking{}, before{};
  waking.sa_handler = [](int) {};  // and no SA_RESTART: waitpid is interrupted
  ::sigaction(SIGALRM, &waking, &before);
  itimerval const soon{{0, 20'000}, {0, 20'000}}, never{};
  ::setitimer(ITIMER_REAL, &soon, nullptr);
  bool const success = succeeds({"/bin/sh", "-c", "sleep .3"}),
             failure = succeeds({"/bin/sh", "-c", "sleep .1; exit 1"});
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  CHECK(success);
  CHECK(!failure);
}

TEST_CASE("a seed did not train where its loss is not finite or its accuracy within 5 points of chance") {
  double const nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  CHECK(trained({.test = .9, .validation = .155, .loss = .1, .seconds = 1}));
  CHECK(!trained({.test = .9, .validation = .15, .loss = .1, .seconds = 1}));
  CHECK(!trained({.test = .1, .validation = .1, .loss = 2.3, .seconds = 1}));
  CHECK(!trained({.test = 0, .validation = 0, .loss = 2.3, .seconds = 1}));
  CHECK(!trained({.test = .9, .validation = .9, .loss = nan, .seconds = 1}));
  CHECK(!trained({.test = .9, .validation = .9, .loss = inf, .seconds = 1}));
}

TEST_CASE("mean and deviation are of the seeds that trained") {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<Run> runs{{.5, .5, 1, 1}, {.1, .1, nan, 1}, {.75, .5, 1, 1}, {.1, .1, 2.3, 1}, {1, .5, 1, 1}};
  Mean const m = mean(runs, &Run::test);
  CHECK(m.runs == 3);
  CHECK(m.mean == .75);
  CHECK(m.deviation == .25);
  runs.resize(2);
  CHECK((mean(runs, &Run::test).runs == 1 && mean(runs, &Run::test).deviation == 0));
  runs.erase(runs.begin());
  CHECK((mean(runs, &Run::test).runs == 0 && mean(runs, &Run::loss).mean == 0));
}

}  // namespace demo
