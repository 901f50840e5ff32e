// The models whose checkpoints programs for all of them open.
#pragma once

#include "albef/models/albef.hpp"
#include "albef/models/clip.hpp"
#include "albef/models/dino.hpp"
#include "albef/models/flava.hpp"
#include "albef/tasks/model_kinds.hpp"
#include "common/run.hpp"

namespace examples {

inline constexpr albef::ModelList<albef::Albef, albef::Clip, albef::Dino, albef::Flava> models;

/// Returns f(session) for the checkpoint of the options, of whichever model it is.
template <class F>
int with_any_model(const ModelArguments& args, F&& f) {
  return with_device(args.compute, [&](auto& device) {
    return albef::with_any_session(device, args.checkpoint, args.config, args.session, models,
                                   configs, f);
  });
}

}  // namespace examples
