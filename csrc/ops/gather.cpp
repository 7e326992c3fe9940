// gather, scatter and scatter_add: one index per element, along one axis.
#include "ops/gather.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/elements.h"
#include "ops/index_rows.h"
#include "ops/reduce.h"

namespace samara {
namespace {

const GatherKernels& gather_kernels() {
  static const GatherKernels& kernels =
      select_isa(baseline::gather_kernels, v3::gather_kernels, v4::gather_kernels);
  return kernels;
}

const NativeCall gather_call("gather");
const NativeCall scatter_call("scatter");
const NativeCall scatter_add_in_place("scatter_add", NativeCall::kInPlace);
const NativeCall where_call("where");
const NativeCall zeros_like_call("zeros_like");
const NativeCall concat_call("concat");

constexpr int64_t kBlock = 1024;
constexpr int64_t kGrain = 16384;

struct AxisAttributes {
  std::string_view place;
  int axis;
};

// --- the walk over lanes
// ---------------------------------------------------------------------------

// A run of index elements that lie next to each other in the (contiguous) index tensor.
// Element j reads or writes x at x_start + j * x_step + offsets[j].
struct Run {
  int64_t index_start, count;
  int64_t x_start, x_step;
  int64_t y_start, y_step;
  const int64_t* offsets;
};

// Walks the index tensor in lanes along `axis`; within a lane the runs come in order. `y` is the
// tensor of the index's shape on the other side (strided), x the one that is indexed.
class LaneWalk {
 public:
  // With `ordered` a lane's runs stay on one thread; else long lanes are cut too.
  LaneWalk(const Tensor& x, const Tensor& index, const Tensor& y, const AxisAttributes& attributes,
           bool ordered)
      : x_(x), index_(index), y_(y), attributes_(attributes), axis_(attributes.axis) {
    last_ = index.rank() - 1;
    length_ = index.size(axis_);
    columns_ = axis_ == last_ ? 1 : index.size(last_);
    lanes_ = index.elements() == 0 ? 0 : index.elements() / length_ / columns_;
    // Runs as long as the offsets' buffer; shorter where whole columns must be shared out.
    const bool narrow = ordered && lanes_ < 8;
    column_block_ =
        narrow ? std::clamp<int64_t>(kGrain / std::max<int64_t>(length_, 1), 64, kBlock) : kBlock;
    column_block_ = std::max<int64_t>(std::min(column_block_, columns_), 1);
    length_block_ = ordered ? length_ : std::min(length_, kGrain / column_block_);
    length_block_ = std::max<int64_t>(length_block_, 1);
    lane_block_ = std::max<int64_t>(kGrain / (length_block_ * column_block_), 1);
  }

  // visit(run) for all runs; lanes go to different threads.
  template <class Visit>
  void run(Visit&& visit) const {
    visit_lanes<true>(visit);
  }
  // Runs without offsets, for kernels that read the indices (int64) themselves.
  template <class Visit>
  void run_indices(Visit&& visit) const {
    visit_lanes<false>(visit);
  }
  IndexRun index_run(const Run& run) const {
    return {index_.data<int64_t>() + run.index_start, run.count, x_.size(axis_), x_.stride(axis_),
            run.x_step};
  }
  // Called where a kernel has found an index out of range.
  [[noreturn]] void report(const Run& run) const {
    std::vector<int64_t> offsets(static_cast<size_t>(run.count));
    add_index_offsets(attributes_.place, index_, axis_, x_.size(axis_), 0, run.index_start,
                      run.count, offsets.data());
    fail(ErrorKind::index, attributes_.place, ": an index changed while it was read.");
  }

 private:
  template <bool kOffsets, class Visit>
  void visit_lanes(Visit&& visit) const {
    if (lanes_ == 0) return;
    const int64_t lane_blocks = (lanes_ + lane_block_ - 1) / lane_block_;
    const int64_t column_blocks = (columns_ + column_block_ - 1) / column_block_;
    const int64_t length_blocks = (length_ + length_block_ - 1) / length_block_;
    parallel_tiles(lane_blocks * column_blocks * length_blocks, [&](int64_t tile) {
      const int64_t start = tile % length_blocks * length_block_;
      const int64_t stop = std::min(start + length_block_, length_);
      const int64_t column = tile / length_blocks % column_blocks * column_block_;
      const int64_t begin = tile / length_blocks / column_blocks * lane_block_;
      const int64_t end = std::min(begin + lane_block_, lanes_);
      for (int64_t lane = begin; lane < end; ++lane) {
        if (axis_ == last_)
          along_last<kOffsets>(lane, start, stop, visit);
        else
          across<kOffsets>(lane, column, std::min(column_block_, columns_ - column), start, stop,
                           visit);
      }
    });
  }

