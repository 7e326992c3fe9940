// Fourier transforms over any axes of any layout. Each axis is a set of lines, cut into tiles by
// their number and length alone.
#include "ops/fft.h"

#include <algorithm>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"

namespace samara {
namespace {

enum class FftKind { complex, from_real, to_real };

struct FftAttributes {
  FftKind kind;
  int axis;
  int64_t n;  // of the real side where there is one
  double scale;
  bool forward;
};

const FftKernel& kernel_for(DType dtype) {
  static const FftKernels& kernels =
      select_isa(baseline::fft_kernels, v3::fft_kernels, v4::fft_kernels);
  return real_dtype(dtype) == DType::float32 ? kernels.single : kernels.wide;
}

constexpr int64_t kTilePoints = 1 << 14;
constexpr int64_t kMostLines = 256;

// Where lines begin: their number is told by the axes other than `axis`, the last one fastest.
class LineOffsets {
 public:
  LineOffsets(const Tensor& in, const Tensor& out, int axis) {
    for (int i = 0; i < in.rank(); ++i) {
      if (i == axis) continue;
      sizes_.push_back(in.size(i));
      in_strides_.push_back(in.stride(i));
      out_strides_.push_back(out.stride(i));
    }
  }
  int64_t count() const { return element_count(sizes_); }
  void fill(int64_t first, int64_t count, int64_t* in, int64_t* out) const {
    const int rank = sizes_.size();
    Dims index = Dims::filled(rank, 0);
    int64_t from = 0, to = 0, rest = first;
    for (int i = rank - 1; i >= 0; --i) {
      index[i] = rest % sizes_[i];
      rest /= sizes_[i];
      from += index[i] * in_strides_[i];
      to += index[i] * out_strides_[i];
    }
    for (int64_t k = 0; k < count; ++k) {
      in[k] = from;
      out[k] = to;
      for (int i = rank - 1; i >= 0; --i) {
        from += in_strides_[i];
        to += out_strides_[i];
        if (++index[i] < sizes_[i]) break;
        index[i] = 0;
        from -= in_strides_[i] * sizes_[i];
        to -= out_strides_[i] * sizes_[i];
      }
    }
  }

 private:
  Dims sizes_, in_strides_, out_strides_;
};

// input: x of any layout; output: its transform along one axis, maybe in x's own memory.
void fft_cpu(TensorSpan outputs, TensorSpan inputs, const FftAttributes& attributes) {
  const Tensor &in = inputs[0], &out = outputs[0];
  if (out.elements() == 0) return;
  if (in.elements() == 0) return copy_into(out, scalar_tensor(Value(0.0), out.dtype(), {}));
  const FftKernel& kernel = kernel_for(in.dtype());
  auto* const run = attributes.kind == FftKind::complex     ? kernel.complex
                    : attributes.kind == FftKind::from_real ? kernel.from_real
                                                            : kernel.to_real;
  const int axis = attributes.axis;
  const LineOffsets offsets(in, out, axis);
  const int64_t wanted = attributes.kind == FftKind::to_real ? attributes.n / 2 + 1 : attributes.n;
  // Whole vectors of lines in every tile but the last.
  const int64_t grain = std::clamp<int64_t>(kTilePoints / attributes.n / 16 * 16, 16, kMostLines);
  parallel_ranges(offsets.count(), grain, [&](int64_t begin, int64_t end) {
    int64_t from[kMostLines], to[kMostLines];
    offsets.fill(begin, end - begin, from, to);
    run({.in = in.address(),
         .out = out.address(),
         .in_offsets = from,
         .out_offsets = to,
         .count = end - begin,
         .in_stride = in.stride(axis),
         .out_stride = out.stride(axis),
         .n = attributes.n,
         .have = std::min(in.size(axis), wanted),
         .scale = attributes.scale,
         .forward = attributes.forward});
  });
}
const KernelSlot<FftAttributes> fft_slot("fft", fft_cpu);

struct FftArguments {
  Tensor x;
  Dims axes, lengths;
  bool forward;
  double scale;
};

// (x, axis, n, forward, scale): n has one length for each axis.
FftArguments arguments_of(const Call& call, bool complex) {
  const Tensor& x = call.tensor(0);
  const DType real = real_dtype(x.dtype());
  if (is_complex(x.dtype()) != complex || (real != DType::float32 && real != DType::float64))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()), ". Expected ",
         complex ? "complex64 or complex128" : "float32 or float64",
         ". Fix: convert it first, e.g. x.to(samara.", complex ? "complex64" : "float32", ").");
  FftArguments arguments{x, normalize_axes(call[1].integers(), x.rank(), call.name()),
                         call[2].integers(), call.boolean(3), call.real(4)};
  if (arguments.axes.size() != arguments.lengths.size())
    fail(ErrorKind::argument, call.name(), ": ", arguments.lengths.size(), " lengths given for ",
         arguments.axes.size(), " axes. Expected one for each. Fix: name as many as axes.");
  for (const int64_t n : arguments.lengths)
    if (n < 1)
      fail(ErrorKind::argument, call.name(), ": a transform of ", n,
           " points was asked for. Expected at least 1. Fix: pass n, or a tensor that is not "
           "empty along that axis.");
  return arguments;
}

