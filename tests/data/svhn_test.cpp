// SPDX-License-Identifier: Apache-2.0
#include "detrame/data/svhn.hpp"

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "allocation_counter.hpp"
#include "detrame/data/loader.hpp"
#include "mutated_file.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

/// What the test puts into a file; the defaults are a good one of three samples.
struct Content {
  std::vector<std::size_t> X_dims{32, 32, 3, 3}, y_dims{3, 1};
  std::vector<double> labels{1, 10, 9};
  matio_classes X_class = MAT_C_UINT8, y_class = MAT_C_UINT8;
  matio_types y_type = MAT_T_UINT8;
  char const* y_name = "y";
  matio_compression compression = MAT_COMPRESSION_ZLIB;
};

std::uint8_t pixel(std::size_t place) { return static_cast<std::uint8_t>(place * 7 % 253); }

void write(std::filesystem::path const& file, Content content) {
  std::filesystem::remove(file);
  std::size_t entries = 1;
  for (std::size_t const d : content.X_dims) entries *= d;
  Bytes X(entries);
  for (std::size_t i = 0; i < entries; ++i) X[i] = pixel(i);
  detail::MatFile const mat(Mat_CreateVer(file.string().c_str(), nullptr, MAT_FT_MAT5));
  REQUIRE(mat);
  auto const put = [&](detail::MatVariable const& variable) {
    REQUIRE(variable);
    REQUIRE(Mat_VarWrite(mat.get(), variable.get(), content.compression) == 0);
  };
  put(detail::MatVariable(
      Mat_VarCreate("X", content.X_class, content.X_class == MAT_C_INT8 ? MAT_T_INT8 : MAT_T_UINT8,
                    static_cast<int>(content.X_dims.size()), content.X_dims.data(), X.data(), 0)));
  auto const put_labels = [&](auto entry) {
    std::vector<decltype(entry)> labels;
    for (double const label : content.labels) labels.push_back(static_cast<decltype(entry)>(label));
    put(detail::MatVariable(Mat_VarCreate(content.y_name, content.y_class, content.y_type,
                                          static_cast<int>(content.y_dims.size()), content.y_dims.data(),
                                          labels.data(), 0)));
  };
  switch (content.y_type) {
    case MAT_T_DOUBLE: return put_labels(double{});
    case MAT_T_SINGLE: return put_labels(float{});
    case MAT_T_INT16: return put_labels(std::int16_t{});
    case MAT_T_UINT16: return put_labels(std::uint16_t{});
    case MAT_T_INT32: return put_labels(std::int32_t{});
    case MAT_T_UINT32: return put_labels(std::uint32_t{});
    case MAT_T_INT64: return put_labels(std::int64_t{});
    case MAT_T_UINT64: return put_labels(std::uint64_t{});
    default: return put_labels(std::uint8_t{});
  }
}

/// Of a file of n samples.
Content content_of(std::size_t n, double first_label) {
  Content content{.X_dims = {32, 32, 3, n}, .y_dims = {n, 1}, .labels = {}};
  for (std::size_t i = 0; i < n; ++i)
    content.labels.push_back(1 + std::fmod(first_label + static_cast<double>(i), 10));
  return content;
}

#if !defined(DETRAME_TEST_ASAN)  // whose own memory would be counted too
/// The most memory that this process has had resident, in bytes; 0 where the system does not say.
Index peak_resident() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word)
    if (word == "VmHWM:") {
      Index kilobytes = 0;
      status >> kilobytes;
      return 1024 * kilobytes;
    }
  return 0;
}

/// Gives back what tests before left in the heap, where it would serve again, and forgets their peak.
void forget_peak() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
  std::ofstream("/proc/self/clear_refs") << 5;
}

/// What f() returns, run by a child process; 255 where it does not come to an end.
template <class F>
int in_a_child(F const& f) {
  pid_t const child = ::fork();
  if (child == 0) {
    int result = 255;
    try {
      result = f();
    } catch (...) {
    }
    ::_exit(result);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}
#endif

}  // namespace

