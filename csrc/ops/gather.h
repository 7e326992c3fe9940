// The loops of gather, scatter and scatter_add along contiguous lanes.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace samara {

// The places of one run of n elements: element j stands at j * step + index[j] * stride of the
// tensor that is indexed, whose axis has `size` entries. Negative indices count from the end.
struct IndexRun {
  const int64_t* index;
  int64_t n;
  int64_t size;
  int64_t stride;
  int64_t step;
};

struct GatherKernels {
  // Whether all indices are in range.
  bool (*inside)(const IndexRun& run) = nullptr;
  // Those below return false where one is not.
  // to[j] = from[place of j], for elements of 1, 2, 4, 8 and 16 bytes.
  bool (*gather[5])(const void* from, const IndexRun& run, void* to) = {};
  // to[place of j] = from[j]; of equal places the last one wins.
  bool (*scatter[5])(void* to, const IndexRun& run, const void* from) = {};
  // A contiguous lane of x with from[j] added at the place of j: summed in double, in the order of
  // the run, and rounded once. `sums` has room for the lane; `out` may be x. For real floats.
  bool (*add_lane[kDTypeCount])(const void* x, const IndexRun& run, const void* from, double* sums,
                                void* out) = {};
};
namespace baseline {
extern const GatherKernels gather_kernels;
}
namespace v3 {
extern const GatherKernels gather_kernels;
}
namespace v4 {
extern const GatherKernels gather_kernels;
}

}  // namespace samara
