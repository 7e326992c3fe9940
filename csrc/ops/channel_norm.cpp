// batch_norm, instance_norm and group_norm, with an activation and a residual in the same pass.
#include "ops/channel_norm.h"

#include <cmath>
#include <limits>
#include <vector>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/isa.h"
#include "ops/basic.h"
#include "ops/channel_norm_layout.h"
#include "ops/image.h"
#include "ops/reduce.h"

namespace samara {
namespace {

struct NormAttributes {
  int64_t groups = 0;  // per sample; 0: statistics over all samples
  double momentum = 0, eps = 0;
  NormActivation activation = NormActivation::none;
  NormActivationParameters parameters;
  bool channels_last = false;
  bool own_statistics = true;  // of this input; else mean and variance are given
  bool* updated = nullptr;     // whether the running statistics were written
};

// --- numbers of small tensors --------------------------------------------------------------------

template <class Visit>
void visit_real(DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::float16:
      return visit(
          [](const void* p) { return float16_value(static_cast<const Float16*>(p)->bits); },
          [](void* p, double v) {
            static_cast<Float16*>(p)->bits = float16_bits(static_cast<float>(v));
          });
    case DType::bfloat16:
      return visit(
          [](const void* p) { return bfloat16_value(static_cast<const BFloat16*>(p)->bits); },
          [](void* p, double v) {
            static_cast<BFloat16*>(p)->bits = bfloat16_bits(static_cast<float>(v));
          });
    case DType::float32:
      return visit([](const void* p) { return *static_cast<const float*>(p); },
                   [](void* p, double v) { *static_cast<float*>(p) = static_cast<float>(v); });
    default:
      return visit([](const void* p) { return *static_cast<const double*>(p); },
                   [](void* p, double v) { *static_cast<double*>(p) = v; });
  }
}

// The numbers of a vector in double; `missing` where there is none.
std::vector<double> numbers(const Tensor& x, int64_t n, double missing) {
  std::vector<double> out(static_cast<size_t>(n), missing);
  if (!x) return out;
  const int64_t step = x.stride(0) * itemsize(x.dtype());
  visit_real(x.dtype(), [&](auto read, auto) {
    const std::byte* p = x.data<std::byte>();
    for (double& value : out) {
      value = static_cast<double>(read(p));
      p += step;
    }
  });
  return out;
}

double largest(DType dtype) {
  switch (dtype) {
    case DType::float16:
      return 65504.0;
    case DType::float64:
      return std::numeric_limits<double>::max();
    default:
      return 0x1.FEp127;  // of bfloat16, which float32 also holds
  }
}

void write_numbers(const Tensor& x, const std::vector<double>& values) {
  const int64_t step = x.stride(0) * itemsize(x.dtype());
  visit_real(x.dtype(), [&](auto, auto write) {
    std::byte* p = x.data<std::byte>();
    for (const double value : values) {
      write(p, value);
      p += step;
    }
  });
}

// --- coefficients --------------------------------------------------------------------------------

const ChannelNormKernel& kernel_for(DType dtype) {
  static const ChannelNormKernels& kernels = select_isa(
      baseline::channel_norm_kernels, v3::channel_norm_kernels, v4::channel_norm_kernels);
  return kernels.norm[static_cast<int>(dtype)];
}

// Seven arrays, one number per coefficient, in the type numbers are computed in.
class Coefficients {
 public:
  enum Which { high, low, scale, bias, factor, slope, level, count };

  Coefficients(DType dtype, int64_t n)
      : wide_(dtype == DType::float64), n_(n), memory_(count * n * size()) {}

  void set(Which which, const NormRange& range, double value) {
    if (wide_)
      fill(reinterpret_cast<double*>(memory_.data()) + which * n_, range, value);
    else
      fill(reinterpret_cast<float*>(memory_.data()) + which * n_, range, static_cast<float>(value));
  }
  void set_affine(const NormRange& range, double mean, double scale_value, double bias_value) {
    const double rounded = wide_ ? mean : static_cast<double>(static_cast<float>(mean));
    set(high, range, mean);
    set(low, range, std::isfinite(rounded) ? mean - rounded : 0.0);
    set(scale, range, scale_value);
    set(bias, range, bias_value);
  }
  NormCoefficients from(int64_t i) {
    const auto at = [&](Which which) { return memory_.data() + (which * n_ + i) * size(); };
    return {at(high), at(low), at(scale), at(bias), at(factor), at(slope), at(level)};
  }

