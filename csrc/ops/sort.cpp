// sort, argsort, topk, searchsorted.
//
// Every element becomes an unsigned key of the same width whose order is the element's order, so
// one radix sort serves all dtypes. NaN counts as larger than every number; -0 and +0 are equal.
#include <algorithm>
#include <bit>
#include <type_traits>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/elements.h"
#include "ops/radix.h"

namespace samara {
namespace {

const NativeCall scatter_add_in_place("scatter_add", NativeCall::kInPlace);
const NativeCall take_call("take");

// --- keys
// -----------------------------------------------------------------------------------------

template <class Bits>
Bits float_key(Bits bits, Bits infinity) {
  constexpr Bits sign = Bits{1} << (sizeof(Bits) * 8 - 1);
  const Bits magnitude = bits & static_cast<Bits>(~sign);
  if (magnitude > infinity) return static_cast<Bits>(~Bits{0});
  if (magnitude == 0) return sign;
  return static_cast<Bits>(bits & sign ? ~bits : bits | sign);
}

template <class T>
auto sort_key(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return static_cast<uint8_t>(value);
  } else if constexpr (std::is_unsigned_v<T>) {
    return value;
  } else if constexpr (std::is_integral_v<T>) {
    using Bits = std::make_unsigned_t<T>;
    return static_cast<Bits>(static_cast<Bits>(value) ^ Bits{1} << (sizeof(T) * 8 - 1));
  } else if constexpr (std::is_same_v<T, float>) {
    return float_key<uint32_t>(std::bit_cast<uint32_t>(value), 0x7F800000u);
  } else if constexpr (std::is_same_v<T, double>) {
    return float_key<uint64_t>(std::bit_cast<uint64_t>(value), 0x7FF0000000000000u);
  } else if constexpr (std::is_same_v<T, Float16>) {
    return float_key<uint16_t>(value.bits, 0x7C00u);
  } else {
    return float_key<uint16_t>(value.bits, 0x7F80u);
  }
}

// Calls visitor(TypeTag<T>{}) for the dtypes that have an order.
template <class Visitor>
void visit_ordered(DType dtype, Visitor&& visitor) {
  visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_same_v<T, std::complex<float>> &&
                  !std::is_same_v<T, std::complex<double>>)
      visitor(tag);
  });
}

void require_order(std::string_view place, const Tensor& x) {
  if (!is_complex(x.dtype())) return;
  fail(ErrorKind::dtype, place, ": dtype ", name(x.dtype()),
       " has no order. Expected a real dtype. Fix: sort by x.abs() or by the real part.");
}

// A key and the place it came from, ordered by both. For keys up to 32 bits both fit in one word.
struct Entry {
  uint64_t key, place;
  bool operator<(const Entry& other) const {
    return key != other.key ? key < other.key : place < other.place;
  }
};
inline uint64_t radix_key(const Entry& entry) { return entry.key; }
inline uint64_t radix_key(uint64_t entry) { return entry; }
inline int64_t place_of(const Entry& entry) { return static_cast<int64_t>(entry.place); }
inline int64_t place_of(uint64_t entry) { return static_cast<int64_t>(entry & 0xFFFFFFFFu); }

template <class T>
struct Row {
  using Key = decltype(sort_key(T{}));
  static constexpr bool kPacked = sizeof(Key) <= 4;
  using Item = std::conditional_t<kPacked, uint64_t, Entry>;
  static constexpr int kFirstBit = kPacked ? 32 : 0;

  static Item item(T value, int64_t place, bool descending) {
    Key key = sort_key(value);
    if (descending) key = static_cast<Key>(~key);
    if constexpr (kPacked)
      return static_cast<uint64_t>(key) << 32 | static_cast<uint64_t>(place);
    else
      return {key, static_cast<uint64_t>(place)};
  }
  static void load(const T* x, int64_t n, bool descending, Item* items) {
    for (int64_t i = 0; i < n; ++i) items[i] = item(x[i], i, descending);
  }
  // Returns where the sorted items lie.
  static Item* sort(Item* items, Item* scratch, int64_t n) {
    if (n < kRadixMinimum) {
      std::sort(items, items + n);
      return items;
    }
    return radix_sort(items, scratch, n, kFirstBit, static_cast<int>(sizeof(Key)) * 8,
                      [](const Item& entry) { return radix_key(entry); });
  }
};

