#include "cpu/winograd_simd.h"

#include <cstdint>
#include <utility>

#include "cpu/float_vector.h"

namespace samara::SAMARA_ISA {
namespace {

using std::int64_t;

// As in cpu/gemm_simd.cpp: a block of products is two vectors wide and fills the registers.
#if defined(__AVX512F__)
constexpr int rows_per_block = 14;
#elif defined(__AVX2__)
constexpr int rows_per_block = 6;
#else
constexpr int rows_per_block = 4;
#endif
constexpr int width = lanes;
constexpr int panel_width = 2 * width;
constexpr int points = 36;
constexpr int64_t part_stride = winograd_run * panel_width + winograd_gap;

int64_t smaller(int64_t x, int64_t y) { return x < y ? x : y; }

// The first `lanes` elements, then zeros.
Vector load_part(const float* from, int64_t lanes) {
  alignas(vector_bytes) float part[width] = {};
  for (int64_t i = 0; i < lanes; ++i) part[i] = from[i];
  return load(part);
}
void store_part(float* to, Vector v, int64_t lanes) {
  alignas(vector_bytes) float part[width];
  store(part, v);
  for (int64_t i = 0; i < lanes; ++i) to[i] = part[i];
}

// The points 0, a, -a, b, -b, infinity. All constants are exact in single precision.
constexpr float a = 11.0F / 16, b = 23.0F / 16;
constexpr float a2 = a * a, b2 = b * b, a3 = a2 * a, b3 = b2 * b;
constexpr float sum2 = a2 + b2, product2 = a2 * b2;

// Interpolation of the polynomial with coefficients d: the transposed Toom-Cook evaluation.
[[gnu::always_inline]] inline void transform_six(const Vector (&d)[6], Vector (&v)[6]) {
  v[0] = product2 * d[0] + (d[4] - sum2 * d[2]);
  v[5] = product2 * d[1] + (d[5] - sum2 * d[3]);
  const Vector even_a = d[4] - b2 * d[2], odd_a = d[3] - b2 * d[1];
  const Vector even_b = d[4] - a2 * d[2], odd_b = d[3] - a2 * d[1];
  v[1] = even_a + a * odd_a;
  v[2] = even_a - a * odd_a;
  v[3] = even_b + b * odd_b;
  v[4] = even_b - b * odd_b;
}

// Four outputs from the products at the six points.
[[gnu::always_inline]] inline void inverse_six(const Vector (&m)[6], Vector (&y)[4]) {
  const Vector even_a = m[1] + m[2], odd_a = m[1] - m[2];
  const Vector even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + even_a + even_b;
  y[1] = a * odd_a + b * odd_b;
  y[2] = a2 * even_a + b2 * even_b;
  y[3] = a3 * odd_a + (b3 * odd_b + m[5]);
}

// Half a vector of weights in double precision: one rounding per transformed weight, whose error
// all outputs share.
typedef double Wide __attribute__((vector_size(vector_bytes)));
typedef float Half __attribute__((vector_size(vector_bytes / 2)));
constexpr int wide = width / 2;

Wide load_wide(const float* from) {
  Half half;
  __builtin_memcpy(&half, from, sizeof half);
  return __builtin_convertvector(half, Wide);
}
void store_wide(float* to, Wide v) {
  const Half half = __builtin_convertvector(v, Half);
  __builtin_memcpy(to, &half, sizeof half);
}

// The products of the distances of a point to the others.
constexpr double distances_a = 2.0 * a2 * (double{a2} - b2);
constexpr double distances_b = 2.0 * b2 * (double{b2} - a2);
constexpr double distances_0 = double{a2} * b2;

// Three weights at the six points, divided by the distances.
[[gnu::always_inline]] inline void transform_three(Wide g0, Wide g1, Wide g2, Wide (&u)[6]) {
  const Wide even_a = (g0 + a2 * g2) * (1 / distances_a), odd_a = g1 * (a / distances_a);
  const Wide even_b = (g0 + b2 * g2) * (1 / distances_b), odd_b = g1 * (b / distances_b);
  u[0] = g0 * (1 / distances_0);
  u[1] = even_a + odd_a;
  u[2] = even_a - odd_a;
  u[3] = even_b + odd_b;
  u[4] = even_b - odd_b;
  u[5] = g2;
}

// to[36][...] from [9][panel_width] weights of one input channel
void transform_kernels(const float* from, float* to, int64_t point_stride) {
  for (int lane = 0; lane < panel_width; lane += wide) {
    Wide columns[3][6];
    for (int s = 0; s < 3; ++s) {
      Wide g[3];
      for (int r = 0; r < 3; ++r) g[r] = load_wide(from + (3 * r + s) * panel_width + lane);
      transform_three(g[0], g[1], g[2], columns[s]);
    }
    for (int i = 0; i < 6; ++i) {
      Wide u[6];
      transform_three(columns[0][i], columns[1][i], columns[2][i], u);
      for (int j = 0; j < 6; ++j) store_wide(to + (6 * i + j) * point_stride + lane, u[j]);
    }
  }
}

// So many input channels at a time: along them lie the weights of one output channel, and the
// output channels often lie a multiple of the page size apart.
constexpr int64_t channel_block = 16;

void transform_weight(int64_t channels, int64_t out_channels, const WinogradWeight& weight,
                      int64_t panel, float* transformed) {
  const int64_t first = panel * panel_width;
  const int64_t lanes = smaller(panel_width, out_channels - first);
  alignas(vector_bytes) float kernels[channel_block][9][panel_width] = {};
  for (int64_t c = 0; c < channels; c += channel_block) {
    const int64_t count = smaller(channel_block, channels - c);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const float* from = weight.data + (first + lane) * weight.stride_k + c * weight.stride_c;
      for (int64_t i = 0; i < count; ++i, from += weight.stride_c) {
        for (int r = 0; r < 3; ++r) {
          for (int s = 0; s < 3; ++s) {
            kernels[i][3 * r + s][lane] = from[r * weight.stride_r + s * weight.stride_s];
          }
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      transform_kernels(kernels[i][0], transformed + (c + i) * panel_width,
                        channels * panel_width + winograd_gap);
    }
  }
}

// The tiles of all images, row by row.
struct Walk {
  const WinogradShape& shape;
  int64_t image, row, column;  // of the tile's first output

  Walk(const WinogradShape& of, int64_t tile) : shape(of) {
    const int64_t across = (of.out_width + 3) / 4, down = (of.out_height + 3) / 4;
    image = tile / (across * down);
    row = tile / across % down * 4;
    column = tile % across * 4;
  }
  void next() {
    column += 4;
    if (column < shape.out_width) return;
    column = 0;
    row += 4;
    if (row < shape.out_height) return;
    row = 0;
    ++image;
  }
  // The inputs of the tile, pixel by pixel.
  void pixels(const float* x, const float* zeros, const float* (&at)[points]) const {
    for (int i = 0; i < 6; ++i) {
      const int64_t h = row - shape.pad_top + i;
      for (int j = 0; j < 6; ++j) {
        const int64_t w = column - shape.pad_left + j;
        const bool inside = h >= 0 && h < shape.height && w >= 0 && w < shape.width;
        const int64_t pixel = (image * shape.height + h) * shape.width + w;
        at[6 * i + j] = inside ? x + pixel * shape.channels : zeros;
      }
    }
  }
};

// One vector of channels of one tile, pixel by pixel.
template <class Load>
[[gnu::always_inline]] inline void transform_vector(Load&& pixel, float* to, int64_t point_stride) {
  Vector rows[6][6];
  for (int j = 0; j < 6; ++j) {
    const Vector d[6] = {pixel(j),      pixel(6 + j),  pixel(12 + j),
                         pixel(18 + j), pixel(24 + j), pixel(30 + j)};
    Vector v[6];
    transform_six(d, v);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) rows[i][j] = v[i];
  }
  for (int i = 0; i < 6; ++i) {
    Vector v[6];
    transform_six(rows[i], v);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * point_stride, v[j]);
  }
}

void transform_input(const WinogradShape& shape, const float* x, const float* zeros, int64_t first,
                     int64_t count, const WinogradTiles& tiles, float* transformed) {
  Walk walk(shape, first);
  for (int64_t tile = first; tile < first + count; ++tile, walk.next()) {
    const float* pixels[points];
    walk.pixels(x, zeros, pixels);
    float* const to = transformed + (tile - tiles.first) * winograd_run;
    const auto place = [&](int64_t c) {
      return to + c / winograd_run * tiles.count * winograd_run + c % winograd_run;
    };
    int64_t c = 0;
    for (; c + width <= shape.channels; c += width) {
      const auto pixel = [&](int i) {
        __builtin_prefetch(pixels[i] + c + 4 * shape.channels);  // for the next tile
        return load(pixels[i] + c);
      };
      transform_vector(pixel, place(c), tiles.point_stride);
    }
    if (c < shape.channels) {
      const int64_t lanes = shape.channels - c;
      transform_vector([&](int i) { return load_part(pixels[i] + c, lanes); }, place(c),
                       tiles.point_stride);
    }
  }
}

// Weights are read once from first to last: the distance at which they are fetched in advance.
constexpr int64_t ahead = 2048;

// products[rows][panel] (+)= inputs[rows][depth] weights[depth][panel]
template <int Rows, int64_t row_step, int64_t depth_step>
void product_block(int64_t depth, const float* inputs, const float* weights, bool first,
                   float* products) {
  Vector sum[Rows][2] = {};
  for (int64_t c = 0; c < depth; ++c) {
    const Vector u[2] = {load(weights), load(weights + width)};
    __builtin_prefetch(weights + ahead);
    __builtin_prefetch(weights + ahead + width);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const float element = inputs[i * row_step];
      sum[i][0] += element * u[0];
      sum[i][1] += element * u[1];
    }
    inputs += depth_step;
    weights += panel_width;
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      float* const to = products + i * panel_width + j * width;
      store(to, first ? sum[i][j] : sum[i][j] + load(to));
    }
  }
}

