// Complex numbers seen as pairs of real ones, and the reverse: the same memory.
#include "core/autograd.h"
#include "core/operation.h"
#include "ops/basic.h"

namespace samara {
namespace {

const NativeCall as_real("view_as_real");
const NativeCall as_complex("view_as_complex");

// The same memory with another dtype, shape and strides.
Tensor seen_as(const Tensor& x, DType dtype, const Dims& shape, const Dims& strides,
               int64_t offset) {
  Tensor view = from_storage(x.impl()->storage, shape, strides, offset, dtype);
  // The tape knows views of one dtype only: an edit through this one must not go unnoticed.
  view.impl()->unrecorded_view = x.requires_grad() || x.impl()->unrecorded_view;
  return view;
}

void view_as_real_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  if (!is_complex(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
         ". Expected complex numbers. Fix: it is real already.");
  Dims shape = x.shape(), strides = x.strides();
  for (int64_t& stride : strides) stride *= 2;
  shape.push_back(2);
  strides.push_back(1);
  call.output(seen_as(x, real_dtype(x.dtype()), shape, strides, 2 * x.offset()));
}
void view_as_real_backward(BackwardCall& call) { call.set(0, as_complex(call.gradient())); }

bool in_pairs(const Tensor& x) {
  bool even = x.offset() % 2 == 0 && x.stride(x.rank() - 1) == 1;
  for (int i = 0; i + 1 < x.rank(); ++i) even = even && x.stride(i) % 2 == 0;
  return even;
}

void view_as_complex_forward(Call& call) {
  const Tensor& given = call.tensor(0);
  if (given.dtype() != DType::float32 && given.dtype() != DType::float64)
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(given.dtype()),
         ". Expected float32 or float64. Fix: convert it first.");
  if (given.rank() == 0 || given.size(given.rank() - 1) != 2)
    fail(ErrorKind::shape, call.name(), ": x has shape ", given.shape(),
         ". Expected 2 as the last size. Fix: stack the parts along the last axis.");
  const Tensor x = in_pairs(given) ? given : clone(given);
  Dims shape = x.shape(), strides = x.strides();
  shape.pop_back();
  strides.pop_back();
  for (int64_t& stride : strides) stride /= 2;
  const DType dtype = x.dtype() == DType::float64 ? DType::complex128 : DType::complex64;
  call.output(seen_as(x, dtype, shape, strides, x.offset() / 2));
}
void view_as_complex_backward(BackwardCall& call) { call.set(0, as_real(call.gradient())); }

const Register view_as_real_registered({.name = "view_as_real",
                                        .forward = view_as_real_forward,
                                        .backward = view_as_real_backward,
                                        .backward_records = true});
const Register view_as_complex_registered({.name = "view_as_complex",
                                           .forward = view_as_complex_forward,
                                           .backward = view_as_complex_backward,
                                           .backward_records = true});

}  // namespace
}  // namespace samara
