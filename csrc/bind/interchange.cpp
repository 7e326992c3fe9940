// Memory shared with others: the buffer protocol and DLPack, both ways and without copies.
#include <array>
#include <memory>

#include "bind/dlpack.h"
#include "bind/objects.h"
#include "core/autograd.h"
#include "ops/basic.h"

namespace samara::bind {
namespace {

constexpr std::array<const char*, kDTypeCount> buffer_formats = {
    "?", "B", "H", "I", "Q", "b", "h", "i", "q", "e", nullptr, "f", "d", "Zf", "Zd"};

struct BufferShape {
  Tensor tensor;
  Py_ssize_t shape[kMaxRank];
  Py_ssize_t strides[kMaxRank];
};

// --- DLPack out --------------------------------------------------------------------------------

dlpack::DataType dlpack_dtype(DType dtype) {
  uint8_t code = dlpack::kFloat;
  switch (kind(dtype)) {
    case DTypeKind::boolean:
      code = dlpack::kBool;
      break;
    case DTypeKind::unsigned_integer:
      code = dlpack::kUnsigned;
      break;
    case DTypeKind::signed_integer:
      code = dlpack::kInt;
      break;
    case DTypeKind::real:
      code = dtype == DType::bfloat16 ? dlpack::kBFloat : dlpack::kFloat;
      break;
    case DTypeKind::complex:
      code = dlpack::kComplex;
      break;
  }
  return {code, static_cast<uint8_t>(itemsize(dtype) * 8), 1};
}

template <class ManagedTensor>
struct Export {
  ManagedTensor managed;
  samara::Tensor tensor;
  int64_t shape[kMaxRank];
  int64_t strides[kMaxRank];
};

template <class ManagedTensor>
ManagedTensor* export_tensor(const samara::Tensor& x) {
  auto exported = std::make_unique<Export<ManagedTensor>>();
  exported->tensor = x;
  for (int i = 0; i < x.rank(); ++i) {
    exported->shape[i] = x.size(i);
    exported->strides[i] = x.stride(i);
  }
  exported->managed.tensor = {x.address(),       {dlpack::kCpu, 0},  x.rank(), dlpack_dtype(x.dtype()),
                              exported->shape,   exported->strides, 0};
  exported->managed.context = exported.get();
  exported->managed.deleter = [](ManagedTensor* managed) {
    delete static_cast<Export<ManagedTensor>*>(managed->context);
  };
  return &exported.release()->managed;
}

// Called when nobody took the tensor out of the capsule.
template <class ManagedTensor, bool versioned>
void drop_capsule(PyObject* capsule) {
  const char* name = versioned ? "dltensor_versioned" : "dltensor";
  if (!PyCapsule_IsValid(capsule, name)) return;
  auto* managed = static_cast<ManagedTensor*>(PyCapsule_GetPointer(capsule, name));
  if (managed && managed->deleter) managed->deleter(managed);
}

// to_dlpack(tensor, versioned, copied)
PyObject* to_dlpack(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject* object;
    int versioned, copied;
    if (!PyArg_ParseTuple(arguments, "Opp", &object, &versioned, &copied)) throw PythonError();
    const samara::Tensor x = require_tensor(object, "__dlpack__");
    if (x.device().type != DeviceType::cpu)
      fail(ErrorKind::device, "__dlpack__: the tensor is on '", to_text(x.device()),
           "'. Expected memory that other libraries can reach. Fix: use x.to('cpu').");
    x.address();  // fails for a shape without memory
    if (!versioned) {
      if (x.impl()->storage->read_only)
        fail(ErrorKind::argument, "__dlpack__: the memory is read-only, which this version of the "
             "protocol cannot say. Expected max_version=(1, 0). Fix: share x.clone().");
      auto* managed = export_tensor<dlpack::Managed>(x);
      return PyCapsule_New(managed, "dltensor", drop_capsule<dlpack::Managed, false>);
    }
    auto* managed = export_tensor<dlpack::ManagedVersioned>(x);
    managed->version = {1, 0};
    managed->flags = (x.impl()->storage->read_only ? dlpack::kReadOnly : 0) |
                     (copied ? dlpack::kCopied : 0);
    return PyCapsule_New(managed, "dltensor_versioned",
                         drop_capsule<dlpack::ManagedVersioned, true>);
  });
}

