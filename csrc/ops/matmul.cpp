// Matrix products: matmul in every shape of the Array API, and linear with its bias fused.
//
// An operand is a stack of matrices told by strides. Transposing swaps two of them; a matrix with
// unit stride in one direction goes to gemm as it lies, with a flag, and only another one is
// copied.
#include <algorithm>
#include <complex>
#include <type_traits>
#include <utility>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/gemm.h"
#include "cpu/threads.h"
#include "ops/basic.h"

namespace samara {
namespace {

struct Matrix {
  Tensor tensor;
  int64_t rows = 1;
  int64_t columns = 1;
  int64_t row_stride = 0;
  int64_t column_stride = 0;
  Dims batch;
  Dims batch_strides;
};

// What gemm is told. The batch axes are those of the result, outermost first; a stride of 0 reuses
// a matrix.
struct ProductPlan {
  bool trans_a = false;
  bool trans_b = false;
  int64_t m = 1;
  int64_t n = 1;
  int64_t k = 1;
  int64_t lda = 1;
  int64_t ldb = 1;
  Dims batch;
  Dims strides_a;
  Dims strides_b;
};

// ---- CPU kernels -----------------------------------------------------------------------------

// Calls body(offset_a, offset_b, offset_c) for every innermost run of the batch.
template <class Body>
void for_outer_batches(const ProductPlan& plan, Body body) {
  const int last = plan.batch.size() - 1;
  const int64_t run = plan.batch[last] * plan.m * plan.n;
  Dims index = Dims::filled(last, 0);
  int64_t a = 0;
  int64_t b = 0;
  for (int64_t c = 0;; c += run) {
    body(a, b, c);
    int axis = last - 1;
    for (; axis >= 0; --axis) {
      a += plan.strides_a[axis];
      b += plan.strides_b[axis];
      if (++index[axis] < plan.batch[axis]) break;
      index[axis] = 0;
      a -= plan.strides_a[axis] * plan.batch[axis];
      b -= plan.strides_b[axis] * plan.batch[axis];
    }
    if (axis < 0) return;
  }
}

template <class T>
void multiply(const ProductPlan& p, const T* a, const T* b, T beta, T* c) {
  if (p.batch.empty()) {
    gemm<T>(p.trans_a, p.trans_b, p.m, p.n, p.k, T(1), a, p.lda, b, p.ldb, beta, c, p.n);
    return;
  }
  const int last = p.batch.size() - 1;
  for_outer_batches(p, [&](int64_t offset_a, int64_t offset_b, int64_t offset_c) {
    gemm_batched<T>(p.batch[last], p.trans_a, p.trans_b, p.m, p.n, p.k, T(1), a + offset_a, p.lda,
                    p.strides_a[last], b + offset_b, p.ldb, p.strides_b[last], beta, c + offset_c,
                    p.n, p.m * p.n);
  });
}

void multiply_half(HalfKind kind, const ProductPlan& p, const uint16_t* a, const uint16_t* b,
                   float beta, uint16_t* c) {
  if (p.batch.empty()) {
    gemm_half(kind, p.trans_a, p.trans_b, p.m, p.n, p.k, 1.0f, a, p.lda, b, p.ldb, beta, c, p.n);
    return;
  }
  const int last = p.batch.size() - 1;
  for_outer_batches(p, [&](int64_t offset_a, int64_t offset_b, int64_t offset_c) {
    gemm_half_batched(kind, p.batch[last], p.trans_a, p.trans_b, p.m, p.n, p.k, 1.0f, a + offset_a,
                      p.lda, p.strides_a[last], b + offset_b, p.ldb, p.strides_b[last], beta,
                      c + offset_c, p.n, p.m * p.n);
  });
}

// Every row of the result starts as the bias and the product is added to it, so that a 16-bit
// result is rounded once.
template <class T>
void fill_rows(const ProductPlan& plan, const T* bias, T* c) {
  for (int64_t row = 0; row < plan.m; ++row) std::copy_n(bias, plan.n, c + row * plan.n);
}

// outputs: c; inputs: a, b and, for a product without batch axes, possibly a bias.
void cpu_product(TensorSpan outputs, TensorSpan inputs, const ProductPlan& plan) {
  const Tensor& out = outputs[0];
  const bool has_bias = inputs.size() == 3;
  const auto run = [&]<class T>(TypeTag<T>) {
    const T* a = inputs[0].data<T>();
    const T* b = inputs[1].data<T>();
    T* c = out.data<T>();
    if constexpr (std::is_same_v<T, bool>) {
      return;  // refused before
    } else if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
      if (has_bias) fill_rows(plan, inputs[2].data<T>(), c);
      multiply_half(std::is_same_v<T, Float16> ? HalfKind::float16 : HalfKind::bfloat16, plan,
                    &a->bits, &b->bits, has_bias ? 1.0f : 0.0f, &c->bits);
    } else {
      if constexpr (std::is_floating_point_v<T>) {
        if (has_bias)
          return gemm_bias<T>(plan.trans_a, plan.trans_b, plan.m, plan.n, plan.k, a, plan.lda, b,
                              plan.ldb, inputs[2].data<T>(), c, plan.n);
      }
      if (has_bias) fill_rows(plan, inputs[2].data<T>(), c);
      multiply<T>(plan, a, b, has_bias ? T(1) : T(0), c);
    }
  };
  // The common dtype without the jump through the table.
  if (out.dtype() == DType::float32) return run(TypeTag<float>{});
  visit_dtype(out.dtype(), run);
}

const KernelSlot<ProductPlan> product_slot("matmul", cpu_product);

// ---- operands --------------------------------------------------------------------------------

// The last `axes` (1 or 2) axes of x as a matrix; of one axis, a row or a column.
Matrix matrix_of(const Tensor& x, bool has_rows, bool has_columns) {
  Matrix matrix;
  int rank = x.rank();
  if (has_columns) {
    --rank;
    matrix.columns = x.size(rank);
    matrix.column_stride = x.stride(rank);
  }
  if (has_rows) {
    --rank;
    matrix.rows = x.size(rank);
    matrix.row_stride = x.stride(rank);
  }
  for (int axis = 0; axis < rank; ++axis) {
    matrix.batch.push_back(x.size(axis));
    matrix.batch_strides.push_back(x.stride(axis));
  }
  matrix.tensor = x;
  return matrix;
}

Matrix left_matrix(const Tensor& x) { return matrix_of(x, x.rank() > 1, true); }
Matrix right_matrix(const Tensor& y) { return matrix_of(y, true, y.rank() > 1); }

Matrix transposed(Matrix matrix) {
  std::swap(matrix.rows, matrix.columns);
  std::swap(matrix.row_stride, matrix.column_stride);
  return matrix;
}

Dims full_shape(const Matrix& matrix) {
  Dims shape = matrix.batch;
  shape.push_back(matrix.rows);
  shape.push_back(matrix.columns);
  return shape;
}

void make_contiguous(Matrix& matrix) {
  const Dims shape = full_shape(matrix);
  Dims strides = matrix.batch_strides;
  strides.push_back(matrix.row_stride);
  strides.push_back(matrix.column_stride);
  matrix.tensor = contiguous(alias(matrix.tensor, shape, strides, matrix.tensor.offset()));
  const Dims& packed = matrix.tensor.strides();
  for (int i = 0; i < matrix.batch.size(); ++i) matrix.batch_strides[i] = packed[i];
  matrix.row_stride = matrix.columns;
  matrix.column_stride = 1;
}

// How gemm reads a matrix where it lies: row by row, or column by column as a transposed one.
bool lies_in_rows(const Matrix& x) {
  return (x.columns <= 1 || x.column_stride == 1) &&
         (x.rows <= 1 || x.row_stride >= std::max<int64_t>(x.columns, 1));
}
int64_t leading_dimension(const Matrix& x) {
  return x.rows <= 1 ? std::max<int64_t>(x.columns, 1) : x.row_stride;
}

void choose_layout(Matrix& matrix, bool& trans, int64_t& leading) {
  if (lies_in_rows(matrix)) {
    leading = leading_dimension(matrix);
    return;
  }
  const Matrix flipped = transposed(matrix);
  if (lies_in_rows(flipped)) {
    trans = true;
    leading = leading_dimension(flipped);
    return;
  }
  make_contiguous(matrix);
  leading = leading_dimension(matrix);
}

// One matrix whose rows are those of the whole stack, copied only where the strides do not allow
// it.
void fold_batch(Matrix& matrix) {
  if (matrix.batch.empty()) return;
  // Axes of length 1 have any stride; the innermost other one gives the distance between rows.
  int64_t rows = matrix.rows;
  int64_t stride = matrix.row_stride;
  bool foldable = true;
  for (int i = matrix.batch.size() - 1; i >= 0; --i) {
    if (matrix.batch[i] == 1) continue;
    if (rows == 1)
      stride = matrix.batch_strides[i];
    else
      foldable &= matrix.batch_strides[i] == stride * rows;
    rows *= matrix.batch[i];
  }
  if (!foldable) {
    make_contiguous(matrix);
    stride = matrix.row_stride;
  }
  matrix.rows = rows;
  matrix.row_stride = stride;
  matrix.batch.clear();
  matrix.batch_strides.clear();
}

// ---- products --------------------------------------------------------------------------------

// The strides of a stack along the axes of the common batch shape.
Dims aligned_strides(const Matrix& matrix, const Dims& batch) {
  Dims strides = Dims::filled(batch.size(), 0);
  const int shift = batch.size() - matrix.batch.size();
  for (int i = 0; i < matrix.batch.size(); ++i)
    if (matrix.batch[i] != 1) strides[i + shift] = matrix.batch_strides[i];
  return strides;
}

// Batch axes of length 1 go, and neighbours that one stride covers in both operands become one.
void simplify_batch(ProductPlan& plan) {
  int kept = 0;
  for (int i = 0; i < plan.batch.size(); ++i) {
    const int64_t size = plan.batch[i];
    if (size == 1) continue;
    const int before = kept - 1;
    if (kept > 0 && plan.strides_a[before] == plan.strides_a[i] * size &&
        plan.strides_b[before] == plan.strides_b[i] * size) {
      plan.batch[before] *= size;
      plan.strides_a[before] = plan.strides_a[i];
      plan.strides_b[before] = plan.strides_b[i];
      continue;
    }
    plan.batch[kept] = size;
    plan.strides_a[kept] = plan.strides_a[i];
    plan.strides_b[kept] = plan.strides_b[i];
    ++kept;
  }
  while (plan.batch.size() > kept) {
    plan.batch.pop_back();
    plan.strides_a.pop_back();
    plan.strides_b.pop_back();
  }
}

bool is_single(const Matrix& matrix) { return element_count(matrix.batch) == 1; }

// a b, stack by stack, as a new tensor of `shape`. Both have one dtype; the shapes are checked.
Tensor product(Matrix a, Matrix b, const Dims& shape, const Tensor& bias = Tensor()) {
  Tensor out = empty(shape, a.tensor.dtype(), a.tensor.device());
  if (out.elements() == 0) return out;
  // One matrix on the right: the whole stack on the left is one taller matrix.
  if (!a.batch.empty() && is_single(b) && lies_in_rows(a)) {
    fold_batch(a);
    b.batch.clear();
    b.batch_strides.clear();
  }
  ProductPlan plan;
  plan.m = a.rows;
  plan.n = b.columns;
  plan.k = a.columns;
  choose_layout(a, plan.trans_a, plan.lda);
  choose_layout(b, plan.trans_b, plan.ldb);
  if (!a.batch.empty() || !b.batch.empty()) {
    plan.batch = broadcast_shapes(a.batch, b.batch, "matmul");
    plan.strides_a = aligned_strides(a, plan.batch);
    plan.strides_b = aligned_strides(b, plan.batch);
    simplify_batch(plan);
  }
  if (bias)
    product_slot(out, {a.tensor, b.tensor, contiguous(bias)}, plan);
  else
    product_slot(out, {a.tensor, b.tensor}, plan);
  return out;
}

DType product_dtype(const Call& call, const Tensor& x, const Tensor& y) {
  const DType dtype = x.dtype() == y.dtype() ? x.dtype() : promote(x.dtype(), y.dtype());
  if (dtype == DType::boolean)
    fail(ErrorKind::dtype, call.name(),
         ": bool tensors given. Expected numbers. Fix: convert one of them, e.g. "
         "x.to(samara.float32).");
  return dtype;
}

// ---- matmul ----------------------------------------------------------------------------------

[[noreturn]] void fail_inner(const Call& call, const Dims& x, const Dims& y, int64_t left,
                             int64_t right) {
  fail(ErrorKind::shape, call.name(), ": shapes ", x, " and ", y, " do not fit: ", left,
       x.size() == 1 ? " elements" : " columns", " on the left meet ", right,
       y.size() == 1 ? " elements" : " rows",
       " on the right. Expected the last axis of the left and ",
       y.size() == 1 ? "the axis" : "the second last axis",
       " of the right to be equal. Fix: transpose or reshape one of them.");
}

Dims matmul_shape(const Call& call, const Tensor& x, const Tensor& y) {
  const int rank_x = x.rank();
  const int rank_y = y.rank();
  if (rank_x == 0 || rank_y == 0)
    fail(ErrorKind::shape, call.name(), ": shapes ", x.shape(), " and ", y.shape(),
         " given. Expected at least one axis each. Fix: use x * y with a 0-d tensor.");
  const int64_t left = x.size(rank_x - 1);
  const int64_t right = y.size(rank_y > 1 ? rank_y - 2 : 0);
  if (left != right) fail_inner(call, x.shape(), y.shape(), left, right);
  Dims shape;
  if (rank_x > 2 || rank_y > 2) {
    Dims batch_x = x.shape();
    Dims batch_y = y.shape();
    for (int i = 0; i < std::min(rank_x, 2); ++i) batch_x.pop_back();
    for (int i = 0; i < std::min(rank_y, 2); ++i) batch_y.pop_back();
    try {
      shape = broadcast_shapes(batch_x, batch_y, call.name());
    } catch (const Error&) {
      fail(ErrorKind::shape, call.name(), ": the stacks of matrices of shapes ", x.shape(), " and ",
           y.shape(), " do not broadcast: their leading axes are ", batch_x, " and ", batch_y,
           ". Expected equal sizes, or 1, counted from the last. Fix: reshape or expand one of "
           "them.");
    }
  }
  if (rank_x > 1) shape.push_back(x.size(rank_x - 2));
  if (rank_y > 1) shape.push_back(y.size(rank_y - 1));
  return shape;
}

// matmul(x, y)
void matmul_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const Tensor& y = call.tensor(1);
  const Dims shape = matmul_shape(call, x, y);
  const DType dtype = product_dtype(call, x, y);
  Tensor out = product(left_matrix(cast(x, dtype)), right_matrix(cast(y, dtype)), shape);
  // x @= y: the product is copied into x by the caller; this refuses an x that cannot hold it.
  if (call.destination) result(call, shape, dtype, out.device());
  call.output(std::move(out));
}

