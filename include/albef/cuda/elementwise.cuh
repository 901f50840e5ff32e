// Element-wise primitives and plain reductions of the CUDA backend.
#pragma once

#include "albef/cuda/kernels/elementwise.cuh"
#include "albef/cuda/loops.cuh"

namespace albef {
namespace detail {

/// Blocks of 256 threads for n items: enough to fill the GPU, which then loop.
inline unsigned flat_blocks(const Cuda& cuda, std::int64_t n) {
  return static_cast<unsigned>(
      std::min<std::int64_t>((n + 255) / 256, std::int64_t{8} * cuda.sm_count()));
}

}  // namespace detail

template <class T>
void run(Cuda& cuda, const primitive::Fill<T>& a) {
  using namespace detail;
  launch(cuda, "[fill]", fill_kernel<T>, dim3(flat_blocks(cuda, a.size)), dim3(256), 0, a.x,
         a.value, a.size);
}

template <class From, class To>
void run(Cuda& cuda, const primitive::Convert<From, To>& a) {
  using namespace detail;
  launch(cuda, "[convert]", convert_kernel<From, To>, dim3(flat_blocks(cuda, (a.size + 7) / 8)),
         dim3(256), 0, a.from, a.to, a.size);
}

template <class T>
void run(Cuda& cuda, const primitive::Add<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[add]", a.y.rows, a.y.cols,
      [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
      AddElements<const T, T>{a.x, a.y, a.beta});
}

template <class T>
void run(Cuda& cuda, const primitive::SetRows<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[set_rows]", a.y.rows, a.y.cols,
      [&](int n) { return row_aligned(a.row, n) && rows_aligned(a.y, n); },
      SetRows<T, T>{a.row, a.y, a.beta});
}

template <class T>
void run(Cuda& cuda, const primitive::MultiplyRow<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[multiply_row]", a.y.rows, a.y.cols,
      [&](int n) { return rows_aligned(a.x, n) && row_aligned(a.row, n) && rows_aligned(a.y, n); },
      MulRow<const T, T, T>{a.x, a.row, a.y, a.beta});
}

template <class T>
void run(Cuda& cuda, const primitive::Multiply<T>& m) {
  using namespace detail;
  for_elements<T>(
      cuda, "[multiply]", m.y.rows, m.y.cols,
      [&](int n) { return rows_aligned(m.a, n) && rows_aligned(m.b, n) && rows_aligned(m.y, n); },
      MultiplyElements<T>{m});
}

template <class T>
void run(Cuda& cuda, const primitive::Scale<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[scale]", a.y.rows, a.y.cols,
      [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
      ScaleElements<const T, accumulator_t<T>, T>{a.x, a.s, a.kind, a.y, a.beta});
}

template <class T>
void run(Cuda& cuda, const primitive::ColumnSum<T>& a) {
  using namespace detail;
  sum_columns<T>(
      cuda, "[column_sum]", a.x.rows, a.x.cols, [&](int n) { return rows_aligned(a.x, n); },
      ColumnTerm<const T>{a.x}, a.sum, a.beta);
}

template <class T>
void run(Cuda& cuda, const primitive::DotRows<T>& d) {
  using namespace detail;
  sum_columns<T>(
      cuda, "[dot_rows]", d.a.rows, d.a.cols,
      [&](int n) { return rows_aligned(d.a, n) && rows_aligned(d.b, n); },
      ProductTerm<const T, const T>{d.a, d.b}, d.sum, d.beta);
}

