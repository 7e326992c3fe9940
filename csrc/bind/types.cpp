// DType and Device as Python objects, and conversions of small arguments.
#include <array>
#include <cmath>

#include "bind/objects.h"

namespace samara::bind {
namespace {

struct DTypeObject {
  PyObject_HEAD DType dtype;
};
struct DeviceObject {
  PyObject_HEAD Device device;
};

PyTypeObject* dtype_type = nullptr;
PyTypeObject* device_type = nullptr;
std::array<PyObject*, kDTypeCount> dtype_objects{};

PyObject* text(std::string_view value) {
  return PyUnicode_FromStringAndSize(value.data(), static_cast<Py_ssize_t>(value.size()));
}

PyObject* dtype_repr(PyObject* self) {
  return text("samara." + std::string(name(unwrap_dtype(self))));
}
PyObject* dtype_name(PyObject* self, void*) { return text(name(unwrap_dtype(self))); }
PyObject* dtype_itemsize(PyObject* self, void*) {
  return PyLong_FromLongLong(itemsize(unwrap_dtype(self)));
}
PyObject* dtype_kind(PyObject* self, void*) {
  static constexpr std::array<const char*, 5> names = {"bool", "unsigned integer", "signed integer",
                                                       "real floating", "complex floating"};
  return text(names[static_cast<size_t>(kind(unwrap_dtype(self)))]);
}
PyObject* dtype_is_floating(PyObject* self, void*) {
  return PyBool_FromLong(is_floating(unwrap_dtype(self)));
}
PyObject* dtype_is_complex(PyObject* self, void*) {
  return PyBool_FromLong(is_complex(unwrap_dtype(self)));
}
PyObject* dtype_is_signed(PyObject* self, void*) {
  const DTypeKind k = kind(unwrap_dtype(self));
  return PyBool_FromLong(k != DTypeKind::boolean && k != DTypeKind::unsigned_integer);
}
PyObject* dtype_reduce(PyObject* self, PyObject*) {
  return Py_BuildValue("N(N)",
                       PyObject_GetAttrString(reinterpret_cast<PyObject*>(dtype_type), "_named"),
                       dtype_name(self, nullptr));
}
PyObject* dtype_named(PyObject*, PyObject* argument) {
  return guarded([&]() -> PyObject* {
    const std::string wanted = text_of(argument);
    for (int i = 0; i < kDTypeCount; ++i)
      if (name(static_cast<DType>(i)) == wanted)
        return Py_NewRef(dtype_objects[static_cast<size_t>(i)]);
    fail(ErrorKind::dtype, "dtype '", wanted,
         "' is not known. Expected a name such as 'float32' or 'int64'. Fix: correct the name.");
  });
}

PyGetSetDef dtype_attributes[] = {
    {"name", dtype_name, nullptr, "The name, e.g. 'float32'.", nullptr},
    {"itemsize", dtype_itemsize, nullptr, "Bytes per element.", nullptr},
    {"kind", dtype_kind, nullptr, "'bool', 'signed integer', 'real floating', ...", nullptr},
    {"is_floating_point", dtype_is_floating, nullptr, "True for float16 to float64.", nullptr},
    {"is_complex", dtype_is_complex, nullptr, "True for complex64 and complex128.", nullptr},
    {"is_signed", dtype_is_signed, nullptr, "True where negative numbers exist.", nullptr},
    {}};
PyMethodDef dtype_methods[] = {
    {"__reduce__", dtype_reduce, METH_NOARGS, nullptr},
    {"_named", dtype_named, METH_O | METH_STATIC, "The dtype of that name."},
    {}};
PyType_Slot dtype_slots[] = {
    {Py_tp_doc, const_cast<char*>("The type of a tensor's elements, e.g. samara.float32.")},
    {Py_tp_repr, reinterpret_cast<void*>(dtype_repr)},
    {Py_tp_getset, dtype_attributes},
    {Py_tp_methods, dtype_methods},
    {0, nullptr}};
PyType_Spec dtype_spec = {"samara.DType", sizeof(DTypeObject), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, dtype_slots};

Device device_of(PyObject* self) { return reinterpret_cast<DeviceObject*>(self)->device; }
PyObject* device_repr(PyObject* self) { return text("device('" + to_text(device_of(self)) + "')"); }
PyObject* device_str(PyObject* self) { return text(to_text(device_of(self))); }
PyObject* device_type_name(PyObject* self, void*) {
  const std::string whole = to_text(device_of(self));
  return text(whole.substr(0, whole.find(':')));
}
PyObject* device_index(PyObject* self, void*) { return PyLong_FromLong(device_of(self).index); }
Py_hash_t device_hash(PyObject* self) {
  const Device device = device_of(self);
  return static_cast<Py_hash_t>(device.type) * 131 + device.index + 1;
}
PyObject* device_compare(PyObject* a, PyObject* b, int operation) {
  if (operation != Py_EQ && operation != Py_NE) Py_RETURN_NOTIMPLEMENTED;
  Device left = device_of(a), right;
  if (is_device(b)) {
    right = device_of(b);
  } else if (PyUnicode_Check(b)) {
    return guarded([&]() -> PyObject* {
      const bool equal = to_text(left) == text_of(b);
      return PyBool_FromLong(equal == (operation == Py_EQ));
    });
  } else {
    Py_RETURN_NOTIMPLEMENTED;
  }
  return PyBool_FromLong((left == right) == (operation == Py_EQ));
}
PyObject* device_new(PyTypeObject*, PyObject* arguments, PyObject*) {
  return guarded([&]() -> PyObject* {
    PyObject* given = nullptr;
    if (!PyArg_ParseTuple(arguments, "O", &given)) throw PythonError();
    Device device;
    if (!convert_device(given, device))
      fail(ErrorKind::dtype, "Device: a ", type_name(given),
           " was given. Expected text such as 'cpu'. Fix: pass the device's name.");
    return device_object(device);
  });
}
PyObject* device_reduce(PyObject* self, PyObject*) {
  return Py_BuildValue("O(N)", device_type, device_str(self));
}
PyGetSetDef device_attributes[] = {
    {"type", device_type_name, nullptr, "The kind of device, e.g. 'cpu'.", nullptr},
    {"index", device_index, nullptr, "Which one of its kind, from 0.", nullptr},
    {}};
PyMethodDef device_methods[] = {{"__reduce__", device_reduce, METH_NOARGS, nullptr}, {}};
PyType_Slot device_slots[] = {
    {Py_tp_doc, const_cast<char*>("Where a tensor's memory is and its operations run.")},
    {Py_tp_new, reinterpret_cast<void*>(device_new)},
    {Py_tp_repr, reinterpret_cast<void*>(device_repr)},
    {Py_tp_str, reinterpret_cast<void*>(device_str)},
    {Py_tp_hash, reinterpret_cast<void*>(device_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(device_compare)},
    {Py_tp_getset, device_attributes},
    {Py_tp_methods, device_methods},
    {0, nullptr}};
PyType_Spec device_spec = {"samara.Device", sizeof(DeviceObject), 0, Py_TPFLAGS_DEFAULT,
                           device_slots};

}  // namespace

PyObject* dtype_object(DType dtype) { return dtype_objects[static_cast<size_t>(dtype)]; }
bool is_dtype(PyObject* object) { return Py_TYPE(object) == dtype_type; }
DType unwrap_dtype(PyObject* object) { return reinterpret_cast<DTypeObject*>(object)->dtype; }

bool convert_dtype(PyObject* object, DType& dtype) {
  if (is_dtype(object)) {
    dtype = unwrap_dtype(object);
    return true;
  }
  if (object == reinterpret_cast<PyObject*>(&PyBool_Type)) {
    dtype = DType::boolean;
  } else if (object == reinterpret_cast<PyObject*>(&PyLong_Type)) {
    dtype = DType::int64;
  } else if (object == reinterpret_cast<PyObject*>(&PyFloat_Type)) {
    dtype = DType::float64;
  } else if (object == reinterpret_cast<PyObject*>(&PyComplex_Type)) {
    dtype = DType::complex128;
  } else {
    return false;
  }
  return true;
}

PyObject* device_object(Device device) {
  DeviceObject* object = PyObject_New(DeviceObject, device_type);
  if (!object) throw PythonError();
  object->device = device;
  return reinterpret_cast<PyObject*>(object);
}
bool is_device(PyObject* object) { return Py_TYPE(object) == device_type; }
bool convert_device(PyObject* object, Device& device) {
  if (is_device(object)) {
    device = device_of(object);
    return true;
  }
  if (!PyUnicode_Check(object)) return false;
  device = parse_device(text_of(object));
  return true;
}

namespace {

// A TypeError says that an object is no such number; any other exception is the user's own.
void clear_type_error() {
  if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError();
  PyErr_Clear();
}

}  // namespace

bool convert_number(PyObject* object, Value& value) {
  if (PyFloat_Check(object)) {
    value = Value(PyFloat_AS_DOUBLE(object));
    return true;
  }
  if (PyBool_Check(object)) {
    value = Value(object == Py_True);
    return true;
  }
  if (PyLong_Check(object)) {
    int overflow = 0;
    const long long whole = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow > 0) {
      // Up to 2^64 - 1 keeps its bits, which is what uint64 needs.
      const unsigned long long bits = PyLong_AsUnsignedLongLong(object);
      if (!PyErr_Occurred()) {
        value = Value::from_unsigned(bits);
        return true;
      }
      PyErr_Clear();
    }
    if (overflow != 0)
      fail(ErrorKind::argument,
           "an integer beyond 64 bits was given. Expected -2^63 to 2^64 - 1. "
           "Fix: pass a float.");
    value = Value(static_cast<int64_t>(whole));
    return true;
  }
  if (PyComplex_Check(object)) {
    const Py_complex number = PyComplex_AsCComplex(object);
    value = Value(std::complex<double>(number.real, number.imag));
    return true;
  }
  if (is_tensor(object) || PyUnicode_Check(object) || PySequence_Check(object)) return false;
  // NumPy's scalars and other number-like objects.
  if (PyIndex_Check(object)) {
    const Owned whole(PyNumber_Index(object));
    if (whole) return convert_number(whole.get(), value);
    clear_type_error();
  }
  const PyNumberMethods* methods = Py_TYPE(object)->tp_as_number;
  if (methods && methods->nb_bool &&
      std::string_view(type_name(object)).find("bool") != std::string_view::npos) {
    const int truth = PyObject_IsTrue(object);
    checked(truth);
    value = Value(truth == 1);
    return true;
  }
  if (std::string_view(type_name(object)).find("complex") != std::string_view::npos) {
    // numpy.complex64 is no Python complex, and its __float__ would drop the imaginary part.
    const Py_complex number = PyComplex_AsCComplex(object);
    if (!PyErr_Occurred()) {
      value = Value(std::complex<double>(number.real, number.imag));
      return true;
    }
    clear_type_error();
  }
  if (methods && methods->nb_float) {
    const double number = PyFloat_AsDouble(object);
    if (!PyErr_Occurred()) {
      value = Value(number);
      return true;
    }
    clear_type_error();
  }
  return false;
}

bool convert_integers(PyObject* object, Dims& dims) {
  dims.clear();
  const auto add = [&](PyObject* item) {
    if (PyBool_Check(item) || !PyIndex_Check(item)) return false;
    const Py_ssize_t value = PyNumber_AsSsize_t(item, PyExc_OverflowError);
    if (value == -1 && PyErr_Occurred()) throw PythonError();
    dims.push_back(value);
    return true;
  };
  if (PyTuple_Check(object) || PyList_Check(object)) {
    // An item's __index__ may change the list.
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(object); ++i)
      if (!add(Owned::borrow(PySequence_Fast_GET_ITEM(object, i)).get())) return false;
    return true;
  }
  if (PyIndex_Check(object)) return add(object);
  if (PyUnicode_Check(object) || !PySequence_Check(object) || is_tensor(object)) return false;
  const Owned items(PySequence_Fast(object, ""));
  if (!items) {
    clear_type_error();
    return false;
  }
  return convert_integers(items.get(), dims);
}

