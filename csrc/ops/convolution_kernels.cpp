// The CPU's convolution kernels: how one convolution is cut into tiles, and which algorithm runs
// them.
//
// A tile is a convolution of its own, run on one thread: some images, or some rows of one image
// with the padding that is left to them. The cuts depend on the shape alone.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "core/allocator.h"
#include "core/derived.h"
#include "core/half.h"
#include "cpu/onednn_convolution.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/convolution.h"
#include "ops/reduce.h"

namespace samara {
namespace {

using onednn::ConvolutionRef;
using onednn::ConvolutionRequest;
using onednn::Pass;

// Multiplications below which a tile is not worth a thread's attention, and the number of tiles
// that lets several cores finish together.
constexpr int64_t least_work = int64_t{1} << 22;
constexpr int64_t wanted_tiles = 16;

constexpr int64_t kPackedForOneDnn = 1;

int64_t pieces(int64_t whole, int64_t part) { return (whole - 1) / part + 1; }

// Parts [i * n / parts, (i + 1) * n / parts).
struct Range {
  int64_t begin, end;
};
Range part_of(int64_t n, int64_t parts, int64_t i) { return {n * i / parts, n * (i + 1) / parts}; }

struct Tile {
  ConvolutionShape shape;
  int64_t x = 0, y = 0;  // where it begins, in elements
};

// The first axis that is long enough to be cut, or -1.
int row_axis(const Sizes3& sizes, int64_t spatial) {
  const int first = static_cast<int>(3 - spatial);
  return sizes[static_cast<size_t>(first)] > 1 ? first : -1;
}

int64_t elements_per_row(const Sizes3& sizes, size_t axis, int64_t channels) {
  int64_t count = channels;
  for (size_t i = axis + 1; i < 3; ++i) count *= sizes[i];
  return count;
}

// Outputs [rows.begin, rows.end) along the axis, of one image. False when no input reaches them.
bool cut_outputs(const ConvolutionShape& s, int axis_number, Range rows, Tile& tile) {
  const auto axis = static_cast<size_t>(axis_number);
  const int64_t low = rows.begin * s.stride[axis] - s.begin[axis];
  const int64_t high = (rows.end - 1) * s.stride[axis] - s.begin[axis] + s.extent(axis_number);
  const int64_t first = std::max<int64_t>(low, 0), last = std::min(high, s.in[axis]);
  if (first >= last) return false;
  tile.shape = s;
  tile.shape.images = 1;
  tile.shape.in[axis] = last - first;
  tile.shape.out[axis] = rows.end - rows.begin;
  tile.shape.begin[axis] = first - low;
  tile.shape.end[axis] = high - last;
  tile.x += first * elements_per_row(s.in, axis, s.in_channels);
  tile.y += rows.begin * elements_per_row(s.out, axis, s.out_channels);
  return true;
}

// Inputs [rows.begin, rows.end), of which the first begins a window, and all outputs that reach
// them.
bool cut_inputs(const ConvolutionShape& s, int axis_number, Range rows, Tile& tile) {
  const auto axis = static_cast<size_t>(axis_number);
  const int64_t stride = s.stride[axis], reach = s.extent(axis_number) - 1;
  const int64_t low = rows.begin + s.begin[axis] - reach;
  const int64_t first = low <= 0 ? 0 : (low - 1) / stride + 1;
  const int64_t last = std::min((rows.end - 1 + s.begin[axis]) / stride + 1, s.out[axis]);
  const int64_t begin = rows.begin - (first * stride - s.begin[axis]);
  if (first >= last || begin < 0) return false;
  tile.shape = s;
  tile.shape.images = 1;
  tile.shape.in[axis] = rows.end - rows.begin;
  tile.shape.out[axis] = last - first;
  tile.shape.begin[axis] = begin;
  tile.shape.end[axis] = (last - 1) * stride - s.begin[axis] + reach + 1 - rows.end;
  tile.x += rows.begin * elements_per_row(s.in, axis, s.in_channels);
  tile.y += first * elements_per_row(s.out, axis, s.out_channels);
  return true;
}

// Some rows of each image: `parts` tiles per image, or nothing where the rows cannot be cut so.
std::vector<Tile> row_tiles(const ConvolutionShape& s, Pass pass, int64_t parts) {
  const bool outputs = pass == Pass::forward;
  const Sizes3& sizes = outputs ? s.out : s.in;
  const int axis = row_axis(sizes, s.spatial);
  if (axis < 0) return {};
  const int64_t n = sizes[static_cast<size_t>(axis)];
  const int64_t unit = outputs ? 1 : s.stride[static_cast<size_t>(axis)];
  const int64_t shift = outputs ? 0 : s.begin[static_cast<size_t>(axis)] % unit;
  parts = std::min(parts, n / unit);
  if (parts < 2) return {};
  std::vector<Tile> tiles;
  for (int64_t image = 0; image < s.images; ++image)
    for (int64_t part = 0; part < parts; ++part) {
      Range rows = part_of(n, parts, part);
      // Inputs are cut where a window begins.
      const auto align = [&](int64_t row) {
        return row == 0 || row == n ? row : std::min(n, pieces(row + shift, unit) * unit - shift);
      };
      rows = {align(rows.begin), align(rows.end)};
      if (rows.begin >= rows.end) return {};
      Tile tile;
      tile.x = image * s.in_pixels() * s.in_channels;
      tile.y = image * s.out_pixels() * s.out_channels;
      if (!(outputs ? cut_outputs(s, axis, rows, tile) : cut_inputs(s, axis, rows, tile)))
        return {};
      tiles.push_back(tile);
    }
  return tiles;
}

std::vector<Tile> image_tiles(const ConvolutionShape& s, int64_t images) {
  std::vector<Tile> tiles;
  for (int64_t first = 0; first < s.images; first += images) {
    Tile tile{s, first * s.in_pixels() * s.in_channels, first * s.out_pixels() * s.out_channels};
    tile.shape.images = std::min(images, s.images - first);
    tiles.push_back(tile);
  }
  return tiles;
}

std::vector<Tile> choose_tiles(const ConvolutionShape& s, Pass pass) {
  const int64_t work = std::max<int64_t>(s.image_multiplications(), 1);
  const int64_t images =
      std::clamp<int64_t>(std::max(least_work / work, s.images / (4 * wanted_tiles)), 1, s.images);
  if (pieces(s.images, images) < wanted_tiles && images == 1) {
    const int64_t parts = std::min(pieces(wanted_tiles, s.images), work / least_work);
    std::vector<Tile> rows = row_tiles(s, pass, parts);
    if (!rows.empty()) return rows;
  }
  return image_tiles(s, images);
}

// --- kernels for tiles ---

// The kernels of tiles that differ in few ways, and the weights as each wants them.
class TileKernels {
 public:
  // False when oneDNN lacks one of them.
  bool find(const std::vector<Tile>& tiles, ConvolutionRequest request) {
    for (const Tile& tile : tiles) {
      request.shape = tile.shape;
      if (!index(request)) return false;
    }
    return true;
  }
  void pack(const Tensor& weight) {
    for (Entry& entry : entries_) entry.weight = packed(weight, *entry.kernel);
  }

