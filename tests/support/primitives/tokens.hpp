// Token embeddings, and rows chosen and moved.
#pragma once

#include "../operands.hpp"
#include "elementwise.hpp"

namespace cases {

/// Texts over a small vocabulary, of the given lengths.
struct TextShape {
  std::vector<int> lengths;
  int padding, vocabulary, cols;
};
inline const TextShape text_shapes[] = {{{3, 0, 5, 1, 4}, 3, 6, 3}, {{3, 0, 5, 1, 4}, 3, 6, 64}};
inline const TextShape base_text{std::vector<int>(64, 25), 0, 30522, 768};

inline std::vector<std::int32_t> words_of(const TextShape& s, int rows) {
  std::vector<std::int32_t> words(static_cast<std::size_t>(rows));
  for (std::size_t r = 0; r < words.size(); ++r)
    words[r] = static_cast<std::int32_t>(r * r % static_cast<std::size_t>(s.vocabulary - 1));
  return words;
}

inline void run(Naive&, const primitive::Embedding<double>& a) {
  for (int i = 0; i < a.y.rows; ++i) std::fill_n(a.y.row(i), a.y.cols, 0.0);
  for (int s = 0; s < a.seq.count; ++s)
    for (int t = 0; t < a.seq.length(s); ++t)
      for (int j = 0; j < a.y.cols; ++j) {
        const int r = a.seq.begin(s) + t;
        a.y.row(r)[j] = a.word[a.ids[r] * a.y.cols + j] + a.position[t * a.y.cols + j] +
                        (a.type ? a.type[j] : 0);
      }
}
template <class T>
struct PrimitiveCase<primitive::Embedding<T>> {
  static void each(const auto& h) {
    for (const TextShape& s : h.sizes(text_shapes, base_text)) {
      Lengths lengths(s.lengths, s.padding);
      Array<std::int32_t> ids(words_of(s, lengths.total));
      auto word = Matrix<T>::random(s.vocabulary, s.cols),
           position = Matrix<T>::random(lengths.longest + 2, s.cols),
           type = Matrix<T>::random(2, s.cols);
      Matrix<T> y(lengths.total, s.cols);
      y.set(undefined);
      for (const bool typed : {true, false})
        h.template check<T>(
            tolerance<T>,
            [&](auto on) {
              primitive::Embedding<typename decltype(on)::Real> a;
              a.ids = on(ids), a.seq = on(lengths), a.y = on(y);
              a.word = on.data(word), a.position = on.data(position);
              if (typed) a.type = on.data(type);
              return a;
            },
            y);
    }
  }
};

inline void run(Naive&, const primitive::EmbeddingGrad<double>& a) {
  for (int s = 0; s < a.seq.count; ++s)
    for (int t = 0; t < a.seq.length(s); ++t)
      for (int j = 0; j < a.dy.cols; ++j) {
        const int r = a.seq.begin(s) + t;
        const double dy = a.dy.row(r)[j];
        if (a.ids[r] >= 0) a.word[a.ids[r] * a.dy.cols + j] += dy;
        a.position[t * a.dy.cols + j] += dy;
        a.type[j] += dy;
      }
}
template <class T>
struct PrimitiveCase<primitive::EmbeddingGrad<T>> {
  static void each(const auto& h) {
    using A = accumulator_t<T>;
    for (const TextShape& s : h.sizes(text_shapes, base_text)) {
      Lengths lengths(s.lengths, s.padding);
      auto words = words_of(s, lengths.total);
      for (std::size_t r = 1; r < words.size(); r += 7) words[r] = -1;
      Array<std::int32_t> ids(words);
      auto dy = Matrix<T>::random(lengths.total, s.cols);
      const int valid = lengths.total - s.padding;
      dy.set([&](int i, int j) { return i < valid ? dy.start(i, j) : 0.0; });
      auto word = Matrix<A>::random(s.vocabulary, s.cols),
           position = Matrix<A>::random(lengths.longest + 2, s.cols),
           type = Matrix<A>::random(2, s.cols);
      h.template check<T>(
          20 * tolerance<A>,
          [&](auto on) {
            primitive::EmbeddingGrad<typename decltype(on)::Real> a;
            a.ids = on(ids), a.seq = on(lengths), a.dy = on(dy), a.vocabulary = s.vocabulary;
            a.word = on.data(word), a.position = on.data(position), a.type = on.data(type);
            return a;
          },
          word, position, type);
    }
  }
};

/// 600 indices, longer than a block's stretch on a GPU, with repetitions and holes.
inline std::vector<std::int32_t> some_rows(int rows, int count) {
  std::vector<std::int32_t> index(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < index.size(); ++i)
    index[i] =
        i % 11 == 4 ? -1 : static_cast<std::int32_t>(i * i / 3 % static_cast<std::size_t>(rows));
  return index;
}

template <class T>
void run(Naive&, const primitive::PushRows<T>& a) {
  if (a.square_norm && !std::isfinite(*a.square_norm)) return;
  for (int i = 0; i < a.x.rows; ++i)
    for (int j = 0; j < a.x.cols; ++j)
      a.ring.row(static_cast<int>((*a.at + i) % a.ring.rows))[j] = a.x.row(i)[j];
}
inline void run(Naive&, const primitive::AdvanceRing& a) {
  if (a.square_norm && !std::isfinite(*a.square_norm)) return;
  *a.at = (*a.at + a.rows) % a.size;
}
/// Calls f(square_norm) for a norm that does not matter, one that is finite and two that are not.
inline void for_norms(auto f) {
  f(nullptr);
  for (const double value : {2.0, std::numeric_limits<double>::infinity(), undefined}) {
    Array<double> norm({value});
    f(&norm);
  }
}
template <class T>
struct PrimitiveCase<primitive::PushRows<T>> {
  static void each(const auto& h) {
    for (const Shape& shape : h.sizes(shapes, base_shape))
      for (const int ring_rows : {shape.rows, shape.rows + 3})
        for_norms([&](Array<double>* norm) {
          const int rows = shape.rows, cols = shape.cols, gap = shape.gap;
          Array<std::int64_t> at({rows - 1});
          const auto arguments = [&](auto on, auto x, auto ring) {
            return primitive::PushRows<Element<decltype(ring.data)>>{x, ring, on(at),
                                                                     norm ? on(*norm) : nullptr};
          };
          if constexpr (std::is_integral_v<T>) {
            Array<T> x(std::vector<T>(static_cast<std::size_t>(rows * cols), 3)),
                ring(std::vector<T>(static_cast<std::size_t>(ring_rows * cols), 4));
            h.template check<float>(
                0,
                [&](auto on) {
                  return arguments(on, albef::mat(on(x), rows, cols),
                                   albef::mat(on(ring), ring_rows, cols));
                },
                ring);
          } else {
            auto x = Matrix<T>::random(rows, cols, gap),
                 ring = Matrix<T>::random(ring_rows, cols, gap);
            h.template check<T>(
                0, [&](auto on) { return arguments(on, on(x), on(ring)); }, ring);
          }
        });
  }
};
template <>
struct PrimitiveCase<primitive::AdvanceRing> {
  static void each(const auto& h) {
    for (const std::int64_t rows : h.sizes({0, 3, 7}, 4))
      for_norms([&](Array<double>* norm) {
        Array<std::int64_t> at({5});
        h.template check<float>(
            0,
            [&](auto on) {
              return primitive::AdvanceRing{on(at), rows, 7, norm ? on(*norm) : nullptr};
            },
            at);
      });
  }
};

inline void run(Naive&, const primitive::GatherRows<double>& a) {
  for (int i = 0; i < a.y.rows; ++i)
    for (int j = 0; j < a.y.cols; ++j)
      a.y.row(i)[j] = blend(a.index[i] < 0 ? 0 : a.x.row(a.index[i])[j], a.beta, a.y.row(i)[j]);
}
template <class T>
struct PrimitiveCase<primitive::GatherRows<T>> {
  static void each(const auto& h) {
    for (const auto [rows, cols, gap] : h.sizes(shapes, base_shape)) {
      const int n = std::max(600, rows);
      auto x = Matrix<T>::random(rows, cols, gap);
      Array<std::int32_t> index(some_rows(rows, n));
      Matrix<T> y(n, cols, gap);
      for_betas(y, [&](float beta) {
        h.template check<T>(
            beta == 0 ? 0 : tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::GatherRows<R>{on(x), on(index), on(y), on.sum(beta)};
            },
            y);
      });
    }
  }
};

