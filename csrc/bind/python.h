// Helpers for the Python C API: owned references and the way errors cross the border.
#pragma once

#define PY_SSIZE_T_CLEAN  // the C API asks for it before its header
#include <Python.h>

#include <structmember.h>

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "core/error.h"

namespace samara::bind {

// Owns one reference to a Python object.
class Owned {
 public:
  Owned() = default;
  explicit Owned(PyObject* stolen) : object_(stolen) {}
  static Owned borrow(PyObject* object) {
    Py_XINCREF(object);
    return Owned(object);
  }
  Owned(Owned&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Owned& operator=(Owned other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  Owned(const Owned&) = delete;
  ~Owned() { Py_XDECREF(object_); }
  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

// A new reference, or the Python exception that explains why there is none.
inline Owned checked(PyObject* stolen) {
  if (!stolen) throw PythonError();
  return Owned(stolen);
}
inline void checked(int status) {
  if (status < 0) throw PythonError();
}

// Turns the C++ exception in flight into a Python one.
void translate_exception() noexcept;

// Runs `body`; a C++ exception becomes a Python one and `failure` is returned.
template <class Result, class Body>
Result guarded(Result failure, Body&& body) noexcept {
  try {
    return body();
  } catch (...) {
    translate_exception();
    return failure;
  }
}
template <class Body>
PyObject* guarded(Body&& body) noexcept {
  return guarded<PyObject*>(nullptr, std::forward<Body>(body));
}

// Lets other Python threads run while a long computation goes on.
class ReleaseGil {
 public:
  explicit ReleaseGil(bool worthwhile) : state_(worthwhile ? PyEval_SaveThread() : nullptr) {}
  ~ReleaseGil() {
    if (state_) PyEval_RestoreThread(state_);
  }
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};

class AcquireGil {
 public:
  AcquireGil() : state_(PyGILState_Ensure()) {}
  ~AcquireGil() { PyGILState_Release(state_); }
  AcquireGil(const AcquireGil&) = delete;
  AcquireGil& operator=(const AcquireGil&) = delete;

 private:
  PyGILState_STATE state_;
};

std::string text_of(PyObject* unicode);
inline const char* type_name(PyObject* object) { return Py_TYPE(object)->tp_name; }

}  // namespace samara::bind