  // The starts of a lane: flat position over all axes but `axis_` and, unless that is it, the last.
  Run start_of(int64_t lane) const {
    Run run{};
    for (int i = last_; i >= 0; --i) {
      if (i == axis_ || i == last_) continue;
      const int64_t place = lane % index_.size(i);
      lane /= index_.size(i);
      run.index_start += place * index_.stride(i);
      run.x_start += place * x_.stride(i);
      run.y_start += place * y_.stride(i);
    }
    return run;
  }

  void load(Run& run, int64_t* offsets) const {
    std::fill(offsets, offsets + run.count, 0);
    add_index_offsets(attributes_.place, index_, axis_, x_.size(axis_), x_.stride(axis_),
                      run.index_start, run.count, offsets);
    run.offsets = offsets;
  }

  template <bool kOffsets, class Visit>
  void along_last(int64_t lane, int64_t start, int64_t stop, Visit&& visit) const {
    [[maybe_unused]] int64_t offsets[kOffsets ? kBlock : 1];
    Run run = start_of(lane);
    run.y_step = y_.stride(last_);
    const int64_t index_start = run.index_start, y_start = run.y_start;
    const int64_t block = kOffsets ? kBlock : stop - start;
    for (int64_t i = start; i < stop; i += block) {
      run.count = std::min(block, stop - i);
      run.index_start = index_start + i;
      run.y_start = y_start + i * run.y_step;
      if constexpr (kOffsets) load(run, offsets);
      visit(run);
    }
  }

  template <bool kOffsets, class Visit>
  void across(int64_t lane, int64_t column, int64_t count, int64_t start, int64_t stop,
              Visit&& visit) const {
    [[maybe_unused]] int64_t offsets[kOffsets ? kBlock : 1];
    Run run = start_of(lane);
    run.count = count;
    run.x_step = x_.stride(last_);
    run.y_step = y_.stride(last_);
    run.index_start += column + start * index_.stride(axis_);
    run.x_start += column * run.x_step;
    run.y_start += column * run.y_step + start * y_.stride(axis_);
    for (int64_t i = start; i < stop; ++i) {
      if constexpr (kOffsets) load(run, offsets);
      visit(run);
      run.index_start += index_.stride(axis_);
      run.y_start += y_.stride(axis_);
    }
  }

