// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/backend/cuda/matrix.hpp"
#include "detrame/backend/in_double.hpp"
#include "detrame/core/host_matrix.hpp"

namespace detrame::inline DETRAME_ABI {

/// How products and convolutions in float round their factors. Sums and kernels of each_column compute in
/// full float always, and all of double is in double.
enum class Precision {
  full,  ///< not at all
  tf32   ///< to ten bits behind the point, for tensor cores; not at all below compute capability 8.0
};

/// Where the verbs run on a device: its one stream, with a cuBLAS handle, scratch memory, and a place on the
/// host for the numbers that verbs return.
template <class Scalar_>
class CudaLane {
 public:
  using Scalar = Scalar_;
  using View = DeviceView<Scalar>;

  /// Everything taken while a Frame lives is given back when it dies.
  class Frame {
   public:
    explicit Frame(CudaLane& lane) : lane_(lane), taken_(lane.scratch_.size()) { ++lane_.open_; }
    Frame(Frame const&) = delete;
    Frame& operator=(Frame const&) = delete;
    ~Frame() {
      lane_.scratch_.resize(taken_);
      --lane_.open_;
    }

   private:
    CudaLane& lane_;
    std::size_t taken_;
  };

  explicit CudaLane(Precision precision) : pool_(std::make_shared<DevicePool>()) {
    int device = 0, capability = 0;
    DETRAME_CUDA(cudaGetDevice(&device));
    DETRAME_CUDA(cudaDeviceGetAttribute(&capability, cudaDevAttrComputeCapabilityMajor, device));
    tf32_ = std::is_same_v<Scalar, float> && precision == Precision::tf32 && capability >= 8;
    try {
      DETRAME_CUDA(cublasCreate(&cublas_));
      DETRAME_CUDA(cublasSetStream(cublas_, stream()));
      DETRAME_CUDA(cublasSetMathMode(cublas_, tf32_ ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH));
      workspace_ = DeviceBuffer(pool_, DevicePool::Use::scratch, workspace_bytes);
      DETRAME_CUDA(cublasSetWorkspace(cublas_, workspace_.data(), workspace_.bytes()));
      DETRAME_CUDA(cudaMallocHost(&on_host_, sizeof(Scalar)));
    } catch (...) {
      if (cublas_) cublasDestroy(cublas_);
      throw;
    }
  }
  CudaLane(CudaLane const&) = delete;
  CudaLane& operator=(CudaLane const&) = delete;
  ~CudaLane() {
    cudaStreamSynchronize(stream());
    cudaFreeHost(on_host_);
    cublasDestroy(cublas_);
  }

  [[nodiscard]] Frame frame() { return Frame(*this); }

  View scratch(Index rows, Index cols) {
    DETRAME_ASSERT(open_ > 0 && rows >= 0 && cols >= 0);
    scratch_.emplace_back(pool_, DevicePool::Use::scratch,
                          static_cast<std::size_t>(rows * cols) * sizeof(Scalar));
    return View({static_cast<Scalar*>(scratch_.back().data()), rows, cols, rows});
  }

  cudaStream_t stream() const { return pool_->stream(); }
  cublasHandle_t cublas() const { return cublas_; }
  std::shared_ptr<DevicePool> const& pool() const { return pool_; }

  /// Whether products round their factors to TF32: in float, where that was asked for and the device can.
  bool tf32() const { return tf32_; }

  /// The one number at `device`, after all work before it.
  Scalar read_to_host(Scalar const* device) {
    DETRAME_CUDA(cudaMemcpyAsync(on_host_, device, sizeof(Scalar), cudaMemcpyDeviceToHost, stream()));
    DETRAME_CUDA(cudaStreamSynchronize(stream()));
    return *on_host_;
  }

 private:
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;  // what cuBLAS takes on Hopper

  std::shared_ptr<DevicePool> pool_;
  DeviceBuffer workspace_;
  std::vector<DeviceBuffer> scratch_;
  cublasHandle_t cublas_ = nullptr;
  Scalar* on_host_ = nullptr;  // pinned
  std::size_t open_ = 0;
  bool tf32_ = false;
};

template <class Scalar>
class CudaTeam;

/// A GPU: an object of this type owns a stream, memory, a cuBLAS handle and its workspace on the device that
/// is current when it is made, and is passed explicitly to whatever computes. Several live side by side; one
/// object serves one caller at a time, for whom that device is the current one. A matrix belongs to the
/// backend that made it, and may outlive it.
///
/// Verbs return before the device has done their work; those whose name ends in `to_host`, to_device and the
/// factorisations wait. Two runs give the same bits.
template <class Scalar_>
class Cuda {
 public:
  using Scalar = Scalar_;
  using Matrix = DeviceMatrix<Scalar>;
  using View = DeviceView<Scalar>;
  using ConstView = DeviceView<Scalar const>;
  using Input = ConstView;
  using Lane = CudaLane<Scalar>;
  using Team = CudaTeam<Scalar>;

