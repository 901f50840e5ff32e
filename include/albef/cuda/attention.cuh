// Multi-head attention over packed sequences on the GPU, forward and backward: tensor cores for
// bf16 with head sizes 32 and 64, plain arithmetic for everything else.
#pragma once

#include <string>

#include "albef/cuda/kernels/attention_generic.cuh"
#include "albef/cuda/kernels/attention_mma.cuh"
#include "albef/cuda/kernels/attention_probabilities.cuh"
#include "albef/cuda/launch.cuh"

namespace albef {
namespace detail {

/// Whether the tensor-core kernels take these matrices: 16-byte pieces everywhere.
template <class T, class... M>
bool takes_mma(const primitive::Attention<T>& a, const M&... more) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    const int d = a.head_dim();
    const auto fits = [](const auto& m) { return rows_aligned(m, 8); };
    return (d == 32 || d == 64) && fits(a.q) && fits(a.k) && fits(a.v) && fits(a.out) &&
           (true && ... && fits(more));
  } else {
    return false;
  }
}

/// What the host can check; contents of device memory (offsets, indices) it cannot.
template <class T>
void check_cuda_attention(const primitive::Attention<T>& a) {
  require(a.heads > 0 && a.q.cols % a.heads == 0, "[attention] width ", a.q.cols,
          " is not a multiple of ", a.heads, " heads");
  require(a.k.cols == a.q.cols && a.v.cols == a.q.cols, "[attention] queries have width ", a.q.cols,
          ", keys ", a.k.cols, ", values ", a.v.cols);
  require(a.q_seq.rows() == a.q.rows, "[attention] query sequences cover ", a.q_seq.rows(),
          " rows of ", a.q.rows);
  require(a.kv_seq.rows() == a.k.rows && a.k.rows == a.v.rows, "[attention] key sequences cover ",
          a.kv_seq.rows(), " rows of ", a.k.rows, " keys and ", a.v.rows, " values");
  require(a.kv_index || a.q_seq.count == a.kv_seq.count, "[attention] ", a.q_seq.count,
          " query sequences, but ", a.kv_seq.count, " key sequences and no index");
  require(a.dropout >= 0 && a.dropout < 1, "[attention] dropout ", a.dropout,
          ", expected 0 <= p < 1");
}

/// Blocks of `rows` rows of one sequence and head: how many tiles the longest sequence has, and the
/// grid, with blocks for the padding rows if there may be any.
struct AttentionGrid {
  int tiles;
  dim3 blocks;

  AttentionGrid(const Sequences& seq, int heads, int rows)
      : tiles(static_cast<int>(std::max<std::int64_t>(1, blocks_for(seq.max_length(), rows)))) {
    const std::int64_t sequences = std::int64_t{seq.count} + (seq.offsets ? 1 : 0);
    const std::int64_t count = sequences * heads * tiles;
    require(count <= 0x7FFFFFFF, "[attention] too many blocks: ", count);
    blocks = dim3(static_cast<unsigned>(count));
  }
};

/// Counters of dropout words per (query row, head).
template <class T>
int dropout_counters(const primitive::Attention<T>& a) {
  return (a.kv_seq.max_length() + 3) / 4;
}

inline std::size_t fitting(const Cuda& cuda, std::size_t bytes, int dim) {
  require(bytes <= cuda.shared_memory(), "[attention] head size ", dim, " needs ", bytes,
          " bytes of shared memory, the GPU has ", cuda.shared_memory(), " for a block");
  return bytes;
}

template <int D>
void attention_forward_mma(Cuda& cuda, const primitive::Attention<bfloat16>& a,
                           const DropoutFactors& dropout) {
  const AttentionGrid grid(a.q_seq, a.heads, mma_tile);
  launch(cuda, "[attention]", attention_forward_mma_kernel<D>, grid.blocks, dim3(mma_threads),
         sizeof(ForwardTiles<D>), a, grid.tiles, dropout_counters(a), dropout);
}

template <int D>
void attention_backward_mma(Cuda& cuda, const primitive::Attention<bfloat16>& a,
                            const DropoutFactors& dropout, Mat<const bfloat16> d_out,
                            Mat<bfloat16> dq, float beta_q, Mat<bfloat16> dk, Mat<bfloat16> dv,
                            float beta_kv, float* delta) {
  const AttentionGrid q_grid(a.q_seq, a.heads, mma_tile), kv_grid(a.kv_seq, a.heads, mma_tile);
  launch(cuda, "[attention_backward]", attention_dq_mma_kernel<D>, q_grid.blocks, dim3(mma_threads),
         sizeof(ForwardTiles<D>), a, d_out, q_grid.tiles, dropout_counters(a), dropout, delta, dq,
         beta_q);
  launch(cuda, "[attention_backward]", attention_dkv_mma_kernel<D>, kv_grid.blocks,
         dim3(mma_threads), sizeof(BackwardTiles<D>), a, d_out, kv_grid.tiles, dropout_counters(a),
         dropout, static_cast<const float*>(delta), dk, dv, beta_kv);
}

}  // namespace detail

