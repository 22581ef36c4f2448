// SPDX-License-Identifier: Apache-2.0
#include "detrame/core/parameters.hpp"

#include <set>
#include <vector>

#include "detrame/core/host_matrix.hpp"
#include "support.hpp"

namespace detrame {

using namespace test;

namespace {

struct Inner {
  HostMatrix<float> W{2, 3}, b{2, 1};
  template <class F, class Theta, class... Rest>
  static void visit(F& f, Path const& path, Theta& theta, Rest&... rest) {
    f(path / "W", Kind::W_tilde, theta.W, rest.W...);
    f(path / "b", Kind::b, theta.b, rest.b...);
  }
};

struct Outer {
  Inner first, second;
  template <class F, class Theta, class... Rest>
  static void visit(F& f, Path const& path, Theta& theta, Rest&... rest) {
    Inner::visit(f, path / 0, theta.first, rest.first...);
    NoParameters::visit(f, path / 1, theta, rest...);
    Inner::visit(f, path / 12, theta.second, rest.second...);
  }
};

}  // namespace

TEST_CASE("visit: calls with path, kind and the tensors of all values, in a fixed order") {
  Outer theta, theta_bar;
  Outer const velocity;
  std::vector<std::string> paths;
  std::vector<Kind> kinds;
  std::set<void const*> tensors;
  visit(
      [&](std::string_view path, Kind kind, HostMatrix<float>& t, HostMatrix<float>& t_bar,
          HostMatrix<float> const& v) {
        paths.emplace_back(path);
        kinds.push_back(kind);
        tensors.insert({&t, &t_bar, &v});
        CHECK((t.rows() == t_bar.rows() && t.cols() == v.cols()));
        t(0, 0) = 7;
      },
      theta, theta_bar, velocity);
  CHECK(paths == std::vector<std::string>{"0.W", "0.b", "12.W", "12.b"});
  CHECK(kinds == std::vector<Kind>{Kind::W_tilde, Kind::b, Kind::W_tilde, Kind::b});
  CHECK(tensors.size() == 12);
  CHECK((theta.second.b(0, 0) == 7 && theta_bar.second.b(0, 0) == 0));
}

TEST_CASE("parameter_count: the trainable scalars") {
  CHECK(parameter_count(Outer()) == 16);
  CHECK(parameter_count(Inner()) == 8);
  CHECK(parameter_count(NoParameters()) == 0);
}

TEST_CASE("Path: parts behind one another, up to its capacity") {
  Path const path = Path() / 3 / "branch." / 0 / "W";
  CHECK(std::string_view(path) == "3.branch.0.W");
  CHECK(std::string_view(Path()).empty());
  Path full;
  for (int i = 0; i < 12; ++i) full = full / "ten chars.";
  CHECK(std::string_view(full).size() == 120);
  check_throws_with<ShapeError>([&] { full / "W"; }, "ten chars.W has more than 120 characters");
}

TEST_CASE("Kind: each has a name of its own; all but running statistics are trainable") {
  std::set<std::string_view> names;
  std::size_t trained = 0;
  for (std::size_t i = 0; i < kind_count; ++i) {
    names.insert(name(static_cast<Kind>(i)));
    trained += trainable(static_cast<Kind>(i));
  }
  CHECK(names.size() == kind_count);
  CHECK(names.count("unknown") == 0);
  CHECK((kind_count == 14 && trained == 12));
  CHECK_FALSE((trainable(Kind::running_mean) || trainable(Kind::running_variance)));
  CHECK(name(Kind::W_tilde) == "W_tilde");
}

}  // namespace detrame
