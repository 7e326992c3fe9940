// 3 x 3 convolutions of stride 1 by Winograd's algorithm, where it is faster than a direct kernel.
#include "core/derived.h"
#include "cpu/winograd.h"
#include "ops/basic.h"
#include "ops/convolution.h"
#include "ops/reduce.h"

namespace samara {
namespace {

// Kinds of derived forms; oneDNN's is 1.
constexpr int64_t kTransformedForWinograd = 2, kSeenByWinograd = 3;

bool is_candidate(const ConvolutionShape& s) {
  return s.spatial == 2 && s.groups == 1 && s.kernel == Sizes3{1, 3, 3} &&
         s.stride == Sizes3{1, 1, 1} && s.dilation == Sizes3{1, 1, 1};
}

WinogradShape forward_shape(const ConvolutionShape& s) {
  return {s.images, s.in[1],        s.in[2],    s.in_channels, s.out[1],
          s.out[2], s.out_channels, s.begin[1], s.begin[2]};
}

// The gradient of the input is a convolution of the output's gradient, padded by what is left of
// the kernel.
WinogradShape gradient_shape(const ConvolutionShape& s) {
  return {s.images, s.out[1],      s.out[2],       s.out_channels, s.in[1],
          s.in[2],  s.in_channels, 2 - s.begin[1], 2 - s.begin[2]};
}

void transform(const WinogradShape& shape, const Tensor& weight, bool gradient, float* to) {
  const Dims& stride = weight.strides();
  const WinogradWeight forward{weight.data<float>(), stride[0], stride[1], stride[2], stride[3]};
  winograd_transform_weight(shape.channels, shape.out_channels,
                            gradient ? adjoint(forward) : forward, to);
}

// The transformed weight, kept once it is asked for again: in training every state of a weight is
// seen once in each direction, and transformed it takes four times the memory. Undefined: not kept.
Tensor kept_form(const WinogradShape& shape, const Tensor& weight, bool gradient) {
  DerivedForms* const forms = detail::derived_forms(weight);
  if (forms == nullptr) return {};
  const DerivedKey seen{kSeenByWinograd, gradient, 0}, key{kTransformedForWinograd, gradient, 0};
  if (Tensor known = forms->find(weight, key)) return known;
  if (!forms->find(weight, seen)) {
    forms->keep(weight, seen, empty({0}, DType::float32, Device{}));
    return {};
  }
  return derived_form(weight, key, [&] {
    Tensor form =
        empty({winograd_weight_size(shape.channels, shape.out_channels)}, DType::float32, Device{});
    transform(shape, weight, gradient, form.data<float>());
    return form;
  });
}

bool convolve(const WinogradShape& shape, const Tensor& x, const Tensor& weight, bool gradient,
              const WinogradEpilogue& epilogue, const Tensor& y) {
  const Tensor form = kept_form(shape, weight, gradient);
  const int64_t floats = form ? 0 : winograd_weight_size(shape.channels, shape.out_channels);
  Scratch fresh(floats * int64_t{sizeof(float)});
  float* const passing = reinterpret_cast<float*>(fresh.data());
  if (!form) transform(shape, weight, gradient, passing);
  return winograd_convolution(shape, x.data<float>(), form ? form.data<float>() : passing, epilogue,
                              y.data<float>());
}

const float* address(const Tensor& x) { return x ? x.data<float>() : nullptr; }

}  // namespace

bool WinogradPath::forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           const Tensor& residual, bool relu, const Tensor& y) const {
  if (x.dtype() != DType::float32 || !is_candidate(shape)) return false;
  const WinogradShape own = forward_shape(shape);
  if (!winograd_pays(own)) return false;
  const Tensor whole_bias = bias ? contiguous(bias) : bias;
  return convolve(own, x, weight, false, {address(whole_bias), address(residual), relu}, y);
}

bool WinogradPath::input_gradient(const Tensor& g, const Tensor& weight, const Tensor& bias,
                                  const Tensor& dx) const {
  if (g.dtype() != DType::float32 || !is_candidate(shape)) return false;
  const WinogradShape own = gradient_shape(shape);
  if (!winograd_pays(own)) return false;
  const Tensor whole_bias = bias ? contiguous(bias) : bias;
  return convolve(own, g, weight, true, {address(whole_bias), nullptr, false}, dx);
}

bool WinogradPath::weight_gradient(const Tensor& g, const Tensor& x, const Tensor& dweight) const {
  if (g.dtype() != DType::float32 || dweight.dtype() != DType::float32 || !is_candidate(shape))
    return false;
  const WinogradShape own = forward_shape(shape);
  return winograd_weight_gradient_pays(own) &&
         winograd_weight_gradient(own, x.data<float>(), g.data<float>(), dweight.data<float>());
}

}  // namespace samara
