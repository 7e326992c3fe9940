// cross_entropy, from labels or class probabilities, and nll_loss.
//
// The forward pass reads the logits once and keeps two numbers per row; backward forms
// softmax(logits) - target from them in one more pass.
#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/loss.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace samara {
namespace {

constexpr int64_t kRowBlock = 64;

struct CrossEntropyAttributes {
  std::string_view name;
  bool labelled;  // target holds labels, not probabilities
  bool logits;    // x holds logits, not their log_softmax
  LossReduction reduction;
  int64_t ignore_index;
  double smoothing;
};

double number_at(DType dtype, const void* data, int64_t i) {
  switch (dtype) {
    case DType::float16:
      return float16_value(static_cast<const Float16*>(data)[i].bits);
    case DType::bfloat16:
      return bfloat16_value(static_cast<const BFloat16*>(data)[i].bits);
    case DType::float32:
      return static_cast<const float*>(data)[i];
    default:
      return static_cast<const double*>(data)[i];
  }
}
void write_number(DType dtype, void* data, int64_t i, double value) {
  switch (dtype) {
    case DType::float16:
      static_cast<Float16*>(data)[i].bits = float16_bits(static_cast<float>(value));
      return;
    case DType::bfloat16:
      static_cast<BFloat16*>(data)[i].bits = bfloat16_bits(static_cast<float>(value));
      return;
    case DType::float32:
      static_cast<float*>(data)[i] = static_cast<float>(value);
      return;
    default:
      static_cast<double*>(data)[i] = value;
  }
}

// --- labels --------------------------------------------------------------------------------------

std::string place_of(const Dims& shape, int64_t flat) {
  if (shape.empty()) return "the label";
  if (shape.size() == 1) return concat_text("the label of row ", flat);
  Dims index = shape;
  for (int i = shape.size() - 1; i >= 0; --i) {
    index[i] = flat % shape[i];
    flat /= shape[i];
  }
  return concat_text("the label at ", index);
}

[[noreturn, gnu::noinline]] void bad_label(const CrossEntropyAttributes& attributes,
                                           const Tensor& target, int64_t row, int64_t classes) {
  const int64_t* labels = target.data<int64_t>();
  int64_t least = labels[row], most = labels[row];
  for (int64_t i = 0; i < target.elements(); ++i) {
    if (labels[i] == attributes.ignore_index) continue;
    least = std::min(least, labels[i]);
    most = std::max(most, labels[i]);
  }
  const std::string fix =
      least >= 1 && most == classes
          ? concat_text("the labels look like 1 to ", classes, ", so subtract 1: target - 1")
          : concat_text("correct the labels, give the model ", std::max<int64_t>(most + 1, 1),
                        " outputs, or mark the rows to skip with ignore_index");
  fail(ErrorKind::index, attributes.name, ": ", place_of(target.shape(), row), " is ", labels[row],
       ", and there are ", classes, " classes. Expected 0 to ", classes - 1,
       ", or ignore_index=", attributes.ignore_index, ". Fix: ", fix, ".");
}

void check_labels(const CrossEntropyAttributes& attributes, const Tensor& target, int64_t classes) {
  const int64_t* labels = target.data<int64_t>();
  for (int64_t i = 0; i < target.elements(); ++i)
    if ((labels[i] < 0 || labels[i] >= classes) && labels[i] != attributes.ignore_index)
      bad_label(attributes, target, i, classes);
}

// --- kernels -------------------------------------------------------------------------------------

// What one call works on: x [rows, classes] and the target beside it.
struct Rows {
  const CrossEntropyAttributes& attributes;
  const SoftmaxKernel& kernel;
  DType dtype;
  int64_t rows, classes, size;
  const std::byte* x;
  const int64_t* labels;           // or null
  const std::byte* probabilities;  // or null
  const std::byte* weight;         // in the compute type, or null
  DType weight_dtype;

