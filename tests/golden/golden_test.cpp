// SPDX-License-Identifier: Apache-2.0
#include "golden/golden.hpp"

#include <filesystem>

#include "detrame/backend/cpu/backend.hpp"
#include "support.hpp"

using namespace detrame;
using detrame::test::check_throws_with;

namespace {

std::filesystem::path const folder =
    std::filesystem::path(DETRAME_DATA_DIR).parent_path() / "tests" / "golden";

golden::Quantities file(char const* name) { return golden::read((folder / name).string()); }

/// What `golden` says of a file called f, and whether it passes.
struct Verdict {
  bool passed;
  std::string report;
};

Verdict verdict(golden::Quantities quantities) {
  Cpu<double> backend(1);
  std::ostringstream report;
  bool const passed = golden::Golden<Cpu<double>>(backend, "f", std::move(quantities), report).check();
  return {passed, report.str()};
}

bool contains(std::string const& text, std::string const& part) {
  return text.find(part) != std::string::npos;
}

golden::Quantities parse(std::string const& text) {
  std::istringstream in(text);
  return golden::read(in, "f");
}

}  // namespace

TEST_CASE("golden: (M2) (M3) (M5) (M6) (M7) (C1) (A1) (A2) (A3) (K1) reproduce values computed elsewhere") {
  for (char const* const name :
       {"tied_small.txt", "tied_overcomplete.txt", "tied_medium.txt", "free_dense.txt", "free_conv.txt"}) {
    Verdict const v = verdict(file(name));
    INFO(v.report);
    CHECK(v.passed);
    CHECK(contains(v.report, "f: dh "));
  }
}

TEST_CASE("golden: a vector may stand as a row or as a column") {
  golden::Quantities q = file("tied_small.txt");
  for (auto& [name, m] : q)
    if (m.rows() == 1 || m.cols() == 1) m = test::transposed(m);
  CHECK(verdict(q).passed);
}

TEST_CASE("golden: every quantity is compared: one wrong entry, a missing or an unknown quantity fails") {
  for (char const* const name : {"tied_small.txt", "free_dense.txt", "free_conv.txt"}) {
    golden::Quantities const good = file(name);
    for (auto const& entry : good) {
      std::string const& quantity = entry.first;
      golden::Quantities q = good;
      HostMatrix<double>& value = q.at(quantity);
      if (quantity == "ubar")  // a single entry may stand in a row that is not active
        value = test::mapped([](double x) { return (1 + 1e-6) * x; }, value);
      else
        value(value.rows() - 1, value.cols() - 1) += 1e-6 * golden::largest(value);
      if (quantity == "shape_c_groups_H_W_K_T")  // is refused, and not compared
        CHECK_THROWS_AS(verdict(q), FormatError);
      else
        CHECK_MESSAGE(!verdict(q).passed, "wrong and not noticed: " << quantity);

      q = good;
      q.erase(quantity);
      try {
        CHECK_MESSAGE(!verdict(q).passed, "missing and not noticed: " << quantity);
        CHECK(contains(verdict(q).report, "f: " + quantity + " is missing: FAILED"));
      } catch (FormatError const& error) {
        CHECK(contains(error.what(), "f: " + quantity + " is missing"));
      }
    }
    golden::Quantities q = good;
    q["U_T"] = HostMatrix<double>(1, 1);
    CHECK(contains(verdict(q).report, "f: U_T is a name that this kind of file does not have: FAILED"));
  }
}

TEST_CASE("golden: a shape that does not fit fails with both shapes; NaN passes nothing") {
  golden::Quantities q = file("tied_small.txt");
  q.at("h") = HostMatrix<double>(7, 1);
  CHECK(contains(verdict(q).report, "f: h: expected 6 x 1, found 7 x 1: FAILED"));
  q = file("tied_small.txt");
  q.at("X") = HostMatrix<double>(8, 5);
  check_throws_with<FormatError>([&] { verdict(q); }, "X: expected 9 rows, found 8 x 5");
  q = file("free_dense.txt");
  q.at("Z")(0, 0) = std::numeric_limits<double>::quiet_NaN();
  CHECK(!verdict(q).passed);
}

