// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/certify.hpp"

#include "affine_map.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

template <class B>
Index label_of(HostMatrix<double> const& y) {
  Index label = 0;
  for (Index j = 1; j < y.rows(); ++j)
    if (y(j, 0) > y(label, 0)) label = j;
  return label;
}

/// x + t v / |v|, rounded to the scalar of B, and how far it is from x in truth.
template <class B>
std::pair<HostMatrix<double>, double> stepped(HostMatrix<double> const& x, HostMatrix<double> const& v,
                                              double t) {
  double const size = norm(v);
  auto const to = rounded<double>(
      rounded<typename B::Scalar>(mapped([&](double a, double d) { return a + t * d / size; }, x, v)));
  return {to, norm(mapped([](double a, double b) { return a - b; }, to, x))};
}

/// Random directions, and each coordinate, at the certified radius: no label may change.
template <class Net>
void check_never_inside(typename Net::Backend& backend, Net const& net, typename Net::Parameters const& theta,
                        HostMatrix<double> const& x, Certificate const& c, std::uint64_t s, int tries = 60) {
  using B = typename Net::Backend;
  REQUIRE(c.radius.size() == 1);
  for (int n = 0; n < tries; ++n) {
    auto const v = normal_matrix<double>(x.rows(), x.cols(), seed(s + static_cast<std::uint64_t>(n)));
    auto const [to, far] = stepped<B>(x, v, c.radius[0] * .999999);
    if (far <= c.radius[0]) CHECK(label_of<B>(mapped_by(backend, net, theta, to)) == c.label[0]);
  }
}

}  // namespace

TEST_CASE_TEMPLATE(
    "(R5) a linear classifier: the nearest boundary is within 1 % of the radius, never inside it", B,
    Cpu<float>, Cpu<double>) {
  B b;
  Bind<Dense<4>, Shape{6}, B> const net;
  auto theta = random_parameters(b, net, seed(2000), 1.);
  auto W = in_double(b, ConstView<B>(theta.W));
  for (Index l = 0; l < 6; ++l) W(3, l) *= 40;  // the score of class 3 changes fast
  theta.W = in_memory_of(b, W);
  bool not_the_runner_up = false;
  for (std::uint64_t n = 0; n < 8; ++n) {
    auto const x = rounded<double>(normal_matrix<float>(6, 1, seed(2010 + n)));
    Certificate const c = certify(b, net, theta, in_memory_of(b, x), 100.);
    CHECK(c.claim == Claim::same_label);
    CHECK(c.why.empty());
    Index const i = c.label[0];
    auto const y = mapped_by(b, net, theta, x);
    CHECK(i == label_of<B>(y));
    CHECK(c.radius[0] > 0);
    CHECK(c.radius[0] <= c.in_real_arithmetic[0]);
    // in closed form, and the direction that gets there
    double nearest = std::numeric_limits<double>::infinity(), second = -nearest;
    Index to = i, runner_up = i;
    for (Index j = 0; j < 4; ++j) {
      if (j == i) continue;
      double square = 0;
      for (Index l = 0; l < 6; ++l) square += (W(i, l) - W(j, l)) * (W(i, l) - W(j, l));
      double const far = (y(i, 0) - y(j, 0)) / std::sqrt(square);
      if (far < nearest) {
        nearest = far;
        to = j;
      }
      if (y(j, 0) > second) {
        second = y(j, 0);
        runner_up = j;
      }
    }
    not_the_runner_up = not_the_runner_up || runner_up != to;
    CHECK(c.radius[0] <= nearest * (1 + 1e-12) + static_cast<double>(tolerance<typename B::Scalar>(6, 1)));
    CHECK(c.radius[0] >= .99 * nearest);
    auto const v = host_matrix<double>(6, 1, [&](Index l, Index) { return W(to, l) - W(i, l); });
    auto const [beyond, far] = stepped<B>(x, v, 1.01 * c.radius[0]);
    CHECK(label_of<B>(mapped_by(b, net, theta, beyond)) != i);
    auto const [inside, near] = stepped<B>(x, v, .9999 * c.radius[0]);
    REQUIRE(near <= c.radius[0]);
    CHECK(label_of<B>(mapped_by(b, net, theta, inside)) == i);
  }
  REQUIRE(not_the_runner_up);  // else a radius of the runner-up alone would do
}

