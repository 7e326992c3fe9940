// Eigenvalues and singular values.
#include <cstring>

#include "cpu/gemm.h"
#include "ops/linalg.h"

namespace samara::linalg {
namespace {

struct SpectrumAttributes {
  std::string_view place;
  char job = 'L';  // the triangle that is read (eigh); 'N', 'S' or 'A' (svd)
};

template <class T>
T conjugate(T x) {
  if constexpr (lapack::kComplex<T>)
    return std::conj(x);
  else
    return x;
}

std::string not_converged(int) {
  return "has values on which the iteration did not converge. Expected a matrix that is not that "
         "extreme. Fix: scale it, or compute in float64.";
}

template <class T, class Body>
void checked_matrices(std::string_view place, const Tensor& a, double work, Body body) {
  require_finite(place, a);
  const Stack stack = stack_of(a);
  std::vector<int32_t> info(static_cast<size_t>(stack.count));
  for_each_matrix(stack.count, work, [&](int64_t i, Scratch& scratch) {
    if (stack.rows == 0 || stack.columns == 0) return;
    info[static_cast<size_t>(i)] = body(i, a.data<T>() + i * stack.size(), scratch);
  });
  check_info(place, batch_shape(a, 2), info.data(), not_converged);
}

// ---- symmetric and Hermitian
// ---------------------------------------------------------------------

// inputs: a; outputs: values [*B, n] and, where wanted, vectors [*B, n, n].
void eigh_cpu(TensorSpan outputs, TensorSpan inputs, const SpectrumAttributes& attributes) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a);
  const int n = stack.rows;
  const bool vectors = outputs.size() > 1;
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    checked_matrices<T>(attributes.place, a, (vectors ? 9 : 2) * cube(n),
                        [&](int64_t i, const T* source, Scratch& scratch) {
                          T* matrix = scratch.matrix.at_least<T>(stack.size());
                          transpose(source, n, n, matrix);
                          const int info =
                              lapack::syevd(vectors, attributes.job, n, matrix,
                                            outputs[0].data<Real<T>>() + i * n, scratch);
                          if (vectors)
                            transpose(matrix, n, n, outputs[1].data<T>() + i * stack.size());
                          return info;
                        });
  });
}
const KernelSlot<SpectrumAttributes> eigh_slot("eigh", eigh_cpu);

char triangle_argument(const Call& call, int position) {
  const std::string& given = call[position].text();
  if (given == "L" || given == "l") return 'L';
  if (given == "U" || given == "u") return 'U';
  fail(ErrorKind::argument, call.name(), ": UPLO is '", given,
       "'. Expected 'L', the lower triangle is read, or 'U'. Fix: pass one of these.");
}

void eigh_call(Call& call, bool vectors) {
  const Tensor& a = call.tensor(0);
  const Stack stack = square_stack_of(call, a, "A");
  const char triangle = triangle_argument(call, 1);
  std::vector<Tensor> outputs{
      empty(batch_shape(a, 2, {stack.rows}), real_dtype(a.dtype()), a.device())};
  if (vectors) outputs.push_back(empty(a.shape(), a.dtype(), a.device()));
  const Tensor inputs[] = {contiguous(a)};
  eigh_slot(outputs, inputs, {call.name(), triangle});
  for (const Tensor& y : outputs) call.output(y);
}
// (a, UPLO)
void eigh_forward(Call& call) { eigh_call(call, true); }
void eigvalsh_forward(Call& call) { eigh_call(call, false); }

// ---- any square matrix
// ---------------------------------------------------------------------------

// inputs: a; outputs: values [*B, n] and, where wanted, vectors [*B, n, n], complex.
void eig_cpu(TensorSpan outputs, TensorSpan inputs, const SpectrumAttributes& attributes) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a);
  const int n = stack.rows;
  const bool wants_vectors = outputs.size() > 1;
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = std::complex<Real<T>>;
    checked_matrices<T>(
        attributes.place, a, 25 * cube(n), [&](int64_t i, const T* source, Scratch& scratch) {
          T* matrix = scratch.matrix.at_least<T>(stack.size());
          C* vectors = wants_vectors ? scratch.other.at_least<C>(stack.size()) : nullptr;
          transpose(source, n, n, matrix);
          const int info = lapack::geev(n, matrix, outputs[0].data<C>() + i * n, vectors, scratch);
          if (vectors) transpose(vectors, n, n, outputs[1].data<C>() + i * stack.size());
          return info;
        });
  });
}
const KernelSlot<SpectrumAttributes> eig_slot("eig", eig_cpu);

