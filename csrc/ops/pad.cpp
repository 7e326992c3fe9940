// pad: larger or smaller by some elements at both ends of some axes.
//
// Every mode sends each place of the result to one place of the input, or to none, axis by axis;
// the gradient gathers for each place of the input what was sent there. Both work on the axes in
// their physical order, so that any dense layout is kept. Trailing axes without padding are one
// block that moves as a whole.
#include <cstring>
#include <vector>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/choice.h"
#include "ops/elements.h"

namespace samara {
namespace {

enum class PadMode { constant, reflect, replicate, circular };
constexpr std::string_view kPadModes[] = {"constant", "reflect", "replicate", "circular"};

// One axis, or several without padding merged. Negative padding removes elements.
struct PadAxis {
  int64_t in, out, left, right;
};

struct PadPlan {
  std::vector<PadAxis> axes;  // outermost first; the last one is padded
  int64_t block = 1;          // elements that move together
  PadMode mode = PadMode::constant;
  alignas(16) std::byte value[16] = {};

  int64_t rows(bool of_input) const {
    int64_t count = 1;
    for (size_t i = 0; i + 1 < axes.size(); ++i) count *= of_input ? axes[i].in : axes[i].out;
    return count;
  }
};

// The element of the input that place `target` of the result shows, or -1.
int64_t source_of(const PadAxis& axis, PadMode mode, int64_t target) {
  const int64_t i = target - axis.left;
  switch (mode) {
    case PadMode::constant:
      return i >= 0 && i < axis.in ? i : -1;
    case PadMode::reflect:
      return i < 0 ? -i : i < axis.in ? i : 2 * (axis.in - 1) - i;
    case PadMode::replicate:
      return std::clamp<int64_t>(i, 0, axis.in - 1);
    default:
      break;
  }
  // What is cropped does not come back at the other end.
  const int64_t first = std::max<int64_t>(-axis.left, 0);
  const int64_t period = axis.in - first - std::max<int64_t>(-axis.right, 0);
  const int64_t shifted = (i - first) % period;
  return first + (shifted < 0 ? shifted + period : shifted);
}

std::vector<int64_t> sources_of(const PadAxis& axis, PadMode mode) {
  std::vector<int64_t> sources(static_cast<size_t>(axis.out));
  for (int64_t i = 0; i < axis.out; ++i) sources[static_cast<size_t>(i)] = source_of(axis, mode, i);
  return sources;
}

// The places of the result that show element i of the input: places[starts[i]] and following.
struct Shown {
  std::vector<int64_t> starts, places;

