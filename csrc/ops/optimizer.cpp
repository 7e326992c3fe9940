#include "ops/optimizer.h"

#include <atomic>
#include <cmath>
#include <string>
#include <utility>

#include "core/autograd.h"
#include "core/device.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"

namespace samara {
namespace {

// Below this many elements a step is not worth waking other threads.
constexpr int64_t kInline = 32768;
constexpr int64_t kTile = 16384;

const OptimizerKernels& kernels() {
  return select_isa(baseline::optimizer_kernels, v3::optimizer_kernels, v4::optimizer_kernels);
}

const OptimizerDtypeKernels& kernels_of(DType dtype) {
  const OptimizerKernels& all = kernels();
  switch (dtype) {
    case DType::float16:
      return all.float16;
    case DType::bfloat16:
      return all.bfloat16;
    case DType::float64:
      return all.float64;
    default:
      return all.float32;
  }
}

DType state_dtype(DType dtype) { return is_half(dtype) ? DType::float32 : dtype; }

// The address of the first element in the host's terms.
void* host_pointer(const Tensor& x) {
  if (x.device().type == DeviceType::cpu) return x.address();
  void* base = backend(x.device()).host_address(x.impl()->storage->data);
  return static_cast<std::byte*>(base) + x.offset() * itemsize(x.dtype());
}

// Like mark_written, but cheap: every parameter is written at every step, and the place is known.
void note_write(const Tensor& x) {
  Storage& storage = *x.impl()->storage;
  storage.version.fetch_add(1, std::memory_order_relaxed);
  if (!storage.saved_for_backward.load(std::memory_order_relaxed)) return;
  static const std::string place = "optimizer.step()";
  storage.last_write.store(&place);
}

Tensor on_device(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  static const NativeCall transfer("transfer");
  const GradMode off(false);
  return transfer(x, device);
}

}  // namespace

bool optimizer_supports(const Tensor& x) {
  if (!is_floating(x.dtype()) || !x.impl()->storage) return false;
  if (x.device().type == DeviceType::cpu) return true;
  return x.device().type == DeviceType::host_backed;
}

OptimizerRule optimizer_rule(std::string_view name) {
  if (name == "sgd") return OptimizerRule::sgd;
  if (name == "adam") return OptimizerRule::adam;
  if (name == "rmsprop") return OptimizerRule::rmsprop;
  if (name == "adagrad") return OptimizerRule::adagrad;
  fail(ErrorKind::argument, "FusedOptimizer: the rule is '", name,
       "'. Expected sgd, adam, rmsprop or adagrad. Fix: choose one of these.");
}

FusedOptimizer::FusedOptimizer(OptimizerRule rule, std::vector<Tensor> parameters) : rule_(rule) {
  slots_.reserve(parameters.size());
  for (Tensor& parameter : parameters) {
    elements_ += parameter.elements();
    Slot slot;
    slot.kernels = &kernels_of(parameter.dtype());
    slot.parameter = std::move(parameter);
    slots_.push_back(std::move(slot));
  }
  work_.reserve(slots_.size());
}

// The parameters that have a gradient now, each with a contiguous gradient of its own dtype.
void FusedOptimizer::collect() {
  work_.clear();
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    const Tensor& parameter = slot.parameter;
    const Tensor gradient = load_grad(parameter);
    if (!gradient) continue;
    if (!(gradient.shape() == parameter.shape()) || gradient.device() != parameter.device())
      fail(ErrorKind::shape, "optimizer.step: the gradient of parameter ", i, " has shape ",
           gradient.shape(), " on ", to_text(gradient.device()), ". Expected ", parameter.shape(),
           " on ", to_text(parameter.device()),
           ". Fix: assign a gradient of the parameter's shape, or none.");
    // A parameter may have been cast since the optimizer was made.
    slot.kernels = &kernels_of(parameter.dtype());
    Work work{};
    work.slot = &slot;
    work.index = static_cast<int64_t>(i);
    work.gradient = gradient.dtype() == parameter.dtype() && gradient.is_contiguous()
                        ? gradient
                        : contiguous(cast(gradient, parameter.dtype()));
    work.arrays.gradient = host_pointer(work.gradient);
    work.arrays.n = parameter.elements();
    work_.push_back(std::move(work));
  }
  cut_into_tiles();
}

