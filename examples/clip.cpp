// A CLIP composed from the library's parts and trained on emoji and their names.
#include <cstdio>

#include "albef/data/retrieval_set.hpp"
#include "albef/data/webdataset.hpp"
#include "albef/loss/contrastive.hpp"
#include "albef/models/bert.hpp"
#include "albef/models/inputs.hpp"
#include "albef/text/vocabulary.hpp"
#include "common/device.hpp"

using namespace albef;

struct Config : Tiny {
  static constexpr int num_hidden_layers = fusion_layer;  // BERT without its fusion layers
};

struct Clip {
  Vit<Config> vision;
  Bert<Config> text;
  Linear<128, 64> image_proj, text_proj;
  Param<> logit_scale{init::constant(2.66f)};  // exp(2.66) = 1 / 0.07

  static constexpr void fields(auto& m, auto&& f) {
    f("vision", m.vision), f("text", m.text);
    f("image_proj", m.image_proj), f("text_proj", m.text_proj);
    f("logit_scale", m.logit_scale);
  }
  auto operator()(auto& ctx, const auto& images, const Tokens& texts) const {
    const auto i = l2_normalize(ctx, image_proj(ctx, first(ctx, vision(ctx, images))));   // (B, 64)
    const auto t = l2_normalize(ctx, text_proj(ctx, first(ctx, text.text(ctx, texts))));  // (B, 64)
    return symmetric_cross_entropy(ctx, scale_exp(ctx, matmul_nt(ctx, i, t), logit_scale),
                                   scale_exp(ctx, matmul_nt(ctx, t, i), logit_scale));
  }
};
constexpr auto clip = laid_out<Clip>();

int main(int argc, char** argv) {
  examples::Program app("Trains a CLIP on pictures and their names", "clip");
  std::string shard = "examples/data/emoji/emoji-train.tar";
  app.add_option("shard", shard, "pictures with names, a .tar file").capture_default_str();
  return examples::run_on_device(app, argc, argv, [&](auto& device) {
    const auto data = std::make_shared<WebDataset>(shard);
    const auto tokens = learn_vocabulary(retrieval_set(*data).texts, Config::vocab_size);
    const auto tokenizer = WordPiece::from_vocab(tokens, "captions");
    const TrainTransform transform{64, true, {.scale_low = 0.6f}, 0, {.count = 0}};
    Loader loader(data, tokenizer, transform, {.batch_size = 64});
    ParamStore store(device, clip, Storage::training);
    Context ctx(device, store);
    AdamW optimizer({.weight_decay = 0.1, .max_norm = 1});
    for (int step = 0; step <= 300; ++step) {
      const PairBatch& batch = loader.next();
      ctx.begin_step(static_cast<std::uint64_t>(step));
      const auto images = upload_images<Config>(ctx, batch.images);
      const auto loss = clip(ctx, images, upload_tokens<Config>(ctx, batch.text));
      ctx.backward(loss);
      optimizer.step(store, 5e-4);
      if (step % 50 == 0) std::printf("step %3d  loss %.3f\n", step, double{ctx.item(loss)});
    }
    return 0;
  });
}