// x itself unless it is complex.
Tensor conjugate(const Tensor& x) {
  static const NativeCall conj("conj");
  return is_complex(x.dtype()) ? conj(x) : x;
}

// a b summed over the batch axes along which `like` was broadcast, in its shape.
Tensor reduced_product(const Matrix& a, const Matrix& b, const Matrix& like, const Tensor& target) {
  if (a.batch.empty() && b.batch.empty()) return product(a, b, target.shape());
  Dims shape = broadcast_shapes(a.batch, b.batch, "matmul");
  shape.push_back(like.rows);
  shape.push_back(like.columns);
  const Dims reduced = full_shape(like);
  Tensor result = product(a, b, shape);
  if (!(shape == reduced)) result = sum_to(result, reduced);
  return reshape_view(result, target.shape());
}

// With C = A B and gradient G: dA = G B^H, dB = A^H G.
void matmul_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const Tensor& y = call.tensor(1);
  const Tensor& gradient = call.gradient();
  const DType dtype = gradient.dtype();
  const Matrix g = matrix_of(gradient, x.rank() > 1, y.rank() > 1);
  if (call.needs(0)) {
    const Matrix right = right_matrix(conjugate(cast(y, dtype)));
    call.set(0, reduced_product(g, transposed(right), left_matrix(x), x));
  }
  if (!call.needs(1)) return;
  Matrix left = left_matrix(conjugate(cast(x, dtype)));
  const Matrix like = right_matrix(y);
  if (!g.batch.empty() && is_single(like) && left.batch == g.batch) {
    // The sum over the stack is part of one product of taller matrices.
    Matrix folded = g;
    fold_batch(folded);
    fold_batch(left);
    call.set(1, product(transposed(left), folded, y.shape()));
    return;
  }
  call.set(1, reduced_product(transposed(left), g, like, y));
}

