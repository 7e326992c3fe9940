// Operation as a Python callable: binds arguments to the signature and travels the call path.
#include <algorithm>
#include <map>
#include <memory>

#include "bind/objects.h"
#include "bind/signature.h"
#include "core/autograd.h"
#include "core/rules.h"

namespace samara::bind {
namespace {

struct OperationObject {
  PyObject_HEAD vectorcallfunc vectorcall;
  Operation* operation;  // lives as long as the process: tape nodes point to it
  PyObject* doc;
  PyObject* record;       // the Python record, or None
  PyObject* output_type;  // None: one tensor; tuple: a tuple; else a named tuple class
  PyObject* dim_form;     // who answers a call with `dim=`; may be null
  PyObject* other_form;   // who is asked when the arguments do not fit the signature; may be null
  PyObject* weak_references;
};

PyTypeObject* operation_type = nullptr;

Operation& operation_of(PyObject* self) {
  return *reinterpret_cast<OperationObject*>(self)->operation;
}

std::string_view expected_text(ParameterType type) {
  switch (type) {
    case ParameterType::tensor:
      return "a tensor or a number";
    case ParameterType::tensors:
      return "a sequence of tensors";
    case ParameterType::boolean:
      return "True or False";
    case ParameterType::integer:
      return "an int";
    case ParameterType::real:
      return "a float";
    case ParameterType::number:
      return "a number";
    case ParameterType::integers:
      return "an int or a sequence of ints";
    case ParameterType::dtype:
      return "a dtype such as samara.float32";
    case ParameterType::device:
      return "a device such as 'cpu'";
    case ParameterType::text:
      return "a string";
    case ParameterType::integers_or_text:
      return "an int, a sequence of ints or a string";
  }
  return "";
}

[[noreturn, gnu::noinline]] void wrong_type(const Operation& operation, const Parameter& parameter,
                                            PyObject* given) {
  const bool tensor =
      parameter.type == ParameterType::tensor || parameter.type == ParameterType::tensors;
  fail(ErrorKind::dtype, operation.name, ": argument '", parameter.name, "' is a ",
       type_name(given), ". Expected ", expected_text(parameter.type),
       ". Fix: ", tensor ? "convert it with samara.asarray(...)." : "pass a value of that type.");
}

// A 0-d integer tensor also serves as an int, as an index does.
bool convert_whole(PyObject* object, int64_t& value) {
  if (PyBool_Check(object) || !PyIndex_Check(object)) return false;
  const Owned index(PyNumber_Index(object));
  if (!index) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError();
    PyErr_Clear();
    return false;
  }
  const long long whole = PyLong_AsLongLong(index.get());
  if (whole == -1 && PyErr_Occurred()) throw PythonError();
  value = whole;
  return true;
}

void convert_argument(const Operation& operation, const Parameter& parameter, PyObject* given,
                      Value& value) {
  if (given == Py_None) {
    if (!parameter.optional) wrong_type(operation, parameter, given);
    value = Value();
    return;
  }
  bool good = false;
  switch (parameter.type) {
    case ParameterType::tensor:
      if (is_tensor(given)) {
        value = Value(unwrap(given));
        return;
      }
      good = convert_number(given, value);
      break;
    case ParameterType::tensors: {
      if (is_tensor(given) || PyUnicode_Check(given)) break;
      const Owned items(PySequence_Fast(given, ""));
      if (!items) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError();
        PyErr_Clear();
        break;
      }
      std::vector<Tensor> tensors;
      good = true;
      for (Py_ssize_t i = 0; good && i < PySequence_Fast_GET_SIZE(items.get()); ++i) {
        PyObject* item = PySequence_Fast_GET_ITEM(items.get(), i);
        good = is_tensor(item);
        if (good) tensors.push_back(unwrap(item));
        if (!good)
          fail(ErrorKind::dtype, operation.name, ": item ", i, " of argument '", parameter.name,
               "' is a ", type_name(item),
               ". Expected tensors only. Fix: convert it with samara.asarray(...).");
      }
      if (good) value = Value(std::move(tensors));
      break;
    }
    case ParameterType::boolean: {
      good = PyBool_Check(given);
      if (!good && PyLong_Check(given)) {
        const long whole = PyLong_AsLong(given);
        good = whole == 0 || whole == 1;
        PyErr_Clear();
      }
      if (!good && std::string_view(type_name(given)) == "numpy.bool") good = true;
      if (good) {
        const int truth = PyObject_IsTrue(given);
        checked(truth);
        value = Value(truth == 1);
      }
      break;
    }
    case ParameterType::integer: {
      int64_t whole = 0;
      good = convert_whole(given, whole);
      if (good) value = Value(whole);
      break;
    }
    case ParameterType::real: {
      if (PyFloat_CheckExact(given)) {
        value = Value(PyFloat_AS_DOUBLE(given));
        return;
      }
      if (is_tensor(given) && unwrap(given).elements() == 1)
        value = Value(PyFloat_AsDouble(given)), good = !PyErr_Occurred();
      else
        good = convert_number(given, value) && value.kind() != ValueKind::complex;
      if (good) value = Value(value.real());
      break;
    }
    case ParameterType::number:
      if (is_tensor(given) && unwrap(given).elements() == 1) {
        const Owned element = checked(read_element(unwrap(given)));
        good = convert_number(element.get(), value);
      } else {
        good = convert_number(given, value);
      }
      break;
    case ParameterType::integers: {
      Dims dims;
      good = convert_integers(given, dims);
      if (good) value = Value(dims);
      break;
    }
    case ParameterType::dtype: {
      DType dtype;
      good = convert_dtype(given, dtype);
      if (good) value = Value(dtype);
      break;
    }
    case ParameterType::device: {
      Device device;
      good = convert_device(given, device);
      if (good) value = Value(device);
      break;
    }
    case ParameterType::integers_or_text:
      if (!PyUnicode_Check(given)) {
        Dims dims;
        good = convert_integers(given, dims);
        if (good) value = Value(dims);
        break;
      }
      [[fallthrough]];
    case ParameterType::text:
      good = PyUnicode_Check(given);
      if (good) value = Value(text_of(given));
      break;
  }
  if (!good) wrong_type(operation, parameter, given);
}

