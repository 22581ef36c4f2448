// SPDX-License-Identifier: Apache-2.0
#include "detrame/data/idx.hpp"

#include <numeric>
#include <sstream>

#include "detrame/data/labelled.hpp"
#include "mutated_file.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

std::filesystem::path const digits = std::filesystem::path(DETRAME_DATA_DIR) / "digits";

/// The file that holds these sizes and the entries 0, 1, 2, ...
Bytes idx_file(std::vector<std::uint32_t> const& dims) {
  Bytes file{0, 0, 8, static_cast<std::uint8_t>(dims.size())};
  std::uint32_t entries = 1;
  for (std::uint32_t const d : dims) {
    for (int shift = 24; shift >= 0; shift -= 8) file.push_back(static_cast<std::uint8_t>(d >> shift));
    entries *= d;
  }
  for (std::uint32_t i = 0; i < entries; ++i) file.push_back(static_cast<std::uint8_t>(i));
  return file;
}

IdxArray parse(Bytes const& file) {
  std::istringstream in(std::string(file.begin(), file.end()));
  return read_idx(in, "f");
}

void refuses(Bytes const& file, std::string const& text) {
  check_throws_with<FormatError>([&] { parse(file); }, text);
}

/// FNV-1a, 64 bits.
std::uint64_t checksum(Bytes const& bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (std::uint8_t const b : bytes) hash = (hash ^ b) * 0x100000001b3u;
  return hash;
}

IdxArray array(std::vector<Index> dims, Bytes bytes) { return {"f", std::move(dims), std::move(bytes)}; }

}  // namespace

TEST_CASE("idx: what was written is read, for 1, 2, 3 and 4 dimensions") {
  for (std::vector<std::uint32_t> const& dims :
       {std::vector<std::uint32_t>{5}, {2, 3}, {2, 3, 4}, {2, 2, 2, 3}}) {
    IdxArray const a = parse(idx_file(dims));
    REQUIRE(a.dims.size() == dims.size());
    CHECK(std::equal(dims.begin(), dims.end(), a.dims.begin()));
    for (std::size_t i = 0; i < a.bytes.size(); ++i) CHECK(a.bytes[i] == i);
    CHECK(a.offset(0) == 4 + 4 * static_cast<Index>(dims.size()));
  }
  CHECK(parse(idx_file({300})).dims[0] == 300);  // two bytes of the size in use: big endian
  CHECK(parse(idx_file({0, 8, 8})).bytes.empty());
  CHECK(parse(idx_file({0})).dims == std::vector<Index>{0});
}

TEST_CASE("idx: a file that is cut, too long, of another type or hostile is refused with place and sizes") {
  Bytes const good = idx_file({2, 3});
  auto const cut = [&](std::size_t n) { return Bytes(good.begin(), good.begin() + static_cast<Index>(n)); };
  refuses({}, "f: at byte 0: expected the 4 bytes 00 00 08 n of an idx file, found the end of the file");
  refuses(cut(3), "f: at byte 3: expected the 4 bytes 00 00 08 n of an idx file, found the end of the file");
  refuses(cut(10),
          "f: at byte 10: expected 2 sizes of 4 bytes each, found the end of the file in the size of "
          "dimension 2");
  refuses(cut(17),
          "f: at byte 17: expected 2 x 3 entries from byte 12 on, found the end of the file after 5");
  Bytes longer = good;
  longer.push_back(0);
  refuses(longer, "f: at byte 18: expected the end of the file after 2 x 3 entries, found 1 bytes more");
  refuses({0, 0, 13, 1, 0, 0, 0, 0},
          "f: at byte 0: expected the 4 bytes 00 00 08 n of an idx file of unsigned bytes, "
          "found 00 00 0d 01");
  refuses({'P', '6', '\n', '8'}, "found 50 36 0a 38");
  refuses({0, 0, 8, 0, 7}, "f: at byte 3: expected at least 1 dimension, found 0");

  Bytes hostile{0, 0, 8, 2, 255, 255, 255, 255, 1, 0, 0, 0};  // 64 PB announced
  refuses(hostile,
          "f: at byte 12: expected 4294967295 x 16777216 entries from byte 12 on, found the end of the file "
          "after 0");
  hostile = {0, 0, 8, 3};
  hostile.resize(16, 255);
  refuses(hostile,
          "f: at byte 4: expected sizes whose product fits 63 bits, found 4294967295 x 4294967295 x "
          "4294967295");
  std::fill_n(hostile.begin() + 4, 4, std::uint8_t{0});  // 0 x 4294967295 x 4294967295 has no entries
  refuses(hostile, "expected sizes whose product fits 63 bits");

  check_throws_with<FormatError>([] { read_idx("no/such/file"); },
                                 "no/such/file: expected an idx file, found no such "
                                 "file");
  check_throws_with<FormatError>([] { read_idx(digits); }, "found something that is not a file");
}

