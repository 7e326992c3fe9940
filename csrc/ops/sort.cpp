// sort, argsort, topk.
//
// Every element becomes an unsigned key of the same width whose order is the element's order, so
// one sort of words serves all dtypes: vectorised where the instruction set has one, else by radix.
// NaN counts as larger than every number; -0 and +0 are equal.
#include "ops/sort.h"

#include <algorithm>
#include <bit>
#include <type_traits>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/elements.h"
#include "ops/radix.h"
#include "ops/sort_key.h"

namespace samara {
namespace {

const NativeCall scatter_add_in_place("scatter_add", NativeCall::kInPlace);

const SortTable& sort_table() {
  static const SortTable& table = select_isa(baseline::sort_table, v3::sort_table, v4::sort_table);
  return table;
}

// A key and the place it came from, ordered by both.
struct Entry {
  uint64_t key, place;
  bool operator<(const Entry& other) const {
    return key != other.key ? key < other.key : place < other.place;
  }
};

// From here on the threads' part in a radix sort outweighs the vectors.
constexpr int64_t kLongRow = int64_t{1} << 20;

bool use_radix(int64_t n) { return n >= kLongRow && thread_count() > 2 && !in_parallel_region(); }

// Sorts by bits [first, first + bits), which tell all words apart or leave equal ones alike.
// Returns where the result lies.
template <class Word>
Word* sort_words(Word* words, Word* scratch, int64_t n, int first, int bits) {
  const auto vectors = [] {
    if constexpr (sizeof(Word) == 4)
      return sort_table().narrow;
    else
      return sort_table().wide;
  }();
  if (vectors && !use_radix(n)) {
    vectors(words, n);
    return words;
  }
  if (n < kRadixMinimum) {
    std::sort(words, words + n);
    return words;
  }
  return radix_sort(words, scratch, n, first, bits, [](Word word) { return word; });
}

int width_of(uint64_t value) { return static_cast<int>(std::bit_width(value)); }

// Elements of the row that a key does not tell from their equals, put back in the row's order.
template <class T>
void restore_special(const T* x, int64_t n, T* sorted) {
  const auto zero = sort_key(T{});
  const auto nan = static_cast<decltype(zero)>(~decltype(zero){0});
  int64_t next_zero = 0, next_nan = 0;
  while (next_zero < n && sort_key(sorted[next_zero]) != zero) ++next_zero;
  while (next_nan < n && sort_key(sorted[next_nan]) != nan) ++next_nan;
  for (int64_t i = 0; i < n; ++i) {
    const auto key = sort_key(x[i]);
    if (key == zero) sorted[next_zero++] = x[i];
    if (key == nan) sorted[next_nan++] = x[i];
  }
}

// Sorts rows of one length.
template <class T>
class RowSorter {
 public:
  RowSorter(int64_t n, bool descending)
      : kernels_(sort_table().row[static_cast<int>(DTypeOf<T>::dtype)]),
        n_(n),
        descending_(descending),
        entries_(!sort_table().pairs || use_radix(n)) {
    // Words and as many to sort them into; an entry is two.
    const int64_t words = kWide && entries_ ? 4 * n : 2 * n;
    if (words <= kFew) return;
    large_ = empty({words}, DType::int64);
    words_ = large_.data<uint64_t>();
  }

  void sort_values(const T* x, T* values) {
    int64_t order[kTiny];
    if (n_ <= kTiny) return sort_tiny(x, n_, values, order);
    using Word = std::conditional_t<kWide, uint64_t, uint32_t>;
    Word* words = reinterpret_cast<Word*>(words_);
    const RowKernels<Word>& row = row_kernels<Word>();
    const bool special = row.load(x, n_, descending_, words);
    const Word* sorted = sort_words(words, words + n_, n_, 0, kernels_.key_bits);
    row.store(sorted, n_, descending_, values);
    if (special) restore_special(x, n_, values);
  }

  // The first `count` elements in order, and their places. `values` may be null.
  void sort_places(const T* x, int64_t count, T* values, int64_t* places) {
    if (n_ <= kTiny) return sort_tiny(x, count, values, places);
    const int place_bits = width_of(static_cast<uint64_t>(n_ - 1));
    if constexpr (!kWide) {
      if (kernels_.key_bits + place_bits <= 32)
        return sort_packed<uint32_t>(x, count, {0, place_bits, descending_}, kernels_.key_bits,
                                     values, places);
      sort_packed<uint64_t>(x, count, {0, 32, descending_}, kernels_.key_bits, values, places);
    } else {
      const KeyRange range = kernels_.range(x, n_, descending_);
      const int key_bits = width_of(range.high - range.low);
      if (key_bits + place_bits <= 64)
        return sort_packed<uint64_t>(x, count, {range.low, place_bits, descending_}, key_bits,
                                     values, places);
      if (entries_)
        sort_entries(x, count, values, places);
      else
        sort_pairs(x, count, values, places);
    }
  }

 private:
  static constexpr bool kWide = sizeof(T) == 8;
  static constexpr int64_t kTiny = 3;

  template <class Word>
  const RowKernels<Word>& row_kernels() const {
    if constexpr (sizeof(Word) == 4)
      return kernels_.narrow;
    else
      return kernels_.wide;
  }

  template <class Word>
  void sort_packed(const T* x, int64_t count, const WordLayout& layout, int key_bits, T* values,
                   int64_t* places) {
    Word* words = reinterpret_cast<Word*>(words_);
    const RowKernels<Word>& row = row_kernels<Word>();
    const bool special = row.load_places(x, n_, layout, words);
    const Word* sorted = sort_words(words, words + n_, n_, layout.place_bits, key_bits);
    row.store_places(sorted, count, layout, special ? nullptr : values, places);
    if (special && values) take(x, count, values, places);
  }

