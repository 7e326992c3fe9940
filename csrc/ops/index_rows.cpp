#include "ops/index_rows.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/inline_list.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/elements.h"
#include "ops/radix.h"

namespace samara {
namespace {

constexpr int64_t kBlock = 1024;   // indices turned into offsets at a time
constexpr int64_t kGrain = 32768;  // elements per tile

// --- index values ------------------------------------------------------------------------------

[[noreturn, gnu::cold]] void out_of_range(std::string_view place, const std::string& index,
                                          int axis, int64_t size) {
  if (size == 0)
    fail(ErrorKind::index, place, ": index ", index, " is out of range for axis ", axis,
         " of size 0. Expected no index, the axis is empty. Fix: check the tensor's shape.");
  fail(ErrorKind::index, place, ": index ", index, " is out of range for axis ", axis, " of size ",
       size, ". Expected -", size, " to ", size - 1, ". Fix: correct the index or the axis.");
}

// Negative values count from the end; too large unsigned ones stay out of range.
template <class I>
int64_t wrapped(I value, int64_t size) {
  if constexpr (std::is_unsigned_v<I>) {
    return static_cast<uint64_t>(value) < static_cast<uint64_t>(size) ? static_cast<int64_t>(value)
                                                                      : -1;
  } else {
    return static_cast<int64_t>(value) + (value < 0 ? size : 0);
  }
}

template <class I>
void add_offsets_of(std::string_view place, const I* index, int axis, int64_t size, int64_t stride,
                    int64_t count, int64_t* offsets) {
  bool outside = false;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t value = wrapped(index[i], size);
    outside |= static_cast<uint64_t>(value) >= static_cast<uint64_t>(size);
    // Modulo 2^64: one that is out of range may be of any size, and is reported below.
    offsets[i] = static_cast<int64_t>(static_cast<uint64_t>(offsets[i]) +
                                      static_cast<uint64_t>(value) * static_cast<uint64_t>(stride));
  }
  if (!outside) return;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t value = wrapped(index[i], size);
    if (static_cast<uint64_t>(value) >= static_cast<uint64_t>(size))
      out_of_range(place, std::to_string(index[i]), axis, size);
  }
}

// Offsets in elements of x for index positions [begin, begin + count).
void load_offsets(const Tensor& x, TensorSpan indices, const RowIndexing& indexing, int64_t begin,
                  int64_t count, int64_t* offsets) {
  std::fill(offsets, offsets + count, 0);
  for (size_t j = 0; j < indices.size(); ++j) {
    const int axis = static_cast<int>(indexing.axes[static_cast<int>(j)]);
    const Tensor& index = indices[j];
    if (index.elements() != 1 || count == 1) {
      add_index_offsets(indexing.place, index, axis, x.size(axis), x.stride(axis),
                        index.elements() == 1 ? 0 : begin, count, offsets);
      continue;
    }
    int64_t offset = 0;
    add_index_offsets(indexing.place, index, axis, x.size(axis), x.stride(axis), 0, 1, &offset);
    for (int64_t i = 0; i < count; ++i) offsets[i] += offset;
  }
}

// --- the axes that are not indexed
// ----------------------------------------------------------------

struct Loop {
  int64_t size, x, picked;  // strides in elements
};

// Nested loops, neighbours merged where the strides of both sides allow.
struct Loops {
  int count = 0;
  int64_t elements = 1;
  Loop loops[kMaxRank];

  void add(int64_t size, int64_t x, int64_t picked) {
    elements *= size;
    if (size == 1) return;
    if (count > 0) {
      Loop& last = loops[count - 1];
      if (last.x == x * size && last.picked == picked * size) {
        last = {last.size * size, x, picked};
        return;
      }
    }
    loops[count++] = {size, x, picked};
  }

  // visit(x offset, picked offset) for the flat positions [begin, end).
  template <class Visit>
  void walk(int64_t begin, int64_t end, Visit&& visit) const {
    int64_t place[kMaxRank];
    int64_t x = 0, picked = 0, rest = begin;
    for (int i = count - 1; i >= 0; --i) {
      place[i] = rest % loops[i].size;
      rest /= loops[i].size;
      x += place[i] * loops[i].x;
      picked += place[i] * loops[i].picked;
    }
    for (int64_t flat = begin;;) {
      visit(x, picked);
      if (++flat >= end) return;
      int i = count - 1;
      for (; ++place[i] == loops[i].size; --i) {
        x -= (loops[i].size - 1) * loops[i].x;
        picked -= (loops[i].size - 1) * loops[i].picked;
        place[i] = 0;
      }
      x += loops[i].x;
      picked += loops[i].picked;
    }
  }
};

