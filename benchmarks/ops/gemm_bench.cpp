// Throughput of the CPU product engine beside Eigen's, for the shapes of an ALBEF step: the three
// products of a linear layer (y = x W^T, dx = dy W, dW = dy^T x) in the Base configuration and in a
// small one, the queue similarities of the contrastive loss and the products inside attention.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "albef/cpu/gemm.hpp"
#include "albef/cpu/gemm_eigen.hpp"

namespace {

struct Shape {
  const char* name;
  int m, n, k;
  bool transpose_a, transpose_b, gelu;
};

constexpr Shape shapes[] = {
    {"base/qkv_y", 1028, 2304, 768, false, true, false},
    {"base/proj_y", 1028, 768, 768, false, true, false},
    {"base/fc1_y_gelu", 1028, 3072, 768, false, true, true},
    {"base/fc2_y", 1028, 768, 3072, false, true, false},
    {"base/fc1_dx", 1028, 768, 3072, false, false, false},
    {"base/fc2_dx", 1028, 3072, 768, false, false, false},
    {"base/fc1_dw", 3072, 768, 1028, true, false, false},
    {"base/proj_dw", 768, 768, 1028, true, false, false},
    {"base/vocabulary_y", 60, 30522, 768, false, true, false},
    {"base/queue", 32, 65536, 256, false, true, false},
    {"base/scores", 257, 257, 64, false, true, false},
    {"base/context", 257, 64, 257, false, false, false},
    {"small/proj_y", 1000, 64, 64, false, true, false},
    {"small/fc1_y_gelu", 1000, 256, 64, false, true, true},
    {"small/fc1_dx", 1000, 64, 256, false, false, false},
    {"small/fc1_dw", 256, 64, 1000, true, false, false},
    {"small/proj_dw", 64, 64, 1000, true, false, false},
    {"small/queue", 64, 4096, 128, false, true, false},
    {"small/scores", 8, 17, 32, false, true, false},
    {"small/context", 8, 32, 17, false, false, false},
};

/// Runs multiply(args) for one shape and reports operations per second.
template <class F>
void measure(benchmark::State& state, const Shape& s, F multiply) {
  const auto size = [](int rows, int cols) {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols);
  };
  std::vector<float> a(size(s.m, s.k), 0.5f), b(size(s.n, s.k), 0.25f), c(size(s.m, s.n));
  std::vector<float> pre(s.gelu ? c.size() : 0), bias(static_cast<std::size_t>(s.n), 0.125f);
  albef::primitive::Gemm<float> g;
  g.transpose_a = s.transpose_a, g.transpose_b = s.transpose_b;
  g.a = s.transpose_a ? albef::mat<const float>(a.data(), s.k, s.m)
                      : albef::mat<const float>(a.data(), s.m, s.k);
  g.b = s.transpose_b ? albef::mat<const float>(b.data(), s.n, s.k)
                      : albef::mat<const float>(b.data(), s.k, s.n);
  g.c = albef::mat(c.data(), s.m, s.n);
  if (s.gelu) g.bias = bias.data(), g.gelu = true, g.pre = albef::mat(pre.data(), s.m, s.n);
  for (auto _ : state) {
    multiply(g);
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * s.m * s.n * s.k, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char** argv) {
  albef::Cpu one(1), all;
  for (const Shape& s : shapes) {
    const auto add = [&](const std::string& engine, auto multiply) {
      benchmark::RegisterBenchmark((std::string(s.name) + "/" + engine).c_str(),
                                   [=](benchmark::State& state) { measure(state, s, multiply); })
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
    };
    add("eigen", [](const auto& g) { albef::gemm_eigen(g); });
    add("albef/threads:1", [&one](const auto& g) { run(one, g); });
    if (all.threads() > 1)
      add("albef/threads:" + std::to_string(all.threads()), [&all](const auto& g) { run(all, g); });
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
