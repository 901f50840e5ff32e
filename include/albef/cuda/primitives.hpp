// The primitives of core/backend.hpp for the CUDA device, declared for plain C++: layers and models
// compile with any compiler, the kernels once, in the library of component `cuda_compiled`.
//
// A CUDA source that includes albef/cuda.cuh finds the same primitives there as templates.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "albef/core/backend.hpp"
#include "albef/cuda/device.hpp"
#include "albef/cuda/memory.hpp"

namespace albef {

/// The primitives for activations of type T: float, double or bfloat16. Members are defined in
/// cuda/primitives.cuh and compiled into the library.
template <class T>
struct CudaPrimitives {
  using A = accumulator_t<T>;
  using In = Mat<const T>;
  using Out = Mat<T>;
  using Done = void;
  using Selected = Sequences;

  template <class V>
  static void fill(Cuda&, V* x, V value, std::int64_t n);
  static void to_accumulator(Cuda&, const T* from, A* to, std::int64_t n);
  static void from_accumulator(Cuda&, const A* from, T* to, std::int64_t n);
  static void gemm(Cuda&, const GemmArgs<T>&);
  static void gemm_accumulator(Cuda&, const GemmArgs<T, A>&);
  static void weight_gradient(Cuda&, In dy, In x, Mat<A> dw, A beta, A* db, A beta_db);
  static void attention_forward(Cuda&, const AttentionArgs<T>&);
  static void attention_backward(Cuda&, const AttentionArgs<T>&, In d_out, Out dq, A beta_q, Out dk,
                                 Out dv, A beta_kv);
  static void attention_probabilities(Cuda&, const AttentionArgs<T>&, int s, T* probabilities,
                                      In d_out);
  static void add(Cuda&, In x, Out y, A beta);
  static void set_rows(Cuda&, const T* row, Out y);
  static void add_row(Cuda&, const T* row, Out y);
  static void scale_rows(Cuda&, In x, const A* factor, Out y, A beta);
  static void column_sum(Cuda&, In x, A* sum, A beta);
  static void mul_row(Cuda&, In x, const T* row, Out y, A beta);
  static void dot_rows(Cuda&, In a, In b, A* sum, A beta);
  static void dot(Cuda&, In a, In b, A* out, A alpha, A beta);
  static void gelu_backward(Cuda&, In dy, In z, Out dz);
  static void relu_backward(Cuda&, In dy, In y, Out dx, A beta);
  static void dropout(Cuda&, In x, Out y, A beta, float p, const Philox&, std::uint64_t stream);
  static void layer_norm_forward(Cuda&, const LayerNormArgs<T>&);
  static void layer_norm_backward(Cuda&, const LayerNormGradArgs<T>&);
  static void l2_normalize_forward(Cuda&, In x, Mat<A> y, A* norm);
  static void l2_normalize_backward(Cuda&, Mat<const A> dy, Mat<const A> y, const A* norm, Out dx,
                                    A beta);
  static void scale_by(Cuda&, In x, const A* s, ScaleKind, Out y, A beta);
  static void scale_gradient(Cuda&, In dy, In x, const A* s, ScaleKind, A* ds, A beta);
  static void embedding_forward(Cuda&, const EmbeddingArgs<T>&);
  static void embedding_backward(Cuda&, const EmbeddingGradArgs<T>&);
  static void normalize_images(Cuda&, const std::uint8_t* pixels, PatchGrid, const ImageStatistics&,
                               Out out);
  static void patchify(Cuda&, In image, PatchGrid, Out patches);
  static void unpatchify(Cuda&, In patches, PatchGrid, Out image, A beta);
  static void resize_grid_forward(Cuda&, In x, const GridResize&, Out y);
  static void resize_grid_backward(Cuda&, Mat<const A> dy, const GridResize&, Mat<A> dx, A beta);
  static void gather_rows(Cuda&, In x, const std::int32_t* index, Out y);
  static void scatter_add_rows(Cuda&, In x, const std::int32_t* index, Out y);
  static void soft_cross_entropy_forward(Cuda&, const SoftTargetArgs<T>&, A* loss);
  static void soft_cross_entropy_backward(Cuda&, const SoftTargetArgs<T>&, const A* dloss, Out d,
                                          A beta);
  static void sample_negatives(Cuda&, const NegativeArgs<T>&);
  static void adamw_update(Cuda&, const AdamWArgs<A, T>&);
  static void ema_update(Cuda&, A* ema, const A* param, std::int64_t n, double momentum);
  static void squared_norm(Cuda&, const A* x, std::int64_t n, double* out, double beta);
  static void clamp(Cuda&, A* x, std::int64_t n, A low, A high);
  // Not of T: any will do.
  static void first_rows(Cuda&, const Sequences&, std::int32_t* index);
  static Sequences select_sequences(Cuda&, const Sequences&, const std::int32_t* index, int n,
                                    int capacity, std::int32_t* offsets, std::int32_t* rows);
  static void pair_indices(Cuda&, int batch, const std::int32_t* negative_image,
                           const std::int32_t* negative_text, std::int32_t* text,
                           std::int32_t* image);
};

}  // namespace albef

