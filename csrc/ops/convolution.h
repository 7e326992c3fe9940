// Convolutions: what the files of the family share. Activations are dense [N, spatial, C] here.
#pragma once

#include <limits>

#include "core/kernel.h"
#include "core/tensor.h"
#include "cpu/convolution_shape.h"

namespace samara {

// What bounds the results of the forward pass: relu, relu6 or nothing.
struct Clamp {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  bool is_relu() const { return low == 0.0f && high == std::numeric_limits<float>::infinity(); }
  bool any() const { return low == 0.0f || high != std::numeric_limits<float>::infinity(); }
};

struct ConvolutionAttributes {
  ConvolutionShape shape;
  Clamp clamp;
};

// By copied windows and matrix products, for float32 and float64: what no faster kernel takes.
// `bias` and `residual` may be undefined.
struct GenericConvolution {
  const ConvolutionShape& shape;

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual,
               const Clamp& clamp, const Tensor& y) const;
  void input_gradient(const Tensor& g, const Tensor& weight, const Tensor& dx) const;
  void weight_gradient(const Tensor& g, const Tensor& x, const Tensor& dweight) const;
};

// By Winograd's algorithm, for 3 x 3 kernels of stride 1 in float32. False where a direct kernel is
// faster, and where a result is not finite: nothing useful has been written then.
struct WinogradPath {
  const ConvolutionShape& shape;

  bool forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual,
               bool relu, const Tensor& y) const;
  bool input_gradient(const Tensor& g, const Tensor& weight, const Tensor& bias,
                      const Tensor& dx) const;
  bool weight_gradient(const Tensor& g, const Tensor& x, const Tensor& dweight) const;
};

// As products of matrices, for float32, kernels of one place and no padding. False elsewhere.
struct ProductPath {
  const ConvolutionShape& shape;

  bool applies(const Tensor& x) const;
  bool forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y) const;
  bool input_gradient(const Tensor& g, const Tensor& weight, const Tensor& dx) const;
  bool weight_gradient(const Tensor& g, const Tensor& x, const Tensor& dweight) const;
};

// By register blocks over gathered inputs, for float32 and one group. Each is false where it does
// not apply; nothing is written then.
struct DirectPath {
  const ConvolutionShape& shape;

  bool forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual,
               const Clamp& clamp, const Tensor& y) const;
  bool input_gradient(const Tensor& g, const Tensor& weight, const Tensor& bias,
                      const Tensor& dx) const;
  bool weight_gradient(const Tensor& g, const Tensor& x, const Tensor& dweight) const;
};

// Every channel by itself, for float32. False where groups, channels and dtype are others.
struct DepthwisePath {
  const ConvolutionShape& shape;

  bool applies(const Tensor& x) const;
  bool forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual,
               const Clamp& clamp, const Tensor& y) const;
  bool input_gradient(const Tensor& g, const Tensor& weight, const Tensor& bias,
                      const Tensor& dx) const;
  bool weight_gradient(const Tensor& g, const Tensor& x, const Tensor& dweight) const;
};

// CPU kernels. inputs: x, weight, bias or nothing, residual or nothing; outputs: y.
void convolution_cpu(TensorSpan outputs, TensorSpan inputs, const ConvolutionAttributes& a);
// inputs: gradient of y, weight, bias of the transposed convolution or nothing; outputs: gradient
// of x.
void convolution_input_gradient_cpu(TensorSpan outputs, TensorSpan inputs,
                                    const ConvolutionAttributes& a);
// inputs: gradient of y, x; outputs: gradient of the weight, row-major.
void convolution_weight_gradient_cpu(TensorSpan outputs, TensorSpan inputs,
                                     const ConvolutionAttributes& a);

}  // namespace samara
