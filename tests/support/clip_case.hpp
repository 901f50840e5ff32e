// Golden cases of CLIP, for any configuration compiled in.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "albef/models/clip.hpp"
#include "albef/tasks/contrastive.hpp"
#include "support/albef_case.hpp"

namespace albef {

/// Nano with the widths of CLIP's cases.
struct ClipNano : Nano {
  static constexpr int vision_width = 48, hidden_size = 32, num_hidden_layers = 2;
  static constexpr int intermediate_size = 128, vocab_size = 101, max_position_embeddings = 12;
};
struct ClipQuickGeluNano : ClipNano {
  static constexpr Activation vision_activation = Activation::quick_gelu;
  static constexpr Activation text_activation = Activation::quick_gelu;
};

/// Whether configuration C is the one a CLIP case was made with.
template <class C>
bool matches_clip_config(const GoldenCase& golden) {
  const auto& config = golden.config;
  const auto number = [&](const char* name, int ours) { return config.at(name) == ours; };
  const bool quick = golden.hyper.value("quick_gelu", false);
  return number("embed_dim", C::embed_dim) && number("image_size", C::image_res) &&
         number("patch_size", C::patch_size) && number("vision_width", C::vision_width) &&
         number("vision_layers", C::vision_depth) &&
         number("vision_head_width", C::vision_width / C::vision_heads) &&
         number("text_width", C::hidden_size) && number("text_heads", C::num_attention_heads) &&
         number("text_layers", C::num_hidden_layers) &&
         number("context_length", C::max_position_embeddings) &&
         number("vocab_size", C::vocab_size) && config.at("mlp_ratio") == C::mlp_ratio &&
         C::intermediate_size == C::mlp_ratio * C::hidden_size &&
         (vision_activation<C>() == Activation::quick_gelu) == quick &&
         (text_activation<C>() == Activation::quick_gelu) == quick;
}

/// kind `clip`: both encoders, the loss and its gradients.
template <class C, class Device>
void run_clip_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<Clip<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       Storage::training);
  auto& ctx = run.ctx();
  const auto& shape = golden.input("text").shape;
  const auto ids = golden.input("text").template as<std::int64_t>();
  const int batch = static_cast<int>(shape[0]), length = static_cast<int>(shape[1]);
  std::vector<std::int64_t> mask(ids.size(), 0);  // to the end token, the largest id
  for (auto row = ids.begin(), out = row; row != ids.end(); row += length) {
    out = std::max_element(row, row + length) + 1;
    std::fill_n(mask.begin() + (row - ids.begin()), out - row, 1);
  }
  const Tokens text = upload_tokens<C>(ctx, packed(ids, mask, batch, length));
  constexpr int values = 3 * C::image_res * C::image_res;
  const auto image = run.template variable<values>("image", batch_of(batch));
  const std::vector<int> keep(mask.begin(), mask.end());
  ctx.no_grad([&] {
    const auto entered = model.visual.embed(ctx, image);
    report.check("vision_input", ctx.read(entered));
    report.check("vision_hidden",
                 ctx.read(run_blocks(ctx, model.visual.blocks, entered, C::vision_depth)));
    const auto words =
        embed<C::hidden_size>(ctx, text, model.token_embedding, model.positional_embedding);
    const auto hidden = run_blocks(ctx, model.blocks, words, C::num_hidden_layers);
    report.check_rows("text_hidden", detail::padded(ctx.read(hidden), keep), keep);
  });
  const auto i = model.encode_image(ctx, image);
  const auto t = model.encode_text(ctx, text);
  const auto i2t = scale_exp(ctx, matmul_nt(ctx, i, t), model.logit_scale);
  const auto t2i = scale_exp(ctx, matmul_nt(ctx, t, i), model.logit_scale);
  const auto loss = symmetric_cross_entropy(ctx, i2t, t2i);
  report.check("image_features", ctx.read(i));
  report.check("text_features", ctx.read(t));
  report.check("logits_per_image", ctx.read(i2t));
  report.check("logits_per_text", ctx.read(t2i));
  report.check_value("loss", static_cast<double>(ctx.item(loss)));
  report.check_value("logit_scale_exp", std::exp(golden.weight("logit_scale").values.at(0)));
  ctx.backward(loss);
  report.check("grad_input/image", ctx.gradient(image));
  report.check_group("grad", run.values(Plane::grad));
  const auto large = golden.input("logit_scale_large").template as<float>();
  copy_to_device(run.device(), run.store().data(Plane::online, model.logit_scale), large.data(), 1);
  Contrastive<Clip<C>>{}.after_update(run.store(), model);
  report.check("logit_scale_clamped", run.values(Plane::online).at("logit_scale"));
}

/// The runner of a CLIP case among the configurations Cs. Throws Error if none fits.
template <class Device, class... Cs>
std::function<void(const GoldenCase&, GoldenReport&)> find_clip_runner(const GoldenCase& golden) {
  std::function<void(const GoldenCase&, GoldenReport&)> found;
  ((matches_clip_config<Cs>(golden) ? void(found = run_clip_case<Cs, Device>) : void()), ...);
  require(found != nullptr, golden.folder, ": no configuration compiled in fits the case's config");
  return found;
}

}  // namespace albef
