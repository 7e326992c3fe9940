// backward(), grad(), gradient hooks, grad mode, tape nodes and observers for Python.
#include <vector>

#include "bind/objects.h"
#include "core/autograd.h"

namespace samara::bind {
namespace {

// --- Python gradient rules ---------------------------------------------------------------------

PyObject* value_object(const Value& value) {
  switch (value.kind()) {
    case ValueKind::none:
      Py_RETURN_NONE;
    case ValueKind::tensor:
      return wrap(value.tensor());
    case ValueKind::tensors: {
      Owned list = checked(PyList_New(0));
      for (const Tensor& x : value.tensors())
        checked(PyList_Append(list.get(), checked(wrap(x)).get()));
      return list.release();
    }
    case ValueKind::integers:
      return dims_tuple(value.integers()).release();
    case ValueKind::dtype:
      return Py_NewRef(dtype_object(value.dtype()));
    case ValueKind::device:
      return device_object(value.device());
    case ValueKind::text:
      return PyUnicode_FromStringAndSize(value.text().data(),
                                         static_cast<Py_ssize_t>(value.text().size()));
    default:
      return number_object(value);
  }
}

Owned outputs_object(const BackwardCall& call) {
  const int count = call.node.outputs.size();
  if (count == 0) return Owned::borrow(Py_None);
  if (count == 1) return checked(wrap(call.output()));
  Owned tuple = checked(PyTuple_New(count));
  for (int i = 0; i < count; ++i)
    PyTuple_SET_ITEM(tuple.get(), i, checked(wrap(call.output(i))).release());
  return tuple;
}

Owned gradients_object(const BackwardCall& call) {
  if (call.output_gradients.size() == 1) return checked(wrap(call.gradient()));
  const auto count = static_cast<Py_ssize_t>(call.output_gradients.size());
  Owned tuple = checked(PyTuple_New(count));
  for (Py_ssize_t i = 0; i < count; ++i)
    PyTuple_SET_ITEM(tuple.get(), i,
                     checked(wrap(call.output_gradients[static_cast<size_t>(i)])).release());
  return tuple;
}

void take_gradient(BackwardCall& call, int argument, int element, PyObject* given) {
  if (given == Py_None) return;
  if (!is_tensor(given))
    fail(ErrorKind::gradient, "backward: the rule of '", call.node.operation->name,
         "' returned a ", type_name(given), " for argument ", argument,
         ". Expected a tensor or None. Fix: correct the rule.");
  call.set(argument, element, unwrap(given));
}

void take_gradients(BackwardCall& call, const std::vector<int>& arguments, PyObject* result) {
  const bool single = arguments.size() == 1 && !PyTuple_Check(result);
  if (!single && (!PyTuple_Check(result) ||
                  PyTuple_GET_SIZE(result) != static_cast<Py_ssize_t>(arguments.size())))
    fail(ErrorKind::gradient, "backward: the rule of '", call.node.operation->name,
         "' returned ", PyTuple_Check(result) ? PyTuple_GET_SIZE(result) : 1, " gradients for ",
         arguments.size(), " tensor arguments. Expected one each. Fix: correct the rule.");
  for (size_t k = 0; k < arguments.size(); ++k) {
    const int argument = arguments[k];
    PyObject* given = single ? result : PyTuple_GET_ITEM(result, static_cast<Py_ssize_t>(k));
    if (call[argument].kind() != ValueKind::tensors) {
      if (call[argument].is_tensor()) take_gradient(call, argument, 0, given);
      continue;
    }
    const Owned items = checked(PySequence_Fast(given, "the rule must return a list here"));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); ++i)
      take_gradient(call, argument, static_cast<int>(i), PySequence_Fast_GET_ITEM(items.get(), i));
  }
}

// rule(g, *tensor arguments, output, **other arguments)
void call_rule(BackwardCall& call) {
  AcquireGil gil;
  const Operation& operation = *call.node.operation;
  std::vector<int> tensor_arguments;
  Owned positional = checked(PyList_New(0));
  Owned keywords = checked(PyDict_New());
  checked(PyList_Append(positional.get(), gradients_object(call).get()));
  for (int i = 0; i < call.node.values.size(); ++i) {
    const Parameter& parameter = operation.parameters[static_cast<size_t>(i)];
    const Owned value = checked(value_object(call[i]));
    const bool tensor = parameter.type == ParameterType::tensor ||
                        parameter.type == ParameterType::tensors;
    if (tensor) {
      tensor_arguments.push_back(i);
      checked(PyList_Append(positional.get(), value.get()));
    } else {
      checked(PyDict_SetItemString(keywords.get(), parameter.name.c_str(), value.get()));
    }
  }
  checked(PyList_Append(positional.get(), outputs_object(call).get()));
  const Owned arguments = checked(PyList_AsTuple(positional.get()));
  const Owned result = checked(PyObject_Call(static_cast<PyObject*>(operation.python_rule),
                                             arguments.get(), keywords.get()));
  take_gradients(call, tensor_arguments, result.get());
}

