// A discrete autoencoder of pictures to train: DALL-E's encoder with a binary code for every 8 x 8
// pixels, and a decoder that mirrors it.
#pragma once

#include "albef/models/dalle.hpp"

namespace albef {

/// Learns the codes of small pictures in minutes on two CPU cores.
struct DvaeTiny {
  static constexpr int n_hid = 16, n_blk_per_group = 1, vocab_size = 512;
};

/// How many bits number the codes: their count must be a power of 2.
template <class C>
constexpr int code_bits() {
  int bits = 0;
  while (1 << bits < C::vocab_size) ++bits;
  static_assert(C::vocab_size > 1 && (C::vocab_size & (C::vocab_size - 1)) == 0,
                "Dvae: vocab_size is not a power of 2");
  return bits;
}

/// The way back: code bits (B, h w, bits) of +1 and -1 -> pixels (B, 64 h w, C) as 0.8 v + 0.1.
/// Four groups of blocks, of widths n_hid * (8, 4, 2, 1), with transposed convolutions between them
/// that double the sides.
template <class C>
struct DvaeDecoder {
  static constexpr int n = C::n_hid, blocks = C::n_blk_per_group, channels = image_channels<C>();
  static constexpr float gain = DalleTrunk<C>::gain;

  DalleConv<code_bits<C>(), 8 * n, 1> input;
  DalleGroup<8 * n, 8 * n, blocks> group_1{gain};
  ConvTranspose2d<8 * n, 4 * n, 2, 2> up_1;
  DalleGroup<4 * n, 4 * n, blocks> group_2{gain};
  ConvTranspose2d<4 * n, 2 * n, 2, 2> up_2;
  DalleGroup<2 * n, 2 * n, blocks> group_3{gain};
  ConvTranspose2d<2 * n, n, 2, 2> up_3;
  DalleGroup<n, n, blocks> group_4{gain};
  DalleConv<n, channels, 3> output = grey();

  /// Starts with medium pixels.
  static constexpr DalleConv<n, channels, 3> grey() {
    DalleConv<n, channels, 3> conv;
    conv.b.init = init::constant(0.5f);
    return conv;
  }
  static constexpr void fields(auto& m, auto&& f) {
    f("input", m.input);
    f("group_1", m.group_1), f("up_1", m.up_1);
    f("group_2", m.group_2), f("up_2", m.up_2);
    f("group_3", m.group_3), f("up_3", m.up_3);
    f("group_4", m.group_4), f("output", m.output);
  }
  template <class Ctx, class X>
  auto operator()(Ctx& ctx, const X& bits) const {
    const auto a = up_1(ctx, group_1(ctx, input(ctx, bits)));  // (B, 4 h w, 4 n)
    const auto b = up_2(ctx, group_2(ctx, a));                 // (B, 16 h w, 2 n)
    const auto c = up_3(ctx, group_3(ctx, b));                 // (B, 64 h w, n)
    return output.after_relu(ctx, group_4(ctx, c));            // (B, 64 h w, C)
  }
};

/// The autoencoder. Its codes are vectors quantised to the corners of a cube, one bit a dimension
/// (lookup-free quantisation: Yu et al. 2023): no code can be forgotten by all pictures, as entries
/// of a learned codebook are. Because the nearest corner is also that of the largest dot product,
/// what is learned is an encoder with logits of just the shape of DALL-E's: see code_logits().
template <class C>
struct Dvae {
  using Config = C;
  static constexpr int bits = code_bits<C>(), width = DalleTrunk<C>::width;

  DalleTrunk<C> trunk;
  DalleConv<width, bits, 1> code;
  DvaeDecoder<C> decoder;

  static constexpr void fields(auto& m, auto&& f) {
    f("encoder.blocks", m.trunk), f("encoder.code", m.code), f("decoder", m.decoder);
  }
  /// What the bits are the signs of: pixels (B, H W, C) as 0.8 v + 0.1 -> (B, H W / 64, bits).
  auto encode(auto& ctx, const auto& pixels) const {
    return code.after_relu(ctx, trunk(ctx, pixels));  // (B, H W / 64, bits)
  }
  /// Pixels (B, H W, C) -> what their codes say of them, (B, H W, C).
  auto operator()(auto& ctx, const auto& pixels) const {
    const auto z = encode(ctx, pixels);                    // (B, H W / 64, bits)
    return decoder(ctx, z.with(binarize(ctx, z.values)));  // (B, H W, C)
  }
};

/// Bit `bit` of code `code`, as +1 or -1.
constexpr int code_sign(int code, int bit) { return (code >> bit & 1) != 0 ? 1 : -1; }

}  // namespace albef