void FusedOptimizer::cut_into_tiles() {
  tiles_.clear();
  int64_t total = 0;
  for (const Work& work : work_) total += work.arrays.n;
  const int64_t longest = total <= kInline ? kInline : kTile;
  for (size_t i = 0; i < work_.size(); ++i)
    for (int64_t begin = 0; begin < work_[i].arrays.n; begin += longest)
      tiles_.push_back(
          {static_cast<int32_t>(i), begin, std::min<int64_t>(longest, work_[i].arrays.n - begin)});
}

int64_t FusedOptimizer::search_nonfinite() const {
  std::atomic<int64_t> broken{INT64_MAX};
  const auto check = [&](const Tile& tile) {
    const Work& work = work_[static_cast<size_t>(tile.work)];
    const std::byte* values = static_cast<const std::byte*>(work.arrays.gradient) +
                              tile.begin * itemsize(work.gradient.dtype());
    if (work.slot->kernels->all_finite(values, tile.length)) return;
    int64_t seen = broken.load();
    while (work.index < seen && !broken.compare_exchange_weak(seen, work.index)) {
    }
  };
  if (tiles_.size() <= work_.size())
    for (const Tile& tile : tiles_) check(tile);
  else
    parallel_tiles(static_cast<int64_t>(tiles_.size()),
                   [&](int64_t i) { check(tiles_[static_cast<size_t>(i)]); });
  return broken == INT64_MAX ? -1 : broken.load();
}

OptimizerKernel FusedOptimizer::kernel_of(const Slot&) const {
  using enum OptimizerKernel;
  const OptimizerSettings& s = settings_;
  switch (rule_) {
    case OptimizerRule::sgd:
      return s.momentum == 0 ? sgd : s.nesterov ? sgd_nesterov : sgd_momentum;
    case OptimizerRule::adam:
      return s.amsgrad ? adam_amsgrad : adam;
    case OptimizerRule::adagrad:
      return adagrad;
    case OptimizerRule::rmsprop:
      if (s.centered) return s.momentum > 0 ? rmsprop_centered_momentum : rmsprop_centered;
      return s.momentum > 0 ? rmsprop_momentum : rmsprop;
  }
  return sgd;
}

OptimizerConstants FusedOptimizer::constants_of(const Slot& slot) const {
  const OptimizerSettings& s = settings_;
  const double step = static_cast<double>(slot.steps);
  OptimizerConstants c{};
  c.rate = s.lr;
  c.sign = s.maximize ? -1 : 1;
  c.l2 = s.decoupled ? 0 : s.weight_decay;
  c.keep = s.decoupled ? 1 - s.lr * s.weight_decay : 1;
  c.momentum = s.momentum;
  c.eps = s.eps;
  switch (rule_) {
    case OptimizerRule::sgd: {
      // The buffer starts as the gradient itself, undamped.
      const bool fresh = !slot.state[0];
      c.first = fresh ? 0 : s.momentum;
      c.first_new = fresh ? 1 : 1 - s.dampening;
      break;
    }
    case OptimizerRule::adam:
      c.first = s.beta1;
      c.first_new = 1 - s.beta1;
      c.second = s.beta2;
      c.second_new = 1 - s.beta2;
      c.rate = s.lr / (1 - std::pow(s.beta1, step));
      c.root_scale = 1 / std::sqrt(1 - std::pow(s.beta2, step));
      break;
    case OptimizerRule::rmsprop:
      c.second = s.alpha;
      c.second_new = 1 - s.alpha;
      break;
    case OptimizerRule::adagrad:
      c.rate = s.lr / (1 + (step - 1) * s.lr_decay);
      break;
  }
  return c;
}

// The state tensor, made or, when the parameter was cast or moved since, converted.
void FusedOptimizer::make_state(Slot& slot, int which, double value) {
  Tensor& state = slot.state[static_cast<size_t>(which)];
  const Tensor& parameter = slot.parameter;
  const DType dtype = state_dtype(parameter.dtype());
  if (!state) {
    state = zeros(parameter.shape(), dtype, parameter.device());
    if (value != 0) fill(state, Value(value));
    return;
  }
  if (!(state.shape() == parameter.shape()))
    fail(ErrorKind::shape, "optimizer.step: a parameter now has shape ", parameter.shape(),
         " and its state has shape ", state.shape(),
         ". Expected a parameter that keeps its shape. Fix: make a new optimizer after changing "
         "parameters.");
  if (state.dtype() == dtype && state.device() == parameter.device()) return;
  Tensor converted = empty(parameter.shape(), dtype, parameter.device());
  copy_into(converted, on_device(state, parameter.device()));
  state = std::move(converted);
}

