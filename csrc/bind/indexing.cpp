// x[key] and x[key] = value: the key is cut into a basic part, which is a view, and an advanced
// part, which gathers or scatters.
#include <vector>

#include "bind/objects.h"
#include "core/autograd.h"
#include "ops/basic.h"
#include "ops/indexing.h"

namespace samara::bind {
namespace {

struct Item {
  enum Kind { integer, slice, ellipsis, new_axis, array } kind;
  int64_t index = 0;                 // integer
  PyObject* slice_object = nullptr;  // slice, borrowed
  Tensor array_value;                // array: integers or a mask
  int axes() const {
    if (kind == ellipsis || kind == new_axis) return 0;
    return kind == array && array_value.dtype() == DType::boolean ? array_value.rank() : 1;
  }
};

// Lists and NumPy arrays become tensors through samara.asarray.
Tensor as_index_tensor(PyObject* object) {
  const Owned module = checked(PyImport_ImportModule("samara.tensor"));
  const Owned converted = checked(PyObject_CallMethod(module.get(), "index_array", "O", object));
  return unwrap(converted.get());
}

Item parse_item(PyObject* object) {
  if (object == Py_Ellipsis) return {Item::ellipsis, 0, nullptr, {}};
  if (object == Py_None) return {Item::new_axis, 0, nullptr, {}};
  if (PySlice_Check(object)) return {Item::slice, 0, object, {}};
  if (PyBool_Check(object)) {
    const Tensor mask = empty(Dims{}, DType::boolean);
    fill(mask, Value(object == Py_True));
    return {Item::array, 0, nullptr, mask};
  }
  if (is_tensor(object)) {
    const Tensor x = unwrap(object);
    if (is_inexact(x.dtype()))
      fail(ErrorKind::index, "index: a tensor of dtype ", name(x.dtype()),
           " was used as an index. Expected integers or a bool mask. Fix: convert it, e.g. "
           "x.to(samara.int64).");
    // A 0-d integer tensor picks like an int, but its value may live on another device.
    return {Item::array, 0, nullptr, x};
  }
  if (PyIndex_Check(object)) {
    const Py_ssize_t index = PyNumber_AsSsize_t(object, PyExc_IndexError);
    if (index != -1 || !PyErr_Occurred()) return {Item::integer, index, nullptr, {}};
    // NumPy's arrays have the slot too, and refuse unless they hold a single integer.
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError();
    PyErr_Clear();
  }
  if (PyFloat_Check(object) || PyUnicode_Check(object))
    fail(ErrorKind::index, "index: a ", type_name(object),
         " was used as an index. Expected ints, slices, None, ..., masks or integer tensors. Fix: "
         "convert it to one of these.");
  return {Item::array, 0, nullptr, as_index_tensor(object)};
}

// A list or array used as an index follows the tensor; a tensor must already be where it is.
void move_to(Item& item, PyObject* object, Device device) {
  if (item.kind != Item::array || is_tensor(object) || item.array_value.device() == device) return;
  static const NativeCall transfer("transfer");
  item.array_value = transfer(item.array_value, device);
}

std::vector<Item> parse_key(PyObject* key, const Tensor& x) {
  std::vector<Item> items;
  const auto add = [&](PyObject* object) {
    items.push_back(parse_item(object));
    move_to(items.back(), object, x.device());
  };
  if (PyTuple_Check(key)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i) add(PyTuple_GET_ITEM(key, i));
  } else {
    add(key);
  }
  bool any_array = false;
  for (const Item& item : items) any_array = any_array || item.kind == Item::array;
  int used = 0, ellipses = 0;
  for (Item& item : items) {
    // Beside an array an integer is one too: NumPy's rule for where the result's axes go.
    if (any_array && item.kind == Item::integer)
      item = {Item::array, 0, nullptr, scalar_tensor(Value(item.index), DType::int64, x.device())};
    used += item.axes();
    ellipses += item.kind == Item::ellipsis;
  }
  if (ellipses > 1)
    fail(ErrorKind::index, "index: '...' appears ", ellipses,
         " times. Expected it once. Fix: write ':' for the other axes.");
  if (used > x.rank())
    fail(ErrorKind::index, "index: ", used, " axes are indexed in a tensor of shape ", x.shape(),
         ". Expected at most ", x.rank(), ". Fix: remove the extra indices.");
  if (ellipses == 0) items.push_back({Item::ellipsis, 0, nullptr, {}});
  return items;
}

// The basic part of a key in the form of the basic_index operation, and the arrays with the axis of
// its result that each applies to.
struct Plan {
  Dims starts, steps, sizes, layout;
  std::vector<Item> arrays;
  std::vector<int> array_axes;
  bool whole = true;  // the basic part changes nothing
};

void add_slice(Plan& plan, const Item& item, int64_t size) {
  Py_ssize_t start = 0, stop = 0, step = 1;
  if (PySlice_Unpack(item.slice_object, &start, &stop, &step) < 0) {
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) throw PythonError();
    PyErr_Clear();
    fail(ErrorKind::argument,
         "index: a slice has step 0. Expected a step other than 0. Fix: leave "
         "the step out, or write x[i] for one element.");
  }
  const Py_ssize_t length = PySlice_AdjustIndices(size, &start, &stop, step);
  plan.whole = plan.whole && length == size && step == 1;
  plan.starts.push_back(length == 0 ? 0 : start);
  plan.steps.push_back(length <= 1 ? 1 : step);  // a step that is not taken may be of any size
  plan.sizes.push_back(length);
}

