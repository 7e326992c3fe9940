// backward(), grad(), gradient hooks, grad mode, tape nodes and observers for Python.
#include <atomic>
#include <memory>
#include <set>
#include <vector>

#include "bind/objects.h"
#include "core/autograd.h"
#include "ops/basic.h"

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
    fail(ErrorKind::gradient, "backward: the rule of '", call.node.operation->name, "' returned a ",
         type_name(given), " for argument ", argument,
         ". Expected a tensor or None. Fix: correct the rule.");
  call.set(argument, element, unwrap(given));
}

void take_gradients(BackwardCall& call, const std::vector<int>& arguments, PyObject* result) {
  const bool single = arguments.size() == 1 && !PyTuple_Check(result);
  if (!single && (!PyTuple_Check(result) ||
                  PyTuple_GET_SIZE(result) != static_cast<Py_ssize_t>(arguments.size())))
    fail(ErrorKind::gradient, "backward: the rule of '", call.node.operation->name, "' returned ",
         PyTuple_Check(result) ? PyTuple_GET_SIZE(result) : 1, " gradients for ", arguments.size(),
         " tensor arguments. Expected one each. Fix: correct the rule.");
  for (size_t k = 0; k < arguments.size(); ++k) {
    const int argument = arguments[k];
    PyObject* given = single ? result : PyTuple_GET_ITEM(result, static_cast<Py_ssize_t>(k));
    if (call[argument].kind() != ValueKind::tensors) {
      if (call[argument].is_tensor()) take_gradient(call, argument, 0, given);
      continue;
    }
    const Owned items = checked(PySequence_Fast(given, "the rule must return a list here"));
    const auto expected = static_cast<Py_ssize_t>(call[argument].tensors().size());
    if (PySequence_Fast_GET_SIZE(items.get()) != expected)
      fail(ErrorKind::gradient, "backward: the rule of '", call.node.operation->name, "' returned ",
           PySequence_Fast_GET_SIZE(items.get()), " gradients for the ", expected,
           " tensors of argument ", argument, ". Expected one each. Fix: correct the rule.");
    for (Py_ssize_t i = 0; i < expected; ++i)
      take_gradient(call, argument, static_cast<int>(i), PySequence_Fast_GET_ITEM(items.get(), i));
  }
}

// A rule computes the gradients of all arguments, also those nobody wants: an argument that only
// such a gradient reads was not saved, and zeros stand in for it.
Owned rule_argument(const BackwardCall& call, int i) {
  const Value& value = call[i];
  const bool stands_in = (call.node.operation->native->saved_for_other >> i & 1u) &&
                         value.is_tensor() && !value.tensor().impl()->storage;
  if (!stands_in) return checked(value_object(value));
  const Tensor& x = value.tensor();
  Dims strides = x.shape();
  for (int64_t& stride : strides) stride = 0;
  return checked(
      wrap(alias(scalar_tensor(Value(0.0), x.dtype(), x.device()), x.shape(), strides, 0)));
}

