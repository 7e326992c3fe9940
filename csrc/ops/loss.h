// Losses: the arguments they share, and the kernels of those that compare two tensors elementwise.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/operation.h"

namespace samara {

enum class LossReduction : uint8_t { none, mean, sum };

// Argument i, a text; fails for anything but 'none', 'mean' and 'sum'.
LossReduction reduction_argument(const Call& call, int i);
LossReduction reduction_argument(const BackwardCall& call, int i);

// Each is f(d) of the difference d = x - y; `parameter` is beta or delta.
enum class PairLoss : uint8_t { squared, absolute, smooth, huber };
inline constexpr int kPairLossCount = 4;

struct PairLossKernel {
  // The sum of f over n elements.
  double (*sum)(const void* x, const void* y, int64_t n, double parameter) = nullptr;
  void (*values)(const void* x, const void* y, void* out, int64_t n, double parameter) = nullptr;
  // scale f'(x - y); with `g`, scale g f'(x - y).
  void (*gradient)(const void* x, const void* y, const void* g, void* out, int64_t n,
                   double parameter, double scale) = nullptr;
};

struct LossKernels {
  PairLossKernel pair[kPairLossCount][kDTypeCount];
};
namespace baseline {
extern const LossKernels loss_kernels;
}
namespace v3 {
extern const LossKernels loss_kernels;
}
namespace v4 {
extern const LossKernels loss_kernels;
}

}  // namespace samara