TEST_CASE("(R5) a tight layer of codes, D^T D = s I and s = 1/4: an attack within 1 %, never inside") {
  using B = Cpu<double>;
  B b;
  Bind<Stack<Dictionary<5, Exact>, Dense<3>>, Shape{5}, B> const net;
  auto theta = random_parameters(b, net, seed(2050), 1.);
  auto& code = leaf<0>(theta);
  auto const D = mapped([](double v) { return .5 * v; }, orthogonal_matrix(5, seed(2051)));
  code.D = in_memory_of(b, D);
  code.d = zeros(b, 5, 1);
  code.lambda = zeros(b, 1, 1);
  code.alpha = in_memory_of(b, HostMatrix<double>(1, 1, .25));
  code.beta = zeros(b, 1, 1);
  // x = D a, a well inside the positive orthant: there the code is u = 2 D^T x / 1, of constant 1
  auto const x = product(D, uniform_matrix<double>(5, 1, seed(2052), 6, 8));
  auto const W = in_double(b, ConstView<B>(leaf<1>(theta).W));
  Certificate const c = certify(b, net, theta, in_memory_of(b, x), 100.);
  CHECK(c.claim == Claim::same_label_or_refuses);
  CHECK(c.why.find("refuses") != std::string::npos);
  Index const i = c.label[0];
  auto const y = mapped_by(b, net, theta, x);
  double nearest = 100;
  HostMatrix<double> v(5, 1);
  for (Index j = 0; j < 3; ++j) {
    if (j == i) continue;
    auto const w = host_matrix<double>(5, 1, [&](Index l, Index) { return W(j, l) - W(i, l); });
    if (double const far = (y(i, 0) - y(j, 0)) / norm(w); far < nearest) {
      nearest = far;
      v = product(D, w);
    }
  }
  REQUIRE(nearest < 2);  // within that orthant
  CHECK(c.radius[0] >= .99 * nearest);
  CHECK(c.radius[0] <= nearest);
  CHECK(label_of<B>(mapped_by(b, net, theta, stepped<B>(x, v, 1.01 * c.radius[0]).first)) != i);
  CHECK(label_of<B>(mapped_by(b, net, theta, stepped<B>(x, v, .9999 * c.radius[0]).first)) == i);
}

namespace {

/// A layer of coarse arithmetic: the identity, to multiples of 1/4, and it says so.
struct Coarse {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend B>
  struct Layer : Bind<ReLU, in, B> {
    using FromRecipe = Coarse;
    static std::string name() { return "Coarse"; }
    void predict(B& backend, NoParameters const&, ConstView<B> x, View<B> y) const {
      auto const host = to_host(backend, x);
      Matrix<B> const rounded =
          to_device(backend, host_matrix<typename B::Scalar>(host.rows(), host.cols(), [&](Index i, Index j) {
                      return std::nearbyint(host(i, j) * 4) / 4;
                    }));
      each(backend.lane(), formula::Assign(), y, ConstView<B>(rounded));
    }
    auto inference(B& backend, NoParameters const&) const {
      return [&backend, this](auto&, ConstView<B> x, View<B> y) { predict(backend, {}, x, y); };
    }
  };
};
/// A layer that refuses samples whose first number is negative.
struct Picky {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend B>
  struct Layer : Bind<ReLU, in, B> {
    using FromRecipe = Picky;
    static std::string name() { return "Picky"; }
    void predict(B& backend, NoParameters const&, ConstView<B> x, View<B> y) const {
      auto const host = to_host(backend, x);
      for (Index j = 0; j < host.cols(); ++j)
        if (host(0, j) < 0) throw NotCertified("Picky: negative");
      each(backend.lane(), formula::Assign(), y, x);
    }
    auto inference(B& backend, NoParameters const&) const {
      return [&backend, this](auto&, ConstView<B> x, View<B> y) { predict(backend, {}, x, y); };
    }
  };
};
/// A layer with a constant, of whose arithmetic nothing is known; and one of which nothing is.
struct Unrounded {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend B>
  struct Layer : Bind<ReLU, in, B> {
    using FromRecipe = Unrounded;
    static std::string name() { return "Unrounded"; }
  };
};
struct Unknown {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend B>
  struct Layer : Bind<ReLU, in, B> {
    using FromRecipe = Unknown;
    static std::string name() { return "Unknown"; }
  };
};

}  // namespace

