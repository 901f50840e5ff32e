// Matrix products on the CPU: a packed, register-tiled engine with fused bias and GELU.
//
// The design is that of Goto & van de Geijn (2008) and BLIS. The innermost routine multiplies a
// sliver of op(a), `Tile::rows` high, by a sliver of op(b), `Tile::cols` wide, and keeps the whole
// product in registers. Slivers are read from packed copies, contiguous in the order of use, which
// also absorbs transposes, strides and ragged edges; an operand whose layout already suits is read
// in place. K is cut into slices of a fixed depth, so every element of c is summed in an order that
// depends neither on the number of threads nor on how rows and columns were shared out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "albef/core/error.hpp"
#include "albef/core/primitives/products.hpp"
#include "albef/cpu/device.hpp"
#include "albef/cpu/elementwise.hpp"
#include "albef/cpu/simd.hpp"

namespace albef {
namespace detail {

/// The block of c held in registers: 24 accumulators of 32 registers, or 12 of 16.
template <class T>
struct Tile {
  static constexpr int rows = pack_bytes == 64 ? 12 : 6, cols = 2 * Pack<T>::width;
  static constexpr int row_unit = rows / 3;  // ragged tiles have 1, 2 or 3 units of rows
};

// Depth of a K slice: a sliver of op(b) (48 KB) stays in the first-level cache or near it.
inline constexpr int slice_depth = 384;
// Rows of op(a) packed at a time (about 0.4 MB): half of a small second-level cache.
inline constexpr int block_rows = 240;
// Columns and elements of op(b) packed at a time, shared by all threads.
inline constexpr int block_cols = 4096;
inline constexpr std::int64_t block_elements = std::int64_t{1} << 22;
// Lines at most this many elements apart are read in place: a slice stays in the caches.
inline constexpr int near_lines = 384;

constexpr int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }
constexpr int slice_end(int p, int end) { return end - p < slice_depth ? end : p + slice_depth; }

/// One factor of a product seen from its kept dimension (rows of op(a), columns of op(b)):
/// element (i, p) at data[i * outer + p * inner], p running along K.
template <class T>
struct Factor {
  const T* data;
  std::int64_t outer, inner;
  const T* at(int i, int p) const { return data + i * outer + p * inner; }
  Factor from(int i, int p) const { return {at(i, p), outer, inner}; }
};
template <class T>
Factor<T> factor_a(const primitive::Gemm<T>& g) {
  if (g.transpose_a) return {g.a.data, 1, g.a.stride};
  return {g.a.data, g.a.stride, 1};
}
template <class T>
Factor<T> factor_b(const primitive::Gemm<T>& g) {
  if (g.transpose_b) return {g.b.data, g.b.stride, 1};
  return {g.b.data, 1, g.b.stride};
}

/// Transposes a square of width x width values: line r of the result holds value r of every input
/// line. Reads `lines` lines of `valid` values each (zeros stand for the rest) at from + r * outer,
/// writes `valid` lines at out + r * stride, the first `Keep` values of each.
template <int Keep, class T, int... I>
void transpose_square(const T* from, std::int64_t outer, int lines, int valid, T* out, int stride,
                      std::integer_sequence<int, I...>) {
  using P = Pack<T>;
  constexpr int w = P::width;
  P x[w] = {(I < lines ? P::load_n(from + I * outer, valid) : P(T(0)))...};
  // log2(w) perfect shuffles: line i interleaved with line i + w / 2 gives lines 2i and 2i + 1.
  const auto shuffle = [&](auto) __attribute__((always_inline)) {
    const auto line = [&](auto i) __attribute__((always_inline)) {
      constexpr int from_half = i % 2 * (w / 2);
      return P(typename P::Vector(__builtin_shufflevector(x[i / 2].v, x[i / 2 + w / 2].v,
                                                          (from_half + I / 2 + I % 2 * w)...)));
    };
    const P y[w] = {line(std::integral_constant<int, I>{})...};
    ((x[I] = y[I]), ...);
  };
  ((1 << I < w ? shuffle(I) : void()), ...);
  const auto write = [&](int r, const P& line) {
    T values[w];
    line.store(values);
    std::memcpy(out + r * stride, values, sizeof(T) * Keep);
  };
  ((I < valid ? write(I, x[I]) : void()), ...);
}

/// out[p * Width + i] = element (i, p) of a sliver of `count` <= Width lines and `depth` values of
/// p; lines beyond `count` become zero.
template <int Width, class T>
void pack_sliver(Factor<T> from, int count, int depth, T* out) {
  constexpr int w = Pack<T>::width;
  if (from.outer == 1) {
    for (int p = 0; p < depth; ++p, out += Width) {
      const T* line = from.at(0, p);
      if (count == Width) {
        std::memcpy(out, line, sizeof(T) * Width);
      } else {
        for (int i = 0; i < Width; ++i) out[i] = i < count ? line[i] : T(0);
      }
    }
    return;
  }
  constexpr auto lanes = std::make_integer_sequence<int, w>{};
  for (int p = 0; p < depth; p += w) {  // here inner == 1
    const int valid = std::min(w, depth - p);
    int i = 0;
    for (; i + w <= Width; i += w)
      transpose_square<w>(from.at(i, p), from.outer, count - i, valid, out + p * Width + i, Width,
                          lanes);
    if constexpr (Width % w != 0)
      transpose_square<Width % w>(from.at(i, p), from.outer, count - i, valid, out + p * Width + i,
                                  Width, lanes);
  }
}

/// The factors of one tile: step p of row r of the left one at a[r * a_row + p * a_step], row p of
/// the right one, whole packs, at b + p * b_step.
template <class T>
struct TileFactors {
  int depth;
  const T* a;
  std::int64_t a_row, a_step;
  const T* b;
  std::int64_t b_step;
  T alpha;
};

/// out = alpha * (rows x depth) (depth x cols) for sizeof...(R) rows and `Packs` (1 or 2) packs of
/// columns; row r of the result at out + r * stride.
template <int Packs, class T, int... R>
void multiply_tile(const TileFactors<T>& f, T* out, std::int64_t stride,
                   std::integer_sequence<int, R...>) {
  using P = Pack<T>;
  constexpr int rows = sizeof...(R);
  P left[rows], right[rows];
  ((left[R] = T(0), right[R] = T(0)), ...);
  // One pointer for three rows: the addressing modes reach base, base + row and base + 2 row.
  const std::int64_t row = f.a_row, a_step = f.a_step, b_step = f.b_step;
  const T *a0 = f.a, *a3 = rows > 3 ? a0 + 3 * row : a0, *a6 = rows > 6 ? a0 + 6 * row : a0,
          *a9 = rows > 9 ? a0 + 9 * row : a0, *b = f.b;
  for (int p = 0; p < f.depth; ++p) {
    const P b0 = P::load(b), b1 = Packs == 2 ? P::load(b + P::width) : b0;
    const auto multiply_row = [&](P x, P& l, P& h) {
      l = fma(x, b0, l);
      if (Packs == 2) h = fma(x, b1, h);
    };
    (multiply_row((R < 3   ? a0
                   : R < 6 ? a3
                   : R < 9 ? a6
                           : a9)[R % 3 * row],
                  left[R], right[R]),
     ...);
    a0 += a_step, b += b_step;
    if (rows > 3) a3 += a_step;
    if (rows > 6) a6 += a_step;
    if (rows > 9) a9 += a_step;
  }
  const P alpha = f.alpha;
  const auto store_row = [&](T* to, P l, P h) {
    (l * alpha).store(to);
    if (Packs == 2) (h * alpha).store(to + P::width);
  };
  (store_row(out + R * stride, left[R], right[R]), ...);
}

/// The same with the smallest of six tile shapes that covers rows x cols.
template <class T>
void multiply_ragged_tile(const TileFactors<T>& f, int rows, int cols, T* out,
                          std::int64_t stride) {
  const auto multiply = [&](auto row_sequence) {
    if (cols > Pack<T>::width)
      multiply_tile<2>(f, out, stride, row_sequence);
    else
      multiply_tile<1>(f, out, stride, row_sequence);
  };
  constexpr int unit = Tile<T>::row_unit;
  if (rows > 2 * unit)
    multiply(std::make_integer_sequence<int, 3 * unit>{});
  else if (rows > unit)
    multiply(std::make_integer_sequence<int, 2 * unit>{});
  else
    multiply(std::make_integer_sequence<int, unit>{});
}

/// Adds a finished tile into c at (i, j); the last slice of K also applies the epilogue.
template <class T>
void finish_tile(const primitive::Gemm<T>& g, const T* tile, int i, int j, int rows, int cols,
                 bool first, bool last) {
  using P = Pack<T>;
  const P beta = first ? g.beta : T(1);
  const bool accumulates = !first || g.beta != T(0), activates = last && g.gelu;
  for (int q = 0; q < cols; q += P::width) {
    const int n = cols - q;
    const P bias = last && g.bias ? P::load_n(g.bias + j + q, n) : P(T(0));
    for (int r = 0; r < rows; ++r) {
      T* c = g.c.row(i + r) + j + q;
      P z = P::load(tile + r * Tile<T>::cols + q) + bias;
      if (accumulates) z = fma(P::load_n(c, n), beta, z);
      if (activates) {
        if (g.pre.data) z.store_n(g.pre.row(i + r) + j + q, n);
        z = gelu(z);
      }
      z.store_n(c, n);
    }
  }
}

/// Whether full slivers of op(a) and op(b) are read where they are. Rows of a plain `a` suit as
/// they are: every one is read forwards. Other layouts are packed unless lines lie close together
/// or too few products would share the packed copy; a transposed b must always be packed.
template <class T>
bool reads_in_place_a(const primitive::Gemm<T>& g) {
  return !g.transpose_a || g.a.stride <= near_lines;
}
template <class T>
bool reads_in_place_b(const primitive::Gemm<T>& g) {
  return !g.transpose_b && (g.b.stride <= near_lines || g.c.rows <= 4 * Tile<T>::rows);
}

/// Asks for piece `i` of `pieces` of the `bytes` at p to be fetched into the second-level cache.
inline void prefetch_piece(const void* p, std::int64_t bytes, int i, int pieces) {
  constexpr std::int64_t line = 64;
  const std::int64_t lines = (bytes + line - 1) / line, step = (lines + pieces - 1) / pieces;
  const char* start = static_cast<const char*>(p);
  for (std::int64_t at = i * step; at < std::min(lines, (i + 1) * step); ++at)
    __builtin_prefetch(start + at * line, 0, 2);
}

/// Packs columns [j0, j1) of the slice [p0, p1) of op(b): slivers one after the other.
template <class T>
void pack_b(const primitive::Gemm<T>& g, int j0, int j1, int p0, int p1, T* out) {
  constexpr int cols = Tile<T>::cols;
  const auto b = factor_b(g);
  for (int j = j0; j < j1; j += cols, out += std::int64_t{cols} * (p1 - p0))
    if (j1 - j < cols || !reads_in_place_b(g))
      pack_sliver<cols>(b.from(j, p0), std::min(cols, j1 - j), p1 - p0, out);
}

/// Rows [i0, i1), columns [j0, j1) of the product of one slice [p0, p1) of K.
template <class T>
void multiply_block(const primitive::Gemm<T>& g, int i0, int i1, int j0, int j1, int p0, int p1,
                    const T* packed_b, T* packed_a) {
  constexpr int rows = Tile<T>::rows, cols = Tile<T>::cols;
  const auto a = factor_a(g), b = factor_b(g);
  const bool in_place_a = reads_in_place_a(g), in_place_b = reads_in_place_b(g);
  const int depth = p1 - p0;
  const bool first = p0 == 0, last = p1 == inner_size(g);
  const bool plain = first && g.beta == T(0) && !(last && (g.bias || g.gelu));
  const auto reads_a_here = [&](int tile_rows) {  // only whole units of rows exist to be read
    return in_place_a && tile_rows % Tile<T>::row_unit == 0;
  };
  for (int i = i0; i < i1; i += rows)
    if (!reads_a_here(std::min(rows, i1 - i)))
      pack_sliver<rows>(a.from(i, p0), std::min(rows, i1 - i), depth,
                        packed_a + std::int64_t{depth} * (i - i0));
  const std::int64_t sliver = std::int64_t{depth} * cols;
  const int tiles = (i1 - i0 + rows - 1) / rows;
  for (int j = j0; j < j1; j += cols) {
    const int tile_cols = std::min(cols, j1 - j);
    TileFactors<T> f{depth, nullptr, 1, rows, packed_b + std::int64_t{depth} * (j - j0),
                     cols,  g.alpha};
    if (in_place_b && tile_cols == cols) f.b = b.at(j, p0), f.b_step = b.inner;
    for (int i = i0; i < i1; i += rows) {
      const int tile_rows = std::min(rows, i1 - i);
      // The next sliver of op(b) comes from far away: fetch it while this one is in use.
      if (!in_place_b && j + cols < j1)
        prefetch_piece(f.b + sliver, sliver * std::int64_t{sizeof(T)}, (i - i0) / rows, tiles);
      if (reads_a_here(tile_rows))
        f.a = a.at(i, p0), f.a_row = a.outer, f.a_step = a.inner;
      else
        f.a = packed_a + std::int64_t{depth} * (i - i0), f.a_row = 1, f.a_step = rows;
      if (plain && tile_rows % Tile<T>::row_unit == 0 && tile_cols % Pack<T>::width == 0) {
        multiply_ragged_tile(f, tile_rows, tile_cols, g.c.row(i) + j, g.c.stride);
        continue;
      }
      for (int r = 0; r < tile_rows; ++r) __builtin_prefetch(g.c.row(i + r) + j, 1);
      alignas(64) T tile[rows * cols];
      multiply_ragged_tile(f, tile_rows, tile_cols, tile, cols);
      finish_tile(g, tile, i, j, tile_rows, tile_cols, first, last);
    }
  }
}

inline constexpr int serial_cols = 512;  // columns of op(b) packed at a time by one thread

}  // namespace detail