  Shown(const PadAxis& axis, PadMode mode) : starts(static_cast<size_t>(axis.in) + 1, 0) {
    const std::vector<int64_t> sources = sources_of(axis, mode);
    for (int64_t source : sources)
      if (source >= 0) ++starts[static_cast<size_t>(source) + 1];
    for (size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
    places.resize(static_cast<size_t>(starts.back()));
    std::vector<int64_t> next(starts.begin(), starts.end() - 1);
    for (int64_t i = 0; i < axis.out; ++i) {
      const int64_t source = sources[static_cast<size_t>(i)];
      if (source >= 0) places[static_cast<size_t>(next[static_cast<size_t>(source)]++)] = i;
    }
  }
  std::span<const int64_t> of(int64_t i) const {
    const auto at = static_cast<size_t>(i);
    return {places.data() + starts[at], places.data() + starts[at + 1]};
  }
};

// The run of a row of the result that is a run of the input as well: [begin, end).
struct Middle {
  int64_t begin, end;
  explicit Middle(const PadAxis& axis)
      : begin(std::clamp<int64_t>(axis.left, 0, axis.out)),
        end(std::clamp<int64_t>(axis.left + axis.in, begin, axis.out)) {}
};

constexpr int64_t kTileElements = 1 << 15;

int64_t rows_per_tile(int64_t row) { return std::max<int64_t>(1, kTileElements / (row + 1)); }

// Calls body(row, indices, turned) with the position of each row in [begin, end) along the outer
// axes; `turned` where others than the last of these differ from the row before.
template <class Body>
void for_each_row(const PadPlan& plan, bool of_input, int64_t begin, int64_t end, Body&& body) {
  const int outer = static_cast<int>(plan.axes.size()) - 1;
  int64_t index[kMaxRank] = {}, size[kMaxRank] = {};
  int64_t rest = begin;
  for (int axis = outer - 1; axis >= 0; --axis) {
    const PadAxis& one = plan.axes[static_cast<size_t>(axis)];
    size[axis] = of_input ? one.in : one.out;
    index[axis] = rest % size[axis];
    rest /= size[axis];
  }
  bool turned = true;
  for (int64_t row = begin; row < end; ++row) {
    body(row, index, turned);
    turned = false;
    for (int axis = outer - 1; axis >= 0 && ++index[axis] == size[axis]; --axis) {
      index[axis] = 0;
      turned = true;
    }
  }
}

template <class T>
void copy_run(T* out, const T* x, int64_t n) {
  if (n > 0) std::memcpy(out, x, static_cast<size_t>(n) * sizeof(T));
}

// A row of elements that move one by one.
template <class T>
[[gnu::noinline]] void pad_line(const T* x, T* out, const int64_t* sources, Middle middle,
                                int64_t left, int64_t n, T value) {
  for (int64_t i = 0; i < middle.begin; ++i) out[i] = sources[i] < 0 ? value : x[sources[i]];
  copy_run(out + middle.begin, x + middle.begin - left, middle.end - middle.begin);
  for (int64_t i = middle.end; i < n; ++i) out[i] = sources[i] < 0 ? value : x[sources[i]];
}

// A row of blocks.
template <class T>
void pad_row(const T* x, T* out, const PadAxis& axis, const Middle& middle, const int64_t* sources,
             int64_t block, T value) {
  const auto edge = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (sources[i] < 0)
        std::fill_n(out + i * block, block, value);
      else
        copy_run(out + i * block, x + sources[i] * block, block);
    }
  };
  edge(0, middle.begin);
  if (middle.end > middle.begin)
    copy_run(out + middle.begin * block, x + (middle.begin - axis.left) * block,
             (middle.end - middle.begin) * block);
  edge(middle.end, axis.out);
}

template <class T>
void pad_rows(const T* x, T* out, const PadPlan& plan) {
  const size_t outer = plan.axes.size() - 1;
  const PadAxis& last = plan.axes.back();
  std::vector<std::vector<int64_t>> sources;
  for (const PadAxis& axis : plan.axes) sources.push_back(sources_of(axis, plan.mode));
  T value;
  std::memcpy(&value, plan.value, sizeof(T));
  const Middle middle(last);
  const int64_t row_size = last.out * plan.block;
  parallel_ranges(plan.rows(false), rows_per_tile(row_size), [&](int64_t begin, int64_t end) {
    int64_t before = 0;  // of the outer axes but the last: the row's place in the input, or -1
    for_each_row(plan, false, begin, end, [&](int64_t row, const int64_t* index, bool turned) {
      const auto descend = [&](int64_t place, size_t axis) {
        const int64_t source = sources[axis][static_cast<size_t>(index[axis])];
        return source < 0 || place < 0 ? -1 : place * plan.axes[axis].in + source;
      };
      if (turned) {
        before = 0;
        for (size_t axis = 0; axis + 1 < outer; ++axis) before = descend(before, axis);
      }
      const int64_t from = outer > 0 ? descend(before, outer - 1) : 0;
      T* target = out + row * row_size;
      if (from < 0)
        std::fill_n(target, row_size, value);
      else if (plan.block == 1)
        pad_line(x + from * last.in, target, sources.back().data(), middle, last.left, last.out,
                 value);
      else
        pad_row(x + from * last.in * plan.block, target, last, middle, sources.back().data(),
                plan.block, value);
    });
  });
}

// Makes whole what a row's elements have in g, into `sums`, in the type that sums are carried in.
template <class T>
void add_row(const T* g, typename Accumulator<T>::type* sums, const PadAxis& axis,
             const Shown& shown, int64_t block) {
  using A = Accumulator<T>;
  for (int64_t i = 0; i < axis.in; ++i)
    for (int64_t place : shown.of(i))
      for (int64_t c = 0; c < block; ++c)
        sums[i * block + c] = A::add(sums[i * block + c], A::widen(g[place * block + c]));
}

template <class T>
void gather_row(const T* g, T* out, const PadAxis& axis, const Middle& middle,
                const std::vector<int64_t>& uneven, const Shown& shown, int64_t block) {
  using A = Accumulator<T>;
  if (middle.end > middle.begin)
    copy_run(out + (middle.begin - axis.left) * block, g + middle.begin * block,
             (middle.end - middle.begin) * block);
  for (int64_t i : uneven)
    for (int64_t c = 0; c < block; ++c) {
      typename A::type sum{};
      for (int64_t place : shown.of(i)) sum = A::add(sum, A::widen(g[place * block + c]));
      out[i * block + c] = A::narrow(sum);
    }
}

template <class T>
void gather_rows(const T* g, T* out, const PadPlan& plan) {
  using A = Accumulator<T>;
  const size_t outer = plan.axes.size() - 1;
  const PadAxis& last = plan.axes.back();
  std::vector<Shown> shown;
  for (const PadAxis& axis : plan.axes) shown.emplace_back(axis, plan.mode);
  const Middle middle(last);
  std::vector<int64_t> uneven;  // elements of a row that are not just copied
  for (int64_t i = 0; i < last.in; ++i) {
    const int64_t place = i + last.left;
    if (shown.back().of(i).size() != 1 || place < middle.begin || place >= middle.end)
      uneven.push_back(i);
  }
  const int64_t row_size = last.in * plan.block, source_size = last.out * plan.block;
  parallel_ranges(plan.rows(true), rows_per_tile(row_size), [&](int64_t begin, int64_t end) {
    std::vector<typename A::type> sums;
    // Where the outer axes but the last are shown, and where all of them are: rows of g.
    std::vector<int64_t> before, next;
    const int64_t only = 0;
    for_each_row(plan, true, begin, end, [&](int64_t row, const int64_t* index, bool turned) {
      const auto descend = [&](size_t axis) {
        next.clear();
        for (int64_t start : before)
          for (int64_t place : shown[axis].of(index[axis]))
            next.push_back(start * plan.axes[axis].out + place);
        before.swap(next);
      };
      if (turned) {
        before.assign(1, 0);
        for (size_t axis = 0; axis + 1 < outer; ++axis) descend(axis);
      }
      const std::span<const int64_t> places =
          outer > 0 ? shown[outer - 1].of(index[outer - 1]) : std::span(&only, 1);
      const int64_t size = outer > 0 ? plan.axes[outer - 1].out : 1;
      T* target = out + row * row_size;
      if (before.size() == 1 && places.size() == 1)
        return gather_row(g + (before[0] * size + places[0]) * source_size, target, last, middle,
                          uneven, shown.back(), plan.block);
      sums.assign(static_cast<size_t>(row_size), typename A::type{});
      for (int64_t start : before)
        for (int64_t place : places)
          add_row(g + (start * size + place) * source_size, sums.data(), last, shown.back(),
                  plan.block);
      for (int64_t i = 0; i < row_size; ++i) target[i] = A::narrow(sums[static_cast<size_t>(i)]);
    });
  });
}

void pad_cpu(TensorSpan outputs, TensorSpan inputs, const PadPlan& plan) {
  const Tensor& out = outputs[0];
  if (out.elements() == 0) return;
  visit_size(itemsize(out.dtype()), [&]<class T>(TypeTag<T>) {
    pad_rows(inputs[0].elements() ? inputs[0].data<T>() : nullptr, out.data<T>(), plan);
  });
}
const KernelSlot<PadPlan> pad_slot("pad", pad_cpu);

void pad_adjoint_cpu(TensorSpan outputs, TensorSpan inputs, const PadPlan& plan) {
  const Tensor& out = outputs[0];
  if (out.elements() == 0) return;
  visit_dtype(out.dtype(), [&]<class T>(TypeTag<T>) {
    if constexpr (!std::is_integral_v<T>)
      gather_rows(inputs[0].elements() ? inputs[0].data<T>() : nullptr, out.data<T>(), plan);
  });
}
const KernelSlot<PadPlan> pad_adjoint_slot("pad_adjoint", pad_adjoint_cpu);

// --- arguments -----------------------------------------------------------------------------------

// Axes from the one with the largest stride to the one with the smallest; row-major for expanded
// and reversed tensors.
Dims memory_order(const Tensor& x) {
  Dims plain;
  for (int i = 0; i < x.rank(); ++i) plain.push_back(i);
  if (x.is_contiguous()) return plain;
  for (int i = 0; i < x.rank(); ++i)
    if (x.size(i) != 1 && x.stride(i) <= 0) return plain;
  Dims order = plain;
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return x.stride(static_cast<int>(a)) > x.stride(static_cast<int>(b));
  });
  return order;
}

