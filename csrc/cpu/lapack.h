// LAPACK, opened at the first call that needs it. Matrices are column-major, as Fortran has them;
// workspace is asked for and held here. Each call runs on the calling thread alone.
//
// Functions return LAPACK's `info`: 0, or the 1-based place at which a factor broke down. T is
// float, double, std::complex<float> or std::complex<double>, and Real<T> its real type.
#pragma once

#include <complex>
#include <cstdint>
#include <string>
#include <type_traits>

namespace samara::lapack {

template <class T>
struct RealOf {
  using type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
  using type = T;
};
template <class T>
using Real = typename RealOf<T>::type;
template <class T>
inline constexpr bool kComplex = !std::is_same_v<T, Real<T>>;

// Where the shared library lies; asked once, when it is first wanted. Fails where it is missing.
void set_locator(std::string (*locate)());
// Opens the library, or fails with what to install.
void open();

// A block that is reused from matrix to matrix: 64-byte aligned, so that the same numbers meet the
// same instructions whatever thread works on them.
class Workspace {
 public:
  Workspace() = default;
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  template <class T>
  T* at_least(int64_t count) {
    grow(static_cast<size_t>(count < 1 ? 1 : count) * sizeof(T));
    return static_cast<T*>(memory_);
  }

 private:
  void grow(size_t bytes);
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

// What the functions below need beside their arguments; one per thread at work.
struct Scratch {
  Workspace work, integers, real;

  // The workspace that LAPACK asked for, so that it is asked once for a stack of equal matrices.
  struct Length {
    const void* routine = nullptr;
    int sizes[3] = {};
    int length = 0;
  };
  Length lengths[2];
  int oldest = 0;
};

// --- triangular factors ------------------------------------------------------------------------

// P A = L U in place; pivots: min(m, n) 1-based rows.
template <class T>
int getrf(int m, int n, T* a, int* pivots);
// X of op(A) X = B from getrf's result, into b [n, columns]. operation: 'N', 'T' or 'C'.
template <class T>
void getrs(char operation, int n, int columns, const T* lu, const int* pivots, T* b);
// The inverse from getrf's result, in place.
template <class T>
int getri(int n, T* lu, const int* pivots, Scratch& scratch);
// A = L L^H or U^H U in place; the other triangle is left as it is.
template <class T>
int potrf(char triangle, int n, T* a);
// X of op(A) X = B or X op(A) = B with a triangular A, into b [m, n].
template <class T>
void trsm(char side, char triangle, char operation, char diagonal, int m, int n, const T* a, T* b);
// A = L D L^H (hermitian) or L D L^T, in place.
template <class T>
int sytrf(bool hermitian, int n, T* a, int* pivots, Scratch& scratch);
template <class T>
int sytrs(bool hermitian, int n, int columns, const T* a, const int* pivots, T* b);

// --- orthogonal factors ------------------------------------------------------------------------

// A = Q R in place: R above the diagonal, reflectors below, min(m, n) factors tau.
template <class T>
int geqrf(int m, int n, T* a, T* tau, Scratch& scratch);
// The first n columns of the product of k reflectors, in place.
template <class T>
int orgqr(int m, int n, int k, T* a, const T* tau, Scratch& scratch);

// --- spectra -----------------------------------------------------------------------------------

// Eigenvalues, ascending, of a symmetric or Hermitian matrix; `a` becomes its vectors.
template <class T>
int syevd(bool vectors, char triangle, int n, T* a, Real<T>* values, Scratch& scratch);
// Eigenvalues and right vectors (or null) of any matrix; `a` is used up.
template <class T>
int geev(int n, T* a, std::complex<Real<T>>* values, std::complex<Real<T>>* vectors,
         Scratch& scratch);
// Singular values, descending. job: 'N' values alone, 'S' thin, 'A' full u [m, ...], vh [..., n].
template <class T>
int gesdd(char job, int m, int n, T* a, Real<T>* values, T* u, int rows_u, T* vh, int rows_vh,
          Scratch& scratch);

// --- least squares -----------------------------------------------------------------------------

enum class Driver { gels, gelsy, gelsd, gelss };
// min |A X - B|; b [max(m, n), columns] holds B and then X. `values`: min(m, n) singular values
// (gelsd, gelss).
template <class T>
int least_squares(Driver driver, int m, int n, int columns, T* a, T* b, double rcond, int* rank,
                  Real<T>* values, Scratch& scratch);

}  // namespace samara::lapack
