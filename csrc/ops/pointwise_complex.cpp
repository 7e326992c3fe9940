// The loops of pointwise operations on complex numbers, through the standard library.
#include <complex>

#include "cpu/math_complex.h"  // before the functors, whose text finds its functions by name
#include "ops/pointwise_loop_templates.h"

namespace samara {
namespace {

using Single = std::complex<float>;
using Double = std::complex<double>;

constexpr auto unary = loops::unary_table<Single, Double>(pointwise::UnaryFunctors{});
constexpr auto binary = loops::binary_table<Single, Double>(pointwise::BinaryFunctors{});

}  // namespace

const PointwiseKernels* const complex_unary_kernels = unary.kernels;
const PointwiseKernels* const complex_binary_kernels = binary.kernels;

}  // namespace samara