/// Elements of T that gemm_serial needs as workspace.
template <class T>
std::size_t gemm_workspace(int m, int n, int k) {
  using namespace detail;
  const int lines = round_up(std::min(m, block_rows), Tile<T>::rows) +
                    round_up(std::min(n, serial_cols), Tile<T>::cols);
  return static_cast<std::size_t>(lines) * static_cast<std::size_t>(std::min(k, slice_depth));
}

/// The product on the calling thread alone, for use inside a parallel region. `workspace` holds
/// gemm_workspace<T>(m, n, k) elements. Same result as run(cpu, g), bit for bit.
template <class T>
void gemm_serial(const primitive::Gemm<T>& g, T* workspace) {
  using namespace detail;
  const int m = g.c.rows, n = g.c.cols, k = inner_size(g);
  if (m == 0) return;
  for (int j = 0; j < n; j += serial_cols) {
    const int j1 = std::min(n, j + serial_cols);
    for (int p = 0, p1; p == 0 || p < k; p = p1) {  // once even if k == 0
      p1 = slice_end(p, k);
      T* packed_a = workspace + std::int64_t{round_up(j1 - j, Tile<T>::cols)} * (p1 - p);
      pack_b(g, j, j1, p, p1, workspace);
      for (int i = 0; i < m; i += block_rows)
        multiply_block(g, i, std::min(m, i + block_rows), j, j1, p, p1, workspace, packed_a);
      if (p1 == k) break;
    }
  }
}

