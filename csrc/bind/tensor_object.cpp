// Tensor as a Python type: construction, operators, attributes.
#include <complex>
#include <cstring>

#include "bind/objects.h"
#include "core/autograd.h"

namespace samara::bind {

PyTypeObject* tensor_type = nullptr;

PyObject* wrap_as(PyTypeObject* type, Tensor tensor) {
  TensorObject* object = reinterpret_cast<TensorObject*>(type->tp_alloc(type, 0));
  if (!object) throw PythonError();
  tensor.impl()->python_object = object;
  object->impl = tensor.release();
  return reinterpret_cast<PyObject*>(object);
}

PyObject* wrap(Tensor tensor) {
  if (!tensor) Py_RETURN_NONE;
  // An object without references is being deallocated and must not come back to life.
  if (PyObject* existing = static_cast<PyObject*>(tensor.impl()->python_object);
      existing && Py_REFCNT(existing) > 0)
    return Py_NewRef(existing);
  return wrap_as(tensor_type, std::move(tensor));
}

Tensor require_tensor(PyObject* object, std::string_view place) {
  if (is_tensor(object)) return unwrap(object);
  fail(ErrorKind::dtype, place, ": a ", type_name(object),
       " was given. Expected a tensor. Fix: convert it with samara.asarray(...).");
}

PyObject* read_element(const Tensor& x) {
  alignas(16) char bytes[16];
  backend(x.device()).copy_to_host(bytes, x.address(), static_cast<size_t>(itemsize(x.dtype())));
  return visit_dtype(x.dtype(), [&]<class T>(TypeTag<T>) -> PyObject* {
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    if constexpr (std::is_same_v<T, bool>)
      return PyBool_FromLong(value);
    else if constexpr (std::is_same_v<T, Float16>)
      return PyFloat_FromDouble(float16_value(value.bits));
    else if constexpr (std::is_same_v<T, BFloat16>)
      return PyFloat_FromDouble(bfloat16_value(value.bits));
    else if constexpr (std::is_same_v<T, uint64_t>)
      return PyLong_FromUnsignedLongLong(value);
    else if constexpr (std::is_integral_v<T>)
      return PyLong_FromLongLong(value);
    else if constexpr (std::is_floating_point_v<T>)
      return PyFloat_FromDouble(value);
    else
      return PyComplex_FromDoubles(value.real(), value.imag());
  });
}

namespace {

Tensor self_tensor(PyObject* self) { return unwrap(self); }

// Tensor(other) shows the memory of another tensor; subclasses such as Parameter are made this way.
// Sizes or data, PyTorch's oldest form, are Python's to read.
PyObject* tensor_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  return guarded([&]() -> PyObject* {
    PyObject* given = PyTuple_GET_SIZE(arguments) > 0 ? PyTuple_GET_ITEM(arguments, 0) : nullptr;
    if (given && is_tensor(given)) return wrap_as(type, detach(unwrap(given)));
    const Owned module = checked(PyImport_ImportModule("samara.ops.vocabulary"));
    const Owned function = checked(PyObject_GetAttrString(module.get(), "from_sizes_or_data"));
    const Owned made = checked(PyObject_Call(function.get(), arguments, keywords));
    return wrap_as(type, unwrap(made.get()));
  });
}

void tensor_dealloc(PyObject* self) {
  TensorObject* object = reinterpret_cast<TensorObject*>(self);
  PyTypeObject* type = Py_TYPE(self);
  // Callbacks of weak references may see the tensor again, then through a new object.
  if (object->impl && object->impl->python_object == self) object->impl->python_object = nullptr;
  if (object->weak_references) PyObject_ClearWeakRefs(self);
  if (object->impl) {
    const Tensor last = Tensor::adopt(std::exchange(object->impl, nullptr));
  }
  type->tp_free(self);
  Py_DECREF(type);
}

// --- operators -----------------------------------------------------------------------------------

bool convert_operand(PyObject* object, Value& value) {
  if (is_tensor(object)) {
    value = Value(unwrap(object));
    return true;
  }
  if (convert_number(object, value)) return true;
  // NumPy's arrays take part as tensors, so that a gradient is not lost on the way.
  if (!PyObject_HasAttrString(object, "__array_interface__")) return false;
  const Owned module = checked(PyImport_ImportModule("samara.tensor"));
  const Owned converted = checked(PyObject_CallMethod(module.get(), "asarray", "O", object));
  value = Value(unwrap(converted.get()));
  return true;
}

PyObject* call_binary(const Operation& operation, std::span<Value> values) {
  Outputs outputs;
  invoke_from_python(operation, values, outputs);
  return wrap(std::move(outputs[0]));
}
PyObject* binary(const Operation& operation, PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    if (is_tensor(a) && is_tensor(b)) {
      Value values[2] = {Value(unwrap(a)), Value(unwrap(b))};
      return call_binary(operation, values);
    }
    Value values[2];
    if (!convert_operand(a, values[0]) || !convert_operand(b, values[1])) Py_RETURN_NOTIMPLEMENTED;
    return call_binary(operation, values);
  });
}
PyObject* unary(const Operation& operation, PyObject* x) {
  return guarded([&]() -> PyObject* {
    Value values[1] = {Value(unwrap(x))};
    Outputs outputs;
    invoke_from_python(operation, values, outputs);
    return wrap(std::move(outputs[0]));
  });
}

