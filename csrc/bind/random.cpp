// Keys for Python: the functions of core/random.h on plain integers.
#include "core/random.h"

#include "bind/objects.h"
#include "bind/python.h"

namespace samara::bind {
namespace {

// Integers count modulo 2^64, so that negative ones name a key too.
uint64_t word_of(PyObject* number) {
  const uint64_t word = PyLong_AsUnsignedLongLongMask(number);
  if (PyErr_Occurred()) throw PythonError();
  return word;
}

void check_count(std::string_view place, Py_ssize_t count, Py_ssize_t expected) {
  if (count == expected) return;
  fail(ErrorKind::argument, place, ": ", count, " arguments given. Expected ", expected,
       ". Fix: call it as its documentation says.");
}

// fold_number(key, number)
PyObject* fold_number(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&] {
    check_count("fold_number", count, 2);
    return PyLong_FromUnsignedLongLong(random::fold(word_of(arguments[0]), word_of(arguments[1])));
  });
}

// fold_text(key, text)
PyObject* fold_text(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&] {
    check_count("fold_text", count, 2);
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(arguments[1], &size);
    if (!text) throw PythonError();
    const std::string_view view(text, static_cast<size_t>(size));
    return PyLong_FromUnsignedLongLong(random::fold(word_of(arguments[0]), view));
  });
}

// philox4x32(c0, c1, c2, c3, key): the four words of one block.
PyObject* philox(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&] {
    check_count("philox4x32", count, 5);
    random::Block counter{};
    for (int i = 0; i < 4; ++i) counter.word[i] = static_cast<uint32_t>(word_of(arguments[i]));
    const random::Block block = random::philox4x32(counter, word_of(arguments[4]));
    return Py_BuildValue("(IIII)", block.word[0], block.word[1], block.word[2], block.word[3]);
  });
}

PyCFunction method(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"fold_number", method(fold_number), METH_FASTCALL, nullptr},
    {"fold_text", method(fold_text), METH_FASTCALL, nullptr},
    {"philox4x32", method(philox), METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void add_random_functions(PyObject* module) {
  checked(PyModule_AddFunctions(module, methods));
  checked(PyModule_AddIntConstant(module, "RANDOM_ALGORITHM_VERSION", random::kAlgorithmVersion));
}

}  // namespace samara::bind
