// A trained ALBEF ready for use: the weights of a checkpoint, its tokenizer, a context to run in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/core/context.hpp"
#include "albef/models/albef.hpp"
#include "albef/text/tokenizer_json.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

struct InferenceOptions {
  std::string vocab{};            ///< vocab.txt or tokenizer.json; empty: the checkpoint's own
  bool momentum = false;          ///< use the weights of the momentum model where it has any
  bool resize_positions = false;  ///< accept a checkpoint of another image size
  int max_text_length = 0;        ///< tokens of a text; 0: as trained (official checkpoints: 30)
};

namespace detail {

/// The tokens of a checkpoint's entry `vocab`, one per line.
inline WordPiece vocab_of(const std::string& path, const CheckpointInfo& info) {
  const auto found = info.find("vocab");
  require(found != info.end(), path,
          ": the checkpoint has no vocabulary; give its vocab.txt or tokenizer.json");
  std::vector<std::string> tokens;
  const std::string& text = found->second;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    tokens.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return WordPiece::from_vocab(std::move(tokens), path + " (vocab)");
}

/// The vocabulary for a checkpoint: its own, or that of the file `given`, which may have more or
/// fewer tokens at its end. Throws Error naming the first token that differs.
inline WordPiece vocab_for(const std::string& path, const CheckpointInfo& info,
                           const std::string& given) {
  if (given.empty()) return vocab_of(path, info);
  WordPiece vocabulary = load_wordpiece(given);
  if (!info.contains("vocab")) return vocabulary;
  const auto& tokens = vocabulary.tokens();
  const std::vector<std::string> own = vocab_of(path, info).tokens();
  for (std::size_t i = 0; i < std::min(tokens.size(), own.size()); ++i)
    require(tokens[i] == own[i], given, ": token ", i, " is '", tokens[i], "', that of ", path,
            " is '", own[i], "'");
  return vocabulary;
}

/// What the entry `name` says, or `otherwise`.
inline int info_number(const std::string& path, const CheckpointInfo& info, const char* name,
                       int otherwise) {
  const auto found = info.find(name);
  if (found == info.end()) return otherwise;
  const bool digits = !found->second.empty() && found->second.size() < 10 &&
                      found->second.find_first_not_of("0123456789") == std::string::npos;
  require(digits, path, ": entry '", name, "' is '", found->second, "', expected a number");
  return std::stoi(found->second);
}

}  // namespace detail

/// What of an InferenceModel does not depend on the type of the model.
template <class Device>
class InferenceParts {
 public:
  using Store = ParamStore<Device>;
  using Ctx = Context<Device>;
  using Real = typename Ctx::Real;

  Ctx& context() { return ctx_; }
  Store& store() { return store_; }
  const WordPiece& tokenizer() const { return *tokenizer_; }
  /// How texts are cut into tokens.
  const EncodeOptions& encoding() const { return encoding_; }
  /// What was loaded; its `info` is the checkpoint's metadata.
  const LoadReport& report() const { return report_; }

 protected:
  /// What of a configuration matters for a checkpoint.
  struct Limits {
    void (*check)(const std::string& path, const CheckpointInfo& info, bool any_image_size);
    int vocabulary, positions;
  };

  template <class M>
  InferenceParts(Device& device, const M& description)
      : store_(device, description, Storage::inference), ctx_(device, store_) {}
  ~InferenceParts();

  void load(const std::string& path, const InferenceOptions& options, const Limits& limits);

 private:
  void load_momentum(const std::string& path);

  Store store_;
  Ctx ctx_;
  LoadReport report_;
  std::optional<WordPiece> tokenizer_;
  EncodeOptions encoding_{.max_length = 30, .add_sep = false};
};

/// Holds weights for inference only. Training states, queues and (unless asked for) momentum
/// weights in the file are skipped; a masked-language-model head may be missing, as in official
/// fine-tuned checkpoints. Throws Error if anything else does not fit. M is the model: Albef, or
/// that of a downstream task.
template <class C, class Device, class M = Albef<C>>
class InferenceModel : public InferenceParts<Device> {
 public:
  using Config = C;
  static constexpr auto model = laid_out<M>();

  InferenceModel(Device& device, const std::string& path, const InferenceOptions& options = {})
      : InferenceParts<Device>(device, model) {
    this->load(path, options, {check_config<C>, C::vocab_size, C::max_position_embeddings});
  }
};

template <class Device>
InferenceParts<Device>::~InferenceParts() = default;

template <class Device>
void InferenceParts<Device>::load(const std::string& path, const InferenceOptions& options,
                                  const Limits& limits) {
  limits.check(path, SafeTensors::open(path).metadata(), options.resize_positions);
  report_ = Checkpoint(store_).load(
      path, {.allow_missing = true, .resize_positions = options.resize_positions});
  for (const auto& name : report_.missing)
    require(name.starts_with("text_encoder.cls."), path, ": tensor '", name,
            "' of the model is not in the file");
  if (options.momentum) load_momentum(path);

  tokenizer_ = detail::vocab_for(path, report_.info, options.vocab);
  require(tokenizer_->size() <= limits.vocabulary, options.vocab.empty() ? path : options.vocab,
          ": the vocabulary has ", tokenizer_->size(), " tokens, the model ", limits.vocabulary);
  const int trained = detail::info_number(path, report_.info, "max_text_length", 30);
  encoding_.max_length =
      std::min(options.max_text_length > 0 ? options.max_text_length : trained, limits.positions);
}

/// Puts the weights of the momentum model in place of the online ones.
template <class Device>
void InferenceParts<Device>::load_momentum(const std::string& path) {
  const auto file = SafeTensors::open(path);
  std::map<std::string, const TensorEntry*> entries;
  for (const auto& e : file.entries()) {
    entries[e.name] = &e;
    entries.try_emplace(pretrain_name(e.name), &e);
  }
  for (const auto& p : store_.params()) {
    if (!p.twin) continue;
    const auto found = entries.find(momentum_name(p.name));
    require(found != entries.end(), path, ": has no momentum weights ('", momentum_name(p.name),
            "')");
    require(found->second->elements() == p.size, path, ": tensor '", found->first, "' has ",
            found->second->elements(), " values, expected ", p.size);
    const auto values = file.template read<Real>(*found->second);
    copy_to_device(store_.device(), store_.data(Plane::online) + p.offset, values.data(), p.size);
  }
}

}  // namespace albef