template <>
struct detrame::Guarantee<Coarse> {
  template <class L, class Theta>
  static Certified<double> lipschitz(typename L::Backend&, L const&, Theta const&) {
    return 1.;
  }
  template <class L, class Theta>
  static Certified<Deviation> deviation(typename L::Backend&, L const&, Theta const&) {
    return Deviation{.absolute = .125 * std::sqrt(static_cast<double>(Shape(L::output).size()))};
  }
};
template <>
struct detrame::Guarantee<Picky> {
  template <class L, class Theta>
  static Certified<double> lipschitz(typename L::Backend&, L const&, Theta const&) {
    return 1.;
  }
  template <class L, class Theta>
  static Certified<Deviation> deviation(typename L::Backend&, L const&, Theta const&) {
    return Deviation{.may_refuse = true};
  }
};
template <>
struct detrame::Guarantee<Unrounded> {
  template <class L, class Theta>
  static Certified<double> lipschitz(typename L::Backend&, L const&, Theta const&) {
    return 1.;
  }
};

TEST_CASE_TEMPLATE("(R6) in real arithmetic: the network without rounding has the label, at the image too", B,
                   Cpu<float>, Cpu<double>) {
  B b;
  Bind<Dense<2>, Shape{3}, B> const net;
  auto theta = net.parameters(b);
  HostMatrix<double> W(2, 3);
  W(0, 0) = W(0, 1) = W(0, 2) = 1;
  W(1, 1) = .5;
  theta.W = in_memory_of(b, W);
  double const large = std::is_same_v<B, Cpu<float>> ? 0x1p27 : 0x1p56;
  auto x = HostMatrix<double>(3, 1, 1.);  // scores 1 and .5; as computed, 0 or 1 and .5
  x(0, 0) = large;
  x(2, 0) = -large;
  Certificate const c = certify(b, net, theta, in_memory_of(b, x), 1.);
  CHECK(c.radius[0] == 0);
  if (c.label[0] != 0) CHECK(c.in_real_arithmetic[0] == 0);
  CHECK(c.label[0] == 1);  // or this shows nothing

  // codes that are not determined in float: no bound of their rounding, and no radius
  Cpu<float> narrow;
  Bind<Stack<Dense<3>, Dictionary<3, Exact>, Dense<2>>, Shape{3}, Cpu<float>> const codes;
  auto of_codes = random_parameters(narrow, codes, seed(2090), 1.);
  leaf<1>(of_codes).alpha = to_device(narrow, HostMatrix<float>(1, 1, 1e-6F));
  leaf<1>(of_codes).beta = zeros(narrow, 1, 1);
  Certificate const none =
      certify(narrow, codes, of_codes, in_memory_of(narrow, HostMatrix<double>(3, 1, 1.)), 1.);
  CHECK(none.claim == Claim::none);
  CHECK(none.why.find("not determined well enough") != std::string::npos);
  CHECK(none.radius[0] == 0);
  CHECK(none.in_real_arithmetic[0] == 0);
}