// The transform of x along one axis, in x's memory where `reuse` allows it.
Tensor along(const Tensor& x, const FftAttributes& attributes, bool reuse) {
  Dims shape = x.shape();
  shape[attributes.axis] =
      attributes.kind == FftKind::from_real ? attributes.n / 2 + 1 : attributes.n;
  DType dtype = x.dtype();
  if (attributes.kind == FftKind::from_real) dtype = complex_dtype(dtype);
  if (attributes.kind == FftKind::to_real) dtype = real_dtype(dtype);
  const bool in_place = reuse && attributes.kind == FftKind::complex && shape == x.shape();
  const Tensor out = in_place ? x : empty(shape, dtype, x.device());
  fft_slot(out, {x}, attributes);
  return out;
}

// Complex transforms along axes [first, last) of the list, the last one first.
Tensor along_all(Tensor x, const FftArguments& arguments, int first, int last, bool reuse,
                 double scale) {
  for (int i = last - 1; i >= first; --i) {
    x = along(x,
              {FftKind::complex, static_cast<int>(arguments.axes[i]), arguments.lengths[i], scale,
               arguments.forward},
              reuse);
    scale = 1;
    reuse = true;
  }
  return x;
}

void complex_forward(Call& call) {
  const FftArguments arguments = arguments_of(call, true);
  if (arguments.axes.empty()) return call.output(clone(arguments.x));
  call.output(along_all(arguments.x, arguments, 0, arguments.axes.size(), false, arguments.scale));
}

void require_an_axis(const Call& call, const FftArguments& arguments) {
  if (arguments.axes.empty())
    fail(ErrorKind::argument, call.name(),
         ": no axis was named. Expected at least one. Fix: name the axes to transform.");
}

void from_real_forward(Call& call) {
  const FftArguments arguments = arguments_of(call, false);
  require_an_axis(call, arguments);
  const int last = arguments.axes.size() - 1;
  const Tensor half = along(arguments.x,
                            {FftKind::from_real, static_cast<int>(arguments.axes[last]),
                             arguments.lengths[last], arguments.scale, arguments.forward},
                            false);
  call.output(along_all(half, arguments, 0, last, true, 1));
}

void to_real_forward(Call& call) {
  const FftArguments arguments = arguments_of(call, true);
  require_an_axis(call, arguments);
  const int last = arguments.axes.size() - 1;
  const Tensor spectrum = along_all(arguments.x, arguments, 0, last, false, 1);
  call.output(along(spectrum,
                    {FftKind::to_real, static_cast<int>(arguments.axes[last]),
                     arguments.lengths[last], arguments.scale, arguments.forward},
                    false));
}

const Register complex_registered({.name = "fft_complex", .forward = complex_forward});
const Register from_real_registered({.name = "fft_from_real", .forward = from_real_forward});
const Register to_real_registered({.name = "fft_to_real", .forward = to_real_forward});

}  // namespace
}  // namespace samara
