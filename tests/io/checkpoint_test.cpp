// SPDX-License-Identifier: Apache-2.0
#include "detrame/io/checkpoint.hpp"

#include "mutated_file.hpp"
#include "support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

/// A checkpoint whose contents are a function of the step.
Checkpoint sample(std::uint64_t step, std::string const& tag = "a1") {
  Checkpoint c{tag, step, {}, {}};
  c.model.tensors["0.W"] = tensor(normal_matrix<float>(3, 4, seed(step)));
  c.model.metadata["network"] = "plainnet";
  c.state.tensors["velocity.0.W"] = tensor(normal_matrix<float>(3, 4, seed(step + 100)));
  return c;
}

void check_reads(std::filesystem::path const& folder, std::uint64_t step) {
  Checkpoint const expected = sample(step), found = read_checkpoint(folder);
  CHECK(found.step == step);
  CHECK(found.tag == "a1");
  CHECK(found.model.tensors == expected.model.tensors);
  CHECK(found.state.tensors == expected.state.tensors);
  CHECK(found.model.metadata.at("network") == "plainnet");
}

std::vector<std::string> names(std::filesystem::path const& folder) {
  std::vector<std::string> all;
  for (auto const& entry : std::filesystem::directory_iterator(folder))
    all.push_back(entry.path().filename().string());
  std::sort(all.begin(), all.end());
  return all;
}

void write_text(std::filesystem::path const& file, std::string const& text) {
  write_bytes(file, Bytes(text.begin(), text.end()));
}

void refuses(std::filesystem::path const& folder, std::string const& text) {
  check_throws_with<FormatError>([&] { read_checkpoint(folder); }, text);
}

}  // namespace

TEST_CASE("checkpoint: what is written is read; the one before stays, older ones and unfinished files go") {
  TemporaryFolder const folder("checkpoint");
  CHECK(latest_step(folder.path()) == std::nullopt);
  std::vector<std::string> const others{"epochs.csv", "step-1.model.safetensors.copy",
                                        "step-01.model.safetensors", "mine.part3"};
  for (auto const& file : others) write_text(folder / file, "");
  write_text(folder / "step-7.model.safetensors.part12-0", "left behind");
  write_text(folder / "latest.part12-0", "left behind");
  for (std::uint64_t const step : {3, 9, 12, 12}) {
    write_checkpoint(folder.path(), sample(step));
    check_reads(folder.path(), step);
  }
  write_checkpoint(folder.path(), sample(40));
  check_reads(folder.path(), 40);
  std::vector<std::string> expected = others;
  for (char const* file : {"latest", "step-12.model.safetensors", "step-12.state.safetensors",
                           "step-40.model.safetensors", "step-40.state.safetensors"})
    expected.push_back(file);
  std::sort(expected.begin(), expected.end());
  CHECK(names(folder.path()) == expected);
}

TEST_CASE("checkpoint: until `latest` is replaced, the pair from before is read") {
  TemporaryFolder const folder("checkpoint"), later("checkpoint");
  write_checkpoint(folder.path(), sample(1));
  write_checkpoint(later.path(), sample(2));
  for (char const* file : {"step-2.model.safetensors", "step-2.state.safetensors"}) {
    Bytes const whole = read_all(later / file);
    for (std::size_t const size : {std::size_t{0}, whole.size() / 2, whole.size()}) {
      write_bytes(folder / (std::string(file) + ".part1-0"), Bytes(whole.begin(), whole.begin() + size));
      check_reads(folder.path(), 1);
    }
    std::filesystem::rename(folder / (std::string(file) + ".part1-0"), folder / file);
    check_reads(folder.path(), 1);
  }
  std::filesystem::copy_file(later / "latest", folder / "latest",
                             std::filesystem::copy_options::overwrite_existing);
  check_reads(folder.path(), 2);
}