Owned dims_tuple(const Dims& dims) {
  Owned tuple = checked(PyTuple_New(dims.size()));
  for (int i = 0; i < dims.size(); ++i)
    PyTuple_SET_ITEM(tuple.get(), i, checked(PyLong_FromLongLong(dims[i])).release());
  return tuple;
}

PyObject* number_object(const Value& value) {
  switch (value.kind()) {
    case ValueKind::boolean:
      return PyBool_FromLong(value.boolean());
    case ValueKind::integer:
      return value.beyond_int64()
                 ? PyLong_FromUnsignedLongLong(static_cast<uint64_t>(value.integer()))
                 : PyLong_FromLongLong(value.integer());
    case ValueKind::complex:
      return PyComplex_FromDoubles(value.complex().real(), value.complex().imag());
    default:
      return PyFloat_FromDouble(value.real());
  }
}

void add_dtype_and_device_types(PyObject* module) {
  dtype_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&dtype_spec));
  device_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&device_spec));
  if (!dtype_type || !device_type) throw PythonError();
  checked(PyModule_AddObjectRef(module, "DType", reinterpret_cast<PyObject*>(dtype_type)));
  checked(PyModule_AddObjectRef(module, "Device", reinterpret_cast<PyObject*>(device_type)));
  for (int i = 0; i < kDTypeCount; ++i) {
    DTypeObject* object = PyObject_New(DTypeObject, dtype_type);
    if (!object) throw PythonError();
    object->dtype = static_cast<DType>(i);
    dtype_objects[static_cast<size_t>(i)] = reinterpret_cast<PyObject*>(object);
    checked(PyModule_AddObjectRef(module, std::string(name(object->dtype)).c_str(),
                                  reinterpret_cast<PyObject*>(object)));
  }
}

}  // namespace samara::bind
