// argmax, argmin, and max and min together with their positions.
#include "ops/reduce_index.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"

namespace samara {
namespace {

struct IndexAttributes {
  ReduceOp op;
  uint32_t axes;  // one axis, or all of a contiguous tensor
};

constexpr int64_t kTile = 1 << 15;

const IndexKernels& index_kernels() {
  static const IndexKernels& kernels =
      select_isa(baseline::index_kernels, v3::index_kernels, v4::index_kernels);
  return kernels;
}

// Whether the element at b beats the one at a, which comes before it.
template <class T>
bool beats(const T& a, const T& b, bool largest) {
  const auto number = [](const T& x) {
    if constexpr (std::is_same_v<T, Float16>)
      return float16_value(x.bits);
    else if constexpr (std::is_same_v<T, BFloat16>)
      return bfloat16_value(x.bits);
    else
      return x;
  };
  const auto first = number(a), second = number(b);
  if (first != first) return false;
  return second != second || (largest ? second > first : second < first);
}

// One long run, its parts on different threads.
int64_t find_long(const IndexKernel& kernel, const Tensor& x, AxisGroup run, bool largest) {
  const int64_t parts = (run.size - 1) / kTile + 1;
  Scratch scratch(parts * static_cast<int64_t>(sizeof(int64_t)));
  int64_t* place = reinterpret_cast<int64_t*>(scratch.data());
  const std::byte* base = x.data<std::byte>();
  parallel_ranges(run.size, kTile, [&](int64_t begin, int64_t end) {
    int64_t& found = place[begin / kTile];
    kernel.rows(base + begin * run.stride * itemsize(x.dtype()), {1, 0, end - begin, run.stride},
                &found, nullptr);
    found += begin;
  });
  int64_t best = place[0];
  visit_dtype(x.dtype(), [&]<class T>(TypeTag<T>) {
    if constexpr (!requires(T value) { value.imag(); }) {
      const T* values = x.data<T>();
      for (int64_t p = 1; p < parts; ++p)
        if (beats(values[best * run.stride], values[place[p] * run.stride], largest))
          best = place[p];
    }
  });
  return best;
}

// `values`, unless null, takes the elements themselves.
void find_positions(const Tensor& x, const ReduceLayout& layout, bool largest, int64_t* positions,
                    std::byte* values) {
  const IndexKernel& kernel =
      (largest ? index_kernels().largest : index_kernels().smallest)[static_cast<int>(x.dtype())];
  const int64_t size = itemsize(x.dtype());
  const std::byte* base = x.data<std::byte>();
  const AxisGroup single{1, 1};
  const AxisGroup run = layout.reduced_count ? layout.reduced[0] : single;
  const int outer_count = std::max(layout.kept_count - 1, 0);
  const AxisGroup inner = layout.kept_count ? layout.kept[outer_count] : single;
  const int64_t outer = layout.kept_elements() / std::max<int64_t>(inner.size, 1);
  const auto row = [&](int64_t o) {
    int64_t offset = 0, rest = o;
    for (int g = outer_count - 1; g >= 0; --g) {
      offset += rest % layout.kept[g].size * layout.kept[g].stride;
      rest /= layout.kept[g].size;
    }
    return offset;
  };
  if (outer * inner.size == 1 && run.size > 2 * kTile) {
    positions[0] = find_long(kernel, x, run, largest);
    if (values)
      std::memcpy(values, base + positions[0] * run.stride * size, static_cast<size_t>(size));
    return;
  }
  const bool by_columns = inner.stride == 1 && inner.size > 1 && run.stride != 1;
  const int64_t grain = std::max<int64_t>(1, kTile / std::max<int64_t>(run.size, 1));
  const int64_t step = by_columns ? std::max<int64_t>(grain, 256) : grain;
  const int64_t parts = (inner.size - 1) / step + 1;
  parallel_ranges(
      outer * parts, std::max<int64_t>(1, grain / inner.size), [&](int64_t first, int64_t last) {
        for (int64_t tile = first; tile < last; ++tile) {
          const int64_t o = tile / parts, begin = tile % parts * step;
          const int64_t count = std::min(step, inner.size - begin);
          const std::byte* source = base + (row(o) + begin * inner.stride) * size;
          const int64_t out = o * inner.size + begin;
          std::byte* value = values ? values + out * size : nullptr;
          if (by_columns)
            kernel.columns(source, {count, run.size, run.stride}, positions + out, value);
          else
            kernel.rows(source, {count, inner.stride, run.size, run.stride}, positions + out,
                        value);
        }
      });
}

// outputs: positions (int64), and the values themselves when asked for.
void index_cpu(TensorSpan outputs, TensorSpan inputs, const IndexAttributes& attributes) {
  const Tensor& x = inputs[0];
  const Tensor& positions = outputs[0];
  if (positions.elements() == 0) return;
  const ReduceLayout layout = reduce_layout(x.shape(), x.strides(), attributes.axes);
  find_positions(x, layout, attributes.op == ReduceOp::max, positions.data<int64_t>(),
                 outputs.size() > 1 ? outputs[1].data<std::byte>() : nullptr);
}
const KernelSlot<IndexAttributes> index_slot("argmax", index_cpu);

void require_real(const Call& call, const Tensor& x) {
  if (is_complex(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
         ". Expected real numbers, which have an order. Fix: take x.real or abs(x) first.");
}

void arg_forward(Call& call, ReduceOp op) {
  Tensor x = call.tensor(0);
  require_real(call, x);
  const uint32_t axes = axes_argument(call, 1, x.rank());
  const bool keepdims = call.values.size() > 2 && call.has(2) && call.boolean(2);
  const Dims shape = reduced_shape(x.shape(), axes, keepdims);
  require_elements(call, x, axes, shape);
  if (axes == kAllAxes) x = contiguous(x);
  const Tensor out = empty(shape, DType::int64, x.device());
  index_slot(TensorSpan(&out, 1), TensorSpan(&x, 1), {op, axes});
  call.output(out);
}
void argmax_forward(Call& call) { arg_forward(call, ReduceOp::max); }
void argmin_forward(Call& call) { arg_forward(call, ReduceOp::min); }
const Register argmax_registered({.name = "argmax", .forward = argmax_forward});
const Register argmin_registered({.name = "argmin", .forward = argmin_forward});

// --- values and positions: (x, axis, keepdims) ---------------------------------------------------

void pair_forward(Call& call, ReduceOp op) {
  const Tensor& x = call.tensor(0);
  require_real(call, x);
  const uint32_t axes = axes_argument(call, 1, x.rank());
  const Dims shape = reduced_shape(x.shape(), axes, call.boolean(2));
  require_elements(call, x, axes, shape);
  const Tensor outputs[] = {empty(shape, DType::int64, x.device()),
                            empty(shape, x.dtype(), x.device())};
  index_slot(TensorSpan(outputs, 2), TensorSpan(&x, 1), {op, axes});
  call.output(outputs[1]);
  call.output(outputs[0]);
}
void max_pair_forward(Call& call) { pair_forward(call, ReduceOp::max); }
void min_pair_forward(Call& call) { pair_forward(call, ReduceOp::min); }

// outputs: gradient of x, zeros; inputs: g, positions, all contiguous.
void place_cpu(TensorSpan outputs, TensorSpan inputs, const IndexAttributes& attributes) {
  const Tensor& out = outputs[0];
  const ReduceLayout layout = reduce_layout(out.shape(), out.strides(), attributes.axes);
  const int64_t stride = layout.reduced_count ? layout.reduced[0].stride : 1;
  const int64_t run = layout.reduced_count ? layout.reduced[0].size : 1;
  const int64_t* position = inputs[1].data<int64_t>();
  const auto place = [&]<class T>(TypeTag<T>) {
    const T* g = inputs[0].data<T>();
    T* target = out.data<T>();
    for (int64_t i = 0; i < inputs[0].elements(); ++i)
      target[i / stride * stride * run + i % stride + position[i] * stride] = g[i];
  };
  visit_dtype(out.dtype(), place);
}
const KernelSlot<IndexAttributes> place_slot("place", place_cpu);

void pair_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const Tensor out = zeros(x.shape(), call.gradient().dtype(), x.device());
  place_slot(out, {contiguous(call.gradient()), call.output(1)},
             {ReduceOp::max, axes_argument(call, 1, x.rank())});
  call.set(0, out);
}
const Register max_pair_registered({.name = "max_with_indices",
                                    .forward = max_pair_forward,
                                    .backward = pair_backward,
                                    .saves_outputs = true});
const Register min_pair_registered({.name = "min_with_indices",
                                    .forward = min_pair_forward,
                                    .backward = pair_backward,
                                    .saves_outputs = true});

}  // namespace
}  // namespace samara
