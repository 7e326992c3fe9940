// Advanced indexing: what stands behind x[key] and x[key] = values once the basic part of the key
// (slices, None, Ellipsis) has become a view.
#pragma once

#include <span>
#include <vector>

#include "core/tensor.h"

namespace samara {

// indices[j], of any integer dtype, picks along axis axes[j]; all indices broadcast together. The
// result has their common axes in place of the indexed ones where those are neighbours, else in
// front (NumPy's rule; for it an integer in a key that also holds a tensor is an index too). Both
// go through the call path, so they are recorded when gradients are on.
Tensor index_get(const Tensor& x, const Dims& axes, std::span<const Tensor> indices);
// x[indices] = values in place, `values` cast and broadcast; with `accumulate` += instead, where
// equal indices add up. Without it the last of equal indices wins.
void index_set(const Tensor& x, const Dims& axes, std::span<const Tensor> indices,
               const Tensor& values, bool accumulate = false);

// The places where the mask is True, as one int64 index per axis of the mask in row-major order. A
// 0-d mask counts as a mask over one new axis of size 1.
std::vector<Tensor> nonzero_columns(const Tensor& mask);
// Fails unless the mask has the sizes of x's axes from `first_axis` on.
void check_mask(const Tensor& x, const Tensor& mask, int first_axis);

}  // namespace samara