template <size_t N>
struct Name {
  char text[N];
  constexpr Name(const char (&source)[N]) { std::copy(source, source + N, text); }
};

template <Name name>
PyObject* binary_slot(PyObject* a, PyObject* b) {
  static const Operation& operation = find_operator(name.text);
  return binary(operation, a, b);
}
template <Name name>
PyObject* in_place_slot(PyObject* a, PyObject* b) {
  static const Operation& operation = find_operator(name.text, true);
  return binary(operation, a, b);
}
template <Name name>
PyObject* unary_slot(PyObject* x) {
  static const Operation& operation = find_operator(name.text);
  return unary(operation, x);
}
template <Name name>
PyObject* power_slot(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary_slot<name>(a, b);
}
template <Name name>
PyObject* in_place_power_slot(PyObject* a, PyObject* b, PyObject*) {
  return in_place_slot<name>(a, b);
}
PyObject* positive_slot(PyObject* x) { return Py_NewRef(x); }

PyObject* tensor_compare(PyObject* a, PyObject* b, int comparison) {
  switch (comparison) {
    case Py_LT:
      return binary_slot<"less">(a, b);
    case Py_LE:
      return binary_slot<"less_equal">(a, b);
    case Py_EQ:
      return binary_slot<"equal">(a, b);
    case Py_NE:
      return binary_slot<"not_equal">(a, b);
    case Py_GT:
      return binary_slot<"greater">(a, b);
    default:
      return binary_slot<"greater_equal">(a, b);
  }
}

Tensor single_element(PyObject* self, const char* place) {
  const Tensor x = self_tensor(self);
  if (x.elements() != 1)
    fail(ErrorKind::shape, place, ": the tensor has shape ", x.shape(), " and ", x.elements(),
         " elements. Expected exactly one element. Fix: reduce it first, e.g. x.sum(), x.any() or "
         "x.all().");
  return x;
}
int tensor_bool(PyObject* self) {
  return guarded<int>(-1, [&] {
    const Owned element = checked(read_element(single_element(self, "bool")));
    return PyObject_IsTrue(element.get());
  });
}
PyObject* tensor_int(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const Owned element = checked(read_element(single_element(self, "int")));
    return PyNumber_Long(element.get());
  });
}
PyObject* tensor_float(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const Owned element = checked(read_element(single_element(self, "float")));
    return PyNumber_Float(element.get());
  });
}
PyObject* tensor_index(PyObject* self) {
  return guarded([&]() -> PyObject* {
    // A TypeError in every case: Python then tries the buffer protocol, e.g. in bytes(x).
    const Tensor x = self_tensor(self);
    if (is_inexact(x.dtype()) || x.rank() != 0)
      fail(ErrorKind::dtype, "index: a tensor of dtype ", name(x.dtype()), " and shape ", x.shape(),
           " was used as an index. Expected a 0-d integer tensor. Fix: use int(x) or convert it.");
    const Owned element = checked(read_element(x));
    return PyNumber_Long(element.get());
  });
}
Py_ssize_t tensor_length(PyObject* self) {
  return guarded<Py_ssize_t>(-1, [&]() -> Py_ssize_t {
    const Tensor x = self_tensor(self);
    if (x.rank() == 0)
      fail(ErrorKind::dtype,
           "len: the tensor is 0-d. Expected at least one axis. Fix: use "
           "x.item() for its value.");
    return x.size(0);
  });
}
Py_hash_t tensor_hash(PyObject* self) {
  // Identity, as for any object: == compares elements.
  return static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(self) >> 4);
}

// --- attributes
// ------------------------------------------------------------------------------------