  // By insertion: a handful of elements costs less than the way into words and back.
  void sort_tiny(const T* x, int64_t count, T* values, int64_t* places) const {
    uint64_t keys[kTiny];
    int64_t order[kTiny];
    for (int64_t i = 0; i < n_; ++i) {
      const uint64_t next = key(x[i]);
      int64_t j = i;
      for (; j > 0 && keys[j - 1] > next; --j) {
        keys[j] = keys[j - 1];
        order[j] = order[j - 1];
      }
      keys[j] = next;
      order[j] = i;
    }
    std::copy(order, order + count, places);
    if (values) take(x, count, values, order);
  }

  uint64_t key(T value) const {
    const auto plain = sort_key(value);
    return descending_ ? static_cast<decltype(plain)>(~plain) : plain;
  }

  void sort_pairs(const T* x, int64_t count, T* values, int64_t* places) {
    uint64_t* keys = words_;
    uint64_t* order = words_ + n_;
    for (int64_t i = 0; i < n_; ++i) {
      keys[i] = key(x[i]);
      order[i] = static_cast<uint64_t>(i);
    }
    sort_table().pairs(keys, order, n_);
    // Equal keys come in any order: theirs is the order of the places.
    for (int64_t begin = 0; begin < count;) {
      int64_t end = begin + 1;
      while (end < n_ && keys[end] == keys[begin]) ++end;
      if (end - begin > 1) sort_table().wide(order + begin, end - begin);
      begin = end;
    }
    for (int64_t i = 0; i < count; ++i) places[i] = static_cast<int64_t>(order[i]);
    if (values) take(x, count, values, places);
  }

  void sort_entries(const T* x, int64_t count, T* values, int64_t* places) {
    Entry* entries = reinterpret_cast<Entry*>(words_);
    for (int64_t i = 0; i < n_; ++i) entries[i] = {key(x[i]), static_cast<uint64_t>(i)};
    if (n_ < kRadixMinimum)
      std::sort(entries, entries + n_);
    else
      entries = radix_sort(entries, entries + n_, n_, 0, 64,
                           [](const Entry& entry) { return entry.key; });
    for (int64_t i = 0; i < count; ++i) places[i] = static_cast<int64_t>(entries[i].place);
    if (values) take(x, count, values, places);
  }

  static void take(const T* x, int64_t count, T* values, const int64_t* places) {
    for (int64_t i = 0; i < count; ++i) values[i] = x[places[i]];
  }

  const SortKernels& kernels_;
  int64_t n_;
  bool descending_;
  bool entries_;  // keys that leave no room for places are sorted as entries, else as pairs
  static constexpr int64_t kFew = 256;
  alignas(64) uint64_t few_[kFew];
  uint64_t* words_ = few_;
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
    parallel_ranges(x.elements() / n, std::max<int64_t>(4096 / n, 1),
                    [&](int64_t begin, int64_t end) {
                      RowSorter<T> sorter(n, attributes.descending);
                      for (int64_t row = begin; row < end; ++row) {
                        const T* source = x.data<T>() + row * n;
                        T* sorted = values ? values + row * n : nullptr;
                        if (indices)
                          sorter.sort_places(source, n, sorted, indices + row * n);
                        else
                          sorter.sort_values(source, sorted);
                      }
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

// A key with its place, as topk holds its candidates.
template <class T>
struct Candidate {
  using Key = decltype(sort_key(T{}));
  static constexpr bool kPacked = sizeof(Key) <= 4;
  using Item = std::conditional_t<kPacked, uint64_t, Entry>;

  static Item item(T value, int64_t place, bool descending) {
    Key key = sort_key(value);
    if (descending) key = static_cast<Key>(~key);
    if constexpr (kPacked)
      return static_cast<uint64_t>(key) << 32 | static_cast<uint64_t>(place);
    else
      return {key, static_cast<uint64_t>(place)};
  }
  static int64_t place(const Item& item) {
    if constexpr (kPacked)
      return static_cast<int64_t>(item & 0xFFFFFFFFu);
    else
      return static_cast<int64_t>(item.place);
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
int64_t select_few(const T* x, int64_t n, int64_t k, bool largest,
                   typename Candidate<T>::Item* buffer) {
  using Line = Candidate<T>;
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
    const T limit = x[Line::place(buffer[k - 1])];
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

// Where sorting a whole row by vectors takes less time than looking for its first elements.
constexpr int64_t kSortWhole = 1024;

bool sorts_whole_row(int64_t n, int64_t k) {
  return k > n / 8 || (n <= kSortWhole && sort_table().wide);
}

template <class T>
void topk_row(const T* x, int64_t n, const TopkAttributes& attributes, T* values,
              int64_t* indices) {
  using Line = Candidate<T>;
  const int64_t k = attributes.k;
  Items<typename Line::Item> items(candidate_room(k));
  const int64_t held = select_few<T>(x, n, k, attributes.largest, items.data());
  if (held > k) std::nth_element(items.data(), items.data() + k - 1, items.data() + held);
  if (attributes.sorted) std::sort(items.data(), items.data() + k);
  for (int64_t i = 0; i < k; ++i) {
    const int64_t place = Line::place(items.data()[i]);
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
          const T* source = x.data<T>();
          T* values = outputs[0].data<T>();
          int64_t* places = outputs[1].data<int64_t>();
          if (sorts_whole_row(n, k)) {
            RowSorter<T> sorter(n, attributes.largest);
            for (int64_t row = begin; row < end; ++row)
              sorter.sort_places(source + row * n, k, values + row * k, places + row * k);
            return;
          }
          for (int64_t row = begin; row < end; ++row)
            topk_row<T>(source + row * n, n, attributes, values + row * k, places + row * k);
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

}  // namespace
}  // namespace samara