// PyTorch's spelling of a parameter, where it differs.
int find_alias(const Operation& operation, std::string_view keyword) {
  const auto named = [&](std::string_view name) {
    for (size_t i = 0; i < operation.parameters.size(); ++i)
      if (operation.parameters[i].name == name) return static_cast<int>(i);
    return -1;
  };
  if (keyword == "dim" || keyword == "dims")
    return named("axis") >= 0 ? named("axis") : named("axes");
  if (keyword == "axis") return named("axes");
  if (keyword == "keepdim") return named("keepdims");
  if (keyword == "diagonal") return named("k");
  if (keyword == "value") return named("src");
  const int count = static_cast<int>(operation.parameters.size());
  const auto tensor_at = [&](int i) {
    return i < count && operation.parameters[static_cast<size_t>(i)].type == ParameterType::tensor
               ? i
               : -1;
  };
  if (keyword == "input" || keyword == "self" || keyword == "x1") return tensor_at(0);
  if (keyword == "other" || keyword == "x2") return tensor_at(1);
  return -1;
}

int find_parameter(const Operation& operation, std::string_view keyword) {
  for (size_t i = 0; i < operation.parameters.size(); ++i)
    if (operation.parameters[i].name == keyword) return static_cast<int>(i);
  const int found = find_alias(operation, keyword);
  if (found >= 0) return found;
  std::string names;
  for (const Parameter& parameter : operation.parameters)
    names += (names.empty() ? "" : ", ") + parameter.name;
  fail(ErrorKind::dtype, operation.name, ": there is no argument '", keyword, "'. Expected one of ",
       names, ". Fix: correct the name.");
}