PyObject* get_shape(PyObject* self, void*) {
  return guarded([&]() -> PyObject* { return dims_tuple(unwrap(self).shape()).release(); });
}
PyObject* get_dtype(PyObject* self, void*) { return Py_NewRef(dtype_object(unwrap(self).dtype())); }
PyObject* get_device(PyObject* self, void*) {
  return guarded([&]() -> PyObject* { return device_object(unwrap(self).device()); });
}
PyObject* get_rank(PyObject* self, void*) { return PyLong_FromLong(unwrap(self).rank()); }
PyObject* get_elements(PyObject* self, void*) {
  return PyLong_FromLongLong(unwrap(self).elements());
}
PyObject* get_requires_grad(PyObject* self, void*) {
  return PyBool_FromLong(unwrap(self).requires_grad());
}
int set_requires_grad_attribute(PyObject* self, PyObject* value, void*) {
  return guarded<int>(-1, [&] {
    const int wanted = value ? PyObject_IsTrue(value) : 0;
    checked(wanted);
    set_requires_grad(unwrap(self), wanted == 1);
    return 0;
  });
}
PyObject* get_grad(PyObject* self, void*) {
  return guarded([&]() -> PyObject* { return wrap(load_grad(unwrap(self))); });
}
int set_grad(PyObject* self, PyObject* value, void*) {
  return guarded<int>(-1, [&] {
    const Tensor x = unwrap(self);
    if (!value || value == Py_None) {
      exchange_grad(x, Tensor());
      return 0;
    }
    const Tensor grad = require_tensor(value, "grad");
    if (!(grad.shape() == x.shape()) || grad.dtype() != x.dtype() || !(grad.device() == x.device()))
      fail(ErrorKind::shape, "grad: a gradient of shape ", grad.shape(), " and dtype ",
           name(grad.dtype()), " was assigned to a tensor of shape ", x.shape(), " and dtype ",
           name(x.dtype()), ". Expected the same shape, dtype and device. Fix: convert it first.");
    if (grad.impl() == x.impl())
      fail(ErrorKind::argument,
           "grad: a tensor was assigned as its own gradient. Expected another "
           "tensor. Fix: assign x.detach().clone().");
    exchange_grad(x, grad);
    return 0;
  });
}
PyObject* get_is_leaf(PyObject* self, void*) {
  return guarded([&]() -> PyObject* { return PyBool_FromLong(is_leaf(unwrap(self))); });
}
PyObject* get_version(PyObject* self, void*) {
  return PyLong_FromUnsignedLong(unwrap(self).version());
}
PyObject* get_data(PyObject* self, void*) {
  return guarded([&]() -> PyObject* { return wrap(detach(unwrap(self))); });
}
int set_data(PyObject* self, PyObject* value, void*) {
  return guarded<int>(-1, [&] {
    const Tensor x = unwrap(self);
    if (!value)
      fail(ErrorKind::dtype,
           "data: the memory of a tensor cannot be deleted. Expected an assignment. "
           "Fix: assign another tensor.");
    const Tensor other = require_tensor(value, "data");
    exchange_data(x, other);
    return 0;
  });
}

PyGetSetDef tensor_attributes[] = {
    {"shape", get_shape, nullptr, "Sizes of the axes, as a tuple.", nullptr},
    {"dtype", get_dtype, nullptr, "Type of the elements.", nullptr},
    {"device", get_device, nullptr, "Where the memory is.", nullptr},
    {"ndim", get_rank, nullptr, "Number of axes.", nullptr},
    {"_elements", get_elements, nullptr, "Number of elements.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad_attribute,
     "Whether operations on this tensor are recorded.", nullptr},
    {"grad", get_grad, set_grad, "The gradient that backward() accumulated, or None.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "True unless an operation with gradients made it.", nullptr},
    {"_version", get_version, nullptr, "Counts in-place writes to the memory.", nullptr},
    {"data", get_data, set_data, "The same memory outside the graph.", nullptr},
    {}};

PyObject* method_item(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* { return read_element(single_element(self, "item")); });
}
PyObject* method_stride(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* { return dims_tuple(unwrap(self).strides()).release(); });
}
PyObject* method_data_ptr(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* { return PyLong_FromVoidPtr(unwrap(self).address()); });
}
PyObject* method_storage_offset(PyObject* self, PyObject*) {
  return PyLong_FromLongLong(unwrap(self).offset());
}
PyObject* method_is_contiguous(PyObject* self, PyObject*) {
  return PyBool_FromLong(unwrap(self).is_contiguous());
}
PyObject* method_detach(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* { return wrap(detach(unwrap(self))); });
}
PyMethodDef tensor_methods[] = {
    {"item", method_item, METH_NOARGS, "The value of a one-element tensor as a Python number."},
    {"_strides", method_stride, METH_NOARGS, "Steps between elements of each axis, in elements."},
    {"data_ptr", method_data_ptr, METH_NOARGS, "Address of the first element."},
    {"storage_offset", method_storage_offset, METH_NOARGS,
     "Place of the first element in the storage, in elements."},
    {"is_contiguous", method_is_contiguous, METH_NOARGS,
     "Whether the memory is in row-major order."},
    {"detach", method_detach, METH_NOARGS, "The same memory outside the graph."},
    {}};
