// Rows of a tensor at places given by index tensors. Advanced indexing, take, index_select,
// index_add and embedding are all this one thing.
//
// x has some axes that are indexed, one index tensor each, and others. `picked` has the index
// tensors' common axes at `position` among x's other axes:
//   picked[before..., b..., after...] = x[..., indices[0][b], ..., indices[1][b], ...]
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "core/kernel.h"
#include "core/tensor.h"

namespace samara {

struct RowIndexing {
  std::string_view place;  // the operation, for messages
  Dims axes;               // of x, one per index tensor
  int position = 0;        // of the index axes in `picked`
  int index_rank = 0;      // how many axes the index tensors have
};

// Index tensors as the kernels take them: of any integer dtype, contiguous, and of one shape or of
// a single element.
struct RowIndices {
  RowIndexing indexing;
  std::vector<Tensor> tensors;
  Dims shape;
};

// Checks dtypes and axes and broadcasts. The index axes stand where NumPy puts them: in place of
// the indexed axes when those are neighbours, else in front.
RowIndices row_indices(std::string_view place, const Tensor& x, const Dims& axes,
                       std::span<const Tensor> indices);
// The same for one index along one axis.
RowIndices row_indices(std::string_view place, int axis, const Tensor& index);

Dims picked_shape(const Tensor& x, const RowIndices& indices);

// The kernels. An index out of range fails before anything is written.
void pick_rows(const Tensor& picked, const Tensor& x, const RowIndices& indices);
// x[indices] = values; of equal indices the last one wins. `values` broadcasts to the picked shape.
void put_rows(const Tensor& x, const Tensor& values, const RowIndices& indices);
// x[indices] += values, each place summed in the order of the indices (floating point in double
// precision) and rounded once.
void add_rows(const Tensor& x, const Tensor& values, const RowIndices& indices);
// For each index position whether its value is the one that put_rows leaves in x: a bool tensor of
// the index shape, undefined when all are.
Tensor surviving_rows(const Tensor& x, const RowIndices& indices);

// Fails unless `index` has an integer dtype.
void require_integer_index(std::string_view place, const Tensor& index);

// offsets[i] += stride * (the index at `begin + i`, counted from the end when negative). Fails
// when one is out of range. For kernels: reads host memory.
void add_index_offsets(std::string_view place, const Tensor& index, int axis, int64_t size,
                       int64_t stride, int64_t begin, int64_t count, int64_t* offsets);

// The element at that position of a contiguous int64 tensor, wherever it lives.
int64_t host_integer(const Tensor& x, int64_t position = 0);

}  // namespace samara
