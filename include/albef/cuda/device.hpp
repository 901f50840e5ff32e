// The CUDA device: a stream, a cuBLASLt handle, scratch memory, and clear words when it cannot run.
// Plain C++: any compiler that finds the toolkit's headers understands it.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"

namespace albef {

/// Throws Error naming what failed, with CUDA's own name and words for the reason.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) [[likely]]
    return;
  cudaGetLastError();  // an error that is not sticky is dealt with here
  fail("[cuda] ", what, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}
inline void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  fail("[cuda] ", what, ": ", cublasLtGetStatusString(status), " (", cublasLtGetStatusName(status),
       ")");
}

namespace detail {

/// Whether the program has code for the current GPU; cuda/device.cuh defines it, where there is
/// code to ask for.
template <class = void>
cudaError_t probe_code();

}  // namespace detail

/// How a device is set up.
struct CudaOptions {
  int index = 0;  ///< which GPU, as CUDA numbers them
  /// Single-precision products may round their inputs to TF32 (10 bits of mantissa).
  bool tf32 = false;
};

/// Handle of one GPU. Create one, pass it to every context; all work is queued on its one stream,
/// so operations happen in the order of the calls. Not copyable; used by one host thread at a time.
class Cuda {
 public:
  /// Throws Error if there is no driver, no such GPU, or the program has no code for it.
  explicit Cuda(CudaOptions options = {}) : options_(options) {
    int count = 0;
    const cudaError_t found = cudaGetDeviceCount(&count);
    if (found == cudaErrorInsufficientDriver || found == cudaErrorNoDevice ||
        found == cudaErrorStubLibrary)
      cudaGetLastError();
    require(found != cudaErrorInsufficientDriver,
            "[cuda] no NVIDIA driver, or one older than this program's CUDA ",
            CUDART_VERSION / 1000, '.', CUDART_VERSION % 1000 / 10,
            "; run with --device cpu or update the driver");
    require(found != cudaErrorNoDevice && found != cudaErrorStubLibrary,
            "[cuda] no NVIDIA GPU on this machine (or CUDA_VISIBLE_DEVICES hides it); run with "
            "--device cpu");
    check(found, "looking for GPUs");
    require(options.index >= 0 && options.index < count, "[cuda] no GPU ", options.index,
            ", expected 0 to ", count - 1);
    check(cudaSetDevice(options.index), "choosing the GPU");
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, options.index), "asking for the GPU's properties");
    name_ = properties.name;
    sm_count_ = properties.multiProcessorCount;
    capability_ = properties.major * 10 + properties.minor;
    shared_memory_ = properties.sharedMemPerBlockOptin;
    require(capability_ >= 80, "[cuda] ", name_, " has compute capability ", properties.major, '.',
            properties.minor, ", expected at least 8.0");
    const cudaError_t code = detail::probe_code<>();
    if (code == cudaErrorNoKernelImageForDevice || code == cudaErrorInvalidDeviceFunction) {
      cudaGetLastError();
      fail("[cuda] this program has no code for ", name_, " (compute capability ", properties.major,
           '.', properties.minor, "); add it to CMAKE_CUDA_ARCHITECTURES");
    }
    check(code, "loading the program's kernels");
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
    check(cublasLtCreate(&blas_), "creating the cuBLASLt handle");
  }
  Cuda(const Cuda&) = delete;
  Cuda& operator=(const Cuda&) = delete;
  ~Cuda() {
    if (stream_) cudaStreamSynchronize(stream_);
    states_.clear();
    for (Block* b : {&scratch_, &blas_workspace_}) cudaFree(b->data);
    if (blas_) cublasLtDestroy(blas_);
    if (stream_) cudaStreamDestroy(stream_);
  }

  const std::string& name() const { return name_; }
  const CudaOptions& options() const { return options_; }
  cudaStream_t stream() const { return stream_; }
  cublasLtHandle_t blas() const { return blas_; }
  /// Multiprocessors of the GPU.
  int sm_count() const { return sm_count_; }
  /// Compute capability times ten: 80, 90, 100.
  int capability() const { return capability_; }
  /// Bytes of shared memory a block may ask for.
  std::size_t shared_memory() const { return shared_memory_; }

  /// Waits for all queued work; errors of kernels surface here.
  void synchronize() { check(cudaStreamSynchronize(stream_), "running the queued work"); }

  /// Whether launches are being recorded into a graph.
  bool capturing() const {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(stream_, &status), "asking whether launches are recorded");
    return status != cudaStreamCaptureStatusNone;
  }

  /// At least `bytes` of uninitialised device memory, 256-byte aligned, for the launches of one
  /// primitive: the next call hands out the same memory. Grows only, and not while recording.
  void* scratch(std::size_t bytes) { return grow(scratch_, bytes); }
  /// The same for cuBLASLt, which may run together with a use of scratch().
  void* blas_workspace(std::size_t bytes) { return grow(blas_workspace_, bytes); }

  /// Uninitialised device memory. Throws OutOfMemory saying what was asked for and what there is.
  void* allocate(std::size_t bytes) {
    require(!capturing(), "[cuda] ", bytes,
            " bytes were asked for while launches are recorded: run the step once before");
    void* p = nullptr;
    const cudaError_t status = cudaMalloc(&p, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      std::size_t free = 0, total = 0;
      cudaMemGetInfo(&free, &total);
      throw OutOfMemory(concat("[cuda] not enough memory on ", name_, ": ",
                               detail::gibibytes(bytes), " more are needed, ",
                               detail::gibibytes(free), " of ", detail::gibibytes(total),
                               " are free"));
    }
    check(status, "allocating memory");
    return p;
  }

  /// The one object of type S that belongs to this device, made as S(*this) when first asked for:
  /// what primitives keep from call to call.
  template <class S>
  S& state() {
    for (const auto& [type, object] : states_)
      if (*type == typeid(S)) return *static_cast<S*>(object.get());
    states_.emplace_back(&typeid(S), std::make_shared<S>(*this));
    return *static_cast<S*>(states_.back().second.get());
  }

  /// Changes whenever memory handed out by scratch() or blas_workspace() has moved: what was
  /// recorded before refers to the old place.
  std::uint64_t generation() const { return generation_; }

 private:
  struct Block {
    void* data = nullptr;
    std::size_t size = 0;
  };
  void* grow(Block& block, std::size_t bytes) {
    if (bytes <= block.size) return block.data;
    require(!capturing(), "[cuda] scratch memory would have to grow to ", bytes,
            " bytes while launches are recorded: run the step once before");
    synchronize();  // queued kernels may still use the old block
    cudaFree(std::exchange(block.data, nullptr));
    block.size = 0;
    const std::size_t rounded = (bytes + (bytes >> 2) + 0xFFFF) & ~std::size_t{0xFFFF};
    block.data = allocate(rounded);
    block.size = rounded;
    ++generation_;
    return block.data;
  }

  CudaOptions options_;
  std::string name_;
  int sm_count_ = 0, capability_ = 0;
  std::size_t shared_memory_ = 0;
  cudaStream_t stream_ = nullptr;
  cublasLtHandle_t blas_ = nullptr;
  Block scratch_, blas_workspace_;
  std::vector<std::pair<const std::type_info*, std::shared_ptr<void>>> states_;
  std::uint64_t generation_ = 0;
};

/// The name of the GPU.
inline std::string describe(const Cuda& cuda) { return cuda.name(); }

}  // namespace albef
