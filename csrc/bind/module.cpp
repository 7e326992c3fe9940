// The extension module samara._core: types, the call path, and what describes the machine.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/objects.h"
#include "core/allocator.h"
#include "core/derived.h"
#include "core/host_backed.h"
#include "cpu/isa.h"
#include "cpu/lapack.h"
#include "cpu/onednn.h"
#include "cpu/threads.h"
#include "ops/basic.h"

namespace nb = nanobind;

namespace samara::bind {
namespace {

template <void (*add)(PyObject*)>
void add_part(nb::module_& module) {
  const bool good = guarded<bool>(false, [&] {
    add(module.ptr());
    return true;
  });
  if (!good) throw nb::python_error();
}

// Kernels start at x86-64-v2; an older processor would stop at an illegal instruction.
void require_supported_cpu() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt")) return;
  PyErr_SetString(PyExc_ImportError,
                  "samara needs an x86-64 processor with SSE4.2 (x86-64-v2, since about 2009), and "
                  "this one lacks it. Use a newer machine.");
  throw nb::python_error();
#endif
}

DType dtype_argument(nb::handle object) {
  DType dtype;
  if (!convert_dtype(object.ptr(), dtype))
    fail(ErrorKind::dtype, "a ", type_name(object.ptr()),
         " was given as a dtype. Expected e.g. samara.float32. Fix: pass a dtype.");
  return dtype;
}

nb::dict memory_statistics() {
  const AllocatorStatistics statistics = allocator_statistics();
  nb::dict result;
  result["live_bytes"] = statistics.live_bytes;
  result["peak_live_bytes"] = statistics.peak_live_bytes;
  result["cached_bytes"] = statistics.cached_bytes;
  result["allocations"] = statistics.allocations;
  result["system_allocations"] = statistics.system_allocations;
  return result;
}

std::string locate_lapack() {
  const AcquireGil gil;
  const Owned module = checked(PyImport_ImportModule("samara.lapack"));
  return text_of(checked(PyObject_CallMethod(module.get(), "locate", nullptr)).get());
}

void add_functions(nb::module_& m) {
  m.def("memory_statistics", &memory_statistics, "What the host allocator holds and has served.");
  m.def("reset_peak_memory", &reset_peak_statistics, "Restarts the peak at the live bytes.");
  m.def("trim_memory", &trim_allocator, "Gives cached blocks back; returns their bytes.");
  m.def("thread_count", &thread_count, "Threads that kernels use.");
  m.def("set_thread_count", &set_thread_count, nb::arg("count"),
        "Sets how many threads kernels use.");
  m.def("derived_form_count", &derived_form_count,
        "How often values were brought into another form, such as packed weights, to be kept.");
  m.def(
      "chosen_isa", [] { return std::string(isa_name(chosen_isa())); },
      "The instruction set the kernels were chosen for.");
  m.def("native_names", &native_names, "Names of all native operations.");
  m.def("register_host_backed_device", &register_host_backed_device, nb::arg("name"),
        "Makes the testing device known.");
  m.def(
      "device_available", [](const std::string& name) { return is_available(parse_device(name)); },
      nb::arg("name"), "Whether this process can use the device.");
  m.def(
      "promote",
      [](nb::handle a, nb::handle b) {
        return nb::borrow(dtype_object(promote(dtype_argument(a), dtype_argument(b))));
      },
      nb::arg("a"), nb::arg("b"), "The dtype two dtypes promote to.");
  m.def(
      "default_dtype", [] { return nb::borrow(dtype_object(default_dtype())); },
      "The dtype new floating-point tensors take.");
  m.def(
      "set_default_dtype", [](nb::handle dtype) { set_default_dtype(dtype_argument(dtype)); },
      nb::arg("dtype"), "Sets the dtype new floating-point tensors take.");
}

}  // namespace
}  // namespace samara::bind

NB_MODULE(_core, m) {
  using namespace samara::bind;
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const samara::Error&) {
      translate_exception();
    } catch (const samara::PythonError&) {
      // Already set.
    }
  });
  require_supported_cpu();
  add_part<add_dtype_and_device_types>(m);
  add_part<add_tensor_type>(m);
  add_part<add_operation_type>(m);
  add_part<add_autograd_functions>(m);
  add_part<add_interchange_functions>(m);
  add_part<add_random_functions>(m);
  add_part<add_optimizer_type>(m);
  add_functions(m);
  samara::lapack::set_locator(locate_lapack);
}