// ---- linear ----------------------------------------------------------------------------------

void check_linear_shapes(const Call& call, const Tensor& x, const Tensor& weight,
                         const Tensor& bias) {
  if (weight.rank() != 2)
    fail(ErrorKind::shape, call.name(), ": weight has shape ", weight.shape(),
         ". Expected a matrix [out, in]. Fix: pass the weight of a linear layer.");
  if (x.rank() == 0)
    fail(ErrorKind::shape, call.name(),
         ": x has shape (). Expected [..., in]. Fix: reshape x to (1,) or (1, in).");
  const int64_t features = x.size(x.rank() - 1);
  if (features != weight.size(1))
    fail(ErrorKind::shape, call.name(), ": x has shape ", x.shape(), ", ", features,
         " features, and weight has shape ", weight.shape(), ", made for ", weight.size(1),
         ". Expected as many features as the weight has columns. Fix: make the layer with ",
         features, " input features, or reshape x to (..., ", weight.size(1), ").");
  if (bias && !(bias.rank() == 1 && bias.size(0) == weight.size(0)))
    fail(ErrorKind::shape, call.name(), ": bias has shape ", bias.shape(), " and weight has shape ",
         weight.shape(), ". Expected a bias of shape (", weight.size(0),
         ",), one number for each output. Fix: pass that, or no bias.");
}