  explicit Cuda(Precision precision = Precision::full) : lane_(precision) {
    int device = 0;
    DETRAME_CUDA(cudaGetDevice(&device));
    DETRAME_CUDA(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, device));
    DETRAME_CUDA(cudaDeviceGetAttribute(&shared_bytes_, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  }

  /// Whether there is a device to run on.
  static bool available() {
    int devices = 0;
    bool const found = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
    cudaGetLastError();
    return found;
  }

  /// Here there is no other.
  Lane& lane() { return lane_; }

  /// Multiprocessors of the device, and the shared memory that a block may have.
  int processors() const { return processors_; }
  int shared_bytes() const { return shared_bytes_; }

 private:
  int processors_ = 0, shared_bytes_ = 0;
  Lane lane_;
};

namespace device {
/// The lane of what a factor is prepared for.
template <class Scalar>
CudaLane<Scalar>& lane_of(Cuda<Scalar>& backend) {
  return backend.lane();
}
template <class Scalar>
CudaLane<Scalar>& lane_of(CudaLane<Scalar>& lane) {
  return lane;
}

/// Copies columns of `rows` entries that lie a stride apart: all at once where they lie together on both
/// sides, as thousands of short columns, pixels for instance, must not be copied one by one.
template <class Scalar>
void copy_columns(Scalar* to, Index to_stride, Scalar const* from, Index from_stride, Index rows,
                  Index columns, cudaMemcpyKind kind, cudaStream_t stream) {
  auto const bytes = [](Index n) { return static_cast<std::size_t>(n) * sizeof(Scalar); };
  if (to_stride == rows && from_stride == rows)
    DETRAME_CUDA(cudaMemcpyAsync(to, from, bytes(rows * columns), kind, stream));
  else
    DETRAME_CUDA(cudaMemcpy2DAsync(to, bytes(to_stride), from, bytes(from_stride), bytes(rows),
                                   static_cast<std::size_t>(columns), kind, stream));
}
}  // namespace device

/// The host's entries become those of a view of the same shape; m may die afterwards.
template <class Scalar>
void copy_to_device(Cuda<Scalar>& backend, HostMatrix<Scalar> const& m,
                    std::type_identity_t<DeviceView<Scalar>> out) {
  DETRAME_ASSERT(out.rows() == m.rows() && out.cols() == m.cols());
  if (m.rows() * m.cols() == 0) return;
  device::copy_columns(out.raw().data(), out.raw().stride(), m.data(), m.rows(), m.rows(), m.cols(),
                       cudaMemcpyHostToDevice, backend.lane().stream());
  DETRAME_CUDA(cudaStreamSynchronize(backend.lane().stream()));
}

template <class Scalar>
typename Cuda<Scalar>::Matrix to_device(Cuda<Scalar>& backend, HostMatrix<Scalar> const& m) {
  DeviceMatrix<Scalar> out(backend.lane().pool(), m.rows(), m.cols());
  copy_to_device(backend, m, out);
  return out;
}

template <class Scalar>
HostMatrix<Scalar> to_host(Cuda<Scalar>& backend, std::type_identity_t<DeviceView<Scalar const>> v) {
  HostMatrix<Scalar> out(v.rows(), v.cols());
  if (v.rows() * v.cols() == 0) return out;
  device::copy_columns(out.data(), v.rows(), v.raw().data(), v.raw().stride(), v.rows(), v.cols(),
                       cudaMemcpyDeviceToHost, backend.lane().stream());
  DETRAME_CUDA(cudaStreamSynchronize(backend.lane().stream()));
  return out;
}

template <class Scalar>
void resize(Cuda<Scalar>& backend, typename Cuda<Scalar>::Matrix& m, Index rows, Index cols) {
  if (m.rows() == rows && m.cols() == cols) return;
  m = {};  // its memory may serve again
  m = DeviceMatrix<Scalar>(backend.lane().pool(), rows, cols);
}

template <>
struct InDouble<Cuda<float>> {
  using Backend = Cuda<double>;
};

}  // namespace detrame::inline DETRAME_ABI
