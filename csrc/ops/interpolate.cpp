// resample: images, signals and volumes at another size.
//
// samara.interpolate reads the arguments; what arrives here are sizes, a mode and, where the caller
// gave them, scale factors. The maps are those of PyTorch: pixels are areas unless align_corners
// makes them points; nearest computes its places in float32.
#include "ops/interpolate.h"

#include <cmath>
#include <vector>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/choice.h"
#include "ops/image.h"
#include "ops/reduce.h"

namespace samara {
namespace {

enum class ResampleMode { nearest, nearest_exact, linear, cubic, area };
constexpr std::string_view kResampleModes[] = {"nearest", "nearest-exact", "linear", "cubic",
                                               "area"};

struct ResampleRule {
  ResampleMode mode;
  bool align_corners, antialias;
};

// --- the map along one axis ----------------------------------------------------------------------

// One axis of the map; output i reads a run of inputs.
struct Band {
  int64_t in, out;
  std::vector<int32_t> first, count;
  std::vector<double> weights;  // one run after the other
  std::vector<size_t> starts;   // of the runs

  Band(int64_t inputs, int64_t outputs) : in(inputs), out(outputs) {
    first.reserve(static_cast<size_t>(out));
    count.reserve(static_cast<size_t>(out));
    starts.reserve(static_cast<size_t>(out));
  }
  // The next output's run.
  void add(int64_t start, std::span<const double> run) {
    first.push_back(static_cast<int32_t>(start));
    count.push_back(static_cast<int32_t>(run.size()));
    starts.push_back(weights.size());
    weights.insert(weights.end(), run.begin(), run.end());
  }
  // Without inputs at the ends that do not count: their infinities stay out.
  void add_trimmed(int64_t start, std::span<const double> run) {
    while (run.size() > 1 && run.back() == 0.0) run = run.first(run.size() - 1);
    while (run.size() > 1 && run.front() == 0.0) {
      run = run.subspan(1);
      ++start;
    }
    add(start, run);
  }
  std::span<const double> run(int64_t o) const {
    const auto at = static_cast<size_t>(o);
    return {weights.data() + starts[at], static_cast<size_t>(count[at])};
  }
};

// How far apart two outputs are in the input.
double axis_scale(const ResampleRule& rule, int64_t in, int64_t out, double factor) {
  if (rule.align_corners)
    return out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0.0;
  return factor > 0 ? 1.0 / factor : static_cast<double>(in) / static_cast<double>(out);
}

void add_nearest(Band& band, double factor, float shift) {
  const float scale = factor > 0 ? static_cast<float>(1.0 / factor)
                                 : static_cast<float>(band.in) / static_cast<float>(band.out);
  for (int64_t i = 0; i < band.out; ++i) {
    const double one = 1.0;
    const float place = std::floor((static_cast<float>(i) + shift) * scale);
    band.add(std::min(static_cast<int64_t>(place), band.in - 1), {&one, 1});
  }
}

// The cubic convolution of Keys, 1981, with the slope `a` at distance 1.
double cubic_weight(double x, double a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

// Places beyond an end count as the last one.
void add_clamped(Band& band, int64_t start, std::span<const double> run) {
  const int64_t last = band.in - 1, size = static_cast<int64_t>(run.size());
  const int64_t first = std::clamp<int64_t>(start, 0, last);
  const int64_t stop = std::clamp<int64_t>(start + size - 1, 0, last) + 1;
  double merged[4] = {};
  for (int64_t k = 0; k < size; ++k)
    merged[std::clamp<int64_t>(start + k, 0, last) - first] += run[static_cast<size_t>(k)];
  band.add(first, {merged, static_cast<size_t>(stop - first)});
}

void add_interpolated(Band& band, const ResampleRule& rule, double factor) {
  const double scale = axis_scale(rule, band.in, band.out, factor);
  const bool cubic = rule.mode == ResampleMode::cubic;
  // An axis that keeps its size stays as it is, as in PyTorch, whatever the factor.
  const bool same = !cubic && band.in == band.out;
  for (int64_t i = 0; i < band.out; ++i) {
    const double at = static_cast<double>(i);
    double place = same ? at : rule.align_corners ? scale * at : scale * (at + 0.5) - 0.5;
    if (!cubic) place = std::max(place, 0.0);
    const int64_t start = std::min(static_cast<int64_t>(std::floor(place)), band.in - 1);
    // The last input has no neighbour, and may stand for places behind it.
    const double t = !cubic && start == band.in - 1
                         ? 0.0
                         : std::clamp(place - static_cast<double>(start), 0.0, 1.0);
    const double cubic_run[] = {cubic_weight(t + 1, -0.75), cubic_weight(t, -0.75),
                                cubic_weight(1 - t, -0.75), cubic_weight(2 - t, -0.75)};
    const double linear_run[] = {1 - t, t};
    if (cubic)
      add_clamped(band, start - 1, cubic_run);
    else
      band.add_trimmed(start, std::span(linear_run).first(start < band.in - 1 ? 2 : 1));
  }
}

// A filter as wide as the distance between outputs, cut off at the ends and brought to sum 1.
void add_antialiased(Band& band, const ResampleRule& rule, double factor) {
  const double scale = axis_scale(rule, band.in, band.out, factor);
  const double stretch = std::max(scale, 1.0);
  const bool cubic = rule.mode == ResampleMode::cubic;
  const double support = (cubic ? 2.0 : 1.0) * stretch;
  std::vector<double> run;
  for (int64_t i = 0; i < band.out; ++i) {
    const double center = scale * (static_cast<double>(i) + 0.5);
    const auto start = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const auto stop = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), band.in);
    double total = 0;
    run.clear();
    for (int64_t k = start; k < stop; ++k) {
      const double x = (static_cast<double>(k) - center + 0.5) / stretch;
      run.push_back(cubic ? cubic_weight(x, -0.5) : std::max(1 - std::abs(x), 0.0));
      total += run.back();
    }
    for (double& weight : run) weight = total != 0 ? weight / total : weight;
    if (cubic)
      band.add(start, run);
    else
      band.add_trimmed(start, run);
  }
}

void add_averages(Band& band) {
  for (int64_t i = 0; i < band.out; ++i) {
    const int64_t start = i * band.in / band.out;
    const int64_t stop = ((i + 1) * band.in + band.out - 1) / band.out;
    const auto size = static_cast<size_t>(stop - start);
    band.add(start, std::vector<double>(size, 1.0 / static_cast<double>(size)));
  }
}

Band make_band(const ResampleRule& rule, int64_t in, int64_t out, double factor) {
  Band band(in, out);
  switch (rule.mode) {
    case ResampleMode::nearest:
      add_nearest(band, factor, 0.0f);
      break;
    case ResampleMode::nearest_exact:
      add_nearest(band, factor, 0.5f);
      break;
    case ResampleMode::area:
      add_averages(band);
      break;
    default:
      if (rule.antialias)
        add_antialiased(band, rule, factor);
      else
        add_interpolated(band, rule, factor);
  }
  return band;
}

// Input j of the transpose is output j of the band. Runs never step back, so those that hold one
// input are neighbours.
Band transposed(const Band& band) {
  Band turned(band.out, band.in);
  int64_t begin = 0, end = 0;
  const auto stop = [&](int64_t o) {
    const auto i = static_cast<size_t>(o);
    return static_cast<int64_t>(band.first[i]) + band.count[i];
  };
  std::vector<double> run;
  for (int64_t i = 0; i < band.in; ++i) {
    while (begin < band.out && stop(begin) <= i) ++begin;
    end = std::max(end, begin);
    while (end < band.out && band.first[static_cast<size_t>(end)] <= i) ++end;
    run.clear();
    for (int64_t o = begin; o < end; ++o)
      run.push_back(band.run(o)[static_cast<size_t>(i - band.first[static_cast<size_t>(o)])]);
    turned.add(begin < band.out ? begin : 0, run);
  }
  return turned;
}

// --- the tables the kernels read -----------------------------------------------------------------

template <class L>
void pack_weights(const Band& band, int64_t width, std::vector<std::byte>& bytes) {
  bytes.resize(static_cast<size_t>(std::max<int64_t>(width, 1) * band.out) * sizeof(L));
  L* packed = reinterpret_cast<L*>(bytes.data());
  for (int64_t o = 0; o < band.out; ++o) {
    const std::span<const double> run = band.run(o);
    for (size_t k = 0; k < run.size(); ++k)
      packed[static_cast<int64_t>(k) * band.out + o] = static_cast<L>(run[k]);
  }
}

struct PackedBand {
  Band band;
  std::vector<std::byte> weights;
  BandView view{};