// linear(x, weight, bias)
void linear_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const Tensor& weight = call.tensor(1);
  const Tensor bias = call.optional_tensor(2);
  check_linear_shapes(call, x, weight, bias);
  DType dtype = product_dtype(call, x, weight);
  if (bias) dtype = promote(dtype, bias.dtype());
  Dims shape = x.shape();
  shape.back() = weight.size(0);
  Matrix left = left_matrix(cast(x, dtype));
  fold_batch(left);
  const Matrix right = transposed(right_matrix(cast(weight, dtype)));
  call.output(product(std::move(left), right, shape, bias ? cast(bias, dtype) : bias));
}

// With Y = X W^T + b and gradient G: dX = G W, dW = G^T X, db = the column sums of G (conjugates of
// X and W where complex).
void linear_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const Tensor& weight = call.tensor(1);
  const Tensor& gradient = call.gradient();
  const DType dtype = gradient.dtype();
  if (call[2].is_tensor() && call.needs(2)) call.set(2, sum_to(gradient, call.tensor(2).shape()));
  if (!call.needs(0) && !call.needs(1)) return;
  Matrix g = left_matrix(gradient);
  fold_batch(g);
  if (call.needs(0))
    call.set(0, product(g, right_matrix(conjugate(cast(weight, dtype))), x.shape()));
  if (!call.needs(1)) return;
  Matrix left = left_matrix(conjugate(cast(x, dtype)));
  fold_batch(left);
  call.set(1, product(transposed(std::move(g)), std::move(left), weight.shape()));
}

const Register matmul_registered({.name = "matmul",
                                  .forward = matmul_forward,
                                  .backward = matmul_backward,
                                  .saved_inputs = 0b11,
                                  .saved_for_other = 0b11});
const Register linear_registered({.name = "linear",
                                  .forward = linear_forward,
                                  .backward = linear_backward,
                                  .saved_inputs = 0b011,
                                  .saved_for_other = 0b011});

}  // namespace
}  // namespace samara
