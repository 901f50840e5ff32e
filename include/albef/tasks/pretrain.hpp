// ALBEF's pre-training step: objectives as template arguments over one shared forward pass.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "albef/data/pair_batch.hpp"
#include "albef/loss/contrastive.hpp"
#include "albef/loss/matching.hpp"
#include "albef/loss/queue.hpp"
#include "albef/models/albef.hpp"
#include "albef/models/inputs.hpp"
#include "albef/train/objective.hpp"

namespace albef {

/// Targets of an objective: the labels alone, or mixed with the momentum model's predictions.
struct Plain {};
struct Distill {};
/// Positives of ITC: the pair itself, or every pair of the same identity, in the batch and the
/// queue.
struct OwnPair {};
struct SameIdentity {};
/// Negatives of ITM: any other pair of the batch, or likely ones by ITC similarity.
struct Uniform {};
struct Hard {};

/// One batch on the device: B images and texts, and the masked copy of the texts.
template <class Real, class C>
struct PretrainBatch {
  ImageTensor<Real, C> image;                ///< (B, 3, S, S)
  Tokens text;                               ///< (B, L)
  Tokens masked;                             ///< (B, L) with tokens replaced for MLM
  RowSelection masked_rows;                  ///< the replaced positions, grouped by text
  const std::int32_t* mlm_labels = nullptr;  ///< (masked rows) their original ids
  const std::int64_t* identities = nullptr;  ///< (B) or null, see NegativeOptions, SameIdentity
  const accumulator_t<Real>* mlm_mean = nullptr;  ///< see SoftTargets::mean
  Negatives<accumulator_t<Real>> negatives = {};  ///< given negatives; drawn when image is null
};

/// Uploads the masked copy of a batch into `batch`.
template <class C, class Ctx>
void upload_masked(Ctx& ctx, const MaskedText& masked,
                   PretrainBatch<typename Ctx::Real, C>& batch) {
  require(masked.labels.size() == masked.rows.size() &&
              masked.offsets.size() == masked.text.offsets.size(),
          "got ", masked.labels.size(), " labels for ", masked.rows.size(),
          " masked tokens and offsets of ", masked.offsets.size() - 1, " texts, expected ",
          masked.text.count());
  detail::check_ids<C>(masked.labels);
  batch.masked = upload_tokens<C>(ctx, masked.text);
  batch.masked_rows = {ctx.upload(masked.rows), ctx.sequences(masked.offsets), ctx.stamp()};
  batch.mlm_labels = ctx.upload(masked.labels);
}

struct PretrainOptions {
  NegativeOptions negatives;
  /// The official teacher runs with BERT's dropout on; off by default here.
  bool teacher_dropout = false;
  float temp_min = 0.001f, temp_max = 0.5f;  ///< clamp of the temperature (model_pretrain.py:89)
};

/// Results of the forward pass; a loss whose objective is absent has no data.
template <class Real, int E>
struct PretrainResult {
  using A = accumulator_t<Real>;
  Tensor<A, 1> loss, loss_itc, loss_itm, loss_mlm;
  Tensor<Real, 2> itm_logits;  ///< (3 B, 2)
  Negatives<A> negatives;
  Tensor<A, E> image_m, text_m;  ///< momentum features (B, E), for the queue
};

/// What the objectives of a step share: computed once, if any of them needs it.
template <class Ctx, class C>
struct PretrainPass {
  using Real = typename Ctx::Real;
  using Master = typename Ctx::Master;
  using KeysValues = typename Bert<C>::template KeysValues<Real>;
  Ctx& ctx;
  const Albef<C>& model;
  const PretrainBatch<Real, C>& batch;
  const PretrainOptions& options;
  double alpha;

  Tensor<Real, C::vision_width> image, image_m;  ///< (B, N, Dv) of the student and the teacher
  Tensor<Real, C::hidden_size> text;             ///< (B, L, D)
  ItcFeatures<Master, C::embed_dim> features;
  ItcSimilarities<Master> similarities;
  KeysValues kv, kv_m;  ///< of every image, for all fusion passes
  PretrainResult<Real, C::embed_dim> result;