TEST_CASE(
    "checkpoint: a pair of two runs or two steps, a missing file, a file of the wrong kind are refused") {
  TemporaryFolder const folder("checkpoint"), other("checkpoint");
  refuses(folder.path(), "latest: expected the file that names the latest checkpoint, found no such file");
  write_checkpoint(folder.path(), sample(5));
  write_checkpoint(other.path(), sample(5, "b2"));
  auto const copy = [](std::filesystem::path const& from, std::filesystem::path const& to) {
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  };
  auto const model = folder / "step-5.model.safetensors", state = folder / "step-5.state.safetensors";
  copy(other / "step-5.state.safetensors", state);
  refuses(folder.path(), "step-5.state.safetensors: expected run a1 as in the model beside it, found run b2");
  copy(model, state);
  refuses(folder.path(),
          "step-5.state.safetensors: expected the file \"state\" of a checkpoint, found \"model\"");
  write_checkpoint(other.path(), sample(6));
  copy(other / "step-6.state.safetensors", state);
  refuses(folder.path(), "step-5.state.safetensors: expected step 5, found step 6");
  std::filesystem::remove(state);
  refuses(folder.path(), "step-5.state.safetensors: expected a safetensors file, found no such file");
  write_safetensors(state, sample(5).state);
  refuses(folder.path(), "step-5.state.safetensors: __metadata__: expected a text for file, found none");
  TensorFile unnumbered = sample(5).state;
  unnumbered.metadata = {{"file", "state"}, {"run", "a1"}, {"step", "5x"}};
  write_safetensors(state, unnumbered);
  refuses(folder.path(), "__metadata__: step: expected a whole number of 64 bits, found \"5x\"");
}

TEST_CASE("checkpoint: `latest` is one line step-N and nothing else") {
  TemporaryFolder const folder("checkpoint");
  write_checkpoint(folder.path(), sample(5));
  for (std::string const text :
       {"", "step-5", "step-5\n\n", "step-05\n", "step--5\n", "step-+5\n", "step- 5\n", "5\n",
        "step-99999999999999999999\n", "step-5/../../etc\n", "step-5\r\n"}) {
    write_text(folder / "latest", text);
    refuses(folder.path(),
            "latest: expected the one line step-N, found " + std::to_string(text.size()) + " bytes");
  }
  write_text(folder / "latest", "step-" + std::string(1000, '0') + "5\n");
  refuses(folder.path(), "latest: expected the one line step-N, found 64 bytes or more");
  check_throws_with<FormatError>([&] { write_checkpoint(folder.path(), sample(6)); }, "step-N");
  std::filesystem::remove(folder / "latest");
  std::filesystem::create_directory(folder / "latest");
  refuses(folder.path(), "found something that is not a file");
  check_throws_with<DomainError>([&] { write_checkpoint(folder.path(), sample(6, "")); }, "tag");
}

TEST_CASE("checkpoint: a damaged file is refused or gives the same tensors' names and shapes") {
  TemporaryFolder const folder("checkpoint");
  write_checkpoint(folder.path(), sample(5));
  Checkpoint const whole = read_checkpoint(folder.path());
  auto const state = folder / "step-5.state.safetensors";
  Bytes const bytes = read_all(state);
  int refused = 0;
  for (std::uint64_t trial = 0; trial < 400; ++trial) {
    write_bytes(state, mutated(bytes, Random(seed(1), 0), trial, static_cast<Index>(bytes.size())));
    try {
      Checkpoint const found = read_checkpoint(folder.path());
      CHECK(found.tag == whole.tag);
      CHECK(found.step == 5);
    } catch (FormatError const&) {
      ++refused;
    }
  }
  CHECK(refused > 200);
}

TEST_CASE_TEMPLATE("metadata: numbers go through text bit for bit", Number, float, double, std::uint64_t,
                   int) {
  TensorFile file{"f", {}, {}};
  for (Number const number : {Number(0), Number(0.1), Number(1) / Number(3),
                              std::numeric_limits<Number>::max(), std::numeric_limits<Number>::lowest()}) {
    file.metadata["n"] = number_text(number);
    CHECK(number_of<Number>(file, "n") == number);
  }
  for (std::string const text : {"", " 1", "1 ", "one", "1e9999", "99999999999999999999999999999x"}) {
    file.metadata["n"] = text;
    check_throws_with<FormatError>([&] { number_of<Number>(file, "n"); }, "f: __metadata__: n: expected a ");
  }
  check_throws_with<FormatError>([&] { text_of(file, "m"); },
                                 "f: __metadata__: expected a text for m, found none");
}