namespace detail {

/// out = alpha * factor * sum of f.term<N>(i, j) over all elements + beta out, where `factor` is
/// what ScaleGrad wants of a scalar, or 1 where that is null.
template <class T, class Aligned, class F, class S>
void sum_elements(Cuda& cuda, const char* name, int rows, int cols, Aligned&& aligned, const F& f,
                  const S* scalar, ScaleKind kind, S alpha, S beta, S* out) {
  with_width<T>(aligned, [&](auto width) {
    constexpr int n = decltype(width)::value;
    const int per_row = cols / n;
    const auto blocks = static_cast<int>(std::clamp<std::int64_t>(
        blocks_for(std::int64_t{per_row} * rows, 4 * dot_threads), 1, 512));
    auto* partial =
        static_cast<double*>(cuda.scratch(sizeof(double) * static_cast<std::size_t>(blocks)));
    launch(cuda, name, sum_partials_kernel<n, accumulator_t<T>, F>,
           dim3(static_cast<unsigned>(blocks)), dim3(dot_threads), 0, f, rows,
           static_cast<unsigned>(per_row), partial);
    launch(cuda, name, dot_total_kernel<S>, dim3(1), dim3(dot_threads), 0, partial, blocks, scalar,
           kind, alpha, beta, out);
  });
}

}  // namespace detail

template <class T>
void run(Cuda& cuda, const primitive::Dot<T>& d) {
  using namespace detail;
  sum_elements<T>(
      cuda, "[dot]", d.a.rows, d.a.cols,
      [&](int n) { return rows_aligned(d.a, n) && rows_aligned(d.b, n); },
      ProductTerm<const T, const T>{d.a, d.b}, static_cast<const accumulator_t<T>*>(nullptr),
      ScaleKind::plain, d.alpha, d.beta, d.out);
}

template <class T>
void run(Cuda& cuda, const primitive::ScaleGrad<T>& a) {
  using namespace detail;
  sum_elements<T>(
      cuda, "[scale_grad]", a.dy.rows, a.dy.cols,
      [&](int n) { return rows_aligned(a.dy, n) && rows_aligned(a.x, n); },
      ProductTerm<const T, const T>{a.dy, a.x}, a.s, a.kind, accumulator_t<T>(1), a.beta, a.ds);
}

template <class T>
void run(Cuda& cuda, const primitive::Activate<T>& a) {
  using namespace detail;
  with_activation(a.function, [&](auto function) {
    for_elements<T>(
        cuda, "[activate]", a.y.rows, a.y.cols,
        [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
        ActivateElements<decltype(function)::value, T>{a.x, a.y});
  });
}

template <class T>
void run(Cuda& cuda, const primitive::ActivateGrad<T>& a) {
  using namespace detail;
  with_activation(a.function, [&](auto function) {
    for_elements<T>(
        cuda, "[activate_grad]", a.dx.rows, a.dx.cols,
        [&](int n) {
          return rows_aligned(a.dy, n) && rows_aligned(a.x, n) && rows_aligned(a.dx, n);
        },
        ActivateGradElements<decltype(function)::value, T>{a.dy, a.x, a.dx, a.beta});
  });
}

template <class T>
void run(Cuda& cuda, const primitive::Sign<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[sign]", a.y.rows, a.y.cols,
      [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
      SignElements<T>{a.x, a.y});
}

template <class T>
void run(Cuda& cuda, const primitive::Dropout<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[dropout]", a.y.rows, a.y.cols,
      [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
      DropoutElements<const T, T>{a.x, a.y, a.beta,
                                  DropoutFactors::of<accumulator_t<T>>(a.philox, a.stream, a.p)});
}

template <class T>
void run(Cuda& cuda, const primitive::DropSequences<T>& a) {
  using namespace detail;
  const dim3 grid(static_cast<unsigned>(a.seq.count + 1),
                  static_cast<unsigned>(std::max(1, a.seq.max_length())));
  const auto scale = static_cast<accumulator_t<T>>(1 / (1 - static_cast<double>(a.p)));
  with_width<T>([&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
                [&](auto width) {
                  constexpr int n = decltype(width)::value;
                  launch(cuda, "[drop_sequences]", drop_sequences_kernel<T, n>, grid,
                         dim3(drop_threads), 0, a, dropout_threshold(a.p), scale);
                });
}

}  // namespace albef