#if !defined(__CUDACC__)
namespace albef {

// Each names its result through CudaPrimitives, which makes it another function to the linker than
// the template of the same arguments in a CUDA source.
template <class T>
using CudaDone = typename CudaPrimitives<T>::Done;

template <class V>
CudaDone<float> fill(Cuda& d, V* x, V value, std::int64_t n) {
  CudaPrimitives<float>::fill(d, x, value, n);
}
template <class T>
CudaDone<T> convert(Cuda& d, const T* from, accumulator_t<T>* to, std::int64_t n) {
  CudaPrimitives<T>::to_accumulator(d, from, to, n);
}
template <class T>
requires(!std::same_as<T, accumulator_t<T>>) CudaDone<T> convert(Cuda& d,
                                                                 const accumulator_t<T>* from,
                                                                 T* to, std::int64_t n) {
  CudaPrimitives<T>::from_accumulator(d, from, to, n);
}
template <class T>
CudaDone<T> gemm(Cuda& d, const GemmArgs<T>& g) {
  CudaPrimitives<T>::gemm(d, g);
}
template <class T>
requires(!std::same_as<T, accumulator_t<T>>) CudaDone<T> gemm(
    Cuda& d, const GemmArgs<T, accumulator_t<T>>& g) {
  CudaPrimitives<T>::gemm_accumulator(d, g);
}
template <class X, class T = std::remove_const_t<X>, class A = accumulator_t<T>>
CudaDone<T> weight_gradient(Cuda& d, Mat<X> dy, ConstMat<T> x, Mat<std::type_identity_t<A>> dw,
                            std::type_identity_t<A> beta, std::type_identity_t<A>* db,
                            std::type_identity_t<A> beta_db) {
  CudaPrimitives<T>::weight_gradient(d, dy, x, dw, beta, db, beta_db);
}
template <class T>
CudaDone<T> attention_forward(Cuda& d, const AttentionArgs<T>& a) {
  CudaPrimitives<T>::attention_forward(d, a);
}
template <class T>
CudaDone<T> attention_backward(Cuda& d, const AttentionArgs<T>& a, ConstMat<T> d_out, Mat<T> dq,
                               accumulator_t<T> beta_q, Mat<T> dk, Mat<T> dv,
                               accumulator_t<T> beta_kv) {
  CudaPrimitives<T>::attention_backward(d, a, d_out, dq, beta_q, dk, dv, beta_kv);
}
template <class T>
CudaDone<T> attention_probabilities(Cuda& d, const AttentionArgs<T>& a, int s,
                                    std::type_identity_t<T>* probabilities, ConstMat<T> d_out) {
  CudaPrimitives<T>::attention_probabilities(d, a, s, probabilities, d_out);
}
template <class T>
CudaDone<T> add(Cuda& d, ConstMat<T> x, Mat<T> y, accumulator_t<T> beta) {
  CudaPrimitives<T>::add(d, x, y, beta);
}
template <class T>
CudaDone<T> set_rows(Cuda& d, const std::type_identity_t<T>* row, Mat<T> y) {
  CudaPrimitives<T>::set_rows(d, row, y);
}
template <class T>
CudaDone<T> add_row(Cuda& d, const std::type_identity_t<T>* row, Mat<T> y) {
  CudaPrimitives<T>::add_row(d, row, y);
}
template <class T>
CudaDone<T> scale_rows(Cuda& d, ConstMat<T> x, const accumulator_t<T>* factor, Mat<T> y,
                       accumulator_t<T> beta) {
  CudaPrimitives<T>::scale_rows(d, x, factor, y, beta);
}
template <class X, class T = std::remove_const_t<X>>
CudaDone<T> column_sum(Cuda& d, Mat<X> x, accumulator_t<T>* sum, accumulator_t<T> beta) {
  CudaPrimitives<T>::column_sum(d, x, sum, beta);
}
template <class T>
CudaDone<T> mul_row(Cuda& d, ConstMat<T> x, const std::type_identity_t<T>* row, Mat<T> y,
                    accumulator_t<T> beta) {
  CudaPrimitives<T>::mul_row(d, x, row, y, beta);
}
template <class X, class T = std::remove_const_t<X>>
CudaDone<T> dot_rows(Cuda& d, Mat<X> a, ConstMat<T> b, accumulator_t<T>* sum,
                     accumulator_t<T> beta) {
  CudaPrimitives<T>::dot_rows(d, a, b, sum, beta);
}
template <class X, class T = std::remove_const_t<X>>
CudaDone<T> dot(Cuda& d, Mat<X> a, ConstMat<T> b, accumulator_t<T>* out, accumulator_t<T> alpha,
                accumulator_t<T> beta) {
  CudaPrimitives<T>::dot(d, a, b, out, alpha, beta);
}
template <class T>
CudaDone<T> gelu_backward(Cuda& d, ConstMat<T> dy, ConstMat<T> z, Mat<T> dz) {
  CudaPrimitives<T>::gelu_backward(d, dy, z, dz);
}
template <class T>
CudaDone<T> relu_backward(Cuda& d, ConstMat<T> dy, ConstMat<T> y, Mat<T> dx,
                          accumulator_t<T> beta) {
  CudaPrimitives<T>::relu_backward(d, dy, y, dx, beta);
}
template <class T>
CudaDone<T> dropout(Cuda& d, ConstMat<T> x, Mat<T> y, accumulator_t<T> beta, float p,
                    const Philox& philox, std::uint64_t stream) {
  CudaPrimitives<T>::dropout(d, x, y, beta, p, philox, stream);
}
template <class T>
CudaDone<T> layer_norm_forward(Cuda& d, const LayerNormArgs<T>& a) {
  CudaPrimitives<T>::layer_norm_forward(d, a);
}
template <class T>
CudaDone<T> layer_norm_backward(Cuda& d, const LayerNormGradArgs<T>& a) {
  CudaPrimitives<T>::layer_norm_backward(d, a);
}
template <class X, class T = std::remove_const_t<X>>
CudaDone<T> l2_normalize_forward(Cuda& d, Mat<X> x, Mat<accumulator_t<T>> y,
                                 accumulator_t<T>* norm) {
  CudaPrimitives<T>::l2_normalize_forward(d, x, y, norm);
}
template <class T>
CudaDone<T> l2_normalize_backward(Cuda& d, Mat<const accumulator_t<T>> dy,
                                  Mat<const accumulator_t<T>> y, const accumulator_t<T>* norm,
                                  Mat<T> dx, accumulator_t<T> beta) {
  CudaPrimitives<T>::l2_normalize_backward(d, dy, y, norm, dx, beta);
}
template <class T>
CudaDone<T> scale_by(Cuda& d, ConstMat<T> x, const accumulator_t<T>* s, ScaleKind kind, Mat<T> y,
                     accumulator_t<T> beta) {
  CudaPrimitives<T>::scale_by(d, x, s, kind, y, beta);
}
template <class X, class T = std::remove_const_t<X>>
CudaDone<T> scale_gradient(Cuda& d, Mat<X> dy, ConstMat<T> x, const accumulator_t<T>* s,
                           ScaleKind kind, accumulator_t<T>* ds, accumulator_t<T> beta) {
  CudaPrimitives<T>::scale_gradient(d, dy, x, s, kind, ds, beta);
}
template <class T>
CudaDone<T> embedding_forward(Cuda& d, const EmbeddingArgs<T>& a) {
  CudaPrimitives<T>::embedding_forward(d, a);
}
template <class T>
CudaDone<T> embedding_backward(Cuda& d, const EmbeddingGradArgs<T>& a) {
  CudaPrimitives<T>::embedding_backward(d, a);
}
template <class T>
CudaDone<T> normalize_images(Cuda& d, const std::uint8_t* pixels, PatchGrid grid,
                             const ImageStatistics& statistics, Mat<T> out) {
  CudaPrimitives<T>::normalize_images(d, pixels, grid, statistics, out);
}
template <class T>
CudaDone<T> patchify(Cuda& d, ConstMat<T> image, PatchGrid grid, Mat<T> patches) {
  CudaPrimitives<T>::patchify(d, image, grid, patches);
}
template <class T>
CudaDone<T> unpatchify(Cuda& d, ConstMat<T> patches, PatchGrid grid, Mat<T> image,
                       accumulator_t<T> beta) {
  CudaPrimitives<T>::unpatchify(d, patches, grid, image, beta);
}
template <class T>
CudaDone<T> resize_grid_forward(Cuda& d, ConstMat<T> x, const GridResize& grid, Mat<T> y) {
  CudaPrimitives<T>::resize_grid_forward(d, x, grid, y);
}
template <class T>
CudaDone<T> resize_grid_backward(Cuda& d, ConstMat<T> dy, const GridResize& grid, Mat<T> dx,
                                 T beta) {
  CudaPrimitives<T>::resize_grid_backward(d, dy, grid, dx, beta);
}
template <class T>
CudaDone<T> gather_rows(Cuda& d, ConstMat<T> x, const std::int32_t* index, Mat<T> y) {
  CudaPrimitives<T>::gather_rows(d, x, index, y);
}
template <class T>
CudaDone<T> scatter_add_rows(Cuda& d, ConstMat<T> x, const std::int32_t* index, Mat<T> y) {
  CudaPrimitives<T>::scatter_add_rows(d, x, index, y);
}
template <class T = float>
CudaDone<T> first_rows(Cuda& d, const Sequences& seq, std::int32_t* index) {
  CudaPrimitives<T>::first_rows(d, seq, index);
}
template <class T = float>
typename CudaPrimitives<T>::Selected select_sequences(Cuda& d, const Sequences& seq,
                                                      const std::int32_t* index, int n,
                                                      int capacity, std::int32_t* offsets,
                                                      std::int32_t* rows) {
  return CudaPrimitives<T>::select_sequences(d, seq, index, n, capacity, offsets, rows);
}
template <class T = float>
CudaDone<T> pair_indices(Cuda& d, int batch, const std::int32_t* negative_image,
                         const std::int32_t* negative_text, std::int32_t* text,
                         std::int32_t* image) {
  CudaPrimitives<T>::pair_indices(d, batch, negative_image, negative_text, text, image);
}
template <class T>
CudaDone<T> soft_cross_entropy_forward(Cuda& d, const SoftTargetArgs<T>& a,
                                       accumulator_t<T>* loss) {
  CudaPrimitives<T>::soft_cross_entropy_forward(d, a, loss);
}
template <class T>
CudaDone<T> soft_cross_entropy_backward(Cuda& d, const SoftTargetArgs<T>& a,
                                        const accumulator_t<T>* dloss, Mat<T> dlogits,
                                        accumulator_t<T> beta) {
  CudaPrimitives<T>::soft_cross_entropy_backward(d, a, dloss, dlogits, beta);
}
template <class T>
CudaDone<T> sample_negatives(Cuda& d, const NegativeArgs<T>& a) {
  CudaPrimitives<T>::sample_negatives(d, a);
}
template <class C>
CudaDone<C> adamw_update(Cuda& d, const AdamWArgs<accumulator_t<C>, C>& a) {
  CudaPrimitives<C>::adamw_update(d, a);
}
template <class T>
CudaDone<T> ema_update(Cuda& d, T* ema, const T* param, std::int64_t n, double momentum) {
  CudaPrimitives<T>::ema_update(d, ema, param, n, momentum);
}
template <class T>
CudaDone<T> squared_norm(Cuda& d, const T* x, std::int64_t n, double* out, double beta) {
  CudaPrimitives<T>::squared_norm(d, x, n, out, beta);
}
template <class T>
CudaDone<T> clamp(Cuda& d, T* x, std::int64_t n, std::type_identity_t<T> low,
                  std::type_identity_t<T> high) {
  CudaPrimitives<T>::clamp(d, x, n, low, high);
}

}  // namespace albef
#endif
