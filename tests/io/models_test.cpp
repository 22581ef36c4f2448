// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <functional>
#include <map>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/io/conventions.hpp"
#include "detrame/io/metadata.hpp"
#include "detrame/io/parameters.hpp"
#include "detrame/io/safetensors.hpp"
#include "detrame/layer/host_parameters.hpp"
#include "detrame/network/zoo/certified_net.hpp"
#include "detrame/network/zoo/plain_net.hpp"
#include "detrame/network/zoo/res_net.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

using B = Cpu<float>;

/// What a file must be: the trained parameters of its network, all of them, of their names and shapes.
struct Expected {
  Index parameters;  ///< that are trained, as docs/networks.md counts them
  std::function<void(TensorFile const&)> load;
};

template <class Recipe, Shape in>
Expected network(Index parameters) {
  return {parameters, [](TensorFile const& file) {
            B cpu;
            auto theta = Bind<Recipe, in, B>().parameters(cpu);
            require_conventions(file);
            load_parameters(cpu, theta, file);
          }};
}

/// "resnet 8 1 0 cifar10": network, depth, widen, T, data
std::map<std::string, Expected> const& networks() {
  constexpr Shape image{3, 32, 32};
  static std::map<std::string, Expected> const all{
      {"resnet 8 1 0 cifar10", network<ResNet<Plain, 8, 10>, image>(75290)},
      {"detrame-resnet 8 1 3 cifar10", network<ResNet<DeTraMe<3>, 8, 10>, image>(123898)},
      {"plainnet 3 1 0 cifar10", network<PlainNet3<Plain, 10>, image>(94378)},
      {"detrame-plainnet 3 1 5 cifar10", network<PlainNet3<DeTraMe<5>, 10>, image>(261570)},
      {"certified 2 1 0 mnist", network<CertifiedNet2<16>, Shape{1, 28, 28}>(179618)},
      {"certified 3 1 0 cifar10", network<CertifiedNet3<16>, image>(255016)},
  };
  return all;
}

}  // namespace

TEST_CASE("each file of data/models is all of its network, finite, below 1 MiB, and described") {
  Index found = 0;
  for (auto const& entry : std::filesystem::directory_iterator(DETRAME_DATA_DIR "/models")) {
    if (entry.path().extension() != ".safetensors") continue;
    ++found;
    CAPTURE(entry.path());
    CHECK(entry.file_size() < (1u << 20));
    TensorFile const file = read_safetensors(entry.path());
    std::string const key = text_of(file, "network") + ' ' + text_of(file, "depth") + ' ' +
                            text_of(file, "widen") + ' ' + text_of(file, "T") + ' ' + text_of(file, "data");
    auto const expected = networks().find(key);
    REQUIRE_MESSAGE(expected != networks().end(), "no such network in this test: " << key);
    CHECK_NOTHROW(expected->second.load(file));
    Index parameters = 0;
    for (auto const& tensor : file.tensors) {
      std::string const& name = tensor.first;
      auto const values = host_matrix<float>(tensor.second, name);
      bool finite = true;
      for (Index i = 0; i < values.rows() * values.cols(); ++i)
        finite = finite && std::isfinite(values.data()[i]);
      CHECK_MESSAGE(finite, name);
      if (name.find("running_") == std::string::npos) parameters += values.rows() * values.cols();
    }
    CHECK(parameters == expected->second.parameters);
    // the page beside them names each
    std::ifstream page(DETRAME_DATA_DIR "/models/README.md");
    std::string const text(std::istreambuf_iterator<char>(page), {});
    CHECK(text.find("`" + entry.path().filename().string() + "`") != std::string::npos);
  }
  CHECK(found >= 1);
}

}  // namespace detrame
