// Golden cases that run ALBEF and its parts, for any configuration compiled in.
#pragma once

#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/models/inputs.hpp"
#include "albef/models/pretrained_names.hpp"
#include "albef/optim/adamw.hpp"
#include "albef/tasks/pretrain.hpp"
#include "albef/tasks/recall.hpp"
#include "albef/tasks/retrieval_pool.hpp"
#include "support/golden.hpp"

namespace albef {

/// Whether configuration C is the one a case was made with; `config` is the case's "config".
template <class C>
bool matches_config(const nlohmann::json& config) {
  for (const auto& [name, value] : config_fields(C{}))
    if (config.value(name, value) != value) return false;
  return true;
}

namespace detail {

/// Runs one case on a device: a store and context for a model, filled with the case's weights.
template <class Model, class Device>
class CaseRunner {
 public:
  using Store = ParamStore<Device, Fp32>;
  using Ctx = Context<Device, Fp32>;
  using Values = std::map<std::string, std::vector<float>>;

  CaseRunner(const GoldenCase& golden, const Model& model, Storage storage)
      : golden_(golden), store_(device_, model, storage), ctx_(device_, store_) {
    for (const auto& p : store_.params()) {
      load(Plane::online, p, p.name);
      if (storage == Storage::momentum && p.twin) load(Plane::ema, p, momentum_name(p.name));
    }
    ctx_.begin_step(0);
  }

  Device& device() { return device_; }
  Store& store() { return store_; }
  Ctx& ctx() { return ctx_; }

  /// Values of every parameter in a plane; of the gradient, only those that received one. Names
  /// in the ema plane carry the suffix of the momentum model.
  Values values(Plane plane) const {
    Values out;
    for (std::size_t i = 0; i < store_.params().size(); ++i) {
      const auto& p = store_.params()[i];
      if (plane == Plane::grad && !store_.touched(static_cast<int>(i))) continue;
      if (plane == Plane::ema && !p.twin) continue;
      out[plane == Plane::ema ? momentum_name(p.name) : p.name] =
          read(store_.data(plane) + p.offset, p.size);
    }
    return out;
  }

  /// Values in the device's memory.
  std::vector<float> read(const float* from, std::int64_t count) const {
    std::vector<float> out(static_cast<std::size_t>(count));
    copy_to_host(store_.device(), out.data(), from, count);
    return out;
  }
  std::vector<float> read(Mat<const float> m) const {
    return read(m.data, std::int64_t{m.rows} * m.cols);
  }
  /// An input as a variable of a width known to the compiler, grouped as `seq`.
  template <int W>
  auto variable(const std::string& name, Sequences seq) {
    const auto values = golden_.input(name).template as<float>();
    return ctx_.template variable<W>(values, seq);
  }
  template <class T>
  const T* upload(const std::string& name) {
    return ctx_.upload(golden_.input(name).template as<T>());
  }
  /// A text batch from the inputs `ids` and `mask` (B, L), and its host copy.
  TextBatch text(const std::string& ids, const std::string& mask) const {
    const auto& shape = golden_.input(ids).shape;
    return packed(golden_.input(ids).template as<std::int64_t>(),
                  golden_.input(mask).template as<std::int64_t>(), static_cast<int>(shape[0]),
                  static_cast<int>(shape[1]));
  }

 private:
  void load(Plane plane, const ParamInfo& p, const std::string& name) {
    const auto values = golden_.weight(name).template as<float>();
    require(static_cast<std::int64_t>(values.size()) == p.size, golden_.folder, ": weight '", name,
            "' has ", values.size(), " values, expected ", p.size);
    copy_to_device(device_, store_.data(plane) + p.offset, values.data(), p.size);
  }