// NumPy's functions pass `out=None` and `dtype=None` on to the method of their name.
bool says_nothing(const Operation& operation, std::string_view keyword, PyObject* value) {
  if (value != Py_None || (keyword != "out" && keyword != "dtype")) return false;
  for (const Parameter& parameter : operation.parameters)
    if (parameter.name == keyword) return false;
  return true;
}

[[noreturn, gnu::noinline]] void too_many_arguments(const Operation& operation, Py_ssize_t given) {
  Py_ssize_t most = 0;
  for (const Parameter& parameter : operation.parameters) most += !parameter.keyword_only;
  fail(ErrorKind::dtype, operation.name, ": ", given, " positional arguments were given. Expected ",
       most, " at most. Fix: name the others.");
}

using Values = InlineList<Value, 4>;

// f(x, 2, 3) for a last positional parameter that takes several ints: reshape(x, 2, 3).
bool spreads_over(const Operation& operation, Py_ssize_t position) {
  if (position >= static_cast<Py_ssize_t>(operation.parameters.size())) return false;
  const Parameter& parameter = operation.parameters[static_cast<size_t>(position)];
  if (parameter.type != ParameterType::integers) return false;
  const size_t next = static_cast<size_t>(position) + 1;
  return next >= operation.parameters.size() || operation.parameters[next].keyword_only;
}

void bind_arguments(const Operation& operation, PyObject* const* arguments, Py_ssize_t count,
                    PyObject* keywords, Values& values) {
  const auto parameters = static_cast<Py_ssize_t>(operation.parameters.size());
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (i + 1 < count && spreads_over(operation, i) && PyIndex_Check(arguments[i])) {
      Dims dims;
      for (Py_ssize_t j = i; j < count; ++j) {
        int64_t whole = 0;
        if (!convert_whole(arguments[j], whole))
          wrong_type(operation, operation.parameters[static_cast<size_t>(i)], arguments[j]);
        dims.push_back(whole);
      }
      values.emplace_back(dims);
      break;
    }
    if (i >= parameters || operation.parameters[static_cast<size_t>(i)].keyword_only)
      too_many_arguments(operation, count);
    Value& value = values.emplace_back();
    convert_argument(operation, operation.parameters[static_cast<size_t>(i)], arguments[i], value);
  }
  const Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
  if (values.size() == parameters && named == 0) return;
  const int bound = values.size();
  uint64_t given = (uint64_t{1} << bound) - 1;
  values.resize(static_cast<int>(parameters));
  for (Py_ssize_t k = 0; k < named; ++k) {
    const std::string keyword = text_of(PyTuple_GET_ITEM(keywords, k));
    if (says_nothing(operation, keyword, arguments[count + k])) continue;
    const int i = find_parameter(operation, keyword);
    if (given >> i & 1u)
      fail(ErrorKind::dtype, operation.name, ": argument '",
           operation.parameters[static_cast<size_t>(i)].name,
           "' was given twice. Expected it once. Fix: remove one of them.");
    given |= uint64_t{1} << i;
    convert_argument(operation, operation.parameters[static_cast<size_t>(i)], arguments[count + k],
                     values[i]);
  }
  for (int i = 0; i < values.size(); ++i) {
    if (given >> i & 1u) continue;
    const Parameter& parameter = operation.parameters[static_cast<size_t>(i)];
    if (parameter.required)
      fail(ErrorKind::dtype, operation.name, ": argument '", parameter.name,
           "' is missing. Expected ", expected_text(parameter.type), ". Fix: pass it.");
    values[i] = parameter.fallback;
  }
}

PyObject* wrap_outputs(const OperationObject& self, Outputs& outputs) {
  if (self.output_type == Py_None) return wrap(std::move(outputs[0]));
  Owned tuple = checked(PyTuple_New(outputs.size()));
  for (int i = 0; i < outputs.size(); ++i)
    PyTuple_SET_ITEM(tuple.get(), i, checked(wrap(std::move(outputs[i]))).release());
  if (self.output_type == reinterpret_cast<PyObject*>(&PyTuple_Type)) return tuple.release();
  return PyObject_Call(self.output_type, tuple.get(), nullptr);
}

