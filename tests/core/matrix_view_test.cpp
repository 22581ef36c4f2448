// SPDX-License-Identifier: Apache-2.0
#include "detrame/core/matrix_view.hpp"

#include <Eigen/Core>

#include "detrame/core/host_matrix.hpp"
#include "support.hpp"

namespace detrame {

using namespace test;

namespace {
using ColumnMajor = Eigen::MatrixXd;
template <class M>
constexpr bool can_be_viewed = std::is_constructible_v<MatrixView<double const>, M>;
template <class M>
constexpr bool can_be_written = std::is_constructible_v<MatrixView<double>, M>;

static_assert(can_be_viewed<ColumnMajor const&> && can_be_written<ColumnMajor&>);
static_assert(can_be_viewed<HostMatrix<double> const&> && can_be_written<HostMatrix<double>&>);
static_assert(can_be_viewed<Eigen::VectorXd const&> && can_be_written<Eigen::Block<ColumnMajor>>);
static_assert(can_be_viewed<MatrixView<double>>);
static_assert(!can_be_viewed<decltype(ColumnMajor() + ColumnMajor())>, "an expression has no memory");
static_assert(!can_be_written<ColumnMajor const&> && !can_be_written<HostMatrix<double> const&> &&
                  !can_be_written<MatrixView<double const>>,
              "what is const is not written");
static_assert(std::is_trivially_copyable_v<MatrixView<float>>);
}  // namespace

TEST_CASE("MatrixView: entry (i, j) is at data()[i + j stride()], and is not copied") {
  ColumnMajor m = ColumnMajor::Random(7, 5);
  auto block = m.block(1, 2, 4, 3);
  MatrixView<double> const v = block;
  CHECK((v.rows() == 4 && v.cols() == 3 && v.stride() == 7 && v.data() == &m(1, 2)));
  for (Index j = 0; j < 3; ++j)
    for (Index i = 0; i < 4; ++i) CHECK(&v(i, j) == &m(1 + i, 2 + j));
  MatrixView<double const> const copy = v;
  v(3, 2) = 42;
  CHECK((m(4, 4) == 42 && copy(3, 2) == 42));
}

TEST_CASE("MatrixView: narrowing and reshaping name the same entries") {
  auto host = host_matrix<float>(6, 8, [](Index i, Index j) { return static_cast<float>(i + 10 * j); });
  MatrixView<float> const v = host;
  CHECK((v.middle_rows(2, 3).rows() == 3 && v.middle_rows(2, 3)(0, 7) == 72));
  CHECK((v.middle_cols(5, 2).cols() == 2 && v.middle_cols(5, 2)(1, 1) == 61));
  CHECK(columns(v, Columns{5, 2}).data() == v.middle_cols(5, 2).data());
  CHECK(v.contiguous());
  CHECK(!v.middle_rows(0, 5).contiguous());
  CHECK((v.middle_cols(1, 3).contiguous() && v.middle_rows(1, 2).middle_cols(3, 1).contiguous()));
  MatrixView<float> const r = v.middle_cols(1, 3).reshaped(9, 2);
  CHECK((r.rows() == 9 && r.cols() == 2 && r(0, 0) == 10 && r(5, 0) == 15 && r(6, 0) == 20 && r(8, 1) == 35));
  CHECK((v.middle_cols(8, 0).cols() == 0 && v.middle_rows(6, 0).rows() == 0));
}

TEST_CASE("MatrixView: views overlap where the memory from first to last entry does") {
  auto host = host_matrix<float>(6, 8, [](Index, Index) { return 0.f; });
  MatrixView<float> const v = host;
  CHECK((v.overlaps(v) && v.middle_cols(2, 2).overlaps(v.middle_cols(3, 1))));
  CHECK(!v.middle_cols(2, 2).overlaps(v.middle_cols(4, 2)));
  CHECK(!v.middle_cols(4, 2).overlaps(v.middle_cols(2, 2)));
  CHECK(v.middle_rows(0, 3).overlaps(v.middle_rows(3, 3)));  // one between the columns of the other
  CHECK((!v.middle_cols(2, 0).overlaps(v) && !v.overlaps(v.middle_rows(1, 0)) && !v.overlaps({})));
}

TEST_CASE("HostMatrix: column-major, a value, compared by entries") {
  auto a = host_matrix<double>(2, 3, [](Index i, Index j) { return static_cast<double>(10 * i + j); });
  CHECK((a.data()[0] == 0 && a.data()[1] == 10 && a.data()[2] == 1 && a.outerStride() == 2));
  auto b = a;
  CHECK(a == b);
  b(1, 2) = -1;
  CHECK((a != b && a(1, 2) == 12));
  CHECK((HostMatrix<double>(2, 3) != HostMatrix<double>(3, 2)));
  CHECK((HostMatrix<double>() == HostMatrix<double>(0, 0) && HostMatrix<double>(2, 2, 5)(1, 1) == 5));
}

}  // namespace detrame
