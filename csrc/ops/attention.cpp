// Scaled dot product attention, forward and backward, in memory linear in the sequence length.
#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/autograd.h"
#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/gemm.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/random.h"
#include "ops/reduce.h"

namespace samara {
namespace {

// Queries and keys that are handled together: a block of scores is 128 KiB of float.
constexpr int64_t kQueries = 64;
constexpr int64_t kKeys = 512;
// With fewer heads than this, backward cuts the sequence instead and computes weights twice.
constexpr int64_t kFewHeads = 8;

struct AttentionAttributes {
  double scale;
  bool causal;
  double dropout;
  uint64_t key;
};

const AttentionTable& table() {
  static const AttentionTable& chosen =
      select_isa(baseline::attention_table, v3::attention_table, v4::attention_table);
  return chosen;
}
const RandomKernels& random_kernels() {
  static const RandomKernels& chosen =
      select_isa(baseline::random_kernels, v3::random_kernels, v4::random_kernels);
  return chosen;
}
template <class T>
const AttentionKernels<T>& kernels() {
  if constexpr (std::is_same_v<T, float>)
    return table().float32;
  else
    return table().float64;
}

// Rows of one head, at a constant distance; the numbers of a row lie together.
template <class T>
struct Rows {
  T* data;
  int64_t distance;
  T* row(int64_t i) const { return data + i * distance; }
};

template <class T>
Rows<T> head_of(const Tensor& x, int64_t batch, int64_t head) {
  return {x.data<T>() + batch * x.stride(0) + head * x.stride(1), x.stride(2)};
}

// One head's problem: what a tile of any pass needs.
template <class T>
class Head {
 public:
  Head(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, int64_t batch,
       int64_t head, const AttentionAttributes& attributes)
      : attributes_(attributes),
        queries_(q.size(2)),
        keys_(k.size(2)),
        width_(q.size(3)),
        value_width_(v.size(3)),
        q_(head_of<T>(q, batch, head)),
        k_(head_of<T>(k, batch, head / (q.size(1) / k.size(1)))),
        v_(head_of<T>(v, batch, head / (q.size(1) / k.size(1)))),
        first_draw_((batch * q.size(1) + head) * queries_ * keys_) {
    if (!mask) return;
    mask_ = mask.data<T>() + batch * mask.stride(0) + head * mask.stride(1);
    mask_row_ = mask.stride(2);
    mask_column_ = mask.stride(3);
  }

  int64_t queries() const { return queries_; }
  int64_t keys() const { return keys_; }
  int64_t width() const { return width_; }
  int64_t value_width() const { return value_width_; }
  const Rows<T>& q() const { return q_; }
  const Rows<T>& k() const { return k_; }
  const Rows<T>& v() const { return v_; }
  bool drops() const { return attributes_.dropout > 0; }
  T scale() const { return static_cast<T>(attributes_.scale); }

  // Keys that queries up to `end` see.
  int64_t visible(int64_t end) const { return attributes_.causal ? std::min(keys_, end) : keys_; }

  // Scaled and masked scores of queries [i, i + rows) and keys [j, j + columns).
  void scores(int64_t i, int64_t rows, int64_t j, int64_t columns, T* out) const {
    gemm<T>(false, true, rows, columns, width_, scale(), q_.row(i), q_.distance, k_.row(j),
            k_.distance, T(0), out, kKeys);
    constexpr T hidden = -std::numeric_limits<T>::infinity();
    if (mask_ != nullptr)
      for (int64_t r = 0; r < rows; ++r) {
        const T* added = mask_ + (i + r) * mask_row_ + j * mask_column_;
        T* row = out + r * kKeys;
        if (mask_column_ == 1)
          for (int64_t c = 0; c < columns; ++c) row[c] += added[c];
        else
          for (int64_t c = 0; c < columns; ++c) row[c] += added[c * mask_column_];
      }
    if (!attributes_.causal) return;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = std::max<int64_t>(0, i + r + 1 - j); c < columns; ++c)
        out[r * kKeys + c] = hidden;
  }

