// The inner loops of pointwise operations, one table per instruction set.
//
// A loop works on n elements of each operand, `strides` bytes apart. Operand 0 is written.
//   forward            result, inputs...
//   backward[i]        gradient of input i; then g, inputs..., result. What the derivative does not
//                      read may point anywhere readable.
// Loops exist for float, double, integers and bool; float16 and bfloat16 go through float.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace samara {

using PointwiseLoop = void (*)(char* const* pointers, const int64_t* strides, int64_t n,
                               const double* parameters);

struct PointwiseKernels {
  PointwiseLoop forward[kDTypeCount] = {};
  PointwiseLoop backward[2][kDTypeCount] = {};
};

using ConvertLoop = void (*)(char* target, int64_t target_stride, const char* source,
                             int64_t source_stride, int64_t n);
using SelectLoop = void (*)(char* const* pointers, const int64_t* strides, int64_t n);
// Copies `rows` times `columns` elements; the target's rows are `target_row` bytes apart and dense,
// the source's columns `source_column` bytes apart and dense.
using TransposeLoop = void (*)(char* target, int64_t target_row, const char* source,
                               int64_t source_column, int64_t rows, int64_t columns);

struct ConvertKernels {
  ConvertLoop cast[kDTypeCount][kDTypeCount];  // [to][from]
  // For element sizes 1, 2, 4, 8, 16.
  SelectLoop select[5];  // result, condition, a, b
  TransposeLoop transpose[5];
};

// Tables in the order of the lists in activation.h.
const PointwiseKernels* unary_kernels();
const PointwiseKernels* binary_kernels();
const ConvertKernels& convert_kernels();

// Complex numbers are not vectorised: one plain table. Absent operations have null loops.
extern const PointwiseKernels* const complex_unary_kernels;
extern const PointwiseKernels* const complex_binary_kernels;

}  // namespace samara