  Rows(const CrossEntropyAttributes& call, TensorSpan inputs)
      : attributes(call),
        kernel(softmax_kernels().softmax[static_cast<int>(inputs[0].dtype())]),
        dtype(inputs[0].dtype()),
        rows(inputs[0].size(0)),
        classes(inputs[0].size(1)),
        size(itemsize(dtype)),
        x(inputs[0].data<std::byte>()),
        labels(call.labelled ? inputs[1].data<int64_t>() : nullptr),
        probabilities(call.labelled ? nullptr : inputs[1].data<std::byte>()),
        weight(inputs[2] ? inputs[2].data<std::byte>() : nullptr),
        weight_dtype(inputs[2] ? inputs[2].dtype() : DType::float32) {}

  const std::byte* row(int64_t r) const { return x + r * classes * size; }
  bool ignored(int64_t r) const { return labels && labels[r] == attributes.ignore_index; }
  double weight_of(int64_t label) const {
    return weight ? number_at(weight_dtype, weight, label) : 1.0;
  }

  // The loss of row r, and its share of the mean's denominator; log_sum = log(sum e^(x - largest)).
  double loss(int64_t r, double largest, double log_sum, double& share) const {
    share = 0;
    if (ignored(r)) return 0;
    double sums[2];
    if (!labels) {
      share = 1;
      kernel.weighted(row(r), probabilities + r * classes * size, weight, classes, largest, sums);
      return sums[0] * log_sum - sums[1];
    }
    share = weight_of(labels[r]);
    const double value = number_at(dtype, row(r), labels[r]);
    const double loss = share * (log_sum - (value - largest));
    const double smoothing = attributes.smoothing;
    if (smoothing == 0) return loss;
    kernel.weighted(row(r), nullptr, weight, classes, largest, sums);
    return (1 - smoothing) * loss +
           smoothing / static_cast<double>(classes) * (sums[0] * log_sum - sums[1]);
  }

  // What the kernel needs for row r's gradient, `factor` times the derivative of its loss.
  void gradient_parameters(int64_t r, double largest, double sum, double factor,
                           double* parameters) const {
    parameters[0] = largest;
    double sums[2];
    if (!labels) {
      kernel.weighted(row(r), probabilities + r * classes * size, weight, classes, largest, sums);
      parameters[1] = factor * sums[0] / sum;
      parameters[2] = factor;
      return;
    }
    const bool skipped = ignored(r);
    double scale = skipped ? 0 : direct(r, factor), bias = 0;
    if (attributes.smoothing > 0 && !skipped) {
      bias = factor * attributes.smoothing / static_cast<double>(classes);
      kernel.weighted(row(r), nullptr, weight, classes, largest, sums);
      scale += bias * sums[0];
    }
    parameters[1] = scale / sum;
    parameters[2] = bias;
  }
  double direct(int64_t r, double factor) const {
    return factor * (1 - attributes.smoothing) * weight_of(labels[r]);
  }
  // The label's own element, computed at once so that half precision rounds it once.
  void finish_label(int64_t r, double factor, const double* parameters, std::byte* out) const {
    std::byte* target = out + r * classes * size;
    if (ignored(r)) {
      std::fill(target, target + classes * size, std::byte{0});
      return;
    }
    const int64_t label = labels[r];
    const double e = std::exp(number_at(dtype, row(r), label) - parameters[0]);
    write_number(dtype, target, label,
                 parameters[1] * e - parameters[2] * weight_of(label) - direct(r, factor));
  }

  void gradient(int64_t first, int64_t count, const double* parameters, std::byte* out) const {
    const int64_t offset = first * classes * size;
    const bool weighs = !labels || attributes.smoothing > 0;
    kernel.gradient(x + offset, labels ? nullptr : probabilities + offset,
                    weighs ? weight : nullptr, out + offset, count, classes, parameters);
  }

