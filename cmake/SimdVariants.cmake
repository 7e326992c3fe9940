# Files named *_simd.cpp hold kernels. Each is compiled once per instruction set with SAMARA_ISA defined
# as the variant's name, puts everything it defines into a namespace of that name, and exports a table;
# the choice between the tables is made at run time, once.

# Strict IEEE semantics stay (NaN, infinities, signed zero): only errno and traps are given up, and products
# may be fused into sums. Vectors wider than a register (-Wpsabi) never cross a call between two files.
set(SAMARA_SIMD_OPTIONS "$<IF:$<BOOL:${SAMARA_SANITIZE}>,-O1;-g1,$<$<NOT:$<CONFIG:Debug>>:-O3>>"
    -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wno-psabi)
set(SAMARA_SIMD_VARIANTS baseline)
if(SAMARA_IS_X86)
  list(APPEND SAMARA_SIMD_VARIANTS v3 v4)
  set(SAMARA_SIMD_baseline -march=x86-64-v2)
  set(SAMARA_SIMD_v3 -march=x86-64-v3)
  set(SAMARA_SIMD_v4 -march=x86-64-v4 -mprefer-vector-width=512)
endif()

# samara_add_simd_variants(<out> <source>...): one object library per variant; <out> receives their
# objects, weakest instruction set first.
function(samara_add_simd_variants out)
  set(objects "")
  if(ARGN)
    foreach(variant IN LISTS SAMARA_SIMD_VARIANTS)
      add_library(samara_simd_${variant} OBJECT ${ARGN})
      target_link_libraries(samara_simd_${variant} PRIVATE samara_options)
      target_compile_definitions(samara_simd_${variant} PRIVATE SAMARA_ISA=${variant})
      target_compile_options(samara_simd_${variant} PRIVATE
        ${SAMARA_SIMD_OPTIONS} ${SAMARA_SIMD_${variant}})
      list(APPEND objects $<TARGET_OBJECTS:samara_simd_${variant}>)
    endforeach()
  endif()
  set(${out} "${objects}" PARENT_SCOPE)
endfunction()

# samara_check_simd_objects(<module>): a kernel file must not run code when the module is loaded (it would run
# for every instruction set, on any CPU), so its objects have no static constructors.
function(samara_check_simd_objects module)
  if(NOT CMAKE_READELF OR NOT TARGET samara_simd_v4 OR SAMARA_SANITIZE)
    return()
  endif()
  foreach(variant IN ITEMS v3 v4)
    add_custom_command(TARGET ${module} POST_BUILD VERBATIM COMMAND_EXPAND_LISTS
      COMMAND "${CMAKE_COMMAND}" "-DREADELF=${CMAKE_READELF}"
        "-DOBJECTS=$<JOIN:$<TARGET_OBJECTS:samara_simd_${variant}>,|>"
        -P "${CMAKE_CURRENT_SOURCE_DIR}/cmake/CheckSimdObjects.cmake")
  endforeach()
endfunction()