 private:
  template <class L>
  static void fill(L* array, const NormRange& range, L value) {
    L* p = array + range.first;
    for (int64_t k = 0; k < range.count; ++k, p += range.step) *p = value;
  }
  int64_t size() const { return wide_ ? 8 : 4; }
  bool wide_;
  int64_t n_;
  Scratch memory_;
};

NormLayout layout_of(const Tensor& x, const NormAttributes& attributes) {
  const int64_t samples = x.size(0), channels = x.size(1);
  return {samples,
          channels,
          x.elements() / (samples * channels),
          attributes.groups,
          attributes.channels_last,
          itemsize(x.dtype())};
}

// One call's tensors, seen as bytes.
struct Bytes {
  std::byte* first = nullptr;
  int64_t size = 0;
  Bytes() = default;
  explicit Bytes(const Tensor& x) {
    if (!x) return;
    first = x.data<std::byte>();
    size = itemsize(x.dtype());
  }
  void* at(int64_t i) const { return first ? first + i * size : nullptr; }
};

// What the passes over the input share: sums of the pieces and the coefficients of a part of it.
struct Workspace {
  Workspace(DType dtype, const NormLayout& layout, bool collects)
      : memory_((collects ? 2 * layout.partials() : 0) * int64_t{sizeof(double)}),
        first(reinterpret_cast<double*>(memory_.data())),
        second(first + layout.partials()),
        coefficients(dtype, layout.coefficients()) {}

 private:
  Scratch memory_;

 public:
  double *first, *second;
  Coefficients coefficients;
};

struct Pass {
  Pass(const Tensor& x, const NormAttributes& attributes, const Tensor& weight, const Tensor& bias)
      : layout(layout_of(x, attributes)),
        attributes(attributes),
        kernel(kernel_for(x.dtype())),
        loops((layout.columns ? kernel.columns
                              : kernel.runs)[static_cast<int>(attributes.activation)]),
        dtype(x.dtype()),
        weight(numbers(weight, layout.channels, 1)),
        bias(numbers(bias, layout.channels, 0)) {}

  Workspace workspace() const { return Workspace(dtype, layout, collects); }
  // The coefficients that bring a unit's numbers to y.
  void set_affine(Workspace& work, int64_t unit, const double* statistics) const {
    layout.channels_of(unit, [&](int64_t s, int64_t c, const NormRange& range) {
      work.coefficients.set_affine(range, statistics[2 * s],
                                   weight[static_cast<size_t>(c)] * statistics[2 * s + 1],
                                   bias[static_cast<size_t>(c)]);
    });
  }