  void nll_gradient(int64_t r, double factor, std::byte* out) const {
    std::byte* target = out + r * classes * size;
    std::fill(target, target + classes * size, std::byte{0});
    if (!ignored(r)) write_number(dtype, target, labels[r], -factor * weight_of(labels[r]));
  }
};

// inputs: x [rows, classes], target, weight or nothing. outputs: the loss and, when a gradient is
// wanted, the row statistics [rows, 2] and the mean's denominator [1].
void forward_cpu(TensorSpan outputs, TensorSpan inputs, const CrossEntropyAttributes& attributes) {
  const Rows rows(attributes, inputs);
  if (rows.labels) check_labels(attributes, inputs[1], rows.classes);
  const bool keeps = outputs.size() > 1;
  const int64_t grain = row_grain(rows.rows, rows.classes);
  const int64_t tiles = rows.rows == 0 ? 0 : (rows.rows - 1) / grain + 1;
  constexpr int64_t number = sizeof(double);
  Scratch scratch((keeps ? 0 : 2 * rows.rows * number) + 2 * tiles * number);
  double* parts = reinterpret_cast<double*>(scratch.data());
  double* statistics = keeps ? outputs[1].data<double>() : parts + 2 * tiles;
  const bool long_rows = rows.classes > (1 << 17);
  if (attributes.logits && long_rows)
    row_statistics(rows.dtype, rows.x, statistics, rows.rows, rows.classes);
  parallel_ranges(rows.rows, grain, [&](int64_t begin, int64_t end) {
    if (attributes.logits && !long_rows)
      rows.kernel.statistics(rows.row(begin), statistics + 2 * begin, end - begin, rows.classes);
    double loss = 0, total_share = 0;
    double log_sum[kRowBlock] = {};
    for (int64_t first = begin; first < end; first += kRowBlock) {
      const int64_t count = std::min(kRowBlock, end - first);
      if (attributes.logits) {
        for (int64_t k = 0; k < count; ++k) log_sum[k] = statistics[2 * (first + k) + 1];
        rows.kernel.logarithms(log_sum, log_sum, count);
      }
      for (int64_t k = 0; k < count; ++k) {
        const int64_t r = first + k;
        double share;
        const double value =
            rows.loss(r, attributes.logits ? statistics[2 * r] : 0.0, log_sum[k], share);
        if (attributes.reduction == LossReduction::none)
          write_number(rows.dtype, outputs[0].address(), r, value);
        loss += value;
        total_share += share;
      }
    }
    parts[2 * (begin / grain)] = loss;
    parts[2 * (begin / grain) + 1] = total_share;
  });
  double loss = 0, share = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    loss += parts[2 * tile];
    share += parts[2 * tile + 1];
  }
  if (keeps) outputs[2].data<double>()[0] = share;
  if (attributes.reduction == LossReduction::mean) loss /= share;
  if (attributes.reduction != LossReduction::none)
    write_number(rows.dtype, outputs[0].address(), 0, loss);
}
const KernelSlot<CrossEntropyAttributes> forward_slot("cross_entropy", forward_cpu);

// inputs: x, target, weight or nothing, statistics, denominator, gradient of the loss.
void backward_cpu(TensorSpan outputs, TensorSpan inputs, const CrossEntropyAttributes& attributes) {
  const Rows rows(attributes, inputs);
  const double* statistics = inputs[3].data<double>();
  const Tensor& g = inputs[5];
  std::byte* out = outputs[0].data<std::byte>();
  const bool elementwise = attributes.reduction == LossReduction::none;
  double scale = 1.0;
  if (!elementwise) scale = number_at(g.dtype(), g.address(), 0);
  if (attributes.reduction == LossReduction::mean) scale /= inputs[4].data<double>()[0];
  const int64_t grain = row_grain(rows.rows, rows.classes);
  parallel_ranges(rows.rows, grain, [&](int64_t begin, int64_t end) {
    const auto factor = [&](int64_t r) {
      return elementwise ? number_at(g.dtype(), g.address(), r) : scale;
    };
    if (!attributes.logits) {
      for (int64_t r = begin; r < end; ++r) rows.nll_gradient(r, factor(r), out);
      return;
    }
    double parameters[3 * kRowBlock];
    for (int64_t first = begin; first < end; first += kRowBlock) {
      const int64_t count = std::min(kRowBlock, end - first);
      for (int64_t k = 0; k < count; ++k) {
        const int64_t r = first + k;
        rows.gradient_parameters(r, statistics[2 * r], statistics[2 * r + 1], factor(r),
                                 parameters + 3 * k);
      }
      rows.gradient(first, count, parameters, out);
      if (!rows.labels) continue;
      for (int64_t k = 0; k < count; ++k)
        rows.finish_label(first + k, factor(first + k), parameters + 3 * k, out);
    }
  });
}
const KernelSlot<CrossEntropyAttributes> backward_slot("cross_entropy_backward", backward_cpu);

