// Matrix products on the GPU by cuBLASLt: bias and bias gradient in the epilogue, one algorithm
// chosen per shape and kept.
#pragma once

#include <cublasLt.h>

#include <compare>
#include <cstdint>
#include <map>
#include <type_traits>

#include "albef/core/primitives/products.hpp"
#include "albef/cuda/device.cuh"
#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/memory.hpp"

namespace albef {

/// Several products of one shape: product i reads a and b at i times their stride and writes c at i
/// times its own (all in elements). No bias and no gelu.
struct GemmBatch {
  int count = 1;
  std::int64_t a = 0, b = 0, c = 0;
};

namespace detail {

template <class T>
inline constexpr cudaDataType_t cuda_type = std::is_same_v<T, double>
                                                ? CUDA_R_64F
                                                : (std::is_same_v<T, bfloat16> ? CUDA_R_16BF
                                                                               : CUDA_R_32F);

/// What happens besides the product: the bias added, or the sums over K of op(a) written.
enum class Epilogue { none, bias, sums };

/// Everything the choice of an algorithm depends on.
struct ProductShape {
  cudaDataType_t type = CUDA_R_32F, out = CUDA_R_32F;
  int m = 0, n = 0, k = 0;
  std::int64_t lda = 0, ldb = 0, ldc = 0;
  bool transpose_a = false, transpose_b = false, accumulates = false, tf32 = false;
  Epilogue epilogue = Epilogue::none;
  unsigned align_a = 256, align_b = 256, align_c = 256, align_vector = 256;  // bytes
  int batch = 1;
  std::int64_t batch_a = 0, batch_b = 0, batch_c = 0;

  friend auto operator<=>(const ProductShape&, const ProductShape&) = default;
};

/// The largest power of two, up to 256, that divides an address.
inline unsigned alignment_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p) | 256;
  return static_cast<unsigned>(address & (~address + 1));
}

/// Descriptors of one product and the algorithm chosen for it.
///
/// cuBLASLt stores matrices by columns: a row-major matrix is its transpose there. So c^T = op(b)^T
/// op(a)^T is asked for, b being the first factor and a the second; the rows of its result are our
/// columns, along which the bias lies.
class ProductPlan {
 public:
  ProductPlan() = default;
  ProductPlan(const ProductPlan&) = delete;
  ProductPlan& operator=(const ProductPlan&) = delete;
  ~ProductPlan() {
    for (const auto layout : {first_, second_, result_})
      if (layout) cublasLtMatrixLayoutDestroy(layout);
    if (operation_) cublasLtMatmulDescDestroy(operation_);
  }

