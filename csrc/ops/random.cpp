// Random numbers as operations. Each takes its key as an integer and gives what
// csrc/core/random.h says for it, on every device and with any number of threads.
#include "ops/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"

namespace samara {
namespace {

using random::kGroupWords;
using random::kLanes;
using random::Purpose;

const RandomKernels& kernels() {
  static const RandomKernels& chosen =
      select_isa(baseline::random_kernels, v3::random_kernels, v4::random_kernels);
  return chosen;
}

// A multiple of every group, small enough that a tile stays in the cache.
constexpr int64_t kTile = 128 * kGroupWords;

const FloatRandomKernels<Float16>& kernels_of(TypeTag<Float16>) { return kernels().float16; }
const FloatRandomKernels<BFloat16>& kernels_of(TypeTag<BFloat16>) { return kernels().bfloat16; }
const FloatRandomKernels<float>& kernels_of(TypeTag<float>) { return kernels().float32; }
const FloatRandomKernels<double>& kernels_of(TypeTag<double>) { return kernels().float64; }

// Only called with floating dtypes: the operations have checked.
template <class Visitor>
void visit_floating(DType dtype, Visitor visitor) {
  switch (dtype) {
    case DType::float16:
      return visitor(TypeTag<Float16>{});
    case DType::bfloat16:
      return visitor(TypeTag<BFloat16>{});
    case DType::float32:
      return visitor(TypeTag<float>{});
    default:
      return visitor(TypeTag<double>{});
  }
}

// ---- CPU kernels -----------------------------------------------------------------------------

struct BitsAttributes {
  uint64_t key;
};
struct UniformAttributes {
  uint64_t key;
  UniformRange range;
};
struct NormalAttributes {
  uint64_t key;
  NormalRange range;
};
struct IntegerAttributes {
  uint64_t key;
  uint64_t low;    // in two's complement
  uint64_t count;  // high - low
};
struct DropoutAttributes {
  uint64_t key;
  DropoutRule rule;
};

// Calls body(words, first element, elements) for runs of whole groups; a group of `kWidth` words
// per draw has kGroupWords / kWidth draws.
template <int kWidth, class Body>
void for_words(int64_t elements, RandomStream stream, Body body) {
  constexpr int64_t kDraws = kGroupWords / kWidth;
  constexpr int64_t kGroups = 16;
  parallel_ranges(elements, kTile / kWidth, [&](int64_t begin, int64_t end) {
    uint32_t words[kGroups * kGroupWords];
    for (int64_t start = begin; start < end; start += kGroups * kDraws) {
      const int64_t count = std::min(end - start, kGroups * kDraws);
      kernels().words(words, start / kDraws, (count + kDraws - 1) / kDraws, stream);
      body(words, start, count);
    }
  });
}

// 64-bit draw i of a run of groups.
uint64_t draw64(const uint32_t* words, int64_t i) {
  const uint32_t* low =
      words + (i / 32) * kGroupWords + (i % 32) / kLanes * (2 * kLanes) + i % kLanes;
  return low[0] | uint64_t{low[kLanes]} << 32;
}

void cpu_bits(TensorSpan outputs, TensorSpan, const BitsAttributes& attributes) {
  uint32_t* out = outputs[0].data<uint32_t>();
  for_words<1>(outputs[0].elements(), {attributes.key, Purpose::bits},
               [&](const uint32_t* words, int64_t start, int64_t count) {
                 std::copy_n(words, count, out + start);
               });
}

void cpu_uniform(TensorSpan outputs, TensorSpan, const UniformAttributes& attributes) {
  visit_floating(outputs[0].dtype(), [&]<class T>(TypeTag<T> tag) {
    T* out = outputs[0].data<T>();
    parallel_ranges(outputs[0].elements(), kTile, [&](int64_t begin, int64_t end) {
      kernels_of(tag).uniform(out, {begin, end}, {attributes.key, Purpose::uniform},
                              attributes.range);
    });
  });
}

void cpu_normal(TensorSpan outputs, TensorSpan, const NormalAttributes& attributes) {
  visit_floating(outputs[0].dtype(), [&]<class T>(TypeTag<T> tag) {
    T* out = outputs[0].data<T>();
    parallel_ranges(outputs[0].elements(), kTile, [&](int64_t begin, int64_t end) {
      kernels_of(tag).normal(out, {begin, end}, {attributes.key, Purpose::normal},
                             attributes.range);
    });
  });
}

void cpu_dropout(TensorSpan outputs, TensorSpan inputs, const DropoutAttributes& attributes) {
  visit_floating(outputs[0].dtype(), [&]<class T>(TypeTag<T> tag) {
    T* out = outputs[0].data<T>();
    const T* x = inputs[0].data<T>();
    parallel_ranges(outputs[0].elements(), kTile, [&](int64_t begin, int64_t end) {
      kernels_of(tag).dropout(out, x, {begin, end}, {attributes.key, Purpose::dropout},
                              attributes.rule);
    });
  });
}

uint64_t multiply_high(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(static_cast<Wide>(a) * b >> 64);
}

// floor(draw * count / 2^64) and, for 128-bit draws, floor(draw * count / 2^128): no value's
// probability is off from 1 / count by more than 2^-64 or 2^-128.
template <class T>
void cpu_integers(T* out, int64_t elements, const IntegerAttributes& attributes) {
  const RandomStream stream{attributes.key, Purpose::integers};
  const uint64_t low = attributes.low;
  const uint64_t count = attributes.count;
  if (count <= uint64_t{1} << 32) {
    for_words<2>(elements, stream, [=](const uint32_t* words, int64_t start, int64_t length) {
      for (int64_t i = 0; i < length; ++i)
        out[start + i] = static_cast<T>(low + multiply_high(draw64(words, i), count));
    });
    return;
  }
  for_words<4>(elements, stream, [=](const uint32_t* words, int64_t start, int64_t length) {
    for (int64_t i = 0; i < length; ++i) {
      const uint32_t* word = words + i / kLanes * kGroupWords + i % kLanes;
      const uint64_t lower = word[0] | uint64_t{word[kLanes]} << 32;
      const uint64_t upper = word[2 * kLanes] | uint64_t{word[3 * kLanes]} << 32;
      const uint64_t product = upper * count;
      const uint64_t carry = product + multiply_high(lower, count) < product;
      out[start + i] = static_cast<T>(low + multiply_high(upper, count) + carry);
    }
  });
}

void cpu_randint(TensorSpan outputs, TensorSpan, const IntegerAttributes& attributes) {
  visit_dtype(outputs[0].dtype(), [&]<class T>(TypeTag<T>) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      cpu_integers(outputs[0].data<T>(), outputs[0].elements(), attributes);
  });
}

struct Ticket {
  uint64_t draw;
  int64_t item;
  bool operator<(const Ticket& other) const {
    return draw != other.draw ? draw < other.draw : item < other.item;
  }
};

// 0 ... n - 1 in the order of their draws (a tie, one pair in 2^64, in the order of the items).
// Draws are uniform, so their leading bits cut them into even buckets, which are sorted one by one.
std::vector<int64_t> permutation(int64_t n, uint64_t key) {
  int bucket_bits = 0;
  while (bucket_bits < 16 && n >> (bucket_bits + 8)) ++bucket_bits;
  const auto bucket_of = [=](uint64_t draw) {
    return bucket_bits ? static_cast<size_t>(draw >> (64 - bucket_bits)) : size_t{0};
  };
  std::vector<uint64_t> draws(static_cast<size_t>(n));
  for_words<2>(n, {key, Purpose::permutation},
               [&](const uint32_t* words, int64_t start, int64_t count) {
                 for (int64_t i = 0; i < count; ++i)
                   draws[static_cast<size_t>(start + i)] = draw64(words, i);
               });
  std::vector<int64_t> starts((size_t{1} << bucket_bits) + 1);
  for (uint64_t draw : draws) ++starts[bucket_of(draw) + 1];
  for (size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
  std::vector<int64_t> next(starts);
  std::vector<Ticket> tickets(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t draw = draws[static_cast<size_t>(i)];
    tickets[static_cast<size_t>(next[bucket_of(draw)]++)] = {draw, i};
  }
  std::vector<int64_t> order(static_cast<size_t>(n));
  parallel_ranges(int64_t{1} << bucket_bits, 16, [&](int64_t begin, int64_t end) {
    for (int64_t bucket = begin; bucket < end; ++bucket)
      std::sort(tickets.begin() + starts[static_cast<size_t>(bucket)],
                tickets.begin() + starts[static_cast<size_t>(bucket) + 1]);
    for (int64_t i = starts[static_cast<size_t>(begin)]; i < starts[static_cast<size_t>(end)]; ++i)
      order[static_cast<size_t>(i)] = tickets[static_cast<size_t>(i)].item;
  });
  return order;
}

void cpu_randperm(TensorSpan outputs, TensorSpan, const BitsAttributes& attributes) {
  const std::vector<int64_t> order = permutation(outputs[0].elements(), attributes.key);
  visit_dtype(outputs[0].dtype(), [&]<class T>(TypeTag<T>) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      std::transform(order.begin(), order.end(), outputs[0].data<T>(),
                     [](int64_t item) { return static_cast<T>(item); });
  });
}

const KernelSlot<BitsAttributes> bits_slot("random_bits", cpu_bits);
const KernelSlot<UniformAttributes> uniform_slot("uniform", cpu_uniform);
const KernelSlot<NormalAttributes> normal_slot("normal", cpu_normal);
const KernelSlot<IntegerAttributes> randint_slot("randint", cpu_randint);
const KernelSlot<BitsAttributes> randperm_slot("randperm", cpu_randperm);
const KernelSlot<DropoutAttributes> dropout_slot("dropout", cpu_dropout);

// ---- operations ------------------------------------------------------------------------------

uint64_t key_of(const Value& key) { return static_cast<uint64_t>(key.integer()); }

Device device_of(const Value& device) { return device.is_none() ? Device{} : device.device(); }

DType floating_dtype(const Call& call, int position) {
  const DType dtype = call.has(position) ? call[position].dtype() : default_dtype();
  if (!is_floating(dtype))
    fail(ErrorKind::dtype, call.name(), ": dtype ", name(dtype),
         " given. Expected a floating-point dtype. Fix: draw float32 and convert, or use randint.");
  return dtype;
}

DType integer_dtype(const Call& call, int position) {
  const DType dtype = call.has(position) ? call[position].dtype() : DType::int64;
  if (!is_integer(dtype))
    fail(ErrorKind::dtype, call.name(), ": dtype ", name(dtype),
         " given. Expected an integer dtype. Fix: draw int64 and convert the result.");
  return dtype;
}

// The greatest number of the dtype below `bound` (kUp: the least not below it).
template <class T, bool kUp>
double neighbour(double bound) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    T value = static_cast<T>(bound);
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    if (kUp && value < bound) value = std::nextafter(value, kInfinity);
    if (!kUp && value >= bound) value = std::nextafter(value, -kInfinity);
    return value;
  } else {
    constexpr bool kBrain = std::is_same_v<T, BFloat16>;
    const auto value_of = [](uint16_t bits) -> double {
      return kBrain ? bfloat16_value(bits) : float16_value(bits);
    };
    const float single = static_cast<float>(bound);
    uint16_t bits = kBrain ? bfloat16_bits(single) : float16_bits(single);
    // Sign and magnitude: away from zero is one bit pattern up.
    const auto step = [&](bool up) {
      const bool negative = bits >> 15;
      if ((bits & 0x7FFF) == 0)
        bits = up ? 0x0001 : 0x8001;
      else
        bits = static_cast<uint16_t>(bits + (negative == up ? -1 : 1));
    };
    if (kUp && value_of(bits) < bound) step(true);
    if (!kUp && value_of(bits) >= bound) step(false);
    return value_of(bits);
  }
}

