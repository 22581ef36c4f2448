// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "detrame/io/metadata.hpp"
#include "detrame/io/replace_file.hpp"
#include "settings.hpp"

namespace experiment {

namespace {

void write_text(std::filesystem::path const& file, std::string const& text) {
  ReplacedFile out(file);
  out.write(text.data(), text.size());
  out.commit();
}

std::string csv(std::vector<EpochRow> const& epochs) {
  std::string text = std::string(epoch_columns) + "\n";
  for (EpochRow const& e : epochs) {
    for (double const number :
         {e.epoch, e.rate, e.loss, e.accuracy, e.test_loss, e.test_accuracy, e.images_per_second, e.seconds})
      text += number_text(number) + ",";
    text += number_text(e.processor_seconds) + "\n";
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

void write_results(Settings const& settings, Model const& model, Images const& images,
                   std::vector<EpochRow> const& epochs, std::vector<ClassRow> const& classes) {
  write_text(settings.out / "epochs.csv", csv(epochs));
  write_text(settings.out / "classes.csv", csv(classes, images));
  double seconds = 0, processor_seconds = 0;
  for (EpochRow const& e : epochs) {
    seconds += e.seconds;
    processor_seconds += e.processor_seconds;
  }
  auto const last = epochs.empty() ? EpochRow{} : epochs.back();
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
  json["train_loss"] = last.loss;
  json["train_accuracy"] = last.accuracy;
  json["test_loss"] = last.test_loss;
  json["test_accuracy"] = last.test_accuracy;
  json["seconds"] = seconds;
  json["processor_seconds"] = processor_seconds;
  json["images_per_second"] =
      static_cast<double>(images.train) * static_cast<double>(epochs.size()) / std::max(seconds, 1e-9);
  if (!classes.empty()) {
    double test_seconds = 0;
    for (ClassRow const& row : classes) test_seconds += row.seconds;
    json["test_seconds_an_image"] =
        test_seconds / static_cast<double>(classes.size()) / static_cast<double>(images.test);
  }
  write_text(settings.out / "summary.json", json.dump(2) + "\n");
}

}  // namespace experiment