  // Zeroes what dropout drops and scales the rest; the draw's index is the score's place in the
  // matrix of all scores.
  void drop(T* block, int64_t i, int64_t rows, int64_t j, int64_t columns) const {
    constexpr int64_t group = random::kGroupWords;
    uint32_t draws[kKeys + 2 * group];
    const auto threshold = static_cast<uint32_t>(attributes_.dropout * 0x1p32);
    const T kept = static_cast<T>(1.0 / (1.0 - attributes_.dropout));
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t start = first_draw_ + (i + r) * keys_ + j;
      const int64_t first = start / group;
      random_kernels().words(draws, first, (start + columns - 1) / group - first + 1,
                             {attributes_.key, random::Purpose::dropout});
      const uint32_t* draw = draws + start % group;
      T* row = block + r * kKeys;
      for (int64_t c = 0; c < columns; ++c) row[c] = draw[c] >= threshold ? row[c] * kept : T(0);
    }
  }

 private:
  const AttentionAttributes& attributes_;
  int64_t queries_, keys_, width_, value_width_;
  Rows<T> q_, k_, v_;
  int64_t first_draw_;
  const T* mask_ = nullptr;
  int64_t mask_row_ = 0, mask_column_ = 0;
};

template <class T>
void zero_rows(const Rows<T>& x, int64_t begin, int64_t end, int64_t width) {
  for (int64_t i = begin; i < end; ++i) std::fill_n(x.row(i), width, T(0));
}

// ---- forward -----------------------------------------------------------------------------------

template <class T>
void forward_block(const Head<T>& head, int64_t begin, int64_t end, const Rows<T>& out,
                   T* logsumexp) {
  const int64_t rows = end - begin;
  Scratch scratch(kQueries * kKeys * static_cast<int64_t>(sizeof(T)));
  T* scores = reinterpret_cast<T*>(scratch.data());
  T largest[kQueries], sum[kQueries], factor[kQueries];
  std::fill_n(largest, rows, -std::numeric_limits<T>::infinity());
  std::fill_n(sum, rows, T(0));
  const int64_t visible = head.visible(end);
  if (visible == 0) zero_rows(out, begin, end, head.value_width());
  for (int64_t j = 0; j < visible; j += kKeys) {
    const int64_t columns = std::min(kKeys, visible - j);
    head.scores(begin, rows, j, columns, scores);
    kernels<T>().absorb(scores, kKeys, rows, columns, largest, sum, factor);
    if (head.drops()) head.drop(scores, begin, rows, j, columns);
    if (j > 0)
      kernels<T>().scale_rows(out.row(begin), out.distance, rows, head.value_width(), factor);
    gemm<T>(false, false, rows, head.value_width(), columns, T(1), scores, kKeys, head.v().row(j),
            head.v().distance, j > 0 ? T(1) : T(0), out.row(begin), out.distance);
  }
  // Where nothing is attended to, the output is 0 (also 0 times what is not finite).
  for (int64_t r = 0; r < rows; ++r) factor[r] = sum[r] == T(0) ? T(0) : T(1) / sum[r];
  kernels<T>().scale_rows(out.row(begin), out.distance, rows, head.value_width(), factor);
  if (logsumexp == nullptr) return;
  for (int64_t r = 0; r < rows; ++r)
    logsumexp[begin + r] =
        sum[r] == T(0) ? std::numeric_limits<T>::infinity() : largest[r] + std::log(sum[r]);
}

// inputs: q, k, v, mask or nothing; outputs: result and, for a gradient, logsumexp [B, H, L].
template <class T>
void forward_heads(TensorSpan outputs, TensorSpan inputs, const AttentionAttributes& attributes) {
  const Tensor& q = inputs[0];
  const int64_t heads = q.size(1), queries = q.size(2);
  const int64_t blocks = (queries - 1) / kQueries + 1;
  T* logsumexp = outputs.size() > 1 ? outputs[1].data<T>() : nullptr;
  parallel_tiles(q.size(0) * heads * blocks, [&](int64_t tile) {
    const int64_t h = tile / blocks % heads, b = tile / blocks / heads;
    // Under a causal mask later blocks are the longer ones, and go first.
    const int64_t begin = (blocks - 1 - tile % blocks) * kQueries;
    const Head<T> head(q, inputs[1], inputs[2], inputs[3], b, h, attributes);
    forward_block(head, begin, std::min(begin + kQueries, queries), head_of<T>(outputs[0], b, h),
                  logsumexp ? logsumexp + (b * heads + h) * queries : nullptr);
  });
}

void forward_cpu(TensorSpan outputs, TensorSpan inputs, const AttentionAttributes& attributes) {
  if (outputs[0].elements() == 0) return;
  if (outputs[0].dtype() == DType::float64)
    forward_heads<double>(outputs, inputs, attributes);
  else
    forward_heads<float>(outputs, inputs, attributes);
}
const KernelSlot<AttentionAttributes> forward_slot("attention", forward_cpu);