// Of the class weights: rarely wanted, so written for clarity. inputs as for backward_cpu; output:
// float64 [classes].
void weight_gradient_cpu(TensorSpan outputs, TensorSpan inputs,
                         const CrossEntropyAttributes& attributes) {
  const Rows rows(attributes, inputs);
  const double* statistics = inputs[3].data<double>();
  const Tensor& g = inputs[5];
  double* out = outputs[0].data<double>();
  std::fill(out, out + rows.classes, 0.0);
  const bool elementwise = attributes.reduction == LossReduction::none;
  const bool mean = attributes.reduction == LossReduction::mean;
  const double denominator = inputs[4].data<double>()[0];
  const auto log_sum = [&](int64_t r) {
    return attributes.logits ? std::log(statistics[2 * r + 1]) : 0.0;
  };
  const auto largest = [&](int64_t r) { return attributes.logits ? statistics[2 * r] : 0.0; };
  double total = 0, share = 0;
  for (int64_t r = 0; mean && r < rows.rows; ++r)
    total += rows.loss(r, largest(r), log_sum(r), share);
  const double smooth = attributes.smoothing / static_cast<double>(rows.classes);
  for (int64_t r = 0; r < rows.rows; ++r) {
    if (rows.ignored(r)) continue;
    double factor = number_at(g.dtype(), g.address(), elementwise ? r : 0);
    if (mean) factor /= denominator;
    for (int64_t c = 0; c < rows.classes; ++c) {
      const double cost = log_sum(r) - (number_at(rows.dtype, rows.row(r), c) - largest(r));
      double part = smooth;
      if (!rows.labels)
        part = number_at(rows.dtype, rows.probabilities, r * rows.classes + c);
      else if (rows.labels[r] == c)
        part += 1 - attributes.smoothing;
      out[c] += factor * part * cost;
    }
    // The mean's denominator is the sum of the labels' weights.
    if (mean && rows.labels) out[rows.labels[r]] -= factor * total / denominator;
  }
}
const KernelSlot<CrossEntropyAttributes> weight_gradient_slot("cross_entropy_weight_backward",
                                                              weight_gradient_cpu);

// --- arguments -----------------------------------------------------------------------------------

// [N, C, d...] with the classes last: [N, d..., C], or what turns that back.
Tensor classes_last(const Tensor& x) {
  if (x.rank() <= 2) return x;
  Dims order{0};
  for (int i = 2; i < x.rank(); ++i) order.push_back(i);
  order.push_back(1);
  return permute_view(x, order);
}
Tensor classes_second(const Tensor& x) {
  if (x.rank() <= 2) return x;
  Dims order{0, x.rank() - 1};
  for (int i = 1; i < x.rank() - 1; ++i) order.push_back(i);
  return permute_view(x, order);
}
Tensor as_rows(const Tensor& x) {
  const Tensor last = contiguous(classes_last(x));
  const int64_t classes = last.shape().back();
  int64_t rows = 1;
  for (int i = 0; i + 1 < last.rank(); ++i) rows *= last.size(i);
  const Dims shape{rows, classes};
  return last.shape() == shape ? last
                               : alias(last, shape, contiguous_strides(shape), last.offset());
}

Dims label_shape(const Dims& logits) {
  Dims shape = logits;
  shape.erase(logits.size() == 1 ? 0 : 1);
  return shape;
}