  const GoldenCase& golden_;
  Device device_;
  Store store_;
  Ctx ctx_;
};

/// Spreads packed rows (T, width) over the padded positions (B, L, width) of a mask.
inline std::vector<float> padded(const std::vector<float>& rows, const std::vector<int>& mask) {
  std::size_t real = 0;
  for (const int m : mask) real += m != 0;
  const std::size_t width = real ? rows.size() / real : 0;
  std::vector<float> out(mask.size() * width, 0.0f);
  std::size_t at = 0;
  for (std::size_t i = 0; i < mask.size(); ++i)
    if (mask[i]) std::copy_n(rows.data() + width * at++, width, out.data() + i * width);
  return out;
}

/// The rows of a padded input (B, L, width) where the mask is 1.
inline std::vector<float> unpadded(const GoldenTensor& t, const std::vector<int>& mask) {
  const std::size_t width = t.values.size() / mask.size();
  std::vector<float> out;
  for (std::size_t i = 0; i < mask.size(); ++i)
    for (std::size_t j = 0; mask[i] && j < width; ++j)
      out.push_back(static_cast<float>(t.values[i * width + j]));
  return out;
}

/// The masked text of a step from its masked ids and labels (B, L), -100 = no loss.
inline MaskedText masked_text(TextBatch text, const std::vector<std::int64_t>& labels,
                              const std::vector<int>& mask) {
  MaskedText out;
  out.text = std::move(text);
  out.offsets = {0};
  const std::size_t length = mask.size() / static_cast<std::size_t>(out.text.count());
  std::int32_t row = 0;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] && labels[i] >= 0) {
      out.rows.push_back(row);
      out.labels.push_back(static_cast<std::int32_t>(labels[i]));
    }
    row += mask[i] != 0;
    if ((i + 1) % length == 0) out.offsets.push_back(static_cast<std::int32_t>(out.rows.size()));
  }
  return out;
}

/// A case of the retrieval model, which names its text encoder without the masked-language-model
/// wrapper and has no vocabulary head, with the names of the pre-training model and a head of
/// zeros.
template <class C>
GoldenCase with_pretrain_names(const GoldenCase& golden) {
  GoldenCase renamed = golden;
  renamed.weights.clear();
  for (const auto& [name, tensor] : golden.weights) renamed.weights[pretrain_name(name)] = tensor;
  constexpr int v = C::vocab_size, d = C::hidden_size;
  const auto absent = [&](const char* name, std::vector<std::int64_t> shape, int values) {
    for (const char* encoder : {"text_encoder", "text_encoder_m"})
      renamed.weights.try_emplace(
          concat(encoder, ".cls.predictions.", name),
          GoldenTensor{shape, std::vector<double>(static_cast<std::size_t>(values)), DType::F32});
  };
  absent("bias", {v}, v);
  absent("transform.dense.weight", {d, d}, d * d);
  absent("transform.dense.bias", {d}, d);
  absent("transform.LayerNorm.weight", {d}, d);
  absent("transform.LayerNorm.bias", {d}, d);
  return renamed;
}

/// The queues of a case, in the official shape (width, size), and what they must be after a step.
template <class Device, class Queue>
void load_queues(const GoldenCase& golden, Device& device, Queue& queue) {
  const auto load = [&](const char* name, Mat<float> m) {
    const auto rows = transposed(golden.weight(name).template as<float>(), m.cols, m.rows);
    copy_to_device(device, m.data, rows.data(), static_cast<std::int64_t>(rows.size()));
  };
  load("image_queue", queue.image());
  load("text_queue", queue.text());
  if (golden.weights.contains("queue_ptr"))
    queue.set_pointer(static_cast<int>(golden.weight("queue_ptr").values.at(0)));
}
template <class Device, class Queue>
void check_queues(const std::string& step, Device& device, const Queue& queue,
                  GoldenReport& report) {
  const auto check = [&](const char* name, Mat<float> m) {
    std::vector<float> rows(static_cast<std::size_t>(m.rows) * static_cast<std::size_t>(m.cols));
    copy_to_host(device, rows.data(), static_cast<const float*>(m.data),
                 static_cast<std::int64_t>(rows.size()));
    report.check(step + name, transposed(rows, m.rows, m.cols));
  };
  check("image_queue", queue.image());
  check("text_queue", queue.text());
  report.check_value(step + "queue_ptr", queue.pointer());
}

}  // namespace detail

/// kind `vit`: forward and backward of the vision transformer.
template <class C, class Device>
void run_vit_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<Vit<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       Storage::training);
  auto& ctx = run.ctx();
  const int batch = static_cast<int>(golden.input("image").shape[0]);
  const auto image =
      run.template variable<3 * C::image_res * C::image_res>("image", batch_of(batch));
  const auto out = model(ctx, image);
  const auto loss = weighted_sum(ctx, out, run.template upload<float>("R"));
  report.check("out", ctx.read(out));
  report.check_value("loss", static_cast<double>(ctx.item(loss)));
  ctx.backward(loss);
  report.check("grad_input/image", ctx.gradient(image));
  report.check_group("grad", run.values(Plane::grad));
}

