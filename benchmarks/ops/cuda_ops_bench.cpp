// Times the primitives of the CUDA backend at the sizes of a base step (64 pairs) in bf16, against
// what this GPU was measured to reach: the bandwidth of a large copy and the rate of a large
// product.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "albef/cuda.hpp"

namespace {

using namespace albef;
using Half = bfloat16;

/// Milliseconds of one call, from the GPU's own clock over many.
double time_of(Cuda& cuda, const std::function<void()>& f) {
  cudaEvent_t begin = nullptr, end = nullptr;
  check(cudaEventCreate(&begin), "creating an event");
  check(cudaEventCreate(&end), "creating an event");
  f();
  const auto time = [&](int n) {
    check(cudaEventRecord(begin, cuda.stream()), "timing");
    for (int i = 0; i < n; ++i) f();
    check(cudaEventRecord(end, cuda.stream()), "timing");
    check(cudaEventSynchronize(end), "timing");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, begin, end), "timing");
    return static_cast<double>(ms) / n;
  };
  const double once = time(3);
  const double ms = time(std::max(5, static_cast<int>(100 / std::max(once, 0.01))));
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return ms;
}

/// Device memory with small random values.
template <class T>
class Values {
 public:
  Values(Cuda& cuda, std::int64_t n) : buffer_(cuda, n) {
    RandomStream random(5, static_cast<std::uint64_t>(n));
    std::vector<T> host(static_cast<std::size_t>(std::min<std::int64_t>(n, 1 << 20)));
    for (auto& v : host) v = T(random.uniform(-1.0f, 1.0f));
    for (std::int64_t at = 0; at < n; at += static_cast<std::int64_t>(host.size()))
      copy_to_device(cuda, buffer_.data() + at, static_cast<const T*>(host.data()),
                     std::min<std::int64_t>(static_cast<std::int64_t>(host.size()), n - at));
  }
  operator T*() const { return buffer_.data(); }

 private:
  Buffer<Cuda, T> buffer_;
};

struct Bench {
  Cuda& cuda;
  std::string filter;
  double copy_gbs = 0, product_tflops = 0;

  /// A primitive limited by memory, which must move at least `bytes`.
  void memory(const char* name, double bytes, const std::function<void()>& f) {
    if (std::string(name).find(filter) == std::string::npos) return;
    const double ms = time_of(cuda, f), gbs = bytes / ms * 1e-6;
    std::printf("%-44s %9.4f ms %8.0f GB/s  %5.1f %% of the copy\n", name, ms, gbs,
                100 * gbs / copy_gbs);
  }
  /// A primitive limited by arithmetic.
  void arithmetic(const char* name, double flop, const std::function<void()>& f) {
    if (std::string(name).find(filter) == std::string::npos) return;
    const double ms = time_of(cuda, f), tflops = flop / ms * 1e-9;
    std::printf("%-44s %9.4f ms %8.1f TFLOP/s %5.1f %% of the product\n", name, ms, tflops,
                100 * tflops / product_tflops);
  }
};

void measure_ceilings(Bench& b) {
  const std::int64_t n = std::int64_t{1} << 28;
  const Values<Half> from(b.cuda, n), to(b.cuda, n);
  const double copy =
      time_of(b.cuda, [&] { copy_on_device(b.cuda, +to, static_cast<const Half*>(from), n); });
  b.copy_gbs = 4.0 * static_cast<double>(n) / copy * 1e-6;  // read and written, two bytes each
  constexpr int side = 8192;
  const primitive::Gemm<Half> g{.a = mat<const Half>(from, side, side),
                                .b = mat<const Half>(from + side, side, side),
                                .c = mat<Half>(to, side, side),
                                .transpose_b = true};
  const double product = time_of(b.cuda, [&] { run(b.cuda, g); });
  b.product_tflops = 2.0 * side * side * side / product * 1e-9;
  std::printf("%s: copy %.0f GB/s, bf16 product of %d^3 %.0f TFLOP/s\n", b.cuda.name().c_str(),
              b.copy_gbs, side, b.product_tflops);
}

