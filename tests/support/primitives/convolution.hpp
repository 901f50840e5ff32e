// Convolution and pooling: windows over feature maps, and their transposes.
#pragma once

#include "../operands.hpp"
#include "elementwise.hpp"

namespace cases {

/// Feature maps of `channels` channels, the values between their rows, and which of the windows
/// are looked at: all but `skip` at the beginning and at the end.
struct WindowShape {
  albef::WindowGrid grid;
  int channels, gap, skip;
};
inline constexpr WindowShape window_shapes[] = {
    {{2, 5, 4, {3, 1, 1, 1}}, 3, 0, 0},  {{2, 9, 7, {3, 2, 1, 1}}, 16, 0, 5},
    {{1, 8, 8, {2, 2, 0, 1}}, 8, 8, 0},  {{3, 7, 6, {3, 1, 2, 2}}, 5, 1, 11},
    {{2, 11, 9, {7, 2, 3, 1}}, 3, 2, 3}, {{2, 6, 5, {1, 2, 0, 1}}, 64, 0, 1},
    {{1, 10, 8, {2, 3, 0, 3}}, 4, 0, 0}, {{1, 2, 2, {3, 3, 1, 1}}, 33, 0, 0}};
inline constexpr WindowShape base_window{{8, 56, 56, {3, 1, 1, 1}}, 64, 0, 0};

/// Calls f(window, cell, row of the map, or -1 outside of it) for every cell of every window.
template <class F>
void for_cells(const albef::WindowGrid& g, F f) {
  const albef::Window w = g.window;
  int r = 0;
  for (int b = 0; b < g.images; ++b)
    for (int top = -w.padding; top + w.dilation * (w.kernel - 1) < g.height + w.padding;
         top += w.stride)
      for (int left = -w.padding; left + w.dilation * (w.kernel - 1) < g.width + w.padding;
           left += w.stride, ++r)
        for (int k = 0; k < w.kernel * w.kernel; ++k) {
          const int y = top + k / w.kernel * w.dilation, x = left + k % w.kernel * w.dilation;
          const bool inside = y >= 0 && y < g.height && x >= 0 && x < g.width;
          f(r, k, inside ? (b * g.height + y) * g.width + x : -1);
        }
}

inline void run(Naive&, const primitive::TransposeEach<double>& a) {
  for (int b = 0; b < a.count; ++b)
    for (int i = 0; i < a.rows; ++i)
      for (int j = 0; j < a.cols; ++j) {
        double& to = a.y[(b * a.cols + j) * a.rows + i];
        to = blend(a.x[(b * a.rows + i) * a.cols + j], a.beta, to);
      }
}
struct TransposeShape {
  int count, rows, cols;
};
inline constexpr TransposeShape transpose_shapes[] = {
    {3, 1, 7}, {2, 3, 70}, {5, 33, 40}, {1, 9, 3}};
template <class T>
struct PrimitiveCase<primitive::TransposeEach<T>> {
  static void each(const auto& h) {
    for (const auto& s : h.sizes(transpose_shapes, TransposeShape{64, 3, 112 * 112})) {
      auto x = Matrix<T>::random(s.count * s.rows, s.cols);
      Matrix<T> y(s.count * s.cols, s.rows);
      for_betas(y, [&](float beta) {
        h.template check<T>(
            tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::TransposeEach<R>{on.data(x), s.count,    s.rows,
                                                 s.cols,     on.data(y), on.sum(beta)};
            },
            y);
      });
    }
  }
};

inline void run(Naive&, const primitive::Unfold<double>& a) {
  const int channels = a.x.cols;
  for_cells(a.grid, [&](int r, int cell, int row) {
    r -= a.first;
    if (r < 0 || r >= a.columns.rows) return;
    for (int c = 0; c < channels; ++c)
      a.columns.row(r)[cell * channels + c] = row < 0 ? 0 : a.x.row(row)[c];
  });
}
template <class T>
struct PrimitiveCase<primitive::Unfold<T>> {
  static void each(const auto& h) {
    for (const WindowShape& s : h.sizes(window_shapes, base_window)) {
      auto x = Matrix<T>::random(s.grid.rows(), s.channels, s.gap);
      Matrix<T> columns(s.grid.out_rows() - 2 * s.skip, s.grid.window.cells() * s.channels, s.gap);
      columns.set(undefined);
      h.template check<T>(
          0,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            return primitive::Unfold<R>{on(x), s.grid, s.skip, on(columns)};
          },
          columns);
    }
  }
};

inline void run(Naive&, const primitive::Fold<double>& a) {
  const int channels = a.x.cols;
  for_cells(a.grid, [&](int r, int cell, int row) {
    r -= a.first;
    if (row < 0 || r < 0 || r >= a.columns.rows) return;
    for (int c = 0; c < channels; ++c) a.x.row(row)[c] += a.columns.row(r)[cell * channels + c];
  });
}
template <class T>
struct PrimitiveCase<primitive::Fold<T>> {
  static void each(const auto& h) {
    for (const WindowShape& s : h.sizes(window_shapes, base_window)) {
      auto columns = Matrix<T>::random(s.grid.out_rows() - 2 * s.skip,
                                       s.grid.window.cells() * s.channels, s.gap);
      auto x = Matrix<T>::random(s.grid.rows(), s.channels, s.gap);
      h.template check<T>(
          4 * tolerance<T>,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            return primitive::Fold<R>{on(columns), s.grid, s.skip, on(x)};
          },
          x);
    }
  }
};

