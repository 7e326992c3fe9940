// Memory shared with others: the buffer protocol and DLPack, both ways and without copies.
#include <array>
#include <memory>
#include <new>

#include "bind/dlpack.h"
#include "bind/objects.h"
#include "core/autograd.h"
#include "ops/basic.h"

namespace samara::bind {
namespace {

constexpr std::array<const char*, kDTypeCount> buffer_formats = {
    "?", "B", "H", "I", "Q", "b", "h", "i", "q", "e", nullptr, "f", "d", "Zf", "Zd"};

struct BufferShape {
  OutsideView storage;  // not the tensor, whose memory may be exchanged
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
  explicit Export(StorageRef shown) : storage(std::move(shown)) {}
  ManagedTensor managed{};
  OutsideView storage;  // not the tensor, whose memory may be exchanged
  int64_t shape[kMaxRank];
  int64_t strides[kMaxRank];
};

template <class ManagedTensor>
ManagedTensor* export_tensor(const samara::Tensor& x) {
  auto exported = std::make_unique<Export<ManagedTensor>>(x.impl()->storage);
  for (int i = 0; i < x.rank(); ++i) {
    exported->shape[i] = x.size(i);
    exported->strides[i] = x.stride(i);
  }
  exported->managed.tensor = {x.address(),     {dlpack::kCpu, 0}, x.rank(), dlpack_dtype(x.dtype()),
                              exported->shape, exported->strides, 0};
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

template <class ManagedTensor, bool versioned>
PyObject* capsule_of(ManagedTensor* managed) {
  PyObject* capsule = PyCapsule_New(managed, versioned ? "dltensor_versioned" : "dltensor",
                                    drop_capsule<ManagedTensor, versioned>);
  if (!capsule) managed->deleter(managed);
  return capsule;
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
        fail(ErrorKind::argument,
             "__dlpack__: the memory is read-only, which this version of the "
             "protocol cannot say. Expected max_version=(1, 0). Fix: share x.clone().");
      auto* managed = export_tensor<dlpack::Managed>(x);
      return capsule_of<dlpack::Managed, false>(managed);
    }
    auto* managed = export_tensor<dlpack::ManagedVersioned>(x);
    managed->version = {1, 0};
    managed->flags =
        (x.impl()->storage->read_only ? dlpack::kReadOnly : 0) | (copied ? dlpack::kCopied : 0);
    return capsule_of<dlpack::ManagedVersioned, true>(managed);
  });
}

// --- memory of others ---------------------------------------------------------------------------

