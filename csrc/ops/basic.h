// What every family needs from the others: copies, casts, fills and views, without the tape.
#pragma once

#include "core/operation.h"
#include "core/tensor.h"

namespace samara {

// Writes `source`, cast and broadcast, into `destination`.
void copy_into(const Tensor& destination, const Tensor& source);
void fill(const Tensor& destination, const Value& number);
Tensor zeros(const Dims& shape, DType dtype, Device device);
// x itself when it has that dtype.
Tensor cast(const Tensor& x, DType dtype);
// x itself when it is contiguous.
Tensor contiguous(const Tensor& x);
// A copy, always contiguous.
Tensor clone(const Tensor& x);

// Views; `expand_view` and `reshape_view` fail like the operations of those names. `reshape_view`
// copies when the strides do not allow a view.
Tensor reshape_view(const Tensor& x, const Dims& shape);
Tensor permute_view(const Tensor& x, const Dims& axes);
Tensor expand_view(const Tensor& x, const Dims& shape);
// Axis `axis` cut to [start, start + length).
Tensor narrow_view(const Tensor& x, int axis, int64_t start, int64_t length);

// Sums x over the axes along which `shape` was broadcast to x's shape.
Tensor sum_to(const Tensor& x, const Dims& shape);

// The output of a call: the in-place target when it has this shape and dtype, else a new tensor.
Tensor result(const Call& call, const Dims& shape, DType dtype, Device device);

// A number as a 0-d tensor of that dtype.
Tensor scalar_tensor(const Value& number, DType dtype, Device device);

// Writes a number as one element of that dtype (16 bytes of room are enough for all).
void store_number(void* target, DType dtype, const Value& number);

// The dtype that operands take together: tensors promote by the table; Python scalars are weak and
// only raise the kind (bool < integer < real < complex), to the default dtype of that kind.
DType result_dtype(std::span<const Value> operands, std::string_view place);

// The dtype new floating-point tensors take (samara.set_default_dtype).
DType default_dtype();
void set_default_dtype(DType dtype);

}  // namespace samara
