// Self-distillation between views of the same examples: DINO's loss.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

/// Mean, over the B examples and the pairs of a teacher's view t and a student's view v != t, of
/// -sum_k q_k log p_k with q = softmax((teacher_t - center) / teacher_temp) and p =
/// softmax(student_v / student_temp) (main_dino.py, DINOLoss): logits student (V B, K) and teacher
/// (T B, K), view by view, the teacher's being the first of the student's -> scalar. Teacher and
/// center (K) take no gradient.
template <class Ctx, class A, int K>
Tensor<A, 1> self_distillation(Ctx& ctx, const Tensor<A, K>& student, ConstMat<A> teacher,
                               const A* center, int batch, double student_temp,
                               double teacher_temp) {
  ctx.check(student);
  require(batch > 0 && student.rows() % batch == 0 && teacher.rows % batch == 0 &&
              teacher.rows <= student.rows() && teacher.cols == student.cols,
          "[self_distillation] got logits (", student.rows(), ", ", student.cols,
          ") of the student and (", teacher.rows, ", ", teacher.cols, ") of the teacher for ",
          batch, " examples");
  require(student_temp > 0 && teacher_temp > 0, "[self_distillation] got temperatures ",
          student_temp, " and ", teacher_temp, ", expected numbers above 0");
  const int views = student.rows() / batch, taught = teacher.rows / batch;
  const double pairs = static_cast<double>(taught) * (views - 1) * batch;
  auto loss = ctx.scalar();
  A* targets = ctx.template allocate<A>(std::int64_t{teacher.rows} * teacher.cols);
  const primitive::SelfDistillation<A> args{.student = student.mat(),
                                            .teacher = teacher,
                                            .center = center,
                                            .batch = batch,
                                            .student_scale = static_cast<A>(1 / student_temp),
                                            .teacher_scale = static_cast<A>(1 / teacher_temp),
                                            .scale = static_cast<A>(pairs > 0 ? 1 / pairs : 0.0),
                                            .targets = mat(targets, teacher.rows, teacher.cols),
                                            .lse = ctx.template allocate<A>(student.rows()),
                                            .loss = loss.data};
  run(ctx.device(), args);
  ctx.record(loss, ctx.from(student), [student, loss, args](auto& bwd) {
    bwd.into(student, [&](Mat<A> d, A beta) {
      run(bwd.device(), primitive::SelfDistillationGrad<A>{
                            .forward = args, .dloss = bwd.grad(loss).data, .d = d, .beta = beta});
    });
  });
  return loss;
}

}  // namespace albef