Tensor call_hooks(std::span<void* const> hooks, Tensor gradient) {
  AcquireGil gil;
  for (void* hook : hooks) {
    const Owned argument = checked(wrap(gradient));
    const Owned result = checked(PyObject_CallOneArg(static_cast<PyObject*>(hook), argument.get()));
    if (result.get() == Py_None) continue;
    const Tensor replaced = require_tensor(result.get(), "gradient hook");
    if (!(replaced.shape() == gradient.shape()) || replaced.dtype() != gradient.dtype())
      fail(ErrorKind::gradient, "gradient hook: the result has shape ", replaced.shape(),
           " and dtype ", name(replaced.dtype()), ". Expected ", gradient.shape(), " and ",
           name(gradient.dtype()), ". Fix: return a gradient like the one given, or None.");
    gradient = replaced;
  }
  return gradient;
}

void drop_object(void* object) {
  if (!Py_IsInitialized()) return;
  AcquireGil gil;
  Py_DECREF(static_cast<PyObject*>(object));
}

std::string current_line() {
  if (!Py_IsInitialized()) return "";
  AcquireGil gil;
  // An exception may be in flight while its cleanup writes to a tensor.
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  std::string line = "an unknown place";
  const Owned module(PyImport_ImportModule("samara.errors"));
  if (module) {
    const Owned found(PyObject_CallMethod(module.get(), "user_line", nullptr));
    if (found) line = text_of(found.get());
  }
  PyErr_Clear();
  PyErr_Restore(type, value, trace);
  return line;
}

// --- backward and grad ---------------------------------------------------------------------------

std::vector<Tensor> tensor_list(PyObject* object, const char* place) {
  std::vector<Tensor> tensors;
  if (is_tensor(object)) return {unwrap(object)};
  const Owned items = checked(PySequence_Fast(object, "expected a tensor or a sequence of tensors"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); ++i)
    tensors.push_back(require_tensor(PySequence_Fast_GET_ITEM(items.get(), i), place));
  return tensors;
}

Tensor start_gradient(const Tensor& root, PyObject* given) {
  if (given == Py_None) {
    if (root.elements() != 1)
      fail(ErrorKind::shape, "backward: the tensor has shape ", root.shape(),
           " and no gradient was given. Expected a scalar loss. Fix: reduce it, e.g. "
           "loss.mean().backward(), or pass gradient=.");
    static const NativeCall zeros_like("zeros_like");
    static const NativeCall fill("fill", NativeCall::kInPlace);
    GradMode off(false);
    return fill(zeros_like(root), 1.0);
  }
  const Tensor gradient = require_tensor(given, "backward");
  if (!(gradient.shape() == root.shape()))
    fail(ErrorKind::shape, "backward: a gradient of shape ", gradient.shape(),
         " was given for a tensor of shape ", root.shape(),
         ". Expected equal shapes. Fix: reshape the gradient.");
  static const NativeCall astype("astype");
  return gradient.dtype() == root.dtype() ? gradient : astype(gradient, root.dtype());
}

// backward(roots, gradients, inputs, retain_graph, create_graph, accumulate)
PyObject* backward(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *roots_object, *gradients, *inputs_object;
    int retain, create, accumulate;
    if (!PyArg_ParseTuple(arguments, "OOOppp", &roots_object, &gradients, &inputs_object, &retain,
                          &create, &accumulate))
      throw PythonError();
    const std::vector<Tensor> roots = tensor_list(roots_object, "backward");
    const std::vector<Tensor> inputs = tensor_list(inputs_object, "grad");
    std::vector<Tensor> starts;
    for (size_t i = 0; i < roots.size(); ++i) {
      const Owned given = gradients == Py_None || is_tensor(gradients)
                              ? Owned::borrow(gradients)
                              : checked(PySequence_GetItem(gradients, static_cast<Py_ssize_t>(i)));
      if (!roots[i].requires_grad() || is_inexact(roots[i].dtype()))
        starts.push_back(roots[i].requires_grad() ? start_gradient(roots[i], given.get())
                                                  : Tensor());
    }
    const BackwardOptions options{retain != 0, create != 0, accumulate != 0};
    std::vector<Tensor> results;
    {
      ReleaseGil release(!thread_state().observers);
      results = run_backward(roots, starts, inputs, options);
    }
    Owned list = checked(PyList_New(0));
    for (Tensor& result : results)
      checked(PyList_Append(list.get(), checked(wrap(std::move(result))).get()));
    return list.release();
  });
}

