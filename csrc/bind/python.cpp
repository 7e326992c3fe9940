#include "bind/python.h"

namespace samara::bind {
namespace {

PyObject* exception_class(ErrorKind kind) {
  PyErr_Clear();  // what a failed conversion left: the typed error takes its place
  const Owned module(PyImport_ImportModule("samara.errors"));
  if (!module) return nullptr;
  const Owned classes(PyObject_GetAttrString(module.get(), "BY_KIND"));
  if (!classes) return nullptr;
  return PySequence_GetItem(classes.get(), static_cast<Py_ssize_t>(kind));
}

}  // namespace

void translate_exception() noexcept {
  try {
    throw;
  } catch (const PythonError&) {
    return;
  } catch (const Error& error) {
    const Owned type(exception_class(error.kind()));
    if (type) PyErr_SetString(type.get(), error.what());
  } catch (const std::bad_alloc&) {
    const Owned type(exception_class(ErrorKind::memory));
    if (type)
      PyErr_SetString(type.get(),
                      "out of memory: the system refused a small allocation. Expected "
                      "free memory. Fix: use smaller tensors, or free some.");
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "unknown C++ exception");
  }
}

std::string text_of(PyObject* unicode) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(unicode, &size);
  if (!text) throw PythonError();
  return std::string(text, static_cast<size_t>(size));
}

}  // namespace samara::bind
