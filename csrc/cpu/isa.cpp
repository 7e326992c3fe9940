#include "cpu/isa.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace samara {

// GCC and Clang fill these bits only when the operating system saves the wider registers (XSAVE),
// so an AVX-capable CPU under a kernel that does not is counted as baseline.
Isa supported_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                  __builtin_cpu_supports("f16c") && __builtin_cpu_supports("lzcnt") &&
                  __builtin_cpu_supports("movbe");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return v4 ? Isa::v4 : v3 ? Isa::v3 : Isa::baseline;
#else
  return Isa::baseline;
#endif
}

namespace {

Isa choose() {
#ifdef SAMARA_BASELINE_ONLY
  return Isa::baseline;
#else
  const Isa supported = supported_isa();
  const char* wanted = std::getenv("SAMARA_ISA");
  if (wanted == nullptr) return supported;
  for (const Isa isa : {Isa::baseline, Isa::v3, Isa::v4}) {
    if (std::strcmp(wanted, isa_name(isa)) == 0) return isa < supported ? isa : supported;
  }
  return supported;
#endif
}

}  // namespace

Isa chosen_isa() {
  static const Isa isa = choose();
  return isa;
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::v4:
      return "v4";
    case Isa::v3:
      return "v3";
    default:
      return "baseline";
  }
}

}  // namespace samara
