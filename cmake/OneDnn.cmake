# oneDNN: from dnnl_ROOT and nowhere else if that is set, from the Python packages of the build
# environment (onednn-devel-*), or from the system. Whichever it is, the installed package
# carries one stripped copy of the shared library, samara/lib/libdnnl.so.N, and its licence.
set(SAMARA_ONEDNN_VERSION 3.2)

# The Python package keeps its CMake files outside site-packages, and an isolated build keeps
# site-packages outside the interpreter's prefix; only the package's own file list knows where they are.
function(samara_onednn_from_python out)
  set(query [[
import importlib.metadata as metadata
for dist in metadata.distributions():
    if (dist.metadata["Name"] or "").lower().replace("_", "-").startswith("onednn-devel"):
        for file in dist.files or ():
            if file.name in ("dnnl-config.cmake", "dnnlConfig.cmake"):
                print(dist.locate_file(file).resolve().parent.as_posix())
]])
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "${query}"
    OUTPUT_VARIABLE dirs OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  string(REPLACE "\n" ";" dirs "${dirs}")
  set(${out} "${dirs}" PARENT_SCOPE)
endfunction()

# A build tree outlives the environments it was configured from: forget a directory that is gone.
if(dnnl_DIR AND NOT EXISTS "${dnnl_DIR}/dnnl-config.cmake")
  unset(dnnl_DIR CACHE)
endif()
if(NOT dnnl_ROOT AND DEFINED ENV{dnnl_ROOT})
  set(dnnl_ROOT "$ENV{dnnl_ROOT}")
endif()
if(dnnl_ROOT)
  unset(dnnl_DIR CACHE)
  find_package(dnnl ${SAMARA_ONEDNN_VERSION} CONFIG QUIET NO_DEFAULT_PATH PATHS "${dnnl_ROOT}")
  set(rejected " from dnnl_ROOT=${dnnl_ROOT}")
else()
  samara_onednn_from_python(python_dirs)
  find_package(dnnl ${SAMARA_ONEDNN_VERSION} CONFIG QUIET HINTS ${python_dirs})
  set(rejected "")
endif()
if(NOT dnnl_FOUND)
  if(dnnl_CONSIDERED_VERSIONS)
    set(rejected "${rejected} (found only ${dnnl_CONSIDERED_VERSIONS})")
  endif()
  message(FATAL_ERROR "oneDNN ${SAMARA_ONEDNN_VERSION} or a newer 3.x is missing${rejected}: run "
    "`${Python_EXECUTABLE} -m pip install onednn-devel-cpu-gomp==2023.2.0` or set dnnl_ROOT to an "
    "installed one.")
endif()

add_library(samara_onednn INTERFACE)
target_link_libraries(samara_onednn INTERFACE DNNL::dnnl)

get_target_property(onednn_type DNNL::dnnl TYPE)
if(NOT onednn_type STREQUAL "STATIC_LIBRARY")
  foreach(config IN ITEMS RELEASE NONE RELWITHDEBINFO NOCONFIG "")
    set(suffix "")
    if(config)
      set(suffix "_${config}")
    endif()
    get_target_property(onednn_library DNNL::dnnl IMPORTED_LOCATION${suffix})
    get_target_property(onednn_soname DNNL::dnnl IMPORTED_SONAME${suffix})
    if(onednn_library)
      break()
    endif()
  endforeach()
  file(REAL_PATH "${onednn_library}" onednn_library)
  if(NOT onednn_soname)
    string(REGEX MATCH "^[0-9]+" major "${dnnl_VERSION}")
    set(onednn_soname "libdnnl.so.${major}")
  endif()

  # Stripped: 44 MB instead of 55, and the symbols left are the ones a linker needs.
  set(onednn_copy "${CMAKE_BINARY_DIR}/samara/lib/${onednn_soname}")
  set(strip_command "")
  if(CMAKE_STRIP)
    set(strip_command COMMAND "${CMAKE_STRIP}" --strip-unneeded "${onednn_copy}")
  endif()
  add_custom_command(OUTPUT "${onednn_copy}"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_BINARY_DIR}/samara/lib"
    COMMAND "${CMAKE_COMMAND}" -E copy "${onednn_library}" "${onednn_copy}"
    ${strip_command}
    DEPENDS "${onednn_library}" COMMENT "Copying oneDNN ${dnnl_VERSION} beside the extension" VERBATIM)
  add_custom_target(samara_onednn_copy ALL DEPENDS "${onednn_copy}")
  install(PROGRAMS "${onednn_copy}" DESTINATION samara/lib COMPONENT samara)

  get_filename_component(onednn_prefix "${onednn_library}" DIRECTORY)
  get_filename_component(onednn_prefix "${onednn_prefix}" DIRECTORY)
  find_path(SAMARA_ONEDNN_LICENSE_DIR LICENSE NO_DEFAULT_PATH NO_CACHE PATHS
    "${onednn_prefix}/share/doc/onednn" "${onednn_prefix}/share/doc/dnnl"
    "${onednn_prefix}/../share/doc/dnnl")
  if(SAMARA_ONEDNN_LICENSE_DIR)
    file(GLOB onednn_licenses "${SAMARA_ONEDNN_LICENSE_DIR}/LICENSE*"
      "${SAMARA_ONEDNN_LICENSE_DIR}/THIRD-PARTY-PROGRAMS*" "${SAMARA_ONEDNN_LICENSE_DIR}/NOTICE*")
    install(FILES ${onednn_licenses} DESTINATION samara/lib/licenses/onednn COMPONENT samara)
  else()
    message(WARNING "No LICENSE beside ${onednn_library}: do not pass on this build before adding "
      "oneDNN's licence to it (set SAMARA_ONEDNN_LICENSE_DIR).")
  endif()
endif()
message(STATUS "oneDNN ${dnnl_VERSION}: ${dnnl_DIR}")
