// SPDX-License-Identifier: Apache-2.0
#include "data_sets.hpp"

#include <algorithm>
#include <bit>

#include "protocol.hpp"
#include "ranges.hpp"

#ifdef DETRAME_HAS_MATIO
#include "detrame/data/svhn.hpp"
#endif

namespace experiment {

namespace {

std::filesystem::path first_of(std::filesystem::path const& folder, std::vector<std::string> const& names) {
  std::string all;
  for (std::string const& name : names) {
    if (std::error_code none; std::filesystem::exists(folder / name, none)) return folder / name;
    all += (all.empty() ? "" : " or ") + name;
  }
  throw FormatError(message(folder.string(), ": expected ", all, ", found none of them"));
}

/// The files that the names of MNIST begin with, "train" of train-images-idx3-ubyte; some programs unpack
/// them as train-images.idx3-ubyte.
ImageBytes<float> read_idx_pair(std::filesystem::path const& folder, std::vector<std::string> const& begins,
                                ImageScale scale) {
  auto const file = [&](std::string const& what, std::string const& type) {
    std::vector<std::string> names;
    for (std::string const& begin : begins)
      for (char const* const between : {"-", "."})
        for (char const* const end : {"", ".gz"}) names.push_back(begin + what + between + type + end);
    return first_of(folder, names);
  };
  auto const images = file("-images", "idx3-ubyte"), labels = file("-labels", "idx1-ubyte");
  return read_image_bytes<float>(images, labels, scale);
}

/// The last 360 are for tests, as in the library's demo.
ImageBytes<float> read_digits(std::filesystem::path const& folder, Part part, Index) {
  auto const all = read_idx_pair(folder, {"digits"}, {.maximum = 16, .classes = 10});
  Index const first = all.samples() - 360;
  return part == Part::train ? subset(all, 0, first) : subset(all, first, 360);
}

ImageBytes<float> read_idx(std::filesystem::path const& folder, Part part, Index) {
  std::vector<std::string> const begins =
      part == Part::train ? std::vector<std::string>{"train"} : std::vector<std::string>{"t10k", "test"};
  return read_idx_pair(folder, begins, {.maximum = 255, .classes = 10});
}

/// The folder that an archive makes, where it is there, or what holds its files.
std::filesystem::path inner(std::filesystem::path const& folder, char const* name) {
  std::error_code none;
  return std::filesystem::exists(folder / name, none) ? folder / name : folder;
}

/// To train on, train and extra together, as the paper has it.
ImageBytes<float> read_street_numbers(std::filesystem::path const& folder, Part part,
                                      [[maybe_unused]] Index limit) {
#ifdef DETRAME_HAS_MATIO
  if (part == Part::test) return read_svhn_bytes<float>({folder / "test_32x32.mat"}, limit);
  auto const extra = folder / "extra_32x32.mat";
  if (std::error_code none; limit > protocol::svhn_train && !std::filesystem::exists(extra, none))
    throw FormatError(message(extra.string(), ": expected the images that are trained on besides those of ",
                              "train_32x32.mat, found no such file; --limit ", protocol::svhn_train,
                              " trains without them"));
  return read_svhn_bytes<float>({folder / "train_32x32.mat", extra}, limit);
#else
  throw DomainError(message(folder.string(), part == Part::train ? " (train)" : " (test)",
                            ": this program was built without libmatio, which reads svhn (libmatio-dev)"));
#endif
}

constexpr std::string_view idx_files =
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-... (or test-...), perhaps with .gz, or .idx for "
    "-idx";
constexpr std::string_view fashion_files =
    "those of mnist; Debian's package dataset-fashion-mnist has them, and they are found where it puts them";

/// What protocol.hpp says of the data set of this name, with what only files can say.
DataSet data_set(std::string_view name, Shape const& shape, int classes, std::string_view files,
                 decltype(DataSet::read) read) {
  protocol::Training const& p = protocol::training_of(name);
  DataSet set{name,         shape,       classes,        p.epochs,      p.rate, p.factor, {},
              p.normalised, p.augmented, p.train_images, p.test_images, files,  read};
  std::copy_if(p.shares.begin(), p.shares.end(), std::back_inserter(set.shares),
               [](double share) { return share > 0; });
  return set;
}

}  // namespace

std::span<DataSet const> data_sets() {
  Shape const small{1, 28, 28}, colour{3, 32, 32};
  static std::vector<DataSet> const all{
      data_set("digits", {1, 8, 8}, 10,
               "digits-images-idx3-ubyte, digits-labels-idx1-ubyte (data/digits of the source tree)",
               read_digits),
      data_set("mnist", small, 10, idx_files, read_idx),
      data_set("fashion-mnist", small, 10, fashion_files, read_idx),
      data_set("usps", {1, 16, 16}, 10, idx_files, read_idx),
      data_set("cifar10", colour, 10,
               "data_batch_1.bin ... data_batch_5.bin, test_batch.bin, or the folder cifar-10-batches-bin "
               "with them",
               [](std::filesystem::path const& folder, Part part, Index limit) {
                 return read_cifar10_bytes<float>(inner(folder, "cifar-10-batches-bin"), part, limit);
               }),
      data_set("cifar100", colour, 100, "train.bin, test.bin, or the folder cifar-100-binary with them",
               [](std::filesystem::path const& folder, Part part, Index limit) {
                 return read_cifar100_bytes<float>(inner(folder, "cifar-100-binary"), part, limit);
               }),
      data_set("svhn", colour, 10, "train_32x32.mat, extra_32x32.mat, test_32x32.mat", read_street_numbers),
  };
  return all;
}

std::filesystem::path default_folder(DataSet const& set, std::filesystem::path const& packages) {
  if (set.name == "digits") return DETRAME_DATA_DIR "/digits";
  auto const folder = packages / set.name;
  std::error_code none;
  return set.name == "fashion-mnist" && std::filesystem::is_directory(folder, none) ? folder : "";
}

std::filesystem::path data_folder(DataSet const& set, std::filesystem::path const& named) {
  auto const folder = named.empty() ? default_folder(set) : named;
  if (folder.empty())
    throw WrongOption(message("--data is missing: a folder with ", set.name, ": ", set.files));
  return folder;
}

DataSet const& find_data_set(std::string_view name) {
  std::string known;
  for (DataSet const& set : data_sets()) {
    if (set.name == name) return set;
    known += (known.empty() ? "" : ", ") + std::string(set.name);
  }
  throw DomainError(message("--dataset ", name, ": must be one of ", known));
}

ImageBytes<float> read_images(DataSet const& set, std::filesystem::path const& folder, Part part,
                              Index limit) {
  if (std::error_code none; !std::filesystem::is_directory(folder, none))
    throw FormatError(message("--data ", folder.string(), ": expected a folder with ", set.files,
                              ", found no such folder"));
  if (limit == 0) limit = std::numeric_limits<Index>::max();
  auto data = set.read(folder, part, limit);
  if (data.shape != set.shape)
    throw FormatError(message(folder.string(), ": expected images of ", set.shape, ", found ", data.shape));
  if (limit < data.samples()) return subset(data, 0, limit);
  return data;
}

std::string fingerprint(ImageBytes<float> const& data) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, a word at a time
  auto const add = [&](std::uint64_t word) { hash = (hash ^ word) * 0x100000001b3; };
  std::vector<float> numbers(static_cast<std::size_t>(data.shape.size()));
  for (Index i = 0; i < data.samples(); ++i) {
    data.read(i, numbers.data());
    for (float const x : numbers) add(std::bit_cast<std::uint32_t>(x));
  }
  for (int const label : data.labels) add(static_cast<std::uint64_t>(label));
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; hash >>= 4) text[i] = "0123456789abcdef"[hash & 15];
  return text;
}

}  // namespace experiment