inline void run(Naive&, const primitive::ScatterAddRows<double>& a) {
  for (int i = 0; i < a.x.rows; ++i)
    for (int j = 0; j < a.x.cols; ++j)
      if (a.index[i] >= 0) a.y.row(a.index[i])[j] += a.x.row(i)[j];
}
template <class T, class Out>
struct PrimitiveCase<primitive::ScatterAddRows<T, Out>> {
  static void each(const auto& h) {
    for (const auto [rows, cols, gap] : h.sizes(shapes, base_shape)) {
      const int n = std::max(600, rows);
      auto x = Matrix<T>::random(n, cols, gap);
      Array<std::int32_t> index(some_rows(rows, n));
      auto y = Matrix<Out>::random(rows, cols, gap);
      h.template check<T>(
          20 * tolerance<Out>,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            return primitive::ScatterAddRows<R, Element<decltype(on.data(y))>>{on(x), on(index),
                                                                               on(y)};
          },
          y);
    }
  }
};

/// Rows of sequences of the given lengths, with padding behind them.
struct SequenceShape {
  std::vector<int> lengths;
  int padding, cols, gap;
};
inline const SequenceShape sequence_shapes[] = {
    {{3, 0, 5, 1, 40, 2}, 3, 3, 0}, {{3, 0, 5, 1, 40, 2}, 0, 64, 8}, {{7, 30}, 2, 130, 1}};
