// Which rows of a packed (unpadded) batch belong to which sequence.
#pragma once

namespace albef {

/// Rows of a packed batch: sequence i owns rows [begin(i), begin(i) + length(i)).
/// Either every sequence has `uniform` rows, or `offsets` points to count + 1 ascending row
/// numbers, the first of them 0. Sequences may be empty. Non-owning and trivially copyable.
struct Sequences {
  int count = 0;
  int uniform = 0;
  const int* offsets = nullptr;

  constexpr int begin(int i) const { return offsets ? offsets[i] : i * uniform; }
  constexpr int length(int i) const { return offsets ? offsets[i + 1] - offsets[i] : uniform; }
  constexpr int rows() const { return begin(count); }
  /// Length of the longest sequence.
  constexpr int max_length() const {
    int longest = 0;
    for (int i = 0; i < (offsets ? count : count > 0); ++i)
      if (length(i) > longest) longest = length(i);
    return longest;
  }
};

}  // namespace albef