// Scratch for items of one row, on the stack when short.
template <class Item>
class Items {
 public:
  explicit Items(int64_t count) {
    if (count <= kFew) return;
    large_ = empty({count * static_cast<int64_t>(sizeof(Item) / 8)}, DType::int64);
    items_ = static_cast<Item*>(large_.address());
  }
  Item* data() { return items_; }

 private:
  static constexpr int64_t kFew = 128;
  Item few_[kFew];
  Item* items_ = few_;
  Tensor large_;
};

// --- sort and argsort
// -------------------------------------------------------------------------------

struct SortAttributes {
  bool descending;
  bool values;   // outputs[0]
  bool indices;  // the last output
};

void require_row_length(int64_t n) {
  if (n < int64_t{1} << 32) return;
  fail(ErrorKind::memory, "sort: a row of ", n,
       " elements. Expected fewer than 2^32. Fix: sort in parts.");
}

template <class T>
void sort_row(const T* x, int64_t n, bool descending, T* values, int64_t* indices) {
  using Line = Row<T>;
  Items<typename Line::Item> items(2 * n);
  Line::load(x, n, descending, items.data());
  const auto* sorted = Line::sort(items.data(), items.data() + n, n);
  if (values)
    for (int64_t i = 0; i < n; ++i) values[i] = x[place_of(sorted[i])];
  if (indices)
    for (int64_t i = 0; i < n; ++i) indices[i] = place_of(sorted[i]);
}

// Rows along the last axis; everything contiguous.
void sort_kernel(TensorSpan outputs, TensorSpan inputs, const SortAttributes& attributes) {
  const Tensor& x = inputs[0];
  if (x.elements() == 0) return;
  const int64_t n = x.size(x.rank() - 1);
  require_row_length(n);
  visit_ordered(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* values = attributes.values ? outputs[0].data<T>() : nullptr;
    int64_t* indices = attributes.indices ? outputs[outputs.size() - 1].data<int64_t>() : nullptr;
    parallel_ranges(
        x.elements() / n, std::max<int64_t>(4096 / n, 1), [&](int64_t begin, int64_t end) {
          for (int64_t row = begin; row < end; ++row)
            sort_row<T>(x.data<T>() + row * n, n, attributes.descending,
                        values ? values + row * n : nullptr, indices ? indices + row * n : nullptr);
        });
  });
}

const KernelSlot<SortAttributes> sort_slot("sort", sort_kernel);

// The axis as the last one, contiguous; a 0-d tensor as one of shape (1,).
Tensor axis_last(const Tensor& x, int axis) {
  if (x.rank() == 0) return alias(x, {1}, {1}, x.offset());
  if (axis == x.rank() - 1) return contiguous(x);
  Dims order;
  for (int i = 0; i < x.rank(); ++i)
    if (i != axis) order.push_back(i);
  order.push_back(axis);
  return contiguous(permute_view(x, order));
}

// Undoes axis_last for a result of `rank` axes.
Tensor axis_back(const Tensor& y, int axis, int rank) {
  if (rank == 0) return alias(y, {}, {}, y.offset());
  if (axis == rank - 1) return y;
  Dims order;
  for (int i = 0; i < rank - 1; ++i) order.push_back(i);
  order.insert(axis, rank - 1);
  return contiguous(permute_view(y, order));
}

struct Sorted {
  Tensor values, indices;
};

// (x, axis, descending, stable)
Sorted sorted(const Call& call, bool values, bool indices) {
  const Tensor& x = call.tensor(0);
  require_order(call.name(), x);
  const int axis = normalize_axis(call.integer(1), x.rank(), call.name(), true);
  const Tensor rows = axis_last(x, axis);
  Tensor outputs[2];
  size_t count = 0;
  if (values) outputs[count++] = empty_like(rows);
  if (indices) outputs[count++] = empty(rows.shape(), DType::int64, x.device());
  sort_slot({outputs, count}, TensorSpan(&rows, 1), {call.boolean(2), values, indices});
  Sorted result;
  if (values) result.values = axis_back(outputs[0], axis, x.rank());
  if (indices) result.indices = axis_back(outputs[count - 1], axis, x.rank());
  return result;
}

