// The memory-bound operations of a transformer layer at the sizes of Base, 8 images: bytes per
// second, to be compared with a plain copy.
#include <benchmark/benchmark.h>

#include <vector>

#include "albef/cpu.hpp"

namespace {

using namespace albef;

constexpr int rows = 8 * 257, width = 768;

struct Operands {
  Cpu cpu;
  std::vector<float> x = std::vector<float>(std::size_t{rows} * width, 0.5f), y = x, z = x;
  std::vector<float> row = std::vector<float>(width, 1.0f), mean = std::vector<float>(rows),
                     rstd = mean;

  Mat<float> mat_of(std::vector<float>& v) { return mat(v.data(), rows, width); }
};

/// Runs f(operands) and counts `matrices` (rows, width) float matrices read or written.
template <class F>
void measure(benchmark::State& state, int matrices, F f) {
  Operands o;
  for (auto _ : state) {
    f(o);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * std::int64_t{matrices} * rows * width * 4);
}

void copy(benchmark::State& state) {
  measure(state, 2, [](Operands& o) {
    copy_on_device(o.cpu, o.y.data(), o.x.data(), std::int64_t{rows} * width);
  });
}
void residual_add(benchmark::State& state) {
  measure(state, 3, [](Operands& o) { add(o.cpu, o.mat_of(o.x), o.mat_of(o.y), 1.0f); });
}
void layer_norm(benchmark::State& state) {
  measure(state, 2, [](Operands& o) {
    layer_norm_forward(o.cpu, LayerNormArgs<float>{.x = o.mat_of(o.x),
                                                   .weight = o.row.data(),
                                                   .bias = o.row.data(),
                                                   .y = o.mat_of(o.y),
                                                   .mean = o.mean.data(),
                                                   .rstd = o.rstd.data(),
                                                   .eps = 1e-6f});
  });
}
void gelu_gradient(benchmark::State& state) {
  measure(state, 3,
          [](Operands& o) { gelu_backward(o.cpu, o.mat_of(o.x), o.mat_of(o.y), o.mat_of(o.z)); });
}
void dropout_forward(benchmark::State& state) {
  measure(state, 2, [](Operands& o) {
    dropout(o.cpu, o.mat_of(o.x), o.mat_of(o.y), 0.0f, 0.1f, Philox{1}, 2);
  });
}
void column_sums(benchmark::State& state) {
  measure(state, 1, [](Operands& o) { column_sum(o.cpu, o.mat_of(o.x), o.row.data(), 0.0f); });
}
void adamw(benchmark::State& state) {  // reads four arrays, writes three
  measure(state, 7, [](Operands& o) {
    static std::vector<float> moments(std::size_t{2} * rows * width, 0.1f);
    static constexpr AdamWRun all[] = {{.size = std::int64_t{rows} * width}};
    adamw_update(o.cpu, AdamWArgs<float>{.param = o.x.data(),
                                         .grad = o.y.data(),
                                         .exp_avg = moments.data(),
                                         .exp_avg_sq = moments.data() + rows * width,
                                         .runs = all,
                                         .lr = 1e-4});
  });
}
BENCHMARK(copy)->UseRealTime();
BENCHMARK(residual_add)->UseRealTime();
BENCHMARK(layer_norm)->UseRealTime();
BENCHMARK(gelu_gradient)->UseRealTime();
BENCHMARK(dropout_forward)->UseRealTime();
BENCHMARK(column_sums)->UseRealTime();
BENCHMARK(adamw)->UseRealTime();

}  // namespace