// rule(g, *tensor arguments, output, **other arguments)
void call_rule(BackwardCall& call) {
  AcquireGil gil;
  const Operation& operation = *call.node.operation;
  if (call.node.values.size() > static_cast<int>(operation.parameters.size()))
    fail(ErrorKind::gradient, "backward: '", operation.name, "' was called with ",
         call.node.values.size(), " arguments and declares ", operation.parameters.size(),
         ". Expected the arguments of its signature. Fix: call it as declared.");
  std::vector<int> tensor_arguments;
  Owned positional = checked(PyList_New(0));
  Owned keywords = checked(PyDict_New());
  checked(PyList_Append(positional.get(), gradients_object(call).get()));
  for (int i = 0; i < call.node.values.size(); ++i) {
    const Parameter& parameter = operation.parameters[static_cast<size_t>(i)];
    const Owned value = rule_argument(call, i);
    const bool tensor =
        parameter.type == ParameterType::tensor || parameter.type == ParameterType::tensors;
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

Tensor call_hooks(const Hooks& hooks, int output, Tensor gradient) {
  AcquireGil gil;
  // A hook may add or remove hooks: those of this moment run.
  std::vector<Owned> current;
  for (const Hook& hook : hooks)
    if (hook.output == output)
      current.push_back(Owned::borrow(static_cast<PyObject*>(hook.function)));
  for (const Owned& hook : current) {
    const Owned argument = checked(wrap(gradient));
    const Owned result = checked(PyObject_CallOneArg(hook.get(), argument.get()));
    if (result.get() == Py_None) continue;
    const Tensor replaced = require_tensor(result.get(), "gradient hook");
    if (!(replaced.shape() == gradient.shape()) || replaced.dtype() != gradient.dtype() ||
        !(replaced.device() == gradient.device()))
      fail(ErrorKind::gradient, "gradient hook: the result has shape ", replaced.shape(),
           ", dtype ", name(replaced.dtype()), " and device '", to_text(replaced.device()),
           "'. Expected ", gradient.shape(), ", ", name(gradient.dtype()), " and '",
           to_text(gradient.device()), "'. Fix: return a gradient like the one given, or None.");
    static_cast<void>(replaced.address());  // fails for a shape without data
    gradient = replaced;
  }
  return gradient;
}

void drop_object(void* object) {
  if (!Py_IsInitialized()) return;
  AcquireGil gil;
  Py_DECREF(static_cast<PyObject*>(object));
}

void clear_hooks(Hooks& hooks) {
  if (!Py_IsInitialized()) return;
  AcquireGil gil;
  Hooks gone;
  gone.swap(hooks);  // what their end runs may add new ones
  for (const Hook& hook : gone) Py_DECREF(static_cast<PyObject*>(hook.function));
}

// The lines of a program are few: each is kept once, for ever, so that nobody has to own it.
const std::string* kept_line(std::string line) {
  static std::set<std::string>& lines = *new std::set<std::string>;
  return &*lines.insert(std::move(line)).first;
}

const std::string* current_line() {
  if (!Py_IsInitialized()) return nullptr;
  AcquireGil gil;
  // An exception may be in flight while its cleanup writes to a tensor.
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  std::string line = "an unknown place";
  const Owned module(PyImport_ImportModule("samara.errors"));
  if (module) {
    const Owned found(PyObject_CallMethod(module.get(), "user_line", nullptr));
    Py_ssize_t size = 0;
    const char* text = found ? PyUnicode_AsUTF8AndSize(found.get(), &size) : nullptr;
    if (text) line.assign(text, static_cast<size_t>(size));
  }
  // Ctrl-C in the middle is for the program, not for this look-up.
  if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) PyErr_SetInterrupt();
  PyErr_Clear();
  PyErr_Restore(type, value, trace);
  return kept_line(std::move(line));
}

// --- backward and grad ---------------------------------------------------------------------------

std::vector<Tensor> tensor_list(PyObject* object, const char* place) {
  std::vector<Tensor> tensors;
  if (is_tensor(object)) return {unwrap(object)};
  const Owned items =
      checked(PySequence_Fast(object, "expected a tensor or a sequence of tensors"));
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
  if (!(gradient.device() == root.device()))
    fail(ErrorKind::device, "backward: a gradient on '", to_text(gradient.device()),
         "' was given for a tensor on '", to_text(root.device()),
         "'. Expected one device. Fix: move the gradient with x.to(device).");
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
    if (gradients != Py_None && !is_tensor(gradients)) {
      const Py_ssize_t count = PySequence_Size(gradients);
      checked(count < 0 ? -1 : 0);
      if (count != static_cast<Py_ssize_t>(roots.size()))
        fail(ErrorKind::argument, "backward: ", count, " gradients were given for ", roots.size(),
             " tensors. Expected one each. Fix: pass a gradient, or None, for every tensor.");
    } else if (is_tensor(gradients) && roots.size() != 1) {
      fail(ErrorKind::argument, "backward: one gradient was given for ", roots.size(),
           " tensors. Expected one each. Fix: pass a list of gradients.");
    }
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
      ReleaseGil release(true);
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
      fail(ErrorKind::gradient,
           "register_hook: the tensor does not require grad. Expected one that "
           "does. Fix: call requires_grad_() first.");
    if (const NodeRef node = grad_fn(x)) {
      if (!node->hooks) node->hooks = new Hooks;
      node->hooks->push_back({x.impl()->autograd->output, Py_NewRef(hook)});
    } else {
      autograd_meta(x).hooks.push_back({0, Py_NewRef(hook)});
    }
    Py_RETURN_NONE;
  });
}
PyObject* remove_hook(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *object, *hook;
    if (!PyArg_ParseTuple(arguments, "OO", &object, &hook)) throw PythonError();
    const Tensor x = require_tensor(object, "remove_hook");
    // The caller holds `hook`, so dropping the list's reference runs nobody's code.
    const auto drop = [&](const Hook& candidate) {
      if (candidate.function != hook) return false;
      Py_DECREF(hook);
      return true;
    };
    if (const NodeRef node = grad_fn(x); node && node->hooks) std::erase_if(*node->hooks, drop);
    if (x.impl()->autograd) std::erase_if(x.impl()->autograd->hooks, drop);
    Py_RETURN_NONE;
  });
}

PyObject* grad_enabled(PyObject*, PyObject*) {
  return PyBool_FromLong(thread_state().grad_enabled);
}
PyObject* set_grad_enabled(PyObject*, PyObject* argument) {
  const bool previous = thread_state().grad_enabled;
  const int wanted = PyObject_IsTrue(argument);
  if (wanted < 0) return nullptr;
  thread_state().grad_enabled = wanted == 1;
  return PyBool_FromLong(previous);
}

