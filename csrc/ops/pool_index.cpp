// Max unpooling and fractional max pooling: planes read and written at indices.
#include <algorithm>
#include <limits>

#include "core/kernel.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/elements.h"
#include "ops/pool.h"
#include "ops/reduce.h"

namespace samara {
namespace {

// Planes of an image in either order; sizes of the whole and of one plane on both sides.
struct Planes {
  std::string_view place;
  int64_t images, channels, in, out;
  bool channels_last;

  int64_t count() const { return images * channels; }
  // The offset of a plane of `elements`, and the distance of its elements.
  int64_t from(int64_t plane, int64_t elements) const {
    return channels_last ? plane / channels * channels * elements + plane % channels
                         : plane * elements;
  }
  int64_t step() const { return channels_last ? channels : 1; }

  template <class Body>
  void each(Body&& body) const {
    parallel_ranges(count(), pool_grain(count(), in + out), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) body(from(p, in), from(p, out));
    });
  }
};

int64_t spatial_elements(const Dims& shape) {
  int64_t count = 1;
  for (int i = 2; i < shape.size(); ++i) count *= shape[i];
  return count;
}

// --- max_unpool ----------------------------------------------------------------------------------

[[noreturn, gnu::cold, gnu::noinline]] void outside(const Planes& planes, int64_t index) {
  fail(ErrorKind::index, planes.place, ": an index is ", index, ", and a plane of the output has ",
       planes.out,
       " elements. Expected indices of those elements, as max pooling returns them. Fix: pass the "
       "size of the pooled input as output_size.");
}

// inputs: x, indices; outputs: y, with x[i] at indices[i] and 0 elsewhere. The last one stays.
void unpool_cpu(TensorSpan outputs, TensorSpan inputs, const Planes& planes) {
  const int64_t* indices = inputs[1].data<int64_t>();
  const int64_t step = planes.step();
  visit_size(itemsize(inputs[0].dtype()), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = inputs[0].data<T>();
    T* y = outputs[0].data<T>();
    planes.each([&](int64_t in, int64_t out) {
      for (int64_t i = 0; i < planes.out; ++i) y[out + i * step] = T{};
      for (int64_t i = 0; i < planes.in; ++i) {
        const int64_t index = indices[in + i * step];
        if (index < 0 || index >= planes.out) outside(planes, index);
        y[out + index * step] = x[in + i * step];
      }
    });
  });
}
const KernelSlot<Planes> unpool_slot("max_unpool", unpool_cpu);

// inputs: g in y's shape, indices; outputs: g[indices[i]] for the last i of each index, else 0.
void unpool_adjoint_cpu(TensorSpan outputs, TensorSpan inputs, const Planes& planes) {
  const int64_t* indices = inputs[1].data<int64_t>();
  const int64_t step = planes.step();
  visit_size(itemsize(inputs[0].dtype()), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* g = inputs[0].data<T>();
    T* target = outputs[0].data<T>();
    parallel_ranges(planes.count(), pool_grain(planes.count(), planes.in + planes.out),
                    [&](int64_t begin, int64_t end) {
                      // Who wrote an element; read only where it was set for the plane at hand.
                      Scratch scratch(planes.out * static_cast<int64_t>(sizeof(int64_t)));
                      int64_t* writer = reinterpret_cast<int64_t*>(scratch.data());
                      for (int64_t p = begin; p < end; ++p) {
                        const int64_t in = planes.from(p, planes.in),
                                      out = planes.from(p, planes.out);
                        for (int64_t i = 0; i < planes.in; ++i) {
                          const int64_t index = indices[in + i * step];
                          if (index < 0 || index >= planes.out) outside(planes, index);
                          writer[index] = i;
                        }
                        for (int64_t i = 0; i < planes.in; ++i) {
                          const int64_t index = indices[in + i * step];
                          target[in + i * step] = writer[index] == i ? g[out + index * step] : T{};
                        }
                      }
                    });
  });
}
const KernelSlot<Planes> unpool_adjoint_slot("max_unpool_adjoint", unpool_adjoint_cpu);

const NativeCall unpool[] = {NativeCall("max_unpool1d"), NativeCall("max_unpool2d"),
                             NativeCall("max_unpool3d")};
const NativeCall unpool_adjoint("max_unpool_adjoint");