  const NormLayout layout;
  const NormAttributes& attributes;
  const ChannelNormKernel& kernel;
  const ChannelNormLoops& loops;
  const DType dtype;
  const std::vector<double> weight, bias;
  bool collects = true;
};

// --- forward -------------------------------------------------------------------------------------

template <class Value>
double total(const NormRange& range, const Value& value) {
  double sum = 0;
  for (int64_t k = 0, i = range.first; k < range.count; ++k, i += range.step) sum += value(i);
  return sum;
}

// Writes mean and 1 / deviation of a unit's statistics; `variance` receives sums of squares / n.
void merge_statistics(const NormLayout& layout, int64_t unit, const double* mean,
                      const double* squares, double eps, double* statistics, double* variance) {
  const int64_t first = layout.first_statistic(unit), last = layout.last_statistic(unit);
  const int64_t instance = layout.columns ? unit * layout.statistics
                                          : unit - (layout.groups ? unit % layout.groups : unit);
  const double n = static_cast<double>(layout.count());
  for (int64_t s = first; s < last; ++s) statistics[2 * s] = variance[s] = 0;
  layout.partials_of(unit, [&](int64_t s, int64_t, const NormRange& range, int64_t count) {
    const double sum = total(range, [&](int64_t i) { return mean[i]; });
    statistics[2 * (instance + s)] += sum * (static_cast<double>(count) / n);
  });
  layout.partials_of(unit, [&](int64_t s, int64_t, const NormRange& range, int64_t count) {
    const double center = statistics[2 * (instance + s)], weight = static_cast<double>(count);
    const double sum = total(range, [&](int64_t i) {
      const double delta = mean[i] - center;
      return squares[i] + delta * delta * weight;
    });
    variance[instance + s] += sum / n;
  });
  for (int64_t s = first; s < last; ++s) statistics[2 * s + 1] = 1.0 / std::sqrt(variance[s] + eps);
}

// Moves the running statistics towards the batch's; all of them stay as they are when one of the
// new ones is not finite.
bool update_running(const NormLayout& layout, double momentum, const double* statistics,
                    const double* variance, const Tensor& running_mean, const Tensor& running_var) {
  const int64_t channels = layout.channels;
  const double n = static_cast<double>(layout.count());
  const double unbiased = n / (n - 1), share = 1.0 / static_cast<double>(layout.instances);
  std::vector<double> mean = numbers(running_mean, channels, 0);
  std::vector<double> var = numbers(running_var, channels, 0);
  bool finite = true;
  for (int64_t c = 0; c < channels; ++c) {
    double batch_mean = 0, batch_var = 0;
    for (int64_t i = 0; i < layout.instances; ++i) {
      const int64_t s = i * channels + c;
      batch_mean += statistics[2 * s] * share;
      batch_var += variance[s] * unbiased * share;
    }
    double& m = mean[static_cast<size_t>(c)];
    double& v = var[static_cast<size_t>(c)];
    m = momentum * batch_mean + (1 - momentum) * m;
    v = momentum * batch_var + (1 - momentum) * v;
    finite = finite && std::isfinite(batch_mean) && std::isfinite(batch_var);
    if (running_mean) finite = finite && std::abs(m) <= largest(running_mean.dtype());
    if (running_var) finite = finite && std::abs(v) <= largest(running_var.dtype());
  }
  if (!finite) return false;
  if (running_mean) write_numbers(running_mean, mean);
  if (running_var) write_numbers(running_var, var);
  return true;
}

struct ForwardPass : Pass {
  using Pass::Pass;

  void prepare(Workspace&, int64_t) const {}
  void collect(Workspace& work, const NormPiece& piece) const {
    if (piece.tile.columns <= 0) return;
    const NormStatistics statistics_of =
        layout.columns ? kernel.column_statistics : kernel.run_statistics;
    statistics_of(source.at(piece.offset), piece.tile, work.first + piece.partial,
                  work.second + piece.partial);
  }
  void finish(Workspace& work, int64_t unit) const {
    if (collects)
      merge_statistics(layout, unit, work.first, work.second, attributes.eps, statistics, variance);
    set_affine(work, unit, statistics);
  }
  void apply(Workspace& work, const NormPiece& piece) const {
    if (piece.tile.columns <= 0) return;
    loops.apply(source.at(piece.offset), residual.at(piece.offset), target.at(piece.offset),
                piece.tile, work.coefficients.from(piece.coefficients), attributes.parameters);
  }

