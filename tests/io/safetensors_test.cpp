// SPDX-License-Identifier: Apache-2.0
#include "detrame/io/safetensors.hpp"

#include <sys/stat.h>

#include <sstream>

#include "detrame/io/metadata.hpp"
#include "mutated_file.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

/// The file with this header, of its true length, and that many bytes 1, 2, 3, ... after it.
Bytes file_of(std::string const& header, std::size_t bytes) {
  Bytes file(8);
  std::uint64_t const length = header.size();
  std::memcpy(file.data(), &length, 8);
  file.insert(file.end(), header.begin(), header.end());
  for (std::size_t i = 0; i < bytes; ++i) file.push_back(static_cast<std::uint8_t>(i + 1));
  return file;
}

TensorFile parse(Bytes const& file) {
  std::istringstream in(std::string(file.begin(), file.end()));
  return read_safetensors(in, "f");
}

void refuses(Bytes const& file, std::string const& text) {
  check_throws_with<FormatError>([&] { parse(file); }, "f: " + text);
}
void refuses(std::string const& header, std::size_t bytes, std::string const& text) {
  refuses(file_of(header, bytes), text);
}

/// One tensor a of dtype, shape and offsets.
std::string one(std::string const& dtype, std::string const& shape, std::string const& offsets) {
  return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

/// Tensors of all dtypes, empty ones, one of no dimensions, and metadata.
TensorFile sample_file() {
  TensorFile file;
  file.tensors["W"] = tensor(normal_matrix<float>(3, 5, seed(1)));
  file.tensors["double"] = tensor(normal_matrix<double>(2, 2, seed(2)));
  file.tensors["signed"] = tensor(HostMatrix<std::int64_t>(1, 2, -7));
  file.tensors["unsigned"] = tensor(HostMatrix<std::uint64_t>(2, 1, ~std::uint64_t{0}));
  file.tensors["bytes"] = Tensor{DType::u8, {3}, {1, 2, 255}};
  file.tensors["λ \"quoted\"\n"] = Tensor{DType::u8, {}, {9}};
  file.tensors["empty"] = Tensor{DType::f32, {4, 0, 2}, {}};
  file.tensors["empty too"] = Tensor{DType::u8, {0}, {}};
  file.metadata = {{"format", "test"}, {"λ", "\\ \""}};
  return file;
}

}  // namespace

TEST_CASE("safetensors: what is written is read, for every dtype; the same content gives the same bytes") {
  TemporaryFolder const folder("io");
  TensorFile const content = sample_file();
  write_safetensors(folder / "a", content);
  write_safetensors(folder / "b", content);
  CHECK(read_all(folder / "a") == read_all(folder / "b"));
  TensorFile const found = read_safetensors(folder / "a");
  CHECK(found.tensors == content.tensors);
  CHECK(found.metadata == content.metadata);
  CHECK(found.name == (folder / "a").string());

  write_safetensors(folder / "a", {});  // over what was there
  CHECK(read_all(folder / "a") == file_of("{}      ", 0));
  CHECK(read_safetensors(folder / "a").tensors.empty());
}

TEST_CASE(
    "safetensors: the bytes of a small file, written out; a matrix is rows x cols, the last index fastest") {
  TemporaryFolder const folder("io");
  TensorFile content;
  content.tensors["A"] = tensor(host_matrix<std::uint8_t>(
      2, 3, [](Index i, Index j) { return static_cast<std::uint8_t>(3 * i + j + 9); }));
  content.tensors["z"] =
      tensor(HostMatrix<std::uint64_t>(1, 1, 0x0807060504030201u));  // larger entries first
  content.metadata["k"] = "vv";
  write_safetensors(folder / "f", content);
  std::string const header =
      R"({"__metadata__":{"k":"vv"},"z":{"dtype":"U64","shape":[1,1],"data_offsets":[0,8]},)"
      R"("A":{"dtype":"U8","shape":[2,3],"data_offsets":[8,14]}})";
  std::string const filled = header + std::string((8 - header.size() % 8) % 8, ' ');
  REQUIRE(filled.size() > header.size());
  CHECK(read_all(folder / "f") == file_of(filled, 14));

  auto const A = host_matrix<std::uint8_t>(parse(file_of(filled, 14)).tensors.at("A"), "A");
  CHECK(A.rows() == 2);
  CHECK(A.cols() == 3);
  CHECK(A(0, 2) == 11);
  CHECK(A(1, 0) == 12);
}