  struct Entry {
    ConvolutionRequest request;
    ConvolutionRef kernel;
    Tensor weight;
  };
  const Entry& of(size_t tile) const { return entries_[places_[tile]]; }

 private:
  bool index(ConvolutionRequest& request) {
    for (size_t i = entries_.size(); i-- > 0;) {
      if (!(entries_[i].request.shape == request.shape)) continue;
      places_.push_back(i);
      return true;
    }
    ConvolutionRef kernel = onednn::find_convolution(request);
    if (!kernel && request.weight_order != 0) {
      request.weight_order = 0;
      kernel = onednn::find_convolution(request);
    }
    if (!kernel) return false;
    places_.push_back(entries_.size());
    request.weight_order = onednn::weight_order(*kernel);
    entries_.push_back({request, std::move(kernel), Tensor()});
    return true;
  }

  // Once for each state of the weights.
  static Tensor packed(const Tensor& weight, const onednn::Convolution& kernel) {
    return derived_form(weight, {kPackedForOneDnn, onednn::weight_order(kernel), 0}, [&] {
      const Tensor plain = contiguous(weight);
      Tensor memory =
          empty({static_cast<int64_t>(onednn::weight_bytes(kernel))}, DType::uint8, Device{});
      if (!onednn::pack_weights(kernel, plain.address(), memory.address())) failed();
      return memory;
    });
  }