  /// Runs f with the momentum weights, not recorded.
  template <class F>
  decltype(auto) teacher(F&& f) {
    return ctx.frozen(Plane::ema, std::forward<F>(f), options.teacher_dropout);
  }
};

/// Image-text contrastive learning with momentum features and queues.
template <class Targets = Plain, class Positives = OwnPair>
struct Itc {
  static constexpr bool distills = std::is_same_v<Targets, Distill>;
  static constexpr bool by_identity = std::is_same_v<Positives, SameIdentity>;
  static constexpr bool momentum_features = true, momentum_image = true, fusion = false,
                        fusion_m = false;

  template <class Ctx, class C>
  static auto loss(PretrainPass<Ctx, C>& pass) {
    return pass.result.loss_itc = itc_loss(pass.ctx, pass.features, pass.similarities,
                                           pass.model.temp, distills ? pass.alpha : 0.0);
  }
};

/// Image-text matching on matching pairs and two negatives each.
template <class Strategy = Hard>
struct Itm {
  static constexpr bool momentum_features = false, momentum_image = false, fusion = true,
                        fusion_m = false, by_identity = false;

  template <class Ctx, class C>
  static auto loss(PretrainPass<Ctx, C>& pass) {
    using Real = typename Ctx::Real;
    auto& ctx = pass.ctx;
    const int batch = pass.text.seq.count;
    pass.result.negatives = negatives(pass, batch);
    const ItmPairs pairs = itm_pairs(ctx, batch, pass.result.negatives);
    // Every text is there twice, and the negatives are of any length.
    const int capacity = 2 * pass.text.rows() + batch * pass.text.seq.max_length();
    const auto x = select(ctx, pass.text, pairs.text, pairs.count, capacity);      // (3 B, L, D)
    pass.result.itm_logits = pass.model.itm_logits(ctx, x, pass.kv, pairs.image);  // (3 B, 2)
    return pass.result.loss_itm = cross_entropy(ctx, pass.result.itm_logits,
                                                SoftTargets<Real>{.labels = pairs.labels});
  }

 private:
  template <class Ctx, class C>
  static auto negatives(PretrainPass<Ctx, C>& pass, int batch) {
    const auto& b = pass.batch;
    if (b.negatives.image && !pass.similarities.text_to_image.data) return b.negatives;
    Mat<const typename Ctx::Master> t2i, i2t;
    if constexpr (std::is_same_v<Strategy, Hard>) {
      t2i = pass.similarities.text_to_image.mat();
      i2t = pass.similarities.image_to_text.mat();
    }
    auto n = draw_negatives(pass.ctx, batch, t2i, i2t, b.identities, pass.options.negatives);
    if (b.negatives.image) n.image = b.negatives.image, n.text = b.negatives.text;
    return n;
  }
};

/// Masked language modelling with the image as context.
template <class Targets = Plain>
struct Mlm {
  static constexpr bool distills = std::is_same_v<Targets, Distill>;
  static constexpr bool momentum_features = false, momentum_image = distills, fusion = true,
                        fusion_m = distills, by_identity = false;

  template <class Ctx, class C>
  static auto loss(PretrainPass<Ctx, C>& pass) {
    using Real = typename Ctx::Real;
    auto& ctx = pass.ctx;
    SoftTargets<Real> targets{.labels = pass.batch.mlm_labels, .mean = pass.batch.mlm_mean};
    if constexpr (distills) {
      targets.alpha = pass.alpha;
      if (pass.alpha > 0)
        targets.teacher = pass.teacher([&] { return logits(pass, pass.kv_m); }).mat();
    }
    return pass.result.loss_mlm = cross_entropy(ctx, logits(pass, pass.kv), targets);
  }