bool names_dim(PyObject* keywords) {
  const Py_ssize_t count = keywords ? PyTuple_GET_SIZE(keywords) : 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, i);
    if (PyUnicode_CompareWithASCIIString(keyword, "dim") == 0 ||
        PyUnicode_CompareWithASCIIString(keyword, "keepdim") == 0)
      return true;
  }
  return false;
}

// What another form of the operation makes of arguments that do not fit the signature, or null.
Owned ask_other_form(const OperationObject& object, PyObject* const* arguments, size_t flags,
                     PyObject* keywords) {
  if (!object.other_form) return {};
  PyErr_Clear();
  Owned answer = checked(PyObject_Vectorcall(object.other_form, arguments, flags, keywords));
  return answer.get() == Py_NotImplemented ? Owned() : std::move(answer);
}

PyObject* operation_call(PyObject* self, PyObject* const* arguments, size_t flags,
                         PyObject* keywords) {
  return guarded([&]() -> PyObject* {
    const OperationObject& object = *reinterpret_cast<OperationObject*>(self);
    if (object.dim_form && keywords && names_dim(keywords))
      return PyObject_Vectorcall(object.dim_form, arguments, flags, keywords);
    Values values;
    try {
      bind_arguments(*object.operation, arguments, PyVectorcall_NARGS(flags), keywords, values);
    } catch (const Error&) {
      if (Owned answer = ask_other_form(object, arguments, flags, keywords))
        return answer.release();
      throw;
    } catch (const PythonError&) {
      PyObject *type, *value, *traceback;
      PyErr_Fetch(&type, &value, &traceback);
      Owned kept[] = {Owned(type), Owned(value), Owned(traceback)};
      if (Owned answer = ask_other_form(object, arguments, flags, keywords))
        return answer.release();
      PyErr_Restore(kept[0].release(), kept[1].release(), kept[2].release());
      throw;
    }
    if (object.operation->in_place && !values[0].is_tensor())
      fail(ErrorKind::dtype, object.operation->name,
           ": the target of an in-place operation is a number. Expected a tensor. Fix: use the "
           "out-of-place form.");
    Outputs outputs;
    invoke_from_python(*object.operation, values.span(), outputs);
    return wrap_outputs(object, outputs);
  });
}

// Operation(signature, native, *, doc, record, output_type, python_rule, in_place, name)
PyObject* operation_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  return guarded([&]() -> PyObject* {
    const char *signature, *native;
    const char* name = nullptr;
    PyObject *doc = Py_None, *record = Py_None, *output_type = Py_None, *rule = Py_None,
             *dim_form = Py_None, *other_form = Py_None;
    int in_place = 0;
    static const char* names[] = {"signature",   "native", "doc",      "record",
                                  "output_type", "rule",   "dim_form", "other_form",
                                  "in_place",    "name",   nullptr};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "ss|$OOOOOOpz", const_cast<char**>(names),
                                     &signature, &native, &doc, &record, &output_type, &rule,
                                     &dim_form, &other_form, &in_place, &name))
      throw PythonError();
    auto operation = std::make_unique<Operation>();
    parse_signature(signature, *operation);
    if (operation->parameters.size() > 32)
      fail(ErrorKind::argument, "operation: ", operation->parameters.size(),
           " parameters are declared. Expected at most 32. Fix: pass several in one.");
    if (name) operation->name = name;
    operation->native = find_native(native);
    if (!operation->native)
      fail(ErrorKind::not_implemented, operation->name, ": the native operation '", native,
           "' does not exist. Expected a name registered in csrc/ops. Fix: correct `native`.");
    operation->in_place = in_place != 0;
    if (rule != Py_None) operation->python_rule = Py_NewRef(rule);
    OperationObject* self = reinterpret_cast<OperationObject*>(type->tp_alloc(type, 0));
    if (!self) throw PythonError();
    self->vectorcall = operation_call;
    self->operation = operation.release();
    if (rule != Py_None && !in_place) set_rule(native, *self->operation);
    self->doc = Py_NewRef(doc);
    self->record = Py_NewRef(record);
    self->output_type = Py_NewRef(output_type);
    self->dim_form = dim_form == Py_None ? nullptr : Py_NewRef(dim_form);
    self->other_form = other_form == Py_None ? nullptr : Py_NewRef(other_form);
    return reinterpret_cast<PyObject*>(self);
  });
}