// uniform(shape, low, high, key, dtype, device)
void uniform_forward(Call& call) {
  const DType dtype = floating_dtype(call, 4);
  UniformRange range{call.real(1), call.real(2), 0.0, 0.0};
  if (!(range.low <= range.high) || !std::isfinite(range.high - range.low))
    fail(ErrorKind::argument, call.name(), ": low = ", range.low, " and high = ", range.high,
         " given. Expected low <= high and a finite difference. Fix: swap or shrink the bounds.");
  visit_floating(dtype, [&]<class T>(TypeTag<T>) {
    range.first = neighbour<T, true>(range.low);
    range.last = range.low == range.high ? range.first : neighbour<T, false>(range.high);
  });
  Tensor out = empty(call[0].integers(), dtype, device_of(call[5]));
  uniform_slot(out, {}, {key_of(call[3]), range});
  call.output(std::move(out));
}

// normal(shape, mean, std, key, dtype, device)
void normal_forward(Call& call) {
  const DType dtype = floating_dtype(call, 4);
  const NormalRange range{call.real(1), call.real(2)};
  if (!(range.std >= 0.0))
    fail(ErrorKind::argument, call.name(), ": std = ", range.std,
         " given. Expected a standard deviation of 0 or more. Fix: pass its absolute value.");
  Tensor out = empty(call[0].integers(), dtype, device_of(call[5]));
  normal_slot(out, {}, {key_of(call[3]), range});
  call.output(std::move(out));
}

