// Tokens and row selections of the CPU backend: pure data movement.
#pragma once

#include <algorithm>
#include <cmath>

#include "albef/core/error.hpp"
#include "albef/core/primitives/tokens.hpp"
#include "albef/cpu/loops.hpp"

namespace albef {

template <class T>
void run(Cpu& cpu, const primitive::Embedding<T>& a) {
  const int cols = a.y.cols;
  cpu.for_each(a.seq.count, [&](std::int64_t s) {
    const int begin = a.seq.begin(static_cast<int>(s)), length = a.seq.length(static_cast<int>(s));
    for (int t = 0; t < length; ++t) {
      const T* word = a.word + std::int64_t{a.ids[begin + t]} * cols;
      const T* position = a.position + std::int64_t{t} * cols;
      T* y = a.y.row(begin + t);
      if (a.type)
        for (int j = 0; j < cols; ++j) y[j] = word[j] + a.type[j] + position[j];
      else
        for (int j = 0; j < cols; ++j) y[j] = word[j] + position[j];
    }
  });
  for (int r = a.seq.begin(a.seq.count); r < a.y.rows; ++r) std::fill_n(a.y.row(r), cols, T{0});
}

template <class T>
void run(Cpu& cpu, const primitive::EmbeddingGrad<T>& a) {
  // Blocks of columns keep tables that several rows share free of races, in a fixed order.
  cpu.for_blocks(a.dy.cols, 64, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t cols = a.dy.cols;
    for (int s = 0; s < a.seq.count; ++s)
      for (int t = 0; t < a.seq.length(s); ++t) {
        const int r = a.seq.begin(s) + t;
        const T* dy = a.dy.row(r);
        const auto add_to = [&](T* sum) {
          for (std::int64_t j = first; j < last; ++j) sum[j] += dy[j];
        };
        if (a.word && a.ids[r] >= 0) add_to(a.word + a.ids[r] * cols);
        if (a.position) add_to(a.position + t * cols);
        if (a.type) add_to(a.type);
      }
  });
}

template <class T>
void run(Cpu& cpu, const primitive::GatherRows<T>& a) {
  for_rows(cpu, a.y.rows, a.y.cols, [&](int i) {
    const std::int32_t from = a.index[i];
    T* y = a.y.row(i);
    if (a.beta != 0) {
      for_packs<T>(a.y.cols, [&](std::int64_t j, int n) {
        const auto x = from < 0 ? Pack<T>(T{0}) : Pack<T>::load_n(a.x.row(from) + j, n);
        store_with_beta(x, a.beta, y + j, n);
      });
    } else if (from < 0) {
      std::fill_n(y, a.y.cols, T{0});
    } else {
      std::copy_n(a.x.row(from), a.y.cols, y);
    }
  });
}

template <class T>
void run(Cpu&, const primitive::PushRows<T>& a) {
  if (a.square_norm && !std::isfinite(*a.square_norm)) return;
  for (int i = 0; i < a.x.rows; ++i)
    std::copy_n(a.x.row(i), a.x.cols, a.ring.row(static_cast<int>((*a.at + i) % a.ring.rows)));
}
inline void run(Cpu&, const primitive::AdvanceRing& a) {
  if (a.square_norm && !std::isfinite(*a.square_norm)) return;
  *a.at = (*a.at + a.rows) % a.size;
}

template <class T, class Out>
void run(Cpu& cpu, const primitive::ScatterAddRows<T, Out>& a) {
  cpu.for_blocks(a.y.cols, 64, [&](std::int64_t first, std::int64_t last) {
    for (int i = 0; i < a.x.rows; ++i) {
      if (a.index[i] < 0) continue;
      const T* from = a.x.row(i);
      Out* to = a.y.row(a.index[i]);
      for (std::int64_t j = first; j < last; ++j) to[j] += static_cast<Out>(from[j]);
    }
  });
}