void operation_dealloc(PyObject* self) {
  OperationObject* object = reinterpret_cast<OperationObject*>(self);
  if (object->weak_references) PyObject_ClearWeakRefs(self);
  Py_XDECREF(object->doc);
  Py_XDECREF(object->record);
  Py_XDECREF(object->output_type);
  Py_XDECREF(object->dim_form);
  Py_XDECREF(object->other_form);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* operation_get(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, instance);
}
PyObject* operation_repr(PyObject* self) {
  return PyUnicode_FromFormat("<operation samara.%s>", operation_of(self).name.c_str());
}
PyObject* operation_name(PyObject* self, void*) {
  return PyUnicode_FromString(operation_of(self).name.c_str());
}
PyObject* operation_module(PyObject*, void*) { return PyUnicode_FromString("samara"); }
// Pickled and copied by name.
PyObject* operation_reduce(PyObject* self, PyObject*) { return operation_name(self, nullptr); }

PyObject* operation_parameters(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    Owned list = checked(PyList_New(0));
    for (const Parameter& parameter : operation_of(self).parameters) {
      Owned fallback;
      const Value& value = parameter.fallback;
      if (parameter.required)
        fallback = Owned::borrow(Py_Ellipsis);
      else if (value.is_number())
        fallback = checked(number_object(value));
      else if (value.kind() == ValueKind::integers)
        fallback = dims_tuple(value.integers());
      else if (value.kind() == ValueKind::text)
        fallback = checked(PyUnicode_FromString(value.text().c_str()));
      else
        fallback = Owned::borrow(Py_None);
      std::string_view type = "Tensor";
      switch (parameter.type) {
        case ParameterType::tensor:
          break;
        case ParameterType::tensors:
          type = "Tensor[]";
          break;
        case ParameterType::boolean:
          type = "bool";
          break;
        case ParameterType::integer:
          type = "int";
          break;
        case ParameterType::real:
          type = "float";
          break;
        case ParameterType::number:
          type = "number";
          break;
        case ParameterType::integers:
          type = "ints";
          break;
        case ParameterType::dtype:
          type = "dtype";
          break;
        case ParameterType::device:
          type = "device";
          break;
        case ParameterType::text:
          type = "str";
          break;
        case ParameterType::integers_or_text:
          type = "ints|str";
          break;
      }
      const Owned entry = checked(Py_BuildValue(
          "(ss#OOO)", parameter.name.c_str(), type.data(), static_cast<Py_ssize_t>(type.size()),
          parameter.optional ? Py_True : Py_False, parameter.keyword_only ? Py_True : Py_False,
          fallback.get()));
      checked(PyList_Append(list.get(), entry.get()));
    }
    return list.release();
  });
}
PyObject* operation_signature(PyObject* self, void*) {
  const Owned module(PyImport_ImportModule("samara.ops.record"));
  if (!module) return nullptr;
  return PyObject_CallMethod(module.get(), "signature_of", "O", self);
}
PyObject* operation_differentiable(PyObject* self, void*) {
  const Operation& operation = operation_of(self);
  return PyBool_FromLong(operation.native->backward || operation.python_rule);
}

