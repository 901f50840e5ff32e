// Golden cases of the downstream tasks: fine-tuning steps, evaluation, Grad-CAM.
#pragma once

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "albef/models/gradcam.hpp"
#include "albef/tasks/nlvr.hpp"
#include "albef/tasks/text_assignment.hpp"
#include "albef/tasks/ve.hpp"
#include "albef/tasks/vqa.hpp"
#include "support/albef_case.hpp"

namespace albef {

namespace detail {

/// Of the values a group of the case names.
inline std::map<std::string, std::vector<float>> named_in(
    const GoldenCase& golden, const std::string& group,
    std::map<std::string, std::vector<float>> values) {
  std::erase_if(values, [&](const auto& entry) {
    for (const char* form : {"/", ".row/", ".col/"})
      if (golden.expected.contains(group + form + entry.first)) return false;
    return true;
  });
  return values;
}

/// Whether a case distils from momentum weights, and the weight of their predictions.
struct Distillation {
  bool on;
  double alpha;
  explicit Distillation(const GoldenCase& golden)
      : on(golden.hyper.value("distill", true)),
        alpha(on ? golden.hyper.value("alpha", 0.0) : 0.0) {}
  Storage storage() const { return on ? Storage::momentum : Storage::training; }
};

/// The images of a case, (B, 3, S, S), as a constant.
template <class C, class Run>
auto case_images(const GoldenCase& golden, Run& run, const std::string& name) {
  constexpr int values = 3 * C::image_res * C::image_res;
  return run.ctx().template constant<values>(
      run.template upload<float>(name), batch_of(static_cast<int>(golden.input(name).shape[0])));
}

/// Training loss with the moving average advanced first, gradients, and evaluation.
template <class Run, class Model, class Input>
void check_classifier(const GoldenCase& golden, Run& run, const Model& model, const Input& input,
                      GoldenReport& report) {
  auto& ctx = run.ctx();
  const Distillation distill(golden);
  if (distill.on) update_momentum(run.store(), golden.config.value("momentum", 0.995));
  const auto r = classify(ctx, model, input, distill.alpha);
  report.check_value("loss", static_cast<double>(ctx.item(r.loss)));
  ctx.backward(r.loss);
  report.check_group("grad", run.values(Plane::grad));
  report.check("eval_logits", ctx.no_grad([&] { return ctx.read(model.logits(ctx, input)); }));
  for (const auto& entry : golden.json.value("expected_groups", nlohmann::json::array()))
    if (entry.at("group") == "after_ema" && distill.on)
      report.check_group("after_ema", named_in(golden, "after_ema", run.values(Plane::ema)));
}

}  // namespace detail

/// kind `retrieval_step`: one training step of the retrieval model with given negatives.
template <class C, class Device>
void run_retrieval_step_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<Albef<C>>();
  const GoldenCase renamed = detail::with_pretrain_names<C>(golden);
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(renamed, model,
                                                                       Storage::momentum);
  auto& ctx = run.ctx();
  FeatureQueue<Device, float> queue(
      run.device(), static_cast<int>(golden.weight("image_queue").shape.at(1)), C::embed_dim);
  detail::load_queues(golden, run.device(), queue);
  const auto known = golden.weight("idx_queue").template as<std::int64_t>();
  copy_to_device(run.device(), queue.identities(), known.data(), queue.size());

  update_momentum(run.store(), golden.config.value("momentum", 0.995));
  PretrainBatch<float, C> batch;
  batch.image = detail::case_images<C>(golden, run, "image");
  batch.text = upload_tokens<C>(ctx, run.text("input_ids", "attention_mask"));
  batch.identities = run.template upload<std::int64_t>("idx");
  batch.negatives.image = run.template upload<std::int32_t>("neg_image_idx");
  batch.negatives.text = run.template upload<std::int32_t>("neg_text_idx");
  // The official draw has no epsilon, and the temperature is not clamped.
  constexpr float any = std::numeric_limits<float>::infinity();
  const RetrievalObjectives objectives{
      {.negatives = {.epsilon = 0}, .temp_min = -any, .temp_max = any}};
  const auto r = objectives(ctx, model, batch, queue, detail::Distillation(golden).alpha);
  report.check_value("loss_ita", static_cast<double>(ctx.item(r.loss_itc)));
  report.check_value("loss_itm", static_cast<double>(ctx.item(r.loss_itm)));
  report.check("itm_logits", ctx.read(r.itm_logits));
  report.check("weights_t2i", run.read(r.negatives.image_weights));
  report.check("weights_i2t", run.read(r.negatives.text_weights));
  ctx.backward(r.loss);
  std::map<std::string, std::vector<float>> gradients;
  for (auto& [name, values] : run.values(Plane::grad)) {
    constexpr std::string_view wrapper = "text_encoder.bert.";
    gradients[name.starts_with(wrapper) ? "text_encoder." + name.substr(wrapper.size()) : name] =
        values;
  }
  report.check_group("grad", gradients);
  queue.push(r.image_m.mat(), r.text_m.mat(), batch.identities);
  detail::check_queues("", run.device(), queue, report);
  std::vector<std::int64_t> identities(static_cast<std::size_t>(queue.size()));
  copy_to_host(run.device(), identities.data(),
               static_cast<const std::int64_t*>(queue.identities()), queue.size());
  report.check("idx_queue", identities);
}

