// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/io/parameters.hpp"
#include "detrame/layer/inference_pullback.hpp"
#include "detrame/robust/double_twin.hpp"
#include "host_certifier.hpp"
#include "row.hpp"

namespace experiment {

/// Of a network of the library, on a Cpu<float>.
template <Layer Net>
class CertifierOf final : public HostCertifier {
  using Twin = DoubleTwin<Net>;
  using B = typename Twin::Backend;

 public:
  CertifierOf(TensorFile const& model, int threads)
      : wide_(threads), twin_(twin_of(model)), certifier_(wide_, twin_.net, twin_.theta) {}

  NetworkBound const& bound() const override { return certifier_.bound(); }

  Certificate certified(HostMatrix<double> const& x, double rho) override {
    return certifier_(wide_, to_device(wide_, x), rho);
  }

  HostMatrix<double> scores(HostMatrix<double> const& x) override {
    return to_host(wide_, predict(wide_, twin_.net, twin_.theta, to_device(wide_, x)));
  }

  HostMatrix<double> scores_with_tape(HostMatrix<double> const& x) override {
    x_ = to_device(wide_, x);
    return to_host(wide_, inference_forward(wide_, twin_.net, twin_.theta, ConstView<B>(x_), tape_));
  }

  HostMatrix<double> pulled_back(HostMatrix<double> const& y_bar) override {
    resize(wide_, x_bar_, x_.rows(), x_.cols());
    Matrix<B> const bar = to_device(wide_, y_bar);
    inference_pullback(wide_, twin_.net, twin_.theta, tape_, ConstView<B>(bar), View<B>(x_bar_));
    return to_host(wide_, ConstView<B>(x_bar_));
  }

 private:
  static Twin twin_of(TensorFile const& model) {
    typename Net::Backend narrow(1);
    auto theta = Net().parameters(narrow);
    load_parameters(narrow, theta, model);
    return Twin(narrow, theta);
  }

  B wide_;
  Twin twin_;
  Certifier<typename Twin::Twin> certifier_;
  Matrix<B> x_{}, x_bar_{};  ///< of the last `scores_with_tape`, whose tape is this
  typename Twin::Twin::Tape tape_{};
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