PyMemberDef tensor_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weak_references), READONLY, nullptr},
    {}};

template <class Function>
void* slot(Function* function) {
  return reinterpret_cast<void*>(function);
}

PyType_Slot tensor_slots[] = {
    {Py_tp_doc, const_cast<char*>("An n-dimensional array with gradients. Made by samara.tensor, "
                                  "samara.zeros, samara.asarray and the like.")},
    {Py_tp_new, slot(tensor_new)},
    {Py_tp_dealloc, slot(tensor_dealloc)},
    {Py_tp_hash, slot(tensor_hash)},
    {Py_tp_richcompare, slot(tensor_compare)},
    {Py_tp_getset, tensor_attributes},
    {Py_tp_methods, tensor_methods},
    {Py_tp_members, tensor_members},
    {Py_nb_add, slot(binary_slot<"add">)},
    {Py_nb_subtract, slot(binary_slot<"subtract">)},
    {Py_nb_multiply, slot(binary_slot<"multiply">)},
    {Py_nb_true_divide, slot(binary_slot<"divide">)},
    {Py_nb_floor_divide, slot(binary_slot<"floor_divide">)},
    {Py_nb_remainder, slot(binary_slot<"remainder">)},
    {Py_nb_power, slot(power_slot<"pow">)},
    {Py_nb_matrix_multiply, slot(binary_slot<"matmul">)},
    {Py_nb_and, slot(binary_slot<"bitwise_and">)},
    {Py_nb_or, slot(binary_slot<"bitwise_or">)},
    {Py_nb_xor, slot(binary_slot<"bitwise_xor">)},
    {Py_nb_lshift, slot(binary_slot<"bitwise_left_shift">)},
    {Py_nb_rshift, slot(binary_slot<"bitwise_right_shift">)},
    {Py_nb_negative, slot(unary_slot<"negative">)},
    {Py_nb_positive, slot(positive_slot)},
    {Py_nb_absolute, slot(unary_slot<"abs">)},
    {Py_nb_invert, slot(unary_slot<"bitwise_invert">)},
    {Py_nb_inplace_add, slot(in_place_slot<"add">)},
    {Py_nb_inplace_subtract, slot(in_place_slot<"subtract">)},
    {Py_nb_inplace_multiply, slot(in_place_slot<"multiply">)},
    {Py_nb_inplace_true_divide, slot(in_place_slot<"divide">)},
    {Py_nb_inplace_floor_divide, slot(in_place_slot<"floor_divide">)},
    {Py_nb_inplace_remainder, slot(in_place_slot<"remainder">)},
    {Py_nb_inplace_power, slot(in_place_power_slot<"pow">)},
    {Py_nb_inplace_matrix_multiply, slot(in_place_slot<"matmul">)},
    {Py_nb_inplace_and, slot(in_place_slot<"bitwise_and">)},
    {Py_nb_inplace_or, slot(in_place_slot<"bitwise_or">)},
    {Py_nb_inplace_xor, slot(in_place_slot<"bitwise_xor">)},
    {Py_nb_inplace_lshift, slot(in_place_slot<"bitwise_left_shift">)},
    {Py_nb_inplace_rshift, slot(in_place_slot<"bitwise_right_shift">)},
    {Py_nb_bool, slot(tensor_bool)},
    {Py_nb_int, slot(tensor_int)},
    {Py_nb_float, slot(tensor_float)},
    {Py_nb_index, slot(tensor_index)},
    {Py_mp_length, slot(tensor_length)},
    {Py_mp_subscript, slot(get_item)},
    {Py_mp_ass_subscript, slot(set_item)},
    {Py_bf_getbuffer, slot(get_buffer)},
    {Py_bf_releasebuffer, slot(release_buffer)},
    {0, nullptr}};
PyType_Spec tensor_spec = {"samara.Tensor", sizeof(TensorObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, tensor_slots};

}  // namespace

void add_tensor_type(PyObject* module) {
  tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&tensor_spec));
  if (!tensor_type) throw PythonError();
  checked(PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type)));
}

}  // namespace samara::bind
