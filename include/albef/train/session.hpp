// A model ready for use, during training and after: weights, tokenizer, a context without dropout.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "albef/checkpoint/pretrained.hpp"
#include "albef/core/context.hpp"
#include "albef/text/wordpiece.hpp"
#include "albef/train/tokenizer_info.hpp"

namespace albef {

class Cpu;

struct SessionOptions {
  std::string vocab{};    ///< of a tokenizer, see any_tokenizer_for(); empty: the checkpoint's own
  bool momentum = false;  ///< use the weights of the momentum model where it has any
  bool resize_positions = false;  ///< accept a checkpoint of another image size
  int max_text_length = 0;        ///< tokens of a text; 0: as trained (official checkpoints: 30)
};

/// Asks for a model with the first values that the seed gives: what was learned is measured against
/// it.
struct NewModel {
  std::uint64_t seed = 42;
};

/// What of a Session does not depend on the type of the model.
template <class DeviceT, class PrecisionT = Fp32>
class SessionParts {
 public:
  using Device = DeviceT;
  using Precision = PrecisionT;
  using Store = ParamStore<Device, Precision>;
  using Ctx = Context<Device, Precision>;
  using Real = typename Ctx::Real;
  using Master = typename Ctx::Master;

  Ctx& context() { return ctx_; }
  Store& store() { return store_; }
  /// Error if the session has none.
  const Tokenizer& text_tokenizer() const {
    require(tokenizer_ != nullptr, "the session has no tokenizer");
    return *tokenizer_;
  }
  /// Where it is a WordPiece; else an Error.
  const WordPiece& tokenizer() const {
    const auto* words = dynamic_cast<const WordPiece*>(&text_tokenizer());
    require(words != nullptr, "the session's tokenizer is no WordPiece");
    return *words;
  }
  /// How texts are cut into tokens.
  const EncodeOptions& encoding() const { return encoding_; }
  /// What was loaded; its `info` is the checkpoint's metadata.
  const LoadReport& report() const { return report_; }

 protected:
  /// What of a model matters for a checkpoint.
  struct Limits {
    void (*check_config)(const std::string& path, const CheckpointInfo& info, bool any_image_size);
    bool (*may_miss)(std::string_view name, bool starts_training);
    NameRule names;
    int vocabulary, positions;
  };

  /// Weights of its own.
  explicit SessionParts(std::unique_ptr<Store> store)
      : owned_(std::move(store)), store_(*owned_), ctx_(store_.device(), store_) {}
  /// Those of a training.
  SessionParts(Store& store, const Tokenizer* tokenizer, const EncodeOptions& encoding)
      : store_(store),
        ctx_(store_.device(), store_),
        tokenizer_(tokenizer, [](const Tokenizer*) {}),
        encoding_(encoding) {}

  void load(const std::string& path, const SessionOptions& options, const Limits& limits);

 private:
  std::unique_ptr<Store> owned_;
  Store& store_;
  Ctx ctx_;
  LoadReport report_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  EncodeOptions encoding_{.max_length = 30, .add_sep = false};
};

/// A model M with weights, ready to evaluate. From a checkpoint it holds its own, for inference
/// only: training states, named state and (unless asked for) momentum weights in the file are
/// skipped; what M calls dispensable may be missing; Error if anything else does not fit. Over a
/// Training it reads the weights of that moment.
template <class M, class Device = Cpu, class Precision = Fp32>
class Session : public SessionParts<Device, Precision> {
  using Parts = SessionParts<Device, Precision>;

 public:
  using Model = M;
  using Config = config_of<M>;
  using Store = typename Parts::Store;
  static constexpr auto model = laid_out<M>();

  Session(Device& device, const std::string& path, const SessionOptions& options = {})
      : Parts(std::make_unique<Store>(device, model, Storage::inference)) {
    typename Parts::Limits limits{check_config<Config>, may_miss<M>, checkpoint_rule<M>(),
                                  std::numeric_limits<int>::max(), 512};
    if constexpr (requires { Config::vocab_size; }) limits.vocabulary = Config::vocab_size;
    if constexpr (requires { Config::max_position_embeddings; })
      limits.positions = Config::max_position_embeddings;
    this->load(path, options, limits);
  }
  /// Of a new model, without a tokenizer.
  Session(Device& device, const NewModel& fresh)
      : Parts(std::make_unique<Store>(device, model, Storage::inference, fresh.seed)) {}
  /// Over a training's weights: training and tokenizer must outlive it. The weights' gradients are
  /// the training's; clear them after back-propagating through the session (fit() does).
  template <class T>
  requires(std::is_same_v<typename T::Model, M>)
      Session(T& training, const Tokenizer& tokenizer,
              const EncodeOptions& encoding = {.max_length = 30, .add_sep = false})
      : Parts(training.store(), &tokenizer, encoding) {}
  /// The same for models without texts.
  template <class T>
  requires(std::is_same_v<typename T::Model, M>) explicit Session(T& training)
      : Parts(training.store(), nullptr, {}) {}
};
template <class T>
Session(T&, const Tokenizer&, const EncodeOptions&)
    -> Session<typename T::Model, typename T::Device, typename T::Precision>;
template <class T>
Session(T&, const Tokenizer&)
    -> Session<typename T::Model, typename T::Device, typename T::Precision>;
template <class T>
Session(T&) -> Session<typename T::Model, typename T::Device, typename T::Precision>;

template <class Device, class Precision>
void SessionParts<Device, Precision>::load(const std::string& path, const SessionOptions& options,
                                           const Limits& limits) {
  const CheckpointInfo info = SafeTensors::open(path).metadata();
  limits.check_config(path, info, options.resize_positions);
  report_ = Checkpoint(store_).load(
      path, {.dispensable = [&](std::string_view name) { return limits.may_miss(name, false); },
             .resize_positions = options.resize_positions,
             .momentum_as_online = options.momentum,
             .names = limits.names});
  if (info.contains("vocab") || info.contains("bpe") || !options.vocab.empty() ||
      limits.vocabulary != std::numeric_limits<int>::max()) {
    tokenizer_ = any_tokenizer_for(path, info, options.vocab);
    require(tokenizer_->size() <= limits.vocabulary, options.vocab.empty() ? path : options.vocab,
            ": the vocabulary has ", tokenizer_->size(), " tokens, the model ", limits.vocabulary);
  }
  const int trained = info_number(path, info, "max_text_length", 30);
  encoding_.max_length =
      std::min(options.max_text_length > 0 ? options.max_text_length : trained, limits.positions);
}

}  // namespace albef
