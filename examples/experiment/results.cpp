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

}  // namespace

void write_results(Settings const& settings, Model const& model, Index train_images, Index test_images,
                   std::vector<EpochRow> const& epochs) {
  write_text(settings.out / "epochs.csv", csv(epochs));
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
  json["train_images"] = train_images;
  json["test_images"] = test_images;
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
      static_cast<double>(train_images) * static_cast<double>(epochs.size()) / std::max(seconds, 1e-9);
  write_text(settings.out / "summary.json", json.dump(2) + "\n");
}

}  // namespace experiment
