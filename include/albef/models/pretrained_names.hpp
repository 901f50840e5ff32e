// How the tensors of a pre-training checkpoint are called in the models of the downstream tasks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace albef {

/// The pre-training name of a parameter that a fine-tuned official checkpoint calls
/// text_encoder.encoder... (there is no .bert. level in it); other names are returned unchanged.
inline std::string pretrain_name(const std::string& name) {
  for (const std::string_view prefix : {"text_encoder.", "text_encoder_m."})
    for (const std::string_view part : {"embeddings.", "encoder."})
      if (name.starts_with(std::string(prefix) + std::string(part)))
        return std::string(prefix) + "bert." + name.substr(prefix.size());
  return name;
}

/// A tensor's name in three parts: text_encoder_m.bert.x -> "text_encoder", "_m", "bert.x".
struct TensorName {
  std::string module, momentum, rest;

  explicit TensorName(std::string_view name) {
    const auto dot = name.find('.');
    module = name.substr(0, dot);
    if (module.ends_with("_m")) momentum = "_m", module.resize(module.size() - 2);
    if (dot != std::string_view::npos) rest = name.substr(dot + 1);
  }
  /// The name with another module and rest.
  std::string renamed(std::string_view to, std::string_view tail) const {
    return std::string(to) + momentum + '.' + std::string(tail);
  }
  /// What follows `prefix` in the rest, or null if it does not begin so.
  const char* after(std::string_view prefix) const {
    return rest.starts_with(prefix) ? rest.c_str() + prefix.size() : nullptr;
  }
};

/// The queues of pre-training, which are no parameters.
inline bool is_queue(std::string_view name) {
  return name == "image_queue" || name == "text_queue" || name == "queue_ptr" ||
         name == "idx_queue";
}

/// The heads and queues of pre-training, which the models of other tasks have no use for.
inline bool is_pretraining_only(const TensorName& name) {
  for (const std::string_view module : {"vision_proj", "text_proj", "itm_head", "ta_head", "temp"})
    if (name.module == module) return true;
  if (is_queue(name.module)) return true;
  return name.module == "text_encoder" && name.rest.starts_with("cls.");
}

/// The number l of "encoder.layer.<l>.<tail>" and the tail; number -1 for other names.
struct LayerName {
  int number = -1;
  std::string tail;

  explicit LayerName(std::string_view name) {
    constexpr std::string_view prefix = "encoder.layer.";
    if (!name.starts_with(prefix)) return;
    name.remove_prefix(prefix.size());
    int n = 0;
    std::size_t i = 0;
    for (; i < name.size() && i < 6 && name[i] >= '0' && name[i] <= '9'; ++i)
      n = 10 * n + (name[i] - '0');
    if (i == 0 || i >= name.size() || name[i] != '.') return;
    number = n;
    tail = name.substr(i + 1);
  }
  /// The name of the same tensor in layer `other`.
  std::string in(int other) const { return "encoder.layer." + std::to_string(other) + '.' + tail; }
};

/// The rule of models whose only text model is a Bert called text_encoder (Retrieval.py:269-274).
inline std::vector<std::string> bert_names(const std::string& full) {
  const TensorName name(full);
  if (is_pretraining_only(name)) return {};
  if (name.module == "text_encoder")
    if (const char* rest = name.after("bert.")) return {name.renamed("text_encoder", rest)};
  return {full};
}

}  // namespace albef
