// Triangular and orthogonal factors: LU, Cholesky, LDL, QR.
#include <cstring>

#include "ops/linalg.h"

namespace samara::linalg {
namespace {

struct FactorAttributes {
  std::string_view place;
  bool flag = false;   // upper (Cholesky), Hermitian (LDL), complete (QR)
  bool check = false;  // an error for the first matrix that has no factors
};

// ---- LU
// ------------------------------------------------------------------------------------------

// inputs: a; outputs: lu, pivots, info.
void lu_cpu(TensorSpan outputs, TensorSpan inputs, const FactorAttributes&) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a);
  int32_t* pivots = outputs[1].data<int32_t>();
  int32_t* info = outputs[2].data<int32_t>();
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* source = a.data<T>();
    T* target = outputs[0].data<T>();
    const double work = double(stack.size()) * stack.small();
    for_each_matrix(stack.count, work, [&](int64_t i, Scratch& scratch) {
      T* matrix = scratch.matrix.at_least<T>(stack.size());
      transpose(source + i * stack.size(), stack.rows, stack.columns, matrix);
      info[i] = lapack::getrf(stack.rows, stack.columns, matrix, pivots + i * stack.small());
      transpose(matrix, stack.columns, stack.rows, target + i * stack.size());
    });
  });
}
const KernelSlot<FactorAttributes> lu_slot("lu_factor", lu_cpu);

// (a)
void lu_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  const Stack stack = stack_of(call, a, "A");
  const Tensor outputs[] = {empty(a.shape(), a.dtype(), a.device()),
                            empty(batch_shape(a, 2, {stack.small()}), DType::int32, a.device()),
                            empty(batch_shape(a, 2), DType::int32, a.device())};
  const Tensor inputs[] = {contiguous(a)};
  lu_slot(outputs, inputs, {call.name()});
  for (const Tensor& y : outputs) call.output(y);
}

// inputs: pivots [*B, k], 1-based row exchanges; outputs: the permutation [*B, m] they make.
void permutation_cpu(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  const Tensor& pivots = inputs[0];
  const Tensor& out = outputs[0];
  const int64_t k = pivots.size(pivots.rank() - 1), m = out.size(out.rank() - 1);
  const int64_t count = m ? out.elements() / m : 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t* row = out.data<int64_t>() + i * m;
    for (int64_t j = 0; j < m; ++j) row[j] = j;
    for (int64_t j = 0; j < k; ++j) {
      const int64_t other = pivots.data<int32_t>()[i * k + j] - 1;
      if (other < 0 || other >= m)
        fail(ErrorKind::index, "lu_unpack: a pivot is ", other + 1, " for matrices of ", m,
             " rows. Expected 1 to ", m, ". Fix: pass the pivots that lu_factor gave.");
      std::swap(row[j], row[other]);
    }
  }
}
const KernelSlot<NoAttributes> permutation_slot("lu_permutation", permutation_cpu);

// (pivots, rows)
void permutation_forward(Call& call) {
  const Tensor& pivots = call.tensor(0);
  const int64_t rows = call.integer(1);
  if (pivots.rank() < 1 || pivots.dtype() != DType::int32 || pivots.size(pivots.rank() - 1) > rows)
    fail(ErrorKind::shape, call.name(), ": pivots of shape ", pivots.shape(), " and dtype ",
         name(pivots.dtype()), " given for ", rows,
         " rows. Expected int32 and at most one pivot for each row. Fix: pass the pivots that "
         "lu_factor gave.");
  const Tensor out = empty(batch_shape(pivots, 1, {rows}), DType::int64, pivots.device());
  permutation_slot(out, {contiguous(pivots)}, {});
  call.output(out);
}

// ---- Cholesky
// ------------------------------------------------------------------------------------

template <class T>
void clear_triangle(T* a, int n, bool upper) {
  for (int64_t r = 0; r < n; ++r) {
    const int64_t first = upper ? 0 : r + 1, last = upper ? r : n;
    std::fill(a + r * n + first, a + r * n + last, T(0));
  }
}

