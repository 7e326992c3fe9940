// FusedOptimizer as a Python type: one call per step, without a list of tensors crossing the
// border.
#include "ops/optimizer.h"

#include <new>

#include "bind/objects.h"
#include "bind/python.h"

namespace samara::bind {

namespace {

// From this many elements on other Python threads may run during a step.
constexpr int64_t kWorthReleasing = 1 << 16;

struct OptimizerObject {
  PyObject_HEAD FusedOptimizer* optimizer;
};

FusedOptimizer& optimizer_of(PyObject* self) {
  return *reinterpret_cast<OptimizerObject*>(self)->optimizer;
}

std::vector<Tensor> tensors_of(PyObject* sequence, std::string_view place) {
  const Owned items = checked(PySequence_Fast(sequence, "expected a sequence of tensors"));
  std::vector<Tensor> tensors;
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(items.get());
  tensors.reserve(static_cast<size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(items.get(), i);
    tensors.push_back(item == Py_None ? Tensor() : require_tensor(item, place));
  }
  return tensors;
}

PyObject* create(PyTypeObject* type, PyObject* arguments, PyObject*) {
  return guarded([&]() -> PyObject* {
    const char* rule = nullptr;
    PyObject* parameters = nullptr;
    if (!PyArg_ParseTuple(arguments, "sO", &rule, &parameters)) throw PythonError();
    std::vector<Tensor> tensors = tensors_of(parameters, "FusedOptimizer");
    for (const Tensor& tensor : tensors)
      if (!tensor || !optimizer_supports(tensor))
        fail(ErrorKind::argument,
             "FusedOptimizer: a parameter is None, has no floating dtype or lies on a device "
             "without this kernel. Expected floating tensors on the CPU. Fix: use the optimizers "
             "of samara.optim, which choose the right path.");
    Owned self = checked(type->tp_alloc(type, 0));
    reinterpret_cast<OptimizerObject*>(self.get())->optimizer =
        new FusedOptimizer(optimizer_rule(rule), std::move(tensors));
    return self.release();
  });
}

void destroy(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<OptimizerObject*>(self)->optimizer;
  type->tp_free(self);
  Py_DECREF(type);
}

struct Setting {
  const char* name;
  double OptimizerSettings::* number;
  bool OptimizerSettings::* flag;
};
constexpr Setting kSettings[] = {
    {"lr", &OptimizerSettings::lr, nullptr},
    {"momentum", &OptimizerSettings::momentum, nullptr},
    {"dampening", &OptimizerSettings::dampening, nullptr},
    {"beta1", &OptimizerSettings::beta1, nullptr},
    {"beta2", &OptimizerSettings::beta2, nullptr},
    {"alpha", &OptimizerSettings::alpha, nullptr},
    {"eps", &OptimizerSettings::eps, nullptr},
    {"weight_decay", &OptimizerSettings::weight_decay, nullptr},
    {"lr_decay", &OptimizerSettings::lr_decay, nullptr},
    {"initial", &OptimizerSettings::initial, nullptr},
    {"nesterov", nullptr, &OptimizerSettings::nesterov},
    {"amsgrad", nullptr, &OptimizerSettings::amsgrad},
    {"centered", nullptr, &OptimizerSettings::centered},
    {"decoupled", nullptr, &OptimizerSettings::decoupled},
    {"maximize", nullptr, &OptimizerSettings::maximize},
};

void apply_setting(OptimizerSettings& settings, const std::string& name, double value) {
  for (const Setting& setting : kSettings) {
    if (name != setting.name) continue;
    if (setting.number)
      settings.*setting.number = value;
    else
      settings.*setting.flag = value != 0;
    return;
  }
  fail(ErrorKind::argument, "FusedOptimizer.configure: the setting '", name,
       "' is unknown. Expected a setting of the optimizers. Fix: correct the name.");
}

PyObject* configure(PyObject* self, PyObject* arguments, PyObject* keywords) {
  return guarded([&]() -> PyObject* {
    if (PyTuple_GET_SIZE(arguments) != 0)
      fail(ErrorKind::argument,
           "FusedOptimizer.configure: received positional arguments. Expected keywords. "
           "Fix: configure(lr=0.1).");
    OptimizerSettings settings;
    PyObject* key = nullptr;
    PyObject* value = nullptr;
    Py_ssize_t position = 0;
    while (keywords && PyDict_Next(keywords, &position, &key, &value)) {
      const double number = PyFloat_AsDouble(value);
      if (PyErr_Occurred()) throw PythonError();
      apply_setting(settings, text_of(key), number);
    }
    optimizer_of(self).configure(settings);
    Py_RETURN_NONE;
  });
}

PyObject* step(PyObject* self, PyObject*) {
  return guarded([&] {
    FusedOptimizer& optimizer = optimizer_of(self);
    int64_t broken = -1;
    {
      const ReleaseGil released(optimizer.elements() >= kWorthReleasing);
      broken = optimizer.step();
    }
    return PyLong_FromLongLong(broken);
  });
}

PyObject* first_nonfinite(PyObject* self, PyObject*) {
  return guarded([&] {
    FusedOptimizer& optimizer = optimizer_of(self);
    int64_t broken = -1;
    {
      const ReleaseGil released(optimizer.elements() >= kWorthReleasing);
      broken = optimizer.first_nonfinite();
    }
    return PyLong_FromLongLong(broken);
  });
}

PyObject* apply(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    FusedOptimizer& optimizer = optimizer_of(self);
    {
      const ReleaseGil released(optimizer.elements() >= kWorthReleasing);
      optimizer.apply();
    }
    Py_RETURN_NONE;
  });
}

