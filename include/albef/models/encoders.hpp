// What the encoders of a model tell of a picture, of a text, or of both together: the state of the
// class token, on which probes and heads for classes stand.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "albef/models/config.hpp"
#include "albef/nn/block.hpp"
#include "albef/ops/embedding.hpp"
#include "albef/ops/gather.hpp"

namespace albef {

template <class C>
struct Albef;
template <class C>
struct Clip;
template <class C>
struct Dino;
template <class C>
struct Flava;

/// What is encoded.
enum class Domain { image, text, multimodal };

constexpr const char* domain_name(Domain domain) {
  return domain == Domain::image ? "image" : domain == Domain::text ? "text" : "multimodal";
}

/// The encoders of a model M: the `domains` it has one of, the `widths` of these, and for each the
/// state of the class token behind its last norm, before any projection:
///   image(ctx, m, images)               images (B, 3, S, S)  -> (B, D)
///   text(ctx, m, tokens)                tokens (B, L)        -> (B, D)
///   multimodal(ctx, m, images, tokens)  B of both            -> (B, D)
/// Specialise it for a model of your own.
template <class M>
struct Encoders;

template <class C>
struct Encoders<Albef<C>> {
  static constexpr std::array domains{Domain::image, Domain::text, Domain::multimodal};
  static constexpr std::array widths{C::vision_width, C::hidden_size, C::hidden_size};

  static auto image(auto& ctx, const auto& m, const auto& images) {
    return first(ctx, m.visual_encoder(ctx, images));  // (B, Dv)
  }
  static auto text(auto& ctx, const auto& m, const Tokens& tokens) {
    return first(ctx, m.text_encoder.bert.text(ctx, tokens));  // (B, D)
  }
  static auto multimodal(auto& ctx, const auto& m, const auto& images, const Tokens& tokens) {
    const auto& bert = m.text_encoder.bert;
    const auto kv = bert.image_keys_values(ctx, m.visual_encoder(ctx, images));  // (B, N, 2 D) each
    const auto x = bert.text(ctx, tokens);                                       // (B, L, D)
    return bert.fusion(ctx, x, kv, nullptr, first_rows(ctx, x.seq));             // (B, D)
  }
};

/// CLIP's features before the projection, which the paper's linear probes see (section 3.2).
template <class C>
struct Encoders<Clip<C>> {
  static constexpr std::array domains{Domain::image, Domain::text};
  static constexpr std::array widths{C::vision_width, C::hidden_size};

  static auto image(auto& ctx, const auto& m, const auto& images) {
    const auto x = m.visual.embed(ctx, images);                                  // (B, N + 1, Dv)
    const auto h = run_blocks(ctx, m.visual.blocks, x, first_rows(ctx, x.seq));  // (B, Dv)
    return m.visual.ln_post(ctx, h);                                             // (B, Dv)
  }
  static auto text(auto& ctx, const auto& m, const Tokens& tokens) {
    const auto x =
        embed<C::hidden_size>(ctx, tokens, m.token_embedding, m.positional_embedding);  // (B, L, D)
    return m.ln_final(ctx, run_blocks(ctx, m.blocks, x, last_rows(ctx, x.seq)));        // (B, D)
  }
};

template <class C>
struct Encoders<Dino<C>> {
  static constexpr std::array domains{Domain::image};
  static constexpr std::array widths{C::vision_width};

  static auto image(auto& ctx, const auto& m, const auto& images) {
    return first(ctx, m.backbone(ctx, images));  // (B, Dv)
  }
};

template <class C>
struct Encoders<Flava<C>> {
  static constexpr std::array domains{Domain::image, Domain::text, Domain::multimodal};
  static constexpr std::array widths{C::vision_width, C::hidden_size, multimodal_hidden_size<C>()};

  static auto image(auto& ctx, const auto& m, const auto& images) {
    return m.image_encoder.first_normed(ctx, m.image_states(ctx, images));  // (B, Dv)
  }
  static auto text(auto& ctx, const auto& m, const Tokens& tokens) {
    return m.text_encoder.first_normed(ctx, m.text_states(ctx, tokens));  // (B, D)
  }
  static auto multimodal(auto& ctx, const auto& m, const auto& images, const Tokens& tokens) {
    const auto image = m.image_for_matching(ctx, m.image_states(ctx, images));  // (B, N + 1, Dm)
    return m.pair_states(ctx, m.text_states(ctx, tokens), image);               // (B, Dm)
  }
};

/// Whether a model has an encoder of a domain.
template <class M>
constexpr bool encodes(Domain domain) {
  constexpr auto& all = Encoders<M>::domains;
  return std::find(all.begin(), all.end(), domain) != all.end();
}

/// The width of the class token's state in a domain that the model encodes.
template <class M>
constexpr int class_width(Domain domain) {
  constexpr auto& all = Encoders<M>::domains;
  const auto at = std::find(all.begin(), all.end(), domain) - all.begin();
  return Encoders<M>::widths[static_cast<std::size_t>(at)];
}

/// The class token's state (B, D) of what model m is given: images, tokens, or both.
template <Domain D, class M>
auto class_state(auto& ctx, const M& m, const auto&... in) {
  static_assert(encodes<M>(D), "class_state: the model has no encoder of this domain");
  if constexpr (D == Domain::image)
    return Encoders<M>::image(ctx, m, in...);
  else if constexpr (D == Domain::text)
    return Encoders<M>::text(ctx, m, in...);
  else
    return Encoders<M>::multimodal(ctx, m, in...);
}

}  // namespace albef
