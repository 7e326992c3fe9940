// Equations: solve, inverse, determinant, triangular systems, least squares.
#include <cmath>
#include <cstring>

#include "ops/linalg.h"

namespace samara::linalg {
namespace {

struct SolveAttributes {
  std::string_view place;
  bool left = true;  // A X = B, otherwise X A = B
  bool check = false;
};

std::string singular(int at) {
  return concat_text(
      "is singular: U[", at - 1, ", ", at - 1,
      "] of its LU factors is zero. Expected an invertible matrix. Fix: use lstsq or "
      "pinv, or look at how the matrix was made.");
}

// ---- solve
// ---------------------------------------------------------------------------------------

// inputs: a [*B, n, n], b [*B, n, k] (or [*B, k, n]); outputs: x, info.
void solve_cpu(TensorSpan outputs, TensorSpan inputs, const SolveAttributes& attributes) {
  const Tensor &a = inputs[0], &b = inputs[1];
  const Stack stack = stack_of(a), right = stack_of(b);
  const int n = stack.rows, columns = attributes.left ? right.columns : right.rows;
  int32_t* info = outputs[1].data<int32_t>();
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const double work = cube(n) / 1.5 + 2 * double(stack.size()) * columns;
    for_each_matrix(stack.count, work, [&](int64_t i, Scratch& scratch) {
      const T* source = b.data<T>() + i * right.size();
      T* target = outputs[0].data<T>() + i * right.size();
      T* matrix = scratch.matrix.at_least<T>(stack.size());
      int* pivots = scratch.integers.at_least<int>(n);
      transpose(a.data<T>() + i * stack.size(), n, n, matrix);
      info[i] = lapack::getrf(n, n, matrix, pivots);
      if (info[i] != 0 || right.size() == 0) {
        std::fill(target, target + right.size(), T(0));
        return;
      }
      if (!attributes.left) {
        // X A = B is A^T X^T = B^T, and read by columns B is its transpose.
        std::memcpy(target, source, right.size() * sizeof(T));
        lapack::getrs('T', n, columns, matrix, pivots, target);
        return;
      }
      T* x = scratch.other.at_least<T>(right.size());
      transpose(source, n, columns, x);
      lapack::getrs('N', n, columns, matrix, pivots, x);
      transpose(x, columns, n, target);
    });
  });
  if (attributes.check) check_info(attributes.place, batch_shape(a, 2), info, singular);
}
const KernelSlot<SolveAttributes> solve_slot("solve", solve_cpu);

// A and B with the same leading axes and dtype, and sizes that meet.
void require_fitting(const Call& call, const Tensor& a, const Tensor& b, bool left) {
  const Stack stack = stack_of(call, a, "A"), right = stack_of(call, b, "B");
  const int meets = left ? right.rows : right.columns;
  if (meets != stack.rows || !(batch_shape(a, 2) == batch_shape(b, 2)))
    fail(ErrorKind::shape, call.name(), ": A has shape ", a.shape(), " and B ", b.shape(), ": ",
         stack.rows, " rows meet ", meets, left ? " rows" : " columns", ". Expected B of shape ",
         left ? "(..., n, k)" : "(..., k, n)",
         " for A of shape (..., n, n), with leading axes that broadcast. Fix: reshape B, e.g. a "
         "vector to (n, 1).");
  if (a.dtype() != b.dtype())
    fail(ErrorKind::dtype, call.name(), ": A has dtype ", name(a.dtype()), " and B ",
         name(b.dtype()), ". Expected one dtype. Fix: convert one of them.");
}

// (a, b, left, check): leading axes equal
void solve_forward(Call& call) {
  const Tensor &a = call.tensor(0), &b = call.tensor(1);
  square_stack_of(call, a, "A");
  require_fitting(call, a, b, call.boolean(2));
  const Tensor outputs[] = {empty(b.shape(), b.dtype(), b.device()),
                            empty(batch_shape(a, 2), DType::int32, a.device())};
  const Tensor inputs[] = {contiguous(a), contiguous(b)};
  solve_slot(outputs, inputs, {call.name(), call.boolean(2), call.boolean(3)});
  for (const Tensor& y : outputs) call.output(y);
}