PyObject* zero_grad(PyObject* self, PyObject* set_to_none) {
  return guarded([&]() -> PyObject* {
    const int truth = PyObject_IsTrue(set_to_none);
    checked(truth);
    optimizer_of(self).zero_grad(truth == 1);
    Py_RETURN_NONE;
  });
}

int64_t index_of(PyObject* self, PyObject* number) {
  const int64_t index = PyLong_AsLongLong(number);
  if (PyErr_Occurred()) throw PythonError();
  if (index < 0 || index >= optimizer_of(self).size())
    fail(ErrorKind::index, "FusedOptimizer: the index is ", index, ". Expected 0 to ",
         optimizer_of(self).size() - 1, ". Fix: count the parameters from 0.");
  return index;
}

// get_state(index) -> (steps, [tensor or None, ...])
PyObject* get_state(PyObject* self, PyObject* number) {
  return guarded([&] {
    const int64_t index = index_of(self, number);
    const FusedOptimizer& optimizer = optimizer_of(self);
    Owned list = checked(PyList_New(kOptimizerStates));
    for (int k = 0; k < kOptimizerStates; ++k) {
      const Tensor& state = optimizer.state(index, k);
      PyList_SET_ITEM(list.get(), k, state ? wrap(state) : Py_NewRef(Py_None));
    }
    return Py_BuildValue("(LN)", static_cast<long long>(optimizer.steps(index)), list.release());
  });
}

// set_state(index, steps, [tensor or None, ...])
PyObject* set_state(PyObject* self, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* number = nullptr;
    long long steps = 0;
    PyObject* tensors = nullptr;
    if (!PyArg_ParseTuple(arguments, "OLO", &number, &steps, &tensors)) throw PythonError();
    optimizer_of(self).set_state(index_of(self, number), steps,
                                 tensors_of(tensors, "FusedOptimizer.set_state"));
    Py_RETURN_NONE;
  });
}

PyObject* supports(PyObject*, PyObject* tensor) {
  return guarded(
      [&] { return PyBool_FromLong(optimizer_supports(require_tensor(tensor, "optimizer"))); });
}

PyMethodDef methods[] = {
    {"configure", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(configure)),
     METH_VARARGS | METH_KEYWORDS, "Take the settings of the following steps."},
    {"step", step, METH_NOARGS, "Apply one step: -1, or the index of a non-finite gradient."},
    {"first_nonfinite", first_nonfinite, METH_NOARGS, "The index of a non-finite gradient, or -1."},
    {"apply", apply, METH_NOARGS, "Apply one step unchecked."},
    {"zero_grad", zero_grad, METH_O, "Forget the gradients, or set them to zero."},
    {"get_state", get_state, METH_O, "A parameter's steps and state tensors."},
    {"set_state", set_state, METH_VARARGS, "Replace a parameter's steps and state tensors."},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("Updates all parameters of a group in one call.")},
    {Py_tp_new, reinterpret_cast<void*>(create)},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
    {Py_tp_methods, methods},
    {0, nullptr},
};
PyType_Spec spec = {"samara.FusedOptimizer", sizeof(OptimizerObject), 0, Py_TPFLAGS_DEFAULT, slots};

PyMethodDef functions[] = {
    {"optimizer_supports", supports, METH_O, "Whether FusedOptimizer can update a tensor."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void add_optimizer_type(PyObject* module) {
  const Owned type = checked(PyType_FromSpec(&spec));
  checked(PyModule_AddObjectRef(module, "FusedOptimizer", type.get()));
  checked(PyModule_AddFunctions(module, functions));
}

}  // namespace samara::bind
