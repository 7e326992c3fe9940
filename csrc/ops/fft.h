// Fourier transforms of lines: the kernels' table.
#pragma once

#include <cstdint>

namespace samara {

// `count` lines to transform, y_k = scale * sum_j x_j exp(-+2 pi i j k / n). Offsets and strides
// count elements of the array they belong to.
struct FftLines {
  const void* in;
  void* out;
  const int64_t* in_offsets;
  const int64_t* out_offsets;
  int64_t count;
  int64_t in_stride;
  int64_t out_stride;
  int64_t n;     // length of the transform, of the real side where there is one
  int64_t have;  // elements an input line has; zeros follow
  double scale;
  bool forward;  // exp(-...)
};

struct FftKernel {
  void (*complex)(const FftLines& lines);
  void (*from_real)(const FftLines& lines);  // real [n] -> complex [n / 2 + 1]
  void (*to_real)(const FftLines& lines);    // complex [n / 2 + 1] -> real [n]
};
struct FftKernels {
  FftKernel single, wide;  // float, double
};
namespace baseline {
extern const FftKernels fft_kernels;
}
namespace v3 {
extern const FftKernels fft_kernels;
}
namespace v4 {
extern const FftKernels fft_kernels;
}

}  // namespace samara