Tensor empty_in(const Dims& shape, const Dims& order, DType dtype, Device device) {
  const Tensor flat = empty(shape, dtype, device);
  Dims strides = shape;
  int64_t step = 1;
  for (int i = order.size() - 1; i >= 0; --i) {
    const int axis = static_cast<int>(order[i]);
    strides[axis] = step;
    step *= std::max<int64_t>(shape[axis], 1);
  }
  return alias(flat, shape, strides, 0);
}

// x itself when it is dense in that order.
Tensor dense_in(const Tensor& x, const Dims& order) {
  bool dense = true;
  int64_t step = 1;
  for (int i = order.size() - 1; i >= 0; --i) {
    const int axis = static_cast<int>(order[i]);
    dense = dense && (x.size(axis) == 1 || x.stride(axis) == step);
    step *= x.size(axis);
  }
  if (dense) return x;
  const Tensor copy = empty_in(x.shape(), order, x.dtype(), x.device());
  copy_into(copy, x);
  return copy;
}

// `pad` names the last axis first, its left end before its right one.
PadPlan make_plan(const Dims& shape, const Dims& pad, PadMode mode, const Dims& order) {
  PadPlan plan;
  plan.mode = mode;
  bool trailing = true;
  for (int i = order.size() - 1; i >= 0; --i) {
    const int axis = static_cast<int>(order[i]), pair = shape.size() - 1 - axis;
    const int64_t left = 2 * pair < pad.size() ? pad[2 * pair] : 0;
    const int64_t right = 2 * pair < pad.size() ? pad[2 * pair + 1] : 0;
    const PadAxis one{shape[axis], shape[axis] + left + right, left, right};
    trailing = trailing && left == 0 && right == 0;
    const auto even = [](const PadAxis& a) { return a.left == 0 && a.right == 0; };
    if (trailing) {
      plan.block *= one.in;
    } else if (!plan.axes.empty() && even(one) && even(plan.axes.front())) {
      plan.axes.front().in *= one.in;
      plan.axes.front().out *= one.out;
    } else {
      plan.axes.insert(plan.axes.begin(), one);
    }
  }
  if (plan.axes.empty()) plan.axes.push_back({1, 1, 0, 0});
  return plan;
}

