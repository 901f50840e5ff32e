// Tokens and row selections of the CUDA backend.
#pragma once

#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/kernels/tokens.cuh"

namespace albef {

template <class T>
void run(Cuda& cuda, const primitive::Embedding<T>& a) {
  using namespace detail;
  const dim3 grid(static_cast<unsigned>(a.seq.count + 1),
                  static_cast<unsigned>(a.seq.max_length()));
  with_width<T>(
      [&](int n) {
        return rows_aligned(a.y, n) && row_aligned(a.word, n) && row_aligned(a.position, n) &&
               row_aligned(a.type, n);
      },
      [&](auto width) {
        constexpr int n = decltype(width)::value;
        launch(cuda, "[embedding]", embedding_forward_kernel<T, n>, grid, dim3(token_threads), 0,
               a);
      });
}

template <class T>
void run(Cuda& cuda, const primitive::PushRows<T>& a) {
  using namespace detail;
  if (a.x.rows == 0) return;
  launch(cuda, "[push_rows]", push_rows_kernel<T>, dim3(static_cast<unsigned>(a.x.rows)),
         dim3(token_threads), 0, a);
}
inline void run(Cuda& cuda, const primitive::AdvanceRing& a) {
  using namespace detail;
  launch(cuda, "[advance_ring]", advance_ring_kernel<>, dim3(1), dim3(warp_size), 0, a);
}

namespace detail {

/// y[index[i]] += x[i] over the rows of x below *limit (null: all).
template <class X, class T>
void scatter_add(Cuda& cuda, const char* name, Mat<X> x, const std::int32_t* index,
                 const int* limit, Mat<T> y) {
  const dim3 grid(static_cast<unsigned>(x.rows)), block(scatter_threads);
  if (rows_aligned(x, 4) && rows_aligned(y, 4))
    launch(cuda, name, scatter_add_kernel<X, T, 4>, grid, block, 0, x, index, limit, y);
  else
    launch(cuda, name, scatter_add_kernel<X, T, 1>, grid, block, 0, x, index, limit, y);
}

}  // namespace detail

template <class T>
void run(Cuda& cuda, const primitive::EmbeddingGrad<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  const int cols = a.dy.cols;
  const int* limit = a.seq.offsets ? a.seq.offsets + a.seq.count : nullptr;
  if (a.word)
    scatter_add(cuda, "[embedding_backward]", a.dy, a.ids, limit, mat(a.word, a.vocabulary, cols));
  if (a.position) {
    const dim3 grid(static_cast<unsigned>(a.seq.max_length())), block(token_threads);
    if (rows_aligned(a.dy, 4) && row_aligned(a.position, 4))
      launch(cuda, "[embedding_backward]", position_gradient_kernel<T, A, 4>, grid, block, 0, a.dy,
             a.seq, a.position);
    else
      launch(cuda, "[embedding_backward]", position_gradient_kernel<T, A, 1>, grid, block, 0, a.dy,
             a.seq, a.position);
  }
  if (a.type) run(cuda, primitive::ColumnSum<T>{.x = a.dy, .sum = a.type, .beta = A(1)});
}

template <class T>
void run(Cuda& cuda, const primitive::GatherRows<T>& a) {
  using namespace detail;
  const auto aligned = [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); };
  if (a.beta == 0)
    for_elements<T>(cuda, "[gather_rows]", a.y.rows, a.y.cols, aligned,
                    GatherRows<const T, T>{a.x, a.index, a.y});
  else
    for_elements<T>(cuda, "[gather_rows]", a.y.rows, a.y.cols, aligned,
                    GatherRowsOnto<T>{a.x, a.index, a.y, a.beta});
}

template <class T, class Out>
void run(Cuda& cuda, const primitive::ScatterAddRows<T, Out>& a) {
  detail::scatter_add(cuda, "[scatter_add_rows]", a.x, a.index, nullptr, a.y);
}

template <class T>
void run(Cuda& cuda, const primitive::SumSequences<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[sum_sequences]", a.seq.count, a.y.cols,
      [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); }, SumSequenceRows<T>{a});
}

template <class T>
void run(Cuda& cuda, const primitive::SpreadSequences<T>& a) {
  using namespace detail;
  const dim3 grid(static_cast<unsigned>(a.seq.count + 1),
                  static_cast<unsigned>(std::max(1, a.seq.max_length())));
  with_width<T>([&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
                [&](auto width) {
                  constexpr int n = decltype(width)::value;
                  launch(cuda, "[spread_sequences]", spread_sequences_kernel<T, n>, grid,
                         dim3(token_threads), 0, a);
                });
}

inline void run(Cuda& cuda, const primitive::GatherIds& a) {
  using namespace detail;
  launch(cuda, "[gather_ids]", gather_ids_kernel<>,
         dim3(static_cast<unsigned>(blocks_for(a.n, 256))), dim3(256), 0, a);
}

inline void run(Cuda& cuda, const primitive::FirstRows& a) {
  using namespace detail;
  launch(cuda, "[first_rows]", first_rows_kernel<>,
         dim3(static_cast<unsigned>(blocks_for(a.seq.count, 256))), dim3(256), 0, a);
}

/// Rows past `capacity` are cut off.
inline Sequences run(Cuda& cuda, const primitive::SelectSequences& a) {
  using namespace detail;
  launch(cuda, "[select]", select_offsets_kernel<>, dim3(1), dim3(warp_size), 0, a.seq, a.index,
         a.n, a.capacity, a.offsets);
  launch(cuda, "[select]", select_rows_kernel<>, dim3(static_cast<unsigned>(a.n + 1)), dim3(128), 0,
         a.seq, a.index, a.n, a.capacity, static_cast<const std::int32_t*>(a.offsets), a.rows);
  Sequences selected;
  selected.count = a.n;
  selected.offsets = a.offsets;
  selected.total = a.capacity;
  selected.longest = a.seq.max_length();
  return selected;
}

inline Sequences run(Cuda& cuda, const primitive::ConcatSequences& c) {
  using namespace detail;
  launch(cuda, "[concat_sequences]", concat_sequences_kernel<>,
         dim3(static_cast<unsigned>(c.b.count + 1)), dim3(token_threads), 0, c, c.shared(),
         c.rows(), c.a.rows(), c.b.rows());
  return c.result();
}

inline void run(Cuda& cuda, const primitive::PairIndices& a) {
  using namespace detail;
  launch(cuda, "[pair_indices]", pair_indices_kernel<>,
         dim3(static_cast<unsigned>(blocks_for(a.batch, 256))), dim3(256), 0, a.batch,
         a.negative_image, a.negative_text, a.text, a.image);
}

}  // namespace albef