// ---- backward ----------------------------------------------------------------------------------

template <class T>
struct Gradients {
  Rows<T> out;  // of the result
  const T* logsumexp;
  const T* delta;  // result . gradient of each query
  Rows<T> q, k, v;
};

// Adds what the scores of one block give to the gradients that are asked for.
template <class T>
void backward_block(const Head<T>& head, const Gradients<T>& g, int64_t i, int64_t rows, int64_t j,
                    int64_t columns, bool of_queries, bool of_keys, T* weights, T* scores) {
  head.scores(i, rows, j, columns, weights);
  kernels<T>().weights(weights, kKeys, rows, columns, g.logsumexp + i);
  gemm<T>(false, true, rows, columns, head.value_width(), T(1), g.out.row(i), g.out.distance,
          head.v().row(j), head.v().distance, T(0), scores, kKeys);
  if (head.drops()) head.drop(scores, i, rows, j, columns);
  kernels<T>().gradient(weights, scores, kKeys, rows, columns, g.delta + i, head.scale());
  if (of_keys) {
    if (head.drops()) head.drop(weights, i, rows, j, columns);
    gemm<T>(true, false, columns, head.value_width(), rows, T(1), weights, kKeys, g.out.row(i),
            g.out.distance, T(1), g.v.row(j), g.v.distance);
    gemm<T>(true, false, columns, head.width(), rows, T(1), scores, kKeys, head.q().row(i),
            head.q().distance, T(1), g.k.row(j), g.k.distance);
  }
  if (of_queries)
    gemm<T>(false, false, rows, head.width(), columns, T(1), scores, kKeys, head.k().row(j),
            head.k().distance, T(1), g.q.row(i), g.q.distance);
}

// All blocks of queries [q_begin, q_end) and keys [k_begin, k_end) of one head.
template <class T>
void backward_range(const Head<T>& head, const Gradients<T>& g, int64_t q_begin, int64_t q_end,
                    int64_t k_begin, int64_t k_end, bool of_queries, bool of_keys) {
  Scratch scratch(2 * kQueries * kKeys * static_cast<int64_t>(sizeof(T)));
  T* weights = reinterpret_cast<T*>(scratch.data());
  T* scores = weights + kQueries * kKeys;
  for (int64_t i = q_begin; i < q_end; i += kQueries) {
    const int64_t rows = std::min(kQueries, q_end - i);
    const int64_t visible = std::min(k_end, head.visible(i + rows));
    for (int64_t j = k_begin; j < visible; j += kKeys)
      backward_block(head, g, i, rows, j, std::min(kKeys, visible - j), of_queries, of_keys,
                     weights, scores);
  }
}

// inputs: q, k, v, mask or nothing, result, its gradient, logsumexp; outputs: gradients of q, k, v,
// and room for delta [B, H, L].
template <class T>
class Backward {
 public:
  Backward(TensorSpan outputs, TensorSpan inputs, const AttentionAttributes& attributes)
      : outputs_(outputs),
        inputs_(inputs),
        attributes_(attributes),
        heads_(inputs[0].size(1)),
        groups_(inputs[1].size(1)),
        queries_(inputs[0].size(2)),
        keys_(inputs[1].size(2)) {}

  void run() const {
    const int64_t batch = inputs_[0].size(0);
    if (batch * groups_ >= kFewHeads) {
      parallel_tiles(batch * groups_, [&](int64_t tile) {
        const int64_t b = tile / groups_, group = tile % groups_;
        clear_keys(b, group, 0, keys_);
        for (int64_t h = first(group); h < first(group + 1); ++h) {
          clear_queries(b, h, 0, queries_);
          dots(b, h, 0, queries_);
          range(b, h, 0, queries_, 0, keys_, true, true);
        }
      });
      return;
    }
    const int64_t q_blocks = (queries_ - 1) / kQueries + 1;
    parallel_tiles(batch * heads_ * q_blocks, [&](int64_t tile) {
      const int64_t begin = (q_blocks - 1 - tile % q_blocks) * kQueries;
      const int64_t end = std::min(begin + kQueries, queries_);
      const int64_t h = tile / q_blocks % heads_, b = tile / q_blocks / heads_;
      clear_queries(b, h, begin, end);
      dots(b, h, begin, end);
      range(b, h, begin, end, 0, keys_, true, false);
    });
    constexpr int64_t width = kKeys / 4;
    const int64_t k_blocks = (keys_ - 1) / width + 1;
    parallel_tiles(batch * groups_ * k_blocks, [&](int64_t tile) {
      const int64_t begin = tile % k_blocks * width, end = std::min(begin + width, keys_);
      const int64_t group = tile / k_blocks % groups_, b = tile / k_blocks / groups_;
      clear_keys(b, group, begin, end);
      // Under a causal mask earlier queries do not see these keys.
      const int64_t from = attributes_.causal ? begin / kQueries * kQueries : 0;
      for (int64_t h = first(group); h < first(group + 1); ++h)
        range(b, h, std::min(from, queries_), queries_, begin, end, false, true);
    });
  }

