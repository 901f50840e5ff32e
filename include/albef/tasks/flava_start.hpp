// How FLAVA's encoders start from models that saw pictures alone or texts alone (Singh et al. 2022,
// section 3.3): the image encoder from DINO, the text encoder from masked language modelling.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/checkpoint/safetensors.hpp"
#include "albef/core/error.hpp"
#include "albef/core/interpolate_pos_embed.hpp"
#include "albef/core/memory.hpp"
#include "albef/core/param_store.hpp"

namespace albef {
namespace detail {

/// Where a parameter is in a file: a tensor, or the rows of one of its three equal parts.
struct TensorPart {
  std::string name;
  int part = -1;  ///< of query, key and value in one tensor; -1: all of it
};

/// What timm's vision transformers, DINO's among them, call a parameter of FLAVA's image encoder,
/// whose name is without `model.image_encoder.`; nothing for what they do not have (the mask token,
/// the pooler).
inline std::optional<TensorPart> timm_part(std::string_view name) {
  using Names = std::pair<std::string_view, std::string_view>;
  constexpr std::array<Names, 6> whole{
      {{"embeddings.cls_token", "cls_token"},
       {"embeddings.position_embeddings", "pos_embed"},
       {"embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight"},
       {"embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias"},
       {"layernorm.weight", "norm.weight"},
       {"layernorm.bias", "norm.bias"}}};
  constexpr std::array<Names, 5> inner{{{"attention.output", "attn.proj"},
                                        {"attention_layernorm", "norm1"},
                                        {"feedforward.model.0", "mlp.fc1"},
                                        {"feedforward.model.2", "mlp.fc2"},
                                        {"feedforward_layernorm", "norm2"}}};
  constexpr std::array<std::string_view, 3> joined{"attention.query", "attention.key",
                                                   "attention.value"};
  for (const auto& [ours, theirs] : whole)
    if (name == ours) return TensorPart{std::string(theirs)};
  constexpr std::string_view layers = "encoder.layer.";
  if (!name.starts_with(layers)) return {};
  name.remove_prefix(layers.size());
  const auto number = name.substr(0, name.find('.'));
  const auto kind = name.substr(name.rfind('.'));  // .weight or .bias
  name = name.substr(number.size() + 1, name.size() - number.size() - 1 - kind.size());
  const auto block = concat("blocks.", number, '.');
  for (const auto& [ours, theirs] : inner)
    if (name == ours) return TensorPart{concat(block, theirs, kind)};
  for (std::size_t i = 0; i < joined.size(); ++i)
    if (name == joined[i]) return TensorPart{concat(block, "attn.qkv", kind), static_cast<int>(i)};
  return {};
}

/// What stands before the names of a vision transformer in a file: of a teacher if there is one.
inline std::string timm_prefix(const SafeTensors& file) {
  for (const char* const prefix :
       {"backbone_m.", "teacher.backbone.", "backbone.", "visual_encoder.", "", "module."})
    if (file.find(concat(prefix, "blocks.0.attn.qkv.weight"))) return prefix;
  fail(file.path(), ": no vision transformer is in the file (a tensor '",
       "blocks.0.attn.qkv.weight', as DINO's checkpoints have it, or 'model.image_encoder.', as "
       "those of FLAVA)");
}

/// Sets the parameters of a store that begin with `prefix` to what part_of(name) says of the file,
/// as far as it says anything. Error, before anything is changed, for what is not there or does not
/// fit.
template <class Store, class F>
LoadReport load_parts(Store& store, const SafeTensors& file, std::string_view prefix, F&& part_of) {
  using Real = typename Store::Real;
  LoadReport report;
  std::vector<std::pair<const ParamInfo*, std::vector<Real>>> found;
  for (const ParamInfo& p : store.params()) {
    if (!p.name.starts_with(prefix)) continue;
    const std::optional<TensorPart> part = part_of(std::string_view(p.name));
    if (!part) {
      report.missing.push_back(p.name);
      continue;
    }
    auto values = file.template read<Real>(part->name);
    const auto& shape = file.at(part->name).shape;
    if (p.name.ends_with("position_embeddings") && shape.size() == 3 && shape[2] == p.shape[2] &&
        shape[1] != p.shape[1]) {
      const int grid =
          static_cast<int>(std::lround(std::sqrt(static_cast<double>(p.shape[1] - 1))));
      values = interpolate_pos_embed<Real>(values, p.shape[2], grid);
      report.reshaped.push_back(p.name);
    }
    const auto wanted = static_cast<std::size_t>(p.size);
    if (part->part >= 0 && values.size() == 3 * wanted) {
      const auto first = values.begin() + part->part * static_cast<std::ptrdiff_t>(wanted);
      values = std::vector<Real>(first, first + static_cast<std::ptrdiff_t>(wanted));
    }
    require(values.size() == wanted, file.path(), ": tensor '", part->name, "' has shape ",
            shape_text(shape), ", of which the model's '", p.name, "' expects ", p.size,
            " values: a model of another size");
    found.emplace_back(&p, std::move(values));
  }
  for (const auto& [p, values] : found)
    for (const Plane plane : {Plane::online, Plane::ema})
      if (store.has(plane) && (plane == Plane::online || p->twin))
        copy_to_device(store.device(), store.data(plane, *p), values.data(), p->size);
  store.refresh();
  report.loaded = static_cast<int>(found.size());
  return report;
}

/// The name itself, where the file has it; Error where it does not.
inline auto same_name(const SafeTensors& file) {
  return [&file](std::string_view name) -> std::optional<TensorPart> {
    (void)file.at(name);
    return TensorPart{std::string(name)};
  };
}

}  // namespace detail

/// Starts the image encoder of a store for Flava from a checkpoint of FLAVA, of DINO (its teacher),
/// or of another vision transformer with timm's names and the same width and depth; positions are
/// resized to the model's grid. The mask token and the pooler, which only FLAVA has, stay as they
/// are. Error naming file and tensor for what is missing or does not fit.
template <class Store>
LoadReport start_image_encoder(Store& store, const std::string& path) {
  constexpr std::string_view prefix = "model.image_encoder.";
  const auto file = SafeTensors::open(path);
  for (const TensorEntry& entry : file.entries())
    if (entry.name.starts_with(prefix))
      return detail::load_parts(store, file, prefix, detail::same_name(file));
  const std::string theirs = detail::timm_prefix(file);
  return detail::load_parts(store, file, prefix, [&](std::string_view name) {
    auto part = detail::timm_part(name.substr(prefix.size()));
    if (part) part->name = theirs + part->name;
    return part;
  });
}

/// The same of the text encoder, from a checkpoint of FLAVA. The vocabulary must be the same.
template <class Store>
LoadReport start_text_encoder(Store& store, const std::string& path) {
  const auto file = SafeTensors::open(path);
  return detail::load_parts(store, file, "model.text_encoder.", detail::same_name(file));
}

}  // namespace albef
