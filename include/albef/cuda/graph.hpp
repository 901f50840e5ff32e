// Recorded launches: a CUDA graph of a step, replayed with one call. Plain C++.
#pragma once

#include <cstdint>

#include "albef/cuda/device.hpp"

namespace albef {

/// What a function queues on the device, recorded once and run again as often as wanted. Run the
/// function itself at least once before, so that memory and products are ready. Everything it reads
/// must be at the same place when it is replayed: upload new input into the old memory, and draw
/// random numbers through a Philox with a `step`. It must not upload, allocate or wait.
class CudaGraph {
 public:
  CudaGraph() = default;
  CudaGraph(CudaGraph&& other) noexcept
      : graph_(std::exchange(other.graph_, nullptr)), generation_(other.generation_) {}
  CudaGraph& operator=(CudaGraph&& other) noexcept {
    std::swap(graph_, other.graph_);
    std::swap(generation_, other.generation_);
    return *this;
  }
  ~CudaGraph() {
    if (graph_) cudaGraphExecDestroy(graph_);
  }

  /// Whether something is recorded that still refers to the right memory.
  bool ready(const Cuda& cuda) const { return graph_ && generation_ == cuda.generation(); }

  /// Records what f() queues, without running it. An exception of f passes through.
  template <class F>
  void record(Cuda& cuda, F&& f) {
    check(cudaStreamBeginCapture(cuda.stream(), cudaStreamCaptureModeThreadLocal),
          "beginning to record");
    cudaGraph_t graph = nullptr;
    try {
      f();
    } catch (...) {
      cudaStreamEndCapture(cuda.stream(), &graph);
      if (graph) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(cuda.stream(), &graph), "recording");
    if (graph_) cudaGraphExecDestroy(std::exchange(graph_, nullptr));
    const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "preparing the recorded launches");
    generation_ = cuda.generation();
  }

  /// Queues the recorded work.
  void replay(Cuda& cuda) {
    require(ready(cuda), "[cuda] nothing is recorded, or memory has moved since");
    check(cudaGraphLaunch(graph_, cuda.stream()), "replaying");
  }

 private:
  cudaGraphExec_t graph_ = nullptr;
  std::uint64_t generation_ = 0;
};

}  // namespace albef