 private:
  int64_t first(int64_t group) const { return group * (heads_ / groups_); }
  T* delta(int64_t b, int64_t h) const {
    return outputs_[3].data<T>() + (b * heads_ + h) * queries_;
  }
  void clear_queries(int64_t b, int64_t h, int64_t begin, int64_t end) const {
    zero_rows(head_of<T>(outputs_[0], b, h), begin, end, inputs_[0].size(3));
  }
  void clear_keys(int64_t b, int64_t group, int64_t begin, int64_t end) const {
    zero_rows(head_of<T>(outputs_[1], b, group), begin, end, inputs_[1].size(3));
    zero_rows(head_of<T>(outputs_[2], b, group), begin, end, inputs_[2].size(3));
  }
  void dots(int64_t b, int64_t h, int64_t begin, int64_t end) const {
    const Rows<T> result = head_of<T>(inputs_[4], b, h), gradient = head_of<T>(inputs_[5], b, h);
    kernels<T>().row_dots(result.row(begin), result.distance, gradient.row(begin),
                          gradient.distance, end - begin, inputs_[2].size(3), delta(b, h) + begin);
  }
  void range(int64_t b, int64_t h, int64_t q_begin, int64_t q_end, int64_t k_begin, int64_t k_end,
             bool of_queries, bool of_keys) const {
    const int64_t group = h / (heads_ / groups_);
    const Head<T> head(inputs_[0], inputs_[1], inputs_[2], inputs_[3], b, h, attributes_);
    const Gradients<T> g{head_of<T>(inputs_[5], b, h),
                         inputs_[6].data<T>() + (b * heads_ + h) * queries_,
                         delta(b, h),
                         head_of<T>(outputs_[0], b, h),
                         head_of<T>(outputs_[1], b, group),
                         head_of<T>(outputs_[2], b, group)};
    backward_range(head, g, q_begin, q_end, k_begin, k_end, of_queries, of_keys);
  }

  TensorSpan outputs_, inputs_;
  const AttentionAttributes& attributes_;
  int64_t heads_, groups_, queries_, keys_;
};

void backward_cpu(TensorSpan outputs, TensorSpan inputs, const AttentionAttributes& attributes) {
  if (inputs[0].elements() == 0 || inputs[4].elements() == 0 || inputs[1].elements() == 0) {
    for (const Tensor& x : outputs.first(3))
      if (x.elements() > 0)
        std::fill_n(x.data<std::byte>(), x.elements() * itemsize(x.dtype()), std::byte{0});
    return;
  }
  if (inputs[0].dtype() == DType::float64)
    Backward<double>(outputs, inputs, attributes).run();
  else
    Backward<float>(outputs, inputs, attributes).run();
}
const KernelSlot<AttentionAttributes> backward_slot("attention_backward", backward_cpu);

// ---- the operation -----------------------------------------------------------------------------

DType compute_dtype(DType dtype) { return dtype == DType::float64 ? dtype : DType::float32; }

// In the dtype computed in, with the numbers of a row side by side.
Tensor as_rows(const Tensor& x) {
  const Tensor wide = cast(x, compute_dtype(x.dtype()));
  const bool rows = wide.size(3) <= 1 || wide.stride(3) == 1;
  const bool apart = wide.size(2) <= 1 || wide.stride(2) >= wide.size(3);
  if (rows && apart) return wide;
  // Heads that show the same memory, as in the gradient of a sum, are copied once.
  Tensor once = wide;
  for (int axis = 0; axis < 2; ++axis)
    if (wide.size(axis) > 1 && wide.stride(axis) == 0) once = narrow_view(once, axis, 0, 1);
  return expand_view(clone(once), wide.shape());
}