TEST_CASE("safetensors: a file that is cut, too long or has no header is refused with the place") {
  Bytes const good = file_of(one("\"U8\"", "[3]", "[0,3]"), 3);
  REQUIRE(parse(good).tensors.at("a").bytes == Bytes{1, 2, 3});
  auto const cut = [&](std::size_t n) { return Bytes(good.begin(), good.begin() + static_cast<Index>(n)); };
  std::size_t const header = good.size() - 11;
  refuses(cut(5), "at byte 5: expected the length of the header in 8 bytes, found the end of the file");
  refuses(cut(20),
          message("at byte 20: expected a header of ", header, " bytes, found the end of the file after 12"));
  refuses(cut(good.size() - 4), message("at byte ", good.size() - 4, ": expected a header of ", header,
                                        " bytes, found the end of the file after ", header - 1));
  refuses(cut(good.size() - 1),
          "tensor \"a\": expected its bytes within the 2 after the header, found data_offsets 0 ... 3");
  Bytes longer = good;
  longer.push_back(0);
  refuses(longer, message("at byte ", good.size(),
                          ": expected the end of the file after the last tensor, found 1 bytes more"));
  Bytes hostile(8, 255);
  refuses(hostile, "at byte 0: expected a header of at most 100000000 bytes, found 18446744073709551615");
  hostile = {0, 0xe1, 0xf5, 5, 0, 0, 0, 0};  // 100,000,000 announced: not allocated
  refuses(hostile, "at byte 8: expected a header of 100000000 bytes, found the end of the file after 0");
  hostile[0] = 1;
  refuses(hostile, "at byte 0: expected a header of at most 100000000 bytes, found 100000001");
  refuses("", 0, "at byte 8: expected the brace that opens the header, found an empty header");
  refuses("[]", 0, "at byte 8: expected the brace that opens the header, found 5b");
  refuses(" {}", 0, "at byte 8: expected the brace that opens the header, found 20");
  refuses("{} x", 0, "at byte 11: expected a header in JSON, found: ");
  refuses("{\"\xff\":1}", 0, "at byte 10: expected a header in JSON, found: ");
  check_throws_with<FormatError>([] { read_safetensors("no/such/file"); },
                                 "no/such/file: expected a safetensors file, found no such file");
}

