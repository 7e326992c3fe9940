// The loops of depthwise convolution, a vector of channels at a time.
#include "ops/convolution_depthwise.h"

#include "cpu/float_vector.h"

namespace samara::SAMARA_ISA {
namespace {

using std::int64_t;

// Pixels whose sums are in registers together: enough to hide the latency of the additions.
constexpr int pixels = 8;

template <int count>
[[gnu::always_inline]] inline void block(const DepthwiseRun& run, int64_t first, int64_t c) {
  Vector sum[count];
  const Vector start = run.bias ? load(run.bias + c) : Vector{};
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) sum[i] = start;
  const int64_t step = run.x_step, shift = first * step + c;
  for (int64_t t = 0; t < run.tap_count; ++t) {
    const Vector weight = load(run.taps[t].weight + c);
    const float* const x = run.taps[t].x + shift;
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) sum[i] += load(x + i * step) * weight;
  }
  const Vector low = Vector{} + run.low, high = Vector{} + run.high;
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) {
    const int64_t place = (first + i) * run.y_step + c;
    Vector y = run.residual ? sum[i] + load(run.residual + place) : sum[i];
    y = y < low ? low : y;  // NaN stays
    y = y > high ? high : y;
    store(run.y + place, y);
  }
}

struct Channels {
  int64_t begin, end;
};

template <int count>
int64_t blocks(const DepthwiseRun& run, Channels channels, int64_t first) {
  for (; first + count <= run.count; first += count)
    for (int64_t c = channels.begin; c < channels.end; c += lanes) block<count>(run, first, c);
  return first;
}

// So many channels together that memory is read in order, and so few that what neighbouring pixels
// share is still in the first-level cache.
void depthwise_run(const DepthwiseRun& run) {
  const int64_t together = run.tap_count <= 9 ? 256 : 64;
  for (int64_t c = 0; c < run.channels; c += together) {
    const Channels channels{c, c + together < run.channels ? c + together : run.channels};
    blocks<1>(run, channels, blocks<4>(run, channels, blocks<pixels>(run, channels, 0)));
  }
}

// Some taps together, so that g is read once for all of them and their sums do not wait for each
// other.
template <int taps>
[[gnu::always_inline]] inline void gradient_block(const DepthwiseGradientRun& run, int64_t t,
                                                  int64_t c) {
  Vector sum[taps];
  const float* x[taps];
#pragma GCC unroll 16
  for (int k = 0; k < taps; ++k) {
    sum[k] = load(run.sums[t + k] + c);
    x[k] = run.x[t + k] + c;
  }
  const float* g = run.g + c;
  int64_t shift = 0;
  for (int64_t i = 0; i < run.count; ++i, shift += run.x_step, g += run.g_step) {
    const Vector gradient = load(g);
#pragma GCC unroll 16
    for (int k = 0; k < taps; ++k) sum[k] += load(x[k] + shift) * gradient;
  }
#pragma GCC unroll 16
  for (int k = 0; k < taps; ++k) store(run.sums[t + k] + c, sum[k]);
}

void depthwise_gradient(const DepthwiseGradientRun& run) {
  for (int64_t c = 0; c < run.channels; c += lanes) {
    int64_t t = 0;
    for (; t + 9 <= run.tap_count; t += 9) gradient_block<9>(run, t, c);
    for (; t + 6 <= run.tap_count; t += 6) gradient_block<6>(run, t, c);
    for (; t + 3 <= run.tap_count; t += 3) gradient_block<3>(run, t, c);
    for (; t < run.tap_count; ++t) gradient_block<1>(run, t, c);
  }
}

}  // namespace

const DepthwiseKernels depthwise_kernels = {lanes, depthwise_run, depthwise_gradient};

}  // namespace samara::SAMARA_ISA