inline const SequenceShape base_sequences{std::vector<int>(64, 25), 0, 768, 0};

inline double length_factor(bool mean, int length) {
  return mean && length > 0 ? 1.0 / length : 1.0;
}
inline void run(Naive&, const primitive::SumSequences<double>& a) {
  for (int s = 0; s < a.seq.count; ++s)
    for (int j = 0; j < a.y.cols; ++j) {
      double sum = 0;
      for (int t = 0; t < a.seq.length(s); ++t) sum += a.x.row(a.seq.begin(s) + t)[j];
      a.y.row(s)[j] = blend(sum * length_factor(a.mean, a.seq.length(s)), a.beta, a.y.row(s)[j]);
    }
}
inline void run(Naive&, const primitive::SpreadSequences<double>& a) {
  std::vector<int> owner(static_cast<std::size_t>(a.y.rows), -1);
  for (int s = 0; s < a.seq.count; ++s)
    for (int t = 0; t < a.seq.length(s); ++t)
      owner[static_cast<std::size_t>(a.seq.begin(s) + t)] = s;
  naive_elements(a.y, a.beta, [&](int r, int j) {
    const int s = owner[static_cast<std::size_t>(r)];
    return s < 0 ? 0.0 : a.x.row(s)[j] * length_factor(a.mean, a.seq.length(s));
  });
}
/// Primitives from rows to sequences or back, sums and means.
template <class T, bool ToSequences, class Make>
void each_sequences(const auto& h, Make make) {
  for (const auto& shape : h.sizes(sequence_shapes, base_sequences)) {
    Lengths lengths(shape.lengths, shape.padding);
    const int from = ToSequences ? lengths.total : lengths.count;
    const int to = ToSequences ? lengths.count : lengths.total;
    auto x = Matrix<T>::random(from, shape.cols, shape.gap);
    Matrix<T> y(to, shape.cols, shape.gap);
    for (const bool mean : {false, true})
      for_betas(y, [&](float beta) {
        h.template check<T>(
            20 * tolerance<T>, [&](auto on) { return make(on, x, lengths, mean, y, beta); }, y);
      });
  }
}
template <class T>
struct PrimitiveCase<primitive::SumSequences<T>> {
  static void each(const auto& h) {
    each_sequences<T, true>(h, [](auto on, auto& x, auto& lengths, bool mean, auto& y, float beta) {
      using R = typename decltype(on)::Real;
      return primitive::SumSequences<R>{on(x), on(lengths), mean, on(y), on.sum(beta)};
    });
  }
};
template <class T>
struct PrimitiveCase<primitive::SpreadSequences<T>> {
  static void each(const auto& h) {
    each_sequences<T, false>(
        h, [](auto on, auto& x, auto& lengths, bool mean, auto& y, float beta) {
          using R = typename decltype(on)::Real;
          return primitive::SpreadSequences<R>{on(x), on(lengths), mean, on(y), on.sum(beta)};
        });
  }
};