void eig_call(Call& call, bool vectors) {
  const Tensor& a = call.tensor(0);
  const Stack stack = square_stack_of(call, a, "A");
  const DType dtype = complex_dtype(a.dtype());
  std::vector<Tensor> outputs{empty(batch_shape(a, 2, {stack.rows}), dtype, a.device())};
  if (vectors) outputs.push_back(empty(a.shape(), dtype, a.device()));
  const Tensor inputs[] = {contiguous(a)};
  eig_slot(outputs, inputs, {call.name()});
  for (const Tensor& y : outputs) call.output(y);
}
// (a)
void eig_forward(Call& call) { eig_call(call, true); }
void eigvals_forward(Call& call) { eig_call(call, false); }

// ---- singular values
// -----------------------------------------------------------------------------

// inputs: a; outputs: u, s, vh, or s alone. Read by columns A is A^T = conj(V) S U^T, so LAPACK's
// "u", read by rows, is Vh, and its "vh" is U.
void svd_cpu(TensorSpan outputs, TensorSpan inputs, const SpectrumAttributes& attributes) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a);
  const int m = stack.rows, n = stack.columns, k = stack.small();
  const bool vectors = outputs.size() > 1;
  const bool full = attributes.job == 'A';
  const int columns_u = full ? m : k, rows_vh = full ? n : k;
  const Tensor& values = outputs[vectors ? 1 : 0];
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    checked_matrices<T>(attributes.place, a, (vectors ? 20 : 4) * double(stack.size()) * k,
                        [&](int64_t i, const T* source, Scratch& scratch) {
                          T* matrix = scratch.matrix.at_least<T>(stack.size());
                          std::memcpy(matrix, source, stack.size() * sizeof(T));
                          T unused{};
                          T* u = vectors ? outputs[0].data<T>() + i * m * columns_u : &unused;
                          T* vh = vectors ? outputs[2].data<T>() + i * rows_vh * n : &unused;
                          return lapack::gesdd(attributes.job, n, m, matrix,
                                               values.data<Real<T>>() + i * k, vh, vectors ? n : 1,
                                               u, vectors ? columns_u : 1, scratch);
                        });
    if (!full || k > 0) return;
    // Without singular values any orthogonal matrices do.
    for (const int which : {0, 2}) {
      const Stack square = stack_of(outputs[which]);
      T* target = outputs[which].data<T>();
      if (square.size() == 0) continue;
      std::fill(target, target + square.count * square.size(), T(0));
      for (int64_t i = 0; i < square.count; ++i)
        for (int64_t j = 0; j < square.rows; ++j)
          target[i * square.size() + j * (square.rows + 1)] = T(1);
    }
  });
}
const KernelSlot<SpectrumAttributes> svd_slot("svd", svd_cpu);

// (a, full_matrices)
void svd_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  const Stack stack = stack_of(call, a, "A");
  const bool full = call.boolean(1);
  const int k = stack.small();
  const Tensor outputs[] = {
      empty(batch_shape(a, 2, {stack.rows, full ? stack.rows : k}), a.dtype(), a.device()),
      empty(batch_shape(a, 2, {k}), real_dtype(a.dtype()), a.device()),
      empty(batch_shape(a, 2, {full ? stack.columns : k, stack.columns}), a.dtype(), a.device())};
  const Tensor inputs[] = {contiguous(a)};
  svd_slot(outputs, inputs, {call.name(), full ? 'A' : 'S'});
  for (const Tensor& y : outputs) call.output(y);
}

