#include "core/derived.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

namespace samara {
namespace {

std::atomic<int64_t> computed{0};

// One for all lists of forms: it is held for a few instructions. No other lock is taken under it,
// and a child of fork does not inherit it locked.
std::mutex mutex;
const int fork_handlers_installed =
    pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });

uint64_t state_of(const Storage& storage) {
  return uint64_t{storage.outside_writes.load()} << 32 | storage.version.load();
}

}  // namespace

bool DerivedForms::Form::shows(const Tensor& x) const {
  return dtype == x.dtype() && offset == x.offset() && shape == x.shape() && strides == x.strides();
}

Tensor DerivedForms::find(const Tensor& x, const DerivedKey& key) {
  const uint64_t state = state_of(*x.impl()->storage);
  const std::lock_guard lock(mutex);
  for (const Form& form : forms_)
    if (form.key == key && form.state == state && form.shows(x)) return form.tensor;
  return {};
}

void DerivedForms::keep(const Tensor& x, const DerivedKey& key, Tensor tensor) {
  const uint64_t state = state_of(*x.impl()->storage);
  // Forms of bytes that are gone will not be asked for again. Many forms of the same bytes are not
  // expected, and their number is bounded.
  constexpr size_t most = 64;
  std::vector<Form> kept, dropped;  // dropped outside of the lock
  kept.push_back({key, state, x.dtype(), x.offset(), x.shape(), x.strides(), std::move(tensor)});
  {
    const std::lock_guard lock(mutex);
    for (Form& form : forms_) {
      const bool stale = form.state != state || (form.key == key && form.shows(x));
      (stale || kept.size() >= most ? dropped : kept).push_back(std::move(form));
    }
    forms_.swap(kept);
  }
}

int64_t derived_form_count() { return computed.load(std::memory_order_relaxed); }

namespace detail {

DerivedForms* derived_forms(const Tensor& x) {
  Storage& storage = *x.impl()->storage;
  if (storage.release_borrowed || storage.outside_views.load(std::memory_order_relaxed) > 0)
    return nullptr;
  DerivedForms* forms = storage.derived.load(std::memory_order_acquire);
  if (forms) return forms;
  auto* fresh = new DerivedForms;
  if (storage.derived.compare_exchange_strong(forms, fresh, std::memory_order_acq_rel))
    return fresh;
  delete fresh;
  return forms;
}

void count_derived_form() { computed.fetch_add(1, std::memory_order_relaxed); }

}  // namespace detail
}  // namespace samara
