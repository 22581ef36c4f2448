// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>

#include "detrame/backend/arguments.hpp"
#include "detrame/backend/cpu/cpu.hpp"
#include "detrame/backend/items.hpp"

namespace detrame::inline DETRAME_ABI {

template <class Scalar, class F, class First, class... Args>
void each(CpuLane<Scalar>&, F const& f, First&& first, Args&&... args) {
  auto const lead = detail::argument<Scalar>(first);
  Index const rows = lead.view.rows(), cols = lead.view.cols();
  DETRAME_ASSERT((detail::argument<Scalar>(args).fits(rows, cols) && ...));
  for (Index j = 0; j < cols; ++j)
    [&](auto... column) {
      for (Index i = 0; i < rows; ++i) f(column[i]...);
    }(lead.column(j), detail::argument<Scalar>(args).column(j)...);
}

template <class Scalar, class F, class First, class... Args>
void each_indexed(CpuLane<Scalar>&, F const& f, First&& first, Args&&... args) {
  auto const lead = detail::argument<Scalar>(first);
  Index const rows = lead.view.rows(), cols = lead.view.cols();
  DETRAME_ASSERT((detail::argument<Scalar>(args).fits(rows, cols) && ...));
  for (Index j = 0; j < cols; ++j)
    [&](auto... column) {
      for (Index i = 0; i < rows; ++i) f(i, j, column[i]...);
    }(lead.column(j), detail::argument<Scalar>(args).column(j)...);
}

/// Here an item is a task of one thread.
template <class Scalar, class F, class... Views>
void each_of(Cpu<Scalar>& backend, std::span<Item<F, Views...> const> items) {
  double entries = 0;
  for (auto const& item : items) entries += detail::entries(std::get<0>(item.views));
  Work const work{0, entries * static_cast<double>(sizeof...(Views) * sizeof(Scalar))};
  backend.run(static_cast<Index>(items.size()), work, [&](CpuLane<Scalar>& lane, Index n) {
    auto const& item = items[static_cast<std::size_t>(n)];
    F const f = item.f;  // a copy, which no entry can overwrite
    std::apply([&](auto const&... views) { each_indexed(lane, f, views...); }, item.views);
  });
}

template <class Scalar>
void copy_entries(CpuLane<Scalar>&, std::type_identity_t<MatrixView<Scalar const>> from,
                  std::type_identity_t<MatrixView<Scalar>> to) {
  DETRAME_ASSERT(from.rows() * from.cols() == to.rows() * to.cols());
  Index i_to = 0, j_to = 0;
  for (Index j = 0; j < from.cols(); ++j)
    for (Index i = 0; i < from.rows();) {
      Index const run = std::min(from.rows() - i, to.rows() - i_to);
      std::copy_n(&from(i, j), run, &to(i_to, j_to));
      i += run;
      if ((i_to += run) == to.rows()) {
        i_to = 0;
        ++j_to;
      }
    }
}

template <class Scalar>
void gather_columns(CpuLane<Scalar>&, std::type_identity_t<MatrixView<Scalar const>> from,
                    std::span<Index const> indices, std::type_identity_t<MatrixView<Scalar>> out) {
  DETRAME_ASSERT(out.rows() == from.rows() && out.cols() == static_cast<Index>(indices.size()));
  for (Index j = 0; j < out.cols(); ++j) {
    Index const source = indices[static_cast<std::size_t>(j)];
    DETRAME_ASSERT(0 <= source && source < from.cols());
    std::copy_n(from.data() + source * from.stride(), out.rows(), out.data() + j * out.stride());
  }
}

}  // namespace detrame::inline DETRAME_ABI