PyObject* leaves(PyObject*, PyObject* argument) {
  return guarded([&]() -> PyObject* {
    Owned list = checked(PyList_New(0));
    for (const Tensor& leaf : graph_leaves(require_tensor(argument, "graph_leaves")))
      checked(PyList_Append(list.get(), checked(wrap(leaf)).get()));
    return list.release();
  });
}

// add_hook(tensor, callable): runs when the tensor's gradient is known.
PyObject* add_hook(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *object, *hook;
    if (!PyArg_ParseTuple(arguments, "OO", &object, &hook)) throw PythonError();
    const Tensor x = require_tensor(object, "register_hook");
    if (!x.requires_grad())
      fail(ErrorKind::gradient, "register_hook: the tensor does not require grad. Expected one that "
           "does. Fix: call requires_grad_() first.");
    if (const NodeRef node = grad_fn(x)) {
      if (!node->hooks) node->hooks = new std::vector<std::pair<int, void*>>;
      node->hooks->emplace_back(x.impl()->autograd->output, Py_NewRef(hook));
    } else {
      autograd_meta(x).hooks.push_back(Py_NewRef(hook));
    }
    Py_RETURN_NONE;
  });
}
PyObject* remove_hook(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *object, *hook;
    if (!PyArg_ParseTuple(arguments, "OO", &object, &hook)) throw PythonError();
    const Tensor x = require_tensor(object, "remove_hook");
    const auto drop = [&](void* candidate) {
      if (candidate != hook) return false;
      Py_DECREF(hook);
      return true;
    };
    if (const NodeRef node = grad_fn(x); node && node->hooks)
      std::erase_if(*node->hooks, [&](const auto& entry) { return drop(entry.second); });
    if (x.impl()->autograd) std::erase_if(x.impl()->autograd->hooks, drop);
    Py_RETURN_NONE;
  });
}

PyObject* grad_enabled(PyObject*, PyObject*) {
  return PyBool_FromLong(thread_state().grad_enabled);
}
PyObject* set_grad_enabled(PyObject*, PyObject* argument) {
  const bool previous = thread_state().grad_enabled;
  thread_state().grad_enabled = PyObject_IsTrue(argument) == 1;
  return PyBool_FromLong(previous);
}

// --- nodes ---------------------------------------------------------------------------------------

struct NodeObject {
  PyObject_HEAD
  Node* node;  // counted
};
PyTypeObject* node_type = nullptr;

PyObject* node_object(NodeRef node) {
  if (!node) Py_RETURN_NONE;
  NodeObject* object = PyObject_New(NodeObject, node_type);
  if (!object) throw PythonError();
  object->node = node.release();
  return reinterpret_cast<PyObject*>(object);
}
void node_dealloc(PyObject* self) {
  { const NodeRef last = NodeRef::adopt(reinterpret_cast<NodeObject*>(self)->node); }
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}
PyObject* node_name(PyObject* self, void*) {
  return PyUnicode_FromString(
      reinterpret_cast<NodeObject*>(self)->node->operation->name.c_str());
}
PyObject* node_next(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    const Node& node = *reinterpret_cast<NodeObject*>(self)->node;
    Owned tuple = checked(PyTuple_New(node.edges.size()));
    for (int i = 0; i < node.edges.size(); ++i) {
      const Edge& edge = node.edges[i];
      Owned target = edge.leaf ? checked(wrap(edge.leaf)) : checked(node_object(edge.node));
      PyTuple_SET_ITEM(tuple.get(), i,
                       checked(Py_BuildValue("(Oi)", target.get(), edge.output)).release());
    }
    return tuple.release();
  });
}
PyObject* node_repr(PyObject* self) {
  return PyUnicode_FromFormat(
      "<Node %s>", reinterpret_cast<NodeObject*>(self)->node->operation->name.c_str());
}
PyGetSetDef node_attributes[] = {
    {"name", node_name, nullptr, "The operation that was recorded.", nullptr},
    {"next_functions", node_next, nullptr,
     "Where the gradient goes: (node, leaf tensor or None; output index) per tensor argument.",
     nullptr},
    {}};