  const Tensor& x_;
  const Tensor& index_;
  const Tensor& y_;
  const AxisAttributes& attributes_;
  int axis_, last_;
  int64_t length_, columns_, lanes_, column_block_, length_block_, lane_block_;
};

// Fails on the first index out of range, before anything is written.
void check_indices(const Tensor& index, const AxisAttributes& attributes, int64_t size) {
  parallel_ranges(index.elements(), kGrain, [&](int64_t begin, int64_t end) {
    if (index.dtype() == DType::int64 &&
        gather_kernels().inside({index.data<int64_t>() + begin, end - begin, size, 0, 0}))
      return;
    int64_t offsets[kBlock] = {};
    for (int64_t start = begin; start < end; start += kBlock)
      add_index_offsets(attributes.place, index, attributes.axis, size, 0, start,
                        std::min(kBlock, end - start), offsets);
  });
}

// --- kernels -------------------------------------------------------------------------------------

int size_class(int64_t item) { return std::countr_zero(static_cast<uint64_t>(item)); }

// Whether the kernels of gather.h serve: an int64 index, the other side contiguous.
bool has_kernel(const Tensor& index, const Tensor& other) {
  return index.dtype() == DType::int64 && other.stride(other.rank() - 1) == 1;
}

void gather_kernel(TensorSpan outputs, TensorSpan inputs, const AxisAttributes& attributes) {
  const Tensor& x = inputs[0];
  const LaneWalk walk(x, inputs[1], outputs[0], attributes, false);
  if (has_kernel(inputs[1], outputs[0])) {
    const int64_t item = itemsize(x.dtype());
    const auto kernel = gather_kernels().gather[size_class(item)];
    return walk.run_indices(
        [&, from = x.data<std::byte>(), to = outputs[0].data<std::byte>()](const Run& run) {
          if (!kernel(from + run.x_start * item, walk.index_run(run), to + run.y_start * item))
            walk.report(run);
        });
  }
  visit_size(itemsize(x.dtype()), [&](auto tag) {
    using U = typename decltype(tag)::type;
    walk.run([from = x.data<U>(), to = outputs[0].data<U>()](const Run& run) {
      for (int64_t j = 0; j < run.count; ++j)
        to[run.y_start + j * run.y_step] = from[run.x_start + j * run.x_step + run.offsets[j]];
    });
  });
}

// x is written in place; of equal indices in a lane the last one wins.
void scatter_kernel(TensorSpan outputs, TensorSpan inputs, const AxisAttributes& attributes) {
  const Tensor& x = outputs[0];
  check_indices(inputs[0], attributes, x.size(attributes.axis));
  const LaneWalk walk(x, inputs[0], inputs[1], attributes, true);
  if (has_kernel(inputs[0], inputs[1])) {
    const int64_t item = itemsize(x.dtype());
    const auto kernel = gather_kernels().scatter[size_class(item)];
    return walk.run_indices(
        [&, from = inputs[1].data<std::byte>(), to = x.data<std::byte>()](const Run& run) {
          if (!kernel(to + run.x_start * item, walk.index_run(run), from + run.y_start * item))
            walk.report(run);
        });
  }
  visit_size(itemsize(x.dtype()), [&](auto tag) {
    using U = typename decltype(tag)::type;
    walk.run([to = x.data<U>(), from = inputs[1].data<U>()](const Run& run) {
      for (int64_t j = 0; j < run.count; ++j)
        to[run.x_start + j * run.x_step + run.offsets[j]] = from[run.y_start + j * run.y_step];
    });
  });
}

// `sums` has the type in which values of the source's dtype are summed.
void scatter_add_kernel(TensorSpan outputs, TensorSpan inputs, const AxisAttributes& attributes) {
  const Tensor& sums = outputs[0];
  check_indices(inputs[0], attributes, sums.size(attributes.axis));
  const LaneWalk walk(sums, inputs[0], inputs[1], attributes, true);
  visit_dtype(inputs[1].dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Sum = Accumulator<T>;
    walk.run([to = sums.data<typename Sum::type>(), from = inputs[1].data<T>()](const Run& run) {
      for (int64_t j = 0; j < run.count; ++j) {
        auto& sum = to[run.x_start + j * run.x_step + run.offsets[j]];
        sum = Sum::add(sum, Sum::widen(from[run.y_start + j * run.y_step]));
      }
    });
  });
}

// The same along the last, contiguous axis of real floats, lane by lane. outputs: the result, which
// may be x; inputs: x, index, source. Where the index leaves lanes out the result starts as x.
void scatter_add_lanes_kernel(TensorSpan outputs, TensorSpan inputs,
                              const AxisAttributes& attributes) {
  const Tensor& out = outputs[0];
  const Tensor& x = inputs[0];
  // What is written in place must not change before every index is known to be good.
  const int64_t size = out.size(attributes.axis);
  if (out.address() == x.address()) check_indices(inputs[1], attributes, size);
  const int64_t item = itemsize(x.dtype());
  const auto kernel = gather_kernels().add_lane[static_cast<int>(x.dtype())];
  const LaneWalk walk(out, inputs[1], inputs[2], attributes, true);
  walk.run_indices([&, from = inputs[2].data<std::byte>(), lanes = x.data<std::byte>(),
                    to = out.data<std::byte>()](const Run& run) {
    Scratch sums(size * static_cast<int64_t>(sizeof(double)));
    if (!kernel(lanes + run.x_start * item, walk.index_run(run), from + run.y_start * item,
                reinterpret_cast<double*>(sums.data()), to + run.x_start * item))
      walk.report(run);
  });
}

enum class Merge { product, largest, smallest };

struct MergeAttributes {
  std::string_view place;
  int axis;
  Merge merge;
};

template <Merge merge, class T>
T merged(T a, T b) {
  if constexpr (std::is_same_v<T, bool> || !requires { a < b; })
    return a;
  else if constexpr (merge == Merge::product && std::is_integral_v<T>)
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else if constexpr (merge == Merge::product)
    return a * b;
  else
    return b != b || (merge == Merge::largest ? b > a : b < a) ? b : a;  // a NaN stays
}

template <Merge merge>
void merge_into(const Tensor& target, const Tensor& source, const LaneWalk& walk) {
  visit_dtype(source.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    // Integers keep their sign, which sums do without.
    using Value = std::conditional_t<std::is_integral_v<T>, T, typename Accumulator<T>::type>;
    walk.run([to = target.data<Value>(), from = source.data<T>()](const Run& run) {
      for (int64_t j = 0; j < run.count; ++j) {
        Value& value = to[run.x_start + j * run.x_step + run.offsets[j]];
        const T& source = from[run.y_start + j * run.y_step];
        if constexpr (std::is_integral_v<T>)
          value = merged<merge>(value, source);
        else
          value = merged<merge>(value, Accumulator<T>::widen(source));
      }
    });
  });
}

