// Kernels that fill memory with random numbers; csrc/core/random.h defines which.
#pragma once

#include <cstdint>

#include "core/half.h"
#include "core/random.h"

namespace samara {

struct RandomStream {
  uint64_t key;
  random::Purpose purpose;
};

// The numbers of one dtype next to low and high: the least one >= low and the greatest one < high.
struct UniformRange {
  double low;
  double high;
  double first;
  double last;
};

// A range of elements, [begin, end), of a draw. `begin` is a multiple of random::kGroupWords.
struct ElementRange {
  int64_t begin;
  int64_t end;
};

struct NormalRange {
  double mean;
  double std;
};

struct DropoutRule {
  uint32_t threshold;  // an element is kept when its 32-bit draw is at least this
  double scale;
};

// Pointers are to element 0 of the whole draw.
template <class T>
struct FloatRandomKernels {
  void (*uniform)(T* out, ElementRange elements, RandomStream stream, UniformRange range);
  void (*normal)(T* out, ElementRange elements, RandomStream stream, NormalRange range);
  void (*dropout)(T* out, const T* x, ElementRange elements, RandomStream stream, DropoutRule rule);
};

struct RandomKernels {
  // The words of the groups [first_group, first_group + groups): out[group][word][lane].
  void (*words)(uint32_t* out, int64_t first_group, int64_t groups, RandomStream stream);
  FloatRandomKernels<Float16> float16;
  FloatRandomKernels<BFloat16> bfloat16;
  FloatRandomKernels<float> float32;
  FloatRandomKernels<double> float64;
};

namespace baseline {
extern const RandomKernels random_kernels;
}
namespace v3 {
extern const RandomKernels random_kernels;
}
namespace v4 {
extern const RandomKernels random_kernels;
}

}  // namespace samara
