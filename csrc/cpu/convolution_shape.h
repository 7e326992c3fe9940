// The geometry of one convolution, for every rank and every pass.
#pragma once

#include <array>
#include <cstdint>

namespace samara {

// Sizes along depth, height and width. A signal has width alone, an image height and width; the
// axes that are missing have size 1, stride 1 and no padding.
using Sizes3 = std::array<std::int64_t, 3>;

// y[n, k, o] = sum over c, r of x[n, c, o * stride - begin + r * dilation] w[k, c, r], where x is 0
// outside of its bounds and c runs over the channels of k's group.
struct ConvolutionShape {
  std::int64_t spatial = 2;  // how many axes are in use: the last ones
  std::int64_t images = 1;
  std::int64_t groups = 1;
  std::int64_t in_channels = 1;  // of all groups together
  std::int64_t out_channels = 1;
  Sizes3 in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1};
  Sizes3 stride{1, 1, 1}, dilation{1, 1, 1}, begin{0, 0, 0}, end{0, 0, 0};

  bool operator==(const ConvolutionShape&) const = default;

  static std::int64_t product(const Sizes3& sizes) { return sizes[0] * sizes[1] * sizes[2]; }
  std::int64_t in_pixels() const { return product(in); }
  std::int64_t out_pixels() const { return product(out); }
  std::int64_t kernel_size() const { return product(kernel); }
  std::int64_t group_in() const { return in_channels / groups; }
  std::int64_t group_out() const { return out_channels / groups; }
  std::int64_t weight_elements() const { return out_channels * group_in() * kernel_size(); }
  // How far apart the first and the last input of a window lie, plus one.
  std::int64_t extent(int axis) const { return (kernel[axis] - 1) * dilation[axis] + 1; }
  std::int64_t image_multiplications() const { return out_pixels() * weight_elements(); }
  std::int64_t multiplications() const { return images * image_multiplications(); }
  // Each output reads one input, in order: the convolution is a matrix product.
  bool is_product() const {
    return groups == 1 && kernel_size() == 1 && stride == Sizes3{1, 1, 1} && in == out;
  }
};

}  // namespace samara
