// Resampling to another size: the kernels' table.
//
// All modes are separable linear maps. Along each axis the map is a band: output i is a weighted
// sum of a run of inputs, and both ends of the runs never step back. The transpose of a band is one
// as well, so the gradient runs the same kernel.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace samara {

// output[i] = sum over k < count[i] of weights[k * out + i] * input[first[i] + k]
struct BandView {
  int64_t in, out;
  int64_t width;  // the largest count
  const int32_t* first;
  const int32_t* count;
  const void* weights;  // in the type the numbers are computed in
  // Outputs in [even_begin, even_end) have the largest count. In there, where period is not 0,
  // output i + period has the weights of output i and starts `step` inputs later.
  int64_t even_begin, even_end, period, step;
  bool identity;  // each output is the input at its place
};

struct ResampleTask {
  BandView d, h, w;
  int64_t inner;  // numbers per pixel: the channels when they lie last, else 1
  // Rows are resampled along w before they are combined; otherwise afterwards. What comes first
  // works on fewer rows.
  bool rows_first;
};

// The rows [begin, end) of one plane's output, counted over d and h; `scratch` is as large as
// resample_scratch says.
using ResamplePlane = void (*)(const void* x, void* out, const ResampleTask& task, int64_t begin,
                               int64_t end, void* scratch);

struct ResampleKernels {
  ResamplePlane plane[kDTypeCount] = {};
};

inline constexpr int64_t kResampleLines = 4;  // rows that are combined at once

// How the scratch memory is cut, in bytes from its start; everything is aligned to 64.
struct ResampleScratch {
  int64_t rows, weights, ring, line, result, bytes;
};
constexpr ResampleScratch resample_scratch(const ResampleTask& task, int64_t item) {
  const auto rounded = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
  const int64_t taps = task.d.width * task.h.width;
  ResampleScratch cut{};
  cut.weights = rounded(taps * static_cast<int64_t>(sizeof(void*)));
  cut.ring = cut.weights + rounded(taps * item);
  cut.line = cut.ring + (task.rows_first ? task.h.width : 0) * task.w.out * task.inner * item;
  cut.line = rounded(cut.line);
  cut.result = cut.line + rounded(kResampleLines * task.w.in * task.inner * item);
  cut.bytes = cut.result + rounded(task.w.out * task.inner * item);
  return cut;
}

namespace baseline {
extern const ResampleKernels resample_kernels;
}
namespace v3 {
extern const ResampleKernels resample_kernels;
}
namespace v4 {
extern const ResampleKernels resample_kernels;
}

}  // namespace samara