void add_full(Plan& plan, int64_t size) {
  plan.starts.push_back(0);
  plan.steps.push_back(1);
  plan.sizes.push_back(size);
}

Plan make_plan(const std::vector<Item>& items, const Tensor& x) {
  Plan plan;
  int used = 0;
  for (const Item& item : items) used += item.axes();
  int axis = 0;
  for (const Item& item : items) {
    switch (item.kind) {
      case Item::integer: {
        const int64_t size = x.size(axis);
        if (item.index < -size || item.index >= size)
          fail(ErrorKind::index, "index: ", item.index, " is out of range for axis ", axis,
               " of size ", size, " (shape ", x.shape(), "). Expected -", size, " to ", size - 1,
               ". Fix: correct the index.");
        plan.starts.push_back(item.index < 0 ? item.index + size : item.index);
        plan.steps.push_back(1);
        plan.sizes.push_back(1);
        plan.whole = false;
        ++axis;
        break;
      }
      case Item::slice:
        add_slice(plan, item, x.size(axis));
        plan.layout.push_back(axis++);
        break;
      case Item::new_axis:
        plan.layout.push_back(-1);
        plan.whole = false;
        break;
      case Item::ellipsis:
        for (int rest = x.rank() - used; rest > 0; --rest) {
          add_full(plan, x.size(axis));
          plan.layout.push_back(axis++);
        }
        break;
      case Item::array:
        plan.arrays.push_back(item);
        plan.array_axes.push_back(plan.layout.size());
        for (int covered = item.axes(); covered > 0; --covered) {
          add_full(plan, x.size(axis));
          plan.layout.push_back(axis++);
        }
        if (item.axes() == 0) {  // a 0-d mask selects along a new axis
          plan.layout.push_back(-1);
          plan.whole = false;
        }
        break;
    }
  }
  return plan;
}

Tensor basic_part(const Tensor& x, const Plan& plan) {
  static const NativeCall basic_index("basic_index");
  return basic_index(x, plan.starts, plan.steps, plan.sizes, plan.layout);
}

// The arrays as integer tensors, one per axis; masks become the positions where they are true.
void integer_indices(const Plan& plan, const Tensor& base, Dims& axes,
                     std::vector<Tensor>& indices) {
  for (size_t k = 0; k < plan.arrays.size(); ++k) {
    const Tensor& array = plan.arrays[k].array_value;
    const int axis = plan.array_axes[k];
    if (array.dtype() != DType::boolean) {
      axes.push_back(axis);
      indices.push_back(array);
      continue;
    }
    check_mask(base, array.rank() == 0 ? reshape_view(array, Dims{1}) : array, axis);
    int offset = 0;
    for (const Tensor& column : nonzero_columns(array)) {
      axes.push_back(axis + offset++);
      indices.push_back(column);
    }
  }
}