TEST_CASE("svhn: the images of several files follow one another, up to the limit; no file beyond is opened") {
  TemporaryFolder const folder("svhn");
  std::vector<std::filesystem::path> const files{folder / "train_32x32.mat", folder / "extra_32x32.mat"};
  write(files[0], content_of(5, 0));
  write(files[1], content_of(7, 5));
  auto const train = read_svhn<float>(files[0]), extra = read_svhn<float>(files[1]);
  auto const both = read_svhn_bytes<float>(files);
  CHECK(both.shape == Shape{3, 32, 32});
  CHECK(both.classes == 10);
  CHECK(both.labels == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2});
  auto const numbers = unpacked(both);
  REQUIRE(numbers.images.cols() == 12 * 1024);
  REQUIRE(train.images(0, 0) != train.images(1, 0));
  for (Index j = 0; j < 12 * 1024; ++j)
    for (Index c = 0; c < 3; ++c)
      REQUIRE(numbers.images(c, j) == (j < 5 * 1024 ? train.images(c, j) : extra.images(c, j - 5 * 1024)));
  auto const six = read_svhn_bytes<float>(files, 6);
  CHECK(six.labels == std::vector<int>{1, 2, 3, 4, 5, 6});
  CHECK(std::equal(six.pixels.begin(), six.pixels.end(), both.pixels.begin()));
  CHECK(six.pixels.size() == 6 * 3072);
  std::filesystem::remove(files[1]);
  CHECK(read_svhn_bytes<float>(files, 5).labels == train.labels);
  CHECK(read_svhn_bytes<float>({folder / "none"}, 0).samples() == 0);
  check_throws_with<FormatError>([&] { read_svhn_bytes<float>(files); },
                                 "extra_32x32.mat: expected a MATLAB file, found no such file");
}

#if !defined(DETRAME_TEST_ASAN)
TEST_CASE("svhn: reading takes the bytes of the images, training on them two batches more") {
  if (peak_resident() == 0) return;
  TemporaryFolder const folder("svhn");
  std::vector<std::filesystem::path> const files{folder / "train.mat", folder / "extra.mat"};
  write(files[0], content_of(4000, 0));
  write(files[1], content_of(8000, 0));
  constexpr Index bytes = 12000 * 3072, batch = 100 * 3072 * sizeof(float), slack = 3 << 20;
  REQUIRE(2 * batch + slack < bytes / 4);  // another copy of the bytes would show, and floats more so
  CHECK(in_a_child([&] {
          forget_peak();
          Index const before = peak_resident();
          auto const data = read_svhn_bytes<float>(files);
          Index const read = peak_resident() - before;
          Loader loader(data, {.size = 100}, RandomCrop(seed(1)));
          Index labels = 0;
          loader.begin(0);
          while (auto const* const part = loader.next()) labels += static_cast<Index>(part->labels.size());
          Index const trained = peak_resident() - before;
          if (labels != 12000 || read < bytes * 3 / 4) return 1;
          if (read > bytes + slack) return 2;
          return trained > bytes + 2 * batch + slack ? 3 : 0;
        }) == 0);
}
#endif

TEST_CASE_TEMPLATE("svhn: column-major planes become channels of a site; the label 10 is the digit 0", Scalar,
                   float, double) {
  TemporaryFolder const folder("svhn");
  for (auto const compression : {MAT_COMPRESSION_ZLIB, MAT_COMPRESSION_NONE}) {
    write(folder / "f.mat", {.compression = compression});
    auto const data = read_svhn<Scalar>(folder / "f.mat");
    CHECK(data.shape == Shape{3, 32, 32});
    CHECK(data.images.rows() == 3);
    CHECK(data.images.cols() == 3 * 1024);
    CHECK(data.labels == std::vector<int>{1, 0, 9});
    CHECK(data.classes == 10);
    for (auto const& [row, col, channel, n] :
         {std::array<Index, 4>{0, 1, 0, 0}, {1, 0, 0, 0}, {31, 7, 2, 1}, {4, 5, 1, 2}}) {
      auto const byte = pixel(static_cast<std::size_t>(row + 32 * col + 1024 * channel + 3072 * n));
      CHECK(data.images(channel, 1024 * n + 32 * row + col) == static_cast<Scalar>(byte) / Scalar(255));
    }
    auto const first = read_svhn<Scalar>(folder / "f.mat", 2);
    CHECK(first.labels == std::vector<int>{1, 0});
    CHECK(first.images.cols() == 2 * 1024);
    CHECK(first.images(2, 2047) == data.images(2, 2047));
    CHECK(read_svhn<Scalar>(folder / "f.mat", 0).samples() == 0);
  }
}