// inputs: a; outputs: the factor, info.
void cholesky_cpu(TensorSpan outputs, TensorSpan inputs, const FactorAttributes& attributes) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a);
  int32_t* info = outputs[1].data<int32_t>();
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_matrix(stack.count, cube(stack.rows) / 3, [&](int64_t i, Scratch&) {
      T* matrix = outputs[0].data<T>() + i * stack.size();
      std::memcpy(matrix, a.data<T>() + i * stack.size(), stack.size() * sizeof(T));
      // Read by columns this is the transpose, whose other triangle is the one asked for.
      info[i] = lapack::potrf(attributes.flag ? 'L' : 'U', stack.rows, matrix);
      clear_triangle(matrix, stack.rows, attributes.flag);
    });
  });
  if (!attributes.check) return;
  check_info(attributes.place, batch_shape(a, 2), info, [](int minor) {
    return concat_text("is not positive-definite: the leading minor of order ", minor,
                       " is not. Expected a symmetric (Hermitian) positive-definite matrix. Fix: "
                       "add a multiple of the identity, or use ldl_factor or eigh.");
  });
}
const KernelSlot<FactorAttributes> cholesky_slot("cholesky", cholesky_cpu);

// (a, upper, check)
void cholesky_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  square_stack_of(call, a, "A");
  const Tensor outputs[] = {empty(a.shape(), a.dtype(), a.device()),
                            empty(batch_shape(a, 2), DType::int32, a.device())};
  const Tensor inputs[] = {contiguous(a)};
  cholesky_slot(outputs, inputs, {call.name(), call.boolean(1), call.boolean(2)});
  for (const Tensor& y : outputs) call.output(y);
}

// ---- LDL
// -----------------------------------------------------------------------------------------

// inputs: a; outputs: ld, pivots, info.
void ldl_cpu(TensorSpan outputs, TensorSpan inputs, const FactorAttributes& attributes) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a);
  int32_t* info = outputs[2].data<int32_t>();
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_matrix(stack.count, cube(stack.rows) / 3, [&](int64_t i, Scratch& scratch) {
      T* matrix = scratch.matrix.at_least<T>(stack.size());
      transpose(a.data<T>() + i * stack.size(), stack.rows, stack.columns, matrix);
      info[i] = lapack::sytrf(attributes.flag, stack.rows, matrix,
                              outputs[1].data<int32_t>() + i * stack.rows, scratch);
      T* target = outputs[0].data<T>() + i * stack.size();
      transpose(matrix, stack.columns, stack.rows, target);
      clear_triangle(target, stack.rows, false);
    });
  });
  if (!attributes.check) return;
  check_info(attributes.place, batch_shape(a, 2), info, [](int at) {
    return concat_text("is singular: D[", at - 1, ", ", at - 1,
                       "] is zero. Expected an invertible matrix. Fix: use lstsq or pinv.");
  });
}
const KernelSlot<FactorAttributes> ldl_slot("ldl_factor", ldl_cpu);

// (a, hermitian, check)
void ldl_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  const Stack stack = square_stack_of(call, a, "A");
  const Tensor outputs[] = {empty(a.shape(), a.dtype(), a.device()),
                            empty(batch_shape(a, 2, {stack.rows}), DType::int32, a.device()),
                            empty(batch_shape(a, 2), DType::int32, a.device())};
  const Tensor inputs[] = {contiguous(a)};
  ldl_slot(outputs, inputs, {call.name(), call.boolean(1), call.boolean(2)});
  for (const Tensor& y : outputs) call.output(y);
}

// inputs: ld, pivots, b; output: x.
void ldl_solve_cpu(TensorSpan outputs, TensorSpan inputs, const FactorAttributes& attributes) {
  const Tensor &ld = inputs[0], &b = inputs[2];
  const Stack stack = stack_of(ld), right = stack_of(b);
  visit_lapack(ld.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_matrix(
        stack.count, double(stack.size()) * right.columns, [&](int64_t i, Scratch& scratch) {
          T* matrix = scratch.matrix.at_least<T>(stack.size());
          T* columns = scratch.other.at_least<T>(right.size());
          transpose(ld.data<T>() + i * stack.size(), stack.rows, stack.rows, matrix);
          transpose(b.data<T>() + i * right.size(), right.rows, right.columns, columns);
          lapack::sytrs(attributes.flag, stack.rows, right.columns, matrix,
                        inputs[1].data<int32_t>() + i * stack.rows, columns);
          transpose(columns, right.columns, right.rows, outputs[0].data<T>() + i * right.size());
        });
  });
}
const KernelSlot<FactorAttributes> ldl_solve_slot("ldl_solve", ldl_solve_cpu);

