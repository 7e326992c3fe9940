// The instruction sets the CPU kernels are compiled for, and the choice among them at run time.
//
// A file named `*_simd.cpp` is compiled three times with -DSAMARA_ISA=baseline, v3 and v4
// (x86-64-v2, -v3 and -v4). Each copy defines its kernels, and one table of pointers to them, in
// `namespace samara::SAMARA_ISA`; an ordinary file declares the three tables and picks one with
// `select_isa`.
//
// One rule keeps that safe. The linker keeps a single copy of an inline function or template that
// several object files emit, and it may keep the AVX-512 one: called from anywhere else it would
// stop an older CPU with an illegal instruction. So a `*_simd.cpp` file
//   - puts everything it defines in `namespace samara::SAMARA_ISA` or an unnamed namespace;
//   - takes from shared headers only functions marked SAMARA_FUNCTION (static and always inlined),
//     plain structs, constants, and templates whose arguments include a type of its own namespace;
//   - uses no standard containers, algorithms, std::function, strings, streams or exceptions, and
//   does
//     not include cpu/threads.h. Work is split by the ordinary file that calls the table.
#pragma once

namespace samara {

enum class Isa { baseline, v3, v4 };

// The best instruction set that the CPU and the operating system support. SAMARA_ISA=baseline|v3|v4
// in the environment lowers the choice and never raises it. Decided once, at first use.
Isa chosen_isa();

// What the CPU and the operating system support, whatever the environment says.
Isa supported_isa();

const char* isa_name(Isa isa);

// In a build without the wider copies (SAMARA_BASELINE_ONLY) callers pass the baseline table
// thrice.
template <class T>
const T& select_isa(const T& baseline, [[maybe_unused]] const T& v3, [[maybe_unused]] const T& v4) {
#ifdef SAMARA_BASELINE_ONLY
  return baseline;
#else
  const Isa isa = chosen_isa();
  return isa == Isa::v4 ? v4 : isa == Isa::v3 ? v3 : baseline;
#endif
}

}  // namespace samara