TEST_CASE_TEMPLATE("(R5) (L5) the unit of the scores changes no radius: a classifier times a power of two", B,
                   Cpu<float>, Cpu<double>) {
  B b;
  Bind<Stack<Dictionary<2, Exact>, Dense<2>>, Shape{2}, B> const net;
  auto theta = net.parameters(b);
  HostMatrix<double> eye(2, 2);
  eye(0, 0) = eye(1, 1) = 1;
  leaf<0>(theta).D = in_memory_of(b, eye);
  leaf<0>(theta).alpha = in_memory_of(b, HostMatrix<double>(1, 1, .25));
  auto const x = rounded<double>(host_matrix<float>(2, 1, [](Index i, Index) { return i == 0 ? 1.F : .9F; }));
  auto const certified = [&](int exponent) {
    leaf<1>(theta).W = in_memory_of(b, mapped([&](double w) { return std::ldexp(w, exponent); }, eye));
    return certify(b, net, theta, in_memory_of(b, x), 5.);
  };
  auto const once = certified(0);
  CHECK(once.radius[0] > .068);
  CHECK(once.radius[0] <= .1 / std::sqrt(2.));
  CHECK(once.in_real_arithmetic[0] <= .1 / std::sqrt(2.));
  bool const wide = std::is_same_v<B, Cpu<double>>;
  for (int const e : {20, -20, wide ? -520 : -60, wide ? -600 : -80, wide ? 300 : 40}) {
    auto const again = certified(e);
    CHECK(again.label[0] == 0);
    CHECK(again.radius[0] == doctest::Approx(once.radius[0]).epsilon(1e-9));
    CHECK(again.in_real_arithmetic[0] == doctest::Approx(once.in_real_arithmetic[0]).epsilon(1e-9));
  }
}

TEST_CASE(
    "(R1) (W3) an image so large that Winograd's transforms overflow has no radius, however small W is") {
  using B = Cpu<float>;
  B b;
  Bind<Stack<Convolution<8, 3, By<Winograd<4>>>, GlobalAveragePool, Dense<2>>, Shape{8, 8, 8}, B> const net;
  auto theta = net.parameters(b);
  leaf<0>(theta).W = to_device(b, host_matrix<float>(8, 72, [](Index i, Index j) {
                                 return j == 4 * 8 + i ? (i == 0 ? 1e-30F : 1e-31F) : 0.F;
                               }));
  leaf<2>(theta).W =
      to_device(b, host_matrix<float>(2, 8, [](Index i, Index j) { return i == j ? 1.F : 0.F; }));
  auto const image = [&](float s) {
    return to_device(b, host_matrix<float>(8, 64, [&](Index i, Index j) {
                       bool const minus = (j % 8 % 4 < 2) != (j / 8 % 4 < 2);
                       return i == 0 ? .1F * s : i == 1 ? (minus ? -s : s) : 0.F;
                     }));
  };
  auto const beyond = to_host(b, ConstView<B>(predict(b, net, theta, image(1.06e37F))));
  REQUIRE(!std::isfinite(beyond(0, 0)));
  Certificate const near = certify(b, net, theta, image(1.04e37F), 4e36);
  CHECK(near.claim == Claim::same_label);
  CHECK(near.radius[0] == 0);
  CHECK(certify(b, net, theta, image(1e30F), 1e26).radius[0] > 0);
}

TEST_CASE("(R6) a parameter that is not finite: no claim, and its name") {
  using B = Cpu<double>;
  B b;
  Bind<Stack<Dense<3>, ReLU, BatchNorm, Dense<2>>, Shape{2}, B> const net;
  auto const x = normal_matrix<double>(2, 1, seed(2600));
  auto const with = [&](auto const& change) {
    auto theta = random_parameters(b, net, seed(2601), 1.);
    change(theta);
    return certify(b, net, theta, in_memory_of(b, x), 1.);
  };
  CHECK(with([](auto&) {}).claim == Claim::same_label);
  double const infinite = std::numeric_limits<double>::infinity();
  auto const bias =
      with([&](auto& theta) { leaf<0>(theta).c = in_memory_of(b, HostMatrix<double>(3, 1, infinite)); });
  CHECK(bias.claim == Claim::none);
  CHECK(bias.why.find("c is not finite") != std::string::npos);
  CHECK(bias.radius[0] == 0);
  CHECK(bias.in_real_arithmetic[0] == 0);
  auto const variance = with([&](auto& theta) {
    leaf<2>(theta).running_variance = in_memory_of(b, HostMatrix<double>(3, 1, infinite));
  });
  CHECK(variance.claim == Claim::none);
  CHECK(variance.radius[0] == 0);
}