  Bytes source, residual, target;
  double *statistics = nullptr, *variance = nullptr;
};

// inputs: x, weight, bias, residual, mean, variance; outputs: y, statistics [S, 2], running mean,
// running variance. All but x, y and statistics may be missing.
void forward_cpu(TensorSpan outputs, TensorSpan inputs, const NormAttributes& attributes) {
  ForwardPass pass(inputs[0], attributes, inputs[1], inputs[2]);
  const NormLayout& layout = pass.layout;
  const int64_t count = layout.instances * layout.statistics;
  std::vector<double> variance = numbers(inputs[5], count, 0);
  pass.collects = attributes.own_statistics;
  pass.source = Bytes(inputs[0]);
  pass.residual = Bytes(inputs[3]);
  pass.target = Bytes(outputs[0]);
  pass.statistics = outputs[1].data<double>();
  pass.variance = variance.data();
  if (!pass.collects) {
    const std::vector<double> mean = numbers(inputs[4], count, 0);
    for (size_t c = 0; c < mean.size(); ++c) {
      pass.statistics[2 * c] = mean[c];
      pass.statistics[2 * c + 1] = 1.0 / std::sqrt(variance[c] + attributes.eps);
    }
  }
  layout.run(pass);
  if (outputs[2] || outputs[3])
    *attributes.updated = update_running(layout, attributes.momentum, pass.statistics,
                                         pass.variance, outputs[2], outputs[3]);
}
const KernelSlot<NormAttributes> forward_slot("channel_norm", forward_cpu);

// --- backward ------------------------------------------------------------------------------------

// Sums over a unit's pieces of g' and of g' (x - mean), per channel of each instance.
void merge_sums(const NormLayout& layout, int64_t unit, const double* part_sum,
                const double* part_product, double* sum, double* product) {
  const int64_t instance = layout.columns ? unit : layout.groups ? unit / layout.groups : 0;
  layout.channels_of(unit, [&](int64_t, int64_t c, const NormRange&) {
    sum[instance * layout.channels + c] = product[instance * layout.channels + c] = 0;
  });
  layout.partials_of(unit, [&](int64_t, int64_t c, const NormRange& range, int64_t) {
    sum[instance * layout.channels + c] += total(range, [&](int64_t i) { return part_sum[i]; });
    product[instance * layout.channels + c] +=
        total(range, [&](int64_t i) { return part_product[i]; });
  });
}

// What the gradient of x takes from each number's statistics: averages of w g' and w g' z.
struct Averages {
  double plain = 0, along = 0;
};
Averages averages_of(const NormLayout& layout, int64_t statistic, double reciprocal,
                     const std::vector<double>& weight, const double* sum, const double* product) {
  Averages result;
  const int64_t share = layout.channels_per_statistic();
  const int64_t instance = statistic / layout.statistics;
  const int64_t first = statistic % layout.statistics * share;
  for (int64_t c = first; c < first + share; ++c) {
    const double w = weight[static_cast<size_t>(c)];
    result.plain += w * sum[instance * layout.channels + c];
    result.along += w * product[instance * layout.channels + c] * reciprocal;
  }
  const double n = static_cast<double>(layout.count());
  return {result.plain / n, result.along / n};
}

// Gradients of weight, bias and, where these were given, of mean and variance.
void parameter_gradients(const NormLayout& layout, const std::vector<double>& weight,
                         const double* statistics, const double* sum, const double* product,
                         TensorSpan outputs) {
  const size_t channels = static_cast<size_t>(layout.channels);
  std::vector<double> dweight(channels), dbias(channels), dmean(channels), dvariance(channels);
  const int64_t share = layout.channels_per_statistic();
  for (int64_t i = 0; i < layout.instances; ++i)
    for (int64_t c = 0; c < layout.channels; ++c) {
      const size_t at = static_cast<size_t>(c);
      const double reciprocal = statistics[2 * (i * layout.statistics + c / share) + 1];
      const double plain = sum[i * layout.channels + c];
      const double along = product[i * layout.channels + c] * reciprocal;
      dweight[at] += along;
      dbias[at] += plain;
      dmean[at] -= plain * weight[at] * reciprocal;
      dvariance[at] -= 0.5 * along * weight[at] * reciprocal * reciprocal;
    }
  const std::vector<double>* all[] = {&dweight, &dbias, nullptr, &dmean, &dvariance};
  for (size_t k = 0; k < 5; ++k)
    if (k != 2 && outputs[k + 1]) write_numbers(outputs[k + 1], *all[k]);
}

struct BackwardPass : Pass {
  using Pass::Pass;

  void prepare(Workspace& work, int64_t unit) const { set_affine(work, unit, statistics); }
  void collect(Workspace& work, const NormPiece& piece) const {
    if (piece.tile.columns <= 0) return;
    loops.sums(gradient.at(piece.offset), source.at(piece.offset), residual.at(piece.offset),
               piece.tile, work.coefficients.from(piece.coefficients), attributes.parameters,
               work.first + piece.partial, work.second + piece.partial);
  }
  void finish(Workspace& work, int64_t unit) const {
    if (collects) merge_sums(layout, unit, work.first, work.second, sum, product);
    int64_t last = -1;
    Averages averages;
    layout.channels_of(unit, [&](int64_t s, int64_t c, const NormRange& range) {
      const double reciprocal = statistics[2 * s + 1];
      if (attributes.own_statistics && s != last)
        averages = averages_of(layout, s, reciprocal, weight, sum, product);
      last = s;
      work.coefficients.set(Coefficients::factor, range,
                            weight[static_cast<size_t>(c)] * reciprocal);
      work.coefficients.set(Coefficients::slope, range, -averages.along * reciprocal * reciprocal);
      work.coefficients.set(Coefficients::level, range, -averages.plain * reciprocal);
    });
  }
  void apply(Workspace& work, const NormPiece& piece) const {
    if (piece.tile.columns <= 0) return;
    loops.gradient(gradient.at(piece.offset), source.at(piece.offset), residual.at(piece.offset),
                   target.at(piece.offset), residual_target.at(piece.offset), piece.tile,
                   work.coefficients.from(piece.coefficients), attributes.parameters);
  }

