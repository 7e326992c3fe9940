// The register blocks of direct convolution.
#include <cstring>
#include <utility>

#include "cpu/float_vector.h"
#include "ops/convolution_direct.h"

namespace samara::SAMARA_ISA {
namespace {

using std::int64_t;

// Panels are two vectors wide. The rows are limited by the pointers that fit into general registers
// (block) and by the sums that fit into vector registers (gradient).
#if defined(__AVX512F__)
constexpr int most_rows = 12, most_gradient_rows = 14;
#else
constexpr int most_rows = 6, most_gradient_rows = 6;
#endif
constexpr int panel = 2 * lanes;

// NaN stays.
[[gnu::always_inline]] inline Vector clamp(Vector v, const DirectBlock& block) {
  const Vector low = Vector{} + block.low, high = Vector{} + block.high;
  v = v < low ? low : v;
  return v > high ? high : v;
}

// One output row; a panel that reaches beyond the last column goes through memory.
[[gnu::always_inline]] inline void finish(const DirectBlock& block, int row, Vector low,
                                          Vector high) {
  float* const to = block.outputs[row];
  const float* const more = block.residual ? block.residual[row] : nullptr;
  if (block.columns == panel) {
    if (more) {
      low += load(more);
      high += load(more + lanes);
    }
    store(to, clamp(low, block));
    store(to + lanes, clamp(high, block));
    return;
  }
  float sums[panel];
  store(sums, low);
  store(sums + lanes, high);
  for (int j = 0; j < block.columns; ++j) {
    float sum = more ? sums[j] + more[j] : sums[j];
    sum = sum < block.low ? block.low : sum;
    to[j] = sum > block.high ? block.high : sum;
  }
}

template <int rows, bool fetches>
[[gnu::noinline]] void rows_block(const DirectBlock& block) {
  Vector low[rows], high[rows];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    low[i] = load(block.bias);
    high[i] = load(block.bias + lanes);
  }
  const float* const* inputs = block.inputs;
  const float* weights = block.weights;
  const int64_t channels = block.channels, ahead = block.ahead;
  for (int64_t t = 0; t < block.taps; ++t, inputs += rows) {
    const float* a[rows];
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) a[i] = inputs[i];
    const auto add = [&](int64_t c) __attribute__((always_inline)) {
      const Vector w0 = load(weights), w1 = load(weights + lanes);
      weights += panel;
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const float x = a[i][c];
        low[i] += x * w0;
        high[i] += x * w1;
      }
    };
    int64_t c = 0;
    if constexpr (fetches) {
      // So many streams at once are more than the processor foresees.
      constexpr int line = 16;
      while (c + line <= channels) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; ++i) __builtin_prefetch(a[i] + c + ahead);
        for (const int64_t end = c + line; c < end; ++c) add(c);
      }
    }
    for (; c < channels; ++c) add(c);
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) finish(block, i, low[i], high[i]);
}

template <int rows, int vectors>
[[gnu::noinline]] void gradient_block(const GradientBlock& block) {
  Vector sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; ++j)
      sum[i][j] = block.fresh ? Vector{} : load(block.sums + i * block.sums_row + j * lanes);
  const int64_t a_step = block.a_step, b_step = block.b_step;
  for (int64_t r = 0; r < block.run_count; ++r) {
    const float* a = block.runs[r].a + block.a_shift;
    const float* b = block.runs[r].b + block.b_shift;
    for (int64_t n = block.runs[r].count; n > 0; --n, a += a_step, b += b_step) {
      Vector x[vectors];
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) x[j] = load(b + j * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const float g = a[i];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; ++j) sum[i][j] += g * x[j];
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; ++j) store(block.sums + i * block.sums_row + j * lanes, sum[i][j]);
}

template <int... rows>
void choose_rows(const DirectBlock& block, std::integer_sequence<int, rows...>) {
  using Function = void (*)(const DirectBlock&);
  static constexpr Function by_rows[2][most_rows] = {{rows_block<rows + 1, false>...},
                                                     {rows_block<rows + 1, true>...}};
  by_rows[block.ahead != 0][block.rows - 1](block);
}
void run_block(const DirectBlock& block) {
  choose_rows(block, std::make_integer_sequence<int, most_rows>{});
}

template <int... rows>
void choose_gradient(const GradientBlock& block, std::integer_sequence<int, rows...>) {
  using Function = void (*)(const GradientBlock&);
  static constexpr Function by_rows[2][most_gradient_rows] = {{gradient_block<rows + 1, 1>...},
                                                              {gradient_block<rows + 1, 2>...}};
  by_rows[block.vectors - 1][block.rows - 1](block);
}
void run_gradient(const GradientBlock& block) {
  choose_gradient(block, std::make_integer_sequence<int, most_gradient_rows>{});
}

void add(float* __restrict to, const float* __restrict from, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, load(to + i) + load(from + i));
  for (; i < n; ++i) to[i] += from[i];
}

}  // namespace

const DirectKernels direct_kernels = {panel,     lanes,        most_rows, most_gradient_rows,
                                      run_block, run_gradient, add};

}  // namespace samara::SAMARA_ISA
