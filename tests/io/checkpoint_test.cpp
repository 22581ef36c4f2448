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

TEST_CASE(
    "checkpoint: of files that look like ours only regular ones with all of the name and our tag are "
    "removed") {
  TemporaryFolder const folder("checkpoint");
  std::vector<std::string> const users{"latest.party.jpg",
                                       "latest.part",
                                       "latest.part-of-mine",
                                       "latest.part12",
                                       "latest.part12-",
                                       "latest.part-0",
                                       "latest.part12-0.bak",
                                       "latest.part1a-0",
                                       "latest.part12-0x",
                                       "step-3.model.safetensors.part-of-my-thesis",
                                       "step-3.model.safetensors.partial",
                                       "step-03.model.safetensors.part1-0",
                                       "model.safetensors.part12-0",
                                       "mine.part12-0"};
  for (auto const& file : users) write_text(folder / file, "of the user");
  std::filesystem::create_directory(folder / "latest.part7-7");
  std::filesystem::create_directory(folder / "step-3.state.safetensors");
  std::filesystem::create_symlink("latest.party.jpg", folder / "latest.part8-8");
  std::filesystem::create_symlink("latest.party.jpg", folder / "step-2.model.safetensors");
  TensorFile other = sample(4, "b2").model;
  other.metadata = {{"file", "model"}, {"run", "b2"}, {"step", "4"}};
  write_safetensors(folder / "step-4.model.safetensors", other);
  write_safetensors(folder / "step-4.state.safetensors.part1-0", other);
  write_text(folder / "step-6.model.safetensors", "no tensors");
  auto const kept = names(folder.path());

  write_safetensors(folder / "step-4.model.safetensors.part1-0",
                    sample(4).model);  // no tag: ours or nobody's
  other.metadata["run"] = "a1";
  write_safetensors(folder / "step-5.state.safetensors", other);  // ours, and too old
  write_safetensors(folder / "step-5.state.safetensors.part123456-10", other);
  write_text(folder / "latest.part12-0", "ste");
  write_checkpoint(folder.path(), sample(9));
  std::vector<std::string> expected = kept;
  for (char const* file : {"latest", "step-9.model.safetensors", "step-9.state.safetensors"})
    expected.push_back(file);
  std::sort(expected.begin(), expected.end());
  CHECK(names(folder.path()) == expected);

  write_text(folder / "epochs.csv.part5-0", "");
  write_text(folder / "epochs.csv.partial", "");
  expected.insert(expected.begin(), "epochs.csv.partial");
  std::sort(expected.begin(), expected.end());
  std::array<std::string_view, 1> const more{"epochs.csv"};
  remove_unfinished(folder.path(), "a1", more);
  CHECK(names(folder.path()) == expected);
  remove_unfinished(folder.path(), "", more);  // no run yet: whatever the tag
  CHECK(!std::filesystem::exists(folder / "step-4.state.safetensors.part1-0"));
  CHECK(std::filesystem::exists(folder / "step-4.model.safetensors"));
  remove_unfinished(folder / "none", "");  // what cannot be read is left alone
}

TEST_CASE("checkpoint: the name of a replaced file is given back for names with digits alone") {
  CHECK(replaced_target("a.part1-0") == "a");
  CHECK(replaced_target("a.part1-0.part22-33") == "a.part1-0");
  for (char const* file : {"", "a", "1", "a.part", "a.part1", "a.part-1", "a.part1-", "a.part1-x",
                           "a.partx-1", "a.part1-1x", "a.part1_1", "a-1", "part1-1", "a.part1-1 "})
    CHECK(replaced_target(file) == std::nullopt);
  TemporaryFolder const folder("checkpoint");
  ReplacedFile const half(folder / "b.csv");
  REQUIRE(names(folder.path()).size() == 1);
  CHECK(replaced_target(names(folder.path())[0]) == "b.csv");
}

TEST_CASE("checkpoint: one flipped bit anywhere in `latest` or in its pair is refused") {
  TemporaryFolder const folder("checkpoint");
  write_checkpoint(folder.path(), sample(4));  // '4' and '5' are one bit apart, and both pairs are there
  write_checkpoint(folder.path(), sample(5));
  for (char const* name : {"latest", "step-5.model.safetensors", "step-5.state.safetensors"}) {
    Bytes const whole = read_all(folder / name);
    int accepted = 0;
    for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
      Bytes flipped = whole;
      flipped[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      write_bytes(folder / name, flipped);
      try {
        read_checkpoint(folder.path());
        ++accepted;
      } catch (FormatError const&) {
      }
    }
    CHECK(accepted == 0);
    Bytes last = whole;  // an entry of a tensor
    last.back() ^= 1;
    write_bytes(folder / name, last);
    if (std::string(name) != "latest") refuses(folder.path(), "that `latest` has for it, found ");
    write_bytes(folder / name, whole);
    check_reads(folder.path(), 5);
  }
}