using ProductBlock = void (*)(int64_t, const float*, const float*, bool, float*);

template <int64_t row_step, int64_t depth_step, int... rows>
struct ProductBlocks {
  static constexpr ProductBlock of[] = {product_block<rows + 1, row_step, depth_step>...};
};
template <int64_t row_step, int64_t depth_step, int... rows>
ProductBlocks<row_step, depth_step, rows...> product_blocks(std::integer_sequence<int, rows...>);

// Some rows of products, in blocks of about the same height.
template <int64_t row_step, int64_t depth_step>
void product_rows(int64_t rows, int64_t depth, const float* inputs, const float* weights,
                  bool first, float* products) {
  using Blocks = decltype(product_blocks<row_step, depth_step>(
      std::make_integer_sequence<int, rows_per_block>{}));
  const int64_t groups = (rows - 1) / rows_per_block + 1;
  int64_t begin = 0;
  for (int64_t group = 1; group <= groups; ++group) {
    const int64_t end = rows * group / groups;
    Blocks::of[end - begin - 1](depth, inputs + begin * row_step, weights, first,
                                products + begin * panel_width);
    begin = end;
  }
}

// The products at one point. Runs of channels are summed apart: the error of a long sum grows with
// its length, and here it is multiplied by the inverse transform.
void point_products(int64_t channels, int64_t tiles, int64_t run_stride, const float* inputs,
                    const float* weights, float* products) {
  for (int64_t c = 0; c < channels; c += winograd_run) {
    const int64_t depth = smaller(winograd_run, channels - c);
    product_rows<winograd_run, 1>(tiles, depth, inputs, weights, c == 0, products);
    inputs += run_stride;
    weights += depth * panel_width;
  }
}