// The target has the type in which values of the source's dtype are summed.
void scatter_merge_kernel(TensorSpan outputs, TensorSpan inputs,
                          const MergeAttributes& attributes) {
  const Tensor& target = outputs[0];
  const AxisAttributes axis{attributes.place, attributes.axis};
  check_indices(inputs[0], axis, target.size(attributes.axis));
  const LaneWalk walk(target, inputs[0], inputs[1], axis, true);
  if (attributes.merge == Merge::product)
    merge_into<Merge::product>(target, inputs[1], walk);
  else if (attributes.merge == Merge::largest)
    merge_into<Merge::largest>(target, inputs[1], walk);
  else
    merge_into<Merge::smallest>(target, inputs[1], walk);
}

struct SurvivorAttributes {
  AxisAttributes axis;
  int64_t size;  // of the tensor that is scattered into, along the axis
};

// survives[i]: no later index element in the lane points to the same place.
void survivors_kernel(TensorSpan outputs, TensorSpan inputs, const SurvivorAttributes& attributes) {
  const Tensor& survives = outputs[0];
  const Tensor& index = inputs[0];
  // Scatter the elements' numbers; those that are still there survived.
  const Tensor numbers = empty(index.shape(), DType::int64);
  int64_t* number = numbers.data<int64_t>();
  for (int64_t i = 0; i < index.elements(); ++i) number[i] = i;
  Dims shape = index.shape();
  shape[attributes.axis.axis] = attributes.size;
  const Tensor places = empty(shape, DType::int64);
  const Tensor found = empty(index.shape(), DType::int64);
  const Tensor written[] = {index, numbers};
  const Tensor read[] = {places, index};
  scatter_kernel(TensorSpan(&places, 1), written, attributes.axis);
  gather_kernel(TensorSpan(&found, 1), read, attributes.axis);
  for (int64_t i = 0; i < index.elements(); ++i)
    survives.data<bool>()[i] = found.data<int64_t>()[i] == number[i];
}

const KernelSlot<AxisAttributes> gather_slot("gather", gather_kernel);
const KernelSlot<AxisAttributes> scatter_slot("scatter", scatter_kernel);
const KernelSlot<AxisAttributes> scatter_add_slot("scatter_add", scatter_add_kernel);
const KernelSlot<AxisAttributes> scatter_add_lanes_slot("scatter_add", scatter_add_lanes_kernel);
const KernelSlot<MergeAttributes> scatter_merge_slot("scatter_merge", scatter_merge_kernel);
const KernelSlot<SurvivorAttributes> survivors_slot("scatter", survivors_kernel);

// --- gather
// ---------------------------------------------------------------------------------------

// A 0-d tensor is indexed like one of shape (1,).
Tensor at_least_1d(const Tensor& x) { return x.rank() == 0 ? alias(x, {1}, {1}, x.offset()) : x; }

// The index may be smaller than x along the other axes, never larger.
void check_index_shape(std::string_view place, const Tensor& x, const Tensor& index, int axis) {
  require_integer_index(place, index);
  bool fits = index.rank() == x.rank();
  for (int i = 0; fits && i < x.rank(); ++i)
    fits = (x.rank() > 0 && i == axis) || index.size(i) <= x.size(i);
  if (!fits)
    fail(ErrorKind::shape, place, ": the index has shape ", index.shape(),
         " for a tensor of shape ", x.shape(), " and axis ", axis,
         ". Expected as many axes, and no larger size except along the axis. Fix: reshape or "
         "expand the index (take_along_axis broadcasts it).");
}

void gather_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const Tensor& index = call.tensor(2);
  const int axis = normalize_axis(call.integer(1), x.rank(), call.name(), true);
  check_index_shape(call.name(), x, index, axis);
  Tensor y = empty(index.shape(), x.dtype(), x.device());
  gather_slot(at_least_1d(y), {at_least_1d(x), at_least_1d(contiguous(index))},
              {call.name(), axis});
  call.output(std::move(y));
}