TEST_CASE_TEMPLATE("(R4) an image at the edge of its ball has its label alone and at each place of a batch",
                   B, Cpu<float>, Cpu<double>) {
  B b;
  using Net = Bind<Stack<Convolution<4, 3>, BatchNorm, ReLU, GlobalAveragePool, Dense<3>>, Shape{2, 6, 6}, B>;
  Net const net;
  auto const theta = random_parameters(b, net, seed(2700), .3);
  Certifier<Net> const certifier(b, net, theta);
  auto const x = rounded<double>(normal_matrix<float>(2, 36, seed(2701)));
  Certificate const c = certifier(b, in_memory_of(b, x), 1.);
  REQUIRE(c.radius[0] > 0);
  auto const [edge, far] = stepped<B>(x, normal_matrix<double>(2, 36, seed(2702)), c.radius[0] * .99999);
  REQUIRE(far <= c.radius[0]);
  for (Index const N : {2, 17, 64}) {
    auto batch = normal_matrix<double>(2, 36 * N, seed(2703));
    for (Index const at : {Index(0), N / 2, N - 1}) {
      for (Index j = 0; j < 36; ++j)
        for (Index i = 0; i < 2; ++i) batch(i, 36 * at + j) = edge(i, j);
      auto const y = mapped_by(b, net, theta, batch);
      auto const own = host_matrix<double>(3, 1, [&](Index i, Index) { return y(i, at); });
      CHECK(label_of<B>(own) == c.label[0]);
      // and the certificate of an image does not depend on the others but for the last bits of its scores
      for (Index j = 0; j < 36; ++j)
        for (Index i = 0; i < 2; ++i) batch(i, 36 * at + j) = x(i, j);
      auto const again = certifier(b, in_memory_of(b, batch), 1.);
      CHECK(again.label[static_cast<std::size_t>(at)] == c.label[0]);
      CHECK(again.radius[static_cast<std::size_t>(at)] == doctest::Approx(c.radius[0]).epsilon(1e-3));
    }
  }
}

namespace {

/// Cpu<float> with a switch that says that it rounds factors of products to TF32.
struct Switched : Cpu<float> {
  bool on = false;
  bool tf32() const { return on; }
};

}  // namespace

TEST_CASE("(R6) a Certifier is of the arithmetic that it was made with, and refuses another") {
  Switched b;
  using Net = Bind<Stack<Dense<3>, ReLU, Dense<2>>, Shape{2}, Switched>;
  Net const net;
  auto const theta = random_parameters(b, net, seed(2800), 1.);
  auto const x = to_device(b, normal_matrix<float>(2, 1, seed(2801)));
  Certifier<Net> const certifier(b, net, theta);
  CHECK(certifier(b, x, 1.).claim == Claim::same_label);
  b.on = true;
  check_throws_with<DomainError>([&] { certifier(b, x, 1.); }, "TF32");
  Certifier<Net> const narrower(b, net, theta);
  CHECK(narrower(b, x, 1.).claim == Claim::none);
  CHECK(narrower(b, x, 1.).radius[0] == 0);
  b.on = false;
  check_throws_with<DomainError>([&] { narrower(b, x, 1.); }, "TF32");
}

namespace {

/// Cpu<double> that counts the eigenvalues that are asked for: CodeStack's work.
struct Counting : Cpu<double> {
  int eigenvalues = 0;
};
std::vector<double> symmetric_eigenvalues(Counting& backend, ConstView<Cpu<double>> A) {
  ++backend.eigenvalues;
  return symmetric_eigenvalues(static_cast<Cpu<double>&>(backend), A);
}

}  // namespace

TEST_CASE("(L5) (R6) constants are found once: images cost no eigenvalues, refused ones neither") {
  Counting b;
  using Net = Bind<Stack<Picky, Dictionary<3, Exact>, Dense<2>>, Shape{2}, Counting>;
  Net const net;
  auto const theta = random_parameters(b, net, seed(2850), .5);
  auto const once = [&] {
    auto const before = b.eigenvalues;
    Certifier<Net> const certifier(b, net, theta);
    return std::pair{certifier, b.eigenvalues - before};
  };
  auto const [certifier, in_constructor] = once();
  CHECK(in_constructor > 0);
  int const made = b.eigenvalues;
  auto const c = certifier(b, to_device(b, normal_matrix<double>(2, 9, seed(2851))), 1.);
  CHECK(std::count(c.label.begin(), c.label.end(), -1) > 0);
  CHECK(std::count(c.label.begin(), c.label.end(), -1) < 9);
  CHECK(b.eigenvalues == made);
}

