// Which rows of a packed (unpadded) batch belong to which sequence.
#pragma once

namespace albef {

/// Rows of a packed batch: sequence i owns rows [begin(i), begin(i) + length(i)).
/// Either every sequence has `uniform` rows, or `offsets` points to count + 1 ascending row
/// numbers in the device's memory, the first of them 0. Sequences may be empty. Non-owning and
/// trivially copyable.
///
/// What the host must know without reading device memory stands beside the offsets: the number of
/// rows and the length of the longest sequence. Both may be upper bounds where only the device
/// knows better. Rows behind the last sequence are padding: whatever makes them writes finite
/// values (attention and embeddings: zeros), and their gradient is zero.
struct Sequences {
  int count = 0;
  int uniform = 0;
  int total = 0;    ///< rows including padding; only with offsets
  int longest = 0;  ///< at least the length of the longest sequence; only with offsets
  const int* offsets = nullptr;

  /// begin(i) and length(i) read the offsets: for code that runs on the device.
  constexpr int begin(int i) const { return offsets ? offsets[i] : i * uniform; }
  constexpr int length(int i) const { return offsets ? offsets[i + 1] - offsets[i] : uniform; }
  constexpr int rows() const { return offsets ? total : count * uniform; }
  /// Length of the longest sequence, or a bound on it.
  constexpr int max_length() const { return offsets ? longest : count > 0 ? uniform : 0; }
};

/// `count` sequences of `length` rows each.
constexpr Sequences uniform_sequences(int count, int length) {
  return {.count = count, .uniform = length};
}

/// Sequences given by `count` + 1 offsets on the device, of which the host keeps a copy, or any
/// pointer it can read.
constexpr Sequences packed_sequences(int count, const int* device_offsets,
                                     const int* host_offsets) {
  Sequences s{.count = count, .total = host_offsets[count], .offsets = device_offsets};
  for (int i = 0; i < count; ++i)
    if (const int n = host_offsets[i + 1] - host_offsets[i]; n > s.longest) s.longest = n;
  return s;
}
/// The same where the host can read the offsets itself: on the CPU.
constexpr Sequences packed_sequences(int count, const int* offsets) {
  return packed_sequences(count, offsets, offsets);
}

}  // namespace albef