// ---- triangular systems
// --------------------------------------------------------------------------

struct TriangularAttributes {
  bool upper, left, unit;
};

// inputs: a, b; output: x. Read by columns A is A^T, lower where A is upper, and A X = B is
// X^T A^T = B^T.
void triangular_cpu(TensorSpan outputs, TensorSpan inputs, const TriangularAttributes& attributes) {
  const Tensor &a = inputs[0], &b = inputs[1];
  const Stack stack = stack_of(a), right = stack_of(b);
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_matrix(stack.count, double(stack.rows) * right.size(), [&](int64_t i, Scratch&) {
      T* target = outputs[0].data<T>() + i * right.size();
      if (right.size() == 0) return;
      std::memcpy(target, b.data<T>() + i * right.size(), right.size() * sizeof(T));
      lapack::trsm(attributes.left ? 'R' : 'L', attributes.upper ? 'L' : 'U', 'N',
                   attributes.unit ? 'U' : 'N', right.columns, right.rows,
                   a.data<T>() + i * stack.size(), target);
    });
  });
}
const KernelSlot<TriangularAttributes> triangular_slot("solve_triangular", triangular_cpu);

// (a, b, upper, left, unitriangular): leading axes equal
void triangular_forward(Call& call) {
  const Tensor &a = call.tensor(0), &b = call.tensor(1);
  square_stack_of(call, a, "A");
  require_fitting(call, a, b, call.boolean(3));
  const Tensor out = empty(b.shape(), b.dtype(), b.device());
  triangular_slot(out, {contiguous(a), contiguous(b)},
                  {call.boolean(2), call.boolean(3), call.boolean(4)});
  call.output(out);
}

// ---- inverse and determinant
// ---------------------------------------------------------------------

// inputs: a; outputs: the inverse, info.
void inverse_cpu(TensorSpan outputs, TensorSpan inputs, const SolveAttributes& attributes) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a);
  const int n = stack.rows;
  int32_t* info = outputs[1].data<int32_t>();
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_matrix(stack.count, 2 * cube(n), [&](int64_t i, Scratch& scratch) {
      T* target = outputs[0].data<T>() + i * stack.size();
      T* matrix = scratch.matrix.at_least<T>(stack.size());
      int* pivots = scratch.integers.at_least<int>(n);
      transpose(a.data<T>() + i * stack.size(), n, n, matrix);
      info[i] = lapack::getrf(n, n, matrix, pivots);
      if (info[i] == 0 && n > 0) info[i] = lapack::getri(n, matrix, pivots, scratch);
      if (info[i] != 0)
        std::fill(target, target + stack.size(), T(0));
      else
        transpose(matrix, n, n, target);
    });
  });
  if (attributes.check) check_info(attributes.place, batch_shape(a, 2), info, singular);
}
const KernelSlot<SolveAttributes> inverse_slot("inv", inverse_cpu);

// (a, check)
void inverse_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  square_stack_of(call, a, "A");
  const Tensor outputs[] = {empty(a.shape(), a.dtype(), a.device()),
                            empty(batch_shape(a, 2), DType::int32, a.device())};
  const Tensor inputs[] = {contiguous(a)};
  inverse_slot(outputs, inputs, {call.name(), true, call.boolean(1)});
  for (const Tensor& y : outputs) call.output(y);
}

// Calls body(i, diagonal of U, its distance, the permutation's sign) for each matrix.
template <class T, class Body>
void for_each_lu(const Tensor& a, Body body) {
  const Stack stack = stack_of(a);
  const int n = stack.rows;
  for_each_matrix(stack.count, cube(n) / 1.5, [&](int64_t i, Scratch& scratch) {
    T* matrix = scratch.matrix.at_least<T>(stack.size());
    int* pivots = scratch.integers.at_least<int>(n);
    // The transpose has the same determinant.
    std::memcpy(matrix, a.data<T>() + i * stack.size(), stack.size() * sizeof(T));
    lapack::getrf(n, n, matrix, pivots);
    int sign = 1;
    for (int j = 0; j < n; ++j)
      if (pivots[j] != j + 1) sign = -sign;
    body(i, matrix, n, sign);
  });
}

