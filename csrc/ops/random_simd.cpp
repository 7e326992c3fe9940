// Random numbers, vectorised over the sixteen blocks of a group.
//
// The bits must not depend on the instruction set, and the compiler fuses products into sums where
// it can. So every sum with a product in it is written as an explicit fma, which is exactly rounded
// everywhere; what is left (single products, sums, square roots, divisions) is too.
#include "ops/random.h"

namespace samara::SAMARA_ISA {
namespace {

using random::kGroupWords;
using random::kLanes;

using Word = uint32_t;

[[gnu::always_inline]] inline float fma(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
[[gnu::always_inline]] inline double fma(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}

[[gnu::always_inline]] inline void group_words(Word* out, int64_t group, RandomStream stream) {
  const uint64_t first = static_cast<uint64_t>(group) * kLanes;
  const Word high = static_cast<Word>(first >> 32);  // the same for all lanes: 16 divides 2^32
  const Word low = static_cast<Word>(first);
  for (int lane = 0; lane < kLanes; ++lane) {
    Word c0 = low + static_cast<Word>(lane);
    Word c1 = high;
    Word c2 = 0;
    Word c3 = static_cast<Word>(stream.purpose);
    random::philox_rounds(c0, c1, c2, c3, stream.key);
    out[lane] = c0;
    out[kLanes + lane] = c1;
    out[2 * kLanes + lane] = c2;
    out[3 * kLanes + lane] = c3;
  }
}

void words(Word* out, int64_t first_group, int64_t groups, RandomStream stream) {
  for (int64_t group = 0; group < groups; ++group)
    group_words(out + group * kGroupWords, first_group + group, stream);
}

// How each dtype draws and computes: `Real` is the type of the arithmetic, a group of words gives
// `kDraws` draws of `Bits`, `kPrecision` bits of which make a number in [0, 1).
template <class T>
struct Draw {
  using Real = float;
  using Bits = Word;
  using SignedBits = int32_t;
  static constexpr int kDraws = kGroupWords;
  static constexpr int kPrecision = 24;
};
template <>
struct Draw<Float16> : Draw<float> {
  static constexpr int kPrecision = 11;
};
template <>
struct Draw<BFloat16> : Draw<float> {
  static constexpr int kPrecision = 8;
};
template <>
struct Draw<double> {
  using Real = double;
  using Bits = uint64_t;
  using SignedBits = int64_t;
  static constexpr int kDraws = kGroupWords / 2;
  static constexpr int kPrecision = 53;
};

[[gnu::always_inline]] inline void group_draws(Word* out, int64_t group, RandomStream stream) {
  group_words(out, group, stream);
}
[[gnu::always_inline]] inline void group_draws(uint64_t* out, int64_t group, RandomStream stream) {
  Word halves[kGroupWords];
  group_words(halves, group, stream);
  for (int half = 0; half < 2; ++half)
    for (int lane = 0; lane < kLanes; ++lane)
      out[half * kLanes + lane] = halves[2 * half * kLanes + lane] |
                                  static_cast<uint64_t>(halves[(2 * half + 1) * kLanes + lane])
                                      << 32;
}

[[gnu::always_inline]] inline float load(float x) { return x; }
[[gnu::always_inline]] inline double load(double x) { return x; }
[[gnu::always_inline]] inline float load(Float16 x) { return float16_value(x.bits); }
[[gnu::always_inline]] inline float load(BFloat16 x) { return bfloat16_value(x.bits); }
[[gnu::always_inline]] inline void store(float& out, float x) { out = x; }
[[gnu::always_inline]] inline void store(double& out, double x) { out = x; }
[[gnu::always_inline]] inline void store(Float16& out, float x) { out.bits = float16_bits(x); }
[[gnu::always_inline]] inline void store(BFloat16& out, float x) { out.bits = bfloat16_bits(x); }

// The elements of a range, group by group; an incomplete last group goes through a buffer.
template <class T, class Body>
[[gnu::always_inline]] inline void for_groups(T* out, ElementRange elements, RandomStream stream,
                                              Body body) {
  using Bits = typename Draw<T>::Bits;
  constexpr int64_t kDraws = Draw<T>::kDraws;
  for (int64_t start = elements.begin; start < elements.end; start += kDraws) {
    Bits draws[kDraws];
    group_draws(draws, start / kDraws, stream);
    if (elements.end - start >= kDraws) {
      body(out + start, draws);
      continue;
    }
    T whole[kDraws];
    body(whole, draws);
    for (int64_t i = 0; start + i < elements.end; ++i) out[start + i] = whole[i];
  }
}

template <class T>
void uniform(T* out, ElementRange elements, RandomStream stream, UniformRange range) {
  using Real = typename Draw<T>::Real;
  using Bits = typename Draw<T>::Bits;
  using SignedBits = typename Draw<T>::SignedBits;
  constexpr int kPrecision = Draw<T>::kPrecision;
  const Real unit = Real{1} / static_cast<Real>(Bits{1} << kPrecision);
  const Real low = static_cast<Real>(range.low);
  const Real width = static_cast<Real>(range.high - range.low);
  const Real first = static_cast<Real>(range.first);
  const Real last = static_cast<Real>(range.last);
  for_groups(out, elements, stream, [=](T* group, const Bits* draws) {
    for (int i = 0; i < Draw<T>::kDraws; ++i) {
      const Bits bits = draws[i] >> (sizeof(Bits) * 8 - kPrecision);
      // Signed: the conversion every instruction set has.
      const Real value = fma(static_cast<Real>(static_cast<SignedBits>(bits)) * unit, width, low);
      T rounded;
      store(rounded, value);
      const Real held = load(rounded);
      const Real below = held < last ? held : last;
      store(group[i], below > first ? below : first);
    }
  });
}

template <class Real>
[[gnu::always_inline]] inline Real inverse_factorial(int n) {
  double product = 1.0;
  for (int i = 2; i <= n; ++i) product *= i;
  return static_cast<Real>(1.0 / product);
}

template <class Real>
constexpr Real kTwoPi = static_cast<Real>(6.283185307179586476925286766559);
template <class Real>
constexpr Real kLogTwo = static_cast<Real>(0.693147180559945309417232121458);

// sqrt(-2 ln u) for u = (draw / 2 + 1/2) / 2^(bits - 1) in (0, 1]. With u = 2^e m, sqrt(1/2) <= m <
// sqrt(2): ln m = 2 artanh(s), s = (m - 1) / (m + 1), by the series in s.
[[gnu::always_inline]] inline float radius(Word draw) {
  const float x = static_cast<float>(static_cast<int32_t>(draw >> 1)) + 0.5f;
  constexpr Word kSqrtHalf = 0x3F3504F3u;
  const Word shifted = __builtin_bit_cast(Word, x) - kSqrtHalf;
  const float exponent = static_cast<float>((static_cast<int32_t>(shifted) >> 23) - 31);
  const float m = __builtin_bit_cast(float, (shifted & 0x007FFFFFu) + kSqrtHalf);
  const float s = (m - 1.0f) / (m + 1.0f);
  const float q = s * s;
  float series = 1.0f / 9.0f;
  series = fma(series, q, 1.0f / 7.0f);
  series = fma(series, q, 1.0f / 5.0f);
  series = fma(series, q, 1.0f / 3.0f);
  const float artanh = fma(s * q, series, s);
  const float log = fma(exponent, kLogTwo<float>, artanh + artanh);
  return __builtin_sqrtf(-2.0f * log);
}
[[gnu::always_inline]] inline double radius(uint64_t draw) {
  const double x = static_cast<double>(static_cast<int64_t>(draw >> 1)) + 0.5;
  constexpr uint64_t kSqrtHalf = 0x3FE6A09E667F3BCDu;
  const uint64_t shifted = __builtin_bit_cast(uint64_t, x) - kSqrtHalf;
  const double exponent = static_cast<double>((static_cast<int64_t>(shifted) >> 52) - 63);
  const double m = __builtin_bit_cast(double, (shifted & 0x000FFFFFFFFFFFFFu) + kSqrtHalf);
  const double s = (m - 1.0) / (m + 1.0);
  const double q = s * s;
  double series = 1.0 / 21.0;
#pragma GCC unroll 16
  for (int k = 9; k >= 1; --k) series = fma(series, q, 1.0 / (2 * k + 1));
  const double artanh = fma(s * q, series, s);
  const double log = fma(exponent, kLogTwo<double>, artanh + artanh);
  return __builtin_sqrt(-2.0 * log);
}

// cos and sin of 2 pi draw / 2^bits: the quadrant is taken off exactly, in integers; the rest, at
// most pi / 4, goes through the series.
template <class Real, class Bits, class SignedBits>
[[gnu::always_inline]] inline void angle(Bits draw, Real& cosine, Real& sine) {
  constexpr int kBits = sizeof(Bits) * 8;
  constexpr int kTerms = sizeof(Real) == 4 ? 5 : 8;
  const Bits quadrant = (draw + (Bits{1} << (kBits - 3))) >> (kBits - 2);
  const SignedBits rest = static_cast<SignedBits>(draw - (quadrant << (kBits - 2)));
  constexpr Real kScale = kTwoPi<Real> / static_cast<Real>(Bits{1} << (kBits / 2)) /
                          static_cast<Real>(Bits{1} << (kBits / 2));
  const Real t = static_cast<Real>(rest) * kScale;
  const Real q = t * t;
  Real sine_series = 0;
  Real cosine_series = 0;
#pragma GCC unroll 16
  for (int k = kTerms; k >= 1; --k) {
    const Real sign = k % 2 ? Real{-1} : Real{1};
    sine_series = fma(sine_series, q, sign * inverse_factorial<Real>(2 * k + 1));
    cosine_series = fma(cosine_series, q, sign * inverse_factorial<Real>(2 * k));
  }
  const Real s = fma(t * q, sine_series, t);
  const Real c = fma(q, cosine_series, Real{1});
  const bool odd = quadrant & 1;
  const Real cosine_size = odd ? s : c;
  const Real sine_size = odd ? c : s;
  cosine = (quadrant + 1) & 2 ? -cosine_size : cosine_size;
  sine = quadrant & 2 ? -sine_size : sine_size;
}

// Box and Muller's pairs: one draw for the radius, the one sixteen places further for the angle.
template <class T>
void normal(T* out, ElementRange elements, RandomStream stream, NormalRange range) {
  using Real = typename Draw<T>::Real;
  using Bits = typename Draw<T>::Bits;
  using SignedBits = typename Draw<T>::SignedBits;
  const Real mean = static_cast<Real>(range.mean);
  const Real std = static_cast<Real>(range.std);
  for_groups(out, elements, stream, [=](T* group, const Bits* draws) {
    for (int pair = 0; pair < Draw<T>::kDraws; pair += 2 * kLanes)
      for (int lane = 0; lane < kLanes; ++lane) {
        Real cosine;
        Real sine;
        angle<Real, Bits, SignedBits>(draws[pair + kLanes + lane], cosine, sine);
        const Real length = radius(draws[pair + lane]);
        store(group[pair + lane], fma(length * cosine, std, mean));
        store(group[pair + kLanes + lane], fma(length * sine, std, mean));
      }
  });
}

template <class T>
void dropout(T* out, const T* x, ElementRange elements, RandomStream stream, DropoutRule rule) {
  using Real = typename Draw<T>::Real;
  const Real scale = static_cast<Real>(rule.scale);
  for (int64_t start = elements.begin; start < elements.end; start += kGroupWords) {
    Word draws[kGroupWords];
    group_words(draws, start / kGroupWords, stream);
    const int64_t rest = elements.end - start;
    const int count = rest < kGroupWords ? static_cast<int>(rest) : kGroupWords;
    for (int i = 0; i < count; ++i) {
      const Real scaled = load(x[start + i]) * scale;
      store(out[start + i], draws[i] >= rule.threshold ? scaled : Real{0});
    }
  }
}

template <class T>
constexpr FloatRandomKernels<T> kFloat = {uniform<T>, normal<T>, dropout<T>};

}  // namespace

extern const RandomKernels random_kernels;
const RandomKernels random_kernels = {words, kFloat<Float16>, kFloat<BFloat16>, kFloat<float>,
                                      kFloat<double>};

}  // namespace samara::SAMARA_ISA
