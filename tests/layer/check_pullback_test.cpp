// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/dense.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/relu.hpp"
#include "laws/everywhere.hpp"

/// check_pullback tells wrong pullbacks from right ones, and says which argument is wrong.
namespace detrame {
namespace {

using B = Cpu<double>;
using Host = HostMatrix<double>;
using Right = Bind<Dense<4>, Shape{4}, B>;
using RightQ = Bind<QMetricReLU<Full, Unroll<2>>, Shape{4}, B>;

struct MissingTranspose : Right {
  B::ConstView pullback(B& b, Parameters const& theta, Tape& tape, B::ConstView y_bar,
                        Parameters& bar) const {
    Right::pullback(b, theta, tape, y_bar, bar);
    gemm(b.lane(), 1, theta.W, Op::none, y_bar, Op::none, 0, tape.memory.x_bar());
    return tape.memory.x_bar();
  }
};

struct WrongSignOfC : Right {
  B::ConstView pullback(B& b, Parameters const& theta, Tape& tape, B::ConstView y_bar,
                        Parameters& bar) const {
    Parameters own = parameters(b);
    Right::pullback(b, theta, tape, y_bar, own);
    bar.W += own.W;
    bar.c -= own.c;
    return tape.memory.x_bar();
  }
};

struct AssignsW : Right {
  B::ConstView pullback(B& b, Parameters const& theta, Tape& tape, B::ConstView y_bar,
                        Parameters& bar) const {
    bar.W.setZero();
    return Right::pullback(b, theta, tape, y_bar, bar);
  }
};

struct GivesNan : Right {
  B::ConstView pullback(B& b, Parameters const& theta, Tape& tape, B::ConstView y_bar,
                        Parameters& bar) const {
    Right::pullback(b, theta, tape, y_bar, bar);
    tape.memory.x_bar()(0, 0) = std::numeric_limits<double>::quiet_NaN();
    return tape.memory.x_bar();
  }
};

/// P_t = (...) o 1[U_t > 0] in place of U_{t+1}: the last mask is that of U_1, the one before of U_0 = 0.
struct MaskOfTheStateBefore : RightQ {
  B::ConstView pullback(B& b, Parameters const& theta, Tape& tape, B::ConstView u_bar,
                        Parameters& bar) const {
    Tape shifted = tape;
    shifted.u = tape.states;
    shifted.states.setZero();
    RightQ::pullback(b, theta, shifted, u_bar, bar);
    tape.u = shifted.u;  // where z_bar stands
    return tape.u;
  }
};

template <Layer L>
std::vector<PullbackCheck> checks_of(L const& layer = {}) {
  B b;
  laws::LayerModel<L> model;
  laws::LayerAt<double> const at(model, 6, 1);
  auto theta = layer.parameters(b);
  visit([&, i = std::size_t(0)](std::string_view, Role const&,
                                auto& p) mutable { p = to_device(b, at.theta[i++]); },
        theta);
  return check_pullback(b, layer, theta, to_device(b, at.x), {.seed = test::seed(2)});
}

/// Every check of the named argument must fail, by far; every other one must agree.
template <Layer L>
void only_fails_for(std::string const& argument) {
  for (auto const& check : checks_of<L>()) {
    CAPTURE(check);
    REQUIRE(check.same_support);
    CHECK(check.agrees() == (check.argument != argument));
    if (check.argument == argument) CHECK_FALSE(check.error < 1000 * check.tolerance);
  }
}

TEST_CASE("check_pullback agrees with right pullbacks: three directions for each argument") {
  only_fails_for<Right>("none");
  only_fails_for<RightQ>("none");
  std::vector<std::string> arguments;
  for (auto const& check : checks_of<RightQ>()) arguments.push_back(check.argument);
  std::vector<std::string> const once{"x", "W_tilde", "h", "b"};
  REQUIRE(arguments.size() == 12);
  for (std::size_t i = 0; i < 12; ++i) CHECK(arguments[i] == once[i % 4]);
}

TEST_CASE("check_pullback finds a missing transpose") { only_fails_for<MissingTranspose>("x"); }
TEST_CASE("check_pullback finds a wrong sign of c") { only_fails_for<WrongSignOfC>("c"); }
TEST_CASE("check_pullback finds a pullback that assigns in place of adding") {
  only_fails_for<AssignsW>("W");
}
TEST_CASE("check_pullback calls no NaN a success") { only_fails_for<GivesNan>("x"); }

TEST_CASE("(A1) check_pullback finds the mask of U_t in place of U_{t+1}") {
  bool found = false;
  for (auto const& check : checks_of<MaskOfTheStateBefore>())
    found = found || (check.argument == "x" && check.same_support && check.error > 1000 * check.tolerance);
  CHECK(found);
}

TEST_CASE("check_pullback says so where a kink lies between its two points") {
  using L = Bind<ReLU, Shape{3}, B>;
  B b;
  auto const x = to_device(b, Host(3, 1, 1e-7));  // closer to 0 than the step
  for (auto const& check : check_pullback(b, L(), {}, x)) {
    CHECK_FALSE(check.same_support);
    CHECK_FALSE(check.agrees());
  }
  for (auto const& check : check_pullback(b, L(), {}, to_device(b, Host(3, 1, 1e-3)))) CHECK(check.agrees());
}

}  // namespace
}  // namespace detrame
