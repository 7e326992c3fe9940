// mse_loss, l1_loss, smooth_l1_loss and huber_loss: one pass, nothing stored between.
#include "ops/loss.h"

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/reduce.h"

namespace samara {
namespace {

LossReduction reduction_from(const Value& value, std::string_view place) {
  const std::string& text = value.text();
  if (text == "mean") return LossReduction::mean;
  if (text == "sum") return LossReduction::sum;
  if (text == "none") return LossReduction::none;
  fail(ErrorKind::argument, place, ": reduction is '", text,
       "'. Expected 'mean', 'sum' or 'none'. Fix: pass one of these.");
}

constexpr int64_t kTile = 1 << 15;

struct PairAttributes {
  PairLoss loss;
  LossReduction reduction;
  double parameter;
};

const PairLossKernel& kernel_for(PairLoss loss, DType dtype) {
  static const LossKernels& kernels =
      select_isa(baseline::loss_kernels, v3::loss_kernels, v4::loss_kernels);
  return kernels.pair[static_cast<int>(loss)][static_cast<int>(dtype)];
}

double sum_of_losses(const PairLossKernel& kernel, const std::byte* x, const std::byte* y,
                     int64_t n, int64_t size, double parameter) {
  if (n <= 2 * kTile) return kernel.sum(x, y, n, parameter);
  const int64_t tiles = (n - 1) / kTile + 1;
  Scratch scratch(tiles * static_cast<int64_t>(sizeof(double)));
  double* parts = reinterpret_cast<double*>(scratch.data());
  parallel_ranges(n, kTile, [&](int64_t begin, int64_t end) {
    parts[begin / kTile] = kernel.sum(x + begin * size, y + begin * size, end - begin, parameter);
  });
  double sum = 0;
  for (int64_t i = 0; i < tiles; ++i) sum += parts[i];
  return sum;
}

// inputs: x, y, contiguous, of one dtype and shape.
void pair_cpu(TensorSpan outputs, TensorSpan inputs, const PairAttributes& attributes) {
  const Tensor& out = outputs[0];
  const DType dtype = inputs[0].dtype();
  const int64_t n = inputs[0].elements(), size = itemsize(dtype);
  const PairLossKernel& kernel = kernel_for(attributes.loss, dtype);
  const std::byte* x = inputs[0].data<std::byte>();
  const std::byte* y = inputs[1].data<std::byte>();
  if (attributes.reduction == LossReduction::none) {
    parallel_ranges(n, kTile, [&](int64_t begin, int64_t end) {
      kernel.values(x + begin * size, y + begin * size, out.data<std::byte>() + begin * size,
                    end - begin, attributes.parameter);
    });
    return;
  }
  const double sum = sum_of_losses(kernel, x, y, n, size, attributes.parameter);
  Finish finish;
  finish.output = dtype;
  if (attributes.reduction == LossReduction::mean) {
    finish.kind = FinishKind::divide;
    finish.value = static_cast<double>(n);
  }
  reduce_into(ReduceOp::sum, DType::float64, &sum, {}, finish, out.address());
}
const KernelSlot<PairAttributes> pair_slot("mse_loss", pair_cpu);

double number_of(const Tensor& x) {
  double value = 0;
  reduce_into(ReduceOp::sum, x.dtype(), x.address(), {}, {.last = false}, &value);
  return value;
}

struct PairGradientAttributes {
  PairAttributes loss;
  double sign;  // 1 for x, -1 for y
};
// inputs: x, y, g.
void pair_gradient_cpu(TensorSpan outputs, TensorSpan inputs,
                       const PairGradientAttributes& attributes) {
  const Tensor& out = outputs[0];
  const DType dtype = out.dtype();
  const int64_t n = out.elements(), size = itemsize(dtype);
  const PairLossKernel& kernel = kernel_for(attributes.loss.loss, dtype);
  const bool scalar = attributes.loss.reduction != LossReduction::none;
  double scale = attributes.sign;
  if (scalar) scale *= number_of(inputs[2]);
  if (attributes.loss.reduction == LossReduction::mean) scale /= static_cast<double>(n);
  parallel_ranges(n, kTile, [&](int64_t begin, int64_t end) {
    const int64_t offset = begin * size;
    kernel.gradient(inputs[0].data<std::byte>() + offset, inputs[1].data<std::byte>() + offset,
                    scalar ? nullptr : inputs[2].data<std::byte>() + offset,
                    out.data<std::byte>() + offset, end - begin, attributes.loss.parameter, scale);
  });
}
const KernelSlot<PairGradientAttributes> pair_gradient_slot("mse_loss_backward", pair_gradient_cpu);

// Differently shaped tensors would broadcast to a loss over all pairs: a mistake, never wanted.
void require_same_shape(const Call& call, const Tensor& x, const Tensor& y) {
  if (x.shape() == y.shape()) return;
  std::string fix = "check which tensor has the wrong shape";
  if (x.elements() == y.elements())
    fix = concat_text("bring the target to the prediction's shape with target.reshape",
                      x.rank() == 0 ? std::string("(())") : to_text(x.shape()));
  fail(ErrorKind::shape, call.name(), ": the prediction has shape ", x.shape(),
       " and the target has shape ", y.shape(), ". Expected equal shapes. Fix: ", fix, ".");
}

// (input, target, reduction) and, for some, the parameter before the reduction.
void pair_forward(Call& call, PairLoss loss) {
  const bool has_parameter = loss == PairLoss::smooth || loss == PairLoss::huber;
  const Tensor &x = call.tensor(0), &y = call.tensor(1);
  require_same_shape(call, x, y);
  const DType dtype = promote(x.dtype(), y.dtype());
  if (!is_floating(dtype))
    fail(ErrorKind::dtype, call.name(), ": the prediction has dtype ", name(x.dtype()),
         " and the target ", name(y.dtype()),
         ". Expected a real floating-point prediction. Fix: convert it, e.g. "
         "x.to(samara.float32).");
  const PairAttributes attributes{loss, reduction_argument(call, has_parameter ? 3 : 2),
                                  has_parameter ? call.real(2) : 0.0};
  if (has_parameter &&
      !(attributes.parameter > 0 || (loss == PairLoss::smooth && attributes.parameter == 0)))
    fail(ErrorKind::argument, call.name(), ": ", loss == PairLoss::smooth ? "beta" : "delta",
         " is ", attributes.parameter,
         ". Expected a positive number. Fix: the usual value is 1.0.");
  const bool elementwise = attributes.reduction == LossReduction::none;
  Tensor out = empty(elementwise ? x.shape() : Dims(), dtype, x.device());
  const Tensor inputs[] = {contiguous(cast(x, dtype)), contiguous(cast(y, dtype))};
  pair_slot(TensorSpan(&out, 1), TensorSpan(inputs, 2), attributes);
  call.output(std::move(out));
}

void pair_backward(BackwardCall& call, PairLoss loss) {
  const bool has_parameter = loss == PairLoss::smooth || loss == PairLoss::huber;
  const Tensor &x = call.tensor(0), &y = call.tensor(1);
  const DType dtype = promote(x.dtype(), y.dtype());
  const PairAttributes attributes{loss, reduction_argument(call, has_parameter ? 3 : 2),
                                  has_parameter ? call[2].real() : 0.0};
  const Tensor inputs[] = {contiguous(cast(x, dtype)), contiguous(cast(y, dtype)),
                           contiguous(call.gradient())};
  for (int i = 0; i < 2; ++i) {
    if (!call.needs(i)) continue;
    Tensor out = empty(x.shape(), dtype, x.device());
    pair_gradient_slot(TensorSpan(&out, 1), TensorSpan(inputs, 3),
                       {attributes, i == 0 ? 1.0 : -1.0});
    call.set(i, std::move(out));
  }
}

template <PairLoss loss>
void forward(Call& call) {
  pair_forward(call, loss);
}
template <PairLoss loss>
void backward(BackwardCall& call) {
  pair_backward(call, loss);
}
template <PairLoss loss>
NativeOperation pair_operation(std::string_view name) {
  return {.name = name, .forward = forward<loss>, .backward = backward<loss>, .saved_inputs = 0b11};
}
const Register mse_registered(pair_operation<PairLoss::squared>("mse_loss"));
const Register l1_registered(pair_operation<PairLoss::absolute>("l1_loss"));
const Register smooth_registered(pair_operation<PairLoss::smooth>("smooth_l1_loss"));
const Register huber_registered(pair_operation<PairLoss::huber>("huber_loss"));

}  // namespace

LossReduction reduction_argument(const Call& call, int i) {
  return reduction_from(call[i], call.name());
}
LossReduction reduction_argument(const BackwardCall& call, int i) {
  return reduction_from(call[i], call.node.operation->name);
}

}  // namespace samara