Dims padded_shape(const Dims& shape, const Dims& pad) {
  Dims out = shape;
  for (int i = 0; i < pad.size(); ++i) out[shape.size() - 1 - i / 2] += pad[i];
  return out;
}

// Modes other than constant pad the last one, two or three axes of signals, images and volumes.
void check_rank(std::string_view place, const Dims& shape, const Dims& pad, PadMode mode) {
  const int rank = shape.size(), spatial = pad.size() / 2;
  if (pad.size() % 2 != 0)
    fail(ErrorKind::argument, place, ": pad ", pad, " has ", pad.size(),
         " entries. Expected an even number: (left, right) of the last axis, then of the one "
         "before. Fix: give both ends of each axis.");
  if (spatial > rank)
    fail(ErrorKind::shape, place, ": pad ", pad, " has ", pad.size(),
         " entries for a tensor of shape ", shape, ". Expected at most ", 2 * rank,
         ", two per axis. Fix: shorten pad, or add axes to the tensor.");
  if (mode == PadMode::constant) return;
  const std::string_view name = kPadModes[static_cast<size_t>(mode)];
  if (spatial < 1 || spatial > 3 || rank < spatial + 1 || rank > spatial + 2)
    fail(ErrorKind::shape, place, ": mode '", name, "' with a pad of ", pad.size(),
         " entries was given a tensor of shape ", shape,
         ". Expected 2 entries for [C, W] or [N, C, W], 4 for [C, H, W] or [N, C, H, W], 6 for "
         "[C, D, H, W] or [N, C, D, H, W]. Fix: pass one of these, or use mode='constant'.");
}