  /// `vector` is the bias or the place of the sums, or null.
  void prepare(Cuda& cuda, const ProductShape& s, const void* vector) {
    const bool is_double = s.type == CUDA_R_64F;
    const auto compute = is_double                        ? CUBLAS_COMPUTE_64F
                         : s.tf32 && s.type == CUDA_R_32F ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                          : CUBLAS_COMPUTE_32F;
    check(cublasLtMatmulDescCreate(&operation_, compute, is_double ? CUDA_R_64F : CUDA_R_32F),
          "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (s.epilogue != Epilogue::none) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE,
          s.epilogue == Epilogue::bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_BGRADB);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
    }
    const auto b_rows = s.transpose_b ? s.n : s.k, b_cols = s.transpose_b ? s.k : s.n;
    const auto a_rows = s.transpose_a ? s.k : s.m, a_cols = s.transpose_a ? s.m : s.k;
    layout(first_, s.type, b_rows, b_cols, s.ldb, s.batch, s.batch_b);
    layout(second_, s.type, a_rows, a_cols, s.lda, s.batch, s.batch_a);
    layout(result_, s.out, s.m, s.n, s.ldc, s.batch, s.batch_c);
    choose(cuda, s);
  }

  /// Whether cuBLASLt has an algorithm for this product and epilogue.
  bool available() const { return available_; }

  template <class A>
  void run(Cuda& cuda, const void* a, const void* b, void* c, A alpha, A beta, const void* vector) {
    if (vector) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
    check(cublasLtMatmul(cuda.blas(), operation_, &alpha, b, first_, a, second_, &beta, c, result_,
                         c, result_, &algorithm_, cuda.blas_workspace(workspace_limit),
                         workspace_limit, cuda.stream()),
          "[gemm]");
  }

 private:
  // What NVIDIA recommends for Hopper; the heuristics may use all of it.
  static constexpr std::size_t workspace_limit = std::size_t{32} << 20;

  template <class V>
  void set(cublasLtMatmulDescAttributes_t attribute, V value) {
    check(cublasLtMatmulDescSetAttribute(operation_, attribute, &value, sizeof value),
          "describing a product");
  }
  /// A row-major matrix of rows x cols, `stride` elements from row to row.
  static void layout(cublasLtMatrixLayout_t& out, cudaDataType_t type, int rows, int cols,
                     std::int64_t stride, int batch, std::int64_t batch_stride) {
    check(cublasLtMatrixLayoutCreate(&out, type, static_cast<std::uint64_t>(cols),
                                     static_cast<std::uint64_t>(rows), stride),
          "describing a matrix");
    if (batch == 1) return;
    check(cublasLtMatrixLayoutSetAttribute(out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                           sizeof batch),
          "describing a matrix");
    check(cublasLtMatrixLayoutSetAttribute(out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                           &batch_stride, sizeof batch_stride),
          "describing a matrix");
  }

  void choose(Cuda& cuda, const ProductShape& s) {
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "choosing an algorithm");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
            "choosing an algorithm");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_limit);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t{s.align_b});
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, std::uint32_t{s.align_a});
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, std::uint32_t{s.align_c});
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::uint32_t{s.align_c});
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        cuda.blas(), operation_, first_, second_, result_, result_, preference, 1, &best, &found);
    cublasLtMatmulPreferenceDestroy(preference);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED && status != CUBLAS_STATUS_INVALID_VALUE)
      check(status, "choosing an algorithm");
    available_ =
        status == CUBLAS_STATUS_SUCCESS && found > 0 && best.state == CUBLAS_STATUS_SUCCESS;
    algorithm_ = best.algo;
  }

  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t first_ = nullptr, second_ = nullptr, result_ = nullptr;
  cublasLtMatmulAlgo_t algorithm_{};
  bool available_ = false;
};

/// The plans of one device.
class Products {
 public:
  explicit Products(Cuda& cuda) : cuda_(cuda) {}
  ProductPlan& find(const ProductShape& shape, const void* vector) {
    const auto [it, is_new] = plans_.try_emplace(shape);
    if (is_new) it->second.prepare(cuda_, shape, vector);
    return it->second;
  }

 private:
  Cuda& cuda_;
  std::map<ProductShape, ProductPlan> plans_;
};

/// c = alpha * op(a) op(b) + beta * c with an epilogue on `vector`. False, and nothing done, where
/// cuBLASLt has no algorithm with that epilogue; Error where it has none at all.
template <class T, class Out>
bool product(Cuda& cuda, const primitive::Gemm<T, Out>& g, Mat<Out> c, Epilogue epilogue,
             const void* vector, const GemmBatch& batch = {}) {
  const ProductShape shape{.type = cuda_type<T>,
                           .out = cuda_type<Out>,
                           .m = c.rows,
                           .n = c.cols,
                           .k = inner_size(g),
                           .lda = g.a.stride,
                           .ldb = g.b.stride,
                           .ldc = c.stride,
                           .transpose_a = g.transpose_a,
                           .transpose_b = g.transpose_b,
                           .accumulates = g.beta != 0,
                           .tf32 = cuda.options().tf32,
                           .epilogue = epilogue,
                           .align_a = alignment_of(g.a.data),
                           .align_b = alignment_of(g.b.data),
                           .align_c = alignment_of(c.data),
                           .align_vector = vector ? alignment_of(vector) : 256,
                           .batch = batch.count,
                           .batch_a = batch.a,
                           .batch_b = batch.b,
                           .batch_c = batch.c};
  ProductPlan& plan = cuda.state<Products>().find(shape, vector);
  if (!plan.available()) {
    require(epilogue != Epilogue::none, "[gemm] cuBLASLt has no algorithm for (", shape.m, ", ",
            shape.k, ") x (", shape.k, ", ", shape.n, ")");
    return false;
  }
  plan.run(cuda, g.a.data, g.b.data, c.data, g.alpha, g.beta, vector);
  return true;
}

