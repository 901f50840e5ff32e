// The validations of a fine-tuning run: validation.jsonl, and the weights and results of the best
// epoch.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/core/error.hpp"
#include "albef/train/metrics.hpp"

namespace examples {

using Json = nlohmann::ordered_json;

/// "91.2 %" for a share.
std::string percent(double share);

/// The result of a validation: what the best epoch is chosen by, a share, and all there is to say.
struct Validation {
  double score = 0;
  Json results;
};

/// Keeps validation.jsonl, and says which epoch is the best. A new run removes the results of an
/// older one in its folder.
class BestEpoch {
 public:
  /// `next_step`: the first optimizer step that is not done yet.
  BestEpoch(const std::string& folder, std::int64_t next_step, bool validates);
  /// Whether an epoch of this score is the best so far.
  bool is_best(double score) const { return score > score_; }
  /// Adds an epoch; results.json are those of the best.
  void add(int epoch, std::int64_t step, const Validation& validation);
  /// Adds an epoch, tells about it, and saves the checkpoint with `info` if it is the best so far:
  /// before its results, so that those are never of weights that are not there.
  template <class CheckpointT>
  void keep(int epoch, std::int64_t step, const Validation& validation, CheckpointT checkpoint,
            albef::CheckpointInfo info) {
    const bool best = is_best(validation.score);
    std::fprintf(stderr, "epoch %d: validation %s%s\n", epoch, percent(validation.score).c_str(),
                 best ? ", the best so far" : "");
    if (best) {
      info["epoch"] = albef::concat(epoch);
      info["validation.score"] = albef::concat(validation.score);
      checkpoint.save(checkpoint_path(), info);
    }
    add(epoch, step, validation);
  }
  std::string checkpoint_path() const { return folder_ + "/checkpoint_best.safetensors"; }
  /// "best epoch 3: 91.2 %", or nothing before the first.
  std::string text() const;

 private:
  std::string folder_;
  std::unique_ptr<albef::MetricsLog> log_;
  int epoch_ = 0;
  double score_ = -1;
};

}  // namespace examples