void sort_forward(Call& call) {
  Sorted result = sorted(call, true, call.records);
  if (call.records) call.saved.push_back(result.indices);
  call.output(std::move(result.values));
}

// The values are x at the saved indices.
void sort_backward(BackwardCall& call) {
  if (!call.needs(0) || !call.gradient()) return;
  const Tensor& x = call.tensor(0);
  const Tensor gradient = zeros(x.shape(), x.dtype(), x.device());
  call.set(0, scatter_add_in_place(gradient, call[1], call.saved(0), call.gradient()));
}

void sort_pairs_forward(Call& call) {
  Sorted result = sorted(call, true, true);
  if (call.records) call.saved.push_back(result.indices);
  call.output(std::move(result.values));
  call.output(std::move(result.indices));
}

void argsort_forward(Call& call) { call.output(sorted(call, false, true).indices); }

const Register sort_registered(
    {.name = "sort", .forward = sort_forward, .backward = sort_backward, .backward_records = true});
const Register sort_pairs_registered({.name = "sort_with_indices",
                                      .forward = sort_pairs_forward,
                                      .backward = sort_backward,
                                      .backward_records = true});
const Register argsort_registered({.name = "argsort", .forward = argsort_forward});

// --- topk
// -----------------------------------------------------------------------------------------

struct TopkAttributes {
  int64_t k;
  bool largest, sorted;
};

// Room for the candidates of select_few: more than k, so that not each one causes a selection.
int64_t candidate_room(int64_t k) { return std::max<int64_t>(2 * k, 8); }

constexpr int64_t kStride = 16;

// Whether one of the next kStride elements may come before `limit`: a quick look, which for
// floating point compares the values themselves so that it vectorises.
template <class T>
bool any_before(const T* x, T limit, bool largest) {
  int any = 0;
  if constexpr (std::is_floating_point_v<T>) {
    if (largest) {
      for (int64_t i = 0; i < kStride; ++i) any |= !(x[i] <= limit);
    } else {
      for (int64_t i = 0; i < kStride; ++i) any |= !(x[i] >= limit);
    }
  } else {
    const auto key = sort_key(limit);
    for (int64_t i = 0; i < kStride; ++i)
      any |= largest ? sort_key(x[i]) > key : sort_key(x[i]) < key;
  }
  return any != 0;
}

// Leaves the k first items in order, themselves unordered, among those at the start of a buffer of
// candidate_room(k), and returns how many it holds.
template <class T>
int64_t select_few(const T* x, int64_t n, int64_t k, bool largest, typename Row<T>::Item* buffer) {
  using Line = Row<T>;
  using Key = typename Line::Key;
  const int64_t capacity = candidate_room(k);
  const Key flip = largest ? static_cast<Key>(~Key{0}) : Key{0};
  int64_t held = 0, i = 0;
  const auto keep = [&](int64_t place) {
    buffer[held++] = Line::item(x[place], place, largest);
    return held == capacity;
  };
  while (i < n && !keep(i)) ++i;
  while (i < n) {
    std::nth_element(buffer, buffer + k - 1, buffer + held);
    held = k;
    // From here on only a smaller key gets in: an equal one comes later than those held.
    const T limit = x[place_of(buffer[k - 1])];
    const Key limit_key = static_cast<Key>(sort_key(limit) ^ flip);
    ++i;
    for (bool full = false; i < n && !full;) {
      const int64_t stop = std::min(i + kStride, n);
      if (stop == i + kStride && !any_before(x + i, limit, largest)) {
        i = stop;
        continue;
      }
      for (; i < stop && !full; ++i)
        full = static_cast<Key>(sort_key(x[i]) ^ flip) < limit_key && keep(i);
      if (full) --i;
    }
  }
  return held;
}

template <class T>
void topk_row(const T* x, int64_t n, const TopkAttributes& attributes, T* values,
              int64_t* indices) {
  using Line = Row<T>;
  const int64_t k = attributes.k;
  const bool few = k <= n / 8;
  Items<typename Line::Item> items(few ? candidate_room(k) : n);
  int64_t held = n;
  if (few)
    held = select_few<T>(x, n, k, attributes.largest, items.data());
  else
    Line::load(x, n, attributes.largest, items.data());
  if (held > k) std::nth_element(items.data(), items.data() + k - 1, items.data() + held);
  if (attributes.sorted) std::sort(items.data(), items.data() + k);
  for (int64_t i = 0; i < k; ++i) {
    const int64_t place = place_of(items.data()[i]);
    values[i] = x[place];
    indices[i] = place;
  }
}