template <class T>
void run(Cpu& cpu, const primitive::SumSequences<T>& a) {
  cpu.for_each(a.seq.count, [&](std::int64_t sequence) {
    const auto s = static_cast<int>(sequence);
    const int begin = a.seq.begin(s), length = a.seq.length(s);
    const T factor = a.mean && length > 0 ? 1 / static_cast<T>(length) : T(1);
    for_packs<T>(a.y.cols, [&](std::int64_t j, int n) {
      Pack<T> sum(T{0});
      for (int r = begin; r < begin + length; ++r) sum += Pack<T>::load_n(a.x.row(r) + j, n);
      store_with_beta(sum * factor, a.beta, a.y.row(s) + j, n);
    });
  });
}

template <class T>
void run(Cpu& cpu, const primitive::SpreadSequences<T>& a) {
  const auto write = [&](int r, const T* x, T factor) {
    for_packs<T>(a.y.cols, [&](std::int64_t j, int n) {
      const auto v = x ? Pack<T>::load_n(x + j, n) * factor : Pack<T>(T{0});
      store_with_beta(v, a.beta, a.y.row(r) + j, n);
    });
  };
  cpu.for_each(a.seq.count, [&](std::int64_t sequence) {
    const auto s = static_cast<int>(sequence);
    const int begin = a.seq.begin(s), length = a.seq.length(s);
    const T factor = a.mean ? 1 / static_cast<T>(length) : T(1);
    for (int r = begin; r < begin + length; ++r) write(r, a.x.row(s), factor);
  });
  for (int r = a.seq.begin(a.seq.count); r < a.y.rows; ++r) write(r, nullptr, T(1));
}

inline void run(Cpu&, const primitive::GatherIds& a) {
  for (int i = 0; i < a.n; ++i) a.y[i] = a.x[a.index[i]];
}

inline void run(Cpu&, const primitive::FirstRows& a) {
  for (int i = 0; i < a.seq.count; ++i)
    a.index[i] = a.last ? a.seq.begin(i + 1) - 1 : a.seq.begin(i);
}

/// Throws Error if the sequences have more than `capacity` rows.
inline Sequences run(Cpu&, const primitive::SelectSequences& a) {
  a.offsets[0] = 0;
  for (int i = 0; i < a.n; ++i) {
    const int begin = a.seq.begin(a.index[i]), length = a.seq.length(a.index[i]);
    require(a.offsets[i] + length <= a.capacity, "[select] the sequences have more than ",
            a.capacity, " rows");
    for (int t = 0; t < length; ++t) a.rows[a.offsets[i] + t] = begin + t;
    a.offsets[i + 1] = a.offsets[i] + length;
  }
  return {
      .count = a.n, .total = a.offsets[a.n], .longest = a.seq.max_length(), .offsets = a.offsets};
}

inline Sequences run(Cpu&, const primitive::ConcatSequences& c) {
  std::fill_n(c.from_a, c.rows(), -1);
  std::fill_n(c.from_b, c.rows(), -1);
  if (c.to_a) std::fill_n(c.to_a, c.a.rows(), -1);
  std::fill_n(c.to_b, c.b.rows(), -1);
  c.offsets[0] = 0;
  for (int i = 0; i < c.b.count; ++i) {
    int row = c.offsets[i];
    const auto append = [&](const Sequences& seq, int s, std::int32_t* from, std::int32_t* to) {
      for (int r = seq.begin(s); r < seq.begin(s) + seq.length(s); ++r, ++row) {
        from[row] = r;
        if (to) to[r] = row;
      }
    };
    append(c.a, c.shared() ? 0 : i, c.from_a, c.to_a);
    append(c.b, i, c.from_b, c.to_b);
    c.offsets[i + 1] = row;
  }
  return c.result();
}

inline void run(Cpu&, const primitive::PairIndices& a) {
  for (int b = 0; b < a.batch; ++b) {
    a.text[b] = a.image[b] = b;
    a.text[a.batch + b] = b, a.image[a.batch + b] = a.negative_image[b];
    a.text[2 * a.batch + b] = a.negative_text[b], a.image[2 * a.batch + b] = b;
  }
}

}  // namespace albef