TEST_CASE("svhn: labels as a row, and of every class of numbers, read as those of a column of uint8") {
  TemporaryFolder const folder("svhn");
  auto const file = folder / "f.mat";
  std::vector<int> const labels{1, 0, 9};
  for (auto const& [y_class, y_type] : {std::pair(MAT_C_DOUBLE, MAT_T_DOUBLE),
                                        {MAT_C_SINGLE, MAT_T_SINGLE},
                                        {MAT_C_INT8, MAT_T_INT8},
                                        {MAT_C_UINT8, MAT_T_UINT8},
                                        {MAT_C_INT16, MAT_T_INT16},
                                        {MAT_C_UINT16, MAT_T_UINT16},
                                        {MAT_C_INT32, MAT_T_INT32},
                                        {MAT_C_UINT32, MAT_T_UINT32},
                                        {MAT_C_INT64, MAT_T_INT64},
                                        {MAT_C_UINT64, MAT_T_UINT64}})
    for (auto const& y_dims : {std::vector<std::size_t>{3, 1}, {1, 3}})
      for (auto const compression : {MAT_COMPRESSION_ZLIB, MAT_COMPRESSION_NONE}) {
        write(file, {.y_dims = y_dims, .y_class = y_class, .y_type = y_type, .compression = compression});
        CHECK(read_svhn<float>(file).labels == labels);
        CHECK(read_svhn<float>(file, 2).labels == std::vector<int>{1, 0});
        CHECK(read_svhn<float>(file, 0).labels.empty());
      }
  write(file, {.X_dims = {32, 32, 3, 1}, .y_dims = {1, 1}, .labels = {4}});
  CHECK(read_svhn<float>(file).labels == std::vector<int>{4});
  write(file, {.X_dims = {32, 32, 3}, .y_dims = {1, 1}, .labels = {4}});  // one image, as MATLAB writes it
  auto const one = read_svhn<float>(file);
  CHECK(one.labels == std::vector<int>{4});
  CHECK(one.images(2, 1023) == static_cast<float>(pixel(3071)) / 255.f);
}

TEST_CASE("svhn: files of other content are refused with what was expected and found") {
  TemporaryFolder const folder("svhn");
  auto const file = folder / "f.mat";
  auto const refuses = [&](Content const& content, std::string const& text) {
    write(file, content);
    check_throws_with<FormatError>([&] { read_svhn<float>(file); }, file.string() + text);
  };
  refuses({.labels = {1, 11, 2}}, ": y: expected a label in 1 ... 10, found 11 at entry 1");
  refuses({.labels = {1, 2, 0}}, ": y: expected a label in 1 ... 10, found 0 at entry 2");
  refuses({.y_dims = {2, 1}}, ": y: expected 3 x 1 or 1 x 3, a label for each image, found 2 x 1");
  refuses({.y_dims = {1, 2}}, ": y: expected 3 x 1 or 1 x 3, a label for each image, found 1 x 2");
  refuses({.y_dims = {3, 1, 1}}, ": y: expected a real array of rank 2, found a real one of rank 3");
  refuses({.y_name = "z"}, ": expected a variable y, found none");
  refuses({.y_class = MAT_C_CHAR, .y_type = MAT_T_UINT8},
          ": y: expected an array of numbers, found one of class char");
  Content halves{.labels = {1, 2.5, 3}, .y_class = MAT_C_DOUBLE, .y_type = MAT_T_DOUBLE};
  refuses(halves, ": y: expected a label in 1 ... 10, found 2.5 at entry 1");
  halves.labels[1] = std::numeric_limits<double>::quiet_NaN();
  refuses(halves, ": y: expected a label in 1 ... 10, found nan at entry 1");
  refuses({.X_dims = {32, 32, 1, 3}}, ": X: expected 32 x 32 x 3 x N, found 32 x 32 x 1 x 3");
  refuses({.X_dims = {32, 32, 9}}, ": X: expected 32 x 32 x 3 x N, found 32 x 32 x 9 x 1");
  refuses({.X_dims = {32, 32, 3, 3, 1, 2}},
          ": X: expected a real array of rank 4, found a real one of rank 6");
  refuses({.X_class = MAT_C_INT8}, ": X: expected an array of uint8, found one of int8");
}