/// Matrix product with fused epilogue; see primitive::Gemm. Any shape and strides. Bit-equal for
/// any number of threads; allocates nothing once the scratch memory of `cpu` has grown to size.
/// Throws Error if the shapes do not fit.
template <class T>
void run(Cpu& cpu, const primitive::Gemm<T>& g) {
  static_assert(std::is_floating_point_v<T>);
  using namespace detail;
  check_gemm(g);
  const int m = g.c.rows, n = g.c.cols, k = inner_size(g), threads = cpu.threads();
  constexpr int rows = Tile<T>::rows, cols = Tile<T>::cols;
  if (threads == 1 || 1.0 * m * n * k < 500e3)  // too little work to wake anyone
    return gemm_serial(g, cpu.scratch<T>(0, gemm_workspace<T>(m, n, k)));

  // Work is handed out in blocks of rows, and of columns where there are few rows.
  const int row_slivers = (m + rows - 1) / rows;
  int row_blocks = (m + block_rows - 1) / block_rows;
  if (row_blocks < 2 * threads) row_blocks = std::min(2 * threads, row_slivers);
  const int row_step = (row_slivers + row_blocks - 1) / row_blocks * rows;
  row_blocks = (m + row_step - 1) / row_step;
  const int wanted_col_blocks = (2 * threads + row_blocks - 1) / row_blocks;

  for (int j = 0; j < n; j += block_cols) {
    const int width = std::min(n - j, block_cols), padded = round_up(width, cols);
    const int chunk = std::max(
        slice_depth, static_cast<int>(block_elements / padded) / slice_depth * slice_depth);
    const int col_step = round_up((width + wanted_col_blocks - 1) / wanted_col_blocks, cols);
    const int col_blocks = (width + col_step - 1) / col_step;
    for (int p = 0, p1; p == 0 || p < k; p = p1) {
      p1 = k - p < chunk ? k : p + chunk;
      T* packed_b = cpu.shared_scratch<T>(static_cast<std::size_t>(padded) *
                                          static_cast<std::size_t>(p1 - p));
      // Slices one after the other, slivers within; packed by groups of slivers.
      const int slices = (p1 - p + slice_depth - 1) / slice_depth, group = 4 * cols;
      const int groups = (width + group - 1) / group;
      cpu.for_each(slices * groups, [&](std::int64_t item) {
        const int s = p + static_cast<int>(item) / groups * slice_depth, s1 = slice_end(s, p1);
        const int q = static_cast<int>(item) % groups * group;
        pack_b(g, j + q, j + std::min(width, q + group), s, s1,
               packed_b + std::int64_t{s - p} * padded + std::int64_t{s1 - s} * q);
      });
      cpu.for_each(row_blocks * col_blocks, [&](std::int64_t item, int thread) {
        const int i = static_cast<int>(item) % row_blocks * row_step,
                  i1 = std::min(m, i + row_step);
        const int q = static_cast<int>(item) / row_blocks * col_step;
        const int q1 = std::min(width, q + col_step);
        T* packed_a = cpu.scratch<T>(thread, static_cast<std::size_t>(round_up(i1 - i, rows)) *
                                                 static_cast<std::size_t>(slice_depth));
        for (int s = p, s1; s == p || s < p1; s = s1) {
          s1 = slice_end(s, p1);
          multiply_block(g, i, i1, j + q, j + q1, s, s1,
                         packed_b + std::int64_t{s - p} * padded + std::int64_t{s1 - s} * q,
                         packed_a);
          if (s1 == p1) break;
        }
      });
      if (p1 == k) break;
    }
  }
}

template <class T>
void run(Cpu& cpu, const primitive::WeightGradient<T>& a) {
  run(cpu, primitive::Gemm<T>{.a = a.dy, .b = a.x, .c = a.dw, .transpose_a = true, .beta = a.beta});
  if (a.db) run(cpu, primitive::ColumnSum<T>{.x = a.dy, .sum = a.db, .beta = a.beta_db});
}

}  // namespace albef