// --- DLPack in ---------------------------------------------------------------------------------

DType dtype_from_dlpack(dlpack::DataType type) {
  if (type.lanes == 1) {
    for (int i = 0; i < kDTypeCount; ++i) {
      const dlpack::DataType candidate = dlpack_dtype(static_cast<DType>(i));
      if (candidate.code == type.code && candidate.bits == type.bits) return static_cast<DType>(i);
    }
  }
  fail(ErrorKind::dtype, "from_dlpack: elements of type code ", int{type.code}, " with ",
       int{type.bits}, " bits and ", int{type.lanes},
       " lanes are not known. Expected one of Samara's dtypes. Fix: convert it before sharing.");
}

template <class ManagedTensor>
samara::Tensor import_tensor(ManagedTensor* managed, bool read_only) {
  const dlpack::Tensor& t = managed->tensor;
  if (t.device.type != dlpack::kCpu)
    fail(ErrorKind::device, "from_dlpack: the memory is on DLPack device type ", t.device.type,
         ". Expected the CPU (1). Fix: move it to the CPU first.");
  const DType dtype = dtype_from_dlpack(t.dtype);
  Dims shape, strides;
  for (int i = 0; i < t.rank; ++i) shape.push_back(t.shape[i]);
  if (t.strides)
    for (int i = 0; i < t.rank; ++i) strides.push_back(t.strides[i]);
  else
    strides = contiguous_strides(shape);
  const auto bytes = static_cast<size_t>(checked_element_count(shape) * itemsize(dtype));
  StorageRef storage = borrow_storage(
      static_cast<char*>(t.data) + t.byte_offset, bytes, Device{},
      [](void* context) {
        // The producer's deleter may touch Python objects.
        AcquireGil gil;
        auto* owned = static_cast<ManagedTensor*>(context);
        if (owned->deleter) owned->deleter(owned);
      },
      managed);
  storage->read_only = read_only;
  return from_storage(std::move(storage), shape, strides, 0, dtype);
}

PyObject* from_dlpack_capsule(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
      auto* managed = static_cast<dlpack::ManagedVersioned*>(
          PyCapsule_GetPointer(capsule, "dltensor_versioned"));
      if (managed->version.major != 1)
        fail(ErrorKind::argument, "from_dlpack: the producer speaks DLPack ",
             managed->version.major, ".", managed->version.minor,
             ". Expected version 1. Fix: share it through NumPy instead.");
      const samara::Tensor x = import_tensor(managed, managed->flags & dlpack::kReadOnly);
      checked(PyCapsule_SetName(capsule, "used_dltensor_versioned"));
      return wrap(x);
    }
    if (!PyCapsule_IsValid(capsule, "dltensor"))
      fail(ErrorKind::argument, "from_dlpack: the capsule is not a DLPack tensor, or was used "
           "already. Expected a fresh capsule. Fix: pass the array itself.");
    auto* managed = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, "dltensor"));
    const samara::Tensor x = import_tensor(managed, false);
    checked(PyCapsule_SetName(capsule, "used_dltensor"));
    return wrap(x);
  });
}

// from_buffer(object, dtype): shares an object's buffer whose elements are of that dtype.
PyObject* from_buffer(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *object, *dtype_given;
    if (!PyArg_ParseTuple(arguments, "OO", &object, &dtype_given)) throw PythonError();
    DType dtype;
    if (!convert_dtype(dtype_given, dtype)) throw PythonError();
    auto view = std::make_unique<Py_buffer>();
    if (PyObject_GetBuffer(object, view.get(), PyBUF_STRIDED_RO) < 0) throw PythonError();
    const auto release = [](void* context) {
      AcquireGil gil;
      auto* held = static_cast<Py_buffer*>(context);
      PyBuffer_Release(held);
      delete held;
    };
    Py_buffer* held = view.release();
    StorageRef storage = borrow_storage(held->buf, static_cast<size_t>(held->len), Device{},
                                        release, held);
    storage->read_only = held->readonly;
    Dims shape, strides;
    const int64_t item = itemsize(dtype);
    for (int i = 0; i < held->ndim; ++i) {
      shape.push_back(held->shape[i]);
      if (held->strides[i] % item != 0)
        fail(ErrorKind::argument, "from_numpy: a stride of ", held->strides[i],
             " bytes is not a multiple of the element size ", item,
             ". Expected whole elements. Fix: copy the array first.");
      strides.push_back(held->strides[i] / item);
    }
    if (held->itemsize != item)
      fail(ErrorKind::dtype, "from_numpy: elements of ", held->itemsize,
           " bytes were given as ", name(dtype), ". Expected ", item,
           " bytes. Fix: pass the matching dtype.");
    return wrap(from_storage(std::move(storage), shape, strides, 0, dtype));
  });
}