TEST_CASE("svhn: a file that is cut or of another format is refused with the place") {
  TemporaryFolder const folder("svhn");
  auto const file = folder / "f.mat";
  write(file, {.compression = MAT_COMPRESSION_NONE});
  Bytes const good = read_all(file);
  auto const refuses = [&](Bytes const& bytes, std::string const& text) {
    write_bytes(file, bytes);
    check_throws_with<FormatError>([&] { read_svhn<float>(file); }, file.string() + text);
  };
  auto const cut = [&](std::size_t n) { return Bytes(good.begin(), good.begin() + static_cast<Index>(n)); };
  refuses({}, ": at byte 0: expected the 128 bytes of a MATLAB header, found the end of the file");
  refuses(cut(127), ": at byte 127: expected the 128 bytes");
  refuses(cut(130), ": at byte 130: expected type and size of a data element, found the end of the file");
  refuses(cut(1000),
          ": at byte 1000: expected a data element of 9272 bytes from byte 136 on, found the end of the "
          "file after 864");
  refuses(cut(good.size() - 1), message(": at byte ", good.size() - 1, ": expected a data element of"));
  Bytes longer = good;
  longer.push_back(0);
  refuses(longer, message(": at byte ", longer.size(), ": expected type and size"));
  Bytes hostile = good;
  hostile[174] = 1;  // the last size of X: 65539 images, which are not allocated
  refuses(hostile, message(": X: expected at most ", good.size() * 1032 / 3072, " images in a file of ",
                           good.size(), " bytes, found 65539"));
  auto const changed = [&](std::map<std::size_t, std::uint8_t> const& changes) {
    Bytes bytes = good;
    for (auto const& [place, byte] : changes) bytes[place] = byte;
    return bytes;
  };
  // What libmatio would allocate by: the sizes' bytes, the name's, the class of a structure. 3.4 GB for each
  // were seen.
  refuses(changed({{159, 100}}),
          ": at byte 136: expected the sizes of a variable in at most 128 bytes, found others");
  refuses(changed({{178, 0}, {181, 100}}),
          ": at byte 136: expected the name of a variable in at most 256 bytes, found others");
  refuses(changed({{144, 2}}), ": X: expected an array of numbers, found one of class struct");
  refuses(changed({{144, 99}}),
          ": X: expected an array of numbers, found one of class number 99, which is none");
  refuses(changed({{128, 13}}),
          ": at byte 128: expected a variable, 14, or one that is compressed, 15, found type 13");
  Bytes other = good;
  other[126] = 'M', other[127] = 'I';
  refuses(other,
          ": at byte 124: expected the bytes 00 01 49 4d of a little-endian MATLAB file of level 5, found "
          "00 01 4d 49");
  check_throws_with<FormatError>([&] { read_svhn<float>(folder / "none.mat"); },
                                 "none.mat: expected a MATLAB file, found no such file");
  check_throws_with<DomainError>([&] { read_svhn<float>(file, -1); }, "read_svhn: limit = -1, must be >= 0");
}

// Without compression: of compressed variables that are damaged, libmatio 1.5.23 leaks its stream. They are
// refused too.
TEST_CASE("svhn: a mutated file either reads whole or throws FormatError, and nothing else") {
  TemporaryFolder const folder("svhn");
  Random const random(seed(1), 0);
  write(folder / "f.mat", {.compression = MAT_COMPRESSION_NONE});
  Bytes const good = read_all(folder / "f.mat");
  auto const content = good.begin() + 128;  // the text of the header is not looked at
  int read = 0, refused = 0;
  for (std::uint64_t trial = 0; trial < 600; ++trial) {
    Bytes file = mutated(Bytes(content, good.end()), random, trial, 120);
    file.insert(file.begin(), good.begin(), content);
    write_bytes(folder / "g.mat", file);
    try {
      auto const data = read_svhn<float>(folder / "g.mat");
      REQUIRE(data.images.cols() == 1024 * data.samples());
      ++read;
    } catch (FormatError const&) {
      ++refused;
    }
  }
  CHECK(read > 40);
  CHECK(refused > 280);
}
