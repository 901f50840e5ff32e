// Models that a program tells apart by their checkpoints, so that what it does is done to any of
// them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "albef/checkpoint/safetensors.hpp"
#include "albef/tasks/config_list.hpp"
#include "albef/tasks/run.hpp"
#include "albef/train/session.hpp"

namespace albef {

template <class C>
struct Albef;
template <class C>
struct Clip;
template <class C>
struct Dino;
template <class C>
struct Flava;

/// What a model is called, and a parameter that its checkpoints have and no other's.
struct ModelKind {
  const char* name;
  const char* parameter;
};

/// Of a model template; specialise it for a model of your own.
template <template <class> class M>
inline constexpr ModelKind model_kind{};
template <>
inline constexpr ModelKind model_kind<Albef>{"albef",
                                             "text_encoder.bert.embeddings.LayerNorm.bias"};
template <>
inline constexpr ModelKind model_kind<Clip>{"clip", "visual.class_embedding"};
template <>
inline constexpr ModelKind model_kind<Dino>{"dino", "backbone.cls_token"};
template <>
inline constexpr ModelKind model_kind<Flava>{"flava", "model.mm_encoder.cls_token"};

/// Models to choose from at run time.
template <template <class> class... M>
struct ModelList {};

/// "albef, clip, flava"
template <template <class> class... M>
std::string model_names(ModelList<M...>) {
  std::string names;
  ((names += (names.empty() ? "" : ", ") + std::string(model_kind<M>.name)), ...);
  return names;
}

namespace detail {

/// Calls f.operator()<M>() for the first model whose kind matches(kind) accepts.
template <template <class> class First, template <class> class... Rest, class Matches, class F>
auto first_model(ModelList<First, Rest...>, const std::string& error, const Matches& matches,
                 F&& f) {
  if (matches(model_kind<First>)) return f.template operator()<First>();
  if constexpr (sizeof...(Rest) > 0)
    return first_model(ModelList<Rest...>{}, error, matches, f);
  else
    fail(error);
}

}  // namespace detail

/// Returns f.operator()<M>() for the model of the list that is called `name`.
template <class Models, class F>
auto with_model_called(const std::string& name, Models models, F&& f) {
  const std::string error =
      concat("unknown model '", name, "', expected one of ", model_names(models));
  return detail::first_model(
      models, error, [&](const ModelKind& kind) { return name == kind.name; }, f);
}

/// The same for the model that the checkpoint `path` is of.
template <class Models, class F>
auto with_model_of(const std::string& path, Models models, F&& f) {
  const SafeTensors file = SafeTensors::open(path);
  const auto& all = file.entries();
  const std::string error = concat(
      path, ": a checkpoint of none of the models that are known here: ", model_names(models));
  return detail::first_model(
      models, error,
      [&](const ModelKind& kind) {
        return std::any_of(all.begin(), all.end(),
                           [&](const TensorEntry& entry) { return entry.name == kind.parameter; });
      },
      f);
}

/// with_session() for whichever model of the list the checkpoint is of: returns f(session).
template <class Device, class Models, class List, class F>
auto with_any_session(Device& device, const std::string& path, const std::string& config,
                      const SessionOptions& options, Models models, List configs, F&& f) {
  return with_model_of(path, models, [&]<template <class> class M>() {
    return with_session<M>(device, path, config, options, configs, f);
  });
}

/// Returns f(session) for a new model of the list called `model`, in the configuration called
/// `config`.
template <class Device, class Models, class List, class F>
auto with_new_session(Device& device, const std::string& model, const std::string& config,
                      std::uint64_t seed, Models models, List configs, F&& f) {
  return with_model_called(model, models, [&]<template <class> class M>() {
    return with_config(
        config,
        [&]<class C>() {
          Session<M<C>, Device> session(device, NewModel{seed});
          return f(session);
        },
        configs);
  });
}

/// The name of the model that a session is of, and of its configuration.
template <class S>
struct ModelName;
template <template <class> class M, class C, class Device, class Precision>
struct ModelName<Session<M<C>, Device, Precision>> {
  static constexpr const char* model = model_kind<M>.name;
  static constexpr const char* config = config_name<C>;
};

}  // namespace albef