/// kind `text_encoder`: BertModel in mode 'text'.
template <class C, class Device>
void run_text_encoder_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<Bert<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       Storage::training);
  auto& ctx = run.ctx();
  const auto mask = golden.input("attention_mask").template as<int>();
  const TextBatch text = run.text("input_ids", "attention_mask");
  const auto out = model.text(ctx, upload_tokens<C>(ctx, text));
  const auto weights = detail::unpadded(golden.input("R"), mask);
  const auto loss = weighted_sum(ctx, out, ctx.upload(weights));
  report.check_rows("last_hidden_state", detail::padded(ctx.read(out), mask), mask);
  report.check_value("loss", static_cast<double>(ctx.item(loss)));
  ctx.backward(loss);
  report.check_group("grad", run.values(Plane::grad));
}

/// kind `fusion`: BertModel in mode 'fusion'.
template <class C, class Device>
void run_fusion_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<Bert<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       Storage::training);
  auto& ctx = run.ctx();
  const auto mask = golden.input("attention_mask").template as<int>();
  const auto& embeds = golden.input("encoder_embeds");
  const auto& image_shape = golden.input("image_embeds").shape;
  const int batch = static_cast<int>(embeds.shape[0]), length = static_cast<int>(embeds.shape[1]);
  std::vector<std::int32_t> offsets{0};
  for (int b = 0; b < batch; ++b) {
    int n = 0;
    for (int t = 0; t < length; ++t) n += mask[static_cast<std::size_t>(b * length + t)];
    offsets.push_back(offsets.back() + n);
  }
  const auto x =
      ctx.template variable<C::hidden_size>(detail::unpadded(embeds, mask), ctx.sequences(offsets));
  const auto image = run.template variable<C::vision_width>(
      "image_embeds", uniform_sequences(batch, static_cast<int>(image_shape[1])));
  const auto out = model.fusion(ctx, x, model.image_keys_values(ctx, image));
  const auto weights = detail::unpadded(golden.input("R"), mask);
  const auto loss = weighted_sum(ctx, out, ctx.upload(weights));
  report.check_rows("last_hidden_state", detail::padded(ctx.read(out), mask), mask);
  report.check_value("loss", static_cast<double>(ctx.item(loss)));
  ctx.backward(loss);
  report.check("grad_input/image_embeds", ctx.gradient(image));
  report.check_rows("grad_input/encoder_embeds", detail::padded(ctx.gradient(x), mask), mask);
  report.check_group("grad", run.values(Plane::grad));
}

/// kind `mlm`: BertForMaskedLM over all layers, hard and soft labels, at the labelled positions.
template <class C, class Device>
void run_mlm_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<BertForMaskedLm<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       Storage::training);
  auto& ctx = run.ctx();
  const double alpha = golden.hyper.at("alpha");
  const auto mask = golden.input("attention_mask").template as<int>();
  const auto labels = golden.input("labels").template as<std::int64_t>();
  const auto& image_shape = golden.input("image_embeds").shape;
  PretrainBatch<float, C> batch;
  const MaskedText masked =
      detail::masked_text(run.text("input_ids", "attention_mask"), labels, mask);
  upload_masked<C>(ctx, masked, batch);
  const auto image = run.template variable<C::vision_width>(
      "image_embeds",
      uniform_sequences(static_cast<int>(image_shape[0]), static_cast<int>(image_shape[1])));
  std::vector<int> labelled;
  for (const auto l : labels) labelled.push_back(l >= 0);
  const auto soft = detail::unpadded(golden.input("soft_logits"), labelled);
  const SoftTargets<float> targets{
      .labels = batch.mlm_labels,
      .teacher = mat(ctx.upload(soft), static_cast<int>(masked.rows.size()), C::vocab_size),
      .alpha = alpha};

  const auto x = model.bert.text(ctx, batch.masked);
  const auto fused = model.bert.fusion(ctx, x, model.bert.image_keys_values(ctx, image), nullptr,
                                       batch.masked_rows);
  const auto logits = model.logits(ctx, fused);  // (M, V)
  report.check("logits_masked", ctx.read(logits));
  const auto loss_at = [&](double a) {
    auto t = targets;
    t.alpha = a;
    return cross_entropy(ctx, logits, t);
  };
  const auto loss = loss_at(alpha);
  report.check_value("loss_ce", static_cast<double>(ctx.item(loss_at(0))));
  report.check_value("loss_distill", static_cast<double>(ctx.item(loss_at(1))));
  report.check_value("loss", static_cast<double>(ctx.item(loss)));
  ctx.backward(loss);
  report.check("grad_input/image_embeds", ctx.gradient(image));
  report.check_group("grad", run.values(Plane::grad));
}