void det_cpu(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  visit_lapack(inputs[0].dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = outputs[0].data<T>();
    for_each_lu<T>(inputs[0], [out](int64_t i, const T* lu, int n, int sign) {
      T product(static_cast<Real<T>>(sign));
      for (int64_t j = 0; j < n; ++j) product *= lu[j * n + j];
      out[i] = product;
    });
  });
}
const KernelSlot<NoAttributes> det_slot("det", det_cpu);

void det_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  square_stack_of(call, a, "A");
  const Tensor out = empty(batch_shape(a, 2), a.dtype(), a.device());
  det_slot(out, {contiguous(a)}, {});
  call.output(out);
}

// outputs: sign, log |det|.
void slogdet_cpu(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  visit_lapack(inputs[0].dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using R = Real<T>;
    T* signs = outputs[0].data<T>();
    R* logs = outputs[1].data<R>();
    for_each_lu<T>(inputs[0], [signs, logs](int64_t i, const T* lu, int n, int parity) {
      T sign(static_cast<R>(parity));
      double sum = 0;
      for (int64_t j = 0; j < n; ++j) {
        const T u = lu[j * n + j];
        const R size = std::abs(u);
        sign = size == R(0) ? T(0) : sign * (u / size);
        sum += std::log(static_cast<double>(size));
      }
      signs[i] = sign;
      logs[i] = static_cast<R>(sum);
    });
  });
}
const KernelSlot<NoAttributes> slogdet_slot("slogdet", slogdet_cpu);

void slogdet_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  square_stack_of(call, a, "A");
  const Dims shape = batch_shape(a, 2);
  const Tensor outputs[] = {empty(shape, a.dtype(), a.device()),
                            empty(shape, real_dtype(a.dtype()), a.device())};
  const Tensor inputs[] = {contiguous(a)};
  slogdet_slot(outputs, inputs, {});
  for (const Tensor& y : outputs) call.output(y);
}

// ---- least squares
// -------------------------------------------------------------------------------

struct LeastSquaresAttributes {
  std::string_view place;
  lapack::Driver driver;
  double rcond;
};

// inputs: a [*B, m, n], b [*B, m, k]; outputs: x [*B, n, k], residuals [*B, k], rank [*B], singular
// values [*B, min(m, n)].
void least_squares_cpu(TensorSpan outputs, TensorSpan inputs,
                       const LeastSquaresAttributes& attributes) {
  const Tensor &a = inputs[0], &b = inputs[1];
  require_finite(attributes.place, a);
  const Stack stack = stack_of(a), right = stack_of(b), solution = stack_of(outputs[0]);
  const int m = stack.rows, n = stack.columns, columns = right.columns;
  int64_t* ranks = outputs[2].data<int64_t>();
  std::vector<int32_t> info(static_cast<size_t>(stack.count));
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using R = Real<T>;
    const double work = 4 * double(stack.size()) * (stack.small() + columns);
    for_each_matrix(stack.count, work, [&](int64_t i, Scratch& scratch) {
      T* target = outputs[0].data<T>() + i * solution.size();
      R* residuals = outputs[1].data<R>() + i * columns;
      R* values = outputs[3].data<R>() + i * stack.small();
      std::fill(target, target + solution.size(), T(0));
      std::fill(residuals, residuals + columns, R(0));
      std::fill(values, values + stack.small(), R(0));
      ranks[i] = 0;
      const T* source = b.data<T>() + i * right.size();
      if (stack.size() == 0) {  // nothing of B is explained
        for (int64_t j = 0; j < right.size(); ++j)
          residuals[j % columns] += static_cast<R>(std::norm(source[j]));
        return;
      }
      T* matrix = scratch.matrix.at_least<T>(stack.size());
      const int64_t height = stack.large();
      T* x = scratch.other.at_least<T>(height * columns);
      transpose(a.data<T>() + i * stack.size(), m, n, matrix);
      for (int64_t c = 0; c < columns; ++c) {
        for (int64_t r = 0; r < m; ++r) x[c * height + r] = source[r * columns + c];
        std::fill(x + c * height + m, x + (c + 1) * height, T(0));
      }
      int rank = 0;
      info[static_cast<size_t>(i)] = lapack::least_squares(
          attributes.driver, m, n, columns, matrix, x, attributes.rcond, &rank, values, scratch);
      ranks[i] = rank;
      for (int64_t c = 0; c < columns; ++c) {
        for (int64_t r = 0; r < n; ++r) target[r * columns + c] = x[c * height + r];
        double sum = 0;  // rows n to m hold what is left of B
        for (int64_t r = n; r < m; ++r) sum += std::norm(x[c * height + r]);
        residuals[c] = static_cast<R>(sum);
      }
    });
  });
  check_info(attributes.place, batch_shape(a, 2), info.data(), [&](int at) {
    return attributes.driver == lapack::Driver::gels
               ? concat_text("has no full rank: diagonal element ", at - 1,
                             " of its triangular factor is zero. Expected full rank. Fix: use "
                             "driver='gelsd', which needs none.")
               : concat_text(
                     "has singular values that did not converge. Expected a matrix that is "
                     "not that extreme. Fix: scale it, or use driver='gelsy'.");
  });
}
const KernelSlot<LeastSquaresAttributes> least_squares_slot("lstsq", least_squares_cpu);