TEST_CASE("(R4) (R5) a coarse layer: its deviation, times the constants behind it, keeps attacks outside") {
  using B = Cpu<double>;
  B b;
  Bind<Stack<Dense<3>, Coarse, Dense<2>>, Shape{2}, B> const net;
  auto theta = random_parameters(b, net, seed(2100), 1.);
  leaf<1>(theta) = {};
  Bind<Stack<Dense<3>, Dense<2>>, Shape{2}, B> const exact;  // the network without rounding
  auto exact_theta = exact.parameters(b);
  leaf<0>(exact_theta) = leaf<0>(theta);
  leaf<1>(exact_theta) = leaf<2>(theta);
  int certified = 0, inside_without = 0;
  for (std::uint64_t n = 0; n < 40; ++n) {
    auto const x = normal_matrix<double>(2, 1, seed(2110 + n));
    Certificate const c = certify(b, net, theta, in_memory_of(b, x), 5.);
    CHECK(c.claim == Claim::same_label);
    CHECK(c.radius[0] <= c.in_real_arithmetic[0]);
    certified += c.radius[0] > 0;
    auto const y = mapped_by(b, net, theta, x), W = in_double(b, ConstView<B>(leaf<2>(theta).W));
    double between = 0;
    for (Index l = 0; l < 3; ++l) between = std::hypot(between, W(0, l) - W(1, l));
    double const forgotten =
        std::min(5., std::abs(y(0, 0) - y(1, 0)) /
                         (between * lipschitz(b, leaf<0>(net.layers), leaf<0>(theta)).value()));
    for (int turn = 0; turn < 64; ++turn)
      for (double const share : {.3, .6, .9, .99, .999}) {
        double const angle = .1 * turn, real = c.in_real_arithmetic[0] * share, r = c.radius[0] * share;
        auto const at = [&](double t) {
          return host_matrix<double>(2, 1, [&](Index i, Index) {
            return x(i, 0) + t * (i == 0 ? std::cos(angle) : std::sin(angle));
          });
        };
        if (c.radius[0] > 0) CHECK(label_of<B>(mapped_by(b, net, theta, at(r))) == c.label[0]);
        if (real > 0) CHECK(label_of<B>(mapped_by(b, exact, exact_theta, at(real))) == c.label[0]);
        inside_without += label_of<B>(mapped_by(b, net, theta, at(forgotten * share))) != c.label[0];
      }
  }
  REQUIRE(certified > 2);
  REQUIRE(inside_without > 0);  // where the deviation is forgotten, an attack is inside
}

TEST_CASE("(R4) balls on their way, by hand: constants behind a deviation multiply it, two ways add up") {
  using B = Cpu<double>;
  B b;
  double const off = .125 * std::sqrt(2.), rho = .5;
  auto const x = host_matrix<double>(2, 1, [](Index i, Index) { return 1. + static_cast<double>(i); });
  auto const balls_behind = [&](auto const& net, auto const& theta) {
    Balls<B> balls{in_memory_of(b, x), {norm(x)}, {rho}, {0.}, {0.}};
    advance(b, net, theta, network_bound(b, net, theta), balls);
    return balls;
  };
  auto const is = [](double found, double expected) {
    CHECK(found >= expected);
    CHECK(found <= expected * (1 + 1e-12));
  };
  Bind<Stack<Coarse, Dense<2>>, Shape{2}, B> const stack;
  auto theta = stack.parameters(b);
  HostMatrix<double> W(2, 2);
  W(0, 0) = 3;
  W(1, 1) = -4;
  leaf<1>(theta).W = in_memory_of(b, W);
  auto const behind = balls_behind(stack, theta);
  is(behind.radius[0], 4 * rho);
  is(behind.error[0], 4 * off);
  is(behind.off[0], 4 * off);
  is(behind.centre[0], std::sqrt(9. + 64.));
  is(behind.reach(0), behind.centre[0] + 4 * rho + 8 * off);

  Bind<Residual<Coarse>, Shape{2}, B> const plus_x;
  auto const twice = balls_behind(plus_x, plus_x.parameters(b));
  is(twice.radius[0], 2 * rho);
  is(twice.error[0], off);
  is(twice.centre[0], 2 * norm(x));
  Bind<Residual<Shortcut<Coarse>, Dense<2>>, Shape{2}, B> const two;
  auto ways = two.parameters(b);
  leaf<0>(ways.branch).W = in_memory_of(b, W);
  auto const both = balls_behind(two, ways);
  is(both.radius[0], 5 * rho);
  is(both.error[0], off);
}