void gather_backward(BackwardCall& call) {
  if (!call.needs(0)) return;
  const Tensor& x = call.tensor(0);
  const Tensor gradient = zeros(x.shape(), x.dtype(), x.device());
  call.set(0, scatter_add_in_place(gradient, call[1], call.tensor(2), call.gradient()));
}

const Register gather_registered({.name = "gather",
                                  .forward = gather_forward,
                                  .backward = gather_backward,
                                  .saved_inputs = 0b100,
                                  .backward_records = true});

// --- scatter
// --------------------------------------------------------------------------------------

struct ScatterArguments {
  Tensor x, index, source;
  AxisAttributes attributes;
};

// The source as a tensor of the index's shape and x's dtype: a number or a 0-d tensor is spread, a
// larger tensor is cut to the index's shape.
Tensor scatter_source(Call& call, const Tensor& x, const Tensor& index) {
  if (call[3].is_number())
    return expand_view(scalar_tensor(call[3], x.dtype(), x.device()), index.shape());
  Tensor source = call.tensor(3);
  if (source.rank() == 0) return expand_view(cast(source, x.dtype()), index.shape());
  bool fits = source.rank() == index.rank();
  for (int i = 0; fits && i < index.rank(); ++i) fits = index.size(i) <= source.size(i);
  if (!fits)
    fail(ErrorKind::shape, call.name(), ": the source has shape ", source.shape(),
         " for an index of shape ", index.shape(),
         ". Expected at least the index's size in each axis, or a single number. Fix: expand or "
         "reshape the source.");
  for (int i = 0; i < index.rank(); ++i)
    if (index.size(i) < source.size(i)) source = narrow_view(source, i, 0, index.size(i));
  return cast(source, x.dtype());
}

ScatterArguments scatter_arguments(Call& call) {
  const Tensor& x = call.tensor(0);
  const Tensor& index = call.tensor(2);
  const int axis = normalize_axis(call.integer(1), x.rank(), call.name(), true);
  check_index_shape(call.name(), x, index, axis);
  const Tensor source = scatter_source(call, x, index);
  return {x, contiguous(index), source, {call.name(), axis}};
}

// The in-place target, or a copy of x.
Tensor scatter_target(const Call& call, ScatterArguments& arguments) {
  if (!call.destination) return clone(arguments.x);
  // What is read must not change while the target is written.
  const StorageRef& storage = call.destination.impl()->storage;
  if (arguments.source.impl()->storage == storage) arguments.source = clone(arguments.source);
  if (arguments.index.impl()->storage == storage) arguments.index = clone(arguments.index);
  return call.destination;
}

void scatter_forward(Call& call) {
  ScatterArguments arguments = scatter_arguments(call);
  Tensor y = scatter_target(call, arguments);
  scatter_slot(at_least_1d(y), {at_least_1d(arguments.index), at_least_1d(arguments.source)},
               arguments.attributes);
  call.output(std::move(y));
}

// The gradient of a source of which only the part under the index was read.
Tensor source_gradient(Tensor picked, const Tensor& source) {
  if (source.rank() == 0) return picked;
  for (int axis = 0; axis < picked.rank(); ++axis) {
    Dims rest = picked.shape();
    rest[axis] = source.size(axis) - picked.size(axis);
    if (rest[axis] == 0) continue;
    const Tensor unread = zeros(rest, picked.dtype(), picked.device());
    picked = concat_call(std::vector<Tensor>{picked, unread}, axis);
  }
  return picked;
}

Tensor surviving_elements(const Tensor& x, const Tensor& index, int axis) {
  Tensor survives = empty(index.shape(), DType::boolean, x.device());
  survivors_slot(at_least_1d(survives), {at_least_1d(contiguous(index))},
                 {{"scatter", axis}, x.rank() == 0 ? 1 : x.size(axis)});
  return survives;
}

void scatter_backward(BackwardCall& call) {
  const Tensor& gradient = call.gradient();
  const Tensor& index = call.tensor(2);
  if (call.needs(0)) call.set(0, scatter_call(gradient, call[1], index, 0.0));
  if (!call.needs(3)) return;
  const Tensor picked = gather_call(gradient, call[1], index);
  const int axis = normalize_axis(call[1].integer(), gradient.rank(), "scatter", true);
  // Values that a later equal index overwrote have no effect.
  const Tensor survives = surviving_elements(gradient, index, axis);
  call.set(3,
           source_gradient(where_call(survives, picked, zeros_like_call(picked)), call.tensor(3)));
}

