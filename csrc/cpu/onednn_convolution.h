// oneDNN's convolution kernels, one thread each, on channels-last memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "cpu/convolution_shape.h"

namespace samara::onednn {

enum class Pass : std::int64_t { forward, input_gradient, weight_gradient };

// A kernel wanted. Activations are dense [N, spatial, C], of float32 or bfloat16; sums are float32,
// and so are bias and the gradient of the weight.
struct ConvolutionRequest {
  ConvolutionShape shape;
  Pass pass = Pass::forward;
  std::int64_t bfloat16 = 0;
  // Forward only: y = min(relu(conv(x) + bias + residual), limit), each part if asked for. The
  // limit is given by its bits, and read with relu.
  std::int64_t bias = 0, residual = 0, relu = 0, limit = 0;
  // The order in which the weights are to lie, as an earlier kernel gave it; 0: the kernel's own.
  std::int64_t weight_order = 0;

  bool operator==(const ConvolutionRequest&) const = default;
};

class Convolution;
using ConvolutionRef = std::shared_ptr<const Convolution>;

// A kernel ready to run, from any thread. Making one costs far more than running it on a small
// image, so the latest are kept. Null where oneDNN has none but its slow reference.
ConvolutionRef find_convolution(const ConvolutionRequest& request);

// Equal numbers mean equal orders; `weight_bytes` is the memory the weights (or their gradient)
// take in it.
std::int64_t weight_order(const Convolution& convolution);
std::size_t weight_bytes(const Convolution& convolution);
std::size_t scratch_bytes(const Convolution& convolution);
// The name oneDNN gives the kernel.
const char* kernel_name(const Convolution& convolution);

// From row-major [K, C / groups, spatial] weights to the kernel's order, and a gradient back. False
// when oneDNN fails; nothing else does.
bool pack_weights(const Convolution& convolution, const void* plain, void* packed);
bool unpack_gradient(const Convolution& convolution, const float* packed, float* plain);

// x and y are the input and the output or their gradients; the pass says which of x, weight and y
// is written. Scratch holds scratch_bytes, aligned to 64.
struct ConvolutionArguments {
  const void* x = nullptr;
  const void* weight = nullptr;
  const void* y = nullptr;
  const float* bias = nullptr;
  const void* residual = nullptr;
  void* scratch = nullptr;
};
bool run_convolution(const Convolution& convolution, const ConvolutionArguments& arguments);

}  // namespace samara::onednn