inline void run(Naive&, const primitive::MaxPool<double>& a) {
  const int channels = a.x.cols;
  std::vector<int> seen(static_cast<std::size_t>(a.y.rows), 0);
  for_cells(a.grid, [&](int r, int, int row) {
    if (row < 0) return;
    const bool first = seen[static_cast<std::size_t>(r)]++ == 0;
    for (int c = 0; c < channels; ++c) {
      const double x = a.x.row(row)[c];
      double& y = a.y.row(r)[c];
      if (!first && !(x > y) && !(std::isnan(x) && !std::isnan(y))) continue;
      y = x;
      if (a.from) a.from[r * channels + c] = row;
    }
  });
}
/// Few different values, so that there are equal ones in a window, and some that are not numbers.
inline double coarse_value(int i, int j) {
  const int v = (i * 37 + j * 11) % 23;
  return v == 22 ? undefined : v % 7;
}
template <class T>
struct PrimitiveCase<primitive::MaxPool<T>> {
  static void each(const auto& h) {
    for (const WindowShape& s : h.sizes(window_shapes, base_window)) {
      if (s.grid.window.padding > s.grid.window.kernel / 2) continue;
      Matrix<T> x(s.grid.rows(), s.channels, s.gap), y(s.grid.out_rows(), s.channels, s.gap);
      x.set(coarse_value);
      Array<std::int32_t> from(
          std::vector<std::int32_t>(static_cast<std::size_t>(y.rows() * y.cols()), -7));
      y.set(undefined);
      const auto pool = [&](bool keep) {
        h.template check<T>(
            0,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::MaxPool<R>{on(x), s.grid, on(y), keep ? on(from) : nullptr};
            },
            y, from);
      };
      pool(false);
      pool(true);
    }
  }
};

inline void run(Naive&, const primitive::MaxPoolGrad<double>& a) {
  const int channels = a.dx.cols;
  naive_elements(a.dx, a.beta, [](int, int) { return 0; });
  for (int r = 0; r < a.dy.rows; ++r)
    for (int c = 0; c < channels; ++c) a.dx.row(a.from[r * channels + c])[c] += a.dy.row(r)[c];
}
template <class T>
struct PrimitiveCase<primitive::MaxPoolGrad<T>> {
  static void each(const auto& h) {
    for (const WindowShape& s : h.sizes(window_shapes, base_window)) {
      std::vector<std::vector<int>> rows(static_cast<std::size_t>(s.grid.out_rows()));
      for_cells(s.grid, [&](int r, int, int row) {
        if (row >= 0) rows[static_cast<std::size_t>(r)].push_back(row);
      });
      std::vector<std::int32_t> places;  // any row that the window sees
      for (const auto& seen : rows)
        for (int c = 0; c < s.channels; ++c)
          places.push_back(seen.empty() ? 0 : seen[places.size() * 5 % seen.size()]);
      if (std::any_of(rows.begin(), rows.end(), [](const auto& r) { return r.empty(); })) continue;
      Array<std::int32_t> from(places);
      auto dy = Matrix<T>::random(s.grid.out_rows(), s.channels, s.gap);
      Matrix<T> dx(s.grid.rows(), s.channels, s.gap);
      for_betas(dx, [&](float beta) {
        h.template check<T>(
            4 * tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::MaxPoolGrad<R>{on(dy), on(from), s.grid, on(dx), on.sum(beta)};
            },
            dx);
      });
    }
  }
};

inline void run(Naive&, const primitive::ArgmaxRows<double>& a) {
  for (int i = 0; i < a.x.rows; ++i) {
    const double* x = a.x.row(i);
    int best = 0;
    for (int j = 0; j < a.x.cols; ++j)
      if (x[j] > x[best] || (std::isnan(x[j]) && !std::isnan(x[best]))) best = j;
    a.index[i] = best;
  }
}
template <class T>
struct PrimitiveCase<primitive::ArgmaxRows<T>> {
  static void each(const auto& h) {
    for (const auto& [rows, cols, gap] : h.sizes(shapes, Shape{8 * 196, 8192, 0})) {
      auto x = Matrix<T>::random(rows, cols, gap);
      const auto check = [&] {
        Array<std::int32_t> index(std::vector<std::int32_t>(static_cast<std::size_t>(rows), -7));
        h.template check<T>(
            0,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::ArgmaxRows<R>{on(x), on(index)};
            },
            index);
      };
      check();
      x.set([](int i, int j) { return i % 3 == 0 ? coarse_value(i, j) : (i * 7 + j * 5) % 6; });
      check();
    }
  }
};

}  // namespace cases
