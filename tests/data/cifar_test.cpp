// SPDX-License-Identifier: Apache-2.0
#include "detrame/data/cifar.hpp"

#include "mutated_file.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

/// Records with labels 3 i mod classes (after a coarse one, 7) and pixels that tell their place.
Bytes cifar_file(CifarFormat const& format) {
  Bytes file;
  for (Index i = 0; i < format.records; ++i) {
    if (format.labels == 2) file.push_back(7);
    file.push_back(static_cast<std::uint8_t>(3 * i % format.classes));
    for (Index p = 0; p < CifarFormat::pixels; ++p)
      file.push_back(static_cast<std::uint8_t>((p + 5 * i) % 251));
  }
  return file;
}

}  // namespace

TEST_CASE_TEMPLATE("cifar: planes become channels of a site, sites row by row, samples in order", Scalar,
                   float, double) {
  TemporaryFolder const folder("cifar");
  for (Index const labels : {1, 2}) {
    CifarFormat const format{.records = 3, .labels = labels, .classes = 10};
    write_bytes(folder / "a.bin", cifar_file(format));
    write_bytes(folder / "b.bin", cifar_file(format));
    auto const data = read_cifar<Scalar>({folder / "a.bin", folder / "b.bin"}, format, 5);
    CHECK(data.shape == Shape{3, 32, 32});
    CHECK(data.images.rows() == 3);
    CHECK(data.images.cols() == 1024 * 5);
    CHECK(data.labels == std::vector<int>{0, 3, 6, 0, 3});  // not the coarse 7
    CHECK(data.classes == 10);
    for (auto const& [sample, row, col, channel] :
         {std::array<Index, 4>{0, 0, 1, 0}, {0, 1, 0, 2}, {2, 31, 30, 1}, {4, 17, 5, 2}}) {
      Index const byte = (1024 * channel + 32 * row + col + 5 * (sample % 3)) % 251;
      CHECK(data.images(channel, 1024 * sample + 32 * row + col) == static_cast<Scalar>(byte) / Scalar(255));
    }
    CHECK(read_cifar<Scalar>({folder / "a.bin", folder / "none.bin"}, format, 3).samples() == 3);
    CHECK(read_cifar<Scalar>({folder / "none.bin"}, format, 0).samples() == 0);
    CHECK(read_cifar<Scalar>({folder / "a.bin"}, format).samples() == 3);
  }
}

TEST_CASE("cifar: the standard files, of which only the first records are read") {
  TemporaryFolder const folder("cifar");
  auto const standard = [&](std::string const& name, CifarFormat const& format) {
    CifarFormat two = format;
    two.records = 2;
    write_bytes(folder / name, cifar_file(two));
    std::filesystem::resize_file(folder / name, static_cast<std::uintmax_t>(format.size()));  // zeros follow
  };
  for (int batch = 1; batch <= 2; ++batch) standard(message("data_batch_", batch, ".bin"), {10000, 1, 10});
  standard("test_batch.bin", {10000, 1, 10});
  standard("train.bin", {50000, 2, 100});
  standard("test.bin", {10000, 2, 100});
  auto const train = read_cifar10<float>(folder.path(), Part::train, 10002);  // goes on into the second file
  CHECK(train.samples() == 10002);
  CHECK(train.labels[1] == 3);
  CHECK(train.labels[2] == 0);
  CHECK(train.labels[10001] == 3);
  CHECK(read_cifar10<float>(folder.path(), Part::test, 2).labels == std::vector<int>{0, 3});
  CHECK(read_cifar100<float>(folder.path(), Part::train, 2).labels == std::vector<int>{0, 3});
  CHECK(read_cifar100<float>(folder.path(), Part::test, 2).classes == 100);
}

TEST_CASE("cifar: a file that is cut, too long or has a wrong label is refused with place and sizes") {
  TemporaryFolder const folder("cifar");
  CifarFormat const format{.records = 2, .labels = 2, .classes = 10};
  Bytes const good = cifar_file(format);
  auto const refuses = [&](Bytes const& file, std::string const& text) {
    write_bytes(folder / "f.bin", file);
    check_throws_with<FormatError>([&] { read_cifar<float>({folder / "f.bin"}, format); },
                                   (folder / "f.bin").string() + text);
  };
  Bytes file = good;
  file.pop_back();
  refuses(file,
          ": at byte 6147: expected 2 records of 3074 bytes, together 6148, found a file of 6147 bytes");
  file = good;
  file.resize(good.size() / 2);  // whole records, but too few
  refuses(file, ": at byte 3074: expected 2 records");
  file = good;
  file.push_back(0);
  refuses(file,
          ": at byte 6148: expected 2 records of 3074 bytes, together 6148, found a file of 6149 bytes");
  file = good;
  file[3074 + 1] = 10;
  refuses(file, ": at byte 3075: expected a label in 0 ... 9, found 10");
  refuses({}, ": at byte 0: expected 2 records");
  check_throws_with<FormatError>([&] { read_cifar10<float>(folder.path(), Part::test); },
                                 "test_batch.bin: expected a binary file of CIFAR, found no such file");
  check_throws_with<DomainError>([&] { read_cifar10<float>(folder.path(), Part::test, -1); },
                                 "read_cifar: limit = -1, must be >= 0");
}

TEST_CASE("cifar: nothing is allocated for a format that cannot be, or for files that are not of it") {
  TemporaryFolder const folder("cifar");
  Bytes const good = cifar_file({.records = 2, .labels = 1, .classes = 10});
  write_bytes(folder / "f.bin", good);
  auto const read = [&](CifarFormat const& format) { read_cifar<double>({folder / "f.bin"}, format); };
  Index const large = Index{1} << 50;
  check_throws_with<FormatError>([&] { read({.records = large, .labels = 1, .classes = 10}); },
                                 "f.bin: at byte 6146: expected 1125899906842624 records of 3073 bytes");
  check_throws_with<DomainError>(
      [&] { read({.records = large * 256, .labels = 1, .classes = 10}); },
      "CifarFormat: 288230376151711744 records of 1 labels have more bytes than can be");
  check_throws_with<DomainError>(
      [&] { read({.records = 1, .labels = std::numeric_limits<Index>::max(), .classes = 10}); },
      "CifarFormat: 1 records of 9223372036854775807 labels have more bytes");
  check_throws_with<DomainError>([&] { read({.records = 1, .labels = 0, .classes = 10}); },
                                 "labels = 0, must be >= 1");
}

TEST_CASE("cifar: a mutated file either reads whole or throws FormatError, and nothing else") {
  TemporaryFolder const folder("cifar");
  Random const random(seed(1), 0);
  CifarFormat const format{.records = 1, .labels = 2, .classes = 10};
  int read = 0, refused = 0;
  for (std::uint64_t trial = 0; trial < 300; ++trial) {
    Bytes const file = mutated(cifar_file(format), random, trial, 8);
    write_bytes(folder / "f.bin", file);
    try {
      auto const data = read_cifar<double>({folder / "f.bin"}, format);
      REQUIRE(static_cast<Index>(file.size()) == format.size());
      REQUIRE(data.labels.at(0) == file[1]);
      REQUIRE(data.images(0, 0) == file[2] / 255.0);
      ++read;
    } catch (FormatError const&) {
      ++refused;
    }
  }
  CHECK(read > 20);
  CHECK(refused > 150);
}
