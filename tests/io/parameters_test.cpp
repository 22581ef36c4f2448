// SPDX-License-Identifier: Apache-2.0
#include "detrame/io/parameters.hpp"

#include "detrame/detrame.hpp"
#include "mutated_file.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

template <class Scalar>
using Net =
    Bind<Stack<Dense<6>, QMetricReLU<Full, Unroll<2>>, Residual<Dense<6>>, Dense<3>>, Shape{4}, Cpu<Scalar>>;

/// All parameters normal, none like another.
template <class Scalar>
typename Net<Scalar>::Parameters drawn(Cpu<Scalar>& cpu, std::uint64_t first) {
  auto theta = Net<Scalar>().parameters(cpu);
  visit([&](std::string_view, Role const&,
            auto& p) { p = to_device(cpu, normal_matrix<Scalar>(p.rows(), p.cols(), first++)); },
        theta);
  return theta;
}

template <class Scalar, class Theta>
bool equal(Cpu<Scalar>& cpu, Theta const& a, Theta const& b) {
  bool all = true;
  visit([&](std::string_view, Role const&, auto const& p,
            auto const& q) { all = all && to_host(cpu, p) == to_host(cpu, q); },
        a, b);
  return all;
}

/// Parameters of a layer with roles of its own, one of which is not trained.
struct OfTheUsers {
  Cpu<float>::Matrix s, n;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    f(path / "s", Role{.name = "slope", .updates = 7}, theta.s, rest.s...);
    f(path / "n", Role{.name = "count", .trained = false}, theta.n, rest.n...);
  }
};

}  // namespace

TEST_CASE("parameters: those with roles of one's own are saved and loaded, by path, and named in refusals") {
  TemporaryFolder const folder("parameters");
  Cpu<float> cpu(1);
  auto const some = [&](std::uint64_t n) { return random_matrix(cpu, 3, 2, seed(n)); };
  OfTheUsers const theta{some(1), some(2)};
  OfTheUsers other{some(3), some(4)};
  save_parameters(cpu, theta, folder / "layer");
  load_parameters(cpu, other, folder / "layer");
  CHECK((other.s == theta.s && other.n == theta.n));
  TensorFile file = read_safetensors(folder / "layer");
  CHECK(file.metadata.at("T") == "7");
  file.tensors.erase("n");
  check_throws_with<FormatError>([&] { load_parameters(cpu, other, file); },
                                 "tensor n: expected count, 3 x 2, found no such tensor");
}

TEST_CASE_TEMPLATE("parameters: what is saved is loaded, bit for bit, under the names of visit", Scalar,
                   float, double) {
  TemporaryFolder const folder("parameters");
  Cpu<Scalar> cpu(1);
  auto const theta = drawn(cpu, seed(1));
  auto other = drawn(cpu, seed(100));
  REQUIRE(!equal(cpu, theta, other));
  save_parameters(cpu, theta, folder / "net");
  load_parameters(cpu, other, folder / "net");
  CHECK(equal(cpu, theta, other));

  TensorFile const file = read_safetensors(folder / "net");
  std::size_t count = 0;
  visit(
      [&](std::string_view path, Role const&, auto const& p) {
        ++count;
        Tensor const& t = file.tensors.at(std::string(path));
        CHECK(t.shape == std::vector<Index>{p.rows(), p.cols()});
        CHECK(t.dtype == dtype_of<Scalar>());
      },
      theta);
  CHECK(file.tensors.size() == count);
  CHECK(file.tensors.at("0.W").shape == std::vector<Index>{6, 4});
}

TEST_CASE(
    "parameters: a file says how its numbers lie, their signs, T and the version; one that says otherwise is "
    "refused") {
  TemporaryFolder const folder("parameters");
  Cpu<float> cpu(1);
  auto const theta = drawn(cpu, seed(1)), before = drawn(cpu, seed(100));
  save_parameters(cpu, theta, folder / "net");
  TensorFile const good = read_safetensors(folder / "net");
  CHECK(good.metadata.at("T") == "2");
  CHECK(good.metadata.at("signs").starts_with("W x - c; relu(h z + W~ (u - z) - b)"));
  CHECK(good.metadata.at("layout").starts_with("rows x cols, the last index fastest"));
  CHECK(good.metadata.at("written by") == version_text());

  auto now = before;
  auto const refuses = [&](char const* key, std::string const& text, std::string const& expected) {
    TensorFile other = good;
    other.metadata[key] = text;
    write_safetensors(folder / "other", other);
    check_throws_with<FormatError>(
        [&] { load_parameters(cpu, now, folder / "other"); },
        (folder / "other").string() + ": __metadata__: " + key + ": expected " + expected);
    CHECK(equal(cpu, now, before));
  };
  refuses("layout", "cols x rows", "\"rows x cols, the last index fastest");
  refuses("signs", "W x + c", "\"W x - c; relu(h z + W~ (u - z) - b)");
  refuses("T", "3", "\"2\", found \"3\"");
  refuses("T", "2 2", "\"2\", found \"2 2\"");
  refuses("written by", "detrame 99.0.0",
          version_text() + " or an earlier version, found \"detrame 99.0.0\"");
  refuses("written by", message("detrame ", DETRAME_VERSION_MAJOR, ".", DETRAME_VERSION_MINOR + 1, ".0"),
          version_text() + " or an earlier version");
  refuses("written by", "detrame 0.1", "detrame and three numbers, found \"detrame 0.1\"");
  refuses("written by", "detrame 0.0.1x", "detrame and three numbers, found \"detrame 0.0.1x\"");

  for (auto const& metadata : {std::map<std::string, std::string>{},
                               {{"written by", "another program"}},
                               {{"written by", "detrame 0.0.9"}}}) {
    TensorFile silent = good;
    silent.metadata = metadata;
    write_safetensors(folder / "silent", silent);
    now = before;
    load_parameters(cpu, now, folder / "silent");
    CHECK(equal(cpu, now, theta));
  }
}

