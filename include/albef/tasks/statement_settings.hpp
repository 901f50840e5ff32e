// The settings of runs on statements about pictures: visual entailment, NLVR2, and the
// text-assignment pre-training before it.
#pragma once

#include "albef/data/statements.hpp"
#include "albef/tasks/settings.hpp"
#include "albef/tasks/statements.hpp"

namespace albef {

/// Tiny's numbers come from trials on generated scenes, the others from the paper (configs/VE.yaml,
/// configs/NLVR.yaml, configs/NLVR_pretrain.yaml).
inline const Recipe statements_tiny{.epochs = 20,
                                    .batch_size = 64,
                                    .alpha_epochs = 10,
                                    .lr = 2e-4,
                                    .min_lr = 1e-5,
                                    .new_model_lr = 1e-3,
                                    .crop_low = 0.9f};
inline const Recipe entailment_paper{.epochs = 5, .alpha_epochs = 0};
inline const Recipe reasoning_paper{.epochs = 10, .batch_size = 16};
inline const Recipe assignment_tiny{.epochs = 10,
                                    .batch_size = 64,
                                    .lr = 2e-4,
                                    .min_lr = 1e-5,
                                    .new_model_lr = 1e-3,
                                    .max_text_length = 25,
                                    .crop_low = 0.9f};
inline const Recipe assignment_paper{
    .epochs = 1, .batch_size = 64, .min_lr = 1e-5, .max_text_length = 25, .crop_low = 0.2f};

/// What a user may set of a run on statements.
struct StatementSettings : TaskSettings {
  StatementSetPtr statements(const StatementFormat& format) const {
    return open_statements(data, format, annotations(false));
  }
  /// Those of --val; null without.
  StatementSetPtr validation_statements(const StatementFormat& format) const {
    if (val.empty()) return nullptr;
    return open_statements(val, format, annotations(true));
  }
};

}  // namespace albef
