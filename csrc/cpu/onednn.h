// The only door to oneDNN, with onednn_convolution.h. No oneDNN or OpenMP header is seen outside
// onednn*.cpp.
#pragma once

#include <cstdint>

namespace samara::onednn {

// Makes oneDNN run single-threaded on the calling thread from now on; cheap after the first call.
// Parallelism comes from the pool in cpu/threads.h, so no OpenMP barrier is ever waited on.
void use_one_thread();

// Row-major single-precision product of one tile. False when oneDNN refuses the arguments, for
// example a distance between rows below their length; nothing is written then.
bool sgemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
           const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c,
           std::int64_t ldc);

// Whether this CPU multiplies bfloat16 natively.
bool has_bf16_gemm();

// C (float) = op(A) op(B) of bfloat16 matrices given as bits, on the calling thread. False when
// oneDNN has no such kernel; nothing is written then.
bool bf16_gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k,
               const std::uint16_t* a, std::int64_t lda, const std::uint16_t* b, std::int64_t ldb,
               float* c, std::int64_t ldc);

// The version of the library in use, for example "3.2.0".
const char* version();

}  // namespace samara::onednn