// (ld, pivots, b, hermitian): leading axes equal
void ldl_solve_forward(Call& call) {
  const Tensor &ld = call.tensor(0), &pivots = call.tensor(1), &b = call.tensor(2);
  const Stack stack = square_stack_of(call, ld, "LD");
  const Stack right = stack_of(call, b, "B");
  if (right.rows != stack.rows || pivots.dtype() != DType::int32 ||
      !(pivots.shape() == batch_shape(ld, 1)) || !(batch_shape(ld, 2) == batch_shape(b, 2)) ||
      ld.dtype() != b.dtype())
    fail(ErrorKind::shape, call.name(), ": LD has shape ", ld.shape(), ", pivots ", pivots.shape(),
         " and B ", b.shape(),
         ". Expected (..., n, n), (..., n) of int32 and (..., n, k) of LD's dtype. Fix: pass what "
         "ldl_factor gave, and reshape B.");
  const Tensor out = empty(b.shape(), b.dtype(), b.device());
  ldl_solve_slot(out, {contiguous(ld), contiguous(pivots), contiguous(b)},
                 {call.name(), call.boolean(3)});
  call.output(out);
}

// ---- QR
// ------------------------------------------------------------------------------------------

// inputs: a; outputs: reflectors and R in one matrix, tau.
void geqrf_cpu(TensorSpan outputs, TensorSpan inputs, const FactorAttributes&) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a);
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_matrix(
        stack.count, 2 * double(stack.size()) * stack.small(), [&](int64_t i, Scratch& scratch) {
          T* matrix = scratch.matrix.at_least<T>(stack.size());
          transpose(a.data<T>() + i * stack.size(), stack.rows, stack.columns, matrix);
          lapack::geqrf(stack.rows, stack.columns, matrix, outputs[1].data<T>() + i * stack.small(),
                        scratch);
          transpose(matrix, stack.columns, stack.rows, outputs[0].data<T>() + i * stack.size());
        });
  });
}
const KernelSlot<FactorAttributes> geqrf_slot("geqrf", geqrf_cpu);

// (a)
void geqrf_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  const Stack stack = stack_of(call, a, "A");
  const Tensor outputs[] = {empty(a.shape(), a.dtype(), a.device()),
                            empty(batch_shape(a, 2, {stack.small()}), a.dtype(), a.device())};
  const Tensor inputs[] = {contiguous(a)};
  geqrf_slot(outputs, inputs, {call.name()});
  for (const Tensor& y : outputs) call.output(y);
}

// inputs: reflectors [*B, m, k], tau [*B, t], t <= k; output: the first n columns of their product.
void orgqr_cpu(TensorSpan outputs, TensorSpan inputs, const FactorAttributes&) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a), out = stack_of(outputs[0]);
  const int reflectors = static_cast<int>(inputs[1].size(inputs[1].rank() - 1));
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_matrix(
        out.count, 2 * double(out.size()) * reflectors, [&](int64_t i, Scratch& scratch) {
          T* matrix = scratch.matrix.at_least<T>(std::max(out.size(), stack.size()));
          transpose(a.data<T>() + i * stack.size(), stack.rows, stack.columns, matrix);
          lapack::orgqr(out.rows, out.columns, reflectors, matrix,
                        inputs[1].data<T>() + i * reflectors, scratch);
          transpose(matrix, out.columns, out.rows, outputs[0].data<T>() + i * out.size());
        });
  });
}
const KernelSlot<FactorAttributes> orgqr_slot("householder_product", orgqr_cpu);