TEST_CASE("parameters: T is named once where all layers have the same, else layer by layer, else 0") {
  Cpu<float> cpu(1);
  auto const text = [&]<class R>(R) { return updates_text(Bind<R, Shape{4}, Cpu<float>>().parameters(cpu)); };
  using Two = QMetricReLU<Full, Unroll<2>>;
  using Five = QMetricReLU<Full, Unroll<5>>;
  CHECK(text(Stack<Dense<4>, ReLU>()) == "0");
  CHECK(text(Stack<Two, Dense<4>, Two>()) == "2");
  CHECK(text(Stack<Two, Five, Residual<Five>>()) == "2 5 5");
}

TEST_CASE("parameters: tensors of other dtypes beside them are let alone") {
  TemporaryFolder const folder("parameters");
  Cpu<float> cpu(1);
  auto const theta = drawn(cpu, seed(1));
  auto now = drawn(cpu, seed(100));
  save_parameters(cpu, theta, folder / "net");
  TensorFile file = read_safetensors(folder / "net");
  file.tensors["half"] = Tensor{DType::bf16, {3}, std::vector<std::uint8_t>(6)};
  file.tensors["ids"] = Tensor{DType::i32, {3}, std::vector<std::uint8_t>(12)};
  file.tensors["mask"] = Tensor{DType::u8, {3}, {0, 1, 1}};
  write_safetensors(folder / "net", file);
  load_parameters(cpu, now, folder / "net");
  CHECK(equal(cpu, now, theta));
  file.tensors["0.W"].dtype = DType::i32;
  write_safetensors(folder / "net", file);
  check_throws_with<FormatError>([&] { load_parameters(cpu, now, folder / "net"); },
                                 "tensor 0.W: expected entries F32, found I32");
}

TEST_CASE("parameters: several sets share a file by their prefixes") {
  Cpu<float> cpu(1);
  auto const theta = drawn(cpu, seed(1)), momentum = drawn(cpu, seed(100));
  auto a = drawn(cpu, seed(200)), b = drawn(cpu, seed(300));
  TensorFile file;
  store_parameters(cpu, theta, file, "theta.");
  store_parameters(cpu, momentum, file, "momentum.");
  load_parameters(cpu, a, file, "theta.");
  load_parameters(cpu, b, file, "momentum.");
  CHECK(equal(cpu, a, theta));
  CHECK(equal(cpu, b, momentum));
  check_throws_with<DomainError>([&] { store_parameters(cpu, theta, file, "theta."); },
                                 "store_parameters: the name theta.0.W is taken");
}

TEST_CASE("parameters: a missing, an unknown, a wrong shape or dtype is refused, and theta stays as it was") {
  Cpu<float> cpu(1);
  auto const theta = drawn(cpu, seed(1)), before = drawn(cpu, seed(100));
  auto now = before;
  TensorFile good{"f", {}, {}};
  store_parameters(cpu, theta, good);
  auto const refuses = [&](auto const& change, std::string const& text) {
    TensorFile file = good;
    change(file.tensors);
    check_throws_with<FormatError>([&] { load_parameters(cpu, now, file); }, text);
    CHECK(equal(cpu, now, before));
  };
  refuses([](auto& t) { t.erase("3.W"); }, "f: tensor 3.W: expected weight, 3 x 6, found no such tensor");
  refuses([](auto& t) { t["3.V"] = t["3.W"]; },
          "f: tensor 3.V: expected parameters of the network alone, found 3 x 6 that are none of them");
  refuses([](auto& t) { t["3.W"].shape = {6, 3}; }, "f: tensor 3.W: expected weight, 3 x 6, found 6 x 3");
  refuses([](auto& t) { t["3.c"].shape = {3}; }, "f: tensor 3.c: expected bias, 3 x 1, found 3");
  refuses([](auto& t) { t["3.W"] = tensor(HostMatrix<double>(3, 6)); },
          "f: tensor 3.W: expected entries F32, found F64");
  refuses([](auto& t) { t["3.W"].bytes.pop_back(); },
          "f: tensor 3.W: expected the bytes of 3 x 6 entries F32, found 71");
  load_parameters(cpu, now, good);
  CHECK(equal(cpu, now, theta));
}
