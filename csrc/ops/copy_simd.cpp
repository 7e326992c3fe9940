// Copies between elements of one size that do not both lie side by side.
#include "ops/copy.h"

#include "cpu/math.h"

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

}  // namespace

extern const MoveKernels move_kernels;
constinit const MoveKernels move_kernels = {
    {move<uint8_t>, move<uint16_t>, move<uint32_t>, move<uint64_t>, move<Wide>}};

}  // namespace samara::SAMARA_ISA