struct IntegerLimits {
  int64_t least;
  int64_t greatest;
};

// What of a dtype's range an int64 can name.
IntegerLimits integer_limits(DType dtype) {
  IntegerLimits limits{0, 0};
  visit_dtype(dtype, [&]<class T>(TypeTag<T>) {
    if constexpr (std::is_same_v<T, uint64_t>)
      limits = {0, std::numeric_limits<int64_t>::max()};
    else if constexpr (std::is_integral_v<T>)
      limits = {static_cast<int64_t>(std::numeric_limits<T>::min()),
                static_cast<int64_t>(std::numeric_limits<T>::max())};
  });
  return limits;
}

// randint(low, high, shape, key, dtype, device)
void randint_forward(Call& call) {
  const DType dtype = integer_dtype(call, 4);
  const int64_t low = call.integer(0);
  const int64_t high = call.integer(1);
  if (low >= high)
    fail(ErrorKind::argument, call.name(), ": low = ", low, " and high = ", high,
         " given. Expected low < high (high is not drawn). Fix: swap or widen the bounds.");
  const IntegerLimits limits = integer_limits(dtype);
  if (low < limits.least || high - 1 > limits.greatest)
    fail(ErrorKind::argument, call.name(), ": the range [", low, ", ", high, ") does not fit in ",
         name(dtype), ". Expected numbers from ", limits.least, " to ", limits.greatest,
         ". Fix: pass a wider dtype or a smaller range.");
  Tensor out = empty(call[2].integers(), dtype, device_of(call[5]));
  const uint64_t first = static_cast<uint64_t>(low);
  randint_slot(out, {}, {key_of(call[3]), first, static_cast<uint64_t>(high) - first});
  call.output(std::move(out));
}

