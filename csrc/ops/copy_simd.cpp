// Copies between elements of one size that do not both lie side by side.
#include "ops/copy.h"

#include <cstddef>

#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

struct Wide {
  uint64_t low, high;
};

// A stride that is known lets the compiler form vectors.
template <class T, int64_t kStride>
SAMARA_FUNCTION void move_spaced(T* to, const T* from, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) to[i] = from[i * kStride];
}

template <class T>
void move(char* target, int64_t target_stride, const char* source, int64_t source_stride,
          int64_t n) {
  constexpr int64_t size = sizeof(T);
  if (target_stride == size) {
    T* to = reinterpret_cast<T*>(target);
    const T* from = reinterpret_cast<const T*>(source);
    switch (source_stride) {
      case -size:
        return move_spaced<T, -1>(to, from, n);
      case 0: {
        const T element = *from;
        for (int64_t i = 0; i < n; ++i) to[i] = element;
        return;
      }
      case 2 * size:
        return move_spaced<T, 2>(to, from, n);
      default:
        break;
    }
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<T*>(target + i * target_stride) =
        *reinterpret_cast<const T*>(source + i * source_stride);
}

template <int kBytes>
SAMARA_FUNCTION void copy_block(char* target, const char* source) {
  typedef char Block __attribute__((vector_size(kBytes), aligned(1)));
  *reinterpret_cast<Block*>(target) = *reinterpret_cast<const Block*>(source);
}

// Two blocks that meet or overlap in the middle.
template <int kBytes>
SAMARA_FUNCTION void copy_ends(char* target, const char* source, int64_t count) {
  copy_block<kBytes>(target, source);
  copy_block<kBytes>(target + count - kBytes, source + count - kBytes);
}

// Short rows have no need of the C library's choice among ways to copy, which for rows that lie at
// unlucky distances costs half as much again.
SAMARA_FUNCTION void copy_bytes(char* target, const char* source, int64_t count) {
  constexpr int size = lanes::kRegisterBytes;
  if (size == 16 && count >= 256) {
    __builtin_memmove(target, source, static_cast<size_t>(count));
  } else if (count >= size) {
    int64_t i = 0;
    for (; i + 4 * size <= count; i += 4 * size)
      for (int k = 0; k < 4; ++k) copy_block<size>(target + i + k * size, source + i + k * size);
    for (; i + size <= count; i += size) copy_block<size>(target + i, source + i);
    if (i < count) copy_block<size>(target + count - size, source + count - size);
  } else if (size > 32 && count >= 32) {
    copy_ends<32>(target, source, count);
  } else if (size > 16 && count >= 16) {
    copy_ends<16>(target, source, count);
  } else if (count >= 8) {
    copy_ends<8>(target, source, count);
  } else if (count >= 4) {
    copy_ends<4>(target, source, count);
  } else {
    for (int64_t i = 0; i < count; ++i) target[i] = source[i];
  }
}

void copy_rows(char* target, const char* source, const RowPlanes& view) {
  for (int64_t p = 0; p < view.planes; ++p) {
    char* to = target + p * view.target_plane;
    const char* from = source + p * view.source_plane;
    for (int64_t r = 0; r < view.rows; ++r, to += view.target_row, from += view.source_row)
      copy_bytes(to, from, view.bytes);
  }
}

}  // namespace

extern const MoveKernels move_kernels;
constinit const MoveKernels move_kernels = {
    {move<uint8_t>, move<uint16_t>, move<uint32_t>, move<uint64_t>, move<Wide>}, copy_rows};

}  // namespace samara::SAMARA_ISA