struct Geometry {
  Loops outer, inner;  // axes before and after the index axes
  int64_t count = 1;   // index positions
  int64_t step = 0;    // from one to the next, in `picked`
  int64_t row = 0;     // length of a contiguous inner part, 0 when there is none

  Geometry(const Tensor& x, const Tensor& picked, const RowIndexing& indexing) {
    const int first = indexing.position;
    const int last = first + indexing.index_rank;
    uint32_t indexed = 0;
    for (int64_t axis : indexing.axes) indexed |= 1u << axis;
    int axis = 0;
    for (int i = 0; i < picked.rank(); ++i) {
      if (i >= first && i < last) {
        count *= picked.size(i);
        if (picked.size(i) != 1) step = picked.stride(i);  // the axes merge: the innermost counts
        continue;
      }
      while (indexed >> axis & 1u) ++axis;
      (i < first ? outer : inner).add(picked.size(i), x.stride(axis), picked.stride(i));
      ++axis;
    }
    if (inner.count == 1 && inner.loops[0].x == 1 && inner.loops[0].picked == 1)
      row = inner.loops[0].size;
  }
};

bool merges(const Tensor& x, int first, int last) {
  int64_t expected = 0;
  bool started = false;
  for (int i = last - 1; i >= first; --i) {
    if (x.size(i) == 1) continue;
    if (started && x.stride(i) != expected) return false;
    expected = x.stride(i) * x.size(i);
    started = true;
  }
  return true;
}

// --- kernels -------------------------------------------------------------------------------------

template <class U>
void pick_tile(const Geometry& g, const U* x, U* picked, const int64_t* offsets, int64_t begin,
               int64_t count, int64_t outer_begin, int64_t outer_end) {
  g.outer.walk(outer_begin, outer_end, [&](int64_t x_start, int64_t picked_start) {
    const U* from = x + x_start;
    U* to = picked + picked_start + begin * g.step;
    if (g.inner.elements == 1) {
      for (int64_t i = 0; i < count; ++i) to[i * g.step] = from[offsets[i]];
    } else if (g.row > 0) {
      const size_t bytes = static_cast<size_t>(g.row) * sizeof(U);
      for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * g.step, from + offsets[i], bytes);
    } else {
      for (int64_t i = 0; i < count; ++i)
        g.inner.walk(0, g.inner.elements, [&](int64_t x_inner, int64_t picked_inner) {
          to[i * g.step + picked_inner] = from[offsets[i] + x_inner];
        });
    }
  });
}

void pick_kernel(TensorSpan outputs, TensorSpan inputs, const RowIndexing& indexing) {
  const Tensor& picked = outputs[0];
  const Tensor& x = inputs[0];
  const TensorSpan indices = inputs.subspan(1);
  const Geometry g(x, picked, indexing);
  const int64_t per_index = std::max<int64_t>(g.inner.elements, 1);
  const int64_t block = std::clamp<int64_t>(kGrain / per_index, 1, kBlock);
  const int64_t blocks = (g.count + block - 1) / block;
  const int64_t outer_block = std::max<int64_t>(kGrain / (per_index * block), 1);
  const int64_t outer_blocks =
      std::max<int64_t>((g.outer.elements + outer_block - 1) / outer_block, 1);
  visit_size(itemsize(x.dtype()), [&](auto tag) {
    using U = typename decltype(tag)::type;
    parallel_tiles(blocks * outer_blocks, [&](int64_t tile) {
      int64_t offsets[kBlock];
      const int64_t begin = tile % blocks * block;
      const int64_t count = std::min(block, g.count - begin);
      load_offsets(x, indices, indexing, begin, count, offsets);
      if (picked.elements() == 0) return;
      const int64_t outer_begin = tile / blocks * outer_block;
      pick_tile<U>(g, x.data<U>(), picked.data<U>(), offsets, begin, count, outer_begin,
                   std::min(outer_begin + outer_block, g.outer.elements));
    });
  });
}