TEST_CASE("idx: places are written as in the classic locale") {
  GroupedDigits const locale;
  Bytes longer = idx_file({1234, 1000});
  longer.push_back(0);
  refuses(longer,
          "f: at byte 1234012: expected the end of the file after 1234 x 1000 entries, found 1 bytes more");
}

TEST_CASE("idx: a mutated file either reads whole or throws FormatError, and nothing else") {
  Random const random(seed(1), 0);
  int read = 0, refused = 0;
  for (std::uint64_t trial = 0; trial < 6000; ++trial) {
    Bytes const file = mutated(idx_file({3, 2, 4}), random, trial, 20);
    try {
      IdxArray const a = parse(file);
      Index product = 1;
      for (Index const d : a.dims) product *= d;
      REQUIRE(product == static_cast<Index>(a.bytes.size()));
      REQUIRE(a.offset(product) == static_cast<Index>(file.size()));
      ++read;
      if (a.dims.size() >= 2 && a.dims.size() <= 4)  // hostile sizes pass through the next stage as well
        labelled_images<float>(a, parse(idx_file({static_cast<std::uint32_t>(a.dims[0] % 256)})), {255, 256});
    } catch (FormatError const&) {
      ++refused;
    }
  }
  CHECK(read > 100);
  CHECK(refused > 3000);
}

TEST_CASE("idx: a file compressed with gzip, also in two members, reads as what was compressed") {
  Bytes const plain = idx_file({30, 9, 11});
  CHECK(parse(gzipped(plain)).bytes == parse(plain).bytes);
  CHECK(parse(gzipped(plain)).dims == parse(plain).dims);

  auto const middle = plain.begin() + 1000;
  Bytes two = gzipped(Bytes(plain.begin(), middle));
  Bytes const second = gzipped(Bytes(middle, plain.end()));
  two.insert(two.end(), second.begin(), second.end());
  CHECK(parse(two).bytes == parse(plain).bytes);

  Bytes const large =
      idx_file({300, 100, 100});  // more than one step of reading, and than one buffer of zlib's
  CHECK(parse(gzipped(large)).bytes == parse(large).bytes);

  TemporaryFolder const folder("idx");
  write_bytes(folder / "a.gz", gzipped(plain));
  CHECK(read_idx(folder / "a.gz").bytes == parse(plain).bytes);
}

