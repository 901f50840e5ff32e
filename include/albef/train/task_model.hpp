// The model of a task in the middle of training, to be evaluated as an InferenceModel is.
#pragma once

#include "albef/core/context.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// Reads the weights of a task's store through a context of its own, which has dropout off: for
/// Trainer::after_epoch(). The task and the tokenizer must outlive it. Before training goes on,
/// whoever has back-propagated through it must call store().clear_gradients().
template <class Task>
class TaskModel {
 public:
  using Config = typename Task::Config;
  using Store = typename Task::Store;
  using Ctx = typename Task::Ctx;
  using Real = typename Ctx::Real;
  static constexpr auto& model = Task::model;

  TaskModel(Task& task, const WordPiece& tokenizer, const EncodeOptions& encoding)
      : store_(task.store()),
        ctx_(store_.device(), store_),
        tokenizer_(tokenizer),
        encoding_(encoding) {}

  Ctx& context() { return ctx_; }
  Store& store() { return store_; }
  const WordPiece& tokenizer() const { return tokenizer_; }
  /// How texts are cut into tokens.
  const EncodeOptions& encoding() const { return encoding_; }

 private:
  Store& store_;
  Ctx ctx_;
  const WordPiece& tokenizer_;
  EncodeOptions encoding_;
};

}  // namespace albef
