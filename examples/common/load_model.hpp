// The options of programs that use a trained model, and loading it as the type it was trained as.
#pragma once

#include <cstdio>
#include <string>
#include <type_traits>

#include "albef/tasks/encode.hpp"
#include "albef/train/inference_model.hpp"
#include "compiled.hpp"
#include "config_dispatch.hpp"
#include "device.hpp"
#include "program.hpp"

extern template class albef::InferenceParts<albef::Cpu>;  // compiled once, in compiled.cpp

namespace examples {

struct ModelArguments {
  std::string checkpoint, config;
  albef::InferenceOptions inference;
  albef::EncodingOptions encoding;
  DeviceArguments compute;

  /// The model and its device.
  void add_to(Command& app) {
    app.add_option("-m,--checkpoint", checkpoint, "a run's checkpoint.safetensors").required();
    app.add_option("--config", config,
                   "configuration of a checkpoint that does not name its own (official ones): " +
                       config_names(Configs{}));
    app.add_option("--vocab", inference.vocab,
                   "vocab.txt or tokenizer.json; default: the checkpoint's own");
    app.add_flag("--momentum", inference.momentum, "use the momentum model's weights");
    app.add_flag("--resize-positions", inference.resize_positions,
                 "accept a checkpoint trained at another image size");
    compute.add_to(app);
  }
  /// How data sets are read.
  void add_batch_options(Command& app) {
    app.add_option("--batch", encoding.batch_size, "pictures or texts encoded at once")
        .capture_default_str();
    app.add_option("--workers", encoding.workers, "threads that read pictures ahead")
        .capture_default_str();
  }
  /// The same, and how their texts are cut.
  void add_encoding_options(Command& app) {
    app.add_option("--max-text-length", inference.max_text_length,
                   "tokens of a text; 0: as in training")
        .capture_default_str();
    add_batch_options(app);
  }
};

/// Loads the checkpoint and returns f(model), where model is an InferenceModel of the checkpoint's
/// configuration and of Model, e.g. AlbefVqa.
template <template <class> class Model = albef::Albef, class F>
int with_model(const ModelArguments& args, F&& f) {
  const auto info = checkpoint_info(args.checkpoint);
  return with_config(args.checkpoint, info, args.config, [&]<class C>() {
    return with_device(args.compute, [&](auto& device) {
      using Device = std::remove_reference_t<decltype(device)>;
      const auto load = [&] {
        try {
          return albef::InferenceModel<C, Device, Model<C>>(device, args.checkpoint,
                                                            args.inference);
        } catch (const albef::Error& error) {
          const auto task = info.find("task");
          if (task == info.end()) throw;
          albef::fail(error.what(), " (the checkpoint is of the task '", task->second, "')");
        }
      };
      auto model = load();
      std::fprintf(stderr, "%s: %s model, %s\n", args.checkpoint.c_str(), config_name<C>,
                   model.report().text().c_str());
      return f(model);
    });
  });
}

}  // namespace examples