// shared_view(tensor, dtype): the same bytes as another dtype of the same size.
PyObject* reinterpret_dtype(PyObject*, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    PyObject *object, *dtype_given;
    if (!PyArg_ParseTuple(arguments, "OO", &object, &dtype_given)) throw PythonError();
    DType dtype;
    const samara::Tensor x = require_tensor(object, "view");
    if (!convert_dtype(dtype_given, dtype) || itemsize(dtype) != itemsize(x.dtype()))
      fail(ErrorKind::dtype, "view: a ", name(x.dtype()),
           " tensor cannot be seen as that dtype. Expected a dtype of ", itemsize(x.dtype()),
           " bytes. Fix: use x.to(dtype) to convert the values.");
    return wrap(alias_as(x, dtype));
  });
}

PyMethodDef functions[] = {
    {"to_dlpack", to_dlpack, METH_VARARGS, "to_dlpack(tensor, versioned, copied) -> capsule"},
    {"from_dlpack_capsule", from_dlpack_capsule, METH_O, "A tensor over a DLPack capsule."},
    {"from_buffer", from_buffer, METH_VARARGS, "from_buffer(object, dtype): shares its buffer."},
    {"reinterpret", reinterpret_dtype, METH_VARARGS, "reinterpret(tensor, dtype): the same bytes."},
    {}};

}  // namespace

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  const samara::Tensor x = unwrap(self);
  const char* format = buffer_formats[static_cast<size_t>(x.dtype())];
  const bool writable = flags & PyBUF_WRITABLE;
  const char* problem = nullptr;
  if (!x.impl()->storage)
    problem = "the tensor's values were not kept; a gradient rule sees its shape only.";
  else if (!format)
    problem = "bfloat16 has no buffer format. Fix: use x.numpy().";
  else if (x.requires_grad())
    problem = "the tensor requires grad. Fix: use x.detach().numpy().";
  else if (x.device().type != DeviceType::cpu)
    problem = "the tensor is not on the CPU. Fix: use x.to('cpu').";
  else if (writable && x.impl()->storage->read_only)
    problem = "the memory is read-only. Fix: use x.clone().";
  else if (!(flags & PyBUF_STRIDES) && !x.is_contiguous())
    problem = "the tensor is not contiguous. Fix: use x.contiguous().";
  if (problem) {
    PyErr_SetString(PyExc_BufferError, problem);
    return -1;
  }
  auto* held = new BufferShape{x, {}, {}};
  for (int i = 0; i < x.rank(); ++i) {
    held->shape[i] = x.size(i);
    held->strides[i] = x.stride(i) * itemsize(x.dtype());
  }
  view->buf = x.address();
  view->obj = Py_NewRef(self);
  view->len = x.elements() * itemsize(x.dtype());
  view->itemsize = itemsize(x.dtype());
  view->readonly = x.impl()->storage->read_only;
  view->ndim = x.rank();
  view->format = flags & PyBUF_FORMAT ? const_cast<char*>(format) : nullptr;
  view->shape = flags & PyBUF_ND ? held->shape : nullptr;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? held->strides : nullptr;
  view->suboffsets = nullptr;
  view->internal = held;
  return 0;
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<BufferShape*>(view->internal); }

void add_interchange_functions(PyObject* module) {
  checked(PyModule_AddFunctions(module, functions));
}

}  // namespace samara::bind