// A tensor over foreign memory whose element (0, ..., 0) is at `first`. What strides of any sign
// reach is the storage, so that views stay inside it.
samara::Tensor share(std::string_view place, void* first, const Dims& shape, Dims strides,
                     DType dtype, bool read_only, void (*release)(void*), void* context) {
  const int64_t item = itemsize(dtype);
  const int64_t elements = checked_element_count(shape);
  constexpr int64_t kLongest = int64_t{1} << 40;
  int64_t low = 0, high = 0;
  bool representable = true;
  for (int i = 0; i < shape.size(); ++i) {
    // Steps that nobody takes may be of any size, and must not overflow later.
    const bool taken = shape[i] > 1 && elements > 0;
    if (!taken && (strides[i] > kLongest || strides[i] < -kLongest)) strides[i] = 1;
    int64_t reach = 0;
    if (elements == 0 || __builtin_mul_overflow(shape[i] - 1, strides[i], &reach) ||
        __builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high))
      representable = elements == 0 && representable;
  }
  representable = representable && low > -(int64_t{1} << 58) && high < (int64_t{1} << 58);
  if (!representable || (elements > 0 && !first))
    fail(ErrorKind::argument, place, ": memory of shape ", shape, " and strides ", strides,
         first ? " is larger than can be addressed" : " has no address",
         ". Expected existing memory. Fix: copy the array first.");
  if (reinterpret_cast<uintptr_t>(first) % static_cast<uintptr_t>(std::min<int64_t>(item, 8)) != 0)
    fail(ErrorKind::argument, place, ": the memory is not aligned to its elements of ", item,
         " bytes. Expected aligned memory. Fix: copy the array first.");
  const auto bytes = static_cast<size_t>(elements == 0 ? 0 : (high - low + 1) * item);
  StorageRef storage =
      borrow_storage(static_cast<char*>(first) + low * item, bytes, Device{}, release, context);
  storage->read_only = read_only;
  return from_storage(std::move(storage), shape, strides, -low, dtype);
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
  if (t.rank < 0 || (t.rank > 0 && !t.shape))
    fail(ErrorKind::argument, "from_dlpack: the tensor has rank ", t.rank, " and ",
         t.shape ? "a" : "no", " shape. Expected a shape of that rank. Fix: correct the producer.");
  Dims shape, strides;
  for (int i = 0; i < t.rank; ++i) shape.push_back(t.shape[i]);
  if (t.strides)
    for (int i = 0; i < t.rank; ++i) strides.push_back(t.strides[i]);
  else
    strides = contiguous_strides(shape);
  char* first = t.data ? static_cast<char*>(t.data) + t.byte_offset : nullptr;
  return share(
      "from_dlpack", first, shape, strides, dtype, read_only,
      [](void* context) {
        if (!Py_IsInitialized()) return;
        // The producer's deleter may touch Python objects.
        AcquireGil gil;
        auto* owned = static_cast<ManagedTensor*>(context);
        if (owned->deleter) owned->deleter(owned);
      },
      managed);
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
      fail(ErrorKind::argument,
           "from_dlpack: the capsule is not a DLPack tensor, or was used "
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
    if (!convert_dtype(dtype_given, dtype))
      fail(ErrorKind::dtype, "from_numpy: a ", type_name(dtype_given),
           " was given as the dtype. Expected e.g. samara.float32. Fix: pass a dtype.");
    struct Closer {
      void operator()(Py_buffer* view) const {
        PyBuffer_Release(view);  // does nothing for one that was never filled
        delete view;
      }
    };
    std::unique_ptr<Py_buffer, Closer> held(new Py_buffer{});
    if (PyObject_GetBuffer(object, held.get(), PyBUF_STRIDED_RO) < 0) throw PythonError();
    Dims shape, strides;
    const int64_t item = itemsize(dtype);
    if (held->itemsize != item)
      fail(ErrorKind::dtype, "from_numpy: elements of ", held->itemsize, " bytes were given as ",
           name(dtype), ". Expected ", item, " bytes. Fix: pass the matching dtype.");
    for (int i = 0; i < held->ndim; ++i) {
      shape.push_back(held->shape[i]);
      if (held->strides[i] % item != 0)
        fail(ErrorKind::argument, "from_numpy: a stride of ", held->strides[i],
             " bytes is not a multiple of the element size ", item,
             ". Expected whole elements. Fix: copy the array first.");
      strides.push_back(held->strides[i] / item);
    }
    const samara::Tensor shared = share(
        "from_numpy", held->buf, shape, strides, dtype, held->readonly,
        [](void* context) {
          if (!Py_IsInitialized()) return;
          AcquireGil gil;
          Closer()(static_cast<Py_buffer*>(context));
        },
        held.get());
    static_cast<void>(held.release());
    return wrap(shared);
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
    if (dtype == DType::boolean && x.dtype() != DType::boolean)
      fail(ErrorKind::dtype, "view: a ", name(x.dtype()),
           " tensor cannot be seen as bool, whose bytes are 0 or 1. Expected another dtype. Fix: "
           "compare, e.g. x != 0.");
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

namespace {

bool is_column_major(const samara::Tensor& x) {
  int64_t expected = 1;
  for (int i = 0; i < x.rank(); ++i) {
    if (x.size(i) != 1 && x.stride(i) != expected) return false;
    expected *= x.size(i);
  }
  return true;
}

// Whether the consumer, who may not look at strides, would read the right places.
bool layout_fits(const samara::Tensor& x, int flags) {
  const auto asks = [&](int request) { return (flags & request) == request; };
  const bool rows = x.is_contiguous(), columns = x.elements() == 0 || is_column_major(x);
  if (asks(PyBUF_C_CONTIGUOUS) && !rows) return false;
  if (asks(PyBUF_F_CONTIGUOUS) && !columns) return false;
  if (asks(PyBUF_ANY_CONTIGUOUS) && !rows && !columns) return false;
  return asks(PyBUF_STRIDES) || rows;
}

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
  else if (!layout_fits(x, flags))
    problem = "the tensor is not contiguous. Fix: use x.contiguous().";
  if (problem) {
    PyErr_SetString(PyExc_BufferError, problem);
    return -1;
  }
  auto* held = new (std::nothrow) BufferShape{OutsideView(x.impl()->storage), {}, {}};
  if (!held) {
    PyErr_NoMemory();
    return -1;
  }
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

void release_buffer(PyObject*, Py_buffer* view) {
  delete static_cast<BufferShape*>(view->internal);
}

void add_interchange_functions(PyObject* module) {
  checked(PyModule_AddFunctions(module, functions));
}

}  // namespace samara::bind
