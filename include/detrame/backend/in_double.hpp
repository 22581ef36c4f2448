// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"
#include "detrame/core/host_matrix.hpp"

namespace detrame::inline DETRAME_ABI {

template <class Scalar>
class Cpu;

/// The backend that works in double where the numbers of B do not suffice: the CPU,
/// unless B has one of its own.
template <class B>
struct InDouble {
  using Backend = Cpu<double>;
};

namespace detail {

/// A matrix of a backend on the host, in double.
template <Backend B>
HostMatrix<double> doubles_of(B& backend, ConstView<B> A) {
  auto const host = to_host(backend, A);
  return host_matrix<double>(host.rows(), host.cols(),
                             [&](Index i, Index j) { return static_cast<double>(host(i, j)); });
}

}  // namespace detail

}  // namespace detrame::inline DETRAME_ABI