TEST_CASE(
    "checkpoint: `latest` of the first form, one line, is read; not beside files that were written with "
    "checksums") {
  TemporaryFolder const folder("checkpoint");
  write_checkpoint(folder.path(), sample(5));
  write_text(folder / "latest", "step-5\n");
  refuses(folder.path(), "latest: expected the checksum of " +
                             (folder / "step-5.model.safetensors").string() +
                             ", which was written with one, found none");
  Checkpoint old = sample(5);
  old.model.metadata.insert({{"file", "model"}, {"run", "a1"}, {"step", "5"}});
  old.state.metadata.insert({{"file", "state"}, {"run", "a1"}, {"step", "5"}});
  write_safetensors(folder / "step-5.model.safetensors", old.model);
  write_safetensors(folder / "step-5.state.safetensors", old.state);
  CHECK(latest_step(folder.path()) == 5);
  check_reads(folder.path(), 5);
  write_checkpoint(folder.path(), sample(6));  // goes on in the second form
  check_reads(folder.path(), 6);
  CHECK(read_all(folder / "latest").size() == 7 + 7 + 2 * 23);

  // A pair is replaced by another of its step: from the second form, and from the first,
  // whose files have no checksum.
  for (bool const first_form : {false, true}) {
    write_checkpoint(folder.path(), sample(5));
    Checkpoint next = sample(5);
    for (auto const& [what, file] : {std::pair("model", &next.model), {"state", &next.state}})
      file->metadata.insert({{"file", what}, {"run", "a1"}, {"step", "5"}, {"form", "2"}, {"again", "yes"}});
    if (first_form) {
      write_safetensors(folder / "step-5.model.safetensors", old.model);
      write_safetensors(folder / "step-5.state.safetensors", old.state);
      write_text(folder / "latest", "step-5\n");
    }
    auto const now = detail::read_latest(folder.path());
    detail::write_latest(folder.path(), detail::both_pairs(folder.path(), *now,
                                                           {safetensors_checksum(next.model),
                                                            safetensors_checksum(next.state)}));
    check_reads(folder.path(), 5);
    write_safetensors(folder / "step-5.model.safetensors", next.model);
    check_reads(folder.path(), 5);
    CHECK(write_safetensors(folder / "step-5.state.safetensors", next.state) ==
          safetensors_checksum(next.state));
    check_reads(folder.path(), 5);
    Bytes damaged = read_all(folder / "step-5.state.safetensors");
    damaged.back() ^= 1;
    write_bytes(folder / "step-5.state.safetensors", damaged);
    refuses(folder.path(), "step-5.state.safetensors: expected the checksum");
    write_checkpoint(folder.path(), sample(5));  // what is damaged is not taken for what was there before
    check_reads(folder.path(), 5);
  }
}

TEST_CASE("checkpoint: a pair that another of its step replaced in part is read; a damaged one is not") {
  TemporaryFolder const folder("checkpoint");
  auto const model = folder / "step-5.model.safetensors", state = folder / "step-5.state.safetensors";
  Checkpoint again = sample(5);
  again.model.metadata["again"] = again.state.metadata["again"] = "yes";
  auto const stop_at = [&](std::filesystem::path const& file, Checkpoint const& next) {
    Bytes const before = read_all(file);
    std::filesystem::remove(file);
    std::filesystem::create_directory(file);
    CHECK_THROWS_AS(write_checkpoint(folder.path(), next), std::filesystem::filesystem_error);
    std::filesystem::remove(file);
    write_bytes(file, before);
  };
  write_checkpoint(folder.path(), sample(5));
  Bytes const first = read_all(state);
  write_checkpoint(folder.path(), again);
  stop_at(state, sample(5));  // the model is that of sample(5) by now
  write_bytes(state, first);
  check_reads(folder.path(), 5);

  Bytes damaged = first;
  damaged.back() ^= 1;
  write_bytes(state, damaged);
  stop_at(model, sample(5));
  refuses(folder.path(), "step-5.state.safetensors: expected the checksum");
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
        "step-99999999999999999999\n", "step-5/../../etc\n", "step-5\r\n", "step-5\nform 2\n",
        "step-5\nform 3\nmodel 0123456789abcdef\nstate 0123456789abcdef\n",
        "step-5\nform 2\nmodel 0123456789ABCDEF\nstate 0123456789abcdef\n",
        "step-5\nform 2\nmodel +123456789abcdef\nstate 0123456789abcdef\n",
        "step-5\nform 2\nmodel 0123456789abcdef\nstate 0123456789abcdefx\n"}) {
    write_text(folder / "latest", text);
    refuses(folder.path(),
            "latest: expected step-N, form 2 and two checksums, or the one line step-N, found " +
                std::to_string(text.size()) + " bytes");
  }
  write_text(folder / "latest", "step-" + std::string(1000, '0') + "5\n");
  refuses(folder.path(), "or the one line step-N, found 256 bytes or more");
  check_throws_with<FormatError>([&] { write_checkpoint(folder.path(), sample(6)); }, "step-N");
  std::filesystem::remove(folder / "latest");
  std::filesystem::create_directory(folder / "latest");
  refuses(folder.path(), "found something that is not a file");
  check_throws_with<DomainError>([&] { write_checkpoint(folder.path(), sample(6, "")); }, "tag");
}

TEST_CASE("checkpoint: a damaged file is refused") {
  TemporaryFolder const folder("checkpoint");
  write_checkpoint(folder.path(), sample(5));
  Checkpoint const whole = read_checkpoint(folder.path());
  auto const state = folder / "step-5.state.safetensors";
  Bytes const bytes = read_all(state);
  int refused = 0;
  for (std::uint64_t trial = 0; trial < 400; ++trial) {
    Bytes const damaged = mutated(bytes, Random(seed(1), 0), trial, static_cast<Index>(bytes.size()));
    write_bytes(state, damaged);
    try {
      Checkpoint const found = read_checkpoint(folder.path());
      CHECK(found.tag == whole.tag);
      CHECK(found.step == 5);
      CHECK(damaged == bytes);  // a byte overwritten with itself
    } catch (FormatError const&) {
      ++refused;
    }
  }
  CHECK(refused > 380);
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