/// kind `pretrain_step`: consecutive optimizer steps of the full objective, with the official
/// order (moving average at the start of a forward pass) and given negatives and masks.
template <class C, class Device>
void run_pretrain_step_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<Albef<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       Storage::momentum);
  auto& ctx = run.ctx();
  auto& store = run.store();
  const int queue_size = static_cast<int>(golden.weight("image_queue").shape.at(1));
  const double momentum = golden.config.value("momentum", 0.995);
  const double lr = golden.hyper.at("lr");
  FeatureQueue<Device, float> queue(run.device(), queue_size, C::embed_dim);
  detail::load_queues(golden, run.device(), queue);
  AdamW optimizer({.weight_decay = golden.hyper.at("weight_decay")});
  // The official draw: no epsilon, only the pair itself excluded.
  const AlbefObjectives objectives{{.negatives = {.epsilon = 0, .exclude_same_identity = false}}};

  const auto alphas = golden.hyper.at("alphas").template get<std::vector<double>>();
  const int steps = static_cast<int>(alphas.size());
  for (int s = 1; s <= steps; ++s) {
    const std::string step = concat("step", s, '/');
    const auto mask = golden.input(step + "attention_mask").template as<int>();
    const int size = static_cast<int>(golden.input(step + "image").shape[0]);
    update_momentum(store, momentum);
    ctx.begin_step(static_cast<std::uint64_t>(s));
    PretrainBatch<float, C> batch;
    batch.image = ctx.template constant<3 * C::image_res * C::image_res>(
        run.template upload<float>(step + "image"), batch_of(size));
    batch.text = upload_tokens<C>(ctx, run.text(step + "input_ids", step + "attention_mask"));
    upload_masked<C>(
        ctx,
        detail::masked_text(run.text(step + "input_ids_mlm", step + "attention_mask"),
                            golden.input(step + "labels_mlm").template as<std::int64_t>(), mask),
        batch);
    batch.negatives.image = run.template upload<std::int32_t>(step + "neg_image_idx");
    batch.negatives.text = run.template upload<std::int32_t>(step + "neg_text_idx");
    const auto r = objectives(ctx, model, batch, queue, alphas[static_cast<std::size_t>(s - 1)]);
    report.check_value(step + "loss_ita", static_cast<double>(ctx.item(r.loss_itc)));
    report.check_value(step + "loss_itm", static_cast<double>(ctx.item(r.loss_itm)));
    report.check_value(step + "loss_mlm", static_cast<double>(ctx.item(r.loss_mlm)));
    report.check(step + "itm_logits", ctx.read(r.itm_logits));
    report.check(step + "weights_t2i", run.read(r.negatives.image_weights));
    report.check(step + "weights_i2t", run.read(r.negatives.text_weights));
    ctx.backward(r.loss);
    const std::string grad = s == 1 ? "grad" : concat("grad_step", s);
    const auto has_group = [&](const std::string& group) {
      for (const auto& entry : golden.json.at("expected_groups"))
        if (entry.at("group") == group) return true;
      return false;
    };
    if (has_group(grad)) report.check_group(grad, run.values(Plane::grad));
    optimizer.step(store, lr);
    queue.push(r.image_m.mat(), r.text_m.mat());
    detail::check_queues(step, run.device(), queue, report);
    report.check_value(step + "temp",
                       static_cast<double>(run.read(store.data(Plane::online, model.temp), 1)[0]));
    const std::string after = concat("after_step", s);
    if (has_group(after)) report.check_group(after, run.values(Plane::online));
    if (has_group(after + "_m")) report.check_group(after + "_m", run.values(Plane::ema));
  }
}

