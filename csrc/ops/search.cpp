// searchsorted: where values stand in sorted rows.
#include <algorithm>
#include <type_traits>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/sort_key.h"

namespace samara {
namespace {

const NativeCall take_call("take");

struct SearchAttributes {
  bool right;
  int64_t length;  // of a sorted row
  int64_t values;  // to look up in each row; all when there is one row
};

// Whether an element of a row comes before the place of `value`, which is not NaN.
template <bool kRight, class T>
bool comes_before(T element, T value) {
  if constexpr (sizeof(T) == 2 && !std::is_integral_v<T>)
    return kRight ? sort_key(element) <= sort_key(value) : sort_key(element) < sort_key(value);
  else
    return kRight ? element <= value : element < value;
}

template <class T>
bool is_nan(T value) {
  if constexpr (std::is_integral_v<T>)
    return false;
  else if constexpr (std::is_floating_point_v<T>)
    return value != value;
  else
    return sort_key(value) == static_cast<decltype(sort_key(value))>(~decltype(sort_key(value)){0});
}

// Halves the range of several values at once, without a branch that depends on them.
template <class T, bool kRight, int kValues>
void search_values(const T* row, int64_t n, const T* values, int64_t* places) {
  int64_t begin[kValues] = {};
  for (int64_t length = n; length > 1;) {
    const int64_t half = length / 2;
// Unrolled, so that the places stay in registers.
#pragma GCC unroll 8
    for (int i = 0; i < kValues; ++i) {
      const int64_t next = begin[i] + half;
      begin[i] = comes_before<kRight>(row[next - 1], values[i]) ? next : begin[i];
    }
    length -= half;
  }
  for (int i = 0; i < kValues; ++i)
    places[i] = begin[i] + (n > 0 && comes_before<kRight>(row[begin[i]], values[i]));
}

template <class T, bool kRight>
void search_row(const T* row, int64_t n, const T* values, int64_t count, int64_t* places) {
  constexpr int block = 8;
  int64_t i = 0;
  for (; i + block <= count; i += block)
    search_values<T, kRight, block>(row, n, values + i, places + i);
  for (; i < count; ++i) search_values<T, kRight, 1>(row, n, values + i, places + i);
  if constexpr (!std::is_integral_v<T>) {
    bool any = false;
    for (i = 0; i < count; ++i) any |= is_nan(values[i]);
    if (!any) return;
    // NaN is larger than every number: before or after those of the row.
    const T* nans = std::partition_point(row, row + n, [](T element) { return !is_nan(element); });
    for (i = 0; i < count; ++i)
      if (is_nan(values[i])) places[i] = kRight ? n : nans - row;
  }
}

void search_kernel(TensorSpan outputs, TensorSpan inputs, const SearchAttributes& attributes) {
  const int64_t count = outputs[0].elements();
  int64_t* places = outputs[0].data<int64_t>();
  const int64_t n = attributes.length;
  visit_ordered(inputs[0].dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto search = attributes.right ? search_row<T, true> : search_row<T, false>;
    const T* rows = inputs[0].data<T>();
    const T* values = inputs[1].data<T>();
    parallel_ranges(count, 2048, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t row = begin / attributes.values;
        const int64_t stop = std::min(end, (row + 1) * attributes.values);
        search(rows + row * n, n, values + begin, stop - begin, places + begin);
        begin = stop;
      }
    });
  });
}

const KernelSlot<SearchAttributes> search_slot("searchsorted", search_kernel);

bool search_right(const Call& call, int position) {
  const std::string& side = call[position].text();
  if (side == "left" || side == "right") return side == "right";
  fail(ErrorKind::argument, call.name(), ": side is '", side,
       "'. Expected 'left' or 'right'. Fix: pass one of them.");
}

void require_same_rows(std::string_view place, const Tensor& rows, const Tensor& values) {
  bool fits = rows.rank() >= 1;
  if (rows.rank() > 1) {
    fits = rows.rank() == values.rank();
    for (int i = 0; fits && i + 1 < rows.rank(); ++i) fits = rows.size(i) == values.size(i);
  }
  if (!fits)
    fail(
        ErrorKind::shape, place, ": sorted values of shape ", rows.shape(), " and values of shape ",
        values.shape(),
        " to look up. Expected one sorted row, or as many rows as the values have. Fix: reshape or "
        "expand one of them.");
}

// (x1, x2, side, sorter) -> int64 places of x2's values in x1's rows.
void searchsorted_forward(Call& call) {
  const GradMode off(false);  // places have no gradient
  const DType dtype = result_dtype(call.values.subspan(0, 2), call.name());
  Tensor rows = call.tensor(0);
  const Tensor values =
      contiguous(call[1].is_number() ? scalar_tensor(call[1], dtype, rows.device())
                                     : cast(call.tensor(1), dtype));
  if (call.has(3)) rows = take_call(rows, call.tensor(3), int64_t{0});
  rows = contiguous(cast(rows, dtype));
  require_order(call.name(), rows);
  require_same_rows(call.name(), rows, values);
  const int64_t per_row = rows.rank() == 1 ? values.elements() : values.size(values.rank() - 1);
  Tensor places = empty(values.shape(), DType::int64, rows.device());
  search_slot(places, {rows, values},
              {search_right(call, 2), rows.size(rows.rank() - 1), std::max<int64_t>(per_row, 1)});
  call.output(std::move(places));
}

const Register searchsorted_registered({.name = "searchsorted", .forward = searchsorted_forward});

}  // namespace
}  // namespace samara