 private:
  /// Vocabulary logits at the masked positions, (M, V).
  template <class Ctx, class C>
  static auto logits(PretrainPass<Ctx, C>& pass, const auto& kv) {
    const auto& bert = pass.model.text_encoder.bert;
    const auto x = bert.text(pass.ctx, pass.batch.masked);                             // (B, L, D)
    const auto fused = bert.fusion(pass.ctx, x, kv, nullptr, pass.batch.masked_rows);  // (M, D)
    return pass.model.text_encoder.logits(pass.ctx, fused);
  }
};

/// The forward pass of one pre-training step with the given objectives, e.g. the paper's full
/// model Pretrain<Itc<Distill>, Itm<Hard>, Mlm<Distill>>. Encoders, momentum features and
/// cross-attention keys/values are computed once and shared; what no objective needs is not
/// computed. The loss is the plain sum.
///
/// Order of a step (model_pretrain.py:88-214): clamp of the temperature, student features,
/// momentum features, ITC, ITM, MLM; the caller runs backward, the optimizer (which advances the
/// moving average) and then pushes result.image_m / text_m to the queue.
template <class... Objectives>
struct Pretrain {
  static constexpr bool momentum_features = (... || Objectives::momentum_features);
  static constexpr bool momentum_image = (... || Objectives::momentum_image);
  static constexpr bool fusion = (... || Objectives::fusion);
  static constexpr bool fusion_m = (... || Objectives::fusion_m);
  static constexpr bool needs_momentum = momentum_features || momentum_image;
  /// Whether the queue must be told the identities of the batches pushed.
  static constexpr bool by_identity = (... || Objectives::by_identity);
  static_assert(!(... || std::is_same_v<Objectives, Itm<Hard>>) || momentum_features,
                "Pretrain: Itm<Hard> draws negatives by ITC similarity; add Itc<...>");

  PretrainOptions options;

  template <class Ctx, class C, class Queue>
  auto operator()(Ctx& ctx, const Albef<C>& model,
                  const PretrainBatch<typename Ctx::Real, C>& batch, const Queue& queue,
                  double alpha) const {
    const int pairs = batch.text.seq.count;
    require(batch.image.rows() == pairs, "[pretrain] got ", batch.image.rows(), " images and ",
            pairs, " texts");
    PretrainPass<Ctx, C> pass{ctx, model, batch, options, alpha, {}, {}, {}, {}, {}, {}, {}, {}};
    clamp_parameter(ctx, model.temp, static_cast<double>(options.temp_min),
                    static_cast<double>(options.temp_max));

    pass.image = model.visual_encoder(ctx, batch.image);        // (B, N, Dv)
    pass.text = model.text_encoder.bert.text(ctx, batch.text);  // (B, L, D)
    if constexpr (momentum_image)
      pass.image_m = pass.teacher([&] { return model.visual_encoder(ctx, batch.image); });
    if constexpr (momentum_features) {
      auto& f = pass.features;
      f.image = model.image_feature(ctx, pass.image);  // (B, E)
      f.text = model.text_feature(ctx, pass.text);     // (B, E)
      pass.teacher([&] {
        f.image_m = model.image_feature(ctx, pass.image_m);
        f.text_m = model.text_feature(ctx, model.text_encoder.bert.text(ctx, batch.text));
      });
      f.image_queue = queue.image();
      f.text_queue = queue.text();
      if constexpr (by_identity) {
        require(batch.identities != nullptr, "[pretrain] the batch has no identities");
        auto* all = ctx.template allocate<std::int64_t>(pairs + queue.size());
        copy_on_device(ctx.device(), all, batch.identities, pairs);
        copy_on_device(ctx.device(), all + pairs,
                       static_cast<const std::int64_t*>(queue.identities()), queue.size());
        f.identities = batch.identities;
        f.key_identities = all;
      }
      pass.similarities = itc_similarities(ctx, f, model.temp);
      pass.result.image_m = f.image_m;
      pass.result.text_m = f.text_m;
    }
    if constexpr (fusion) pass.kv = model.text_encoder.bert.image_keys_values(ctx, pass.image);
    if constexpr (fusion_m)
      if (alpha > 0)
        pass.kv_m = pass.teacher(
            [&] { return model.text_encoder.bert.image_keys_values(ctx, pass.image_m); });

    pass.result.loss = total(ctx, Objectives::loss(pass)...);
    return pass.result;
  }
};

/// The full objective of the paper.
using AlbefObjectives = Pretrain<Itc<Distill>, Itm<Hard>, Mlm<Distill>>;

/// Fine-tuning for retrieval (models/model_retrieval.py), also for grounding: a step over the same
/// model without MLM. Several captions of a picture are positives of each other, and never
/// negatives (official: NegativeOptions::epsilon 0, and the temperature is not clamped). The caller
/// pushes the batch's identities to the queue with its features.
using RetrievalObjectives = Pretrain<Itc<Distill, SameIdentity>, Itm<Hard>>;

/// ALBEF's pre-training as an objective; Parts is a Pretrain<...>. The queue's size may differ from
/// the configuration's.
template <class C, class Parts = AlbefObjectives>
struct AlbefPretraining {
  using Model = Albef<C>;
  using Batch = PairBatch;
  static constexpr bool distills = true;  // the momentum model also feeds the queues
  int queue_size = C::queue_size;
  PretrainOptions options = {};