/// c = beta * c: a product over nothing.
template <class Out>
void scale_in_place(Cuda& cuda, Mat<Out> c, accumulator_t<Out> beta) {
  if (beta == 1) return;
  require(beta == 0, "[gemm] an empty sum with beta ", static_cast<double>(beta),
          ", expected 0 or 1");
  check(cudaMemset2DAsync(c.data, static_cast<std::size_t>(c.stride) * sizeof(Out), 0,
                          static_cast<std::size_t>(c.cols) * sizeof(Out),
                          static_cast<std::size_t>(c.rows), cuda.stream()),
        "clearing memory");
}

}  // namespace detail

/// Matrix product; see primitive::Gemm. Accumulates in accumulator_t<T>; single precision rounds
/// its inputs to TF32 only where CudaOptions say so. `gelu` needs beta 0. Throws Error if the
/// shapes do not fit.
template <class T, class Out>
void run(Cuda& cuda, const primitive::Gemm<T, Out>& g) {
  using namespace detail;
  check_gemm(g);
  if (g.c.rows == 0 || g.c.cols == 0) return;
  require(!g.gelu || g.beta == 0, "[gemm] gelu together with beta");
  Mat<Out> z = g.c;
  if constexpr (std::is_same_v<T, Out>) {
    if (g.gelu && g.pre.data) z = g.pre;
  } else {
    require(!g.gelu && !g.bias, "[gemm] bias or gelu with a result of another type");
  }
  bool biased = g.bias == nullptr;
  if ((inner_size(g)) == 0) {
    scale_in_place(cuda, z, g.beta);
  } else {
    if (g.bias) biased = product(cuda, g, z, Epilogue::bias, g.bias);
    if (!g.bias || !biased) product(cuda, g, z, Epilogue::none, nullptr);
  }
  if constexpr (std::is_same_v<T, Out>) {
    if (!biased) albef::run(cuda, primitive::SetRows<T>{.row = g.bias, .y = z, .beta = 1});
    if (g.gelu) albef::run(cuda, primitive::Activate<T>{Activation::gelu, z, g.c});
  }
}

/// `batch.count` products of one shape.
template <class T, class Out>
void gemm_batched(Cuda& cuda, const primitive::Gemm<T, Out>& g, const GemmBatch& batch) {
  check_gemm(g);
  require(!g.bias && !g.gelu, "[gemm] bias or gelu in a batch of products");
  if (g.c.rows == 0 || g.c.cols == 0 || batch.count == 0) return;
  detail::product(cuda, g, g.c, detail::Epilogue::none, nullptr, batch);
}

/// dw = dy^T x + beta dw and, unless null, db = column sums of dy + beta_db db, from one reading of
/// dy where cuBLASLt can.
template <class T>
void run(Cuda& cuda, const primitive::WeightGradient<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  const Mat<const T> dy = a.dy;
  const Mat<A> dw = a.dw;
  A* const db = a.db;
  const primitive::Gemm<T, A> g{.a = dy, .b = a.x, .c = dw, .transpose_a = true, .beta = a.beta};
  const primitive::ColumnSum<T> columns{.x = dy, .sum = db, .beta = a.beta_db};
  const bool sums = db && dy.rows > 0 && dw.rows > 0 && dw.cols > 0;
  if (!sums) {
    albef::run(cuda, g);
    if (db) albef::run(cuda, columns);
    return;
  }
  check_gemm(g);
  require(a.beta_db == 0 || a.beta_db == 1, "[weight_gradient] beta of the bias must be 0 or 1");
  // The epilogue overwrites: sums that are to be added go to scratch memory first.
  A* const target =
      a.beta_db == 0 ? db
                     : static_cast<A*>(cuda.scratch(static_cast<std::size_t>(dw.rows) * sizeof(A)));
  if (product(cuda, g, dw, Epilogue::sums, target)) {
    if (target != db)
      albef::run(cuda, primitive::Add<A>{{target, 1, dw.rows, dw.rows}, mat(db, 1, dw.rows), A(1)});
    return;
  }
  product(cuda, g, dw, Epilogue::none, nullptr);
  albef::run(cuda, columns);
}

}  // namespace albef
