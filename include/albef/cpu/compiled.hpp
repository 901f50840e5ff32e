// The primitives of the CPU backend as one list of explicit instantiations. Where
// ALBEF_CPU_COMPILED is defined (linking albef::cpu_compiled does that), they are only declared:
// the library defines them, compiled for the same instruction set as everything else in the
// program.
#pragma once

#include "albef/cpu/attention.hpp"
#include "albef/cpu/elementwise.hpp"
#include "albef/cpu/gemm.hpp"
#include "albef/cpu/losses.hpp"
#include "albef/cpu/memory.hpp"
#include "albef/cpu/norm.hpp"
#include "albef/cpu/optimizer.hpp"
#include "albef/cpu/tokens.hpp"

// `what` is `template` to define the primitives for activations of type T, `extern template` to
// declare them. Short ones are not here: they are better inlined.
#define ALBEF_CPU_PRIMITIVES(what, T)                                                          \
  what void copy_on_device(Cpu&, T*, const T*, std::int64_t);                                  \
  what void fill(Cpu&, T*, T, std::int64_t);                                                   \
  what void gemm(Cpu&, const GemmArgs<T>&);                                                    \
  what void weight_gradient<T>(Cpu&, ConstMat<T>, ConstMat<T>, Mat<T>, T, T*, T);              \
  what void attention_forward(Cpu&, const AttentionArgs<T>&);                                  \
  what void attention_backward(Cpu&, const AttentionArgs<T>&, Mat<const T>, Mat<T>, T, Mat<T>, \
                               Mat<T>, T);                                                     \
  what void attention_probabilities(Cpu&, const AttentionArgs<T>&, int, T*, Mat<const T>);     \
  what void add<T>(Cpu&, ConstMat<T>, Mat<T>, T);                                              \
  what void set_rows(Cpu&, const T*, Mat<T>);                                                  \
  what void add_row(Cpu&, const T*, Mat<T>);                                                   \
  what void scale_rows<T>(Cpu&, ConstMat<T>, const T*, Mat<T>, T);                             \
  what void column_sum<T>(Cpu&, ConstMat<T>, T*, T);                                           \
  what void mul_row<T>(Cpu&, ConstMat<T>, const T*, Mat<T>, T);                                \
  what void dot_rows<T>(Cpu&, ConstMat<T>, ConstMat<T>, T*, T);                                \
  what void dot<T>(Cpu&, ConstMat<T>, ConstMat<T>, T*, T, T);                                  \
  what void gelu_backward<T>(Cpu&, ConstMat<T>, ConstMat<T>, Mat<T>);                          \
  what void relu_backward<T>(Cpu&, ConstMat<T>, ConstMat<T>, Mat<T>, T);                       \
  what void dropout<T>(Cpu&, ConstMat<T>, Mat<T>, T, float, const Philox&, std::uint64_t);     \
  what void layer_norm_forward(Cpu&, const LayerNormArgs<T>&);                                 \
  what void layer_norm_backward(Cpu&, const LayerNormGradArgs<T>&);                            \
  what void l2_normalize_forward<T>(Cpu&, ConstMat<T>, Mat<T>, T*);                            \
  what void l2_normalize_backward<T>(Cpu&, ConstMat<T>, ConstMat<T>, const T*, Mat<T>, T);     \
  what void scale_by<T>(Cpu&, ConstMat<T>, const T*, ScaleKind, Mat<T>, T);                    \
  what void scale_gradient<T>(Cpu&, ConstMat<T>, ConstMat<T>, const T*, ScaleKind, T*, T);     \
  what void embedding_forward(Cpu&, const EmbeddingArgs<T>&);                                  \
  what void embedding_backward(Cpu&, const EmbeddingGradArgs<T>&);                             \
  what void normalize_images(Cpu&, const std::uint8_t*, PatchGrid, const ImageStatistics&,     \
                             Mat<T>);                                                          \
  what void patchify<T>(Cpu&, ConstMat<T>, PatchGrid, Mat<T>);                                 \
  what void unpatchify<T>(Cpu&, ConstMat<T>, PatchGrid, Mat<T>, T);                            \
  what void resize_grid_forward<T>(Cpu&, ConstMat<T>, const GridResize&, Mat<T>);              \
  what void resize_grid_backward<T>(Cpu&, ConstMat<T>, const GridResize&, Mat<T>, T);          \
  what void gather_rows<T>(Cpu&, ConstMat<T>, const std::int32_t*, Mat<T>);                    \
  what void scatter_add_rows<T>(Cpu&, ConstMat<T>, const std::int32_t*, Mat<T>);               \
  what void soft_cross_entropy_forward(Cpu&, const SoftTargetArgs<T>&, T*);                    \
  what void soft_cross_entropy_backward(Cpu&, const SoftTargetArgs<T>&, const T*, Mat<T>, T);  \
  what void sample_negatives(Cpu&, const NegativeArgs<T>&);                                    \
  what void adamw_update(Cpu&, const AdamWArgs<T>&);                                           \
  what void ema_update(Cpu&, T*, const T*, std::int64_t, double);                              \
  what void squared_norm(Cpu&, const T*, std::int64_t, double*, double);

#ifdef ALBEF_CPU_COMPILED
#include "albef/core/instruction_set.hpp"
ALBEF_NEEDS_LIBRARY(albef_cpu_compiled)
namespace albef {
ALBEF_CPU_PRIMITIVES(extern template, float)
ALBEF_CPU_PRIMITIVES(extern template, double)
}  // namespace albef
#endif