// Where a vector of output channels of one tile goes.
struct Store {
  const WinogradEpilogue& epilogue;
  float* y;
  int64_t offset, row_stride, column_stride;
  int64_t rows, columns, lanes;
  Vector bias;

  [[gnu::always_inline]] inline void put(int64_t i, int64_t j, Vector value) const {
    const int64_t at = offset + i * row_stride + j * column_stride;
    value += bias;
    if (epilogue.residual != nullptr) {
      value +=
          lanes >= width ? load(epilogue.residual + at) : load_part(epilogue.residual + at, lanes);
    }
    if (epilogue.relu) value = value < 0 ? Vector{} : value;  // NaN stays
    if (lanes >= width) {
      store(y + at, value);
    } else {
      store_part(y + at, value, lanes);
    }
  }
};

// Sum of the tile's outputs, which is not finite when one of them is not.
[[gnu::always_inline]] inline Vector inverse_vector(const float* products, int64_t point_stride,
                                                    const Store& to) {
  Vector rows[4][6], total = {};
#pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    Vector m[6], y[4];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) m[i] = load(products + (6 * i + j) * point_stride);
    inverse_six(m, y);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) rows[i][j] = y[i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    if (i >= to.rows) break;
    Vector y[4];
    inverse_six(rows[i], y);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      total += y[j];
      if (j < to.columns) to.put(i, j, y[j]);
    }
  }
  return total;
}