TEST_CASE(
    "safetensors: a header that is malformed or hostile is refused with the tensor and what was found") {
  std::string const u8 = "\"U8\"", a = "tensor \"a\": ";
  refuses(R"({"a":1})", 0, a + "expected an object of dtype, shape and data_offsets, found 1");
  refuses(R"({"a":{"dtype":"U8","shape":[0]}})", 0,
          a + "expected an object of dtype, shape and data_offsets");
  refuses(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":0}})", 0,
          a + "expected an object of dtype");
  refuses(one("\"F99\"", "[1]", "[0,2]"), 2,
          a + "expected one of the dtypes F32, F64, I64, U64, U8, I32, U32, I16, U16, I8, BOOL, F16, BF16, "
              "F8_E4M3, "
              "F8_E5M2, F8_E8M0, F6_E2M3, F6_E3M2, F4, C64, found \"F99\"");
  refuses(one("8", "[1]", "[0,2]"), 2, a + "expected one of the dtypes F32, F64, I64, U64, U8, I32");
  refuses(one("\"F4\"", "[3]", "[0,2]"), 2,
          a + "expected a shape whose entries F4 are whole bytes that can be counted in 63 bits, found 3");
  for (char const* shape : {"[-1]", "[1.0]", "[\"1\"]", "1", "[9223372036854775808]", "{\"x\":1}", "null"})
    refuses(one(u8, shape, "[0,1]"), 1,
            a + "expected shape to be a list of whole numbers from 0 on, found " + shape);
  refuses(one(u8, "[1]", "[-1,0]"), 1, a + "expected data_offsets to be a list of whole numbers");
  refuses(one(u8, "[4294967296,4294967296]", "[0,0]"), 0,
          a + "expected a shape whose entries U8 are whole bytes that can be counted in 63 bits, found "
              "4294967296 x "
              "4294967296");
  refuses(one(u8, "[0,4294967296,4294967296]", "[0,0]"), 0,
          a + "expected a shape whose entries U8 are whole bytes that can be counted");
  refuses(one("\"F64\"", "[1152921504606846977]", "[0,8]"), 8,
          a + "expected a shape whose entries F64 are whole bytes that can be counted");
  for (char const* offsets : {"[0,2]", "[0,4]", "[3,0]", "[0]", "[0,1,3]", "[]"})
    refuses(one(u8, "[3]", offsets), 3,
            a + "expected data_offsets that are 3 bytes apart, as 3 entries U8 are, found " + offsets);
  refuses(
      one(u8, "[1]", "[9223372036854775806,9223372036854775807]"), 1,
      a + "expected its bytes from 0 on, where those before it end, found data_offsets 9223372036854775806");

  auto const two = [](std::string const& first, std::string const& second) {
    return R"({"b":{"dtype":"U8","shape":[2],"data_offsets":)" + first +
           R"(},"a":{"dtype":"U8","shape":[2],"data_offsets":)" + second + "}}";
  };
  REQUIRE(parse(file_of(two("[0,2]", "[2,4]"), 4)).tensors.at("a").bytes ==
          Bytes{3, 4});  // not in order of names
  refuses(two("[0,2]", "[1,3]"), 3,
          a + "expected its bytes from 2 on, where those before it end, found data_offsets 1");
  refuses(two("[0,2]", "[0,2]"), 2, "tensor \"b\": expected its bytes from 2 on");
  refuses(two("[0,2]", "[3,5]"), 5,
          a + "expected its bytes from 2 on, where those before it end, found data_offsets 3");
  refuses(two("[1,3]", "[3,5]"), 5, "tensor \"b\": expected its bytes from 0 on");

  std::string const tensor = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  refuses(R"({"a":)" + tensor + R"(,"a":)" + tensor + "}", 0,
          "expected each name once in the header, found \"a\" twice");
  refuses(R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0,
          "expected each name once in the header, found \"dtype\" twice");
  refuses(R"({"__metadata__":{"k":"v","k":"w"}})", 0,
          "expected each name once in the header, found \"k\" twice");
  refuses(R"({"__metadata__":{"k":1}})", 0,
          "__metadata__: expected a string for \"k\", found a JSON value of type number");
  refuses(R"({"__metadata__":["k"]})", 0,
          "__metadata__: expected an object of strings, found a JSON value of type array");
  refuses("{\"a\":" + std::string(1'000'000, '['), 0, "expected a header nested 3 deep, found it deeper");
}

TEST_CASE(
    "safetensors: what JSON's library throws, whatever it is, names the file; a byte 00 does not end the "
    "header") {
  refuses(R"({"a":1e999})", 0, "expected a header in JSON, found: ");
  refuses(R"({"a":{"dtype":"U8","shape":[1e999],"data_offsets":[0,0]}})", 0,
          "expected a header in JSON, found: ");
  std::string const good = one("\"U8\"", "[3]", "[0,3]");
  std::string const nul(1, '\0');
  REQUIRE(parse(file_of(good, 3)).tensors.size() == 1);
  auto const refuses_nul = [](std::string const& header, std::size_t at) {
    refuses(header, 3, message("at byte ", 8 + at, ": expected a header in JSON, found a byte 00"));
  };
  refuses_nul(good + nul + " anything", good.size());
  refuses_nul(good + nul, good.size());
  refuses_nul("{" + nul + good.substr(1), 1);
  refuses(nul + good, 3, "at byte 8: expected the brace that opens the header, found 00");
  refuses(good + "{}", 3, message("at byte ", 8 + good.size(), ": expected a header in JSON, found: "));
}