TEST_CASE("golden: a free recursion without a fixed point in reach is not judged by U_limit") {
  golden::Quantities q =
      parse("W 2 2\n0 -2\n-2 0\nh 2 1\n.5\n.5\nb 1 2\n.1 .1\nZ 2 1\n1\n1\nubar 2 1\n1\n1\n");
  CHECK(contains(verdict(q).report, "f: U_limit cannot be checked: the recursion has not converged"));
}

TEST_CASE("golden: files of no kind and impossible convolutions are refused") {
  golden::Quantities q = file("free_conv.txt");
  q.at("shape_c_groups_H_W_K_T")(0, 4) = 2.5;
  check_throws_with<FormatError>([&] { verdict(q); }, "f: shape_c_groups_H_W_K_T: expected whole numbers");
  q.at("shape_c_groups_H_W_K_T")(0, 4) = 2;
  check_throws_with<DomainError>([&] { verdict(q); }, "f: kernel = 2, must be odd and >= 1");
  check_throws_with<FormatError>([] { verdict({}); }, "f: no quantity by which a kind of file is recognised");
}

TEST_CASE("golden: a malformed file is refused with its line") {
  auto const refuses = [](std::string const& text, std::string const& sentence) {
    check_throws_with<FormatError>([&] { parse(text); }, sentence);
  };
  CHECK(parse("\nD 1 2\n 1 2e-1 \n\nd 2 1\n-1\n+3\n").at("d")(1, 0) == 3);
  refuses("D 2\n1 2\n", "f: line 1: expected \"name rows cols\", found 2 words");
  refuses("D 1 2\n1 2\n3 4\n", "f: line 3: expected \"name rows cols\", found 2 words");
  refuses("D 1 x\n1\n", "f: line 1: expected a finite number, found \"x\"");
  refuses("D 1 -2\n1 2\n", "f: line 1: expected a number of rows or columns, found \"-2\"");
  refuses("D 0 2\n", "f: line 1: D is empty");
  refuses("D 1 2\n1 2 3\n", "f: line 2: expected row 1 of 1 of D with 2 numbers, found 3 words");
  refuses("D 999999999 1\n1\n", "f: line 2: expected row 2 of 999999999 of D with 1 numbers, found 0 words");
  refuses("D 1 2\n1 2,\n", "f: line 2: expected a finite number, found \"2,\"");
  refuses("D 1 1\nnan\n", "f: line 2: expected a finite number, found \"nan\"");
  refuses("D 1 1\n1\nD 1 1\n1\n", "f: line 3: D stands in this file twice");
  check_throws_with<FormatError>([] { golden::read("no/such/file"); },
                                 "no/such/file: cannot be opened for reading");
}

// ---- figures that the paper prints, against its own tables ------------------------------------------------

TEST_CASE(
    "(E9) Table 5: 0.1605 s is the training time of 12 layers over 50,000 images; the factor in testing is "
    "267") {
  double const total_training = 8023.02, images = 50000;                            // Table 7; CIFAR-10
  double const printed_training = .1605, ddl_testing = 9.40e-2, testing = 3.52e-4;  // Table 5
  CHECK(std::abs(total_training / images - printed_training) < .00005);
  CHECK(std::round(ddl_testing / testing) == 267);  // "a factor 100" in the text
}

TEST_CASE("(E10) the median gain of PlainNet on CIFAR-10 in Table 4 is 4.14 %, printed 3.99 %") {
  std::vector<double> gain{88.51 - 35.14, 92.24 - 86.71, 93.05 - 90.31, 92.03 - 91.28};
  std::sort(gain.begin(), gain.end());
  double const median = (gain[1] + gain[2]) / 2;
  CHECK(std::abs(median - 4.135) < 1e-9);
  CHECK(std::abs(median - 3.99) > .1);
}
