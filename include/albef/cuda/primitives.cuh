// Definitions of CudaPrimitives: the library of component `cuda_compiled` instantiates them.
#pragma once

#include "albef/cuda/attention.cuh"
#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/gemm.cuh"
#include "albef/cuda/losses.cuh"
#include "albef/cuda/memory.cuh"
#include "albef/cuda/norm.cuh"
#include "albef/cuda/optimizer.cuh"
#include "albef/cuda/primitives.hpp"
#include "albef/cuda/tokens.cuh"

namespace albef {

template <class T>
template <class V>
void CudaPrimitives<T>::fill(Cuda& d, V* x, V value, std::int64_t n) {
  albef::fill(d, x, value, n);
}
template <class T>
void CudaPrimitives<T>::to_accumulator(Cuda& d, const T* from, A* to, std::int64_t n) {
  albef::convert(d, from, to, n);
}
template <class T>
void CudaPrimitives<T>::from_accumulator(Cuda& d, const A* from, T* to, std::int64_t n) {
  albef::convert(d, from, to, n);
}
template <class T>
void CudaPrimitives<T>::gemm(Cuda& d, const GemmArgs<T>& g) {
  albef::gemm(d, g);
}
template <class T>
void CudaPrimitives<T>::gemm_accumulator(Cuda& d, const GemmArgs<T, A>& g) {
  albef::gemm(d, g);
}
template <class T>
void CudaPrimitives<T>::weight_gradient(Cuda& d, In dy, In x, Mat<A> dw, A beta, A* db, A beta_db) {
  albef::weight_gradient(d, dy, x, dw, beta, db, beta_db);
}
template <class T>
void CudaPrimitives<T>::attention_forward(Cuda& d, const AttentionArgs<T>& a) {
  albef::attention_forward(d, a);
}
template <class T>
void CudaPrimitives<T>::attention_backward(Cuda& d, const AttentionArgs<T>& a, In d_out, Out dq,
                                           A beta_q, Out dk, Out dv, A beta_kv) {
  albef::attention_backward(d, a, d_out, dq, beta_q, dk, dv, beta_kv);
}
template <class T>
void CudaPrimitives<T>::attention_probabilities(Cuda& d, const AttentionArgs<T>& a, int s,
                                                T* probabilities, In d_out) {
  albef::attention_probabilities(d, a, s, probabilities, d_out);
}
template <class T>
void CudaPrimitives<T>::add(Cuda& d, In x, Out y, A beta) {
  albef::add(d, x, y, beta);
}
template <class T>
void CudaPrimitives<T>::set_rows(Cuda& d, const T* row, Out y) {
  albef::set_rows(d, row, y);
}
template <class T>
void CudaPrimitives<T>::add_row(Cuda& d, const T* row, Out y) {
  albef::add_row(d, row, y);
}
template <class T>
void CudaPrimitives<T>::scale_rows(Cuda& d, In x, const A* factor, Out y, A beta) {
  albef::scale_rows(d, x, factor, y, beta);
}
template <class T>
void CudaPrimitives<T>::column_sum(Cuda& d, In x, A* sum, A beta) {
  albef::column_sum(d, x, sum, beta);
}
template <class T>
void CudaPrimitives<T>::mul_row(Cuda& d, In x, const T* row, Out y, A beta) {
  albef::mul_row(d, x, row, y, beta);
}
template <class T>
void CudaPrimitives<T>::dot_rows(Cuda& d, In a, In b, A* sum, A beta) {
  albef::dot_rows(d, a, b, sum, beta);
}
template <class T>
void CudaPrimitives<T>::dot(Cuda& d, In a, In b, A* out, A alpha, A beta) {
  albef::dot(d, a, b, out, alpha, beta);
}
template <class T>
void CudaPrimitives<T>::gelu_backward(Cuda& d, In dy, In z, Out dz) {
  albef::gelu_backward(d, dy, z, dz);
}
template <class T>
void CudaPrimitives<T>::relu_backward(Cuda& d, In dy, In y, Out dx, A beta) {
  albef::relu_backward(d, dy, y, dx, beta);
}
template <class T>
void CudaPrimitives<T>::dropout(Cuda& d, In x, Out y, A beta, float p, const Philox& philox,
                                std::uint64_t stream) {
  albef::dropout(d, x, y, beta, p, philox, stream);
}
template <class T>
void CudaPrimitives<T>::layer_norm_forward(Cuda& d, const LayerNormArgs<T>& a) {
  albef::layer_norm_forward(d, a);
}
template <class T>
void CudaPrimitives<T>::layer_norm_backward(Cuda& d, const LayerNormGradArgs<T>& a) {
  albef::layer_norm_backward(d, a);
}
template <class T>
void CudaPrimitives<T>::l2_normalize_forward(Cuda& d, In x, Mat<A> y, A* norm) {
  albef::l2_normalize_forward(d, x, y, norm);
}
template <class T>
void CudaPrimitives<T>::l2_normalize_backward(Cuda& d, Mat<const A> dy, Mat<const A> y,
                                              const A* norm, Out dx, A beta) {
  albef::l2_normalize_backward(d, dy, y, norm, dx, beta);
}
template <class T>
void CudaPrimitives<T>::scale_by(Cuda& d, In x, const A* s, ScaleKind kind, Out y, A beta) {
  albef::scale_by(d, x, s, kind, y, beta);
}
template <class T>
void CudaPrimitives<T>::scale_gradient(Cuda& d, In dy, In x, const A* s, ScaleKind kind, A* ds,
                                       A beta) {
  albef::scale_gradient(d, dy, x, s, kind, ds, beta);
}
template <class T>
void CudaPrimitives<T>::embedding_forward(Cuda& d, const EmbeddingArgs<T>& a) {
  albef::embedding_forward(d, a);
}
template <class T>
void CudaPrimitives<T>::embedding_backward(Cuda& d, const EmbeddingGradArgs<T>& a) {
  albef::embedding_backward(d, a);
}
template <class T>
void CudaPrimitives<T>::normalize_images(Cuda& d, const std::uint8_t* pixels, PatchGrid grid,
                                         const ImageStatistics& statistics, Out out) {
  albef::normalize_images(d, pixels, grid, statistics, out);
}
template <class T>
void CudaPrimitives<T>::patchify(Cuda& d, In image, PatchGrid grid, Out patches) {
  albef::patchify(d, image, grid, patches);
}
template <class T>
void CudaPrimitives<T>::unpatchify(Cuda& d, In patches, PatchGrid grid, Out image, A beta) {
  albef::unpatchify(d, patches, grid, image, beta);
}
template <class T>
void CudaPrimitives<T>::resize_grid_forward(Cuda& d, In x, const GridResize& grid, Out y) {
  albef::resize_grid_forward(d, x, grid, y);
}
template <class T>
void CudaPrimitives<T>::resize_grid_backward(Cuda& d, Mat<const A> dy, const GridResize& grid,
                                             Mat<A> dx, A beta) {
  albef::resize_grid_backward(d, dy, grid, dx, beta);
}
template <class T>
void CudaPrimitives<T>::gather_rows(Cuda& d, In x, const std::int32_t* index, Out y) {
  albef::gather_rows(d, x, index, y);
}
template <class T>
void CudaPrimitives<T>::scatter_add_rows(Cuda& d, In x, const std::int32_t* index, Out y) {
  albef::scatter_add_rows(d, x, index, y);
}
template <class T>
void CudaPrimitives<T>::soft_cross_entropy_forward(Cuda& d, const SoftTargetArgs<T>& a, A* loss) {
  albef::soft_cross_entropy_forward(d, a, loss);
}
template <class T>
void CudaPrimitives<T>::soft_cross_entropy_backward(Cuda& d, const SoftTargetArgs<T>& a,
                                                    const A* dloss, Out dlogits, A beta) {
  albef::soft_cross_entropy_backward(d, a, dloss, dlogits, beta);
}
template <class T>
void CudaPrimitives<T>::sample_negatives(Cuda& d, const NegativeArgs<T>& a) {
  albef::sample_negatives(d, a);
}
template <class T>
void CudaPrimitives<T>::adamw_update(Cuda& d, const AdamWArgs<A, T>& a) {
  albef::adamw_update(d, a);
}
template <class T>
void CudaPrimitives<T>::ema_update(Cuda& d, A* ema, const A* param, std::int64_t n,
                                   double momentum) {
  albef::ema_update(d, ema, param, n, momentum);
}
template <class T>
void CudaPrimitives<T>::squared_norm(Cuda& d, const A* x, std::int64_t n, double* out,
                                     double beta) {
  albef::squared_norm(d, x, n, out, beta);
}
template <class T>
void CudaPrimitives<T>::clamp(Cuda& d, A* x, std::int64_t n, A low, A high) {
  albef::clamp(d, x, n, low, high);
}
template <class T>
void CudaPrimitives<T>::first_rows(Cuda& d, const Sequences& seq, std::int32_t* index) {
  albef::first_rows(d, seq, index);
}
template <class T>
Sequences CudaPrimitives<T>::select_sequences(Cuda& d, const Sequences& seq,
                                              const std::int32_t* index, int n, int capacity,
                                              std::int32_t* offsets, std::int32_t* rows) {
  return albef::select_sequences(d, seq, index, n, capacity, offsets, rows);
}
template <class T>
void CudaPrimitives<T>::pair_indices(Cuda& d, int batch, const std::int32_t* negative_image,
                                     const std::int32_t* negative_text, std::int32_t* text,
                                     std::int32_t* image) {
  albef::pair_indices(d, batch, negative_image, negative_text, text, image);
}

}  // namespace albef
