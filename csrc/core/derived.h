// What was computed from a storage's bytes, such as weights packed for a kernel, and is kept with
// the storage until the bytes change.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace samara {

// Says what was computed: a number that the caller chooses for its kind, and particulars.
using DerivedKey = std::array<int64_t, 3>;

class DerivedForms {
 public:
  // Undefined when there is none of x as it is now.
  Tensor find(const Tensor& x, const DerivedKey& key);
  void keep(const Tensor& x, const DerivedKey& key, Tensor form);

 private:
  struct Form {
    DerivedKey key;
    uint64_t state;  // of the bytes
    DType dtype;
    int64_t offset;
    Dims shape, strides;
    Tensor tensor;
    bool shows(const Tensor& x) const;
  };
  std::vector<Form> forms_;
};

// The form of x, made by `make` unless it is kept. Memory that others see - borrowed, or shown by
// an array outside - changes unseen, so nothing is kept for it.
template <class Make>
Tensor derived_form(const Tensor& x, const DerivedKey& key, Make make);

// How many forms were computed so far: what a test of reuse looks at.
int64_t derived_form_count();

namespace detail {
// Null where nothing may be kept.
DerivedForms* derived_forms(const Tensor& x);
void count_derived_form();
}  // namespace detail

template <class Make>
Tensor derived_form(const Tensor& x, const DerivedKey& key, Make make) {
  DerivedForms* const forms = detail::derived_forms(x);
  if (forms)
    if (Tensor known = forms->find(x, key)) return known;
  Tensor made = make();
  detail::count_derived_form();
  if (forms) forms->keep(x, key, made);
  return made;
}

}  // namespace samara
