// Signals, images and volumes: [N, C, *spatial] in one of two physical orders.
//
// The logical order of axes is always N, C, spatial. Physically the channels may lie innermost,
// which shows in the strides alone; convolutions prefer that. An operation on images answers in the
// order its input lies in, so that a chain of them reorders once at most.
#pragma once

#include "core/tensor.h"

namespace samara {

enum class ImageOrder { channels_first, channels_last };

// Row-major strides of that order. Shapes of fewer than three axes have one order only.
Dims image_strides(const Dims& shape, ImageOrder order);

// Whether x's elements lie densely in that order. Axes of size 1 leave it open, so both may hold.
bool lies_in(const Tensor& x, ImageOrder order);

// channels_last where x lies so and not channels_first as well; channels_first for all others,
// also for strides that are neither.
ImageOrder image_order(const Tensor& x);

Tensor empty_image(const Dims& shape, DType dtype, Device device, ImageOrder order);

// x itself when it lies in that order (with the strides of that order, also along axes of size 1);
// else a copy, made by the operation `reorder`, so that observers see and count it. No gradient
// flows.
Tensor in_order(const Tensor& x, ImageOrder order);

}  // namespace samara
