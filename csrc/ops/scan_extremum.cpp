// Where the largest or smallest element so far stands, along one axis: cummax and cummin.
#include <algorithm>
#include <type_traits>

#include "core/kernel.h"
#include "cpu/threads.h"
#include "ops/basic.h"

namespace samara {
namespace {

struct ExtremumAttributes {
  int64_t outer, n, inner;  // x seen as [outer, n, inner]
  bool smallest;
};

constexpr int64_t kGrain = 1 << 14;

template <class T>
auto number(T x) {
  if constexpr (std::is_same_v<T, Float16>)
    return float16_value(x.bits);
  else if constexpr (std::is_same_v<T, BFloat16>)
    return bfloat16_value(x.bits);
  else
    return x;
}

// The last of equal elements counts, and the last NaN once there is one.
template <bool kSmallest, class T>
void follow(const T* x, int64_t* out, int64_t n, int64_t step) {
  auto best = number(x[0]);
  int64_t place = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto value = number(x[i * step]);
    const bool wins = value != value || (kSmallest ? value <= best : value >= best);
    if (wins) {
      best = value;
      place = i;
    }
    out[i * step] = place;
  }
}

void extremum_cpu(TensorSpan outputs, TensorSpan inputs, const ExtremumAttributes& shape) {
  if (outputs[0].elements() == 0) return;
  visit_dtype(inputs[0].dtype(), [&]<class T>(TypeTag<T>) {
    if constexpr (!requires(T x) { x.imag(); }) {
      const T* x = inputs[0].data<T>();
      int64_t* out = outputs[0].data<int64_t>();
      const int64_t grain = std::max<int64_t>(1, kGrain / shape.n);
      parallel_ranges(shape.outer * shape.inner, grain, [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; ++line) {
          const int64_t offset = line / shape.inner * shape.n * shape.inner + line % shape.inner;
          if (shape.smallest)
            follow<true>(x + offset, out + offset, shape.n, shape.inner);
          else
            follow<false>(x + offset, out + offset, shape.n, shape.inner);
        }
      });
    }
  });
}
const KernelSlot<ExtremumAttributes> extremum_slot("cumulative_extremum", extremum_cpu);

// (x, axis, smallest)
void extremum_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  if (is_complex(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
         ". Expected real numbers, which have an order. Fix: take x.abs() or x.real.");
  const int axis = normalize_axis(call.integer(1), x.rank(), call.name(), true);
  ExtremumAttributes shape{1, x.rank() ? x.size(axis) : 1, 1, call.boolean(2)};
  for (int i = 0; i < axis; ++i) shape.outer *= x.size(i);
  for (int i = axis + 1; i < x.rank(); ++i) shape.inner *= x.size(i);
  Tensor out = empty(x.shape(), DType::int64, x.device());
  extremum_slot(out, {contiguous(x)}, shape);
  call.output(std::move(out));
}
const Register extremum_registered({.name = "cumulative_extremum", .forward = extremum_forward});

}  // namespace
}  // namespace samara