Tensor value_tensor(PyObject* value, const Tensor& like) {
  if (is_tensor(value)) return unwrap(value);
  Value number;
  if (convert_number(value, number)) {
    if (number.kind() == ValueKind::complex && !is_complex(like.dtype()))
      fail(ErrorKind::dtype, "assignment: a complex number cannot be stored in a ",
           name(like.dtype()), " tensor. Expected a real number. Fix: take its real part.");
    return scalar_tensor(number, like.dtype(), like.device());
  }
  const Owned module = checked(PyImport_ImportModule("samara.tensor"));
  const Owned converted = checked(PyObject_CallMethod(module.get(), "asarray", "O", value));
  return unwrap(converted.get());
}

}  // namespace

// A single mask over several axes that are one run of memory is a mask over one axis: its places
// are plain numbers. Returns the base with those axes merged, the mask taking their place.
Tensor merge_masked_axes(Plan& plan, const Tensor& base) {
  static const NativeCall reshape("reshape");
  if (plan.arrays.size() != 1) return base;
  Tensor& mask = plan.arrays[0].array_value;
  const int axis = plan.array_axes[0];
  if (mask.dtype() != DType::boolean || mask.rank() < 2 || !mask.is_contiguous() ||
      !base.is_contiguous() || base.elements() == 0)
    return base;
  check_mask(base, mask, axis);
  if (mask.elements() == 0) return base;
  Dims shape;
  for (int i = 0; i < axis; ++i) shape.push_back(base.size(i));
  shape.push_back(mask.elements());
  for (int i = axis + mask.rank(); i < base.rank(); ++i) shape.push_back(base.size(i));
  mask = reshape_view(mask, {mask.elements()});
  return reshape(base, shape);
}

PyObject* get_item(PyObject* self, PyObject* key) {
  return guarded([&]() -> PyObject* {
    const Tensor x = unwrap(self);
    Plan plan = make_plan(parse_key(key, x), x);
    Tensor base = plan.whole && !plan.arrays.empty() ? x : basic_part(x, plan);
    if (plan.arrays.empty()) return wrap(base);
    base = merge_masked_axes(plan, base);
    Dims axes;
    std::vector<Tensor> indices;
    integer_indices(plan, base, axes, indices);
    return wrap(index_get(base, axes, indices));
  });
}

int set_item(PyObject* self, PyObject* key, PyObject* value) {
  return guarded<int>(-1, [&] {
    if (!value)
      fail(ErrorKind::dtype,
           "del x[...]: elements of a tensor cannot be deleted. Expected an "
           "assignment. Fix: select what to keep, e.g. x[mask].");
    const Tensor x = unwrap(self);
    const Plan plan = make_plan(parse_key(key, x), x);
    const Tensor source = value_tensor(value, x);
    const Tensor base = plan.whole ? x : basic_part(x, plan);
    if (plan.arrays.empty()) {
      // x[i] += y assigns a view of x to itself.
      if (plan.whole && base.impl() == source.impl()) return 0;
      if (!may_overlap(base, source) && base.impl()->storage == source.impl()->storage &&
          base.address() == source.address() && base.shape() == source.shape() &&
          base.dtype() == source.dtype())
        return 0;
      Tensor fitted = source;
      // As in NumPy, leading axes of size 1 of the value are ignored.
      if (fitted.rank() > base.rank()) {
        Dims shape = fitted.shape();
        while (shape.size() > base.rank() && shape[0] == 1) shape.erase(0);
        static const NativeCall reshape("reshape");
        if (shape.size() == base.rank()) fitted = reshape(fitted, shape);
      }
      static const NativeCall copy("copy", NativeCall::kInPlace);
      copy(base, fitted);
      return 0;
    }
    Dims axes;
    std::vector<Tensor> indices;
    integer_indices(plan, base, axes, indices);
    index_set(base, axes, indices, source);
    return 0;
  });
}

}  // namespace samara::bind