TEST_CASE("(R6) claims: of what each network proves, and why it is not more") {
  using B = Cpu<float>;
  B b;
  auto const x = normal_matrix<double>(4, 1, seed(2200));
  auto const claim_of = [&]<class R>(R) {
    Bind<R, Shape{4}, B> const net;
    auto const theta = random_parameters(b, net, seed(2201));
    Certificate const c = certify(b, net, theta, in_memory_of(b, x), 1.);
    return std::pair{c.claim, c.why};
  };
  CHECK(claim_of(Stack<Dense<5>, ReLU, Dense<3>>()).first == Claim::same_label);
  CHECK(claim_of(Stack<Dense<5>, Dictionary<6, Exact>, Dense<3>>()).first == Claim::same_label_or_refuses);
  CHECK(claim_of(Stack<Unrounded, Dictionary<6, Exact>, Dense<3>>()) ==
        std::pair{Claim::none,
                  std::string("Unrounded: no bound of this layer's rounding is known (see Guarantee)")});
  CHECK(claim_of(Stack<Dense<5>, Residual<Unknown, Dense<5>>, Dense<3>>()) ==
        std::pair{Claim::none,
                  std::string("Unknown: no Lipschitz constant of this layer is known (see Guarantee)")});
  Bind<Stack<Unknown, Dense<3>>, Shape{4}, B> const net;
  auto const theta = random_parameters(b, net, seed(2202));
  CHECK(certify(b, net, theta, in_memory_of(b, x), 1.).radius[0] == 0);
  CHECK(certify(b, net, theta, in_memory_of(b, x), 1.).in_real_arithmetic[0] == 0);
  for (Claim const c : {Claim::same_label, Claim::same_label_or_refuses, Claim::none})
    CHECK(!name(c).empty());
}

TEST_CASE("(R6) an image that is refused is not robust, and no other is touched by it") {
  using B = Cpu<double>;
  B b;
  Bind<Stack<Picky, Dense<3>>, Shape{2}, B> const net;
  auto const theta = random_parameters(b, net, seed(2300), 1.);
  auto X = normal_matrix<double>(2, 3, seed(2301));
  X(0, 0) = 1;
  X(0, 1) = -1;
  X(0, 2) = 2;
  Certifier<std::remove_const_t<decltype(net)>> const certifier(b, net, theta);
  using Net = std::remove_const_t<decltype(net)>;  // parameters that die at once are refused
  static_assert(!std::is_constructible_v<Certifier<Net>, B&, Net const&, Net::Parameters>);
  CHECK(certifier.claim() == Claim::same_label_or_refuses);
  CHECK(certifier.bound().parts.size() == 2);
  Certificate const c = certifier(b, in_memory_of(b, X), 9.);
  REQUIRE(c.label.size() == 3);
  CHECK(c.label[1] == -1);
  CHECK(c.radius[1] == 0);
  for (Index const n : {0, 2}) {
    auto const alone = certifier(b,
                                 in_memory_of(b, HostMatrix<double>(host_matrix<double>(
                                                     2, 1, [&](Index i, Index) { return X(i, n); }))),
                                 9.);
    CHECK(c.label[static_cast<std::size_t>(n)] == alone.label[0]);
    CHECK(c.radius[static_cast<std::size_t>(n)] == alone.radius[0]);
    CHECK(alone.radius[0] > 0);
  }
  CHECK(certifier(b, zeros(b, 2, 0), 1.).label.empty());
  check_throws_with<DomainError>([&] { certifier(b, in_memory_of(b, X), 0); }, "rho = 0, must be > 0");
  check_throws_with<ShapeError>([&] { certifier(b, zeros(b, 3, 1), 1); }, "certify: x is 3 x 1");
}