void check_sizes(std::string_view place, const Dims& shape, const Dims& pad, PadMode mode) {
  for (int pair = 0; 2 * pair < pad.size(); ++pair) {
    const int axis = shape.size() - 1 - pair;
    const int64_t size = shape[axis], left = pad[2 * pair], right = pad[2 * pair + 1];
    int64_t out = 0;
    if (__builtin_add_overflow(left, right, &out) || __builtin_add_overflow(size, out, &out))
      fail(ErrorKind::shape, place, ": pad (", left, ", ", right, ") on axis ", axis,
           " overflows. Expected sizes that fit 63 bits. Fix: pass smaller ones.");
    const int64_t least = mode == PadMode::constant ? 0 : 1;
    if (out < least)
      fail(ErrorKind::shape, place, ": axis ", axis, " of shape ", shape, " has size ", size,
           ", padded by (", left, ", ", right, ") ", out, ". Expected a size of at least ", least,
           ". Fix: crop less.");
    if (mode == PadMode::constant) continue;
    if (size == 0)
      fail(ErrorKind::shape, place, ": axis ", axis, " of shape ", shape,
           " has no elements. Expected at least one to repeat. Fix: use mode='constant'.");
    const int64_t more = std::max(left, right);
    if (mode == PadMode::reflect && more >= size)
      fail(ErrorKind::shape, place, ": mode 'reflect' pads axis ", axis, " of size ", size, " by ",
           more, ". Expected less than its size. Fix: pad by at most ", size - 1,
           ", or use mode='replicate'.");
    const int64_t kept = size + std::min<int64_t>(left, 0) + std::min<int64_t>(right, 0);
    if (mode == PadMode::circular && more > kept)
      fail(ErrorKind::shape, place, ": mode 'circular' pads axis ", axis, " of size ", size, " by ",
           more, ". Expected at most ", kept,
           ", once around. Fix: pad by less, or pad several times.");
  }
}

// --- pad(x, pad, mode, value) and its adjoint (g, shape, pad, mode) ------------------------------
const NativeCall pad_call("pad");
const NativeCall pad_adjoint("pad_adjoint");

void pad_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const Dims& pad = call[1].integers();
  const auto mode = static_cast<PadMode>(choose(call.name(), "mode", call[2].text(), kPadModes));
  check_rank(call.name(), x.shape(), pad, mode);
  check_sizes(call.name(), x.shape(), pad, mode);
  const Value& value = call[3];
  if (mode != PadMode::constant && !value.is_none() && value.real() != 0.0)
    fail(ErrorKind::argument, call.name(), ": mode '", call[2].text(), "' was given the value ",
         value.real(), ". Expected value=None, as nothing is filled in. Fix: leave value out.");
  if (value.kind() == ValueKind::complex && !is_complex(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": a complex value was given for a ", name(x.dtype()),
         " tensor. Expected a real number. Fix: convert the tensor to a complex dtype.");
  const Dims order = memory_order(x);
  PadPlan plan = make_plan(x.shape(), pad, mode, order);
  store_number(plan.value, x.dtype(), value.is_none() ? Value(0) : value);
  const Tensor out = empty_in(padded_shape(x.shape(), pad), order, x.dtype(), x.device());
  pad_slot(out, {dense_in(x, order)}, plan);
  call.output(out);
}

void pad_backward(BackwardCall& call) {
  Dims pad = call[1].integers();
  if (call[2].text() != "constant") {
    call.set(0, pad_adjoint(call.gradient(), call.tensor(0).shape(), pad, call[2].text()));
    return;
  }
  for (int64_t& one : pad) one = -one;
  call.set(0, pad_call(call.gradient(), pad, std::string("constant"), Value()));
}

const Register pad_registered(
    {.name = "pad", .forward = pad_forward, .backward = pad_backward, .backward_records = true});

void pad_adjoint_forward(Call& call) {
  const Tensor& g = call.tensor(0);
  const Dims& shape = call[1].integers();
  const Dims order = memory_order(g);
  const auto mode = static_cast<PadMode>(choose(call.name(), "mode", call[3].text(), kPadModes));
  const PadPlan plan = make_plan(shape, call[2].integers(), mode, order);
  const Tensor out = empty_in(shape, order, g.dtype(), g.device());
  pad_adjoint_slot(out, {dense_in(g, order)}, plan);
  call.output(out);
}

void pad_adjoint_backward(BackwardCall& call) {
  call.set(0, pad_call(call.gradient(), call[2].integers(), call[3].text(), Value()));
}

const Register pad_adjoint_registered({.name = "pad_adjoint",
                                       .forward = pad_adjoint_forward,
                                       .backward = pad_adjoint_backward,
                                       .backward_records = true});

}  // namespace
}  // namespace samara
