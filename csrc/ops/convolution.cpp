// conv1d to conv3d and their transposes: arguments, shapes and gradients.
//
// Three internal operations are each other's gradients: `convolution`, the gradient of its input
// (which is the transposed convolution) and the gradient of its weight. All ranks share them.
#include "ops/convolution.h"

#include <string>
#include <utility>

#include "core/autograd.h"
#include "core/operation.h"
#include "ops/basic.h"
#include "ops/image.h"

namespace samara {
namespace {

const KernelSlot<ConvolutionAttributes> forward_slot("convolution", convolution_cpu);
const KernelSlot<ConvolutionAttributes> input_gradient_slot("convolution_input_gradient",
                                                            convolution_input_gradient_cpu);
const KernelSlot<ConvolutionAttributes> weight_gradient_slot("convolution_weight_gradient",
                                                             convolution_weight_gradient_cpu);

// --- arguments ---

struct Geometry {
  int spatial = 2;
  int64_t groups = 1;
  Dims stride, begin, end, dilation;

  // One list of integers, as the internal operations take it.
  Dims packed() const {
    Dims all{groups};
    for (const Dims* part : {&stride, &begin, &end, &dilation})
      for (const int64_t value : *part) all.push_back(value);
    return all;
  }
  static Geometry unpack(const Dims& all) {
    Geometry g;
    g.spatial = (all.size() - 1) / 4;
    g.groups = all[0];
    int next = 1;
    for (Dims* part : {&g.stride, &g.begin, &g.end, &g.dilation})
      for (int i = 0; i < g.spatial; ++i) part->push_back(all[next++]);
    return g;
  }
};

// Products of larger ones would overflow.
constexpr int64_t kLargest = int64_t{1} << 31;

// One integer for all axes, or one for each.
Dims per_axis(std::string_view place, std::string_view name, const Value& value, int spatial,
              int64_t least) {
  const Dims given = value.is_number() ? Dims{value.integer()} : value.integers();
  if (given.size() != 1 && given.size() != spatial)
    fail(ErrorKind::argument, place, ": ", name, " is ", given, ", ", given.size(),
         " values. Expected one integer, or ", spatial, ", one for each axis. Fix: pass ", name,
         "=", given.empty() ? least : given[0], ".");
  Dims values;
  for (int i = 0; i < spatial; ++i) values.push_back(given[given.size() == 1 ? 0 : i]);
  for (const int64_t one : values)
    if (one < least || one > kLargest)
      fail(ErrorKind::argument, place, ": ", name, " is ", given, ". Expected integers from ",
           least, " to ", kLargest, ". Fix: ", name, "=", least, ", say.");
  return values;
}

int64_t read_groups(std::string_view place, const Value& value) {
  const int64_t groups = value.integer();
  if (groups < 1 || groups > kLargest)
    fail(ErrorKind::argument, place, ": groups is ", groups, ". Expected an integer from 1 to ",
         kLargest, ". Fix: groups=1 connects all channels.");
  return groups;
}

[[noreturn]] void bad_padding_word(std::string_view place, const std::string& word) {
  fail(ErrorKind::argument, place, ": padding is '", word,
       "'. Expected 'same', 'valid' or integers. Fix: padding='same' keeps the size.");
}

// padding="same": the output has the input's size; what is odd goes to the end.
void read_padding(std::string_view place, const Value& value, const Dims& kernel, Geometry& g) {
  if (value.kind() != ValueKind::text) {
    g.begin = per_axis(place, "padding", value, g.spatial, 0);
    g.end = g.begin;
    return;
  }
  const std::string& word = value.text();
  if (word != "same" && word != "valid") bad_padding_word(place, word);
  g.begin = g.end = Dims::filled(g.spatial, 0);
  if (word == "valid") return;
  for (int i = 0; i < g.spatial; ++i) {
    if (g.stride[i] != 1)
      fail(ErrorKind::argument, place, ": padding is 'same' and stride is ", g.stride,
           ". Expected stride 1 where the size is to stay. Fix: pass the padding as integers.");
    const int64_t total = g.dilation[i] * (kernel[i] - 1);
    g.begin[i] = total / 2;
    g.end[i] = total - total / 2;
  }
}

// --- shapes ---

const char* axes_text(int spatial) {
  return spatial == 1 ? "length" : spatial == 2 ? "height, width" : "depth, height, width";
}

Dims spatial_of(const Dims& shape, int spatial) {
  Dims sizes;
  for (int i = shape.size() - spatial; i < shape.size(); ++i) sizes.push_back(shape[i]);
  return sizes;
}

void check_ranks(std::string_view place, const Tensor& x, const Tensor& weight, int spatial,
                 bool transposed) {
  if (weight.rank() != spatial + 2)
    fail(ErrorKind::shape, place, ": weight has shape ", weight.shape(), ". Expected ", spatial + 2,
         " axes, ", transposed ? "[in, out / groups, " : "[out, in / groups, ", axes_text(spatial),
         "]. Fix: reshape the weight, or use the convolution of another rank.");
  if (x.rank() != spatial + 2 && x.rank() != spatial + 1)
    fail(ErrorKind::shape, place, ": x has shape ", x.shape(), ". Expected ", spatial + 2,
         " axes, [batch, channels, ", axes_text(spatial), "], or ", spatial + 1,
         " without the batch. Fix: add the missing axes with unsqueeze.");
  for (const int64_t size : spatial_of(weight.shape(), spatial))
    if (size < 1)
      fail(ErrorKind::shape, place, ": weight has shape ", weight.shape(),
           ", a kernel without elements. Expected kernel sizes from 1 on. Fix: make the weight "
           "with kernel_size=1 or more.");
  for (const Tensor* tensor : {&x, &weight})
    for (const int64_t size : tensor->shape())
      if (size > kLargest)
        fail(ErrorKind::shape, place, ": ", tensor == &x ? "x" : "weight", " has shape ",
             tensor->shape(), ". Expected sizes up to ", kLargest, ". Fix: work in smaller parts.");
}

void check_dtypes(std::string_view place, const Tensor& x, const Tensor& weight,
                  const Tensor& bias) {
  if (!is_floating(x.dtype()))
    fail(ErrorKind::dtype, place, ": x has dtype ", name(x.dtype()),
         ". Expected float16, bfloat16, float32 or float64. Fix: convert it, e.g. "
         "x.to(samara.float32).");
  for (const Tensor* other : {&weight, &bias})
    if (*other && other->dtype() != x.dtype())
      fail(ErrorKind::dtype, place, ": x has dtype ", name(x.dtype()), " and ",
           other == &weight ? "weight " : "bias ", name(other->dtype()),
           ". Expected one dtype. Fix: convert one of them, e.g. x.to(weight.dtype).");
}

void check_bias(std::string_view place, const Tensor& bias, int64_t channels, const Dims& weight) {
  if (!bias || (bias.rank() == 1 && bias.size(0) == channels)) return;
  fail(ErrorKind::shape, place, ": bias has shape ", bias.shape(), " and weight has shape ", weight,
       ". Expected a bias of shape (", channels,
       ",), one number for each output channel. Fix: pass that, or no bias.");
}

// x is [N, C, *spatial] and weight [out, in / groups, *kernel].
void check_channels(std::string_view place, const Dims& x, const Dims& weight, int64_t groups) {
  const int64_t given = x[1], expected = weight[1] * groups;
  if (given != expected) {
    fail(ErrorKind::shape, place, ": x has shape ", x, ", ", given,
         " channels, and weight has shape ", weight, ", made for ", expected,
         groups > 1 ? concat_text(" in ", groups, " groups") : std::string(), ". Expected ",
         expected, " channels. Fix: make the layer with in_channels=", given,
         ", or pass x as [batch, channels, ...].");
  }
  if (weight[0] % groups != 0)
    fail(ErrorKind::shape, place, ": weight has shape ", weight, ", ", weight[0],
         " output channels, and groups is ", groups,
         ". Expected output channels that groups divides. Fix: use ",
         weight[0] - weight[0] % groups + groups, " of them, or other groups.");
}

// The shape of the convolution's output; x is batched.
Dims output_shape(std::string_view place, const Dims& x, const Dims& weight, const Geometry& g) {
  Dims shape{x[0], weight[0]};
  for (int i = 0; i < g.spatial; ++i) {
    const int64_t extent = g.dilation[i] * (weight[i + 2] - 1) + 1;
    const int64_t padded = x[i + 2] + g.begin[i] + g.end[i];
    if (extent > padded)
      fail(ErrorKind::shape, place, ": the kernel ", spatial_of(weight, g.spatial),
           " with dilation ", g.dilation, " reaches over ", extent, " places along axis ", i + 2,
           ", and x of shape ", x, " with padding has ", padded,
           ". Expected a kernel that fits into the padded input. Fix: pad more, or use a smaller "
           "kernel.");
    shape.push_back((padded - extent) / g.stride[i] + 1);
  }
  checked_element_count(shape);
  return shape;
}

ConvolutionAttributes attributes_of(const Dims& x, const Dims& weight, const Dims& y,
                                    const Geometry& g) {
  ConvolutionAttributes a;
  ConvolutionShape& s = a.shape;
  s.spatial = g.spatial;
  s.images = x[0];
  s.groups = g.groups;
  s.in_channels = x[1];
  s.out_channels = y[1];
  for (int i = 0; i < g.spatial; ++i) {
    const auto axis = static_cast<size_t>(3 - g.spatial + i);
    s.in[axis] = x[i + 2];
    s.out[axis] = y[i + 2];
    s.kernel[axis] = weight[i + 2];
    s.stride[axis] = g.stride[i];
    s.dilation[axis] = g.dilation[i];
    s.begin[axis] = g.begin[i];
    // What no window reaches is no padding.
    s.end[axis] = (y[i + 2] - 1) * g.stride[i] - g.begin[i] + (weight[i + 2] - 1) * g.dilation[i] +
                  1 - x[i + 2];
  }
  return a;
}

// --- the three passes, on batches ---

Tensor in_channels_last(const Tensor& x) { return in_order(x, ImageOrder::channels_last); }

Tensor zeros_or_bias(const Dims& shape, const Tensor& like, const Tensor& bias) {
  const Tensor out = empty_image(shape, like.dtype(), like.device(), ImageOrder::channels_last);
  if (!bias) {
    fill(out, Value(0.0));
    return out;
  }
  Dims column = Dims::filled(shape.size(), 1);
  column[1] = bias.size(0);
  copy_into(out, reshape_view(contiguous(bias), column));
  return out;
}

struct Epilogue {
  Tensor bias, residual;
  Clamp clamp;
};

Tensor forward_pass(std::string_view place, const Tensor& x, const Tensor& weight,
                    const Epilogue& after, const Geometry& g) {
  const Dims shape = output_shape(place, x.shape(), weight.shape(), g);
  if (x.elements() == 0 || weight.elements() == 0) {
    if (element_count(shape) == 0 || !(after.residual || after.clamp.any()))
      return zeros_or_bias(shape, x, after.bias);
    fail(ErrorKind::shape, place, ": x has shape ", x.shape(),
         ". Expected channels. Fix: use conv2d and relu.");
  }
  const Tensor y = empty_image(shape, x.dtype(), x.device(), ImageOrder::channels_last);
  ConvolutionAttributes attributes = attributes_of(x.shape(), weight.shape(), shape, g);
  attributes.clamp = after.clamp;
  const Tensor residual = after.residual ? in_channels_last(after.residual) : after.residual;
  forward_slot(y, {x, weight, after.bias, residual}, attributes);
  return y;
}

Tensor input_gradient_pass(const Tensor& gradient, const Tensor& weight, const Tensor& bias,
                           const Dims& shape, const Geometry& g) {
  if (gradient.elements() == 0 || weight.elements() == 0 || element_count(shape) == 0)
    return zeros_or_bias(shape, gradient, bias);
  const Tensor dx =
      empty_image(shape, gradient.dtype(), gradient.device(), ImageOrder::channels_last);
  input_gradient_slot(dx, {in_channels_last(gradient), weight, bias},
                      attributes_of(shape, weight.shape(), gradient.shape(), g));
  return dx;
}

Tensor weight_gradient_pass(const Tensor& gradient, const Tensor& x, const Dims& shape,
                            const Geometry& g) {
  const Tensor dweight = empty(shape, gradient.dtype(), gradient.device());
  if (gradient.elements() == 0 || x.elements() == 0) {
    fill(dweight, Value(0.0));
    return dweight;
  }
  weight_gradient_slot(dweight, {in_channels_last(gradient), in_channels_last(x)},
                       attributes_of(x.shape(), shape, gradient.shape(), g));
  return dweight;
}

// --- internal operations ---

const NativeCall convolution("convolution");
const NativeCall convolution_input_gradient("convolution_input_gradient");
const NativeCall convolution_weight_gradient("convolution_weight_gradient");

// convolution(x, weight, geometry)
void convolution_forward(Call& call) {
  call.output(forward_pass(call.name(), in_channels_last(call.tensor(0)), call.tensor(1), {},
                           Geometry::unpack(call[2].integers())));
}
void convolution_backward(BackwardCall& call) {
  const Tensor &x = call.tensor(0), &weight = call.tensor(1);
  const Dims& geometry = call[2].integers();
  if (call.needs(0))
    call.set(0, convolution_input_gradient(call.gradient(), weight, x.shape(), geometry));
  if (call.needs(1))
    call.set(1, convolution_weight_gradient(call.gradient(), x, weight.shape(), geometry));
}

// convolution_input_gradient(gradient, weight, shape of x, geometry)
void input_gradient_forward(Call& call) {
  call.output(input_gradient_pass(call.tensor(0), call.tensor(1), {}, call[2].integers(),
                                  Geometry::unpack(call[3].integers())));
}
void input_gradient_backward(BackwardCall& call) {
  const Tensor &gradient = call.tensor(0), &weight = call.tensor(1);
  const Dims& geometry = call[3].integers();
  if (call.needs(0)) call.set(0, convolution(call.gradient(), weight, geometry));
  if (call.needs(1))
    call.set(1, convolution_weight_gradient(gradient, call.gradient(), weight.shape(), geometry));
}

// convolution_weight_gradient(gradient, x, shape of weight, geometry)
void weight_gradient_forward(Call& call) {
  call.output(weight_gradient_pass(call.tensor(0), call.tensor(1), call[2].integers(),
                                   Geometry::unpack(call[3].integers())));
}
void weight_gradient_backward(BackwardCall& call) {
  const Tensor &gradient = call.tensor(0), &x = call.tensor(1);
  const Dims& geometry = call[3].integers();
  if (call.needs(0)) call.set(0, convolution(x, call.gradient(), geometry));
  if (call.needs(1))
    call.set(1, convolution_input_gradient(gradient, call.gradient(), x.shape(), geometry));
}

// --- public operations ---

Dims batched_shape(const Dims& shape, int spatial) {
  Dims batched = shape;
  if (shape.size() == spatial + 1) batched.insert(0, 1);
  return batched;
}

// [C, *spatial] as [1, C, *spatial], without the tape.
Tensor batched(const Tensor& x, int spatial) {
  if (x.rank() != spatial + 1) return x;
  Dims strides = x.strides();
  strides.insert(0, x.elements());
  return alias(x, batched_shape(x.shape(), spatial), strides, x.offset());
}
Tensor without_batch(const Tensor& y) {
  Dims shape = y.shape(), strides = y.strides();
  shape.erase(0);
  strides.erase(0);
  return alias(y, shape, strides, y.offset());
}

Tensor reshaped(const Tensor& x, const Dims& shape) {
  static const NativeCall reshape("reshape");
  return x.shape() == shape ? x : reshape(x, shape);
}

// The gradient of the bias: g [N, C, *spatial] summed over all but the channels.
Tensor bias_gradient(const Tensor& g, const Tensor& bias) {
  static const NativeCall sum_to("sum_to");
  Dims column = Dims::filled(g.rank(), 1);
  column[1] = g.size(1);
  return reshaped(sum_to(g, column), bias.shape());
}

// convNd(x, weight, bias, stride, padding, dilation, groups)
template <class AnyCall>
Geometry conv_geometry(std::string_view place, const AnyCall& call, int spatial) {
  Geometry g;
  g.spatial = spatial;
  g.stride = per_axis(place, "stride", call[3], spatial, 1);
  g.dilation = per_axis(place, "dilation", call[5], spatial, 1);
  g.groups = read_groups(place, call[6]);
  read_padding(place, call[4], spatial_of(call.tensor(1).shape(), spatial), g);
  return g;
}

template <int spatial>
void conv_forward(Call& call) {
  const Tensor &x = call.tensor(0), &weight = call.tensor(1);
  const Tensor bias = call.optional_tensor(2);
  check_ranks(call.name(), x, weight, spatial, false);
  const Geometry g = conv_geometry(call.name(), call, spatial);
  const Dims shape = batched_shape(x.shape(), spatial);
  check_dtypes(call.name(), x, weight, bias);
  check_channels(call.name(), shape, weight.shape(), g.groups);
  check_bias(call.name(), bias, weight.size(0), weight.shape());
  static_cast<void>(output_shape(call.name(), shape, weight.shape(), g));
  const Tensor whole = batched(x, spatial);
  const Tensor ordered = in_channels_last(whole);
  // Backward wants this order as well.
  if (call.records && weight.requires_grad() && !lies_in(whole, ImageOrder::channels_last))
    call.saved.push_back(ordered);
  const Tensor y = forward_pass(call.name(), ordered, weight, {bias, {}, {}}, g);
  call.output(x.rank() == spatial + 1 ? without_batch(y) : y);
}

template <int spatial>
void conv_backward(BackwardCall& call) {
  const Tensor &x = call.tensor(0), &weight = call.tensor(1);
  const Geometry g = conv_geometry("convolution", call, spatial);
  const Dims shape = batched_shape(x.shape(), spatial), geometry = g.packed();
  const Tensor gradient =
      reshaped(call.gradient(), batched_shape(call.gradient().shape(), spatial));
  if (call.needs(0))
    call.set(0, reshaped(convolution_input_gradient(gradient, weight, shape, geometry), x.shape()));
  if (call.needs(1)) {
    const bool reordered = call.node.saved.size() > 0 && !thread_state().grad_enabled;
    call.set(1,
             convolution_weight_gradient(gradient, reordered ? call.saved(0) : reshaped(x, shape),
                                         weight.shape(), geometry));
  }
  if (call.needs(2)) call.set(2, bias_gradient(gradient, call.tensor(2)));
}

// convolution_fused(x, weight, bias, residual, stride, padding, dilation, groups, relu, limit): a
// model's inference in one pass over memory, y = min(relu(conv(x) + bias + residual), limit). It
// has no gradient.
void fused_forward(Call& call) {
  const Tensor &x = call.tensor(0), &weight = call.tensor(1);
  if (thread_state().grad_enabled && any_requires_grad(call.values))
    fail(ErrorKind::gradient, call.name(),
         ": an argument requires grad. Expected inference. Fix: call it under samara.no_grad().");
  const Tensor bias = call.optional_tensor(2), residual = call.optional_tensor(3);
  const int spatial = weight.rank() - 2;
  if (spatial < 1 || spatial > 3)
    fail(ErrorKind::shape, call.name(), ": weight has shape ", weight.shape(),
         ". Expected 3 to 5 axes. Fix: pass the weight of a convolution.");
  check_ranks(call.name(), x, weight, spatial, false);
  Geometry g;
  g.spatial = spatial;
  g.stride = per_axis(call.name(), "stride", call[4], spatial, 1);
  g.dilation = per_axis(call.name(), "dilation", call[6], spatial, 1);
  g.groups = read_groups(call.name(), call[7]);
  read_padding(call.name(), call[5], spatial_of(weight.shape(), spatial), g);
  const Dims shape = batched_shape(x.shape(), spatial);
  check_dtypes(call.name(), x, weight, bias);
  check_channels(call.name(), shape, weight.shape(), g.groups);
  check_bias(call.name(), bias, weight.size(0), weight.shape());
  const Dims out = output_shape(call.name(), shape, weight.shape(), g);
  const bool fits = !residual || (batched_shape(residual.shape(), spatial) == out &&
                                  residual.dtype() == x.dtype());
  if (!fits)
    fail(ErrorKind::shape, call.name(), ": residual has shape ", residual.shape(), " and dtype ",
         name(residual.dtype()), ", the result ", out, " and ", name(x.dtype()),
         ". Expected both to agree. Fix: pass a residual like the result.");
  Clamp clamp;
  if (call.boolean(8)) clamp = {0.0f, static_cast<float>(call.real(9))};
  const Epilogue after{bias, residual ? batched(residual, spatial) : residual, clamp};
  const Tensor y =
      forward_pass(call.name(), in_channels_last(batched(x, spatial)), weight, after, g);
  call.output(x.rank() == spatial + 1 ? without_batch(y) : y);
}

// conv_transposeNd(x, weight, bias, stride, padding, output_padding, groups, dilation)
template <class AnyCall>
Geometry transposed_geometry(std::string_view place, const AnyCall& call, int spatial) {
  Geometry g;
  g.spatial = spatial;
  g.stride = per_axis(place, "stride", call[3], spatial, 1);
  g.dilation = per_axis(place, "dilation", call[7], spatial, 1);
  g.groups = read_groups(place, call[6]);
  g.begin = per_axis(place, "padding", call[4], spatial, 0);
  // Outputs that no kernel reaches are no inputs of the convolution.
  g.end = per_axis(place, "output_padding", call[5], spatial, 0);
  for (int i = 0; i < spatial; ++i) g.end[i] = g.begin[i] - g.end[i];
  return g;
}

// The input of the convolution whose output has x's shape.
Dims transposed_shape(const Call& call, const Dims& x, const Dims& weight, const Geometry& g) {
  Dims more = g.begin;
  for (int i = 0; i < g.spatial; ++i) more[i] -= g.end[i];
  Dims shape{x[0], weight[1] * g.groups};
  for (int i = 0; i < g.spatial; ++i) {
    if (more[i] >= g.stride[i] && more[i] >= g.dilation[i])
      fail(ErrorKind::argument, call.name(), ": output_padding is ", more, ", stride is ", g.stride,
           " and dilation is ", g.dilation,
           ". Expected an output_padding smaller than the stride or the dilation. Fix: "
           "output_padding=0, or a larger stride.");
    int64_t size = 0;
    const bool large = __builtin_mul_overflow(x[i + 2] - 1, g.stride[i], &size) ||
                       size > kLargest || size + g.dilation[i] > kLargest ||
                       g.dilation[i] * (weight[i + 2] - 1) > kLargest;
    if (!large) size += g.dilation[i] * (weight[i + 2] - 1) + 1 + more[i] - 2 * g.begin[i];
    if (large || size < 1)
      fail(ErrorKind::shape, call.name(), ": x of shape ", x, " and weight of shape ", weight,
           " give an output of ", large ? "more than 2^31" : std::to_string(size),
           " places along axis ", i + 2, " with stride ", g.stride, ", padding ", g.begin,
           " and dilation ", g.dilation,
           ". Expected at least one, and a size that can be held. Fix: change the padding.");
    shape.push_back(size);
  }
  checked_element_count(shape);
  return shape;
}

void check_transposed(const Call& call, const Dims& x, const Dims& weight, const Tensor& bias,
                      int64_t groups) {
  if (x[1] != weight[0])
    fail(ErrorKind::shape, call.name(), ": x has shape ", x, ", ", x[1],
         " channels, and weight has shape ", weight, ", made for ", weight[0], ". Expected ",
         weight[0], " channels. Fix: make the layer with in_channels=", x[1],
         ", or pass x as [batch, channels, ...].");
  if (x[1] % groups != 0)
    fail(ErrorKind::shape, call.name(), ": x has shape ", x, ", ", x[1],
         " channels, and groups is ", groups,
         ". Expected channels that groups divides. Fix: choose other groups.");
  check_bias(call.name(), bias, weight[1] * groups, weight);
}

template <int spatial>
void transposed_forward(Call& call) {
  const Tensor &x = call.tensor(0), &weight = call.tensor(1);
  const Tensor bias = call.optional_tensor(2);
  check_ranks(call.name(), x, weight, spatial, true);
  const Geometry g = transposed_geometry(call.name(), call, spatial);
  const Dims shape = batched_shape(x.shape(), spatial);
  check_dtypes(call.name(), x, weight, bias);
  check_transposed(call, shape, weight.shape(), bias, g.groups);
  const Dims out = transposed_shape(call, shape, weight.shape(), g);
  const Tensor y = input_gradient_pass(batched(x, spatial), weight, bias, out, g);
  call.output(x.rank() == spatial + 1 ? without_batch(y) : y);
}

template <int spatial>
void transposed_backward(BackwardCall& call) {
  const Tensor &x = call.tensor(0), &weight = call.tensor(1);
  const Geometry g = transposed_geometry("convolution", call, spatial);
  const Dims shape = batched_shape(x.shape(), spatial), geometry = g.packed();
  const Tensor gradient =
      reshaped(call.gradient(), batched_shape(call.gradient().shape(), spatial));
  if (call.needs(0)) call.set(0, reshaped(convolution(gradient, weight, geometry), x.shape()));
  if (call.needs(1))
    call.set(1,
             convolution_weight_gradient(reshaped(x, shape), gradient, weight.shape(), geometry));
  if (call.needs(2)) call.set(2, bias_gradient(gradient, call.tensor(2)));
}

// --- registration ---

NativeOperation native(std::string_view name, void (*forward)(Call&),
                       void (*backward)(BackwardCall&)) {
  return {.name = name,
          .forward = forward,
          .backward = backward,
          .saved_inputs = 0b11,
          .saved_for_other = 0b11,
          .backward_records = true};
}

const Register registered[] = {
    Register(native("convolution", convolution_forward, convolution_backward)),
    Register(native("convolution_input_gradient", input_gradient_forward, input_gradient_backward)),
    Register(
        native("convolution_weight_gradient", weight_gradient_forward, weight_gradient_backward)),
    Register({.name = "convolution_fused", .forward = fused_forward}),
    Register(native("conv1d", conv_forward<1>, conv_backward<1>)),
    Register(native("conv2d", conv_forward<2>, conv_backward<2>)),
    Register(native("conv3d", conv_forward<3>, conv_backward<3>)),
    Register(native("conv_transpose1d", transposed_forward<1>, transposed_backward<1>)),
    Register(native("conv_transpose2d", transposed_forward<2>, transposed_backward<2>)),
    Register(native("conv_transpose3d", transposed_forward<3>, transposed_backward<3>)),
};

}  // namespace
}  // namespace samara
