// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/io/parameters.hpp"
#include "detrame/robust/double_twin.hpp"
#include "host_certifier.hpp"
#include "row.hpp"

namespace experiment {

/// Of a network of the library, on a Cpu<float>.
template <Layer Net>
class CertifierOf final : public HostCertifier {
 public:
  CertifierOf(TensorFile const& model, int threads)
      : wide_(threads), twin_(twin_of(model)), certifier_(wide_, twin_.net, twin_.theta) {}

  NetworkBound const& bound() const override { return certifier_.bound(); }

  Certificate certified(HostMatrix<double> const& x, double rho) override {
    return certifier_(wide_, to_device(wide_, x), rho);
  }

  std::vector<Index> labels(HostMatrix<double> const& x) override {
    Index const sites = Shape(Net::input).sites(), n = x.cols() / sites;
    std::vector<Index> all;
    try {
      auto const y = to_host(wide_, predict(wide_, twin_.net, twin_.theta, to_device(wide_, x)));
      for (Index j = 0; j < n; ++j) {
        Index label = 0;
        for (Index i = 1; i < y.rows(); ++i)
          if (!(y(i, j) <= y(label, j))) label = i;
        all.push_back(label);
      }
    } catch (NotCertified const&) {  // of one image at least
      if (n == 1) return {-1};
      for (Index j = 0; j < n; ++j)
        all.push_back(labels(
            host_matrix<double>(x.rows(), sites, [&](Index i, Index s) { return x(i, j * sites + s); }))[0]);
    }
    return all;
  }

 private:
  using Twin = DoubleTwin<Net>;

  static Twin twin_of(TensorFile const& model) {
    typename Net::Backend narrow(1);
    auto theta = Net().parameters(narrow);
    load_parameters(narrow, theta, model);
    return Twin(narrow, theta);
  }

  typename Twin::Backend wide_;
  Twin twin_;
  Certifier<typename Twin::Twin> certifier_;
};

template <Layer Net>
std::unique_ptr<HostCertifier> certifier_of(TensorFile const& model, int threads) {
  return std::make_unique<CertifierOf<Net>>(model, threads);
}

/// How a row's networks are certified.
template <class Family, int depth, int widen, Shape shape, int classes, int... T>
void add_certifiers(std::vector<Entry>& all, std::string_view family) {
  each_network<Cpu<float>, Family, depth, widen, shape, classes, T...>(
      all, family,
      []<class Net>(Entry& entry, std::type_identity<Net>) { entry.make_certifier = &certifier_of<Net>; });
}

}  // namespace experiment