bool outputs(const WinogradShape& shape, const WinogradTiles& tiles, const float* inputs,
             const float* weights, int64_t first, int64_t count, int64_t panel,
             const WinogradEpilogue& epilogue, float* products, float* y) {
  const int64_t point_stride = count * panel_width + 16;
  inputs += (first - tiles.first) * winograd_run;
  const int64_t weight_stride = shape.channels * panel_width + winograd_gap;
  weights += panel * points * weight_stride;
  for (int64_t point = 0; point < points; ++point) {
    point_products(shape.channels, count, tiles.count * winograd_run,
                   inputs + point * tiles.point_stride, weights + point * weight_stride,
                   products + point * point_stride);
  }
  Vector check = {};
  for (int j = 0; j < 2; ++j) {
    const int64_t channel = panel * panel_width + j * width;
    const int64_t lanes = smaller(width, shape.out_channels - channel);
    if (lanes <= 0) break;
    const Vector bias =
        epilogue.bias == nullptr ? Vector{} : load_part(epilogue.bias + channel, lanes);
    Walk walk(shape, first);
    for (int64_t tile = 0; tile < count; ++tile, walk.next()) {
      const int64_t pixel =
          (walk.image * shape.out_height + walk.row) * shape.out_width + walk.column;
      const Store to{epilogue,
                     y,
                     pixel * shape.out_channels + channel,
                     shape.out_width * shape.out_channels,
                     shape.out_channels,
                     smaller(4, shape.out_height - walk.row),
                     smaller(4, shape.out_width - walk.column),
                     lanes,
                     bias};
      check += 0 * inverse_vector(products + tile * panel_width + j * width, point_stride, to);
    }
  }
  bool finite = true;
  for (int i = 0; i < width; ++i) finite = finite && check[i] == 0;
  return finite;
}

// --- gradient of the weight: the same products, transposed ---

// Four elements of the output's gradient at the six points.
[[gnu::always_inline]] inline void transform_four(const Vector (&g)[4], Vector (&u)[6]) {
  const Vector even_a = g[0] + a2 * g[2], odd_a = a * g[1] + a3 * g[3];
  const Vector even_b = g[0] + b2 * g[2], odd_b = b * g[1] + b3 * g[3];
  u[0] = g[0];
  u[1] = even_a + odd_a;
  u[2] = even_a - odd_a;
  u[3] = even_b + odd_b;
  u[4] = even_b - odd_b;
  u[5] = g[3];
}

template <class Load>
[[gnu::always_inline]] inline void transform_gradient_vector(Load&& pixel, float* to,
                                                             int64_t point_stride) {
  Vector rows[6][4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const Vector g[4] = {pixel(j), pixel(4 + j), pixel(8 + j), pixel(12 + j)};
    Vector u[6];
    transform_four(g, u);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) rows[i][j] = u[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    Vector u[6];
    transform_four(rows[i], u);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * point_stride, u[j]);
  }
}

void transform_gradient(const WinogradShape& shape, const float* gradient, const float* zeros,
                        int64_t first, int64_t count, const WinogradTiles& tiles,
                        float* transformed) {
  Walk walk(shape, first);
  for (int64_t tile = first; tile < first + count; ++tile, walk.next()) {
    const float* pixels[16];
    for (int64_t i = 0; i < 4; ++i) {
      for (int64_t j = 0; j < 4; ++j) {
        const int64_t h = walk.row + i, w = walk.column + j;
        const int64_t pixel = (walk.image * shape.out_height + h) * shape.out_width + w;
        const bool inside = h < shape.out_height && w < shape.out_width;
        pixels[4 * i + j] = inside ? gradient + pixel * shape.out_channels : zeros;
      }
    }
    float* const to = transformed + (tile - tiles.first) * panel_width;
    const auto place = [&](int64_t k) {
      return to + k / panel_width * tiles.count * panel_width + k % panel_width;
    };
    for (int64_t k = 0; k < shape.out_channels; k += width) {
      const int64_t lanes = shape.out_channels - k;
      if (lanes >= width) {
        const auto pixel = [&](int i) {
          __builtin_prefetch(pixels[i] + k + 4 * shape.out_channels);  // for the next tile
          return load(pixels[i] + k);
        };
        transform_gradient_vector(pixel, place(k), tiles.point_stride);
      } else {
        const auto pixel = [&](int i) { return load_part(pixels[i] + k, lanes); };
        transform_gradient_vector(pixel, place(k), tiles.point_stride);
      }
    }
    // The other vector of a panel that is half empty.
    if ((shape.out_channels - 1) / width % 2 == 0) {
      float* const rest = place(shape.out_channels - 1) - (shape.out_channels - 1) % width + width;
      for (int point = 0; point < points; ++point)
        store(rest + point * tiles.point_stride, Vector{});
    }
  }
}

