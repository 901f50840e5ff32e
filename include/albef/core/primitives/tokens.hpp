// Token embeddings, and rows chosen and moved.
#pragma once

#include <cstdint>

#include "albef/core/matrix.hpp"
#include "albef/core/sequences.hpp"

namespace albef::primitive {

/// Token embeddings: y[r] = word[ids[r]] + position[r - start of its sequence] + type0; padding
/// rows (see Sequences) become zero and give no gradient.
template <class T>
struct Embedding {
  const std::int32_t* ids = nullptr;  ///< (rows)
  Sequences seq;
  const T* word = nullptr;      ///< (vocabulary, width)
  const T* position = nullptr;  ///< (positions, width)
  const T* type = nullptr;      ///< (types, width): row 0 is added; null: nothing
  Mat<T> y;
};

/// Gradient of the token embeddings, added to each of the three tables.
template <class T>
struct EmbeddingGrad {
  const std::int32_t* ids = nullptr;  ///< (rows); negative: no gradient of word
  Sequences seq;
  Mat<const T> dy;
  /// Added to: they already hold beta times the old value. Null: not asked for.
  accumulator_t<T>* word = nullptr;
  accumulator_t<T>* position = nullptr;
  accumulator_t<T>* type = nullptr;
  int vocabulary = 0;  ///< rows of word
};

/// y[i] = x[index[i]] + beta y[i]. A negative index stands for a row of zeros.
template <class T>
struct GatherRows {
  Mat<const T> x;
  const std::int32_t* index = nullptr;  ///< (rows of y)
  Mat<T> y;
  accumulator_t<T> beta = 0;
};

/// y[i] = x[index[i]] for whole numbers.
struct GatherIds {
  const std::int32_t* x = nullptr;
  const std::int32_t* index = nullptr;  ///< (n)
  int n = 0;
  std::int32_t* y = nullptr;  ///< (n)
};

/// y[index[i]] += x[i] in the order of i; rows of a negative index are left out.
template <class T, class Out = T>
struct ScatterAddRows {
  Mat<const T> x;
  const std::int32_t* index = nullptr;  ///< (rows of x)
  Mat<Out> y;
};

/// Rows into a ring: ring[(*at + i) % ring.rows] = x[i], of at most as many rows as the ring has.
/// Where square_norm is set and *square_norm is infinite or NaN, nothing changes.
template <class T>
struct PushRows {
  Mat<const T> x;
  Mat<T> ring;
  const std::int64_t* at = nullptr;  ///< one word
  const double* square_norm = nullptr;
};

/// *at = (*at + rows) % size, under the same condition.
struct AdvanceRing {
  std::int64_t* at = nullptr;
  std::int64_t rows = 0, size = 1;
  const double* square_norm = nullptr;
};

/// y[s] = sum of the rows of sequence s, or their mean (0 of an empty sequence), + beta y[s].
template <class T>
struct SumSequences {
  Mat<const T> x;
  Sequences seq;
  bool mean = false;
  Mat<T> y;  ///< (seq.count, columns)
  accumulator_t<T> beta = 0;
};

/// y[r] = x[s], or x[s] over the length of s, + beta y[r] for every row r of sequence s; zeros in
/// the place of x[s] for padding rows. The adjoint of SumSequences.
template <class T>
struct SpreadSequences {
  Mat<const T> x;  ///< (seq.count, columns)
  Sequences seq;
  bool mean = false;
  Mat<T> y;
  accumulator_t<T> beta = 0;
};

/// index[i] = first or last row of sequence i.
struct FirstRows {
  Sequences seq;
  std::int32_t* index = nullptr;  ///< (seq.count)
  bool last = false;              ///< of none: the row before, -1 at the start
};

/// Sequences index[0..n) one after the other: where each begins, and their source rows (-1 behind
/// the last). The result's number of rows is what the host knows: at most `capacity`. What exceeds
/// it is an error where the device can tell at once, and cut off where not.
struct SelectSequences {
  using Result = Sequences;
  Sequences seq;
  const std::int32_t* index = nullptr;  ///< (n)
  int n = 0;
  int capacity = 0;
  std::int32_t* offsets = nullptr;  ///< (n + 1)
  std::int32_t* rows = nullptr;     ///< (capacity)
};

/// The sequences [a_i ; b_i]: where each begins, where its rows come from and where the rows of a
/// and b go. a has as many sequences as b, or a single one, which is put in front of every b_i.
struct ConcatSequences {
  using Result = Sequences;
  Sequences a, b;
  std::int32_t* offsets = nullptr;  ///< (b.count + 1)
  std::int32_t* from_a = nullptr;   ///< (rows of the result) row of a, or -1
  std::int32_t* from_b = nullptr;   ///< (rows of the result) row of b, or -1
  /// (rows of a) or null; -1 for padding; of a single a, the places in the last sequence
  std::int32_t* to_a = nullptr;
  std::int32_t* to_b = nullptr;  ///< (rows of b); -1 for padding

  constexpr bool shared() const { return a.count == 1 && b.count != 1; }
  /// Rows of the result, padding included.
  constexpr int rows() const { return a.rows() * (shared() ? b.count : 1) + b.rows(); }
  constexpr Sequences result() const {
    return {.count = b.count,
            .total = rows(),
            .longest = a.max_length() + b.max_length(),
            .offsets = offsets};
  }
};

/// The 3 B image-text pairs of ITM: matching pairs (b, b), then text b with its negative image,
/// then image b with its negative text.
struct PairIndices {
  int batch = 0;
  const std::int32_t* negative_image = nullptr;  ///< (B)
  const std::int32_t* negative_text = nullptr;   ///< (B)
  std::int32_t* text = nullptr;                  ///< (3 B)
  std::int32_t* image = nullptr;                 ///< (3 B)
};

}  // namespace albef::primitive
