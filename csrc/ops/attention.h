// Scaled dot product attention: the kernels' table.
//
// Scores are handled in blocks of rows (queries) and columns (keys) that stay in the cache; the
// whole matrix of scores never exists. `distance` is that between rows of a block, in elements.
#pragma once

#include <cstdint>

namespace samara {

template <class T>
struct AttentionKernels {
  // Takes a block of scores into the running softmax of its rows: scores become e^(score -
  // largest), `largest` and `sum` are brought up to date, and `factor` is what all that was added
  // up before must be multiplied by.
  void (*absorb)(T* scores, int64_t distance, int64_t rows, int64_t columns, T* largest, T* sum,
                 T* factor) = nullptr;
  // scores <- e^(score - logsumexp of its row); 0 where that is +inf.
  void (*weights)(T* scores, int64_t distance, int64_t rows, int64_t columns,
                  const T* logsumexp) = nullptr;
  // gradient <- scale weight (gradient - delta of its row)
  void (*gradient)(const T* weights, T* gradient, int64_t distance, int64_t rows, int64_t columns,
                   const T* delta, T scale) = nullptr;
  // Each row of x times its factor.
  void (*scale_rows)(T* x, int64_t distance, int64_t rows, int64_t columns,
                     const T* factor) = nullptr;
  // dots[i] = a[i] . b[i]
  void (*row_dots)(const T* a, int64_t a_distance, const T* b, int64_t b_distance, int64_t rows,
                   int64_t columns, T* dots) = nullptr;
};

struct AttentionTable {
  AttentionKernels<float> float32;
  AttentionKernels<double> float64;
};
namespace baseline {
extern const AttentionTable attention_table;
}
namespace v3 {
extern const AttentionTable attention_table;
}
namespace v4 {
extern const AttentionTable attention_table;
}

}  // namespace samara
