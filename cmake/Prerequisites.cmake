# Everything the build needs from the machine. Each check that fails says in one sentence what to install.

# -- CPU ------------------------------------------------------------------------------------------
include(CheckLanguage)
check_language(CXX)
if(NOT CMAKE_CXX_COMPILER)
  message(FATAL_ERROR "Samara needs a C++20 compiler and found none: install GCC 11 or newer "
    "(Debian/Ubuntu: apt install g++, Fedora: dnf install gcc-c++) or Clang 14 or newer.")
endif()
enable_language(CXX)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(SAMARA_IS_X86 TRUE)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(SAMARA_IS_X86 FALSE)
else()
  message(FATAL_ERROR "Samara runs on 64-bit x86 and ARM CPUs, this one is "
    "'${CMAKE_SYSTEM_PROCESSOR}': build on an x86_64 or aarch64 machine.")
endif()
if(NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  message(FATAL_ERROR "Samara needs a 64-bit build and ${CMAKE_CXX_COMPILER} makes 32-bit code: "
    "install a 64-bit compiler and a 64-bit Python.")
endif()

# -- Compiler -------------------------------------------------------------------------------------
set(compiler "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
if((CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 11)
   OR (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
   OR NOT "cxx_std_20" IN_LIST CMAKE_CXX_COMPILE_FEATURES)
  message(FATAL_ERROR "Samara needs C++20 and ${CMAKE_CXX_COMPILER} (${compiler}) is too old: "
    "install GCC 11 or newer or Clang 14 or newer and set CXX to it.")
endif()

# -- OpenMP: oneDNN's runtime, which Samara tells to stay on one thread -------------------------------
find_package(OpenMP QUIET COMPONENTS CXX)
if(NOT OpenMP_CXX_FOUND)
  message(FATAL_ERROR "Samara needs OpenMP and ${CMAKE_CXX_COMPILER} (${compiler}) has none: install "
    "its OpenMP runtime (GCC: libgomp, Clang: libomp-dev).")
endif()

# -- Python and nanobind --------------------------------------------------------------------------
find_package(Python 3.10 QUIET COMPONENTS Interpreter)
if(NOT Python_Interpreter_FOUND)
  message(FATAL_ERROR "Samara needs Python 3.10 or newer and found none: install it.")
endif()
find_package(Python 3.10 QUIET COMPONENTS Interpreter Development.Module)
if(NOT Python_Development.Module_FOUND)
  message(FATAL_ERROR "The C headers of Python ${Python_VERSION} (${Python_EXECUTABLE}) are missing: "
    "install them (Debian/Ubuntu: apt install python3-dev, Fedora: dnf install python3-devel).")
endif()

execute_process(COMMAND "${Python_EXECUTABLE}" -m nanobind --cmake_dir
  OUTPUT_VARIABLE nanobind_DIR OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
find_package(nanobind QUIET CONFIG)
if(NOT nanobind_FOUND OR nanobind_VERSION VERSION_LESS 2.4)
  message(FATAL_ERROR "nanobind 2.4 or newer is missing from ${Python_EXECUTABLE}: run "
    "`${Python_EXECUTABLE} -m pip install 'nanobind>=2.4'`.")
endif()