  Bytes gradient, source, residual, target, residual_target;
  const double* statistics = nullptr;
  double *sum = nullptr, *product = nullptr;  // per channel of each instance
};

// inputs: g, x, weight, bias, residual, statistics; outputs: gradients of x, weight, bias,
// residual, mean and variance, each of which may be missing but x's.
void backward_cpu(TensorSpan outputs, TensorSpan inputs, const NormAttributes& attributes) {
  BackwardPass pass(inputs[1], attributes, inputs[2], inputs[3]);
  const NormLayout& layout = pass.layout;
  pass.collects = attributes.own_statistics || outputs[1] || outputs[2] || outputs[4] || outputs[5];
  const int64_t per_channel = layout.instances * layout.channels;
  Scratch memory(2 * per_channel * int64_t{sizeof(double)});
  pass.sum = reinterpret_cast<double*>(memory.data());
  pass.product = pass.sum + per_channel;
  pass.gradient = Bytes(inputs[0]);
  pass.source = Bytes(inputs[1]);
  pass.residual = Bytes(inputs[4]);
  pass.target = Bytes(outputs[0]);
  pass.residual_target = Bytes(outputs[3]);
  pass.statistics = inputs[5].data<double>();
  layout.run(pass);
  if (pass.collects)
    parameter_gradients(layout, pass.weight, pass.statistics, pass.sum, pass.product, outputs);
}
const KernelSlot<NormAttributes> backward_slot("channel_norm_backward", backward_cpu);

// --- arguments -----------------------------------------------------------------------------------

NormActivation activation_named(std::string_view place, const std::string& name) {
  if (name == "none") return NormActivation::none;
  if (name == "clamp") return NormActivation::clamp;
  if (name == "leaky_relu") return NormActivation::leaky_relu;
  if (name == "silu") return NormActivation::silu;
  fail(ErrorKind::argument, place, ": activation is '", name,
       "'. Expected none, clamp, leaky_relu or silu. Fix: choose one of them.");
}

void check_input(std::string_view place, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail(ErrorKind::dtype, place, ": x has dtype ", name(x.dtype()),
         ". Expected a real floating-point dtype. Fix: convert it, e.g. x.to(samara.float32).");
  if (x.rank() < 2)
    fail(ErrorKind::shape, place, ": x has shape ", x.shape(),
         ". Expected [N, C, ...] with at least two axes. Fix: x[None] adds the batch axis.");
}

void check_vector(std::string_view place, std::string_view what, const Tensor& v, const Tensor& x) {
  if (!v) return;
  if (!is_floating(v.dtype()))
    fail(ErrorKind::dtype, place, ": ", what, " has dtype ", name(v.dtype()),
         ". Expected a real floating-point dtype. Fix: convert it.");
  if (v.rank() == 1 && v.size(0) == x.size(1)) return;
  fail(ErrorKind::shape, place, ": x has shape ", x.shape(), ", so ", x.size(1),
       " channels (axis 1), and ", what, " has shape ", v.shape(), ". Expected ",
       v.rank() == 1 ? to_text(Dims{v.size(0)}) + " channels in x, or " : std::string(), what,
       " of shape ", Dims{x.size(1)}, ". Fix: give both the same number of channels.");
}

void check_residual(std::string_view place, const Tensor& residual, const Tensor& x) {
  if (!residual) return;
  if (!(residual.shape() == x.shape()))
    fail(ErrorKind::shape, place, ": x has shape ", x.shape(), " and residual has shape ",
         residual.shape(), ". Expected equal shapes. Fix: pass what is added to x as it is.");
  if (residual.dtype() != x.dtype())
    fail(ErrorKind::dtype, place, ": x has dtype ", name(x.dtype()), " and residual ",
         name(residual.dtype()), ". Expected equal dtypes. Fix: residual.to(x.dtype).");
}

// Everything that could refuse the write is asked before anything is computed.
void check_running(std::string_view place, std::string_view what, const Tensor& running) {
  if (!running) return;
  if (running.requires_grad())
    fail(ErrorKind::gradient, place, ": ", what,
         " requires grad and would be written in place. Expected a plain tensor. Fix: pass ", what,
         ".detach().");
  if (running.impl()->storage && running.impl()->storage->read_only)
    fail(ErrorKind::argument, place, ": ", what,
         " is read-only memory and would be written. Expected writable memory. Fix: pass a copy.");
  if (has_internal_overlap(running))
    fail(ErrorKind::argument, place, ": ", what,
         " shows one element several times and would be written. Expected memory of its own for "
         "each channel. Fix: pass ",
         what, ".clone().");
}

void check_numbers(std::string_view place, bool training, double momentum, double eps) {
  if (!(momentum >= 0 && momentum <= 1))
    fail(ErrorKind::argument, place, ": momentum is ", momentum,
         ". Expected a number from 0 to 1. Fix: momentum=0.1, say.");
  if (training ? !(eps > 0) : !(eps >= 0))
    fail(ErrorKind::argument, place, ": eps is ", eps,
         ". Expected a number above 0. Fix: ", "eps=1e-5, say.");
}

// Empty inputs have no statistics: y is empty, gradients are zeros.
Tensor zeros_for(const Tensor& x) { return zeros(x.shape(), x.dtype(), x.device()); }

// --- statistics of the input itself --------------------------------------------------------------

// channel_norm(x, weight, bias, running_mean, running_var, residual, groups, momentum, eps,
// activation, low, high); groups = 0 takes the statistics over all samples.
NormAttributes own_attributes(std::string_view place, const Tensor& x, int64_t groups,
                              const Value& momentum, const Value& eps, const Value& activation,
                              const Value& low, const Value& high) {
  NormAttributes attributes;
  attributes.groups = groups;
  attributes.momentum = momentum.real();
  attributes.eps = eps.real();
  attributes.activation = activation_named(place, activation.text());
  attributes.parameters = {low.real(), high.real()};
  attributes.channels_last = image_order(x) == ImageOrder::channels_last;
  return attributes;
}

ImageOrder order_of(const NormAttributes& attributes) {
  return attributes.channels_last ? ImageOrder::channels_last : ImageOrder::channels_first;
}

void channel_norm_forward(Call& call) {
  const std::string_view place = call.name();
  const Tensor& x = call.tensor(0);
  check_input(place, x);
  const Tensor weight = call.optional_tensor(1), bias = call.optional_tensor(2);
  const Tensor running_mean = call.optional_tensor(3), running_var = call.optional_tensor(4);
  const Tensor residual = call.optional_tensor(5);
  NormAttributes attributes =
      own_attributes(place, x, call.integer(6), call[7], call[8], call[9], call[10], call[11]);
  check_vector(place, "weight", weight, x);
  check_vector(place, "bias", bias, x);
  check_vector(place, "running_mean", running_mean, x);
  check_vector(place, "running_var", running_var, x);
  check_residual(place, residual, x);
  check_numbers(place, true, attributes.momentum, attributes.eps);
  const bool moves = attributes.momentum > 0;
  const Tensor moved_mean = moves ? running_mean : Tensor();
  const Tensor moved_var = moves ? running_var : Tensor();
  check_running(place, "running_mean", moved_mean);
  check_running(place, "running_var", moved_var);
  const ImageOrder order = order_of(attributes);
  if (x.elements() == 0) {
    call.output(empty_image(x.shape(), x.dtype(), x.device(), order));
    return;
  }
  const int64_t count = attributes.groups ? x.size(0) * attributes.groups : x.size(1);
  bool updated = false;
  attributes.updated = &updated;
  const Tensor outputs[] = {empty_image(x.shape(), x.dtype(), x.device(), order),
                            empty({count, 2}, DType::float64, x.device()), moved_mean, moved_var};
  const Tensor inputs[] = {
      in_order(x, order), weight,  bias, residual ? in_order(residual, order) : residual,
      Tensor(),           Tensor()};
  forward_slot(TensorSpan(outputs, 4), TensorSpan(inputs, 6), attributes);
  if (updated) {
    if (moved_mean) mark_written(moved_mean, place);
    if (moved_var) mark_written(moved_var, place);
  }
  if (call.records) call.saved.push_back(outputs[1]);
  call.output(outputs[0]);
}

// Runs the backward kernel; `arguments` are the positions of x, weight, bias, residual, mean and
// variance among the call's, -1 for none.
void norm_backward(BackwardCall& call, const NormAttributes& attributes, const Tensor& statistics,
                   const int (&arguments)[6]) {
  const Tensor& x = call.tensor(arguments[0]);
  Tensor outputs[6];
  const auto needs = [&](int k) { return arguments[k] >= 0 && call.needs(arguments[k]); };
  if (x.elements() == 0) {
    for (int k = 0; k < 6; ++k)
      if (needs(k)) call.set(arguments[k], zeros_for(call.tensor(arguments[k])));
    return;
  }
  const ImageOrder order = order_of(attributes);
  const Tensor residual = call.optional_tensor(arguments[3]);
  const Tensor inputs[] = {in_order(call.gradient(), order),
                           in_order(x, order),
                           call.optional_tensor(arguments[1]),
                           call.optional_tensor(arguments[2]),
                           residual ? in_order(residual, order) : residual,
                           statistics};
  outputs[0] = empty_image(x.shape(), x.dtype(), x.device(), order);
  for (int k = 1; k < 6; ++k) {
    if (!needs(k)) continue;
    const Tensor& like = call.tensor(arguments[k]);
    outputs[k] = k == 3 ? empty_image(x.shape(), x.dtype(), x.device(), order)
                        : empty(like.shape(), like.dtype(), like.device());
  }
  backward_slot(TensorSpan(outputs, 6), TensorSpan(inputs, 6), attributes);
  for (int k = 0; k < 6; ++k)
    if (outputs[k] && needs(k)) call.set(arguments[k], std::move(outputs[k]));
}

void channel_norm_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const NormAttributes attributes = own_attributes("channel_norm", x, call[6].integer(), call[7],
                                                   call[8], call[9], call[10], call[11]);
  const bool empty = x.elements() == 0;
  norm_backward(call, attributes, empty ? Tensor() : call.saved(0), {0, 1, 2, 5, -1, -1});
}

