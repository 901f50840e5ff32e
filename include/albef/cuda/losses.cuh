// Loss primitives of the CUDA backend: soft cross entropy, self-distillation and the drawing of
// negatives.
#pragma once

#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/kernels/losses.cuh"

namespace albef {

template <class T>
void run(Cuda& cuda, const primitive::SoftCrossEntropy<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  const auto rows = static_cast<unsigned>(a.logits.rows);
  auto* row_loss = static_cast<A*>(cuda.scratch(sizeof(A) * rows));
  with_width<T>([&](int n) { return rows_aligned(a.logits, n) && rows_aligned(a.teacher, n); },
                [&](auto width) {
                  constexpr int n = decltype(width)::value;
                  launch(cuda, "[cross_entropy]", soft_cross_entropy_rows_kernel<T, n>, dim3(rows),
                         dim3(loss_threads), 0, a, row_loss);
                });
  launch(cuda, "[cross_entropy]", soft_cross_entropy_total_kernel<T>, dim3(1), dim3(loss_threads),
         0, a, row_loss, a.loss);
}

template <class T>
void run(Cuda& cuda, const primitive::SoftCrossEntropyGrad<T>& g) {
  const primitive::SoftCrossEntropy<T>& a = g.forward;
  using namespace detail;
  int* positives = nullptr;
  if (a.row_identities) {
    const auto rows = static_cast<unsigned>(a.logits.rows);
    positives = static_cast<int*>(cuda.scratch(sizeof(int) * rows));
    launch(cuda, "[cross_entropy_backward]", count_positives_kernel<T>, dim3(rows),
           dim3(loss_threads), 0, a, positives);
  }
  for_elements<T>(
      cuda, "[cross_entropy_backward]", g.d.rows, g.d.cols,
      [&](int n) {
        return rows_aligned(a.logits, n) && rows_aligned(a.teacher, n) && rows_aligned(g.d, n);
      },
      SoftCrossEntropyGradient<T, accumulator_t<T>>{a, g.dloss, positives, g.d, g.beta});
}

template <class T>
void run(Cuda& cuda, const primitive::SigmoidCrossEntropy<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  sum_elements<T>(
      cuda, "[sigmoid_cross_entropy]", a.logits.rows, a.logits.cols,
      [&](int n) { return rows_aligned(a.logits, n); }, SigmoidLossTerm<T>{a},
      static_cast<const A*>(nullptr), ScaleKind::plain, a.scale, A(0), a.loss);
}

template <class T>
void run(Cuda& cuda, const primitive::SigmoidCrossEntropyGrad<T>& g) {
  using namespace detail;
  using A = accumulator_t<T>;
  const Mat<const T> logits = g.forward.logits;
  const SigmoidSlope<T> slope{g};
  if (g.dbias)
    sum_elements<T>(
        cuda, "[sigmoid_cross_entropy_grad]", logits.rows, logits.cols,
        [&](int n) { return rows_aligned(logits, n); }, slope, static_cast<const A*>(nullptr),
        ScaleKind::plain, A(1), g.beta_bias, g.dbias);
  if (g.d.data)
    for_elements<T>(
        cuda, "[sigmoid_cross_entropy_grad]", g.d.rows, g.d.cols,
        [&](int n) { return rows_aligned(logits, n) && rows_aligned(g.d, n); }, slope);
}

template <class T>
void run(Cuda& cuda, const primitive::SelfDistillation<T>& a) {
  using namespace detail;
  const auto rows = static_cast<unsigned>(a.student.rows);
  auto* row_loss = static_cast<T*>(cuda.scratch(sizeof(T) * rows));
  with_width<T>(
      [&](int n) {
        return rows_aligned(a.student, n) && rows_aligned(a.teacher, n) &&
               rows_aligned(a.targets, n) && row_aligned(a.center, n);
      },
      [&](auto width) {
        constexpr int n = decltype(width)::value;
        launch(cuda, "[self_distillation]", distillation_targets_kernel<T, n>,
               dim3(static_cast<unsigned>(a.teacher.rows)), dim3(loss_threads), 0, a);
        launch(cuda, "[self_distillation]", distillation_rows_kernel<T, n>, dim3(rows),
               dim3(loss_threads), 0, a, row_loss);
      });
  launch(cuda, "[self_distillation]", distillation_total_kernel<T>, dim3(1), dim3(loss_threads), 0,
         row_loss, a.student.rows, a.scale, a.loss);
}

template <class T>
void run(Cuda& cuda, const primitive::SelfDistillationGrad<T>& g) {
  using namespace detail;
  const auto& a = g.forward;
  for_elements<T>(
      cuda, "[self_distillation_backward]", g.d.rows, g.d.cols,
      [&](int n) {
        return rows_aligned(a.student, n) && rows_aligned(a.targets, n) && rows_aligned(g.d, n);
      },
      DistillationGradient<T>{g});
}

template <class T>
void run(Cuda& cuda, const primitive::SampleNegatives<T>& a) {
  using namespace detail;
  launch(cuda, "[sample_negatives]", sample_negatives_kernel<T>,
         dim3(static_cast<unsigned>(blocks_for(a.n, sample_warps))), dim3(sample_warps * warp_size),
         0, a);
}

}  // namespace albef