/// kind `retrieval_eval`: features, similarities, re-ranking and recall.
template <class C, class Device>
void run_retrieval_eval_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<Albef<C>>();
  const GoldenCase renamed = detail::with_pretrain_names<C>(golden);
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(renamed, model,
                                                                       Storage::inference);
  auto& ctx = run.ctx();
  RetrievalPool pool(ctx, model);
  const int images = static_cast<int>(golden.input("image").shape[0]);
  pool.add_images(
      run.template variable<3 * C::image_res * C::image_res>("image", batch_of(images)));
  const TextBatch text = run.text("input_ids", "attention_mask");
  pool.add_texts(upload_tokens<C>(ctx, text), text.offsets);
  const auto mask = golden.input("attention_mask").template as<int>();
  report.check("image_feats", pool.image_states());
  report.check_rows("text_feats", detail::padded(pool.text_states(), mask), mask);
  report.check("image_embeds", pool.image_features());
  report.check("text_embeds", pool.text_features());
  const auto similarities = pool.similarities();
  report.check("sims_matrix", similarities);
  const auto scores = pool.rerank(similarities, golden.hyper.at("k_test"));
  report.check("score_i2t", scores.i2t);
  report.check("score_t2i", scores.t2i);

  const auto check_metrics = [&](const std::string& prefix, const Recall& r) {
    const std::pair<const char*, double> metrics[] = {
        {"txt_r1", r.tr1},           {"txt_r5", r.tr5},           {"txt_r10", r.tr10},
        {"txt_r_mean", r.tr_mean()}, {"img_r1", r.ir1},           {"img_r5", r.ir5},
        {"img_r10", r.ir10},         {"img_r_mean", r.ir_mean()}, {"r_mean", r.mean()}};
    for (const auto& [name, value] : metrics) report.check_value(prefix + name, value);
  };
  check_metrics("metrics/",
                recall(scores.i2t, scores.t2i, golden.input("txt2img").template as<int>(), images));
  if (golden.inputs.contains("itm_eval/score_i2t")) {
    const auto& free = golden.input("itm_eval/score_i2t");
    check_metrics(
        "itm_eval/metrics/",
        recall(free.template as<float>(), golden.input("itm_eval/score_t2i").template as<float>(),
               golden.input("itm_eval/txt2img").template as<int>(),
               static_cast<int>(free.shape[0])));
  }
}

/// kind `adamw`: parameters of any names and shapes with given gradients.
template <class Device>
void run_adamw_case(const GoldenCase& golden, GoldenReport& report) {
  std::vector<ParamInfo> params;
  for (const auto& [name, tensor] : golden.weights) {
    ParamInfo p;
    p.name = name;
    p.shape.assign(tensor.shape.begin(), tensor.shape.end());
    p.decay = decays(name, tensor.shape.size());
    params.push_back(std::move(p));
  }
  Device device;
  ParamStore<Device> store(device, params, Storage::training);
  for (const auto& p : store.params()) {
    const auto values = golden.weight(p.name).template as<float>();
    copy_to_device(device, store.data(Plane::online) + p.offset, values.data(), p.size);
  }
  const auto& hyper = golden.hyper;
  AdamW optimizer({.beta1 = hyper.at("betas").at(0),
                   .beta2 = hyper.at("betas").at(1),
                   .eps = hyper.at("eps"),
                   .weight_decay = hyper.at("weight_decay")});
  const int steps = hyper.at("steps");
  for (int s = 1; s <= steps; ++s) {
    const std::string step = concat("step", s, '/');
    for (std::size_t i = 0; i < store.params().size(); ++i) {
      const auto& p = store.params()[i];
      const auto grad = golden.inputs.find(step + "grad/" + p.name);
      if (grad == golden.inputs.end()) continue;
      store.touch({p.offset, p.size, static_cast<int>(i), 1});
      const auto values = grad->second.template as<float>();
      copy_to_device(device, store.data(Plane::grad) + p.offset, values.data(), p.size);
    }
    optimizer.step(store, hyper.at("lrs").at(static_cast<std::size_t>(s - 1)));
    for (const auto& p : store.params()) {
      std::vector<float> host(static_cast<std::size_t>(p.size));
      copy_to_host(device, host.data(),
                   static_cast<const float*>(store.data(Plane::online)) + p.offset, p.size);
      report.check(step + p.name, host);
    }
  }
}

}  // namespace albef
