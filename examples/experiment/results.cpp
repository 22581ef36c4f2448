// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "detrame/io/metadata.hpp"
#include "detrame/io/replace_file.hpp"
#include "settings.hpp"

namespace experiment {

namespace {

constexpr std::string_view epoch_columns =
    "epoch,rate,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds,processor_"
    "seconds";

std::string csv(std::vector<EpochReport> const& epochs) {
  std::string text = std::string(epoch_columns) + "\n";
  for (EpochReport const& e : epochs) {
    text += message(e.number, ',');
    for (double const number : {e.rate, e.loss, e.accuracy}) text += number_text(number) + ",";
    text += e.validation ? number_text(e.validation->loss) + "," + number_text(e.validation->accuracy) : ",";
    for (double const number : {e.samples_per_second, e.seconds, e.processor_seconds})
      text += "," + number_text(number);
    text += "\n";
  }
  return text;
}

/// Accuracy on the images of a class, and the share of all images on which it has a score > 0.
std::string csv(std::vector<ClassRow> const& rows, Images const& images) {
  std::string text = "epoch,class,images,accuracy,positive\n";
  for (ClassRow const& row : rows)
    for (std::size_t c = 0; c < row.correct_of.size(); ++c) {
      text += message(row.epoch, ',', c, ',', images.test_of[c], ',');
      if (images.test_of[c] > 0)
        text += number_text(static_cast<double>(row.correct_of[c]) / static_cast<double>(images.test_of[c]));
      text += ',' + number_text(static_cast<double>(row.positive_of[c]) / static_cast<double>(images.test)) +
              '\n';
    }
  return text;
}

}  // namespace

void replace_text(std::filesystem::path const& file, std::string const& text) {
  ReplacedFile out(file);
  out.write(text.data(), text.size());
  out.commit();
}

void write_results(Settings const& settings, Model const& model, Images const& images,
                   std::vector<EpochReport> const& epochs, std::vector<ClassRow> const& classes,
                   Notes const& notes) {
  replace_text(settings.out / "epochs.csv", csv(epochs));
  replace_text(settings.out / "classes.csv", csv(classes, images));
  double seconds = 0, processor_seconds = 0;
  for (EpochReport const& e : epochs) {
    seconds += e.seconds;
    processor_seconds += e.processor_seconds;
  }
  nlohmann::ordered_json json;
  json["finished"] = static_cast<int>(epochs.size()) == settings.epochs;
  json["command"] = command_of(settings);
  each_setting(settings, [&](char const* option, auto const& value) { json["settings"][option] = value; });
  json["threads"] = settings.place.threads;
  json["train_images"] = images.train;
  json["test_images"] = images.test;
  json["parameters"] = trained_count(*model.network);
  json["multiply_adds"] = model.network->multiply_adds();
  json["epochs_done"] = epochs.size();
  EpochReport const last = epochs.empty() ? EpochReport{} : epochs.back();
  json["train_loss"] = last.loss;
  json["train_accuracy"] = last.accuracy;
  Evaluation const tested = last.validation.value_or(Evaluation{});
  json["test_loss"] = tested.loss;
  json["test_accuracy"] = tested.accuracy;
  json["seconds"] = seconds;
  json["processor_seconds"] = processor_seconds;
  Index const left_out = settings.drop_last ? images.train % settings.batch : 0;
  json["images_per_second"] = static_cast<double>(images.train - left_out) *
                              static_cast<double>(epochs.size()) / std::max(seconds, 1e-9);
  if (!classes.empty()) {
    double test_seconds = 0;
    for (ClassRow const& row : classes) test_seconds += row.seconds;
    json["test_seconds_an_image"] =
        test_seconds / static_cast<double>(classes.size()) / static_cast<double>(images.test);
  }
  if (!notes.start.empty()) json["start"] = notes.start;
  if (notes.solved.problems > 0)
    json["solved_again_share"] =
        static_cast<double>(notes.solved.again) / static_cast<double>(notes.solved.problems);
  replace_text(settings.out / "summary.json", json.dump(2) + "\n");
}

Tensor class_tensor(std::vector<ClassRow> const& classes, int count) {
  HostMatrix<double> rows(static_cast<Index>(classes.size()), 2 + 2 * count);
  for (Index i = 0; i < rows.rows(); ++i) {
    ClassRow const& row = classes[static_cast<std::size_t>(i)];
    rows(i, 0) = row.epoch;
    rows(i, 1) = row.seconds;
    for (int c = 0; c < count; ++c) {
      rows(i, 2 + c) = static_cast<double>(row.correct_of[static_cast<std::size_t>(c)]);
      rows(i, 2 + count + c) = static_cast<double>(row.positive_of[static_cast<std::size_t>(c)]);
    }
  }
  return tensor(rows);
}

std::vector<ClassRow> class_rows(TensorFile const& state, int epochs, int count) {
  auto const found = state.tensors.find("classes");
  if (found == state.tensors.end()) return {};  // a run that began before there were any
  std::string const name = state.name + ": tensor classes";
  auto const rows = host_matrix<double>(found->second, name);
  if (rows.rows() > epochs || rows.cols() != 2 + 2 * count)
    throw FormatError(message(name, ": expected at most ", epochs, " x ", 2 + 2 * count, ", found ",
                              rows.rows(), " x ", rows.cols()));
  auto const number = [&](Index i, Index j) {
    if (!(rows(i, j) >= 0 && rows(i, j) <= 1e15))
      throw FormatError(message(name, ": expected counts and seconds, found ", rows(i, j)));
    return rows(i, j);
  };
  std::vector<ClassRow> classes;
  for (Index i = 0; i < rows.rows(); ++i) {
    if (!(rows(i, 0) >= 1 && rows(i, 0) <= epochs))
      throw FormatError(message(name, ": expected an epoch in 1 ... ", epochs, ", found ", rows(i, 0)));
    ClassRow row{static_cast<int>(rows(i, 0)), number(i, 1), {}, {}};
    for (int c = 0; c < count; ++c) {
      row.correct_of.push_back(static_cast<Index>(number(i, 2 + c)));
      row.positive_of.push_back(static_cast<Index>(number(i, 2 + count + c)));
    }
    classes.push_back(std::move(row));
  }
  return classes;
}

}  // namespace experiment
