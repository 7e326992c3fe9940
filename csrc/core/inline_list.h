// A vector that keeps its first few elements inside the object.
#pragma once

#include <cstdlib>
#include <new>
#include <span>
#include <utility>

namespace samara {

template <class T, int kInline>
class InlineList {
 public:
  InlineList() = default;
  InlineList(const InlineList&) = delete;
  InlineList& operator=(const InlineList&) = delete;
  ~InlineList() {
    clear();
    if (items_ != inline_items()) std::free(items_);
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](int i) { return items_[i]; }
  const T& operator[](int i) const { return items_[i]; }
  T* begin() { return items_; }
  T* end() { return items_ + size_; }
  const T* begin() const { return items_; }
  const T* end() const { return items_ + size_; }
  std::span<T> span() { return {items_, static_cast<size_t>(size_)}; }
  std::span<const T> span() const { return {items_, static_cast<size_t>(size_)}; }

  template <class... Arguments>
  T& emplace_back(Arguments&&... arguments) {
    if (size_ == capacity_) grow();
    T* item = new (items_ + size_) T(std::forward<Arguments>(arguments)...);
    ++size_;  // after the constructor, which may throw
    return *item;
  }
  void push_back(T item) { emplace_back(std::move(item)); }
  void resize(int size) {
    while (size_ > size) items_[--size_].~T();
    while (size_ < size) emplace_back();
  }
  void clear() {
    while (size_ > 0) items_[--size_].~T();
  }

 private:
  T* inline_items() { return reinterpret_cast<T*>(memory_); }
  void grow() {
    if (capacity_ > (1 << 28)) throw std::bad_alloc();
    const int capacity = capacity_ * 2;
    T* larger = static_cast<T*>(std::malloc(sizeof(T) * static_cast<size_t>(capacity)));
    if (!larger) throw std::bad_alloc();
    for (int i = 0; i < size_; ++i) {
      new (larger + i) T(std::move(items_[i]));
      items_[i].~T();
    }
    if (items_ != inline_items()) std::free(items_);
    items_ = larger;
    capacity_ = capacity;
  }

  alignas(T) unsigned char memory_[sizeof(T) * kInline];
  T* items_ = inline_items();
  int size_ = 0;
  int capacity_ = kInline;
};

}  // namespace samara