  PackedBand(Band made, bool wide) : band(std::move(made)) {
    view = {band.in, band.out, 0, band.first.data(), band.count.data(), nullptr, 0, 0, 0, 0, true};
    for (int64_t o = 0; o < band.out; ++o) {
      const auto at = static_cast<size_t>(o);
      view.width = std::max<int64_t>(view.width, band.count[at]);
      view.identity = view.identity && band.in == band.out && band.first[at] == o &&
                      band.count[at] == 1 && band.run(o)[0] == 1.0;
    }
    find_even();
    find_period();
    if (wide)
      pack_weights<double>(band, view.width, weights);
    else
      pack_weights<float>(band, view.width, weights);
    view.weights = weights.data();
  }

 private:
  // The longest run of outputs with the largest count.
  void find_even() {
    int64_t begin = 0;
    for (int64_t o = 0; o <= band.out; ++o) {
      if (o < band.out && band.count[static_cast<size_t>(o)] == view.width) continue;
      if (o - begin > view.even_end - view.even_begin) {
        view.even_begin = begin;
        view.even_end = o;
      }
      begin = o + 1;
    }
  }
  void find_period() {
    for (const auto& [period, step] : {std::pair<int64_t, int64_t>{2, 1}, {1, 2}}) {
      bool holds = view.even_end - view.even_begin >= 2 * period;
      for (int64_t o = view.even_begin; holds && o + period < view.even_end; ++o) {
        const auto a = static_cast<size_t>(o), b = static_cast<size_t>(o + period);
        holds = band.first[b] == band.first[a] + step &&
                std::ranges::equal(band.run(o), band.run(o + period));
      }
      if (!holds) continue;
      view.period = period;
      view.step = step;
      return;
    }
  }
};

struct ResampleMap {
  std::vector<PackedBand> axes;  // d, h, w
  ImageOrder order;
};

constexpr int64_t kTileElements = 1 << 15;

// x and out: [N, C, *spatial], both in the map's order.
void resample_cpu(TensorSpan outputs, TensorSpan inputs, const ResampleMap& map) {
  const Tensor& out = outputs[0];
  const Tensor& x = inputs[0];
  if (out.elements() == 0) return;
  static const ResampleKernels& kernels =
      select_isa(baseline::resample_kernels, v3::resample_kernels, v4::resample_kernels);
  const ResamplePlane plane = kernels.plane[static_cast<int>(x.dtype())];
  const bool last = map.order == ImageOrder::channels_last;
  ResampleTask task{map.axes[0].view, map.axes[1].view, map.axes[2].view,
                    last ? x.size(1) : int64_t{1}, false};
  // Where channels lie last both orders cost the same, and this one keeps less in the caches.
  task.rows_first = task.inner == 1 && task.h.in < task.h.out;
  const int64_t planes = last ? x.size(0) : x.size(0) * x.size(1);
  const int64_t rows = task.d.out * task.h.out, row = task.w.out * task.inner;
  const int64_t item = x.dtype() == DType::float64 ? 8 : 4;
  const int64_t scratch_bytes = resample_scratch(task, item).bytes;
  const int64_t x_bytes = x.elements() / planes * itemsize(x.dtype());
  const int64_t out_bytes = rows * row * itemsize(x.dtype());
  // Small planes share a tile; large ones are cut into runs of rows.
  const int64_t run = std::clamp<int64_t>(kTileElements / row, 8, std::max<int64_t>(rows, 8));
  const int64_t runs = (rows - 1) / run + 1;
  const int64_t together = runs > 1 ? 1 : std::max<int64_t>(1, kTileElements / (rows * row));
  parallel_ranges(planes * runs, together, [&](int64_t begin, int64_t end) {
    Scratch scratch(scratch_bytes);
    for (int64_t part = begin; part < end; ++part) {
      const int64_t p = part / runs, from = part % runs * run;
      plane(x.data<std::byte>() + p * x_bytes, out.data<std::byte>() + p * out_bytes, task, from,
            std::min(from + run, rows), scratch.data());
    }
  });
}
const KernelSlot<ResampleMap> resample_slot("resample", resample_cpu);

// --- resample(x, size, mode, align_corners, antialias, factors of d, h, w) -----------------------
// resample_adjoint has the size of x in place of `size` and the same other arguments.

constexpr int64_t kLargestAxis = int64_t{1} << 30;

void check_image(const Tensor& x, const Dims& size) {
  if (!is_floating(x.dtype()) && x.dtype() != DType::uint8)
    fail(ErrorKind::dtype, "interpolate: x has dtype ", name(x.dtype()),
         ". Expected a real floating-point dtype or uint8. Fix: convert it, e.g. "
         "x.to(samara.float32).");
  const int spatial = x.rank() - 2;
  if (spatial < 1 || spatial > 3 || size.size() != spatial)
    fail(ErrorKind::shape, "interpolate: x has shape ", x.shape(), " and size is ", size,
         ". Expected [N, C, *spatial] with one to three spatial axes and as many sizes. Fix: give "
         "one size per spatial axis.");
  for (int i = 0; i < spatial; ++i)
    if (size[i] < 1 || x.size(2 + i) < 1 || size[i] > kLargestAxis || x.size(2 + i) > kLargestAxis)
      fail(ErrorKind::shape, "interpolate: spatial shape ",
           Dims(std::span(x.shape().begin() + 2, static_cast<size_t>(spatial))), " is to become ",
           size, ". Expected sizes from 1 to ", kLargestAxis,
           ". Fix: correct the size or scale_factor.");
}

ResampleMap make_map(const Call& call, const Dims& from, const Dims& to, bool transpose,
                     DType dtype, ImageOrder order) {
  const ResampleRule rule{
      static_cast<ResampleMode>(choose("interpolate", "mode", call[2].text(), kResampleModes)),
      call.boolean(3), call.boolean(4)};
  ResampleMap map{{}, order};
  for (int i = 0; i < 3; ++i) {
    const int axis = i - (3 - to.size());  // among the spatial axes
    Band band = axis < 0 ? make_band({ResampleMode::nearest, false, false}, 1, 1, 0.0)
                         : make_band(rule, from[axis], to[axis],
                                     call[5 + i].is_none() ? 0.0 : call.real(5 + i));
    map.axes.emplace_back(transpose ? transposed(band) : std::move(band), dtype == DType::float64);
  }
  return map;
}

Dims spatial_shape(const Tensor& x) {
  Dims sizes;
  for (int i = 2; i < x.rank(); ++i) sizes.push_back(x.size(i));
  return sizes;
}

// Also channels cut out of an image whose channels lie last: gradients of concat come so.
ImageOrder order_of(const Tensor& x) {
  const bool inner = x.rank() > 2 && x.size(1) > 1 && x.stride(1) == 1;
  return inner && !x.is_contiguous() ? ImageOrder::channels_last : image_order(x);
}

void resample_any(Call& call, bool transpose) {
  const Tensor& x = call.tensor(0);
  const Dims& size = call[1].integers();
  check_image(x, size);
  Dims shape{x.size(0), x.size(1)};
  for (int64_t one : size) shape.push_back(one);
  const ImageOrder order = order_of(x);
  const Tensor out = empty_image(shape, x.dtype(), x.device(), order);
  const Dims own = spatial_shape(x);
  resample_slot(out, {in_order(x, order)},
                transpose ? make_map(call, size, own, true, x.dtype(), order)
                          : make_map(call, own, size, false, x.dtype(), order));
  call.output(out);
}
void resample_forward(Call& call) { resample_any(call, false); }
void resample_adjoint_forward(Call& call) { resample_any(call, true); }

const NativeCall resample("resample");
const NativeCall resample_adjoint("resample_adjoint");

// Each one's gradient is the other, towards the size that its input had.
void turn_back(BackwardCall& call, const NativeCall& other) {
  call.set(0, other(call.gradient(), spatial_shape(call.tensor(0)), call[2], call[3], call[4],
                    call[5], call[6], call[7]));
}
void resample_backward(BackwardCall& call) { turn_back(call, resample_adjoint); }
void resample_adjoint_backward(BackwardCall& call) { turn_back(call, resample); }

const Register resample_registered({.name = "resample",
                                    .forward = resample_forward,
                                    .backward = resample_backward,
                                    .backward_records = true});
const Register resample_adjoint_registered({.name = "resample_adjoint",
                                            .forward = resample_adjoint_forward,
                                            .backward = resample_adjoint_backward,
                                            .backward_records = true});

}  // namespace
}  // namespace samara