/// Writes args.out and, unless null, args.lse. Throws Error if the shapes do not fit.
template <class T>
void run(Cuda& cuda, const primitive::Attention<T>& args) {
  using namespace detail;
  using A = accumulator_t<T>;
  check_cuda_attention(args);
  const auto dropout = DropoutFactors::of<A>(args.philox, args.stream, args.dropout);
  const int dim = args.head_dim();
  if constexpr (std::is_same_v<T, bfloat16>) {
    if (takes_mma(args))
      return dim == 32 ? attention_forward_mma<32>(cuda, args, dropout)
                       : attention_forward_mma<64>(cuda, args, dropout);
  }
  const AttentionGrid grid(args.q_seq, args.heads, plain_tile);
  launch(cuda, "[attention]", attention_forward_plain_kernel<T>, grid.blocks, dim3(plain_threads),
         fitting(cuda, sizeof(A) * plain_shared(4, 1, dim), dim), args, grid.tiles,
         dropout_counters(args), dropout);
}

template <class T>
void run(Cuda& cuda, const primitive::AttentionGrad<T>& g) {
  const primitive::Attention<T>& args = g.forward;
  const Mat<const T> d_out = g.d_out;
  const Mat<T> dq = g.dq, dk = g.dk, dv = g.dv;
  const accumulator_t<T> beta_q = g.beta_q, beta_kv = g.beta_kv;
  using namespace detail;
  using A = accumulator_t<T>;
  check_cuda_attention(args);
  require(args.lse != nullptr, "[attention] backward needs the lse of forward");
  const auto dropout = DropoutFactors::of<A>(args.philox, args.stream, args.dropout);
  const int dim = args.head_dim(), counters = dropout_counters(args);
  auto* delta = static_cast<A*>(cuda.scratch(sizeof(A) * static_cast<std::size_t>(args.q.rows) *
                                             static_cast<std::size_t>(args.heads)));
  if constexpr (std::is_same_v<T, bfloat16>) {
    if (takes_mma(args, d_out, dq, dk, dv))
      return dim == 32 ? attention_backward_mma<32>(cuda, args, dropout, d_out, dq, beta_q, dk, dv,
                                                    beta_kv, delta)
                       : attention_backward_mma<64>(cuda, args, dropout, d_out, dq, beta_q, dk, dv,
                                                    beta_kv, delta);
  }
  const AttentionGrid q_grid(args.q_seq, args.heads, plain_tile);
  const AttentionGrid kv_grid(args.kv_seq, args.heads, plain_tile);
  launch(cuda, "[attention_backward]", attention_dq_plain_kernel<T>, q_grid.blocks,
         dim3(plain_threads), fitting(cuda, sizeof(A) * plain_shared(5, 1, dim), dim), args, d_out,
         q_grid.tiles, counters, dropout, delta, dq, beta_q);
  launch(cuda, "[attention_backward]", attention_dkv_plain_kernel<T>, kv_grid.blocks,
         dim3(plain_threads), fitting(cuda, sizeof(A) * plain_shared(6, 2, dim), dim), args, d_out,
         kv_grid.tiles, counters, dropout, static_cast<const A*>(delta), dk, dv, beta_kv);
}

template <class T>
void run(Cuda& cuda, const primitive::AttentionProbabilities<T>& a) {
  const primitive::Attention<T>& args = a.forward;
  const int s = a.sequence;
  using namespace detail;
  check_cuda_attention(args);
  require(s >= 0 && s < args.q_seq.count, "[attention] no query sequence ", s, " of ",
          args.q_seq.count);
  const auto dropout = DropoutFactors::of<accumulator_t<T>>(args.philox, args.stream, args.dropout);
  launch(cuda, "[attention_probabilities]", attention_probabilities_kernel<T>,
         dim3(static_cast<unsigned>(args.q_seq.max_length()), static_cast<unsigned>(args.heads)),
         dim3(probability_threads), 0, args, s, a.d_out, dropout_counters(args), dropout,
         a.probabilities);
}

}  // namespace albef
