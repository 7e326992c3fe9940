#include "cpu/lapack.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <new>
#include <tuple>
#include <utility>

#include "core/allocator.h"
#include "core/error.h"

namespace samara::lapack {
namespace {

using Length = size_t;  // Fortran passes the length of each character behind the arguments
using Int = const int*;
using Char = const char*;

// Prefixes of the four element types, and of the routines whose names differ for complex ones.
template <class T>
constexpr char kLetter = 's';
template <>
constexpr char kLetter<double> = 'd';
template <>
constexpr char kLetter<std::complex<float>> = 'c';
template <>
constexpr char kLetter<std::complex<double>> = 'z';

template <class T>
struct Table {
  using R = Real<T>;
  void (*getrf)(Int m, Int n, T* a, Int lda, int* pivots, int* info);
  void (*getrs)(Char op, Int n, Int nrhs, const T* a, Int lda, Int pivots, T* b, Int ldb, int* info,
                Length);
  void (*getri)(Int n, T* a, Int lda, Int pivots, T* work, Int lwork, int* info);
  void (*potrf)(Char uplo, Int n, T* a, Int lda, int* info, Length);
  void (*trsm)(Char side, Char uplo, Char op, Char diag, Int m, Int n, const T* alpha, const T* a,
               Int lda, T* b, Int ldb, Length, Length, Length, Length);
  // [0]: symmetric, [1]: Hermitian.
  void (*sytrf[2])(Char uplo, Int n, T* a, Int lda, int* pivots, T* work, Int lwork, int* info,
                   Length);
  void (*sytrs[2])(Char uplo, Int n, Int nrhs, const T* a, Int lda, Int pivots, T* b, Int ldb,
                   int* info, Length);
  void (*geqrf)(Int m, Int n, T* a, Int lda, T* tau, T* work, Int lwork, int* info);
  void (*orgqr)(Int m, Int n, Int k, T* a, Int lda, const T* tau, T* work, Int lwork, int* info);
  // Signatures that differ between real and complex types are kept untyped and cast at the call.
  void* syevd;
  void* geev;
  void* gesdd;
  void* gels;
  void* gelsy;
  void* gelsd;
  void* gelss;
};

struct Library {
  Table<float> s;
  Table<double> d;
  Table<std::complex<float>> c;
  Table<std::complex<double>> z;
};

std::string (*locator)() = nullptr;

void* find(void* library, const std::string& name) {
  // scipy-openblas names everything with a prefix of its own; a system's LAPACK has none.
  for (const char* prefix : {"scipy_", ""})
    if (void* symbol = dlsym(library, (prefix + name).c_str())) return symbol;
  fail(ErrorKind::missing_library, "LAPACK: the library has no function '", name,
       "'. Expected a complete LAPACK. Fix: pip install --force-reinstall scipy-openblas32.");
}

template <class Function>
void take(void* library, Function& function, char letter, const char* name) {
  function = reinterpret_cast<Function>(find(library, std::string(1, letter) + name + "_"));
}

template <class T>
void fill(void* library, Table<T>& table) {
  const char letter = kLetter<T>;
  constexpr bool complex = kComplex<T>;
  take(library, table.getrf, letter, "getrf");
  take(library, table.getrs, letter, "getrs");
  take(library, table.getri, letter, "getri");
  take(library, table.potrf, letter, "potrf");
  take(library, table.trsm, letter, "trsm");
  take(library, table.sytrf[0], letter, "sytrf");
  take(library, table.sytrf[1], letter, complex ? "hetrf" : "sytrf");
  take(library, table.sytrs[0], letter, "sytrs");
  take(library, table.sytrs[1], letter, complex ? "hetrs" : "sytrs");
  take(library, table.geqrf, letter, "geqrf");
  take(library, table.orgqr, letter, complex ? "ungqr" : "orgqr");
  take(library, table.syevd, letter, complex ? "heevd" : "syevd");
  take(library, table.geev, letter, "geev");
  take(library, table.gesdd, letter, "gesdd");
  take(library, table.gels, letter, "gels");
  take(library, table.gelsy, letter, "gelsy");
  take(library, table.gelsd, letter, "gelsd");
  take(library, table.gelss, letter, "gelss");
}

Library load(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    fail(ErrorKind::missing_library, "LAPACK: '", path, "' cannot be opened: ", dlerror(),
         ". Expected the library of scipy-openblas32. Fix: pip install --force-reinstall "
         "scipy-openblas32.");
  // One thread per call: the parallelism is Samara's own, over the matrices of a stack, and the
  // results have the same bits for any number of threads.
  for (const char* name : {"scipy_openblas_set_num_threads", "openblas_set_num_threads"})
    if (void* symbol = dlsym(library, name)) {
      reinterpret_cast<void (*)(int)>(symbol)(1);
      break;
    }
  Library table{};
  fill(library, table.s);
  fill(library, table.d);
  fill(library, table.c);
  fill(library, table.z);
  return table;
}

std::atomic<const Library*> loaded{nullptr};

// After a failure the next call tries again. The locator may wait for the interpreter's lock, so
// no lock of ours is held meanwhile.
const Library& open_library() {
  if (!locator)
    fail(ErrorKind::missing_library,
         "LAPACK: nothing says where it is. Expected the package 'samara' to be imported. Fix: "
         "import samara.");
  const std::string path = locator();
  static std::mutex opening;
  const std::lock_guard lock(opening);
  if (!loaded.load()) loaded = new Library(load(path));  // lives as long as the process
  return *loaded.load();
}

const Library& library() {
  if (const Library* known = loaded.load(std::memory_order_acquire)) return *known;
  return open_library();
}

template <class T>
const Table<T>& table() {
  if constexpr (std::is_same_v<T, float>) return library().s;
  if constexpr (std::is_same_v<T, double>) return library().d;
  if constexpr (std::is_same_v<T, std::complex<float>>) return library().c;
  if constexpr (std::is_same_v<T, std::complex<double>>) return library().z;
}

int stride(int rows) { return std::max(rows, 1); }

// Asks for the best size of the workspace, then calls with it: call(work, length). `routine` and
// `sizes` tell which answers are the same.
template <class T, class Call>
int with_work(Scratch& scratch, const void* routine, std::array<int, 3> sizes, Call call) {
  for (const Scratch::Length& known : scratch.lengths)
    if (known.routine == routine && std::equal(sizes.begin(), sizes.end(), known.sizes))
      return call(scratch.work.at_least<T>(known.length), known.length);
  T best{};
  const int info = call(&best, -1);
  if (info != 0) return info;
  // float cannot hold every int: one more than it says is enough.
  const auto wanted = static_cast<double>(std::real(best)) * (1 + 1e-6) + 1;
  const int length = static_cast<int>(
      std::min<double>(wanted, static_cast<double>(std::numeric_limits<int>::max())));
  Scratch::Length& slot = scratch.lengths[scratch.oldest];
  scratch.oldest = 1 - scratch.oldest;
  slot.routine = routine;
  std::copy(sizes.begin(), sizes.end(), slot.sizes);
  slot.length = length;
  return call(scratch.work.at_least<T>(length), length);
}

template <class Function>
const void* id(Function function) {
  return reinterpret_cast<const void*>(function);
}

// ---- matrices for which a call of the library takes longer than the work ----------------------

constexpr int kSmall = 8;

// Without the test for NaN that the standard's product of complex numbers makes.
template <class T>
T product(T a, T b) {
  if constexpr (kComplex<T>)
    return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
  else
    return a * b;
}

// LAPACK's measure for pivots.
template <class T>
Real<T> magnitude(T a) {
  if constexpr (kComplex<T>)
    return std::abs(a.real()) + std::abs(a.imag());
  else
    return std::abs(a);
}

template <class T>
int small_getrf(int m, int n, T* a, int* pivots) {
  int info = 0;
  for (int j = 0; j < std::min(m, n); ++j) {
    T* column = a + j * m;
    int row = j;
    for (int i = j + 1; i < m; ++i)
      if (magnitude(column[i]) > magnitude(column[row])) row = i;
    pivots[j] = row + 1;
    if (column[row] == T(0)) {
      if (info == 0) info = j + 1;
      continue;
    }
    if (row != j)
      for (int k = 0; k < n; ++k) std::swap(a[k * m + j], a[k * m + row]);
    for (int i = j + 1; i < m; ++i) column[i] /= column[j];
    for (int k = j + 1; k < n; ++k) {
      const T factor = a[k * m + j];
      for (int i = j + 1; i < m; ++i) a[k * m + i] -= product(column[i], factor);
    }
  }
  return info;
}

template <class T>
void small_getrs(int n, int columns, const T* lu, const int* pivots, T* b) {
  for (int64_t c = 0; c < columns; ++c) {
    T* x = b + c * n;
    for (int i = 0; i < n; ++i)
      if (pivots[i] - 1 != i) std::swap(x[i], x[pivots[i] - 1]);
    for (int j = 0; j < n; ++j)
      for (int i = j + 1; i < n; ++i) x[i] -= product(lu[j * n + i], x[j]);
    for (int j = n - 1; j >= 0; --j) {
      x[j] /= lu[j * n + j];
      for (int i = 0; i < j; ++i) x[i] -= product(lu[j * n + i], x[j]);
    }
  }
}

template <class T>
int small_getri(int n, T* lu, const int* pivots) {
  T x[kSmall * kSmall] = {};
  for (int i = 0; i < n; ++i) x[i * n + i] = T(1);
  small_getrs(n, n, lu, pivots, x);
  std::copy(x, x + n * n, lu);
  return 0;
}

}  // namespace

void set_locator(std::string (*locate)()) { locator = locate; }
void open() { static_cast<void>(library()); }

Workspace::~Workspace() {
  if (memory_) host_release(memory_, bytes_);
}
void Workspace::grow(size_t bytes) {
  if (bytes <= bytes_ && memory_) return;
  if (memory_) host_release(memory_, bytes_);
  memory_ = nullptr;
  memory_ = host_allocate(bytes);
  bytes_ = bytes;
}

template <class T>
int getrf(int m, int n, T* a, int* pivots) {
  if (std::max(m, n) <= kSmall) return small_getrf(m, n, a, pivots);
  int info = 0;
  const int lda = stride(m);
  table<T>().getrf(&m, &n, a, &lda, pivots, &info);
  return info;
}

template <class T>
void getrs(char operation, int n, int columns, const T* lu, const int* pivots, T* b) {
  if (n <= kSmall && operation == 'N') return small_getrs(n, columns, lu, pivots, b);
  int info = 0;
  const int lda = stride(n);
  table<T>().getrs(&operation, &n, &columns, lu, &lda, pivots, b, &lda, &info, 1);
}

template <class T>
int getri(int n, T* lu, const int* pivots, Scratch& scratch) {
  if (n <= kSmall) return small_getri(n, lu, pivots);
  const int lda = stride(n);
  return with_work<T>(scratch, id(table<T>().getri), {n, 0, 0}, [&](T* work, int length) {
    int info = 0;
    table<T>().getri(&n, lu, &lda, pivots, work, &length, &info);
    return info;
  });
}

template <class T>
int potrf(char triangle, int n, T* a) {
  int info = 0;
  const int lda = stride(n);
  table<T>().potrf(&triangle, &n, a, &lda, &info, 1);
  return info;
}

template <class T>
void trsm(char side, char triangle, char operation, char diagonal, int m, int n, const T* a, T* b) {
  const T one(1);
  const int lda = stride(side == 'L' ? m : n);
  const int ldb = stride(m);
  table<T>().trsm(&side, &triangle, &operation, &diagonal, &m, &n, &one, a, &lda, b, &ldb, 1, 1, 1,
                  1);
}

template <class T>
int sytrf(bool hermitian, int n, T* a, int* pivots, Scratch& scratch) {
  const int lda = stride(n);
  return with_work<T>(
      scratch, id(table<T>().sytrf[hermitian]), {n, 0, 0}, [&](T* work, int length) {
        int info = 0;
        table<T>().sytrf[hermitian]("L", &n, a, &lda, pivots, work, &length, &info, 1);
        return info;
      });
}

template <class T>
int sytrs(bool hermitian, int n, int columns, const T* a, const int* pivots, T* b) {
  int info = 0;
  const int lda = stride(n);
  table<T>().sytrs[hermitian]("L", &n, &columns, a, &lda, pivots, b, &lda, &info, 1);
  return info;
}

template <class T>
int geqrf(int m, int n, T* a, T* tau, Scratch& scratch) {
  const int lda = stride(m);
  return with_work<T>(scratch, id(table<T>().geqrf), {m, n, 0}, [&](T* work, int length) {
    int info = 0;
    table<T>().geqrf(&m, &n, a, &lda, tau, work, &length, &info);
    return info;
  });
}

template <class T>
int orgqr(int m, int n, int k, T* a, const T* tau, Scratch& scratch) {
  const int lda = stride(m);
  return with_work<T>(scratch, id(table<T>().orgqr), {m, n, k}, [&](T* work, int length) {
    int info = 0;
    table<T>().orgqr(&m, &n, &k, a, &lda, tau, work, &length, &info);
    return info;
  });
}

template <class T>
int syevd(bool vectors, char triangle, int n, T* a, Real<T>* values, Scratch& scratch) {
  using R = Real<T>;
  const char job = vectors ? 'V' : 'N';
  const int lda = stride(n);
  // The sizes the documentation gives; they are larger than what a query answers.
  const int64_t wide = n;
  const int integers = static_cast<int>(vectors ? 3 + 5 * wide : 1);
  int* whole = scratch.integers.at_least<int>(integers);
  return with_work<T>(scratch, id(table<T>().syevd), {n, vectors, 0}, [&](T* work, int length) {
    int info = 0;
    if constexpr (kComplex<T>) {
      const int reals = static_cast<int>(vectors ? 1 + 5 * wide + 2 * wide * wide : wide + 1);
      R* real = scratch.real.at_least<R>(reals);
      reinterpret_cast<void (*)(Char, Char, Int, T*, Int, R*, T*, Int, R*, Int, int*, Int, int*,
                                Length, Length)>(table<T>().syevd)(
          &job, &triangle, &n, a, &lda, values, work, &length, real, &reals, whole, &integers,
          &info, 1, 1);
    } else {
      reinterpret_cast<void (*)(Char, Char, Int, T*, Int, R*, T*, Int, int*, Int, int*, Length,
                                Length)>(table<T>().syevd)(
          &job, &triangle, &n, a, &lda, values, work, &length, whole, &integers, &info, 1, 1);
    }
    return info;
  });
}

template <class T>
int geev(int n, T* a, std::complex<Real<T>>* values, std::complex<Real<T>>* vectors,
         Scratch& scratch) {
  using R = Real<T>;
  const char none = 'N', right = vectors ? 'V' : 'N';
  const int lda = stride(n), one = 1;
  T unused{};
  const size_t count = static_cast<size_t>(n);
  if constexpr (kComplex<T>) {
    R* real = scratch.real.at_least<R>(2 * int64_t{n});
    return with_work<T>(
        scratch, id(table<T>().geev), {n, vectors != nullptr, 0}, [&](T* work, int length) {
          int info = 0;
          reinterpret_cast<void (*)(Char, Char, Int, T*, Int, T*, T*, Int, T*, Int, T*, Int, R*,
                                    int*, Length, Length)>(table<T>().geev)(
              &none, &right, &n, a, &lda, values, &unused, &one, vectors ? vectors : &unused, &lda,
              work, &length, real, &info, 1, 1);
          return info;
        });
  } else {
    // Real parts, imaginary parts, and vectors in which a conjugate pair shares two columns.
    R* parts = scratch.real.at_least<R>(2 * int64_t{n} + (vectors ? int64_t{n} * n : 0));
    R *re = parts, *im = parts + n, *packed = parts + 2 * n;
    const int info = with_work<T>(
        scratch, id(table<T>().geev), {n, vectors != nullptr, 0}, [&](T* work, int length) {
          int status = 0;
          reinterpret_cast<void (*)(Char, Char, Int, T*, Int, T*, T*, T*, Int, T*, Int, T*, Int,
                                    int*, Length, Length)>(table<T>().geev)(
              &none, &right, &n, a, &lda, re, im, &unused, &one, vectors ? packed : &unused, &lda,
              work, &length, &status, 1, 1);
          return status;
        });
    for (size_t i = 0; i < count; ++i) values[i] = {re[i], im[i]};
    for (size_t j = 0; vectors && j < count; ++j) {
      const R* column = packed + j * count;
      if (im[j] == 0) {
        std::copy(column, column + count, vectors + j * count);
        continue;
      }
      for (size_t i = 0; i < count; ++i) {
        vectors[j * count + i] = {column[i], column[count + i]};
        vectors[(j + 1) * count + i] = {column[i], -column[count + i]};
      }
      ++j;
    }
    return info;
  }
}

template <class T>
int gesdd(char job, int m, int n, T* a, Real<T>* values, T* u, int rows_u, T* vh, int rows_vh,
          Scratch& scratch) {
  using R = Real<T>;
  const int lda = stride(m), ldu = stride(rows_u), ldv = stride(rows_vh);
  const int64_t small = std::min(m, n), large = std::max(m, n);
  int* whole = scratch.integers.at_least<int>(8 * small);
  return with_work<T>(scratch, id(table<T>().gesdd), {m, n, job}, [&](T* work, int length) {
    int info = 0;
    if constexpr (kComplex<T>) {
      const int64_t reals =
          job == 'N' ? 7 * small : small * std::max(5 * small + 7, 2 * large + 2 * small + 1);
      R* real = scratch.real.at_least<R>(reals);
      reinterpret_cast<void (*)(Char, Int, Int, T*, Int, R*, T*, Int, T*, Int, T*, Int, R*, int*,
                                int*, Length)>(table<T>().gesdd)(
          &job, &m, &n, a, &lda, values, u, &ldu, vh, &ldv, work, &length, real, whole, &info, 1);
    } else {
      reinterpret_cast<void (*)(Char, Int, Int, T*, Int, R*, T*, Int, T*, Int, T*, Int, int*, int*,
                                Length)>(table<T>().gesdd)(
          &job, &m, &n, a, &lda, values, u, &ldu, vh, &ldv, work, &length, whole, &info, 1);
    }
    return info;
  });
}

template <class T>
int least_squares(Driver driver, int m, int n, int columns, T* a, T* b, double rcond, int* rank,
                  Real<T>* values, Scratch& scratch) {
  using R = Real<T>;
  const Table<T>& routines = table<T>();
  const int lda = stride(m), ldb = stride(std::max(m, n));
  const auto limit = static_cast<R>(rcond);
  const int64_t small = std::min(m, n);
  if (driver == Driver::gels) {
    *rank = static_cast<int>(small);
    return with_work<T>(scratch, routines.gels, {m, n, columns}, [&](T* work, int length) {
      int info = 0;
      reinterpret_cast<void (*)(Char, Int, Int, Int, T*, Int, T*, Int, T*, Int, int*, Length)>(
          routines.gels)("N", &m, &n, &columns, a, &lda, b, &ldb, work, &length, &info, 1);
      return info;
    });
  }
  // Enough for gelsd's recursion, which ends at blocks of 25, and for gelsy's permutation.
  int* whole = scratch.integers.at_least<int>(std::max<int64_t>(n, small * (3 * 32 + 11)));
  std::fill(whole, whole + n, 0);
  R* real = nullptr;
  if constexpr (kComplex<T>) {
    const int64_t block = 26;
    real = scratch.real.at_least<R>(std::max<int64_t>(
        2 * int64_t{n},
        10 * int64_t{n} + 5 * small + 2 * small * 25 + 8 * small * 32 + 3 * 25 * int64_t{columns} +
            std::max<int64_t>(block * block, int64_t{n} * (1 + columns) + 2 * int64_t{columns})));
  }
  const void* chosen = driver == Driver::gelsy   ? routines.gelsy
                       : driver == Driver::gelsd ? routines.gelsd
                                                 : routines.gelss;
  return with_work<T>(scratch, chosen, {m, n, columns}, [&](T* work, int length) {
    int info = 0;
    if (driver == Driver::gelsy) {
      if constexpr (kComplex<T>)
        reinterpret_cast<void (*)(Int, Int, Int, T*, Int, T*, Int, int*, const R*, int*, T*, Int,
                                  R*, int*)>(routines.gelsy)(
            &m, &n, &columns, a, &lda, b, &ldb, whole, &limit, rank, work, &length, real, &info);
      else
        reinterpret_cast<void (*)(Int, Int, Int, T*, Int, T*, Int, int*, const R*, int*, T*, Int,
                                  int*)>(routines.gelsy)(&m, &n, &columns, a, &lda, b, &ldb, whole,
                                                         &limit, rank, work, &length, &info);
    } else if (driver == Driver::gelsd) {
      if constexpr (kComplex<T>)
        reinterpret_cast<void (*)(Int, Int, Int, T*, Int, T*, Int, R*, const R*, int*, T*, Int, R*,
                                  int*, int*)>(routines.gelsd)(&m, &n, &columns, a, &lda, b, &ldb,
                                                               values, &limit, rank, work, &length,
                                                               real, whole, &info);
      else
        reinterpret_cast<void (*)(Int, Int, Int, T*, Int, T*, Int, R*, const R*, int*, T*, Int,
                                  int*, int*)>(routines.gelsd)(
            &m, &n, &columns, a, &lda, b, &ldb, values, &limit, rank, work, &length, whole, &info);
    } else {
      if constexpr (kComplex<T>)
        reinterpret_cast<void (*)(Int, Int, Int, T*, Int, T*, Int, R*, const R*, int*, T*, Int, R*,
                                  int*)>(routines.gelss)(&m, &n, &columns, a, &lda, b, &ldb, values,
                                                         &limit, rank, work, &length, real, &info);
      else
        reinterpret_cast<void (*)(Int, Int, Int, T*, Int, T*, Int, R*, const R*, int*, T*, Int,
                                  int*)>(routines.gelss)(&m, &n, &columns, a, &lda, b, &ldb, values,
                                                         &limit, rank, work, &length, &info);
    }
    return info;
  });
}

// Names every function, so that one line per element type makes them all.
template <class T>
struct Instances {
  static auto all() {
    return std::make_tuple(&getrf<T>, &getrs<T>, &getri<T>, &potrf<T>, &trsm<T>, &sytrf<T>,
                           &sytrs<T>, &geqrf<T>, &orgqr<T>, &syevd<T>, &geev<T>, &gesdd<T>,
                           &least_squares<T>);
  }
};
template struct Instances<float>;
template struct Instances<double>;
template struct Instances<std::complex<float>>;
template struct Instances<std::complex<double>>;

}  // namespace samara::lapack
