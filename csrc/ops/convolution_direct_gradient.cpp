// Gradient of the weight by the register blocks of convolution_direct_simd.cpp.
//
// For each place of the kernel it is a product over pixels, dW = G^T X, with X shifted by that
// place. Of X and G one is read in vectors of channels and one number by number. With few input
// channels the rows of the kernel take the part of the channels that are read number by number.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/convolution.h"
#include "ops/convolution_direct.h"
#include "ops/reduce.h"

namespace samara {
namespace {

constexpr int64_t least_work = int64_t{1} << 21;
constexpr int64_t wanted_tiles = 16;
// Pixels whose inputs and gradients stay in the first-level cache while the blocks pass by.
constexpr int64_t chunk_pixels = 192;

int64_t pieces(int64_t whole, int64_t part) { return (whole + part - 1) / part; }

// Products of a[pixel][rows] and b[pixel][columns], one for each tap.
struct Sums {
  const ConvolutionShape& s;
  bool input_is_a;        // else the gradient is
  int64_t rows, columns;  // columns: whole vectors
  int64_t taps, a_step, b_step;
  int64_t run_width;    // kernel columns that one tap covers
  int64_t input_width;  // pixels in a row of the input as it lies
  int64_t input_begin;  // the padding that is not part of it

  int64_t size() const { return taps * rows * columns; }
};

// Output rows [begin, end), counted over all images and depths.
struct Rows {
  int64_t begin, end;
};

// The pixels that tap (d, h, w) pairs, row by row.
void pair_pixels(const Sums& q, Rows rows, const int64_t (&tap)[3], const float* x, const float* g,
                 std::vector<GradientRun>& runs) {
  const ConvolutionShape& s = q.s;
  runs.clear();
  // Outputs first <= o < last read inside of the input's row.
  const int64_t shift = tap[2] * s.dilation[2] - q.input_begin;
  const int64_t first = shift >= 0 ? 0 : pieces(-shift, s.stride[2]);
  const int64_t room = q.input_width - q.run_width - shift;
  const int64_t last = room < 0 ? 0 : std::min(s.out[2], room / s.stride[2] + 1);
  if (first >= last) return;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t image = row / (s.out[0] * s.out[1]);
    const int64_t d = row / s.out[1] % s.out[0] * s.stride[0] - s.begin[0] + tap[0] * s.dilation[0];
    const int64_t h = row % s.out[1] * s.stride[1] - s.begin[1] + tap[1] * s.dilation[1];
    if (d < 0 || d >= s.in[0] || h < 0 || h >= s.in[1]) continue;
    const float* const from_x =
        x + (((image * s.in[0] + d) * s.in[1] + h) * q.input_width + first * s.stride[2] + shift) *
                s.in_channels;
    const float* const from_g = g + (row * s.out[2] + first) * s.out_channels;
    const GradientRun run{q.input_is_a ? from_x : from_g, q.input_is_a ? from_g : from_x,
                          last - first};
    // Rows that follow each other without a gap are one run.
    if (!runs.empty() && runs.back().a + runs.back().count * q.a_step == run.a &&
        runs.back().b + runs.back().count * q.b_step == run.b)
      runs.back().count += run.count;
    else
      runs.push_back(run);
  }
}

// Some rows of the sums in memory, [tap][row][column].
struct SumRows {
  float* data;
  int64_t first, count;

  float* at(const Sums& q, int64_t tap, int64_t row) const {
    return data + (tap * count + row - first) * q.columns;
  }
};

struct Part {
  Rows pixels;
  int64_t first_row, last_row;  // of the sums
};

void add_products(const Sums& q, const Part& part, const float* x, const float* g,
                  const SumRows& sums) {
  const DirectKernels& kernels = direct_kernels();
  const ConvolutionShape& s = q.s;
  const int64_t rows = part.last_row - part.first_row;
  const int64_t height = pieces(rows, pieces(rows, kernels.gradient_rows));
  const int64_t all = part.pixels.end - part.pixels.begin;
  const int64_t chunk = pieces(all, pieces(all, std::max<int64_t>(chunk_pixels / s.out[2], 1)));
  std::vector<GradientRun> runs;
  GradientBlock block{nullptr, 0, 0, 0, q.a_step, q.b_step, nullptr, q.columns, 0, 0, false};
  for (int64_t row = part.pixels.begin; row < part.pixels.end; row += chunk) {
    block.fresh = row == part.pixels.begin;
    const Rows now{row, std::min(row + chunk, part.pixels.end)};
    int64_t index = 0;
    for (int64_t d = 0; d < s.kernel[0]; ++d)
      for (int64_t h = 0; h < s.kernel[1]; ++h)
        for (int64_t w = 0; w < s.kernel[2]; w += q.run_width, ++index) {
          pair_pixels(q, now, {d, h, w}, x, g, runs);
          block.runs = runs.data();
          block.run_count = static_cast<int64_t>(runs.size());
          for (int64_t j = 0; j < q.columns; j += kernels.panel) {
            block.b_shift = j;
            block.vectors = q.columns - j >= kernels.panel ? 2 : 1;
            for (int64_t i = part.first_row; i < part.last_row; i += height) {
              block.a_shift = i;
              block.rows = static_cast<int>(std::min(height, part.last_row - i));
              block.sums = sums.at(q, index, i) + j;
              kernels.gradient(block);
            }
          }
        }
  }
}

// Parts of the pixels, each with sums of its own, and parts of the rows of the sums.
struct Parts {
  int64_t pixels = 1, rows = 1;