TEST_CASE("(R4) (L5) networks of every kind: parts multiply, ways add, and no attack is inside") {
  using B = Cpu<float>;
  B b;
  {
    using Net =
        Bind<Stack<Convolution<4, 3, NoBias>, BatchNorm, ReLU,
                   Residual<Convolution<4, 3, NoBias>, BatchNorm, QMetricReLU<Convolutional<3>, Unroll<2>>>,
                   Residual<Shortcut<PadChannels<6, Stride<2>>>, Convolution<6, 3, Stride<2>>, ReLU>,
                   Repeat<2, Residual<Convolution<6, 3>>>, GlobalAveragePool, Dense<3>>,
             Shape{2, 6, 6}, B>;
    Net const net;
    auto const theta = random_parameters(b, net, seed(2400), .1);
    Certifier<Net> const certifier(b, net, theta);
    CHECK(certifier.claim() == Claim::same_label);
    auto const& parts = certifier.bound().parts;
    REQUIRE(parts.size() == 8);
    double product = 1;
    for (auto const& part : parts) product *= part.lipschitz.value();
    CHECK(certifier.bound().lipschitz.value() >= product);
    CHECK(certifier.bound().lipschitz.value() <= product * (1 + 1e-12));
    CHECK(parts[3].lipschitz.value() >= 1 + parts[3].parts[0].lipschitz.value());  // x + f(x)
    CHECK(parts[3].lipschitz.value() <= (1 + parts[3].parts[0].lipschitz.value()) * (1 + 1e-12));
    CHECK(parts[5].lipschitz.value() <=
          parts[5].parts[0].lipschitz.value() * parts[5].parts[1].lipschitz.value() * (1 + 1e-12));
    for (std::uint64_t n = 0; n < 4; ++n) {
      auto const x = rounded<double>(normal_matrix<float>(2, 36, seed(2410 + n)));
      Certificate const c = certifier(b, in_memory_of(b, x), 1.);
      CHECK(c.radius[0] > 0);
      CHECK(c.radius[0] < c.in_real_arithmetic[0]);
      CHECK(certifier(b, in_memory_of(b, x), 1e-3).radius[0] <= 1e-3);
      check_never_inside(b, net, theta, x, c, 2420, 20);
    }
  }
  {
    using Net = Bind<Stack<Dictionary<7, Exact>, Dictionary<5, Exact>, Dense<4>>, Shape{6}, Cpu<double>>;
    Cpu<double> wide;
    Net const net;
    auto const theta = random_parameters(wide, net, seed(2500), 1.);
    Certifier<Net> const certifier(wide, net, theta);
    auto const W = in_double(wide, ConstView<Cpu<double>>(leaf<2>(theta).W));
    bool sharper = false;
    for (std::uint64_t n = 0; n < 6; ++n) {
      auto const x = mapped([](double v) { return 3 * v; }, normal_matrix<double>(6, 1, seed(2510 + n)));
      Certificate const c = certifier(wide, in_memory_of(wide, x), 100.);
      auto const y = mapped_by(wide, net, theta, x);
      double by_product = 100;
      for (Index j = 0; j < 4; ++j) {
        if (j == c.label[0]) continue;
        double square = 0;
        for (Index l = 0; l < 5; ++l) square += (W(c.label[0], l) - W(j, l)) * (W(c.label[0], l) - W(j, l));
        double const constants =
            certifier.bound().parts[0].lipschitz.value() * certifier.bound().parts[1].lipschitz.value();
        by_product = std::min(by_product, (y(c.label[0], 0) - y(j, 0)) / (std::sqrt(square) * constants));
      }
      CHECK(c.radius[0] >= by_product * (1 - 1e-6));  // (L5) is never worse than the product
      sharper = sharper || c.radius[0] > 1.001 * by_product;
      check_never_inside(wide, net, theta, x, c, 2520, 40);
    }
    CHECK(sharper);
  }
}