void products(Bench& b, int rows, int in, int out) {
  const Values<Half> x(b.cuda, std::int64_t{rows} * in), w(b.cuda, std::int64_t{out} * in),
      bias(b.cuda, out), y(b.cuda, std::int64_t{rows} * out), z(b.cuda, std::int64_t{rows} * out);
  const Values<float> dw(b.cuda, std::int64_t{out} * in), db(b.cuda, out);
  const double flop = 2.0 * rows * in * out;
  const std::string shape = concat(' ', rows, " x ", in, " -> ", out);
  primitive::Gemm<Half> g{.a = mat<const Half>(x, rows, in),
                          .b = mat<const Half>(w, out, in),
                          .c = mat<Half>(y, rows, out),
                          .transpose_b = true,
                          .bias = bias};
  b.arithmetic(("linear" + shape).c_str(), flop, [&] { run(b.cuda, g); });
  g.gelu = true, g.pre = mat<Half>(z, rows, out);
  b.arithmetic(("linear + gelu" + shape).c_str(), flop, [&] { run(b.cuda, g); });
  b.arithmetic(("weight and bias gradient" + shape).c_str(), flop, [&] {
    run(b.cuda, primitive::WeightGradient<Half>{.dy = mat<const Half>(y, rows, out),
                                                .x = mat<const Half>(x, rows, in),
                                                .dw = mat<float>(dw, out, in),
                                                .beta = 1,
                                                .db = db});
  });
  const primitive::Gemm<Half> dx{.a = mat<const Half>(y, rows, out),
                                 .b = mat<const Half>(w, out, in),
                                 .c = mat<Half>(x, rows, in)};
  b.arithmetic(("input gradient" + shape).c_str(), flop, [&] { run(b.cuda, dx); });
}

void attention(Bench& b, const char* name, int batch, int queries, int keys, int heads, int dim,
               float dropout) {
  const int width = heads * dim, q_rows = batch * queries, k_rows = batch * keys;
  const Values<Half> q(b.cuda, std::int64_t{q_rows} * width),
      kv(b.cuda, std::int64_t{k_rows} * 2 * width), out(b.cuda, std::int64_t{q_rows} * width),
      dq(b.cuda, std::int64_t{q_rows} * width), dkv(b.cuda, std::int64_t{k_rows} * 2 * width);
  const Values<float> lse(b.cuda, std::int64_t{q_rows} * heads);
  const auto part = [&](Half* data, int first) {
    return Mat<Half>{data + first, k_rows, width, 2 * width};
  };
  const primitive::Attention<Half> args{.q = mat<const Half>(q, q_rows, width),
                                        .k = part(kv, 0),
                                        .v = part(kv, width),
                                        .out = mat<Half>(out, q_rows, width),
                                        .lse = lse,
                                        .q_seq = uniform_sequences(batch, queries),
                                        .kv_seq = uniform_sequences(batch, keys),
                                        .heads = heads,
                                        .scale = 0.125f,
                                        .dropout = dropout};
  const double flop = 4.0 * batch * queries * keys * width;
  b.arithmetic(concat("attention ", name).c_str(), flop, [&] { run(b.cuda, args); });
  b.arithmetic(concat("attention ", name, " backward").c_str(), 2.5 * flop, [&] {
    run(b.cuda, primitive::AttentionGrad<Half>{.forward = args,
                                               .d_out = mat<const Half>(out, q_rows, width),
                                               .dq = mat<Half>(dq, q_rows, width),
                                               .dk = part(dkv, 0),
                                               .dv = part(dkv, width)});
  });
}

void rows_and_elements(Bench& b) {
  constexpr int rows = 64 * 257, cols = 768;
  constexpr std::int64_t n = std::int64_t{rows} * cols;
  constexpr double pass = 2.0 * n;  // bytes of one matrix
  Cuda& cuda = b.cuda;
  const Values<Half> x(cuda, n), y(cuda, n), s(cuda, n), w(cuda, cols), bias(cuda, cols);
  const Values<float> mean(cuda, rows), rstd(cuda, rows), dw(cuda, cols), db(cuda, cols);
  const auto in = mat<const Half>(x, rows, cols);
  const auto out = mat<Half>(y, rows, cols), sum = mat<Half>(s, rows, cols);
  b.memory("add", 3 * pass, [&] { run(cuda, primitive::Add<Half>{in, out, 1}); });
  b.memory("dropout", 2 * pass, [&] {
    run(cuda, primitive::Dropout<Half>{in, out, 0, 0.1f, Philox{1}, 2});
  });
  b.memory("gelu backward", 3 * pass, [&] {
    run(cuda, primitive::ActivateGrad<Half>{Activation::gelu, in, in, out});
  });
  b.memory("column sum", pass, [&] { run(cuda, primitive::ColumnSum<Half>{in, db}); });
  primitive::LayerNorm<Half> norm{
      .x = in, .weight = w, .bias = bias, .y = out, .mean = mean, .rstd = rstd, .eps = 1e-6f};
  b.memory("layer norm", 2 * pass, [&] { run(cuda, norm); });
  norm.residual = in, norm.sum = sum, norm.dropout = 0.1f;
  b.memory("residual + dropout + layer norm", 4 * pass, [&] { run(cuda, norm); });
  const primitive::LayerNormGrad<Half> grad{.dy = in,
                                            .x = in,
                                            .weight = w,
                                            .mean = mean,
                                            .rstd = rstd,
                                            .dx = out,
                                            .dweight = dw,
                                            .dbias = db};
  b.memory("layer norm backward", 3 * pass, [&] { run(cuda, grad); });
}

