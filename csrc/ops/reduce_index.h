// Where the largest or smallest element of a run stands: the kernels of argmax and argmin.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "ops/reduce.h"

namespace samara {

// For each run the first position of its extremum, or of its first NaN, and unless `values` is null
// the element there.
struct IndexKernel {
  void (*rows)(const void* x, const RowsView& view, int64_t* position, void* values) = nullptr;
  void (*columns)(const void* x, const ColumnsView& view, int64_t* position,
                  void* values) = nullptr;
};

struct IndexKernels {
  IndexKernel largest[kDTypeCount];
  IndexKernel smallest[kDTypeCount];
};
namespace baseline {
extern const IndexKernels index_kernels;
}
namespace v3 {
extern const IndexKernels index_kernels;
}
namespace v4 {
extern const IndexKernels index_kernels;
}

}  // namespace samara