 public:
  [[noreturn]] static void failed() {
    fail(ErrorKind::memory,
         "convolution: oneDNN could not run one of its kernels. Expected enough memory for it. "
         "Fix: use a smaller batch.");
  }

 private:
  std::vector<Entry> entries_;
  std::vector<size_t> places_;
};

ConvolutionRequest request_for(Pass pass, DType dtype) {
  ConvolutionRequest request;
  request.pass = pass;
  request.bfloat16 = dtype == DType::bfloat16;
  return request;
}

// Tiles and their kernels; by whole images where rows cannot be had.
bool prepare(const ConvolutionShape& s, const ConvolutionRequest& request, std::vector<Tile>& tiles,
             TileKernels& kernels) {
  tiles = choose_tiles(s, request.pass);
  if (kernels.find(tiles, request)) return true;
  tiles = image_tiles(s, 1);
  kernels = TileKernels();
  return kernels.find(tiles, request);
}

const std::byte* element(const Tensor& x, int64_t place) {
  return x.data<std::byte>() + place * itemsize(x.dtype());
}

void run(const TileKernels::Entry& entry, onednn::ConvolutionArguments arguments) {
  Scratch scratch(static_cast<int64_t>(onednn::scratch_bytes(*entry.kernel)));
  arguments.scratch = scratch.data();
  if (!onednn::run_convolution(*entry.kernel, arguments)) TileKernels::failed();
}

// --- through float32 ---

bool needs_wide(const TensorSpan& inputs, const Tensor& output) {
  return is_half(inputs[0].dtype()) || is_half(output.dtype());
}

// Without kernels for a 16-bit type: in float32, rounded once.
template <class Function>
void through_float(Function function, TensorSpan outputs, TensorSpan inputs,
                   const ConvolutionAttributes& a) {
  std::vector<Tensor> wide;
  for (const Tensor& x : inputs) wide.push_back(x ? cast(x, DType::float32) : x);
  const Tensor out = empty_laid_out_like(outputs[0], DType::float32);
  function(TensorSpan(&out, 1), wide, a);
  copy_into(outputs[0], out);
}

// --- which algorithm ---
//
// Measured on Zen 5 with float32. 3 x 3 kernels of stride 1 go to Winograd's algorithm, kernels of
// one place to the matrix product. oneDNN's kernels reach 85 to 100 % of the peak in most others,
// but half of it where gradients scatter over the gaps of a stride, in the gradient of strided
// weights, and with the few channels of a first layer.

bool is_strided(const ConvolutionShape& s) { return s.stride != Sizes3{1, 1, 1}; }

// Kernels of one place whose sums run over `many` channels, with weights that stay in the cache:
// the register blocks read the pixels where they lie, and the matrix product packs them.
bool has_long_runs(const ConvolutionShape& s, int64_t channels, int64_t many) {
  return s.groups == 1 && s.kernel_size() == 1 && channels >= many &&
         s.weight_elements() <= int64_t{1} << 19;
}

bool has_few_channels(const ConvolutionShape& s) { return s.groups == 1 && s.in_channels < 16; }

Tensor optional(TensorSpan inputs, size_t i) { return i < inputs.size() ? inputs[i] : Tensor(); }

}  // namespace

// --- forward ---

void convolution_cpu(TensorSpan outputs, TensorSpan inputs, const ConvolutionAttributes& a) {
  const Tensor &x = inputs[0], &weight = inputs[1], &y = outputs[0];
  const Tensor bias = optional(inputs, 2), residual = optional(inputs, 3);
  const Clamp& clamp = a.clamp;
  if ((clamp.is_relu() || !clamp.any()) &&
      WinogradPath{a.shape}.forward(x, weight, bias, residual, clamp.is_relu(), y))
    return;
  // The product takes no residual and no clamp; where it may run, it is as fast up to 512 channels.
  const bool plain = !residual && !clamp.any();
  const bool strided_product = a.shape.kernel_size() == 1 && is_strided(a.shape);
  if ((strided_product || has_long_runs(a.shape, a.shape.in_channels, plain ? 512 : 256)) &&
      DirectPath{a.shape}.forward(x, weight, bias, residual, clamp, y))
    return;
  if (plain && ProductPath{a.shape}.forward(x, weight, bias, y)) return;
  if (DepthwisePath{a.shape}.forward(x, weight, bias, residual, clamp, y)) return;
  ConvolutionRequest request = request_for(Pass::forward, x.dtype());
  request.bias = bool{bias};
  request.residual = bool{residual};
  request.relu = clamp.any();
  request.limit = std::bit_cast<int32_t>(clamp.high);
  std::vector<Tile> tiles;
  TileKernels kernels;
  const bool fast = (x.dtype() == DType::float32 || x.dtype() == DType::bfloat16) &&
                    prepare(a.shape, request, tiles, kernels);
  if (!fast && is_half(x.dtype())) return through_float(convolution_cpu, outputs, inputs, a);
  if (!fast && DirectPath{a.shape}.forward(x, weight, bias, residual, clamp, y)) return;
  if (!fast) return GenericConvolution{a.shape}.forward(x, weight, bias, residual, clamp, y);
  kernels.pack(weight);
  const Tensor wide_bias = bias ? contiguous(cast(bias, DType::float32)) : bias;
  parallel_tiles(static_cast<int64_t>(tiles.size()), [&](int64_t i) {
    const Tile& tile = tiles[static_cast<size_t>(i)];
    const TileKernels::Entry& entry = kernels.of(static_cast<size_t>(i));
    run(entry, {.x = element(x, tile.x),
                .weight = entry.weight.address(),
                .y = element(y, tile.y),
                .bias = wide_bias ? wide_bias.data<float>() : nullptr,
                .residual = residual ? element(residual, tile.y) : nullptr});
  });
}

// --- gradient of the input ---

namespace {

// The bias of a transposed convolution, while its tile is in the cache.
void add_bias(const Tensor& dx, const Tensor& bias, int64_t first, int64_t pixels) {
  if (!bias) return;
  const int64_t channels = bias.size(0);
  const auto rows = [&]<class T>(T* to, const T* from) {
    for (int64_t pixel = 0; pixel < pixels; ++pixel, to += channels)
      for (int64_t c = 0; c < channels; ++c) to[c] += from[c];
  };
  switch (dx.dtype()) {
    case DType::float32:
      return rows(dx.data<float>() + first, bias.data<float>());
    case DType::float64:
      return rows(dx.data<double>() + first, bias.data<double>());
    default: {
      uint16_t* to = dx.data<uint16_t>() + first;
      for (int64_t i = 0; i < pixels * channels; ++i)
        to[i] = bfloat16_bits(bfloat16_value(to[i]) +
                              bfloat16_value(bias.data<uint16_t>()[i % channels]));
    }
  }
}

}  // namespace

void convolution_input_gradient_cpu(TensorSpan outputs, TensorSpan inputs,
                                    const ConvolutionAttributes& a) {
  const Tensor &g = inputs[0], &weight = inputs[1], &dx = outputs[0];
  const Tensor bias = inputs.size() > 2 && inputs[2] ? contiguous(inputs[2]) : Tensor();
  if (WinogradPath{a.shape}.input_gradient(g, weight, bias, dx)) return;
  if (!is_strided(a.shape) && has_long_runs(a.shape, a.shape.out_channels, 256) &&
      DirectPath{a.shape}.input_gradient(g, weight, bias, dx))
    return;
  if (!bias && ProductPath{a.shape}.input_gradient(g, weight, dx)) return;
  if (DepthwisePath{a.shape}.input_gradient(g, weight, bias, dx)) return;
  if (is_strided(a.shape) && !has_few_channels(a.shape) &&
      DirectPath{a.shape}.input_gradient(g, weight, bias, dx))
    return;
  // A vector of channels would be mostly empty.
  const bool by_windows = g.dtype() == DType::float32 && has_few_channels(a.shape);
  std::vector<Tile> tiles;
  TileKernels kernels;
  const bool fast = !by_windows && (g.dtype() == DType::float32 || g.dtype() == DType::bfloat16) &&
                    prepare(a.shape, request_for(Pass::input_gradient, g.dtype()), tiles, kernels);
  if (!fast && is_half(g.dtype()))
    return through_float(convolution_input_gradient_cpu, outputs, inputs, a);
  if (!fast) {
    GenericConvolution{a.shape}.input_gradient(g, weight, dx);
    return add_bias(dx, bias, 0, a.shape.images * a.shape.in_pixels());
  }
  kernels.pack(weight);
  parallel_tiles(static_cast<int64_t>(tiles.size()), [&](int64_t i) {
    const Tile& tile = tiles[static_cast<size_t>(i)];
    const TileKernels::Entry& entry = kernels.of(static_cast<size_t>(i));
    run(entry,
        {.x = element(dx, tile.x), .weight = entry.weight.address(), .y = element(g, tile.y)});
    add_bias(dx, bias, tile.x, tile.shape.images * tile.shape.in_pixels());
  });
}

// --- gradient of the weight ---

namespace {

// Over some output channels: their part of the gradient is complete, and their part of g is copied.
struct ChannelBlocks {
  int64_t count = 1;