// (a, tau)
void householder_product_forward(Call& call) {
  const Tensor &a = call.tensor(0), &tau = call.tensor(1);
  const Stack stack = stack_of(call, a, "A");
  const bool fits = tau.rank() == a.rank() - 1 && tau.dtype() == a.dtype() &&
                    batch_shape(tau, 1) == batch_shape(a, 2) && stack.rows >= stack.columns &&
                    tau.size(tau.rank() - 1) <= stack.columns;
  if (!fits)
    fail(ErrorKind::shape, call.name(), ": A has shape ", a.shape(), " and tau ", tau.shape(),
         ". Expected (..., m, n) with m >= n and (..., k) of the same dtype with k <= n. Fix: pass "
         "what geqrf gave, cut to its first columns.");
  const Tensor out = empty(a.shape(), a.dtype(), a.device());
  orgqr_slot(out, {contiguous(a), contiguous(tau)}, {call.name()});
  call.output(out);
}

// inputs: a; outputs: q [*B, m, n or m] or an empty tensor, r.
void qr_cpu(TensorSpan outputs, TensorSpan inputs, const FactorAttributes&) {
  const Tensor &a = inputs[0], &q = outputs[0], &r = outputs[1];
  const Stack stack = stack_of(a), right = stack_of(r);
  const bool wants_q = q.rank() == a.rank();
  const Stack left = wants_q ? stack_of(q) : Stack{};
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const double work = 4 * double(stack.size()) * stack.small();
    for_each_matrix(stack.count, work, [&](int64_t i, Scratch& scratch) {
      T* matrix = scratch.matrix.at_least<T>(std::max(stack.size(), left.size()));
      T* tau = scratch.other.at_least<T>(stack.small());
      transpose(a.data<T>() + i * stack.size(), stack.rows, stack.columns, matrix);
      lapack::geqrf(stack.rows, stack.columns, matrix, tau, scratch);
      T* upper = r.data<T>() + i * right.size();
      for (int64_t row = 0; row < right.rows; ++row)
        for (int64_t column = 0; column < right.columns; ++column)
          upper[row * right.columns + column] =
              column < row ? T(0) : matrix[column * stack.rows + row];
      if (!wants_q || left.size() == 0) return;
      lapack::orgqr(left.rows, left.columns, stack.small(), matrix, tau, scratch);
      transpose(matrix, left.columns, left.rows, q.data<T>() + i * left.size());
    });
  });
}
const KernelSlot<FactorAttributes> qr_slot("qr", qr_cpu);

// (a, mode): "reduced", "complete" or "r"
void qr_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  const Stack stack = stack_of(call, a, "A");
  const std::string& mode = call[1].text();
  if (mode != "reduced" && mode != "complete" && mode != "r")
    fail(ErrorKind::argument, call.name(), ": mode is '", mode,
         "'. Expected 'reduced', 'complete' or 'r'. Fix: pass one of these.");
  const int inner = mode == "complete" ? stack.rows : stack.small();
  const Dims left = mode == "r" ? Dims{0} : batch_shape(a, 2, {stack.rows, inner});
  // With mode "r" q is empty, and of another rank, which tells the kernel.
  const Tensor outputs[] = {
      empty(left, a.dtype(), a.device()),
      empty(batch_shape(a, 2, {inner, stack.columns}), a.dtype(), a.device())};
  const Tensor inputs[] = {contiguous(a)};
  qr_slot(outputs, inputs, {call.name()});
  for (const Tensor& y : outputs) call.output(y);
}

const Register lu_registered({.name = "linalg.lu_factor",
                              .forward = lu_forward,
                              .saves_outputs = true});
const Register permutation_registered({.name = "linalg.lu_permutation",
                                       .forward = permutation_forward});
const Register cholesky_registered({.name = "linalg.cholesky",
                                    .forward = cholesky_forward,
                                    .saves_outputs = true});
const Register ldl_registered({.name = "linalg.ldl_factor", .forward = ldl_forward});
const Register ldl_solve_registered({.name = "linalg.ldl_solve", .forward = ldl_solve_forward});
const Register geqrf_registered({.name = "linalg.geqrf", .forward = geqrf_forward});
const Register householder_registered({.name = "linalg.householder_product",
                                       .forward = householder_product_forward,
                                       .saved_inputs = 0b11});
const Register qr_registered({.name = "linalg.qr", .forward = qr_forward, .saves_outputs = true});

}  // namespace
}  // namespace samara::linalg