// --- given statistics ----------------------------------------------------------------------------

// channel_norm_given(x, mean, var, weight, bias, residual, eps, activation, low, high).
void given_forward(Call& call) {
  const std::string_view place = call.name();
  const Tensor& x = call.tensor(0);
  check_input(place, x);
  const Tensor &mean = call.tensor(1), &variance = call.tensor(2);
  const Tensor weight = call.optional_tensor(3), bias = call.optional_tensor(4);
  const Tensor residual = call.optional_tensor(5);
  NormAttributes attributes =
      own_attributes(place, x, 0, Value(0.0), call[6], call[7], call[8], call[9]);
  attributes.own_statistics = false;
  check_vector(place, "running_mean", mean, x);
  check_vector(place, "running_var", variance, x);
  check_vector(place, "weight", weight, x);
  check_vector(place, "bias", bias, x);
  check_residual(place, residual, x);
  check_numbers(place, false, 0, attributes.eps);
  const ImageOrder order = order_of(attributes);
  const Tensor outputs[] = {empty_image(x.shape(), x.dtype(), x.device(), order),
                            empty({x.size(1), 2}, DType::float64, x.device()), Tensor(), Tensor()};
  if (x.elements()) {
    const Tensor inputs[] = {in_order(x, order),
                             weight,
                             bias,
                             residual ? in_order(residual, order) : residual,
                             mean,
                             variance};
    forward_slot(TensorSpan(outputs, 4), TensorSpan(inputs, 6), attributes);
  }
  if (call.records) call.saved.push_back(outputs[1]);
  call.output(outputs[0]);
}

void given_backward(BackwardCall& call) {
  NormAttributes attributes = own_attributes("channel_norm_given", call.tensor(0), 0, Value(0.0),
                                             call[6], call[7], call[8], call[9]);
  attributes.own_statistics = false;
  norm_backward(call, attributes, call.saved(0), {0, 3, 4, 5, 1, 2});
}

const Register channel_norm_registered({.name = "channel_norm",
                                        .forward = channel_norm_forward,
                                        .backward = channel_norm_backward,
                                        .saved_inputs = 0b100111});
const Register given_registered({.name = "channel_norm_given",
                                 .forward = given_forward,
                                 .backward = given_backward,
                                 .saved_inputs = 0b111111});

}  // namespace
}  // namespace samara