/// kind `ve`: visual entailment.
template <class C, class Device>
void run_ve_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<AlbefVe<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(
      golden, model, detail::Distillation(golden).storage());
  VeInput<float, C> in;
  in.image = detail::case_images<C>(golden, run, "image");
  in.text = upload_tokens<C>(run.ctx(), run.text("input_ids", "attention_mask"));
  in.labels = run.template upload<std::int32_t>("targets");
  detail::check_classifier(golden, run, model, in, report);
}

/// kind `nlvr`: reasoning on pairs of images.
template <class C, class Device>
void run_nlvr_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<AlbefNlvr<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(
      golden, model, detail::Distillation(golden).storage());
  auto& ctx = run.ctx();
  auto pixels = golden.input("image0").template as<float>();
  const auto second = golden.input("image1").template as<float>();
  pixels.insert(pixels.end(), second.begin(), second.end());
  const int batch = static_cast<int>(golden.input("image0").shape[0]);
  std::vector<std::int32_t> index;
  for (int i = 0; i < 2 * batch; ++i) index.push_back(i);
  NlvrInput<float, C> in;
  in.images = ctx.template constant<3 * C::image_res * C::image_res>(ctx.upload(pixels),
                                                                     batch_of(2 * batch));
  in.first = ctx.upload(index);
  in.second = in.first + batch;
  in.text = upload_tokens<C>(ctx, run.text("input_ids", "attention_mask"));
  in.labels = run.template upload<std::int32_t>("targets");
  detail::check_classifier(golden, run, model, in, report);
}

/// kind `nlvr_pretrain`: text assignment with a given draw.
template <class C, class Device>
void run_nlvr_pretrain_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<AlbefNlvrPretrain<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       Storage::training);
  auto& ctx = run.ctx();
  const TextAssignment given{golden.input("image_idx0").template as<std::int32_t>(),
                             golden.input("image_idx1").template as<std::int32_t>(),
                             golden.input("labels").template as<std::int32_t>()};
  const auto r = assign_texts(ctx, model, detail::case_images<C>(golden, run, "image"),
                              upload_tokens<C>(ctx, run.text("input_ids", "attention_mask")), {},
                              {.negatives = {.epsilon = 0}}, &given);
  report.check("neg_weights", r.weights);
  report.check_value("loss", static_cast<double>(ctx.item(r.loss)));
  ctx.backward(r.loss);
  report.check_group("grad", run.values(Plane::grad));
}

/// kind `vqa`: training loss, and ranking of an answer list as the official code does.
template <class C, class Device>
void run_vqa_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<AlbefVqa<C>>();
  const detail::Distillation distill(golden);
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       distill.storage());
  auto& ctx = run.ctx();
  VqaInput<float, C> in;
  in.image = detail::case_images<C>(golden, run, "image");
  in.question = upload_tokens<C>(ctx, run.text("question_input_ids", "question_attention_mask"));
  if (golden.expected.contains("question_states")) {
    const auto mask = golden.input("question_attention_mask").template as<int>();
    const auto states = ctx.no_grad([&] { return ctx.read(model.question_states(ctx, in)); });
    report.check_rows("question_states", detail::padded(states, mask), mask);
  }
  if (golden.expected.contains("loss")) {
    AnswerRows<float> rows;
    upload_answers(ctx, run.text("answer_input_ids", "answer_attention_mask"),
                   golden.input("k").template as<std::int32_t>(),
                   golden.input("weights").template as<float>(), in, rows);
    if (distill.on) update_momentum(run.store(), golden.config.value("momentum", 0.995));
    const auto loss = vqa_loss(ctx, model, in, distill.alpha);
    report.check_value("loss", static_cast<double>(ctx.item(loss)));
    ctx.backward(loss);
    report.check_group("grad", run.values(Plane::grad));
  }
  if (!golden.expected.contains("topk_ids")) return;
  const TextBatch answers = run.text("answer_list_input_ids", "answer_list_attention_mask");
  ctx.begin_step(1);
  in.image = detail::case_images<C>(golden, run, "image");
  in.question = upload_tokens<C>(ctx, run.text("question_input_ids", "question_attention_mask"));
  ctx.no_grad([&] {
    const auto states = model.question_states(ctx, in);
    if (golden.expected.contains("first_token_probs"))
      report.check("first_token_probs",
                   first_word_probabilities(ctx, model.text_decoder,
                                            model.text_decoder.keys_values(ctx, states),
                                            states.seq.count, answers));
    const RankOptions options{.k = golden.hyper.at("k_test"), .count_first_word_twice = true};
    std::vector<int> ids;
    std::vector<double> probabilities;
    for (const auto& question : rank_answers(ctx, model.text_decoder, states, answers, options))
      for (const auto& answer : question) {
        ids.push_back(answer.index);
        probabilities.push_back(answer.probability);
      }
    report.check("topk_ids", ids);
    report.check("topk_probs", probabilities);
  });
}

