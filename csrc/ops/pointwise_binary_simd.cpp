// The loops of two-argument pointwise operations, forward and backward.
#include "ops/pointwise_loop_templates.h"

namespace samara::SAMARA_ISA {
namespace {
constexpr auto table =
    loops::binary_table<bool, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t,
                        int64_t, float, double>(pointwise::BinaryFunctors{});
}
extern const PointwiseKernels* const binary_pointwise_kernels;
const PointwiseKernels* const binary_pointwise_kernels = table.kernels;
}  // namespace samara::SAMARA_ISA
