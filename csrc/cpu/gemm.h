// Matrix products on raw row-major memory: C = alpha * op(A) op(B) + beta * C.
//
// op(A) is m x k and op(B) is k x n. With trans_a the memory of A is k x m (op(A) = A^T), and
// likewise for B. lda, ldb, ldc are distances between rows of the memory in elements. With beta ==
// 0, C is not read; with k == 0 the result is beta * C. The split into tiles depends on the shape
// alone, so the bits do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <type_traits>

namespace samara {

// T: float, double, std::complex<float>, std::complex<double>, or a signed or unsigned integer of 8
// to 64 bits. Integers wrap around.
template <class T>
void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k,
          std::type_identity_t<T> alpha, const T* a, std::int64_t lda, const T* b, std::int64_t ldb,
          std::type_identity_t<T> beta, T* c, std::int64_t ldc);

// `batch` products; stride_a, stride_b, stride_c are distances in elements between consecutive
// matrices. A stride of 0 reuses one matrix of A or B (broadcasting).
template <class T>
void gemm_batched(std::int64_t batch, bool trans_a, bool trans_b, std::int64_t m, std::int64_t n,
                  std::int64_t k, std::type_identity_t<T> alpha, const T* a, std::int64_t lda,
                  std::int64_t stride_a, const T* b, std::int64_t ldb, std::int64_t stride_b,
                  std::type_identity_t<T> beta, T* c, std::int64_t ldc, std::int64_t stride_c);

// C = op(A) op(B) + bias, with bias [n] added to every row. `bias` may be null. T: float, double.
template <class T>
void gemm_bias(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k,
               const T* a, std::int64_t lda, const T* b, std::int64_t ldb, const T* bias, T* c,
               std::int64_t ldc);

// op(B), k x n, kept in the order in which products read it, for many products with few rows of A.
// T: float, double.
template <class T>
class PackedMatrix {
 public:
  PackedMatrix(bool trans, std::int64_t n, std::int64_t k, const T* b, std::int64_t ldb);
  ~PackedMatrix();
  PackedMatrix(const PackedMatrix&) = delete;
  PackedMatrix& operator=(const PackedMatrix&) = delete;

  // C = A op(B) + beta C for m rows, on the calling thread.
  void multiply(std::int64_t m, const T* a, std::int64_t lda, T beta, T* c, std::int64_t ldc) const;

 private:
  std::int64_t n_, k_;
  T* panels_;
};

// Sixteen-bit floats are passed as their bits. Sums are kept in float and rounded once at the end.
enum class HalfKind { bfloat16, float16 };

void gemm_half(HalfKind kind, bool trans_a, bool trans_b, std::int64_t m, std::int64_t n,
               std::int64_t k, float alpha, const std::uint16_t* a, std::int64_t lda,
               const std::uint16_t* b, std::int64_t ldb, float beta, std::uint16_t* c,
               std::int64_t ldc);

void gemm_half_batched(HalfKind kind, std::int64_t batch, bool trans_a, bool trans_b,
                       std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
                       const std::uint16_t* a, std::int64_t lda, std::int64_t stride_a,
                       const std::uint16_t* b, std::int64_t ldb, std::int64_t stride_b, float beta,
                       std::uint16_t* c, std::int64_t ldc, std::int64_t stride_c);

}  // namespace samara
