// Intrusive reference counting and per-thread recycling of small objects.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace samara {

// Under AddressSanitizer memory is not reused, so that it sees every access after the end.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

class ReferenceCounted {
 public:
  void retain() const { references_.fetch_add(1, std::memory_order_relaxed); }
  // True when this was the last reference.
  bool drop() const { return references_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  uint32_t reference_count() const { return references_.load(std::memory_order_relaxed); }

 private:
  mutable std::atomic<uint32_t> references_{0};
};

// Owns one reference; T has `static void destroy(T*)`.
template <class T>
class Reference {
 public:
  Reference() = default;
  Reference(std::nullptr_t) {}
  explicit Reference(T* object) : object_(object) {
    if (object_) object_->retain();
  }
  Reference(const Reference& other) : Reference(other.object_) {}
  Reference(Reference&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Reference& operator=(Reference other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Reference() {
    if (object_ && object_->drop()) T::destroy(object_);
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  bool operator==(const Reference& other) const { return object_ == other.object_; }
  // Gives the reference away without dropping it.
  T* release() { return std::exchange(object_, nullptr); }
  // Takes over a reference that is already counted.
  static Reference adopt(T* object) {
    Reference reference;
    reference.object_ = object;
    return reference;
  }

 private:
  T* object_ = nullptr;
};

// Memory for objects of one type, recycled per thread without a lock. An object may be freed on
// another thread than the one that made it; it then joins that thread's list.
template <class T>
class Recycler {
 public:
  static void* allocate() {
    List& list = local();
    if (list.head) {
      Link* link = list.head;
      list.head = link->next;
      --list.count;
      return link;
    }
    void* fresh = std::malloc(sizeof(T) > sizeof(Link) ? sizeof(T) : sizeof(Link));
    if (!fresh) throw std::bad_alloc();
    return fresh;
  }
  static void release(void* memory) {
    List& list = local();
    if (list.count >= kMost || list.closed) {
      std::free(memory);
      return;
    }
    Link* link = static_cast<Link*>(memory);
    link->next = list.head;
    list.head = link;
    ++list.count;
  }

 private:
  static constexpr int kMost = kSanitized ? 0 : 1024;
  struct Link {
    Link* next;
  };
  struct List {
    Link* head = nullptr;
    int count = 0;
    bool closed = false;
  };
  // Frees the list when the thread ends; `closed` sends later releases straight to the system.
  struct Closer {
    List* list = nullptr;
    ~Closer() {
      if (!list) return;
      list->closed = true;
      while (list->head) {
        Link* next = list->head->next;
        std::free(list->head);
        list->head = next;
      }
      list->count = kMost;
    }
  };
  static List& local() {
    [[gnu::tls_model("initial-exec")]] static thread_local constinit List list;
    if (!list.head && list.count == 0 && !list.closed) {
      static thread_local Closer closer;
      closer.list = &list;
    }
    return list;
  }
};

}  // namespace samara