// All offsets at once, for kernels that must not write before every index is known to be good.
class Offsets {
 public:
  Offsets(const Tensor& x, TensorSpan indices, const RowIndexing& indexing, int64_t count) {
    if (count > kFew) large_ = empty({count}, DType::int64);
    values_ = count > kFew ? large_.data<int64_t>() : few_;
    parallel_ranges(count, kGrain, [&](int64_t begin, int64_t end) {
      load_offsets(x, indices, indexing, begin, end - begin, values_ + begin);
    });
  }
  const int64_t* data() const { return values_; }

 private:
  static constexpr int64_t kFew = 128;
  int64_t few_[kFew];
  int64_t* values_;
  Tensor large_;
};

template <class U>
void put_outer(const Geometry& g, U* x, const U* picked, const int64_t* offsets,
               int64_t outer_begin, int64_t outer_end, int64_t row_begin, int64_t row_end) {
  g.outer.walk(outer_begin, outer_end, [&](int64_t x_start, int64_t picked_start) {
    U* to = x + x_start;
    const U* from = picked + picked_start;
    if (g.inner.elements == 1) {
      for (int64_t i = 0; i < g.count; ++i) to[offsets[i]] = from[i * g.step];
    } else if (g.row > 0) {
      const size_t bytes = static_cast<size_t>(row_end - row_begin) * sizeof(U);
      for (int64_t i = 0; i < g.count; ++i)
        std::memcpy(to + offsets[i] + row_begin, from + i * g.step + row_begin, bytes);
    } else {
      for (int64_t i = 0; i < g.count; ++i)
        g.inner.walk(0, g.inner.elements, [&](int64_t x_inner, int64_t picked_inner) {
          to[offsets[i] + x_inner] = from[i * g.step + picked_inner];
        });
    }
  });
}

// The indices run in order within a tile, so that the last of equal ones wins.
void put_kernel(TensorSpan outputs, TensorSpan inputs, const RowIndexing& indexing) {
  const Tensor& x = outputs[0];
  const Tensor& picked = inputs[0];
  const Geometry g(x, picked, indexing);
  const Offsets offsets(x, inputs.subspan(1), indexing, g.count);
  if (picked.elements() == 0) return;
  const int64_t columns = std::max<int64_t>(g.row, 1);
  const int64_t column_block =
      g.row > 0 ? std::min(columns, std::max<int64_t>(kGrain / g.count, 256)) : 1;
  const int64_t column_blocks = (columns + column_block - 1) / column_block;
  const int64_t per_outer = g.count * (g.row > 0 ? column_block : g.inner.elements);
  const int64_t outer_block = std::max<int64_t>(kGrain / per_outer, 1);
  const int64_t outer_blocks = (g.outer.elements + outer_block - 1) / outer_block;
  visit_size(itemsize(x.dtype()), [&](auto tag) {
    using U = typename decltype(tag)::type;
    parallel_tiles(outer_blocks * column_blocks, [&](int64_t tile) {
      const int64_t outer_begin = tile / column_blocks * outer_block;
      const int64_t column_begin = tile % column_blocks * column_block;
      put_outer<U>(g, x.data<U>(), picked.data<U>(), offsets.data(), outer_begin,
                   std::min(outer_begin + outer_block, g.outer.elements), column_begin,
                   std::min(column_begin + column_block, columns));
    });
  });
}

// The index positions sorted by the place they point to, equal places in order of position.
class Order {
 public:
  Order(const int64_t* offsets, int64_t count) : count_(count) {
    const auto [low, high] = std::minmax_element(offsets, offsets + count);
    low_ = *low;
    while (count >> position_bits_ > 0) ++position_bits_;
    int key_bits = 0;
    while (static_cast<uint64_t>(*high - low_) >> key_bits > 0) ++key_bits;
    if (key_bits + position_bits_ > 64)
      fail(ErrorKind::memory, "index: ", count, " indices into a span of ", *high - low_,
           " elements are more than one call can sum. Expected fewer. Fix: work in parts.");
    if (count > kFew) {
      large_ = empty({2 * count}, DType::int64);
      items_ = large_.data<uint64_t>();
    }
    for (int64_t i = 0; i < count; ++i)
      items_[i] =
          static_cast<uint64_t>(offsets[i] - low_) << position_bits_ | static_cast<uint64_t>(i);
    if (count < kRadixMinimum) {
      std::sort(items_, items_ + count);
    } else {
      items_ = radix_sort(items_, items_ + count, count, position_bits_, key_bits,
                          [](uint64_t item) { return item; });
    }
  }
  int64_t offset(int64_t i) const {
    return static_cast<int64_t>(items_[i] >> position_bits_) + low_;
  }
  int64_t position(int64_t i) const {
    return static_cast<int64_t>(items_[i] & ((uint64_t{1} << position_bits_) - 1));
  }
  bool starts(int64_t i) const { return i == 0 || offset(i) != offset(i - 1); }
  int64_t end_of_group(int64_t i) const {
    int64_t end = i + 1;
    while (end < count_ && !starts(end)) ++end;
    return end;
  }

