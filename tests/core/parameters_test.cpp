// SPDX-License-Identifier: Apache-2.0
#include "detrame/core/parameters.hpp"

#include <set>
#include <vector>

#include "detrame/core/host_matrix.hpp"
#include "support.hpp"

namespace detrame {

using namespace test;

namespace {

constexpr Role b_role{.name = "measured", .trained = false};

struct Inner {
  HostMatrix<float> W{2, 3}, b{2, 1};
  template <class F, class Theta, class... Rest>
  static void visit(F& f, Path const& path, Theta& theta, Rest&... rest) {
    f(path / "W", Role{.name = "matrix"}, theta.W, rest.W...);
    f(path / "b", b_role, theta.b, rest.b...);
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

TEST_CASE("visit: calls with path, role and the tensors of all values, in a fixed order") {
  Outer theta, theta_bar;
  Outer const velocity;
  std::vector<std::string> paths;
  std::vector<std::string_view> kinds;
  std::set<void const*> tensors;
  visit(
      [&](std::string_view path, Role const& role, HostMatrix<float>& t, HostMatrix<float>& t_bar,
          HostMatrix<float> const& v) {
        paths.emplace_back(path);
        kinds.push_back(role.name);
        tensors.insert({&t, &t_bar, &v});
        CHECK((t.rows() == t_bar.rows() && t.cols() == v.cols()));
        t(0, 0) = 7;
      },
      theta, theta_bar, velocity);
  CHECK(paths == std::vector<std::string>{"0.W", "0.b", "12.W", "12.b"});
  CHECK(kinds == std::vector<std::string_view>{"matrix", "measured", "matrix", "measured"});
  CHECK(tensors.size() == 12);
  CHECK((theta.second.b(0, 0) == 7 && theta_bar.second.b(0, 0) == 0));
}

TEST_CASE("parameter_count: the scalars that are trained") {
  CHECK(parameter_count(Outer()) == 12);
  CHECK(parameter_count(Inner()) == 6);
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

TEST_CASE("Role: a constant, trained, decaying, free and with a start of 0 unless it says otherwise") {
  static_assert(std::is_trivially_copyable_v<Role>);
  constexpr Role plain{.name = "x"}, said{.name = "y", .initial = 0.75, .low = 0, .trained = false};
  static_assert(plain.trained && plain.decays && !plain.weight && !plain.hyperparameter && !plain.open);
  static_assert(plain.low < -limits::largest<double> && plain.high > limits::largest<double>);
  static_assert(plain.taps == 0 && plain.updates == 0 && said.low == 0 && !said.trained);
  HostMatrix<float> p(2, 3, 5.f);
  plain.start(p, Random(1, 1), 0);
  CHECK(p == HostMatrix<float>(2, 3, 0.f));
  said.start(p, Random(1, 1), 0);
  CHECK(p == HostMatrix<float>(2, 3, 0.75f));
}

}  // namespace detrame