  /// The queues, and what the pass under way brings them.
  template <class Ctx>
  struct State {
    using Queue = FeatureQueue<typename Ctx::Device, typename Ctx::Master>;
    Queue queue;
    Tensor<typename Ctx::Master, C::embed_dim> image_m, text_m;  ///< (B, E)
    const std::int64_t* identities = nullptr;                    ///< (B) or null

    State(typename Ctx::Device& device, const AlbefPretraining& o, std::uint64_t seed)
        : queue(device, Parts::momentum_features ? o.queue_size : 0, C::embed_dim, seed) {}
    void named(auto&& f) { queue.named(f); }
    void check_start(const auto& file) const { (void)queue.can_start_from(file); }
    int start_from(const auto& file) { return queue.start_from(file) ? 2 : 0; }
    void advance(Ctx&) {
      if constexpr (Parts::momentum_features)
        queue.collect(image_m.mat(), text_m.mat(), Parts::by_identity ? identities : nullptr);
    }
    void commit(const double* square_norm) { queue.commit(square_norm); }
  };

  template <class Ctx>
  auto operator()(Ctx& ctx, const Model& model, const PairBatch& host, const Step& step,
                  State<Ctx>& state) const {
    detail::check_batch(host);
    PretrainBatch<typename Ctx::Real, C> batch;
    batch.image = upload_images<C>(ctx, host);
    batch.text = upload_tokens<C>(ctx, host.text);
    upload_masked<C>(ctx, host.masked, batch);
    if (!host.image_ids.empty()) batch.identities = ctx.upload(host.image_ids);
    const auto result = Parts{options}(ctx, model, batch, state.queue, step.alpha);
    state.image_m = result.image_m;
    state.text_m = result.text_m;
    state.identities = batch.identities;
    return Losses(result.loss)
        .part("itc", result.loss_itc)
        .part("itm", result.loss_itm)
        .part("mlm", result.loss_mlm)
        .metric("temp", ctx.master_weight(model.temp));
  }
  std::vector<PlateauRule> plateaus(int batch_size) const {
    return {{"itc", itc_plateau(Parts::momentum_features ? queue_size : 0, batch_size)},
            {"itm", itm_plateau(), 0.005},
            {"mlm", std::log(static_cast<double>(C::vocab_size))}};
  }
};

/// Fine-tuning for retrieval and grounding: pairs of pictures and texts; batch.image_ids says which
/// pairs show the same picture, also across batches.
template <class C>
using RetrievalTraining = AlbefPretraining<C, RetrievalObjectives>;

}  // namespace albef
