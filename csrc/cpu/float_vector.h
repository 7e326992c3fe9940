// Vectors of float as wide as the instruction set's registers.
//
// Included by *_simd.cpp files only.
#pragma once

namespace samara::SAMARA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(float));

typedef float Vector __attribute__((vector_size(vector_bytes)));
typedef float Unaligned
    __attribute__((vector_size(vector_bytes), aligned(sizeof(float)), may_alias));

[[gnu::always_inline]] inline Vector load(const float* from) {
  return *reinterpret_cast<const Unaligned*>(from);
}
[[gnu::always_inline]] inline void store(float* to, Vector v) {
  *reinterpret_cast<Unaligned*>(to) = v;
}

}  // namespace
}  // namespace samara::SAMARA_ISA