TEST_CASE(
    "idx: a gzip file that is filled up with zeros reads as gzip -t reads it; with anything else it is "
    "refused") {
  Bytes const plain = idx_file({30, 9, 11}), good = gzipped(plain);
  for (std::size_t const zeros : {1, 2, 512, 100'000}) {
    Bytes padded = good;
    padded.resize(good.size() + zeros);
    CHECK(parse(padded).bytes == parse(plain).bytes);
    padded.push_back('x');
    refuses(padded,
            message("f: at byte ", padded.size() - 1,
                    ": expected zeros alone from the first one after a gzip stream on, found a byte 78"));
    padded.pop_back();
    padded.insert(padded.end(), good.begin(), good.end());
    refuses(padded, "expected zeros alone from the first one after a gzip stream on, found a byte 1f");
  }
  Bytes two = good;  // two members, then zeros
  two.insert(two.end(), good.begin(), good.end());
  two.resize(two.size() + 512);
  refuses(
      two,
      "f (inflated): at byte 2986: expected the end of the file after 30 x 9 x 11 entries, found more bytes");
}

TEST_CASE("idx: a gzip file that is cut, damaged, or inflates to more or less than announced is refused") {
  Bytes const plain = idx_file({2, 3}), good = gzipped(plain);
  auto const cut = [](Bytes const& file, std::size_t n) {
    return Bytes(file.begin(), file.begin() + static_cast<Index>(n));
  };
  refuses(cut(good, good.size() - 1),
          message("f: at byte ", good.size() - 1,
                  ": expected the rest of a gzip stream, found the end of the file after "
                  "18 inflated bytes"));
  refuses(cut(good, 2), "f: at byte 2: expected the rest of a gzip stream, found the end of the file");
  Bytes damaged = good;
  damaged[good.size() - 8] ^= 1;  // the check sum
  refuses(damaged,
          message("f: at byte ", good.size() - 4, ": expected a gzip stream, found damage: incorrect data"));
  Bytes longer = good;
  longer.insert(longer.end(), {'e', 'n', 'd'});
  refuses(longer, "expected a gzip stream, found damage: incorrect header check");

  Bytes more = plain;
  more.resize(100'000'000);  // 100 MB of zeros in 100 kB: read no further than one byte
  refuses(gzipped(more),
          "f (inflated): at byte 18: expected the end of the file after 2 x 3 entries, found more bytes");
  refuses(
      gzipped(cut(plain, 17)),
      "f (inflated): at byte 17: expected 2 x 3 entries from byte 12 on, found the end of the file after 5");
  Bytes const hostile{0, 0, 8, 2, 255, 255, 255, 255, 1, 0, 0, 0};  // 64 PB announced: not allocated
  refuses(gzipped(hostile), "f (inflated): at byte 12: expected 4294967295 x 16777216 entries");
}

TEST_CASE("idx: a mutated gzip file either reads as before or throws FormatError, and nothing else") {
  Random const random(seed(2), 0);
  Bytes const plain = idx_file({3, 2, 4}), good = gzipped(plain);
  int read = 0, refused = 0;
  for (std::uint64_t trial = 0; trial < 3000; ++trial) {
    bool const outside = trial % 2 == 0;  // the compressed bytes, or those inside
    Bytes const file = outside ? mutated(good, random, trial, static_cast<Index>(good.size()))
                               : gzipped(mutated(plain, random, trial, 20));
    try {
      IdxArray const a = parse(file);
      Index product = 1;
      for (Index const d : a.dims) product *= d;
      REQUIRE(product == static_cast<Index>(a.bytes.size()));
      if (outside && a.name != "f") REQUIRE(a.bytes == parse(plain).bytes);  // the check sum held
      ++read;
    } catch (FormatError const&) {
      ++refused;
    }
  }
  CHECK(read > 50);
  CHECK(refused > 1500);
}

TEST_CASE("the digits: 1,797 samples of 8 x 8 in 0 ... 16, ten classes, and the checksums of their bytes") {
  IdxArray const images = read_idx(digits / "digits-images-idx3-ubyte");
  IdxArray const labels = read_idx(digits / "digits-labels-idx1-ubyte");
  CHECK(images.dims == std::vector<Index>{1797, 8, 8});
  CHECK(labels.dims == std::vector<Index>{1797});
  CHECK(checksum(images.bytes) == 0x493fa2f67df550a1u);
  CHECK(checksum(labels.bytes) == 0x5c66ed875b0a9785u);
  CHECK(std::accumulate(images.bytes.begin(), images.bytes.end(), 0) == 561718);
  CHECK(*std::max_element(images.bytes.begin(), images.bytes.end()) == 16);
  std::vector<int> histogram(10);
  for (std::uint8_t const label : labels.bytes) ++histogram.at(label);
  CHECK(histogram == std::vector<int>{178, 182, 177, 183, 181, 182, 181, 179, 174, 180});
}

TEST_CASE_TEMPLATE("the digits as a batch: the first 1,437 train, the other 360 test", Scalar, float,
                   double) {
  auto const all =
      read_labelled_images<Scalar>(digits / "digits-images-idx3-ubyte", digits / "digits-labels-idx1-ubyte",
                                   {.maximum = 16, .classes = 10});
  CHECK(all.shape == Shape{1, 8, 8});
  CHECK(all.images.rows() == 1);
  CHECK(all.images.cols() == 64 * 1797);
  CHECK(all.images(0, 2) == Scalar(5) / Scalar(16));  // the first row of the first digit: 0 0 5 13 9 1 0 0
  CHECK(all.images(0, 7) == Scalar(0));
  CHECK(all.images(0, 8 + 3) == Scalar(15) / Scalar(16));

  auto const [train, test] = split(flatten(all), 1437);
  CHECK(train.shape == Shape{64});
  CHECK(train.images.rows() == 64);
  CHECK(train.images.cols() == 1437);
  CHECK(test.samples() == 360);
  CHECK(test.images.cols() == 360);
  CHECK(test.labels.back() == all.labels.back());
  CHECK(test.images(2, 359) == all.images(0, 64 * 1796 + 2));
  CHECK(test.images(0, 0) == all.images(0, 64 * 1437));
  CHECK(split(train, 0).first.samples() == 0);
  CHECK(split(train, 1437).second.images.cols() == 0);
  check_throws_with<DomainError>([&] { split(all, 1798); },
                                 "split: n = 1798, must be in 0 ... 1797, the number of "
                                 "samples");
  check_throws_with<DomainError>([&] { subset(all, 1790, 8); }, "subset: 8 samples from 1790 on, of 1797");
  check_throws_with<DomainError>([&] { subset(all, 1, std::numeric_limits<Index>::max()); },
                                 "subset: 9223372036854775807 samples from 1 on, of 1797");
  auto short_of_one = all;
  short_of_one.labels.push_back(0);
  check_throws_with<ShapeError>(
      [&] { subset(short_of_one, 0, 1798); },
      "subset: images are 1 x 115008, 1798 samples of shape 1 x 8 x 8 are 1 x 115072");
  check_throws_with<ShapeError>([&] { flatten(short_of_one); }, "flatten: images are 1 x 115008");
  short_of_one.shape = {1, Index{1} << 40, Index{1} << 40};
  check_throws_with<ShapeError>([&] { flatten(short_of_one); }, "are 1 x more than can be counted");
}

TEST_CASE("labelled images: channels last, one column a site; counts, pixels and labels are checked") {
  ImageScale const scale{.maximum = 4, .classes = 3};
  auto const data = labelled_images<double>(array({2, 1, 2, 3}, {0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1}),
                                            array({2}, {2, 0}), scale);
  CHECK(data.shape == Shape{3, 1, 2});
  CHECK(data.images.rows() == 3);
  CHECK(data.images.cols() == 4);
  CHECK(data.images(2, 0) == 0.5);  // third channel of the first site
  CHECK(data.images(0, 1) == 0.75);
  CHECK(data.labels == std::vector<int>{2, 0});
  CHECK(labelled_images<float>(array({2, 3}, {0, 1, 2, 3, 4, 0}), array({2}, {0, 0}), scale).shape ==
        Shape{3});
  CHECK(labelled_images<float>(array({0, 8, 8}, {}), array({0}, {}), scale).samples() == 0);

  auto const refuse = [&](IdxArray const& images, IdxArray const& labels, std::string const& text) {
    check_throws_with<FormatError>([&] { labelled_images<float>(images, labels, scale); }, text);
  };
  refuse(array({2, 2}, {0, 1, 5, 0}), array({2}, {0, 0}),
         "f: at byte 14: expected a pixel of at most 4, found 5");
  refuse(array({2, 2}, {0, 1, 2, 0}), array({2}, {0, 3}),
         "f: at byte 9: expected a label in 0 ... 2, found 3");
  refuse(array({2, 2}, {0, 1, 2, 0}), array({1}, {0}),
         "f: expected 2 labels, one for each image of f, found 1");
  refuse(array({2, 2}, {0, 1, 2, 0}), array({2, 1}, {0, 0}), "f: expected 1 dimension of labels, found 2");
  refuse(array({2, 2}, {0, 1, 2, 0, 0}), array({2}, {0, 0}), "f: expected 2 x 2 entries, found 5");
  refuse(array({2, 2}, {0, 1, 2, 0}), array({2}, {0}), "f: expected 2 entries, found 1");
  refuse(array({1, Index{1} << 32, Index{1} << 32}, {}), array({1}, {0}),
         "f: at byte 4: expected sizes whose product fits 63 bits, found 1 x 4294967296 x 4294967296");
  refuse(array({2}, {0, 1}), array({2}, {0, 0}), "f: expected 2, 3 or 4 dimensions of images, found 1");
  IdxArray const image = array({1, 1}, {0}), label = array({1}, {0});
  check_throws_with<DomainError>([&] { labelled_images<float>(image, label, {.maximum = 0, .classes = 1}); },
                                 "image_bytes: maximum = 0, must be >= 1");
  check_throws_with<DomainError>([&] { image_bytes<float>(image, label, {.maximum = 1, .classes = 0}); },
                                 "image_bytes: classes = 0, must be >= 1");
}
