// A CLIP composed from the library's parts: trained by fit() on emoji and their names, to be
// stopped and resumed, with the recall of held-out pictures after each epoch.
#include "albef/tasks/contrastive.hpp"
#include "albef/tasks/retrieval.hpp"
#include "common/run.hpp"

using namespace albef;

struct ClipConfig : Tiny {
  static constexpr int num_hidden_layers = fusion_layer;  // BERT without its fusion layers
};

template <class C>
struct Clip {
  using Config = C;
  Vit<C> vision;
  Bert<C> text;
  Linear<C::vision_width, C::embed_dim> image_proj;
  Linear<C::hidden_size, C::embed_dim> text_proj;
  Param<> logit_scale{init::constant(2.66f)};  // exp(2.66) = 1 / 0.07

  static constexpr void fields(auto& m, auto&& f) {
    f("vision", m.vision), f("text", m.text);
    f("image_proj", m.image_proj), f("text_proj", m.text_proj);
    f("logit_scale", m.logit_scale);
  }
  auto encode_image(auto& ctx, const auto& images) const {
    return l2_normalize(ctx, image_proj(ctx, first(ctx, vision(ctx, images))));  // (B, E)
  }
  auto encode_text(auto& ctx, const Tokens& texts) const {
    return l2_normalize(ctx, text_proj(ctx, first(ctx, text.text(ctx, texts))));  // (B, E)
  }
};

int main(int argc, char** argv) {
  examples::Program app("Trains a CLIP on pictures and their names", "clip");
  std::string data = "examples/data/emoji/emoji-train.tar";
  std::string held_out = "examples/data/emoji/emoji-val.tar";
  TrainOptions run{.output = "clip", .epochs = 10, .lr = 5e-4, .warmup = 50};
  bool resume = false;
  app.add("-d,--data", data, examples::data_help);
  app.add("--val", held_out, "what is searched after each epoch");
  app.add("-o,--output", run.output, "folder of the run");
  app.add("--epochs", run.epochs, "passes over the data", examples::positive);
  app.add("--resume", resume, "continue the run in the folder exactly");
  return examples::run_on_device(app, argc, argv, [&](auto& device) {
    const SourcePtr source = open_source(data), val = open_source(held_out);
    const RetrievalSet pool = retrieval_set(*val);
    const auto tokenizer = WordPiece::from_vocab(
        learn_vocabulary(clean_captions(*source), ClipConfig::vocab_size), "captions");
    const TrainTransform transform{64, true, {.scale_low = 0.6f}, 0, {.count = 0}};
    Loader loader(source, tokenizer, transform, {.batch_size = 64, .mask_probability = 0});

    using Device = std::remove_reference_t<decltype(device)>;
    Training<Contrastive<Clip<ClipConfig>>, Device> training(
        device, {.optimizer = {.weight_decay = 0.1, .max_norm = 1}});
    Session session(training, tokenizer);
    const auto validate = [&] {
      const Recall r = retrieval_recall(session, *val, pool);
      return Validation{r.mean() / 100, to_json(r)};
    };
    run.existing = resume ? Existing::resume : Existing::refuse;
    const auto ended = fit(training, loader, run, {tokenizer_info(tokenizer, 25), validate});
    return ended.signal ? 128 + ended.signal : 0;
  });
}