void check_target(const Call& call, const Tensor& x, const Tensor& target, bool takes_labels_only) {
  const Dims labels = label_shape(x.shape());
  if (is_integer(target.dtype())) {
    if (target.shape() == labels) return;
    const bool reshapes = target.elements() == element_count(labels);
    fail(ErrorKind::shape, call.name(), ": the logits have shape ", x.shape(),
         " and the labels have shape ", target.shape(), ". Expected labels of shape ", labels,
         ". Fix: ",
         reshapes ? "use target.reshape" + (labels.empty() ? "(())" : to_text(labels))
                  : std::string("give one label per row"),
         ".");
  }
  if (takes_labels_only || !is_floating(target.dtype()))
    fail(ErrorKind::dtype, call.name(), ": the target has dtype ", name(target.dtype()),
         ". Expected integer labels", takes_labels_only ? "" : " or class probabilities",
         ". Fix: convert labels with target.to(samara.int64).");
  if (target.shape() == x.shape()) return;
  if (target.shape() == labels || target.elements() == element_count(labels))
    fail(ErrorKind::dtype, call.name(), ": the target has dtype ", name(target.dtype()),
         " and shape ", target.shape(), ", like labels for logits of shape ", x.shape(),
         ". Expected integer labels. Fix: convert them with target.to(samara.int64).");
  fail(ErrorKind::shape, call.name(), ": the logits have shape ", x.shape(),
       " and the probabilities have shape ", target.shape(),
       ". Expected equal shapes. Fix: give one probability per class.");
}

void check_logits(const Call& call, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": the logits have dtype ", name(x.dtype()),
         ". Expected a real floating-point dtype. Fix: convert them, e.g. x.to(samara.float32).");
  if (x.rank() == 0 || (x.rank() > 1 ? x.size(1) : x.size(0)) == 0)
    fail(ErrorKind::shape, call.name(), ": the logits have shape ", x.shape(),
         ". Expected (C,), (N, C) or (N, C, d1, ...) with at least one class. Fix: check the "
         "model's output.");
}

// The weights in the type the kernel computes in; an undefined tensor without weights.
Tensor weights_for(const Tensor& weight, DType dtype) {
  if (!weight) return weight;
  return contiguous(cast(weight, is_half(dtype) ? DType::float32 : dtype));
}
void check_weight(const Call& call, const Tensor& weight, int64_t classes) {
  if (!weight || weight.shape() == Dims{classes}) return;
  fail(ErrorKind::shape, call.name(), ": weight has shape ", weight.shape(), " for ", classes,
       " classes. Expected ", Dims{classes}, ". Fix: give one weight per class.");
}

struct Prepared {
  Tensor x, target, weight;
};
Prepared prepare(const Tensor& x, const Tensor& target, const Tensor& weight, double smoothing) {
  static const NativeCall multiply("multiply"), add("add");
  Prepared prepared{as_rows(x), target, weights_for(weight, x.dtype())};
  if (is_integer(target.dtype())) {
    prepared.target = contiguous(cast(target, DType::int64));
    return prepared;
  }
  const GradMode off(false);
  Tensor shares = cast(target, x.dtype());
  if (smoothing > 0) {
    const int64_t classes = prepared.x.size(1);
    shares = add(multiply(shares, 1 - smoothing), smoothing / static_cast<double>(classes));
  }
  prepared.target = as_rows(shares);
  return prepared;
}

// cross_entropy: (logits, target, weight, ignore_index, reduction, label_smoothing);
// nll_loss: (log_probabilities, target, weight, ignore_index, reduction).
CrossEntropyAttributes attributes_of(std::string_view name, const Value& ignore_index,
                                     LossReduction reduction, const Value* smoothing,
                                     const Tensor& target) {
  return {name,      is_integer(target.dtype()), smoothing != nullptr,
          reduction, ignore_index.integer(),     smoothing ? smoothing->real() : 0.0};
}