inline void run(Naive&, const primitive::GatherIds& a) {
  for (int i = 0; i < a.n; ++i) a.y[i] = a.x[a.index[i]];
}
template <>
struct PrimitiveCase<primitive::GatherIds> {
  static void each(const auto& h) {
    for (const int n : h.sizes({1, 3, 600}, 10000)) {
      std::vector<std::int32_t> values, chosen;
      for (int i = 0; i < 97; ++i) values.push_back(5 * i - 11);
      for (int i = 0; i < n; ++i) chosen.push_back(i * 31 % 97);
      Array<std::int32_t> x(values), index(chosen),
          y(std::vector<std::int32_t>(static_cast<std::size_t>(n), -7));
      h.template check<float>(
          0,
          [&](auto on) {
            return primitive::GatherIds{on(x), on(index), n, on(y)};
          },
          y);
    }
  }
};

inline void run(Naive&, const primitive::DropSequences<double>& a) {
  std::vector<double> factor(static_cast<std::size_t>(a.y.rows), 0.0);
  for (int s = 0; s < a.seq.count; ++s) {
    const auto word =
        a.philox(a.stream, static_cast<std::uint64_t>(s / 4))[static_cast<std::size_t>(s % 4)];
    for (int t = 0; t < a.seq.length(s); ++t)
      if (word >= albef::dropout_threshold(a.p))
        factor[static_cast<std::size_t>(a.seq.begin(s) + t)] = 1 / (1 - static_cast<double>(a.p));
  }
  naive_elements(a.y, a.beta,
                 [&](int r, int j) { return factor[static_cast<std::size_t>(r)] * a.x.row(r)[j]; });
}
template <class T>
struct PrimitiveCase<primitive::DropSequences<T>> {
  static void each(const auto& h) {
    for (const auto& shape : h.sizes(sequence_shapes, base_sequences)) {
      Lengths lengths(shape.lengths, shape.padding);
      auto x = Matrix<T>::random(lengths.total, shape.cols, shape.gap);
      Matrix<T> y(lengths.total, shape.cols, shape.gap);
      for_betas(y, [&](float beta) {
        h.template check<T>(
            tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::DropSequences<R>{on(x), on(lengths), on(y), on.sum(beta),
                                                 0.4f,  {7},         3};
            },
            y);
      });
    }
  }
};

inline void run(Naive&, const primitive::FirstRows& a) {
  for (int i = 0; i < a.seq.count; ++i)
    a.index[i] = a.seq.begin(i) + (a.last ? a.seq.length(i) - 1 : 0);
}
inline const std::vector<int> sequence_lengths[] = {{3, 0, 5, 1, 40, 2}};
template <>
struct PrimitiveCase<primitive::FirstRows> {
  static void each(const auto& h) {
    for (const auto& n : h.sizes(sequence_lengths, std::vector<int>(192, 25))) {
      Lengths lengths(n);
      Array<std::int32_t> index(std::vector<std::int32_t>(n.size(), -7));
      for (const bool last : {false, true})
        h.template check<float>(
            0,
            [&](auto on) {
              return primitive::FirstRows{on(lengths), on(index), last};
            },
            index);
    }
  }
};

inline albef::Sequences run(Naive&, const primitive::SelectSequences& a) {
  a.offsets[0] = 0;
  std::fill_n(a.rows, a.capacity, -1);
  for (int i = 0; i < a.n; ++i) {
    a.offsets[i + 1] = a.offsets[i] + a.seq.length(a.index[i]);
    for (int t = 0; t < a.seq.length(a.index[i]); ++t)
      a.rows[a.offsets[i] + t] = a.seq.begin(a.index[i]) + t;
  }
  return {
      .count = a.n, .total = a.offsets[a.n], .longest = a.seq.max_length(), .offsets = a.offsets};
}
template <>
struct PrimitiveCase<primitive::SelectSequences> {
  static void each(const auto& h) {
    for (const auto& given : h.sizes(sequence_lengths, std::vector<int>(192, 25))) {
      Lengths lengths(given);
      std::vector<std::int32_t> chosen;
      for (int i = 0; i < 67; ++i) chosen.push_back(i * i % static_cast<int>(given.size()));
      Array<std::int32_t> index(chosen), offsets(std::vector<std::int32_t>(68, -7));
      int total = 0;
      for (const auto s : chosen) total += given[static_cast<std::size_t>(s)];
      Array<std::int32_t> rows(std::vector<std::int32_t>(static_cast<std::size_t>(total + 5), -1));
      h.template check<float>(
          0,
          [&](auto on) {
            return primitive::SelectSequences{on(lengths), on(index),   67,
                                              total + 5,   on(offsets), on(rows)};
          },
          offsets, rows);
    }
  }
};

