// A training step of each downstream task on a CUDA device, and what the trained model then says,
// against the same on the CPU in double; in float and bf16.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/models/gradcam.hpp"
#include "albef/tasks/nlvr.hpp"
#include "albef/tasks/pretrain.hpp"
#include "albef/tasks/retrieval_pool.hpp"
#include "albef/tasks/text_assignment.hpp"
#include "albef/tasks/ve.hpp"
#include "albef/tasks/vqa.hpp"
#include "albef/train/training.hpp"
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
  albef::RetrievalPool<Ctx, albef::Albef<Mini>> pool(ctx, model);
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
template <class T, class Batch>
Trained train_task(T& training, const Batch& batch) {
  auto& store = training.store();
  enlarge(store);
  Trained out;
  albef::PassLosses losses;
  training.accumulate(batch, {.number = 1, .alpha = 0.4}, losses);
  for (const auto& [name, value] : losses.losses) out.losses.push_back(value);
  out.gradient = gradient_of(store);
  training.update(1e-3);
  out.weights = numbers_of(store, Plane::online);
  if (store.has(Plane::ema)) out.teacher = numbers_of(store, Plane::ema);
  typename T::Ctx ctx(store.device(), store);  // the training's has dropout on
  if constexpr (requires { predictions(ctx, T::model, batch); })
    out.predictions = predictions(ctx, T::model, batch);
  return out;
}

// Those of pre-training: about twenty times what the emulation has in float, three times in bf16.
constexpr Bounds in_float{1e-5, 1e-4, 1e-4, 1e-4}, in_bf16{1e-2, 5e-2, 5e-3, 3e-2};

template <class Precision, class Objective, class Batch>
void check_task(const Objective& objective, const Batch& batch, const Bounds& bounds) {
  Cpu cpu(1);
  const albef::TrainingOptions options{.seed = 1, .optimizer = {.max_norm = 1}, .momentum = 0.9};
  albef::Training<Objective, Cpu, Fp64> reference(cpu, options, objective);
  albef::Training<Objective, Cuda, Precision> training(test_device(), options, objective);
  check_near(train_task(training, batch), train_task(reference, batch), bounds);
}

/// All that a step may change, as bytes.
template <class T>
std::vector<std::byte> everything(T& training) {
  std::vector<std::byte> out;
  const auto add = [&](const auto* data, std::int64_t n) {
    using V = std::remove_cvref_t<decltype(*data)>;
    std::vector<V> values(static_cast<std::size_t>(n));
    copy_to_host(training.device(), values.data(), data, n);
    const auto bytes = std::as_bytes(std::span(values));
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  const auto& store = training.store();
  for (const Plane p : {Plane::online, Plane::ema, Plane::exp_avg, Plane::exp_avg_sq})
    add(static_cast<const typename T::Store::Real*>(store.data(p)), store.size(p));
  for (const Plane p : {Plane::online, Plane::ema})
    add(static_cast<const typename T::Store::Compute*>(store.compute(p)), store.size());
  const auto& queue = training.state().queue;
  for (const auto& m : {queue.image(), queue.text()})
    add(static_cast<const typename T::Master*>(m.data), std::int64_t{m.rows} * m.cols);
  for (const std::int64_t n : {std::int64_t{queue.pointer()}, training.optimizer().steps().at(0)}) {
    const auto bytes = std::as_bytes(std::span(&n, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

/// Steps 0, 1 and 2, the gradient or the loss of step 1 not finite, against steps 0 and 2 alone.
template <class Precision>
void check_bad_step(double max_norm, bool spoil_loss) {
  CAPTURE(max_norm);
  CAPTURE(spoil_loss);
  using T = albef::Training<albef::AlbefPretraining<Mini>, Cuda, Precision>;
  const albef::TrainingOptions options{.seed = 1, .optimizer = {.max_norm = max_norm}};
  T training(test_device(), options), other(test_device(), options);
  const albef::PairBatch batch = pair_batch(4, {1, 2, 3, 4});
  albef::PassLosses losses;
  const auto step = [&](T& t, std::uint64_t number) {
    t.accumulate(batch, {.number = number, .alpha = 0.4}, losses);
    return t.update(1e-3).read(t.device());
  };
  for (T* t : {&training, &other}) {
    enlarge(t->store());
    CHECK(std::isfinite(step(*t, 0)));
  }
  const auto before = everything(training);
  auto& store = training.store();
  const auto set = [&](Plane plane, float value) {
    const auto v = static_cast<typename T::Master>(value);
    copy_to_device(training.device(), store.data(plane, T::model.itm_head.bias), &v, 1);
    store.refresh();
  };
  const auto bias = static_cast<float>(
      values_of(store, Plane::online)[static_cast<std::size_t>(T::model.itm_head.bias.offset)]);
  if (spoil_loss) set(Plane::online, std::numeric_limits<float>::quiet_NaN());
  training.start(batch, {.number = 1, .alpha = 0.4});
  if (spoil_loss) set(Plane::online, bias);
  if (!spoil_loss) set(Plane::grad, std::numeric_limits<float>::infinity());
  CHECK_FALSE(std::isfinite(training.update(1e-3).read(training.device())));
  training.finish(losses);
  CHECK(std::isfinite(losses.at("loss")) != spoil_loss);
  training.take_back();
  CHECK(everything(training) == before);
  step(training, 2), step(other, 2);
  CHECK(everything(training) == everything(other));
  CHECK(everything(training) != before);
}

}  // namespace

TEST_CASE("a step that is not finite changes nothing on CUDA" * doctest::skip(no_test_device())) {
  for (const double max_norm : {0.0, 1.0})
    for (const bool spoil_loss : {false, true}) {
      check_bad_step<Fp32>(max_norm, spoil_loss);
      check_bad_step<Bf16>(max_norm, spoil_loss);
    }
}

TEST_CASE("retrieval on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  const albef::RetrievalTraining<Mini> retrieval;
  check_task<Fp32>(retrieval, pair_batch(4, {7, 8, 7, 9}), in_float);
  // Of two pairs each has but one negative, which rounding cannot change.
  check_task<Bf16>(retrieval, pair_batch(2, {7, 8}), in_bf16);
}

TEST_CASE("visual entailment on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  const albef::VisualEntailment<Mini> entailment;
  check_task<Fp32>(entailment, class_batch(4, 1, 3), in_float);
  check_task<Bf16>(entailment, class_batch(4, 1, 3), in_bf16);
}

TEST_CASE("reasoning about two pictures on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  const albef::NlvrReasoning<Mini> reasoning;
  check_task<Fp32>(reasoning, class_batch(3, 2, 2), in_float);
  check_task<Bf16>(reasoning, class_batch(3, 2, 2), in_bf16);
}

TEST_CASE("question answering on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  const albef::VqaTraining<Mini> answering;
  check_task<Fp32>(answering, question_batch(), in_float);
  check_task<Bf16>(answering, question_batch(), in_bf16);
}

TEST_CASE("text assignment on CUDA is the CPU's" * doctest::skip(no_test_device())) {
  check_task<Fp32>(albef::TextAssignmentTraining<Mini>{}, pair_batch(4, {1, 2, 1, 3}), in_float);
  // At this temperature all pictures are equally likely, whatever their similarities round to.
  check_task<Bf16>(albef::TextAssignmentTraining<Mini>{{.temperature = 1e6}},
                   pair_batch(4, {1, 2, 3, 4}), in_bf16);
}