 private:
  static constexpr int64_t kFew = 128;
  int64_t count_;
  int64_t low_ = 0;
  int position_bits_ = 0;
  uint64_t few_[kFew];
  uint64_t* items_ = few_;
  Tensor large_;
};

// The count is a constant for nearly all of a row, so that the loops vectorise.
template <class T, int64_t kColumns>
void add_columns(T* __restrict to, const T* __restrict from, int64_t step, const Order& order,
                 int64_t begin, int64_t end) {
  using Sum = Accumulator<T>;
  typename Sum::type sums[kColumns];
  for (int64_t c = 0; c < kColumns; ++c) sums[c] = Sum::widen(to[c]);
  for (int64_t i = begin; i < end; ++i) {
    const T* row = from + order.position(i) * step;
    for (int64_t c = 0; c < kColumns; ++c) sums[c] = Sum::add(sums[c], Sum::widen(row[c]));
  }
  for (int64_t c = 0; c < kColumns; ++c) to[c] = Sum::narrow(sums[c]);
}

// to[0..length) += the rows at the positions [begin, end) of `order`.
template <class T>
void add_group_row(T* to, const T* from, int64_t step, const Order& order, int64_t begin,
                   int64_t end, int64_t length) {
  int64_t c = 0;
  for (; c + 32 <= length; c += 32) add_columns<T, 32>(to + c, from + c, step, order, begin, end);
  for (; c + 4 <= length; c += 4) add_columns<T, 4>(to + c, from + c, step, order, begin, end);
  for (; c < length; ++c) add_columns<T, 1>(to + c, from + c, step, order, begin, end);
}

template <class T>
void add_group(const Geometry& g, T* to, const T* from, const Order& order, int64_t begin,
               int64_t end) {
  if (g.row > 0) return add_group_row(to, from, g.step, order, begin, end, g.row);
  using Sum = Accumulator<T>;
  g.inner.walk(0, g.inner.elements, [&](int64_t x_inner, int64_t picked_inner) {
    auto sum = Sum::widen(to[x_inner]);
    for (int64_t i = begin; i < end; ++i)
      sum = Sum::add(sum, Sum::widen(from[order.position(i) * g.step + picked_inner]));
    to[x_inner] = Sum::narrow(sum);
  });
}

// Single elements into a span not much larger than their number: a table of sums serves better than
// sorting. Only entries that are pointed to are ever touched.
template <class T>
void add_elements(T* x, const T* from, int64_t step, const int64_t* offsets, int64_t count,
                  int64_t low, int64_t span) {
  using Sum = Accumulator<T>;
  if constexpr (std::is_same_v<typename Sum::type, T>) {
    for (int64_t i = 0; i < count; ++i) x[offsets[i]] = Sum::add(x[offsets[i]], from[i * step]);
  } else {
    using Wide = typename Sum::type;
    const Tensor table = empty({span * static_cast<int64_t>(sizeof(Wide))}, DType::uint8);
    Wide* sums = static_cast<Wide*>(table.address());
    for (int64_t i = 0; i < count; ++i) sums[offsets[i] - low] = Sum::widen(x[offsets[i]]);
    for (int64_t i = 0; i < count; ++i) {
      Wide& sum = sums[offsets[i] - low];
      sum = Sum::add(sum, Sum::widen(from[i * step]));
    }
    for (int64_t i = 0; i < count; ++i) x[offsets[i]] = Sum::narrow(sums[offsets[i] - low]);
  }
}