PyType_Slot node_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
                            {Py_tp_repr, reinterpret_cast<void*>(node_repr)},
                            {Py_tp_getset, node_attributes},
                            {0, nullptr}};
PyType_Spec node_spec = {"samara.autograd.Node", sizeof(NodeObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, node_slots};

PyObject* grad_fn_of(PyObject*, PyObject* argument) {
  return guarded([&]() -> PyObject* { return node_object(grad_fn(require_tensor(argument, "grad_fn"))); });
}

// --- observers -------------------------------------------------------------------------------------

class PythonObserver final : public Observer {
 public:
  PythonObserver(PyObject* before, PyObject* after)
      : before_(Owned::borrow(before)), after_(Owned::borrow(after)) {}
  void before(const Operation& operation, std::span<Value> values) override {
    if (before_.get() == Py_None) return;
    AcquireGil gil;
    const Owned arguments = arguments_list(values);
    checked(PyObject_CallFunction(before_.get(), "sO", operation.name.c_str(), arguments.get()));
  }
  void after(const Operation& operation, std::span<Value> values,
             std::span<Tensor> outputs) override {
    if (after_.get() == Py_None) return;
    AcquireGil gil;
    const Owned arguments = arguments_list(values);
    Owned results = checked(PyList_New(0));
    for (const Tensor& output : outputs)
      checked(PyList_Append(results.get(), checked(wrap(output)).get()));
    checked(PyObject_CallFunction(after_.get(), "sOO", operation.name.c_str(), arguments.get(),
                                  results.get()));
  }

 private:
  static Owned arguments_list(std::span<Value> values) {
    Owned list = checked(PyList_New(0));
    for (const Value& value : values)
      checked(PyList_Append(list.get(), checked(value_object(value)).get()));
    return list;
  }
  Owned before_, after_;
};

constexpr const char* observer_capsule = "samara.observer";
PyObject* push(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *before, *after;
    if (!PyArg_ParseTuple(arguments, "OO", &before, &after)) throw PythonError();
    auto observer = std::make_unique<PythonObserver>(before, after);
    push_observer(observer.get());
    PyObject* capsule = PyCapsule_New(observer.get(), observer_capsule, [](PyObject* self) {
      auto* held = static_cast<PythonObserver*>(PyCapsule_GetPointer(self, observer_capsule));
      pop_observer(held);
      delete held;
    });
    if (!capsule) {
      pop_observer(observer.get());
      throw PythonError();
    }
    static_cast<void>(observer.release());
    return capsule;
  });
}
PyObject* pop(PyObject*, PyObject* capsule) {
  auto* observer = static_cast<PythonObserver*>(PyCapsule_GetPointer(capsule, observer_capsule));
  if (!observer) return nullptr;
  pop_observer(observer);
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"backward", backward, METH_VARARGS,
     "backward(roots, gradients, inputs, retain_graph, create_graph, accumulate)"},
    {"graph_leaves", leaves, METH_O, "All leaves that require grad in a tensor's graph."},
    {"add_hook", add_hook, METH_VARARGS, "add_hook(tensor, callable)"},
    {"remove_hook", remove_hook, METH_VARARGS, "remove_hook(tensor, callable)"},
    {"grad_enabled", grad_enabled, METH_NOARGS, "Whether operations are recorded."},
    {"set_grad_enabled", set_grad_enabled, METH_O, "Switches recording; returns the old state."},
    {"grad_fn", grad_fn_of, METH_O, "The tape node that made a tensor, or None."},
    {"push_observer", push, METH_VARARGS, "push_observer(before, after) -> handle"},
    {"pop_observer", pop, METH_O, "Removes the observer of that handle."},
    {}};

}  // namespace

void add_autograd_functions(PyObject* module) {
  node_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&node_spec));
  if (!node_type) throw PythonError();
  python_hooks() = {call_rule, call_hooks, drop_object, current_line};
  checked(PyModule_AddFunctions(module, functions));
}

}  // namespace samara::bind