void topk_kernel(TensorSpan outputs, TensorSpan inputs, const TopkAttributes& attributes) {
  const Tensor& x = inputs[0];
  if (x.elements() == 0 || attributes.k == 0) return;
  const int64_t n = x.size(x.rank() - 1);
  const int64_t k = attributes.k;
  require_row_length(n);
  visit_ordered(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_ranges(
        x.elements() / n, std::max<int64_t>(8192 / n, 1), [&](int64_t begin, int64_t end) {
          for (int64_t row = begin; row < end; ++row)
            topk_row<T>(x.data<T>() + row * n, n, attributes, outputs[0].data<T>() + row * k,
                        outputs[1].data<int64_t>() + row * k);
        });
  });
}

const KernelSlot<TopkAttributes> topk_slot("topk", topk_kernel);

// (x, k, axis, largest, sorted) -> values, indices; of equal elements the first ones.
void topk_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  require_order(call.name(), x);
  const int axis = normalize_axis(call.integer(2), x.rank(), call.name(), true);
  const int64_t k = call.integer(1);
  const int64_t n = x.rank() == 0 ? 1 : x.size(axis);
  if (k < 0 || k > n)
    fail(ErrorKind::argument, call.name(), ": k is ", k, " for an axis of size ", n,
         ". Expected 0 to ", n, ". Fix: choose a k in that range.");
  if (x.rank() == 0 && k == 0)
    fail(ErrorKind::argument, call.name(),
         ": k is 0 for a 0-d tensor. Expected 1. Fix: reshape it to one axis.");
  const Tensor rows = axis_last(x, axis);
  Dims shape = rows.shape();
  shape.back() = k;
  const Tensor outputs[] = {empty(shape, x.dtype(), x.device()),
                            empty(shape, DType::int64, x.device())};
  topk_slot(outputs, TensorSpan(&rows, 1), {k, call.boolean(3), call.boolean(4)});
  Tensor indices = axis_back(outputs[1], axis, x.rank());
  if (call.records) call.saved.push_back(indices);
  call.output(axis_back(outputs[0], axis, x.rank()));
  call.output(std::move(indices));
}

void topk_backward(BackwardCall& call) {
  if (!call.needs(0) || !call.gradient()) return;
  const Tensor& x = call.tensor(0);
  const Tensor gradient = zeros(x.shape(), x.dtype(), x.device());
  call.set(0, scatter_add_in_place(gradient, call[2], call.saved(0), call.gradient()));
}

const Register topk_registered(
    {.name = "topk", .forward = topk_forward, .backward = topk_backward, .backward_records = true});

// --- searchsorted
// ---------------------------------------------------------------------------------

struct SearchAttributes {
  bool right;
  int64_t length;  // of a sorted row
  int64_t values;  // to look up in each row; all when there is one row
};

// The first place whose element is not less than (right: is greater than) the value.
template <class T>
int64_t insertion_place(const T* row, int64_t n, T value, bool right) {
  const auto key = sort_key(value);
  int64_t begin = 0;
  for (int64_t length = n; length > 0;) {
    const int64_t half = length / 2;
    const auto middle = sort_key(row[begin + half]);
    if (right ? middle <= key : middle < key) {
      begin += half + 1;
      length -= half + 1;
    } else {
      length = half;
    }
  }
  return begin;
}

void search_kernel(TensorSpan outputs, TensorSpan inputs, const SearchAttributes& attributes) {
  const int64_t count = outputs[0].elements();
  int64_t* places = outputs[0].data<int64_t>();
  visit_ordered(inputs[0].dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* rows = inputs[0].data<T>();
    const T* values = inputs[1].data<T>();
    parallel_ranges(count, 2048, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* row = rows + i / attributes.values * attributes.length;
        places[i] = insertion_place(row, attributes.length, values[i], attributes.right);
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