// A tile takes the groups of equal places that start in its part of the order.
void add_kernel(TensorSpan outputs, TensorSpan inputs, const RowIndexing& indexing) {
  const Tensor& x = outputs[0];
  const Tensor& picked = inputs[0];
  const Geometry g(x, picked, indexing);
  const Offsets offsets(x, inputs.subspan(1), indexing, g.count);
  if (picked.elements() == 0) return;
  if (g.inner.elements == 1 && g.outer.elements == 1) {
    const auto [low, high] = std::minmax_element(offsets.data(), offsets.data() + g.count);
    const int64_t span = *high - *low + 1;
    if (span <= 8 * g.count)
      return visit_dtype(x.dtype(), [&, low = *low](auto tag) {
        using T = typename decltype(tag)::type;
        add_elements<T>(x.data<T>(), picked.data<T>(), g.step, offsets.data(), g.count, low, span);
      });
  }
  const Order order(offsets.data(), g.count);
  const int64_t block = std::max<int64_t>(kGrain / g.inner.elements, 16);
  const int64_t blocks = (g.count + block - 1) / block;
  const int64_t outer_block =
      std::max<int64_t>(kGrain / (g.inner.elements * std::min(block, g.count)), 1);
  const int64_t outer_blocks = (g.outer.elements + outer_block - 1) / outer_block;
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_tiles(blocks * outer_blocks, [&](int64_t tile) {
      const int64_t begin = tile % blocks * block;
      const int64_t end = std::min(begin + block, g.count);
      const int64_t outer_begin = tile / blocks * outer_block;
      const int64_t outer_end = std::min(outer_begin + outer_block, g.outer.elements);
      g.outer.walk(outer_begin, outer_end, [&](int64_t x_start, int64_t picked_start) {
        int64_t i = begin;
        while (i < end && !order.starts(i)) ++i;
        while (i < end) {
          const int64_t group_end = order.end_of_group(i);
          add_group<T>(g, x.data<T>() + x_start + order.offset(i), picked.data<T>() + picked_start,
                       order, i, group_end);
          i = group_end;
        }
      });
    });
  });
}

struct SurvivorAttributes {
  RowIndexing indexing;
  Dims sizes;  // of the indexed axes
};

// survives[i]: no later position points to the same place. all[0]: whether that holds for every i.
void survivors_kernel(TensorSpan outputs, TensorSpan inputs, const SurvivorAttributes& attributes) {
  bool* survives = outputs[0].data<bool>();
  int64_t* all = outputs[1].data<int64_t>();
  const int64_t count = outputs[0].elements();
  Tensor places = empty({count}, DType::int64);
  int64_t* place = places.data<int64_t>();
  std::fill(place, place + count, 0);
  const Dims strides = contiguous_strides(attributes.sizes);
  for (int j = 0; j < static_cast<int>(inputs.size()); ++j) {
    const Tensor& index = inputs[static_cast<size_t>(j)];
    if (index.elements() != count) continue;  // one element for all positions tells none apart
    add_index_offsets(attributes.indexing.place, index,
                      static_cast<int>(attributes.indexing.axes[j]), attributes.sizes[j],
                      strides[j], 0, count, place);
  }
  // Every entry that is read was written before, so the table needs no filling.
  Tensor table = empty({std::max<int64_t>(element_count(attributes.sizes), 1)}, DType::int64);
  int64_t* last = table.data<int64_t>();
  for (int64_t i = 0; i < count; ++i) last[place[i]] = i;
  bool every = true;
  for (int64_t i = 0; i < count; ++i) {
    survives[i] = last[place[i]] == i;
    every &= survives[i];
  }
  *all = every;
}

const KernelSlot<RowIndexing> pick_slot("index", pick_kernel);
const KernelSlot<RowIndexing> put_slot("index_put", put_kernel);
const KernelSlot<RowIndexing> add_slot("index_add", add_kernel);
const KernelSlot<SurvivorAttributes> survivors_slot("index_put", survivors_kernel);

using TensorList = InlineList<Tensor, 3>;

void fill_list(TensorList& list, const Tensor& first, const RowIndices& indices) {
  list.push_back(first);
  for (const Tensor& index : indices.tensors) list.push_back(index);
}

// `values` in a form whose index axes merge into one stride.
Tensor spread(const Tensor& x, const Tensor& values, const RowIndices& indices) {
  const Dims shape = picked_shape(x, indices);
  Tensor picked = values.shape() == shape ? values : expand_view(values, shape);
  // Reading what is being written would see new values.
  if (x.impl()->storage == values.impl()->storage) return clone(picked);
  const int first = indices.indexing.position;
  return merges(picked, first, first + indices.indexing.index_rank) ? picked : contiguous(picked);
}