// (a, b, rcond, driver): leading axes equal
void least_squares_forward(Call& call) {
  const Tensor &a = call.tensor(0), &b = call.tensor(1);
  const Stack stack = stack_of(call, a, "A"), right = stack_of(call, b, "B");
  if (right.rows != stack.rows || !(batch_shape(a, 2) == batch_shape(b, 2)) ||
      a.dtype() != b.dtype())
    fail(ErrorKind::shape, call.name(), ": A has shape ", a.shape(), " and B ", b.shape(), ": ",
         stack.rows, " rows meet ", right.rows,
         " rows. Expected B of shape (..., m, k) for A of shape (..., m, n). Fix: reshape B, e.g. "
         "a vector to (m, 1).");
  static constexpr std::string_view names[] = {"gels", "gelsy", "gelsd", "gelss"};
  const auto* found = std::find(std::begin(names), std::end(names), call[3].text());
  if (found == std::end(names))
    fail(ErrorKind::argument, call.name(), ": driver is '", call[3].text(),
         "'. Expected 'gels', 'gelsy', 'gelsd' or 'gelss'. Fix: pass one of these.");
  const Device device = a.device();
  const Tensor outputs[] = {
      empty(batch_shape(a, 2, {stack.columns, right.columns}), a.dtype(), device),
      empty(batch_shape(a, 2, {right.columns}), real_dtype(a.dtype()), device),
      empty(batch_shape(a, 2), DType::int64, device),
      empty(batch_shape(a, 2, {stack.small()}), real_dtype(a.dtype()), device)};
  const Tensor inputs[] = {contiguous(a), contiguous(b)};
  least_squares_slot(
      outputs, inputs,
      {call.name(), static_cast<lapack::Driver>(found - std::begin(names)), call.real(2)});
  for (const Tensor& y : outputs) call.output(y);
}

const Register solve_registered({.name = "linalg.solve",
                                 .forward = solve_forward,
                                 .saved_inputs = 0b01,
                                 .saves_outputs = true});
const Register triangular_registered({.name = "linalg.solve_triangular",
                                      .forward = triangular_forward,
                                      .saved_inputs = 0b01,
                                      .saves_outputs = true});
const Register inverse_registered({.name = "linalg.inv",
                                   .forward = inverse_forward,
                                   .saves_outputs = true});
const Register det_registered(
    {.name = "linalg.det", .forward = det_forward, .saved_inputs = 0b1, .saves_outputs = true});
const Register slogdet_registered({.name = "linalg.slogdet",
                                   .forward = slogdet_forward,
                                   .saved_inputs = 0b1,
                                   .saves_outputs = true});
const Register least_squares_registered({.name = "linalg.lstsq",
                                         .forward = least_squares_forward,
                                         .saved_inputs = 0b11,
                                         .saves_outputs = true});

}  // namespace
}  // namespace samara::linalg