inline albef::Sequences run(Naive&, const primitive::ConcatSequences& c) {
  std::fill_n(c.from_a, c.rows(), -1), std::fill_n(c.from_b, c.rows(), -1);
  if (c.to_a) std::fill_n(c.to_a, c.a.rows(), -1);
  std::fill_n(c.to_b, c.b.rows(), -1);
  int row = 0;
  for (int i = 0; i < c.b.count; ++i) {
    c.offsets[i] = row;
    const int s = c.a.count == c.b.count ? i : 0;
    for (int t = 0; t < c.a.length(s); ++t, ++row) {
      c.from_a[row] = c.a.begin(s) + t;
      if (c.to_a) c.to_a[c.a.begin(s) + t] = row;
    }
    for (int t = 0; t < c.b.length(i); ++t, ++row) {
      c.from_b[row] = c.b.begin(i) + t;
      c.to_b[c.b.begin(i) + t] = row;
    }
  }
  c.offsets[c.b.count] = row;
  return c.result();
}
/// Lengths of two batches of sequences, and padding rows behind them.
struct PairedLengths {
  std::vector<int> a, b;
  int padding;
};
inline const PairedLengths paired_lengths[] = {
    {{3, 0, 5}, {1, 4, 200}, 0}, {{3, 0, 5}, {1, 4, 0}, 3}, {{2}, {1, 0, 130}, 2}, {{4}, {3}, 1}};
template <>
struct PrimitiveCase<primitive::ConcatSequences> {
  static void each(const auto& h) {
    const PairedLengths large{std::vector<int>(64, 257), std::vector<int>(64, 25), 0};
    for (const auto& shape : h.sizes(paired_lengths, large)) {
      Lengths a(shape.a, shape.a.size() == 1 ? 0 : shape.padding), b(shape.b, shape.padding);
      const auto numbers = [](int n) {
        return std::vector<std::int32_t>(static_cast<std::size_t>(n), -7);
      };
      const int copies = shape.a.size() == 1 ? b.count : 1;
      Array<std::int32_t> offsets(numbers(b.count + 1)),
          from_a(numbers(copies * a.total + b.total)), from_b(numbers(copies * a.total + b.total)),
          to_a(numbers(a.total)), to_b(numbers(b.total));
      for (const bool both : {true, false})
        h.template check<float>(
            0,
            [&](auto on) {
              return primitive::ConcatSequences{on(a),      on(b),      on(offsets),
                                                on(from_a), on(from_b), both ? on(to_a) : nullptr,
                                                on(to_b)};
            },
            offsets, from_a, from_b, to_a, to_b);
    }
  }
};

inline void run(Naive&, const primitive::PairIndices& a) {
  for (int b = 0; b < a.batch; ++b) {
    a.text[b] = a.image[b] = b;
    a.text[a.batch + b] = b, a.image[a.batch + b] = a.negative_image[b];
    a.text[2 * a.batch + b] = a.negative_text[b], a.image[2 * a.batch + b] = b;
  }
}
template <>
struct PrimitiveCase<primitive::PairIndices> {
  static void each(const auto& h) {
    for (const int n : h.sizes({3, 300}, 64)) {
      std::vector<std::int32_t> a(static_cast<std::size_t>(n)), b = a;
      for (int i = 0; i < n; ++i) {
        a[static_cast<std::size_t>(i)] = (i + 1) % n;
        b[static_cast<std::size_t>(i)] = (i + n - 1) % n;
      }
      const std::vector<std::int32_t> none(static_cast<std::size_t>(3 * n));
      Array<std::int32_t> negative_image(a), negative_text(b), text(none), image(none);
      h.template check<float>(
          0,
          [&](auto on) {
            return primitive::PairIndices{n, on(negative_image), on(negative_text), on(text),
                                          on(image)};
          },
          text, image);
    }
  }
};

}  // namespace cases
