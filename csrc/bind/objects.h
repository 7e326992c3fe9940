// The Python types that the hot path touches: Tensor, DType, Device.
#pragma once

#include "bind/python.h"
#include "core/operation.h"
#include "core/tensor.h"

namespace samara::bind {

struct TensorObject {
  PyObject_HEAD TensorImpl* impl;  // counted
  PyObject* weak_references;
};

extern PyTypeObject* tensor_type;

inline bool is_tensor(PyObject* object) {
  return Py_TYPE(object) == tensor_type || PyType_IsSubtype(Py_TYPE(object), tensor_type);
}
// Borrows; the caller has checked is_tensor.
inline Tensor unwrap(PyObject* object) {
  return Tensor(reinterpret_cast<TensorObject*>(object)->impl);
}
// The Python object that shows this tensor: the same one as long as it lives.
PyObject* wrap(Tensor tensor);
// A new object of a subclass around the tensor.
PyObject* wrap_as(PyTypeObject* type, Tensor tensor);
// The tensor in `object`, or a DTypeError that names the place.
Tensor require_tensor(PyObject* object, std::string_view place);

PyObject* dtype_object(DType dtype);  // borrowed
bool is_dtype(PyObject* object);
DType unwrap_dtype(PyObject* object);
// Accepts samara dtypes and the Python types bool, int, float, complex.
bool convert_dtype(PyObject* object, DType& dtype);

PyObject* device_object(Device device);  // new reference
bool is_device(PyObject* object);
// Accepts Device objects and text.
bool convert_device(PyObject* object, Device& device);

// A Python number (also NumPy's scalars) as a Value; false when it is not one.
bool convert_number(PyObject* object, Value& value);
// One int or a sequence of ints.
bool convert_integers(PyObject* object, Dims& dims);

Owned dims_tuple(const Dims& dims);
PyObject* number_object(const Value& value);
// One element as bool, int, float or complex.
PyObject* read_element(const Tensor& x);

// The operation behind a Python operator such as + ("add").
const Operation& find_operator(const char* name, bool in_place = false);

// x[key] and x[key] = value.
PyObject* get_item(PyObject* self, PyObject* key);
int set_item(PyObject* self, PyObject* key, PyObject* value);

// Adds the types and functions of a file to the module.
void add_tensor_type(PyObject* module);
void add_dtype_and_device_types(PyObject* module);
void add_operation_type(PyObject* module);
void add_autograd_functions(PyObject* module);
void add_interchange_functions(PyObject* module);
void add_random_functions(PyObject* module);
void add_optimizer_type(PyObject* module);

// Implemented in interchange.cpp.
int get_buffer(PyObject* self, Py_buffer* view, int flags);
void release_buffer(PyObject* self, Py_buffer* view);

// invoke() with the interpreter lock released when the tensors are large.
void invoke_from_python(const Operation& operation, std::span<Value> values, Outputs& outputs);

}  // namespace samara::bind