// Not filled; laid out like x where the numbers of a row lie side by side there.
Tensor rows_like(const Tensor& x, DType dtype) {
  const Tensor like = empty_laid_out_like(x, dtype);
  return like.stride(3) == 1 || like.size(3) <= 1 ? like : empty(x.shape(), dtype, x.device());
}

// A mask of numbers to add, seen in the shape of all scores: 0 and -inf for a mask of truth values.
Tensor added_mask(const Tensor& mask, DType dtype, const Dims& shape) {
  if (!mask) return mask;
  Tensor numbers = mask;
  if (mask.dtype() == DType::boolean) {
    static const NativeCall where("where");
    const GradMode off(false);
    numbers =
        where(mask, scalar_tensor(Value(0.0), dtype, mask.device()),
              scalar_tensor(Value(-std::numeric_limits<double>::infinity()), dtype, mask.device()));
  }
  return expand_view(cast(numbers, dtype), shape);
}

void check_shapes(const Call& call, const Tensor& q, const Tensor& k, const Tensor& v) {
  const bool fit = q.rank() == 4 && k.rank() == 4 && v.rank() == 4 && q.size(0) == k.size(0) &&
                   k.size(0) == v.size(0) && k.size(1) == v.size(1) && k.size(2) == v.size(2) &&
                   q.size(3) == k.size(3) && k.size(1) > 0 && q.size(1) % k.size(1) == 0;
  if (fit) return;
  fail(ErrorKind::shape, call.name(), ": query has shape ", q.shape(), ", key ", k.shape(),
       " and value ", v.shape(),
       ". Expected [N, heads, L, E], [N, heads, S, E] and [N, heads, S, Ev], heads of the query a "
       "multiple of the others'. Fix: reshape them.");
}

AttentionAttributes attributes_of(const auto& call) {
  return {call[4].real(), call[5].boolean(), call[6].real(),
          static_cast<uint64_t>(call[7].integer())};
}

Dims scores_shape(const Tensor& q, const Tensor& k) {
  return {q.size(0), q.size(1), q.size(2), k.size(2)};
}

// attention(query, key, value, mask, scale, causal, dropout, key of the dropout)
void attention_forward(Call& call) {
  const Tensor &q = call.tensor(0), &k = call.tensor(1), &v = call.tensor(2);
  check_shapes(call, q, k, v);
  const DType dtype = compute_dtype(q.dtype());
  const Dims shape{q.size(0), q.size(1), q.size(2), v.size(3)};
  // Laid out like the query, so that joining the heads afterwards costs nothing.
  Tensor outputs[2];
  outputs[0] = q.shape() == shape ? rows_like(q, dtype) : empty(shape, dtype, q.device());
  if (call.records) {
    outputs[1] = empty({q.size(0), q.size(1), q.size(2)}, dtype, q.device());
    call.saved.push_back(outputs[1]);
  }
  const Tensor inputs[] = {as_rows(q), as_rows(k), as_rows(v),
                           added_mask(call.optional_tensor(3), dtype, scores_shape(q, k))};
  forward_slot(TensorSpan(outputs, call.records ? 2 : 1), TensorSpan(inputs, 4),
               attributes_of(call));
  call.output(cast(outputs[0], q.dtype()));
}

void attention_backward(BackwardCall& call) {
  const Tensor &q = call.tensor(0), &k = call.tensor(1), &v = call.tensor(2);
  const DType dtype = compute_dtype(q.dtype());
  const Tensor inputs[] = {as_rows(q),
                           as_rows(k),
                           as_rows(v),
                           added_mask(call.optional_tensor(3), dtype, scores_shape(q, k)),
                           as_rows(call.output()),
                           as_rows(call.gradient()),
                           call.saved(0)};
  const Tensor outputs[] = {rows_like(q, dtype), rows_like(k, dtype), rows_like(v, dtype),
                            empty({q.size(0), q.size(1), q.size(2)}, dtype, q.device())};
  backward_slot(TensorSpan(outputs, 4), TensorSpan(inputs, 7), attributes_of(call));
  for (int i = 0; i < 3; ++i)
    if (call.needs(i)) call.set(i, cast(outputs[i], call.tensor(i).dtype()));
}

const Register attention_registered({.name = "attention",
                                     .forward = attention_forward,
                                     .backward = attention_backward,
                                     .saved_inputs = 0b1111,
                                     .saves_outputs = true});

}  // namespace
}  // namespace samara