const Register scatter_registered({.name = "scatter",
                                   .forward = scatter_forward,
                                   .backward = scatter_backward,
                                   .saved_inputs = 0b100,
                                   .backward_records = true});

// --- scatter_add
// ----------------------------------------------------------------------------------

// The dtype of Accumulator<T>::type.
DType accumulator_dtype(DType dtype) {
  if (is_complex(dtype)) return DType::complex128;
  return is_floating(dtype) ? DType::float64 : dtype;
}

bool adds_by_lanes(const ScatterArguments& arguments) {
  const int last = arguments.x.rank() - 1;
  return last >= 0 && arguments.attributes.axis == last && is_floating(arguments.x.dtype()) &&
         arguments.index.dtype() == DType::int64 && arguments.source.stride(last) == 1 &&
         arguments.index.elements() > 0;
}

Tensor scatter_add_by_lanes(const Call& call, ScatterArguments& arguments) {
  const Tensor& index = arguments.index;
  Tensor x = arguments.x, out;
  bool every_lane = true;
  for (int i = 0; i + 1 < x.rank(); ++i) every_lane &= index.size(i) == x.size(i);
  if (call.destination && call.destination.is_contiguous()) {
    x = out = scatter_target(call, arguments);
  } else if (every_lane) {
    x = contiguous(x);
    out = empty(x.shape(), x.dtype(), x.device());
  } else {
    x = out = clone(x);
  }
  scatter_add_lanes_slot(out, {x, index, arguments.source}, arguments.attributes);
  if (!call.destination || out.impl() == call.destination.impl()) return out;
  copy_into(call.destination, out);
  return call.destination;
}

void scatter_add_forward(Call& call) {
  ScatterArguments arguments = scatter_arguments(call);
  if (adds_by_lanes(arguments)) return call.output(scatter_add_by_lanes(call, arguments));
  const Tensor& x = arguments.x;
  const DType wide = accumulator_dtype(x.dtype());
  const Tensor target = wide == x.dtype() ? scatter_target(call, arguments) : Tensor();
  const Tensor sums = target ? target : contiguous(cast(x, wide));
  scatter_add_slot(at_least_1d(sums), {at_least_1d(arguments.index), at_least_1d(arguments.source)},
                   arguments.attributes);
  if (!target && call.destination) copy_into(call.destination, sums);
  call.output(target || call.destination ? sums : cast(sums, x.dtype()));
}

void scatter_add_backward(BackwardCall& call) {
  const Tensor& gradient = call.gradient();
  if (call.needs(0)) call.set(0, gradient);
  if (!call.needs(3)) return;
  call.set(3, source_gradient(gather_call(gradient, call[1], call.tensor(2)), call.tensor(3)));
}

const Register scatter_add_registered({.name = "scatter_add",
                                       .forward = scatter_add_forward,
                                       .backward = scatter_add_backward,
                                       .saved_inputs = 0b100,
                                       .backward_records = true});

// --- scatter_merge: (x, axis, index, source, "prod", "amax" or "amin"); the gradient is in Python
// ---

void scatter_merge_forward(Call& call) {
  const ScatterArguments arguments = scatter_arguments(call);
  const Tensor& x = arguments.x;
  if (is_complex(x.dtype()) || x.dtype() == DType::boolean)
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
         ". Expected real numbers. Fix: convert it first.");
  const std::string& text = call[4].text();
  const Merge merge = text == "prod"   ? Merge::product
                      : text == "amax" ? Merge::largest
                                       : Merge::smallest;
  const Tensor wide = cast(x, accumulator_dtype(x.dtype()));
  const Tensor target = wide.impl() == x.impl() ? clone(x) : contiguous(wide);
  scatter_merge_slot(at_least_1d(target),
                     {at_least_1d(arguments.index), at_least_1d(arguments.source)},
                     {call.name(), arguments.attributes.axis, merge});
  call.output(cast(target, x.dtype()));
}

const Register scatter_merge_registered({.name = "scatter_merge",
                                         .forward = scatter_merge_forward,
                                         .saved_inputs = 0b1101,
                                         .saves_outputs = true});

}  // namespace
}  // namespace samara
