// The loops of three-argument pointwise operations.
#include "ops/pointwise_loop_templates.h"

namespace samara::SAMARA_ISA {
namespace {
constexpr auto table = loops::ternary_table<float, double>(pointwise::TernaryFunctors{});
}
extern const PointwiseKernels* const ternary_pointwise_kernels;
const PointwiseKernels* const ternary_pointwise_kernels = table.kernels;
}  // namespace samara::SAMARA_ISA
