// A training step of each downstream task on a CUDA device, and what the trained model then says,
// against the same on the CPU in double; in float and bf16.
#pragma once

#include <span>
#include <utility>

#include "albef/models/gradcam.hpp"
#include "albef/optim/adamw.hpp"
#include "albef/tasks/retrieval_pool.hpp"
#include "albef/train/finetune_task.hpp"
#include "albef/train/pretrain_task.hpp"
#include "albef/train/task_eval.hpp"
#include "training_runs.hpp"

namespace {

albef::PairBatch pair_batch(int pairs, std::vector<std::int64_t> image_ids) {
  const auto host = model_test::random_batch<Mini>(pairs, 11, 9);
  albef::PairBatch batch;
  batch.size = pairs;
  batch.image_size = Mini::image_res;
  batch.images = host.pixels;
  batch.text = host.text;
  batch.masked = host.masked;
  batch.image_ids = std::move(image_ids);
  return batch;
}

/// Fills a batch with `size` texts and `pictures` times as many pictures.
void fill(albef::TaskBatch& batch, int size, int pictures) {
  batch.size = size;
  batch.image_size = Mini::image_res;
  batch.images = model_test::random_batch<Mini>(size * pictures, 12, 9).pixels;
  batch.text = model_test::random_batch<Mini>(size, 13, 9).text;
}
albef::ClassBatch class_batch(int size, int pictures, int classes) {
  albef::ClassBatch batch;
  fill(batch, size, pictures);
  for (int i = 0; i < size; ++i) batch.labels.push_back(i % classes);
  return batch;
}
/// Answers of one to three words; a question has none, one or two of them.
albef::VqaBatch question_batch() {
  albef::VqaBatch batch;
  fill(batch, 4, 1);
  batch.answer_counts = {1, 2, 0, 1};
  batch.answers.add(std::vector<std::int32_t>{2, 20, 3});
  batch.answers.add(std::vector<std::int32_t>{2, 21, 22, 3});
  batch.answers.add(std::vector<std::int32_t>{2, 23, 3});
  batch.answers.add(std::vector<std::int32_t>{2, 24, 25, 26, 3});
  batch.weights = {1, 0.7f, 0.3f, 0.2f};
  return batch;
}

// What a model says about a batch.

/// Probabilities of the classes.
template <class Ctx, class M>
Numbers predictions(Ctx& ctx, const M& model, const albef::ClassBatch& batch) {
  return albef::class_probabilities(ctx, model, batch);
}
/// Probabilities of answers, and that of the answer the model writes.
template <class Ctx, class M>
Numbers predictions(Ctx& ctx, const M& model, const albef::VqaBatch& batch) {
  Numbers out;
  for (const auto& ranking : albef::rank_answers(ctx, model, batch, batch.answers)) {
    Numbers by_answer(ranking.size());
    for (const auto& answer : ranking)
      by_answer[static_cast<std::size_t>(answer.index)] = answer.probability;
    out.insert(out.end(), by_answer.begin(), by_answer.end());
  }
  for (const auto& written : albef::generate(ctx, model, batch, {.first_id = 2, .last_id = 3}))
    out.push_back(written.log_probability);
  return out;
}
/// Similarities, matching scores, and where the model looks for the words.
template <class Ctx>
Numbers predictions(Ctx& ctx, const albef::Albef<Mini>& model, const albef::PairBatch& batch) {
  Numbers out;
  const auto add = [&](const auto& values) { out.insert(out.end(), values.begin(), values.end()); };
  ctx.begin_step(0);
  albef::RetrievalPool<Ctx, Mini> pool(ctx, model);
  pool.add_images(albef::upload_images<Mini>(ctx, std::span<const std::uint8_t>(batch.images)));
  pool.add_texts(albef::upload_tokens<Mini>(ctx, batch.text), batch.text.offsets);
  add(pool.similarities());
  add(pool.itm_scores(0, std::vector<int>{0, 1}));
  ctx.begin_step(0);
  const auto image = albef::upload_images<Mini>(ctx, std::span<const std::uint8_t>(batch.images));
  for (const auto& map :
       albef::itm_attention(ctx, model, image, albef::upload_tokens<Mini>(ctx, batch.text),
                            Mini::num_hidden_layers - 1))
    for (const auto& cam : albef::word_cams(map)) add(cam.values);
  return out;
}

/// One step of a task, and predictions where there are any.
template <class Task, class Batch>
Trained train_task(Task& task, const Batch& batch) {
  auto& store = task.store();
  enlarge(store);
  Trained out;
  task.start(batch, 1, 0.4);
  typename Task::Losses losses;
  task.finish(losses);
  for (const auto& [name, value] : losses.values) out.losses.push_back(value);
  out.gradient = gradient_of(store);
  albef::AdamW adamw{{.max_norm = 1}};
  adamw.step(store, 1e-3, 1, store.has(Plane::ema) ? std::optional(0.9) : std::nullopt);
  out.weights = numbers_of(store, Plane::online);
  if (store.has(Plane::ema)) out.teacher = numbers_of(store, Plane::ema);
  typename Task::Ctx ctx(store.device(), store);  // the task's has dropout on
  if constexpr (requires { predictions(ctx, Task::model, batch); })
    out.predictions = predictions(ctx, Task::model, batch);
  return out;
}

// Those of pre-training: about twenty times what the emulation has in float, three times in bf16.
constexpr Bounds in_float{1e-5, 1e-4, 1e-4, 1e-4}, in_bf16{1e-2, 5e-2, 5e-3, 3e-2};

template <template <class, class, class> class Task, class Precision, class Batch, class... Options>
void check_task(const Batch& batch, const Bounds& bounds, const Options&... options) {
  Cpu cpu(1);
  Task<Mini, Cpu, Fp64> reference(cpu, 1, options...);
  Task<Mini, Cuda, Precision> task(test_device(), 1, options...);
  check_near(train_task(task, batch), train_task(reference, batch), bounds);
}

}  // namespace

TEST_CASE("retrieval on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  const int queue = Mini::queue_size;
  check_task<albef::RetrievalTask, Fp32>(pair_batch(4, {7, 8, 7, 9}), in_float, queue);
  // Of two pairs each has but one negative, which rounding cannot change.
  check_task<albef::RetrievalTask, Bf16>(pair_batch(2, {7, 8}), in_bf16, queue);
}

TEST_CASE("visual entailment on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  check_task<albef::VeTask, Fp32>(class_batch(4, 1, 3), in_float);
  check_task<albef::VeTask, Bf16>(class_batch(4, 1, 3), in_bf16);
}

TEST_CASE("reasoning about two pictures on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  check_task<albef::NlvrTask, Fp32>(class_batch(3, 2, 2), in_float);
  check_task<albef::NlvrTask, Bf16>(class_batch(3, 2, 2), in_bf16);
}

TEST_CASE("question answering on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  check_task<albef::VqaTask, Fp32>(question_batch(), in_float);
  check_task<albef::VqaTask, Bf16>(question_batch(), in_bf16);
}

TEST_CASE("text assignment on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  check_task<albef::TextAssignmentTask, Fp32>(pair_batch(4, {1, 2, 1, 3}), in_float);
  // At this temperature all pictures are equally likely, whatever their similarities round to.
  check_task<albef::TextAssignmentTask, Bf16>(pair_batch(4, {1, 2, 3, 4}), in_bf16,
                                              albef::AssignmentOptions{.temperature = 1e6});
}