// (a)
void svdvals_forward(Call& call) {
  const Tensor& a = call.tensor(0);
  const Stack stack = stack_of(call, a, "A");
  const Tensor out = empty(batch_shape(a, 2, {stack.small()}), real_dtype(a.dtype()), a.device());
  svd_slot(out, {contiguous(a)}, {call.name(), 'N'});
  call.output(out);
}

// ---- pseudo-inverse
// ------------------------------------------------------------------------------

// inputs: a [*B, m, n], atol and rtol [*B] of float64; output: V S^+ U^H [*B, n, m].
void pinv_cpu(TensorSpan outputs, TensorSpan inputs, const SpectrumAttributes& attributes) {
  const Tensor& a = inputs[0];
  const Stack stack = stack_of(a);
  const int m = stack.rows, n = stack.columns, k = stack.small();
  visit_lapack(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using R = Real<T>;
    checked_matrices<T>(
        attributes.place, a, 24 * double(stack.size()) * k,
        [&](int64_t i, const T* source, Scratch& scratch) {
          T* matrix = scratch.matrix.at_least<T>(stack.size());
          std::memcpy(matrix, source, stack.size() * sizeof(T));
          const int64_t left = int64_t{m} * k, right = int64_t{k} * n;
          T* u = scratch.other.at_least<T>(left + right + k);  // by rows [m, k]
          T* vh = u + left;                                    // by rows [k, n]
          R* values = reinterpret_cast<R*>(vh + right);
          const int info = lapack::gesdd('S', n, m, matrix, values, vh, n, u, k, scratch);
          if (info != 0) return info;
          const double atol = inputs[1].data<double>()[i], rtol = inputs[2].data<double>()[i];
          const double limit = std::max(atol, rtol * static_cast<double>(values[0]));
          for (int64_t r = 0; r < left; ++r) {
            const R s = values[r % k];
            u[r] = static_cast<double>(s) > limit ? conjugate(u[r]) / s : T(0);
          }
          for (int64_t r = 0; r < right; ++r) vh[r] = conjugate(vh[r]);
          gemm<T>(true, true, n, m, k, T(1), vh, n, u, k, T(0),
                  outputs[0].data<T>() + i * stack.size(), m);
          return 0;
        });
  });
}
const KernelSlot<SpectrumAttributes> pinv_slot("pinv", pinv_cpu);

// (a, atol, rtol)
void pinv_forward(Call& call) {
  const Tensor &a = call.tensor(0), &atol = call.tensor(1), &rtol = call.tensor(2);
  const Stack stack = stack_of(call, a, "A");
  for (const Tensor& tolerance : {atol, rtol})
    if (tolerance.dtype() != DType::float64 || !(tolerance.shape() == batch_shape(a, 2)))
      fail(ErrorKind::shape, call.name(), ": a tolerance has shape ", tolerance.shape(),
           " and dtype ", name(tolerance.dtype()), " for A of shape ", a.shape(),
           ". Expected one float64 number for each matrix. Fix: expand it.");
  const Tensor out = empty(batch_shape(a, 2, {stack.columns, stack.rows}), a.dtype(), a.device());
  pinv_slot(out, {contiguous(a), contiguous(atol), contiguous(rtol)}, {call.name()});
  call.output(out);
}

const Register pinv_registered(
    {.name = "linalg.pinv", .forward = pinv_forward, .saved_inputs = 0b1, .saves_outputs = true});
const Register eigh_registered({.name = "linalg.eigh",
                                .forward = eigh_forward,
                                .saves_outputs = true});
const Register eigvalsh_registered({.name = "linalg.eigvalsh",
                                    .forward = eigvalsh_forward,
                                    .saved_inputs = 0b1});
const Register eig_registered({.name = "linalg.eig",
                               .forward = eig_forward,
                               .saves_outputs = true});
const Register eigvals_registered({.name = "linalg.eigvals",
                                   .forward = eigvals_forward,
                                   .saved_inputs = 0b1});
const Register svd_registered({.name = "linalg.svd",
                               .forward = svd_forward,
                               .saves_outputs = true});
const Register svdvals_registered({.name = "linalg.svdvals",
                                   .forward = svdvals_forward,
                                   .saved_inputs = 0b1});

}  // namespace
}  // namespace samara::linalg
