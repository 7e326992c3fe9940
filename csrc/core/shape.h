// Fixed-capacity integer lists for shapes, strides and axes, and the arithmetic on them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "core/error.h"

namespace samara {

inline constexpr int kMaxRank = 16;

// A short list of integers that never allocates: a shape, strides, axes.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) {
    for (int64_t value : values) push_back(value);
  }
  explicit Dims(std::span<const int64_t> values) {
    for (int64_t value : values) push_back(value);
  }
  // `size` entries of `value`.
  static Dims filled(int size, int64_t value) {
    Dims dims;
    for (int i = 0; i < size; ++i) dims.push_back(value);
    return dims;
  }
  Dims(const Dims& other) : size_(other.size_) {
    for (int i = 0; i < size_; ++i) values_[i] = other.values_[i];
  }
  Dims& operator=(const Dims& other) {
    size_ = other.size_;
    for (int i = 0; i < size_; ++i) values_[i] = other.values_[i];
    return *this;
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t& operator[](int i) { return values_[i]; }
  int64_t back() const { return values_[size_ - 1]; }
  int64_t& back() { return values_[size_ - 1]; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + size_; }
  int64_t* begin() { return values_; }
  int64_t* end() { return values_ + size_; }
  const int64_t* data() const { return values_; }

  void push_back(int64_t value) {
    if (size_ == kMaxRank) too_many();
    values_[size_++] = value;
  }
  void pop_back() { --size_; }
  void clear() { size_ = 0; }
  void insert(int position, int64_t value) {
    push_back(0);
    for (int i = size_ - 1; i > position; --i) values_[i] = values_[i - 1];
    values_[position] = value;
  }
  void erase(int position) {
    for (int i = position; i + 1 < size_; ++i) values_[i] = values_[i + 1];
    --size_;
  }
  bool operator==(const Dims& other) const {
    if (size_ != other.size_) return false;
    for (int i = 0; i < size_; ++i)
      if (values_[i] != other.values_[i]) return false;
    return true;
  }

 private:
  [[noreturn]] static void too_many() {
    fail(ErrorKind::shape, "a shape has more than ", kMaxRank, " axes. Expected at most ", kMaxRank,
         ". Fix: merge axes with reshape.");
  }
  int size_ = 0;
  int64_t values_[kMaxRank];
};

// "(2, 3)", as Python prints a tuple.
std::string to_text(const Dims& dims);
inline std::ostream& operator<<(std::ostream& out, const Dims& dims) {
  return out << to_text(dims);
}

// Product of the sizes; fails when it does not fit in 63 bits or a size is negative.
int64_t checked_element_count(const Dims& shape);

inline int64_t element_count(const Dims& shape) {
  // Unsigned: beside a zero the other sizes may be of any magnitude.
  uint64_t count = 1;
  for (int64_t size : shape) count *= static_cast<uint64_t>(size);
  return static_cast<int64_t>(count);
}

// Row-major strides, in elements.
Dims contiguous_strides(const Dims& shape);

bool is_contiguous(const Dims& shape, const Dims& strides);

// The common shape under NumPy's rule; `place` names the operation in the error.
Dims broadcast_shapes(const Dims& a, const Dims& b, std::string_view place);

// -1 means the last axis; fails with the operation's name when out of range. A 0-d tensor accepts
// 0 and -1 where `allow_scalar`.
int normalize_axis(int64_t axis, int rank, std::string_view place, bool allow_scalar = false);

// Normalised, checked for duplicates, in the order given.
Dims normalize_axes(const Dims& axes, int rank, std::string_view place);

}  // namespace samara