void FusedOptimizer::prepare(Work& work) {
  Slot& slot = *work.slot;
  const Tensor& parameter = slot.parameter;
  const OptimizerKernel kernel = kernel_of(slot);
  if (parameter.impl()->storage->read_only)
    fail(ErrorKind::argument, "optimizer.step: parameter ", work.index,
         " shows read-only memory. Expected memory that may be written. Fix: make the parameter "
         "from a copy, x.clone().");
  ++slot.steps;
  // SGD's constants depend on whether its buffer exists yet; Adam's on the step.
  work.constants = constants_of(slot);
  work.update = slot.kernels->update[static_cast<size_t>(kernel)];
  using enum OptimizerKernel;
  if (kernel != sgd) make_state(slot, 0, rule_ == OptimizerRule::adagrad ? settings_.initial : 0);
  if (rule_ == OptimizerRule::adam || kernel == rmsprop_momentum ||
      kernel == rmsprop_centered_momentum)
    make_state(slot, 1, 0);
  if (kernel == adam_amsgrad || kernel == rmsprop_centered || kernel == rmsprop_centered_momentum)
    make_state(slot, 2, 0);
  if (parameter.is_contiguous()) {
    work.arrays.parameter = host_pointer(parameter);
  } else {
    work.contiguous_parameter = clone(parameter);
    work.arrays.parameter = host_pointer(work.contiguous_parameter);
  }
  for (size_t k = 0; k < kOptimizerStates; ++k)
    work.arrays.state[k] = slot.state[k] ? host_pointer(slot.state[k]) : nullptr;
}

void FusedOptimizer::finish(Work& work) {
  if (work.contiguous_parameter) copy_into(work.slot->parameter, work.contiguous_parameter);
  note_write(work.slot->parameter);
}

void FusedOptimizer::update_all() {
  for (Work& work : work_) prepare(work);
  const auto update = [&](const Tile& tile) {
    const Work& work = work_[static_cast<size_t>(tile.work)];
    const int64_t size = itemsize(work.gradient.dtype());
    const int64_t state_size = itemsize(state_dtype(work.gradient.dtype()));
    OptimizerArrays part = work.arrays;
    part.parameter = static_cast<std::byte*>(part.parameter) + tile.begin * size;
    part.gradient = static_cast<const std::byte*>(part.gradient) + tile.begin * size;
    for (void*& state : part.state)
      if (state) state = static_cast<std::byte*>(state) + tile.begin * state_size;
    part.n = tile.length;
    work.update(part, work.constants);
  };
  if (tiles_.size() <= work_.size())
    for (const Tile& tile : tiles_) update(tile);
  else
    parallel_tiles(static_cast<int64_t>(tiles_.size()),
                   [&](int64_t i) { update(tiles_[static_cast<size_t>(i)]); });
  for (Work& work : work_) finish(work);
}

int64_t FusedOptimizer::first_nonfinite() {
  collect();
  const int64_t broken = search_nonfinite();
  work_.clear();
  return broken;
}

void FusedOptimizer::apply() {
  collect();
  update_all();
  work_.clear();
}

int64_t FusedOptimizer::step() {
  collect();
  const int64_t broken = search_nonfinite();
  if (broken < 0) update_all();
  work_.clear();
  return broken;
}

void FusedOptimizer::zero_grad(bool set_to_none) {
  for (Slot& slot : slots_) {
    const Tensor old = exchange_grad(slot.parameter, Tensor());
    if (old && !set_to_none)
      exchange_grad(slot.parameter, zeros(old.shape(), old.dtype(), old.device()));
  }
}

void FusedOptimizer::set_state(int64_t index, int64_t steps, const std::vector<Tensor>& state) {
  Slot& slot = slots_.at(static_cast<size_t>(index));
  const Tensor& parameter = slot.parameter;
  std::array<Tensor, kOptimizerStates> copies;
  for (size_t k = 0; k < state.size() && k < kOptimizerStates; ++k) {
    if (!state[k]) continue;
    copies[k] = empty(parameter.shape(), state_dtype(parameter.dtype()), parameter.device());
    copy_into(copies[k], on_device(state[k], parameter.device()));
  }
  slot.state = std::move(copies);
  slot.steps = steps;
}

}  // namespace samara