void check_indices(const Call& call, const Tensor& x, const Tensor& indices) {
  if (!is_integer(indices.dtype()))
    fail(ErrorKind::dtype, call.name(), ": indices has dtype ", name(indices.dtype()),
         ". Expected integers. Fix: pass the indices that max pooling returns with "
         "return_indices=True.");
  if (!(x.shape() == indices.shape()))
    fail(ErrorKind::shape, call.name(), ": x has shape ", x.shape(), " and indices ",
         indices.shape(), ". Expected equal shapes. Fix: pass the indices that belong to x.");
}

Dims with_spatial(const Dims& batched, const Dims& sizes) {
  Dims shape{batched[0], batched[1]};
  for (int64_t size : sizes) shape.push_back(size);
  static_cast<void>(checked_element_count(shape));
  return shape;
}

// (x, indices, spatial sizes of the result)
template <int kRank>
void max_unpool_forward(Call& call) {
  const Tensor &x = call.tensor(0), &indices = call.tensor(1);
  check_pool_input(call.name(), x, kRank);
  check_indices(call, x, indices);
  if (!is_floating(x.dtype()) && !is_integer(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
         ". Expected a real dtype. Fix: convert it, e.g. x.to(samara.float32).");
  const Dims sizes = per_axis(call.name(), "output_size", call[2].integers(), kRank);
  for (int64_t size : sizes)
    if (size < 1)
      fail(ErrorKind::argument, call.name(), ": output_size is ", sizes,
           ". Expected positive numbers. Fix: pass the size of the pooled input.");
  const Tensor batch = batched(x, kRank);
  const ImageOrder order = image_order(batch);
  const Dims shape = with_spatial(batch.shape(), sizes);
  const Tensor y = empty_image(shape, x.dtype(), x.device(), order);
  const Tensor inputs[] = {in_order(batch, order),
                           in_order(batched(cast(indices, DType::int64), kRank), order)};
  const Planes planes{call.name(),
                      shape[0],
                      shape[1],
                      spatial_elements(batch.shape()),
                      spatial_elements(shape),
                      order == ImageOrder::channels_last};
  if (y.elements() > 0) unpool_slot(TensorSpan(&y, 1), TensorSpan(inputs, 2), planes);
  call.output(unbatched_like(y, x, kRank));
}

template <int kRank>
void max_unpool_backward(BackwardCall& call) {
  if (call.needs(0)) call.set(0, unpool_adjoint(call.gradient(), call.tensor(1), int64_t{kRank}));
}

// (g, indices, number of spatial axes)
void unpool_adjoint_forward(Call& call) {
  const int rank = static_cast<int>(call.integer(2));
  const Tensor &g = call.tensor(0), &indices = call.tensor(1);
  const Tensor places = batched(indices, rank);
  const ImageOrder order = image_order(places);
  const Tensor inputs[] = {in_order(batched(g, rank), order),
                           in_order(cast(places, DType::int64), order)};
  const Tensor out = empty_image(places.shape(), g.dtype(), g.device(), order);
  const Planes planes{call.name(),
                      places.size(0),
                      places.size(1),
                      spatial_elements(places.shape()),
                      spatial_elements(inputs[0].shape()),
                      order == ImageOrder::channels_last};
  if (out.elements() > 0) unpool_adjoint_slot(TensorSpan(&out, 1), TensorSpan(inputs, 2), planes);
  call.output(unbatched_like(out, g, rank));
}

void unpool_adjoint_backward(BackwardCall& call) {
  if (!call.needs(0)) return;
  const Dims& shape = call.tensor(0).shape();
  const int rank = static_cast<int>(call[2].integer());
  Dims sizes;
  for (int i = shape.size() - rank; i < shape.size(); ++i) sizes.push_back(shape[i]);
  call.set(0, unpool[rank - 1](call.gradient(), call.tensor(1), sizes));
}

const Register unpool_adjoint_registered({.name = "max_unpool_adjoint",
                                          .forward = unpool_adjoint_forward,
                                          .backward = unpool_adjoint_backward,
                                          .saved_inputs = 0b10,
                                          .backward_records = true});

// --- fractional_max_pool -------------------------------------------------------------------------

struct FractionalWindow {
  Dims in, out, kernel;  // spatial
  bool channels_last;
  int64_t images, channels;
};

// The first inputs of the windows along one axis: steps of (in - kernel) / (out - 1), rounded down
// after a shift by the sample. Computed in the sample's type.
template <class W>
void fractional_starts(W given, int64_t in, int64_t out, int64_t kernel, int64_t* starts) {
  const W sample = given >= 0 ? std::min(given, W(1)) : W(0);
  if (out > 1) {
    const W step = static_cast<W>(in - kernel) / static_cast<W>(out - 1);
    const auto origin = static_cast<int64_t>(sample * step);
    for (int64_t o = 0; o + 1 < out; ++o)
      starts[o] = std::clamp<int64_t>(
          static_cast<int64_t>((static_cast<W>(o) + sample) * step) - origin, 0, in - kernel);
  }
  starts[out - 1] = in - kernel;
}

template <class T>
auto wide(T value) {
  if constexpr (std::is_same_v<T, Float16>)
    return float16_value(value.bits);
  else if constexpr (std::is_same_v<T, BFloat16>)
    return bfloat16_value(value.bits);
  else
    return value;
}

template <class T>
void fractional_plane(const T* x, T* y, int64_t* indices, int64_t step,
                      const int64_t* const* starts, const int64_t* in, const int64_t* out,
                      const int64_t* kernel) {
  int64_t o = 0;
  for (int64_t oz = 0; oz < out[0]; ++oz)
    for (int64_t oy = 0; oy < out[1]; ++oy)
      for (int64_t ox = 0; ox < out[2]; ++ox, ++o) {
        const int64_t z = starts[0][oz], top = starts[1][oy], left = starts[2][ox];
        int64_t place = (z * in[1] + top) * in[2] + left;
        T best = x[place * step];
        for (int64_t kz = 0; kz < kernel[0]; ++kz)
          for (int64_t ky = 0; ky < kernel[1]; ++ky)
            for (int64_t kx = 0; kx < kernel[2]; ++kx) {
              const int64_t i = ((z + kz) * in[1] + top + ky) * in[2] + left + kx;
              const T value = x[i * step];
              if (!(wide(value) > wide(best) || wide(value) != wide(value))) continue;
              best = value;
              place = i;
            }
        y[o * step] = best;
        indices[o * step] = place;
      }
}

// inputs: x, samples [N, C, rank]; outputs: y, indices. The samples stand in the order (x, y) of
// two axes and (z, y, x) of three.
void fractional_cpu(TensorSpan outputs, TensorSpan inputs, const FractionalWindow& window) {
  const int rank = window.in.size();
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  for (int i = 0; i < rank; ++i) {
    in[3 - rank + i] = window.in[i];
    out[3 - rank + i] = window.out[i];
    kernel[3 - rank + i] = window.kernel[i];
  }
  const Planes planes{"",
                      window.images,
                      window.channels,
                      in[0] * in[1] * in[2],
                      out[0] * out[1] * out[2],
                      window.channels_last};
  const auto run = [&]<class T>(TypeTag<T>) {
    using W = decltype(wide(T{}));
    const T* samples = inputs[1].data<T>();
    parallel_ranges(
        planes.count(), pool_grain(planes.count(), planes.in + planes.out),
        [&](int64_t begin, int64_t end) {
          Scratch scratch((out[0] + out[1] + out[2]) * static_cast<int64_t>(sizeof(int64_t)));
          int64_t* memory = reinterpret_cast<int64_t*>(scratch.data());
          int64_t* const starts[] = {memory, memory + out[0], memory + out[0] + out[1]};
          for (int64_t p = begin; p < end; ++p) {
            for (int axis = 0; axis < 3; ++axis) {
              const int given = rank == 2 ? 2 - axis : axis;
              const W sample = axis < 3 - rank ? W(0) : W(wide(samples[p * rank + given]));
              fractional_starts(sample, in[axis], out[axis], kernel[axis], starts[axis]);
            }
            const int64_t to = planes.from(p, planes.out);
            fractional_plane(inputs[0].data<T>() + planes.from(p, planes.in),
                             outputs[0].data<T>() + to, outputs[1].data<int64_t>() + to,
                             planes.step(), starts, in, out, kernel);
          }
        });
  };
  switch (inputs[0].dtype()) {
    case DType::float16:
      return run(TypeTag<Float16>{});
    case DType::bfloat16:
      return run(TypeTag<BFloat16>{});
    case DType::float32:
      return run(TypeTag<float>{});
    default:
      return run(TypeTag<double>{});
  }
}
const KernelSlot<FractionalWindow> fractional_slot("fractional_max_pool", fractional_cpu);

void check_fraction(const Call& call, const Dims& input, const Dims& kernel, const Dims& output) {
  for (int i = 0; i < kernel.size(); ++i) {
    const int64_t in = input[i + 2];
    if (kernel[i] < 1 || kernel[i] > in)
      fail(ErrorKind::argument, call.name(), ": kernel_size is ", kernel, " and the input has ", in,
           " along spatial axis ", i,
           ". Expected a kernel of at least 1 and at most the input. Fix: use a smaller "
           "kernel_size.");
    if (output[i] < 1 || output[i] > in - kernel[i] + 1)
      fail(ErrorKind::argument, call.name(), ": output_size is ", output, ", kernel_size ", kernel,
           " and the input has ", in, " along spatial axis ", i, ". Expected 1 to ",
           in - kernel[i] + 1,
           " there, the input less the kernel plus 1. Fix: use a smaller "
           "output_size or kernel_size.");
  }
}

// (x, samples, kernel_size, output_size) -> values, indices
template <int kRank>
void fractional_forward(Call& call) {
  const Tensor &given = call.tensor(0), &samples = call.tensor(1);
  if (!is_floating(given.dtype()))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(given.dtype()),
         ". Expected a real floating-point dtype. Fix: convert it, e.g. x.to(samara.float32).");
  check_pool_input(call.name(), given, kRank);
  const Tensor batch = batched(given, kRank);
  const Dims kernel = per_axis(call.name(), "kernel_size", call[2].integers(), kRank);
  const Dims sizes = per_axis(call.name(), "output_size", call[3].integers(), kRank);
  check_fraction(call, batch.shape(), kernel, sizes);
  const Dims wanted{batch.size(0), batch.size(1), kRank};
  if (!(samples.shape() == wanted) || samples.dtype() != given.dtype())
    fail(ErrorKind::shape, call.name(), ": _random_samples has shape ", samples.shape(),
         " and dtype ", name(samples.dtype()), ". Expected ", wanted, " and ", name(given.dtype()),
         ", x's. Fix: leave it out, or draw it with samara.rand.");
  const ImageOrder order = image_order(batch);
  const Dims shape = with_spatial(batch.shape(), sizes);
  const Tensor outputs[] = {empty_image(shape, given.dtype(), given.device(), order),
                            empty_image(shape, DType::int64, given.device(), order)};
  const Tensor inputs[] = {in_order(batch, order), contiguous(samples)};
  FractionalWindow window{{},       sizes,   kernel, order == ImageOrder::channels_last,
                          shape[0], shape[1]};
  for (int i = 2; i < kRank + 2; ++i) window.in.push_back(batch.size(i));
  if (outputs[0].elements() > 0)
    fractional_slot(TensorSpan(outputs, 2), TensorSpan(inputs, 2), window);
  const Tensor indices = unbatched_like(outputs[1], given, kRank);
  if (call.records) call.saved.push_back(indices);
  call.output(unbatched_like(outputs[0], given, kRank));
  call.output(indices);
}