TEST_CASE(
    "safetensors: tensors of every dtype of the format are carried along, and refused only where they are "
    "used") {
  TemporaryFolder const folder("io");
  TensorFile content = sample_file();
  for (DTypeName const& known : dtypes) {
    Tensor& t = content.tensors[std::string(known.name)];
    t = {known.dtype, {2, 4}, Bytes(static_cast<std::size_t>(known.bits), 7)};
  }
  write_safetensors(folder / "a", content);
  TensorFile const found = read_safetensors(folder / "a");
  CHECK(found.tensors == content.tensors);
  CHECK(host_matrix<float>(found.tensors.at("W"), "W") == normal_matrix<float>(3, 5, seed(1)));
  CHECK(host_matrix<std::int32_t>(found.tensors.at("I32"), "I32")(1, 3) == 0x07070707);
  check_throws_with<FormatError>([&] { host_matrix<float>(found.tensors.at("BF16"), "BF16"); },
                                 "BF16: expected entries F32, found BF16");
  check_throws_with<FormatError>([&] { whole_numbers(found.tensors.at("F16"), "F16"); },
                                 "F16: expected whole numbers, I8 ... I64 or U8 ... U64, found F16");
}

TEST_CASE_TEMPLATE("safetensors: whole numbers of every width are read", Number, std::int8_t, std::int16_t,
                   std::int32_t, std::int64_t, std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t) {
  auto const most = std::numeric_limits<Number>::max();
  Tensor t = tensor(
      host_matrix<Number>(1, 3, [&](Index, Index j) { return j == 2 ? Number(most / 3) : Number(j + 8); }));
  CHECK(whole_numbers(t, "n") == std::vector<std::int64_t>{8, 9, static_cast<std::int64_t>(most / 3)});
  CHECK(whole_numbers(tensor(HostMatrix<Number>(0, 3)), "n").empty());
  t = tensor(HostMatrix<Number>(1, 1, std::numeric_limits<Number>::min()));
  CHECK(whole_numbers(t, "n")[0] == static_cast<std::int64_t>(std::numeric_limits<Number>::min()));
  if (sizeof(Number) == 8 && std::is_unsigned_v<Number>)
    check_throws_with<FormatError>([&] { whole_numbers(tensor(HostMatrix<Number>(1, 1, most)), "n"); },
                                   "n: expected whole numbers below 2^63, found 18446744073709551615");
  t.bytes.push_back(0);
  check_throws_with<FormatError>([&] { whole_numbers(t, "n"); }, "n: expected the bytes of 1 x 1 entries");
}

TEST_CASE("safetensors: places are written as in the classic locale") {
  GroupedDigits const locale;
  refuses(std::string(2000, ' ').replace(0, 1, "{"), 0, "at byte 2008: expected a header in JSON");
  TensorFile content;
  content.tensors["a"] = Tensor{DType::u8, {1234567}, Bytes(1234567)};
  TemporaryFolder const folder("io");
  write_safetensors(folder / "a", content);
  CHECK(read_safetensors(folder / "a").tensors == content.tensors);
  CHECK(number_text(1234567) + number_text(0.5) == "12345670.5");
}

