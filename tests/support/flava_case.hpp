// Golden cases of FLAVA, for any configuration compiled in.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "albef/ops/attention_map.hpp"
#include "albef/tasks/flava.hpp"
#include "support/albef_case.hpp"
#include "support/golden_models.hpp"

namespace albef {

/// The configuration of the FLAVA cases.
struct FlavaNano : Nano {
  static constexpr int vision_width = 48, num_hidden_layers = 3, fusion_layer = 3;
  static constexpr int multimodal_num_hidden_layers = 2, image_vocab_size = 64, embed_dim = 48;
  static constexpr float dropout = 0.0f;
};

/// Whether configuration C is the one a FLAVA case was made with, whose names are the official
/// ones.
template <class C>
bool matches_flava_config(const nlohmann::json& config) {
  const auto is = [&](const char* name, int value) { return config.value(name, value) == value; };
  const int width = C::hidden_size;
  return is("image_size", C::image_res) && is("patch_size", C::patch_size) &&
         is("hidden_size", C::vision_width) && is("hidden_size", width) &&
         is("hidden_size", multimodal_hidden_size<C>()) &&
         is("num_attention_heads", C::vision_heads) &&
         is("num_attention_heads", C::num_attention_heads) &&
         is("num_attention_heads", multimodal_num_attention_heads<C>()) &&
         is("intermediate_size", C::mlp_ratio * C::vision_width) &&
         is("intermediate_size", C::intermediate_size) &&
         is("intermediate_size", multimodal_intermediate_size<C>()) &&
         is("image_num_hidden_layers", C::vision_depth) &&
         is("text_num_hidden_layers", C::num_hidden_layers) &&
         is("multimodal_num_hidden_layers", multimodal_num_hidden_layers<C>()) &&
         is("vocab_size", C::vocab_size) &&
         is("max_position_embeddings", C::max_position_embeddings) &&
         is("type_vocab_size", C::type_vocab_size) &&
         is("image_vocab_size", image_vocab_size<C>()) &&
         is("text_and_image_proj_size", C::embed_dim);
}

namespace detail {

/// Masked patches (B, N) of an input.
inline MaskedPatches masked_patches(const GoldenTensor& mask) {
  MaskedPatches out;
  const auto values = mask.as<std::uint8_t>();
  const auto n = static_cast<std::size_t>(mask.shape.at(1));
  for (std::size_t at = 0; at < values.size(); at += n) out.add(std::span(values).subspan(at, n));
  return out;
}
/// 1 where ids (B, L) are no padding.
inline std::vector<int> token_mask(const GoldenTensor& ids) {
  std::vector<int> out;
  for (const double id : ids.values) out.push_back(id != 0);
  return out;
}
inline TextBatch packed_text(const GoldenTensor& ids) {
  std::vector<std::int64_t> mask;
  for (const int m : token_mask(ids)) mask.push_back(m);
  return packed(ids.as<std::int64_t>(), mask, static_cast<int>(ids.shape.at(0)),
                static_cast<int>(ids.shape.at(1)));
}

/// The attention of an encoder's last layer, (B, heads, L, L): to all rows, or to those seen, which
/// are the first of each sequence. While recording.
template <class Ctx, class Encoder, class X>
std::vector<float> last_attention(Ctx& ctx, const Encoder& encoder, X x, int heads,
                                  const RowSelection* seen = nullptr) {
  const auto& last = encoder.layers.back();
  for (std::size_t i = 0; i + 1 < encoder.layers.size(); ++i)
    x = seen ? encoder.layers[i](ctx, x, gather(ctx, x, *seen)) : encoder.layers[i](ctx, x);
  const auto normed = last.attention.norm(ctx, x);
  const auto kv = last.attention.keys_values(ctx, seen ? gather(ctx, normed, *seen) : normed);
  const auto watched =
      watch_cross_attention(ctx, last.attention.query(ctx, normed), kv, nullptr, heads);
  std::vector<float> out;
  for (const auto& map : watched.read(ctx))
    for (int row = 0; row < map.heads * map.queries; ++row) {
      const auto from = map.probability.begin() + std::ptrdiff_t{row} * map.keys;
      out.insert(out.end(), from, from + map.keys);
      out.resize(out.size() + static_cast<std::size_t>(map.queries - map.keys), 0.0f);
    }
  return out;
}

}  // namespace detail

/// kind `flava_image`: the image encoder with masked patches, and without.
template <class C, class Device>
void run_flava_image_case(const GoldenCase& golden, GoldenReport& report) {
  using Model = FlavaImageEncoder<C>;
  static constexpr auto model = laid_out(Model{bert_init<C>, 0.0f});
  detail::CaseRunner<Model, Device> run(golden, model, Storage::training);
  auto& ctx = run.ctx();
  const int batch = static_cast<int>(golden.input("image").shape[0]);
  const auto image = run.template variable<image_channels<C>() * C::image_res * C::image_res>(
      "image", batch_of(batch));
  const MaskedPatches patches = detail::masked_patches(golden.input("image_patches_mask"));
  const RowMask mask = detail::upload_mask<C>(ctx, patches, batch);
  const auto x = model.embeddings(ctx, image, &mask);
  const auto hidden = model.hidden(ctx, x);
  const auto last = model.layernorm(ctx, hidden);
  const auto pooled = model.pooled(ctx, last);
  const auto loss = total(ctx, weighted_sum(ctx, hidden, run.template upload<float>("R_hidden")),
                          weighted_sum(ctx, last, run.template upload<float>("R_last")),
                          weighted_sum(ctx, pooled, run.template upload<float>("R_pool")));
  report.check("embeddings", ctx.read(x));
  report.check("hidden", ctx.read(hidden));
  report.check("last_hidden_state", ctx.read(last));
  report.check("pooler_output", ctx.read(pooled));
  report.check_value("loss", static_cast<double>(ctx.item(loss)));
  ctx.no_grad([&] {
    const auto whole = model.hidden(ctx, model.embeddings(ctx, image));
    report.check("unmasked/hidden", ctx.read(whole));
    report.check("unmasked/last_hidden_state", ctx.read(model.layernorm(ctx, whole)));
  });
  report.check("attention_last", detail::last_attention(ctx, model, x, C::vision_heads));
  ctx.backward(loss);
  report.check("grad_input/image", ctx.gradient(image));
  report.check_group("grad", run.values(Plane::grad));
}

/// kind `flava_text`: the text encoder over padded texts; the gradient also without padding.
template <class C, class Device>
void run_flava_text_case(const GoldenCase& golden, GoldenReport& report) {
  using Model = FlavaTextEncoder<C>;
  static constexpr auto model = laid_out(Model{bert_init<C>, C::dropout});
  detail::CaseRunner<Model, Device> run(golden, model, Storage::training);
  auto& ctx = run.ctx();
  const GoldenTensor& ids = golden.input("input_ids");
  const auto mask = detail::token_mask(ids);
  const int length = static_cast<int>(ids.shape.at(1));
  FlavaBatch batch;
  batch.size = static_cast<int>(ids.shape.at(0));
  batch.masked.text = detail::packed_text(ids);
  for (const bool padding : {true, false}) {
    ctx.begin_step(0);
    run.store().clear_gradients();
    FlavaInput<float, C> in;
    detail::upload_pair_texts<C>(ctx, batch, {.itm = true}, padding ? length : 0, in);
    const RowSelection* seen = padding ? &in.seen : nullptr;
    const auto weights = [&](const char* name) {
      return padding ? run.template upload<float>(name)
                     : ctx.upload(detail::unpadded(golden.input(name), mask));
    };
    const auto x = model.embeddings(ctx, in.text);
    const auto hidden = model.hidden(ctx, x, nullptr, seen);
    const auto last = model.layernorm(ctx, hidden);
    const auto pooled = model.pooled(ctx, last);
    const auto loss = total(ctx, weighted_sum(ctx, hidden, weights("R_hidden")),
                            weighted_sum(ctx, last, weights("R_last")),
                            weighted_sum(ctx, pooled, run.template upload<float>("R_pool")));
    if (padding) {
      report.check("embeddings", ctx.read(x));
      report.check("hidden", ctx.read(hidden));
      report.check("last_hidden_state", ctx.read(last));
      report.check("attention_last",
                   detail::last_attention(ctx, model, x, C::num_attention_heads, seen));
    } else {
      const auto rows = [&](const auto& t) { return detail::padded(ctx.read(t), mask); };
      report.check_rows("hidden", rows(hidden), mask);
      report.check_rows("last_hidden_state", rows(last), mask);
    }
    report.check("pooler_output", ctx.read(pooled));
    report.check_value("loss", static_cast<double>(ctx.item(loss)));
    ctx.backward(loss);
    report.check_group("grad", run.values(Plane::grad));
  }
}

namespace detail {

/// The multimodal encoder with the projections of what it reads.
template <class C>
struct FlavaMultimodal {
  static constexpr int width = multimodal_hidden_size<C>();
  FlavaMultimodalEncoder<C> mm_encoder{bert_init<C>, C::dropout};
  Linear<C::vision_width, width> image_to_mm;
  Linear<C::hidden_size, width> text_to_mm;