// Here the sums run over tiles; their runs are summed apart too.
void gradient_products(const WinogradPart& part, const WinogradTiles& in, const float* inputs,
                       const WinogradTiles& out, const float* gradients, bool first,
                       float* products) {
  const int64_t rows = part.last_channel - part.first_channel;
  inputs += part.first_channel / winograd_run * in.count * winograd_run +
            part.first_channel % winograd_run;
  gradients += part.panel * out.count * panel_width;
  for (int64_t point = 0; point < points; ++point) {
    for (int64_t tile = 0; tile < in.count; tile += winograd_run) {
      product_rows<1, winograd_run>(rows, smaller(winograd_run, in.count - tile),
                                    inputs + point * in.point_stride + tile * winograd_run,
                                    gradients + point * out.point_stride + tile * panel_width,
                                    first && tile == 0, products + point * part_stride);
    }
  }
}

// Three elements of the weight's gradient from the sums at the six points.
[[gnu::always_inline]] inline void inverse_three(const Wide (&u)[6], Wide (&g)[3]) {
  const Wide even_a = (u[1] + u[2]) * (1 / distances_a), odd_a = (u[1] - u[2]) * (a / distances_a);
  const Wide even_b = (u[3] + u[4]) * (1 / distances_b), odd_b = (u[3] - u[4]) * (b / distances_b);
  g[0] = u[0] * (1 / distances_0) + even_a + even_b;
  g[1] = odd_a + odd_b;
  g[2] = a2 * even_a + b2 * even_b + u[5];
}

// to[9][panel_width] from the sums of one input channel
void inverse_kernels(const float* from, int64_t point_stride, float* to) {
  for (int lane = 0; lane < panel_width; lane += wide) {
    Wide rows[3][6], u[6], g[3];
    for (int j = 0; j < 6; ++j) {
      for (int i = 0; i < 6; ++i) u[i] = load_wide(from + (6 * i + j) * point_stride + lane);
      inverse_three(u, g);
      for (int r = 0; r < 3; ++r) rows[r][j] = g[r];
    }
    for (int r = 0; r < 3; ++r) {
      inverse_three(rows[r], g);
      for (int s = 0; s < 3; ++s) store_wide(to + (3 * r + s) * panel_width + lane, g[s]);
    }
  }
}

bool inverse_gradient(const WinogradShape& shape, const WinogradPart& part, const float* products,
                      float* weight) {
  const int64_t first = part.panel * panel_width;
  const int64_t lanes = smaller(panel_width, shape.out_channels - first);
  alignas(vector_bytes) float kernels[channel_block][9][panel_width];
  float check = 0;
  for (int64_t c = part.first_channel; c < part.last_channel; c += channel_block) {
    const int64_t count = smaller(channel_block, part.last_channel - c);
    for (int64_t i = 0; i < count; ++i, products += panel_width) {
      inverse_kernels(products, part_stride, kernels[i][0]);
    }
    for (int64_t lane = 0; lane < lanes; ++lane) {
      float* const to = weight + ((first + lane) * shape.channels + c) * 9;
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < 9; ++j) {
          const float value = kernels[i][j][lane];
          check += 0 * value;
          to[9 * i + j] = value;
        }
      }
    }
  }
  return check == 0;
}

}  // namespace

const WinogradKernels winograd_kernels = {panel_width,     transform_weight,   transform_input,
                                          outputs,         transform_gradient, gradient_products,
                                          inverse_gradient};

}  // namespace samara::SAMARA_ISA