int neighbours_start(const Dims& axes) {
  uint32_t mask = 0;
  for (int64_t axis : axes) mask |= 1u << axis;
  const int first = __builtin_ctz(mask);
  const uint32_t run = mask >> first;
  return (run & (run + 1)) == 0 ? first : 0;
}

}  // namespace

void add_index_offsets(std::string_view place, const Tensor& index, int axis, int64_t size,
                       int64_t stride, int64_t begin, int64_t count, int64_t* offsets) {
  visit_integer(index.dtype(), [&](auto tag) {
    using I = typename decltype(tag)::type;
    add_offsets_of(place, index.data<I>() + begin, axis, size, stride, count, offsets);
  });
}

void require_integer_index(std::string_view place, const Tensor& index) {
  if (is_integer(index.dtype())) return;
  fail(ErrorKind::dtype, place, ": the index has dtype ", name(index.dtype()),
       ". Expected an integer dtype. Fix: convert it, e.g. index.to(samara.int64)",
       index.dtype() == DType::boolean ? ", or use x[mask] for a mask." : ".");
}

int64_t host_integer(const Tensor& x, int64_t position) {
  int64_t value = 0;
  const auto* address = static_cast<const int64_t*>(x.address()) + position;
  backend(x.device()).copy_to_host(&value, address, sizeof(value));
  return value;
}

RowIndices row_indices(std::string_view place, int axis, const Tensor& index) {
  require_integer_index(place, index);
  return {{place, {axis}, axis, index.rank()}, {contiguous(index)}, index.shape()};
}

RowIndices row_indices(std::string_view place, const Tensor& x, const Dims& axes,
                       std::span<const Tensor> indices) {
  if (static_cast<size_t>(axes.size()) != indices.size() || indices.empty())
    fail(ErrorKind::argument, place, ": ", indices.size(), " index tensors for ", axes.size(),
         " axes. Expected one for each axis, and at least one. Fix: pass as many of both.");
  RowIndices result;
  result.indexing.place = place;
  result.indexing.axes = normalize_axes(axes, x.rank(), place);
  for (const Tensor& index : indices) {
    require_integer_index(place, index);
    result.shape = broadcast_shapes(result.shape, index.shape(), place);
  }
  for (const Tensor& index : indices) {
    const bool whole = index.elements() == 1 || index.shape() == result.shape;
    result.tensors.push_back(contiguous(whole ? index : expand_view(index, result.shape)));
  }
  result.indexing.position = neighbours_start(result.indexing.axes);
  result.indexing.index_rank = result.shape.size();
  return result;
}

Dims picked_shape(const Tensor& x, const RowIndices& indices) {
  uint32_t indexed = 0;
  for (int64_t axis : indices.indexing.axes) indexed |= 1u << axis;
  Dims others;
  for (int axis = 0; axis < x.rank(); ++axis)
    if (!(indexed >> axis & 1u)) others.push_back(x.size(axis));
  Dims shape;
  for (int i = 0; i < indices.indexing.position; ++i) shape.push_back(others[i]);
  for (int64_t size : indices.shape) shape.push_back(size);
  for (int i = indices.indexing.position; i < others.size(); ++i) shape.push_back(others[i]);
  return shape;
}

void pick_rows(const Tensor& picked, const Tensor& x, const RowIndices& indices) {
  TensorList inputs;
  fill_list(inputs, x, indices);
  pick_slot(TensorSpan(&picked, 1), inputs.span(), indices.indexing);
}

void put_rows(const Tensor& x, const Tensor& values, const RowIndices& indices) {
  TensorList inputs;
  fill_list(inputs, spread(x, values, indices), indices);
  put_slot(TensorSpan(&x, 1), inputs.span(), indices.indexing);
}

void add_rows(const Tensor& x, const Tensor& values, const RowIndices& indices) {
  TensorList inputs;
  fill_list(inputs, spread(x, values, indices), indices);
  add_slot(TensorSpan(&x, 1), inputs.span(), indices.indexing);
}

Tensor surviving_rows(const Tensor& x, const RowIndices& indices) {
  const Tensor outputs[] = {empty(indices.shape, DType::boolean, x.device()),
                            empty({}, DType::int64, x.device())};
  Dims sizes;
  for (int64_t axis : indices.indexing.axes) sizes.push_back(x.size(static_cast<int>(axis)));
  survivors_slot(outputs, indices.tensors, {indices.indexing, sizes});
  return host_integer(outputs[1]) != 0 ? Tensor() : outputs[0];
}

}  // namespace samara