  static Parts choose(const Sums& q) {
    // Sums take memory and are added afterwards; with few of them every part may have its own.
    constexpr int64_t few = int64_t{1} << 19;
    const int64_t all = q.s.images * q.s.out[0] * q.s.out[1];
    const int64_t wanted = std::clamp<int64_t>(q.s.multiplications() / least_work, 1, wanted_tiles);
    Parts parts;
    parts.pixels = std::min({wanted, all, std::max<int64_t>(few / q.size(), 1)});
    parts.rows = std::min(pieces(wanted, parts.pixels),
                          std::max<int64_t>(q.rows / direct_kernels().gradient_rows, 1));
    return parts;
  }
};

// Channel k of [K, C, kernel] from the sums of all parts, which lie one after the other.
void collect(const Sums& q, int64_t parts, const SumRows& sums, int64_t k, float* dweight) {
  const ConvolutionShape& s = q.s;
  const int64_t kernel = s.kernel_size(), channels = s.in_channels;
  const int64_t step = q.input_is_a ? q.columns : 1;
  for (int64_t r = 0; r < kernel; ++r) {
    const int64_t tap = r / q.run_width, row = r % q.run_width * channels;
    const float* const from = q.input_is_a ? sums.at(q, tap, row) + k : sums.at(q, tap, k);
    float* const to = dweight + k * channels * kernel + r;
    for (int64_t c = 0; c < channels; ++c) {
      float sum = from[c * step];
      for (int64_t p = 1; p < parts; ++p) sum += from[c * step + p * q.size()];
      to[c * kernel] = sum;
    }
  }
}

}  // namespace

bool DirectPath::weight_gradient(const Tensor& g, const Tensor& x, const Tensor& dweight) const {
  if (g.dtype() != DType::float32 || dweight.dtype() != DType::float32 || shape.groups != 1)
    return false;
  const int lanes = direct_kernels().lanes;
  const bool few_channels =
      shape.in_channels % lanes != 0 && shape.in_channels < 16 && shape.dilation[2] == 1;
  if ((few_channels ? shape.out_channels : shape.in_channels) % lanes != 0) return false;
  Sums q{shape,
         false,
         shape.out_channels,
         shape.in_channels,
         shape.kernel_size(),
         shape.out_channels,
         shape.stride[2] * shape.in_channels,
         1,
         shape.in[2],
         shape.begin[2]};
  Tensor input = x;
  if (few_channels) {
    q.input_is_a = true;
    q.run_width = shape.kernel[2];
    q.rows = shape.kernel[2] * shape.in_channels;
    q.columns = shape.out_channels;
    q.taps = shape.kernel[0] * shape.kernel[1];
    std::swap(q.a_step, q.b_step);
    q.input_width = (shape.out[2] - 1) * shape.stride[2] + shape.kernel[2];
    q.input_begin = 0;
    input = padded_rows(shape, x, q.input_width);
  }
  const Parts parts = Parts::choose(q);
  // Sums over all pixels are brought into the weight's order by the tile that made them.
  const bool complete = parts.pixels == 1 && !q.input_is_a;
  Scratch memory(complete ? 0 : parts.pixels * q.size() * int64_t{sizeof(float)});
  float* const all = reinterpret_cast<float*>(memory.data());
  float* const to = dweight.data<float>();
  const int64_t rows = shape.images * shape.out[0] * shape.out[1];
  parallel_tiles(parts.pixels * parts.rows, [&](int64_t i) {
    const int64_t p = i / parts.rows, r = i % parts.rows;
    const Part part{{rows * p / parts.pixels, rows * (p + 1) / parts.pixels},
                    q.rows * r / parts.rows,
                    q.rows * (r + 1) / parts.rows};
    const int64_t count = part.last_row - part.first_row;
    Scratch own(complete ? q.taps * count * q.columns * int64_t{sizeof(float)} : 0);
    SumRows sums{all + p * q.size(), 0, q.rows};
    if (complete) sums = {reinterpret_cast<float*>(own.data()), part.first_row, count};
    add_products(q, part, input.data<float>(), g.data<float>(), sums);
    for (int64_t k = part.first_row; complete && k < part.last_row; ++k) collect(q, 1, sums, k, to);
  });
  if (complete) return true;
  const int64_t grain = pieces(int64_t{1} << 14, shape.in_channels * shape.kernel_size());
  parallel_ranges(shape.out_channels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) collect(q, parts.pixels, {all, 0, q.rows}, k, to);
  });
  return true;
}

}  // namespace samara