// --- nodes ---------------------------------------------------------------------------------------

struct NodeObject {
  PyObject_HEAD Node* node;  // counted
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
  {
    const NodeRef last = NodeRef::adopt(reinterpret_cast<NodeObject*>(self)->node);
  }
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}
PyObject* node_name(PyObject* self, void*) {
  return PyUnicode_FromString(reinterpret_cast<NodeObject*>(self)->node->operation->name.c_str());
}
PyObject* node_next(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    const Node& node = *reinterpret_cast<NodeObject*>(self)->node;
    Owned tuple = checked(PyTuple_New(node.edges.size()));
    for (int i = 0; i < node.edges.size(); ++i) {
      const Edge& edge = node.edges[i];
      Owned target = edge.leaf ? checked(wrap(edge.leaf)) : checked(node_object(edge.node));
      PyTuple_SET_ITEM(
          tuple.get(), i,
          checked(Py_BuildValue("(Oi)", target.get(), edge.leaf ? 0 : edge.output)).release());
    }
    return tuple.release();
  });
}
PyObject* node_repr(PyObject* self) {
  return PyUnicode_FromFormat("<Node %s>",
                              reinterpret_cast<NodeObject*>(self)->node->operation->name.c_str());
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
  return guarded(
      [&]() -> PyObject* { return node_object(grad_fn(require_tensor(argument, "grad_fn"))); });
}

PyObject* become(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *x, *view;
    const char* place;
    if (!PyArg_ParseTuple(arguments, "OOs", &x, &view, &place)) throw PythonError();
    become_view(require_tensor(x, place), require_tensor(view, place), place);
    return Py_NewRef(x);
  });
}
PyObject* detach_here(PyObject*, PyObject* x) {
  return guarded([&]() -> PyObject* {
    detach_in_place(require_tensor(x, "detach_"));
    return Py_NewRef(x);
  });
}

// --- observers
// -------------------------------------------------------------------------------------

class PythonObserver final : public Observer {
 public:
  PythonObserver(PyObject* before, PyObject* after)
      : before_(Owned::borrow(before)), after_(Owned::borrow(after)) {}
  ~PythonObserver() override {
    AcquireGil gil;
    before_ = Owned();
    after_ = Owned();
  }
  // From any thread: the stack of another thread keeps it, but it does nothing there any more.
  void stop() { active_ = false; }
  bool active() const override { return active_; }
  void before(const Operation& operation, std::span<Value> values) override {
    if (!active_ || before_.get() == Py_None) return;
    AcquireGil gil;
    const Owned arguments = arguments_list(values);
    checked(PyObject_CallFunction(before_.get(), "sO", operation.name.c_str(), arguments.get()));
  }
  void after(const Operation& operation, std::span<Value> values,
             std::span<Tensor> outputs) override {
    if (!active_ || after_.get() == Py_None) return;
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
  std::atomic<bool> active_{true};
};

constexpr const char* observer_capsule = "samara.observer";
using ObserverRef = std::shared_ptr<PythonObserver>;

void stop(const ObserverRef& observer) {
  observer->stop();
  pop_observer(observer.get());
}

PyObject* push(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *before, *after;
    if (!PyArg_ParseTuple(arguments, "OO", &before, &after)) throw PythonError();
    auto held = std::make_unique<ObserverRef>(std::make_shared<PythonObserver>(before, after));
    Owned capsule = checked(PyCapsule_New(held.get(), observer_capsule, [](PyObject* self) {
      auto* owned = static_cast<ObserverRef*>(PyCapsule_GetPointer(self, observer_capsule));
      stop(*owned);
      delete owned;
    }));
    push_observer(*held.release());
    return capsule.release();
  });
}
PyObject* pop(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    auto* held = static_cast<ObserverRef*>(PyCapsule_GetPointer(capsule, observer_capsule));
    if (!held) throw PythonError();
    stop(*held);
    Py_RETURN_NONE;
  });
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
    {"become_view", become, METH_VARARGS,
     "become_view(tensor, view, place): gives a tensor the shape of a view of it."},
    {"detach_in_place", detach_here, METH_O, "Takes a tensor out of its graph."},
    {"push_observer", push, METH_VARARGS, "push_observer(before, after) -> handle"},
    {"pop_observer", pop, METH_O, "Removes the observer of that handle."},
    {}};

}  // namespace

void add_autograd_functions(PyObject* module) {
  node_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&node_spec));
  if (!node_type) throw PythonError();
  python_hooks() = {call_rule, call_hooks, drop_object, clear_hooks, current_line};
  checked(PyModule_AddFunctions(module, functions));
}

}  // namespace samara::bind