  static ChannelBlocks choose(const ConvolutionShape& s) {
    constexpr int64_t narrowest = 32;
    const int64_t most = std::min<int64_t>(wanted_tiles / 2, s.out_channels / narrowest);
    return {std::clamp<int64_t>(s.multiplications() / least_work, 1, std::max<int64_t>(most, 1))};
  }
  // Whole vectors of channels.
  Range channels(const ConvolutionShape& s, int64_t i) const {
    const int64_t units = pieces(s.out_channels, 16);
    const Range range = part_of(units, count, i);
    return {range.begin * 16, std::min(range.end * 16, s.out_channels)};
  }
};

void copy_channels(const Tensor& g, Range channels, std::byte* to) {
  const int64_t item = itemsize(g.dtype()), row = g.size(1) * item;
  const int64_t pixels = g.size(1) == 0 ? 0 : g.elements() / g.size(1);
  const auto bytes = static_cast<size_t>((channels.end - channels.begin) * item);
  const std::byte* from = g.data<std::byte>() + channels.begin * item;
  for (int64_t pixel = 0; pixel < pixels; ++pixel, from += row, to += bytes)
    std::memcpy(to, from, bytes);
}

bool gradient_by_channels(const ConvolutionShape& s, const Tensor& g, const Tensor& x,
                          const Tensor& dweight) {
  if (s.groups > 1) return false;
  const ChannelBlocks blocks = ChannelBlocks::choose(s);
  std::vector<Tile> tiles(static_cast<size_t>(blocks.count));
  for (int64_t i = 0; i < blocks.count; ++i) {
    const Range channels = blocks.channels(s, i);
    tiles[static_cast<size_t>(i)].shape = s;
    tiles[static_cast<size_t>(i)].shape.out_channels = channels.end - channels.begin;
  }
  TileKernels kernels;
  if (!kernels.find(tiles, request_for(Pass::weight_gradient, g.dtype()))) return false;
  parallel_tiles(blocks.count, [&](int64_t i) {
    const TileKernels::Entry& entry = kernels.of(static_cast<size_t>(i));
    const Range channels = blocks.channels(s, i);
    const bool whole = blocks.count == 1;
    Scratch part(whole ? 0
                       : s.images * s.out_pixels() * (channels.end - channels.begin) *
                             itemsize(g.dtype()));
    if (!whole) copy_channels(g, channels, part.data());
    Scratch packed(static_cast<int64_t>(onednn::weight_bytes(*entry.kernel)));
    run(entry, {.x = x.address(), .weight = packed.data(), .y = whole ? g.address() : part.data()});
    float* const to = dweight.data<float>() + channels.begin * s.group_in() * s.kernel_size();
    if (!onednn::unpack_gradient(*entry.kernel, reinterpret_cast<float*>(packed.data()), to))
      TileKernels::failed();
  });
  return true;
}

// Over some images: each tile has a sum of its own, and these are added in order.
bool gradient_by_images(const ConvolutionShape& s, const Tensor& g, const Tensor& x,
                        const Tensor& dweight) {
  constexpr int64_t most_bytes = int64_t{1} << 25;
  const int64_t bytes = s.weight_elements() * int64_t{sizeof(float)};
  const int64_t most =
      std::clamp<int64_t>(most_bytes / std::max<int64_t>(bytes, 1), 1, wanted_tiles / 2);
  const int64_t wanted = std::clamp<int64_t>(s.multiplications() / least_work, 1, most);
  const std::vector<Tile> tiles = image_tiles(s, pieces(s.images, std::min(wanted, s.images)));
  TileKernels kernels;
  if (!kernels.find(tiles, request_for(Pass::weight_gradient, g.dtype()))) return false;
  const auto count = static_cast<int64_t>(tiles.size());
  const auto packed_bytes = static_cast<int64_t>(onednn::weight_bytes(*kernels.of(0).kernel));
  for (size_t i = 1; i < tiles.size(); ++i)
    if (onednn::weight_order(*kernels.of(i).kernel) != onednn::weight_order(*kernels.of(0).kernel))
      return false;
  const int64_t stride = (packed_bytes + 63) / 64 * 64;
  Scratch sums(count * stride);
  parallel_tiles(count, [&](int64_t i) {
    const Tile& tile = tiles[static_cast<size_t>(i)];
    run(kernels.of(static_cast<size_t>(i)),
        {.x = element(x, tile.x), .weight = sums.data() + i * stride, .y = element(g, tile.y)});
  });
  float* const first = reinterpret_cast<float*>(sums.data());
  const int64_t floats = packed_bytes / int64_t{sizeof(float)};
  parallel_ranges(count > 1 ? floats : 0, int64_t{1} << 15, [&](int64_t begin, int64_t end) {
    for (int64_t part = 1; part < count; ++part) {
      const float* const other = reinterpret_cast<const float*>(sums.data() + part * stride);
      for (int64_t i = begin; i < end; ++i) first[i] += other[i];
    }
  });
  if (!onednn::unpack_gradient(*kernels.of(0).kernel, first, dweight.data<float>()))
    TileKernels::failed();
  return true;
}

// Adding partial sums moves the weights' memory, blocks of channels that of g.
bool prefers_images(const ConvolutionShape& s) {
  return s.images > 1 &&
         s.weight_elements() * wanted_tiles / 2 < s.images * s.out_pixels() * s.out_channels;
}

}  // namespace

void convolution_weight_gradient_cpu(TensorSpan outputs, TensorSpan inputs,
                                     const ConvolutionAttributes& a) {
  const Tensor &g = inputs[0], &x = inputs[1], &dweight = outputs[0];
  if (WinogradPath{a.shape}.weight_gradient(g, x, dweight)) return;
  if (ProductPath{a.shape}.weight_gradient(g, x, dweight)) return;
  if (DepthwisePath{a.shape}.weight_gradient(g, x, dweight)) return;
  if ((is_strided(a.shape) || has_few_channels(a.shape)) &&
      DirectPath{a.shape}.weight_gradient(g, x, dweight))
    return;
  // Sums are float32 and rounded once.
  if (dweight.dtype() == DType::bfloat16) {
    const Tensor wide = empty(dweight.shape(), DType::float32, Device{});
    convolution_weight_gradient_cpu(TensorSpan(&wide, 1), inputs, a);
    return copy_into(dweight, wide);
  }
  const bool tried = g.dtype() == DType::float32 || g.dtype() == DType::bfloat16;
  if (tried && prefers_images(a.shape) && gradient_by_images(a.shape, g, x, dweight)) return;
  if (tried && gradient_by_channels(a.shape, g, x, dweight)) return;
  if (tried && gradient_by_images(a.shape, g, x, dweight)) return;
  if (DirectPath{a.shape}.weight_gradient(g, x, dweight)) return;
  if (needs_wide(inputs, dweight))
    return through_float(convolution_weight_gradient_cpu, outputs, inputs, a);
  GenericConvolution{a.shape}.weight_gradient(g, x, dweight);
}

}  // namespace samara