// randperm(n, key, dtype, device)
void randperm_forward(Call& call) {
  const DType dtype = integer_dtype(call, 2);
  const int64_t n = call.integer(0);
  if (n < 0)
    fail(ErrorKind::argument, call.name(), ": n = ", n,
         " given. Expected 0 or more. Fix: pass the number of items to permute.");
  if (n - 1 > integer_limits(dtype).greatest)
    fail(ErrorKind::argument, call.name(), ": the items 0 to ", n - 1, " do not fit in ",
         name(dtype), ". Expected at most ", integer_limits(dtype).greatest,
         ". Fix: pass a wider dtype.");
  Tensor out = empty(Dims{n}, dtype, device_of(call[3]));
  randperm_slot(out, {}, {key_of(call[1])});
  call.output(std::move(out));
}

// random_bits(shape, key, device)
void bits_forward(Call& call) {
  Tensor out = empty(call[0].integers(), DType::uint32, device_of(call[2]));
  bits_slot(out, {}, {key_of(call[1])});
  call.output(std::move(out));
}

// dropout(x, p, key)
void dropout_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const double p = call.real(1);
  if (!(p >= 0.0 && p <= 1.0))
    fail(ErrorKind::argument, call.name(), ": p = ", p,
         " given. Expected a probability from 0 to 1. Fix: pass the share of elements to drop.");
  if (!is_floating(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": a tensor of dtype ", name(x.dtype()),
         " given. Expected a floating-point dtype. Fix: convert it first, e.g. "
         "x.to(samara.float32).");
  if (p == 1.0) return call.output(zeros(x.shape(), x.dtype(), x.device()));
  Tensor out = empty_like(x);
  const DropoutRule rule{static_cast<uint32_t>(p * 0x1p32), 1.0 / (1.0 - p)};
  dropout_slot(out, {contiguous(x)}, {key_of(call[2]), rule});
  call.output(std::move(out));
}

// The operation is linear in x and its mask a function of the key: the gradient passes through the
// same mask, drawn again instead of stored.
void dropout_backward(BackwardCall& call) {
  static const NativeCall dropout("dropout");
  call.set(0, dropout(call.gradient(), call[1], call[2]));
}

const Register random_bits_registered({.name = "random_bits", .forward = bits_forward});
const Register uniform_registered({.name = "uniform", .forward = uniform_forward});
const Register normal_registered({.name = "normal", .forward = normal_forward});
const Register randint_registered({.name = "randint", .forward = randint_forward});
const Register randperm_registered({.name = "randperm", .forward = randperm_forward});
const Register dropout_registered({.name = "dropout",
                                   .forward = dropout_forward,
                                   .backward = dropout_backward,
                                   .backward_records = true});

}  // namespace
}  // namespace samara