/// kind `gradcam`: maps of the cross-attention (itm) and of the image encoder (itc).
template <class C, class Device>
void run_gradcam_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<Albef<C>>();
  const GoldenCase renamed = detail::with_pretrain_names<C>(golden);
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(renamed, model,
                                                                       Storage::inference);
  auto& ctx = run.ctx();
  const auto mask = golden.input("attention_mask").template as<int>();
  const auto length = static_cast<std::size_t>(golden.input("attention_mask").shape[1]);
  const auto image = detail::case_images<C>(golden, run, "image");
  const auto text = upload_tokens<C>(ctx, run.text("input_ids", "attention_mask"));

  if (golden.hyper.contains("itm_block")) {
    const auto maps = itm_attention(ctx, model, image, text, golden.hyper.at("itm_block"));
    // Padded positions, of which nothing is computed, are zero.
    std::vector<float> probability, gradient, cams, sentences;
    std::vector<int> keep;
    for (std::size_t b = 0; b < maps.size(); ++b) {
      const auto& m = maps[b];
      const auto padding =
          (length - static_cast<std::size_t>(m.queries)) * static_cast<std::size_t>(m.keys);
      const auto append = [&](std::vector<float>& to, const std::vector<float>& from) {
        const auto rows = static_cast<std::ptrdiff_t>(m.queries) * m.keys;
        for (int h = 0; h < m.heads; ++h) {
          to.insert(to.end(), from.begin() + h * rows, from.begin() + (h + 1) * rows);
          to.resize(to.size() + padding);
        }
      };
      append(probability, m.probability);
      append(gradient, m.gradient);
      for (int h = 0; h < m.heads; ++h)
        for (std::size_t t = 0; t < length; ++t) keep.push_back(mask[b * length + t]);
      const auto words = word_cams(m);
      const auto patches = static_cast<std::size_t>(m.keys - 1);
      for (std::size_t t = 0; t < length; ++t)
        if (t < words.size())
          cams.insert(cams.end(), words[t].values.begin(), words[t].values.end());
        else
          cams.resize(cams.size() + patches);
      const auto sentence = sentence_cam(words, static_cast<int>(length));
      sentences.insert(sentences.end(), sentence.values.begin(), sentence.values.end());
    }
    report.check_rows("itm/attention_map", probability, keep);
    report.check("itm/attention_grad", gradient);
    report.check("itm/token_cam", cams);
    report.check("itm/gradcam", sentences);
  }
  if (golden.hyper.contains("itc_block")) {
    const auto maps = itc_attention(ctx, model, image, text, golden.hyper.at("itc_block"));
    std::vector<float> probability, gradient, cams;
    for (const auto& m : maps) {
      for (int h = 0; h < m.heads; ++h) {  // the class token's row
        const auto row = static_cast<std::ptrdiff_t>(h) * m.queries * m.keys;
        probability.insert(probability.end(), m.probability.begin() + row,
                           m.probability.begin() + row + m.keys);
        gradient.insert(gradient.end(), m.gradient.begin() + row,
                        m.gradient.begin() + row + m.keys);
      }
      const auto cam = grad_cam(m, 0);
      cams.insert(cams.end(), cam.values.begin(), cam.values.end());
    }
    report.check("itc/attention_map_cls", probability);
    report.check("itc/attention_grad_cls", gradient);
    report.check("itc/gradcam", cams);
  }
}

}  // namespace albef