  static constexpr void fields(auto& m, auto&& f) {
    f("mm_encoder", m.mm_encoder);
    f("image_to_mm_projection", m.image_to_mm);
    f("text_to_mm_projection", m.text_to_mm);
  }
};

}  // namespace detail

/// kind `flava_mm`: the multimodal encoder over given states of both.
template <class C, class Device>
void run_flava_mm_case(const GoldenCase& golden, GoldenReport& report) {
  using Model = detail::FlavaMultimodal<C>;
  static constexpr auto model = laid_out<Model>();
  detail::CaseRunner<Model, Device> run(golden, model, Storage::training);
  auto& ctx = run.ctx();
  const auto variable = [&]<int Width>(const std::string& name) {
    const auto& shape = golden.input(name).shape;
    return run.template variable<Width>(
        name, uniform_sequences(static_cast<int>(shape[0]), static_cast<int>(shape[1])));
  };
  const auto image = variable.template operator()<C::vision_width>("image_hidden");
  const auto text = variable.template operator()<C::hidden_size>("text_hidden");
  const auto& encoder = model.mm_encoder;
  const auto hidden = encoder.hidden(
      ctx, encoder.embeddings(ctx, model.image_to_mm(ctx, image), model.text_to_mm(ctx, text)));
  const auto last = encoder.layernorm(ctx, hidden);
  const auto pooled = encoder.pooled(ctx, last);
  const auto loss = total(ctx, weighted_sum(ctx, last, run.template upload<float>("R_last")),
                          weighted_sum(ctx, pooled, run.template upload<float>("R_pool")));
  report.check("hidden", ctx.read(hidden));
  report.check("last_hidden_state", ctx.read(last));
  report.check("pooler_output", ctx.read(pooled));
  report.check_value("loss", static_cast<double>(ctx.item(loss)));
  ctx.backward(loss);
  report.check("grad_input/image_hidden", ctx.gradient(image));
  report.check("grad_input/text_hidden", ctx.gradient(text));
  report.check_group("grad", run.values(Plane::grad));
}

namespace detail {

/// A batch of a FLAVA case, whose pictures are given as values. Labels of tokens below 0 are none.
template <class C>
FlavaBatch flava_batch(const GoldenCase& golden, FlavaKind kind, const std::string& prefix) {
  FlavaBatch batch;
  batch.kind = kind;
  batch.image_size = C::image_res;
  if (batch.has_images()) {
    const auto& shape = golden.input(prefix + "image").shape;
    batch.size = static_cast<int>(shape[0]);
    batch.images.resize(golden.input(prefix + "image").values.size());
    batch.patches = masked_patches(golden.input(prefix + "image_patches_mask"));
    batch.codes = golden.input(prefix + "codebook_labels").template as<std::int32_t>();
  }
  if (batch.has_texts()) {
    const auto& masked = golden.input(prefix + "text_masked");
    batch.size = static_cast<int>(masked.shape[0]);
    batch.masked =
        masked_text(packed_text(masked), golden.input(prefix + "mlm_labels").as<std::int64_t>(),
                    token_mask(masked));
  }
  if (kind == FlavaKind::pairs) {
    batch.text = packed_text(golden.input(prefix + "text"));
    batch.itm_labels = golden.input(prefix + "itm_labels").as<std::int32_t>();
  }
  return batch;
}

/// A logit scale alone.
struct LogitScale {
  Param<> logit_scale;
  static constexpr void fields(auto& m, auto&& f) { f("logit_scale", m.logit_scale); }
};

/// The clamp of the logit scale, and the contrastive loss of given features at several scales.
template <class Device>
void check_clamp(const GoldenCase& golden, GoldenReport& report) {
  constexpr int width = 8;
  if (!golden.inputs.contains("clamp/logit_scale")) return;
  const auto& shape = golden.input("clamp/image").shape;
  if (shape.at(1) != width)
    return static_cast<void>(report.add_failure("clamp", "features of another width"));
  static constexpr auto model = laid_out<LogitScale>();
  const int batch = static_cast<int>(shape.at(0));
  const FlavaOptions options;
  std::vector<std::int32_t> rows;
  for (int i = 0; i < batch; ++i)
    if (golden.input("clamp/mask").values[static_cast<std::size_t>(i)] != 0) rows.push_back(i);
  std::vector<double> losses, scales, gradients;
  Device device;
  ParamStore<Device, Fp32> store(device, model, Storage::training);
  Context<Device, Fp32> ctx(device, store);
  for (const float scale : golden.input("clamp/logit_scale").template as<float>()) {
    ctx.begin_step(0);
    store.clear_gradients();
    copy_to_device(device, store.data(Plane::online), &scale, 1);
    clamp_parameter(ctx, model.logit_scale, options.scale_min, options.scale_max);
    const auto feature = [&](const char* name) {
      return l2_normalize(
          ctx, ctx.template constant<width>(ctx.upload(golden.input(name).template as<float>()),
                                            batch_of(batch)));
    };
    const RowSelection counted{ctx.upload(rows), batch_of(static_cast<int>(rows.size()))};
    const auto loss =
        label_loss(ctx,
                   contrastive_logits(ctx, feature("clamp/image"), feature("clamp/text"),
                                      model.logit_scale, counted),
                   counted.index);
    ctx.backward(loss);
    const auto value = [&](Plane plane) {
      float v = 0;
      copy_to_host(device, &v, static_cast<const float*>(store.data(plane)), 1);
      return static_cast<double>(v);
    };
    losses.push_back(static_cast<double>(ctx.item(loss)));
    scales.push_back(value(Plane::online));
    gradients.push_back(value(Plane::grad));
  }
  report.check("clamp/loss", losses);
  report.check("clamp/scale", scales);
  report.check("clamp/grad_scale", gradients);
}

}  // namespace detail

/// kind `flava_pretrain`: all losses and gradients of a batch of each kind; padding is attended to.
template <class C, class Device>
void run_flava_pretrain_case(const GoldenCase& golden, GoldenReport& report) {
  using Model = Flava<C>;
  static constexpr auto model = laid_out<Model>();
  detail::CaseRunner<Model, Device> run(golden, model, Storage::training);
  auto& ctx = run.ctx();
  const auto item = [&](const auto& loss) { return static_cast<double>(ctx.item(loss)); };
  const auto images = [&](const char* name) {
    return ctx.template constant<image_channels<C>() * C::image_res * C::image_res>(
        run.template upload<float>(name), batch_of(static_cast<int>(golden.input(name).shape[0])));
  };
  const auto forward = [&](FlavaKind kind, const std::string& prefix, auto&& inspect) {
    const FlavaBatch batch = detail::flava_batch<C>(golden, kind, prefix);
    const int padded = kind == FlavaKind::images
                           ? 0
                           : static_cast<int>(golden.input(prefix + "text_masked").shape[1]);
    ctx.begin_step(0);
    run.store().clear_gradients();
    auto in = upload<C>(ctx, batch, FlavaObjectives::parts, padded);
    if (batch.has_images()) in.image = images((prefix + "image").c_str());
    if (batch.has_images()) take_codes<C>(ctx, ctx.upload(batch.codes), in);
    auto pass = FlavaObjectives{}(ctx, model, in);
    report.check_value(prefix + "total_loss", item(pass.loss));
    for (std::size_t i = 0; i < pass.count; ++i) {
      const std::string name = pass.parts[i].first;
      report.check_value(prefix + (name == "contrastive" ? "global_contrastive" : name) + "_loss",
                         item(pass.parts[i].second));
    }
    ctx.no_grad([&] { inspect(pass); });
    ctx.backward(pass.loss);
    report.check_group("grad_" + prefix.substr(0, prefix.size() - 1), run.values(Plane::grad));
    return in;
  };
  forward(FlavaKind::images, "image/", [&](auto& pass) {
    report.check("image/mim_logits", ctx.read(flava::Mim::logits(pass)));
  });
  forward(FlavaKind::texts, "text/",
          [&](auto& pass) { report.check("text/mlm_logits", ctx.read(flava::Mlm::logits(pass))); });
  const auto in = forward(FlavaKind::pairs, "mm/", [&](auto& pass) {
    report.check("mm/mmm_image_logits", ctx.read(flava::MmmImage::logits(pass)));
    report.check("mm/mmm_text_logits", ctx.read(flava::MmmText::logits(pass)));
    report.check("mm/itm_logits", ctx.read(flava::Itm::logits(pass)));
    const auto one_way = [&](const std::string& name, const auto& logits) {
      report.check("mm/contrastive_" + name + "_logits", ctx.read(logits));
      report.check_value("mm/contrastive_" + name + "_loss",
                         item(label_loss(ctx, logits, pass.in.counted.index)));
    };
    const auto contrast = flava::Contrastive::logits(pass);
    one_way("image", contrast.image_to_text);
    one_way("text", contrast.text_to_image);
  });
  ctx.no_grad([&] {
    report.check_value(
        "mm/logit_scale_after",
        static_cast<double>(run.read(ctx.master_weight(model.logit_scale), 1).front()));
    // What the step does not compute as a whole.
    const FlavaBatch batch = detail::flava_batch<C>(golden, FlavaKind::pairs, "mm/");
    const auto& encoder = model.image_encoder;
    report.check(
        "mm/projected_image",
        ctx.read(model.image_projection(
            ctx, encoder.layernorm(ctx, first(ctx, model.image_states(ctx, images("mm/image")))))));
    const Tokens tokens = upload_tokens<C>(ctx, batch.text);
    report.check(
        "mm/projected_text",
        ctx.read(model.text_projection(
            ctx, model.text_encoder.layernorm(ctx, first(ctx, model.text_states(ctx, tokens))))));
    FlavaInput<float, C> masked;
    detail::upload_pair_texts<C>(ctx, batch, {.itm = true},
                                 static_cast<int>(golden.input("mm/text").shape[1]), masked);
    const auto x = encoder.hidden(ctx, encoder.embeddings(ctx, images("mm/image"), &in.patches));
    const auto t = model.text_encoder.hidden(ctx, model.text_encoder.embeddings(ctx, masked.text),
                                             nullptr, &masked.seen);
    const auto states = regroup(t, masked.masked_text);
    const auto z =
        model.mm_encoder.embeddings(ctx, model.image_to_mm(ctx, x), model.text_to_mm(ctx, states));
    report.check("mm/multimodal_masked",
                 ctx.read(model.mm_encoder.layernorm(ctx, model.mm_encoder.hidden(ctx, z))));
  });
  detail::check_clamp<Device>(golden, report);
}

/// The runner of a FLAVA case among the configurations Cs, or null for other kinds. Error if no
/// configuration fits.
template <class Device, class... Cs>
GoldenRunner find_flava_runner(const GoldenCase& golden) {
  GoldenRunner found;
  bool known = false;
  const auto look = [&]<class C>() {
    const std::map<std::string, GoldenRunner> cases{
        {"flava_image", run_flava_image_case<C, Device>},
        {"flava_text", run_flava_text_case<C, Device>},
        {"flava_mm", run_flava_mm_case<C, Device>},
        {"flava_pretrain", run_flava_pretrain_case<C, Device>}};
    const auto it = cases.find(golden.kind);
    known = it != cases.end();
    if (known && !found && matches_flava_config<C>(golden.config)) found = it->second;
  };
  (look.template operator()<Cs>(), ...);
  require(!known || found, golden.folder, ": no configuration compiled in fits the case's config");
  return found;
}

}  // namespace albef