const NativeCall reshape("reshape");
const NativeCall scatter_add("scatter_add");

template <int kRank>
void fractional_backward(BackwardCall& call) {
  if (!call.needs(0)) return;
  const Tensor& x = call.tensor(0);
  const Tensor& indices = call.saved(0);
  Dims planes, flat;
  for (int i = 0; i < x.rank() - kRank; ++i) planes.push_back(x.size(i));
  flat = planes;
  int64_t in = 1, out = 1;
  for (int i = x.rank() - kRank; i < x.rank(); ++i) {
    in *= x.size(i);
    out *= indices.size(i);
  }
  planes.push_back(in);
  flat.push_back(out);
  const Tensor sums = scatter_add(zeros(planes, x.dtype(), x.device()), int64_t{-1},
                                  reshape(indices, flat), reshape(call.gradient(), flat));
  call.set(0, reshape(sums, x.shape()));
}

template <int kRank>
constexpr NativeOperation max_unpool(std::string_view name) {
  return {.name = name,
          .forward = max_unpool_forward<kRank>,
          .backward = max_unpool_backward<kRank>,
          .saved_inputs = 0b10,
          .backward_records = true};
}
template <int kRank>
constexpr NativeOperation fractional(std::string_view name) {
  return {.name = name,
          .forward = fractional_forward<kRank>,
          .backward = fractional_backward<kRank>,
          .backward_records = true};
}

const Register registered[] = {
    Register(max_unpool<1>("max_unpool1d")),
    Register(max_unpool<2>("max_unpool2d")),
    Register(max_unpool<3>("max_unpool3d")),
    Register(fractional<2>("fractional_max_pool2d")),
    Register(fractional<3>("fractional_max_pool3d")),
};

}  // namespace
}  // namespace samara