TEST_CASE("safetensors: a mutated file either reads whole or throws FormatError, and nothing else") {
  TemporaryFolder const folder("io");
  TensorFile content;
  content.tensors["W"] = tensor(normal_matrix<float>(2, 3, seed(3)));
  content.tensors["b"] = Tensor{DType::u8, {4}, {1, 2, 3, 4}};
  content.metadata["k"] = "v";
  write_safetensors(folder / "f", content);
  Bytes const good = read_all(folder / "f");
  std::size_t const bytes = 24 + 4;
  std::string const header(good.begin() + 8, good.end() - bytes);
  Bytes const header_bytes(header.begin(), header.end());
  Random const random(seed(4), 0);
  int read = 0, refused = 0;
  for (std::uint64_t trial = 0; trial < 6000; ++trial) {
    Bytes file = mutated(good, random, trial, static_cast<Index>(good.size()));
    if (trial % 2 == 0) {  // the header alone, with its length put right
      Bytes const other = mutated(header_bytes, random, trial, static_cast<Index>(header.size()));
      file = file_of(std::string(other.begin(), other.end()), bytes);
    }
    try {
      TensorFile const found = parse(file);
      std::size_t together = 0;
      for (auto const& [name, t] : found.tensors) {
        REQUIRE(byte_count(t.dtype, t.shape) == static_cast<Index>(t.bytes.size()));
        together += t.bytes.size();
      }
      std::uint64_t length = 0;
      std::memcpy(&length, file.data(), 8);
      REQUIRE(8 + length + together == file.size());
      ++read;
    } catch (FormatError const&) {
      ++refused;
    }
  }
  CHECK(read > 70);
  CHECK(refused > 3000);
}

TEST_CASE("safetensors: what cannot be written is refused, and what stood there before stays") {
  TemporaryFolder const folder("io");
  TensorFile const good = sample_file();
  write_safetensors(folder / "f", good);
  auto const still_good = [&] {
    CHECK(read_safetensors(folder / "f").tensors == good.tensors);
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);  // nothing beside it
  };
  still_good();
  TensorFile wrong;
  wrong.tensors["a"] = Tensor{DType::f32, {2, 3}, Bytes(23)};
  check_throws_with<ShapeError>(
      [&] { write_safetensors(folder / "f", wrong); },
      "write_safetensors: tensor a has 23 bytes, its shape 2 x 3 of F32 says otherwise");
  wrong.tensors["a"] = Tensor{DType::u8, {-1}, {}};
  check_throws_with<ShapeError>([&] { write_safetensors(folder / "f", wrong); }, "its shape -1 of U8");
  wrong.tensors = {{"__metadata__", Tensor{DType::u8, {0}, {}}}};
  check_throws_with<DomainError>([&] { write_safetensors(folder / "f", wrong); },
                                 "no tensor can have the name __metadata__");
  wrong.tensors = {{"\xff", Tensor{DType::u8, {0}, {}}}};
  check_throws_with<DomainError>([&] { write_safetensors(folder / "f", wrong); }, "must be UTF-8");
  still_good();

  {
    ReplacedFile half(folder / "f");  // a program that ends in between
    half.write("half", 4);
    CHECK(read_safetensors(folder / "f").tensors == good.tensors);
  }
  still_good();

  using std::filesystem::filesystem_error;
  check_throws_with<filesystem_error>([&] { write_safetensors(folder / "none" / "f", good); },
                                      "cannot be created");
  std::filesystem::create_directory(folder / "taken");
  write_bytes(folder / "taken" / "x", {1});
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0666) == 0);
  for (char const* const name : {"taken", "pipe"})
    check_throws_with<filesystem_error>([&] { write_safetensors(folder / name, good); },
                                        "cannot be replaced, as it is no regular file");
  CHECK(std::filesystem::is_fifo(folder / "pipe"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 3);
}

TEST_CASE("safetensors: a link stays, and the file that it leads to is replaced") {
  TemporaryFolder const folder("io");
  std::filesystem::create_directory(folder / "far");
  TensorFile const good = sample_file();
  for (bool const there : {false, true}) {
    std::string const name = there ? "there" : "to be made";
    if (there) write_bytes(folder / "far" / name, {1});
    std::filesystem::create_symlink(std::filesystem::path("far") / name, folder / name);
    write_safetensors(folder / name, good);
    CHECK(std::filesystem::is_symlink(folder / name));
    CHECK(read_safetensors(folder / "far" / name).tensors == good.tensors);
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "far"), {}) == 2);
}