void loss_forward(Call& call, bool logits) {
  const Tensor &x = call.tensor(0), &target = call.tensor(1);
  const Tensor weight = call.optional_tensor(2);
  check_logits(call, x);
  check_target(call, x, target, !logits);
  check_weight(call, weight, x.rank() > 1 ? x.size(1) : x.size(0));
  const CrossEntropyAttributes attributes = attributes_of(
      call.name(), call[3], reduction_argument(call, 4), logits ? &call[5] : nullptr, target);
  if (!(attributes.smoothing >= 0 && attributes.smoothing <= 1))
    fail(ErrorKind::argument, call.name(), ": label_smoothing is ", attributes.smoothing,
         ". Expected a number from 0 to 1. Fix: 0.1 is usual, 0 turns it off.");
  const Prepared prepared = prepare(x, target, weight, attributes.smoothing);
  const bool elementwise = attributes.reduction == LossReduction::none;
  Tensor outputs[3];
  outputs[0] = empty(elementwise ? label_shape(x.shape()) : Dims(), x.dtype(), x.device());
  if (call.records) {
    outputs[1] = empty({prepared.x.size(0), 2}, DType::float64, x.device());
    outputs[2] = empty({1}, DType::float64, x.device());
    call.saved.push_back(outputs[1]);
    call.saved.push_back(outputs[2]);
  }
  const Tensor inputs[] = {prepared.x, prepared.target, prepared.weight};
  forward_slot(TensorSpan(outputs, call.records ? 3 : 1), TensorSpan(inputs, 3), attributes);
  call.output(std::move(outputs[0]));
}

// Of probabilities as targets: -(1 - smoothing) weight log_softmax(x), times the loss's gradient.
Tensor target_gradient(BackwardCall& call, const CrossEntropyAttributes& attributes) {
  static const NativeCall multiply("multiply"), log_softmax("log_softmax"), divide("divide");
  const Tensor& x = call.tensor(0);
  const int axis = x.rank() > 1 ? 1 : 0;
  Tensor factor = multiply(call.gradient(), attributes.smoothing - 1.0);
  if (attributes.reduction == LossReduction::mean) {
    const double rows = static_cast<double>(x.elements() / x.size(axis));
    factor = divide(factor, rows);
  }
  Dims shape = label_shape(x.shape());
  if (attributes.reduction != LossReduction::none) shape = Dims::filled(shape.size(), 1);
  shape.insert(axis, 1);
  Tensor result = multiply(log_softmax(x, axis), reshape_view(factor, shape));
  if (const Tensor weight = call.optional_tensor(2)) {
    Dims column = Dims::filled(x.rank(), 1);
    column[axis] = x.size(axis);
    result = multiply(result, reshape_view(cast(weight, x.dtype()), column));
  }
  return result;
}

void loss_backward(BackwardCall& call, bool logits) {
  const Tensor &x = call.tensor(0), &target = call.tensor(1);
  const CrossEntropyAttributes attributes =
      attributes_of(logits ? "cross_entropy" : "nll_loss", call[3], reduction_argument(call, 4),
                    logits ? &call[5] : nullptr, target);
  const Prepared prepared = prepare(x, target, call.optional_tensor(2), attributes.smoothing);
  const Tensor inputs[] = {prepared.x,    prepared.target, prepared.weight,
                           call.saved(0), call.saved(1),   contiguous(call.gradient())};
  if (call.needs(0)) {
    Tensor out = empty(prepared.x.shape(), x.dtype(), x.device());
    backward_slot(TensorSpan(&out, 1), TensorSpan(inputs, 6), attributes);
    const Dims last = classes_last(x).shape();
    if (x.rank() != 2) out = alias(out, last, contiguous_strides(last), 0);
    call.set(0, classes_second(out));
  }
  if (call.needs(2)) {
    Tensor out = empty({prepared.x.size(1)}, DType::float64, x.device());
    weight_gradient_slot(TensorSpan(&out, 1), TensorSpan(inputs, 6), attributes);
    call.set(2, cast(out, call.tensor(2).dtype()));
  }
  if (call.needs(1) && is_floating(target.dtype())) call.set(1, target_gradient(call, attributes));
}

void cross_entropy_forward(Call& call) { loss_forward(call, true); }
void cross_entropy_backward(BackwardCall& call) { loss_backward(call, true); }
void nll_forward(Call& call) { loss_forward(call, false); }
void nll_backward(BackwardCall& call) { loss_backward(call, false); }

const Register cross_entropy_registered({.name = "cross_entropy",
                                         .forward = cross_entropy_forward,
                                         .backward = cross_entropy_backward,
                                         .saved_inputs = 0b111});
const Register nll_registered(
    {.name = "nll_loss", .forward = nll_forward, .backward = nll_backward, .saved_inputs = 0b111});

}  // namespace
}  // namespace samara