PyGetSetDef operation_attributes[] = {
    {"__name__", operation_name, nullptr, nullptr, nullptr},
    {"__qualname__", operation_name, nullptr, nullptr, nullptr},
    {"__module__", operation_module, nullptr, nullptr, nullptr},
    {"__signature__", operation_signature, nullptr, nullptr, nullptr},
    {"parameters", operation_parameters, nullptr,
     "(name, type, optional, keyword_only, default or ...) of each parameter.", nullptr},
    {"differentiable", operation_differentiable, nullptr, "Whether a gradient exists.", nullptr},
    {}};
PyMemberDef operation_members[] = {
    {"__doc__", T_OBJECT, offsetof(OperationObject, doc), READONLY, nullptr},
    {"record", T_OBJECT, offsetof(OperationObject, record), 0, "The record it was made from."},
    {"outputs", T_OBJECT, offsetof(OperationObject, output_type), READONLY,
     "None for one tensor, tuple, or a named tuple class."},
    {"dim_form", T_OBJECT, offsetof(OperationObject, dim_form), READONLY,
     "Who answers a call with `dim=`."},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(OperationObject, vectorcall), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(OperationObject, weak_references), READONLY,
     nullptr},
    {}};
PyMethodDef operation_methods[] = {{"__reduce__", operation_reduce, METH_NOARGS, nullptr}, {}};
PyType_Slot operation_slots[] = {{Py_tp_new, reinterpret_cast<void*>(operation_new)},
                                 {Py_tp_dealloc, reinterpret_cast<void*>(operation_dealloc)},
                                 {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                                 {Py_tp_descr_get, reinterpret_cast<void*>(operation_get)},
                                 {Py_tp_repr, reinterpret_cast<void*>(operation_repr)},
                                 {Py_tp_getset, operation_attributes},
                                 {Py_tp_members, operation_members},
                                 {Py_tp_methods, operation_methods},
                                 {0, nullptr}};
PyType_Spec operation_spec = {
    "samara.Operation", sizeof(OperationObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    operation_slots};

// Operators have their own records-free operations: the hot path of a + b binds nothing.
Operation& operator_operation(const char* name, bool in_place) {
  static std::map<std::pair<std::string, bool>, std::unique_ptr<Operation>> table;
  auto& slot = table[{name, in_place}];
  if (!slot) {
    slot = std::make_unique<Operation>();
    slot->name = name;
    slot->native = find_native(name);
    slot->in_place = in_place;
    slot->parameters.resize(2);
    slot->parameters[0].name = "x1";
    slot->parameters[1].name = "x2";
  }
  return *slot;
}

}  // namespace

const Operation& find_operator(const char* name, bool in_place) {
  return operator_operation(name, in_place);
}

// set_rule(name, rule): gives an operator's operation the Python rule of its record.
PyObject* set_operator_rule(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    const char* name;
    PyObject* rule;
    if (!PyArg_ParseTuple(arguments, "sO", &name, &rule)) throw PythonError();
    for (const bool in_place : {false, true})
      operator_operation(name, in_place).python_rule = Py_NewRef(rule);
    Py_RETURN_NONE;
  });
}

void add_operation_type(PyObject* module) {
  operation_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&operation_spec));
  if (!operation_type) throw PythonError();
  checked(PyModule_AddObjectRef(module, "Operation", reinterpret_cast<PyObject*>(operation_type)));
  static PyMethodDef functions[] = {
      {"set_operator_rule", set_operator_rule, METH_VARARGS,
       "Gives the operator of that name (e.g. 'add' for +) its gradient rule."},
      {}};
  checked(PyModule_AddFunctions(module, functions));
}

void invoke_from_python(const Operation& operation, std::span<Value> values, Outputs& outputs) {
  // Below this size the lock changes hands more slowly than the operation runs.
  constexpr int64_t kLarge = 32768;
  int64_t elements = 0;
  for (const Value& value : values) {
    if (value.is_tensor()) elements += value.tensor().elements();
    if (value.kind() == ValueKind::tensors)
      for (const Tensor& x : value.tensors()) elements += x.elements();
  }
  ReleaseGil release(elements >= kLarge && !thread_state().observers);
  invoke(operation, values, outputs);
}

}  // namespace samara::bind