void losses(Bench& b, const char* name, int rows, int cols, auto type) {
  using T = decltype(type);
  Cuda& cuda = b.cuda;
  const std::int64_t n = std::int64_t{rows} * cols;
  const Values<T> logits(cuda, n), teacher(cuda, n), d(cuda, n);
  const Values<float> lse(cuda, rows), teacher_lse(cuda, rows), loss(cuda, 1), one(cuda, 1);
  const primitive::SoftCrossEntropy<T> args{.logits = mat<const T>(logits, rows, cols),
                                            .teacher = mat<const T>(teacher, rows, cols),
                                            .alpha = 0.4f,
                                            .lse = lse,
                                            .teacher_lse = teacher_lse,
                                            .loss = loss};
  const double pass = static_cast<double>(n) * sizeof(T);
  b.memory(concat("soft cross entropy ", name).c_str(), 2 * pass, [&] { run(cuda, args); });
  b.memory(concat("soft cross entropy ", name, " backward").c_str(), 3 * pass, [&] {
    run(cuda, primitive::SoftCrossEntropyGrad<T>{args, one, mat<T>(d, rows, cols)});
  });
}

void optimizer(Bench& b) {
  constexpr std::int64_t n = 210'000'000;
  Cuda& cuda = b.cuda;
  const Values<float> param(cuda, n), grad(cuda, n), m(cuda, n), v(cuda, n), ema(cuda, n);
  const Values<Half> copy(cuda, n), ema_copy(cuda, n);
  fill_zero(cuda, +v, n * sizeof(float));
  const AdamWRun all{.size = n};
  const primitive::AdamW<float, Half> args{.param = param,
                                           .grad = grad,
                                           .exp_avg = m,
                                           .exp_avg_sq = v,
                                           .ema = ema,
                                           .copy = copy,
                                           .ema_copy = ema_copy,
                                           .runs = {&all, 1},
                                           .lr = 1e-5,
                                           .momentum = 0.995};
  b.memory("AdamW + moving average + casts, 210 M", 40.0 * n, [&] { run(cuda, args); });
  const Values<double> norm(cuda, 1);
  b.memory("squared norm, 210 M", 4.0 * n, [&] {
    run(cuda, primitive::SquaredNorm<float>{grad, n, norm});
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::string filter;
  CudaOptions options;
  CLI::App app{"Times the primitives of the CUDA backend"};
  app.add_option("filter", filter, "only those whose name contains this");
  app.add_option("--gpu", options.index, "number of the GPU");
  CLI11_PARSE(app, argc, argv);
  try {
    Cuda cuda(options);
    Bench b{cuda, filter};
    measure_ceilings(b);
    products(b, 64 * 257, 768, 2304);
    products(b, 64 * 257, 768, 768);
    products(b, 64 * 257, 768, 3072);
    products(b, 64 * 257, 3072, 768);
    products(b, 3 * 64 * 14, 768, 3072);
    attention(b, "image, 64 x 257, 12 heads", 64, 257, 257, 12, 64, 0);
    attention(b, "text, 192 x 25, dropout", 192, 25, 25, 12, 64, 0.1f);
    attention(b, "text to image, 192 x 25 x 257, dropout", 192, 25, 257, 12, 64, 0.1f);
    rows_and_elements(b);
    losses(b, "of 128 x 30522", 128, 30522, Half());
    losses(b, "of 64 x 65600", 64, 65600, 0.0f);
    optimizer(b);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cuda_ops_bench: %s\n", error.what());
    return 1;
  }
}
