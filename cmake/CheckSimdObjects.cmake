# cmake -DREADELF=... -DOBJECTS=a.o|b.o -P CheckSimdObjects.cmake
string(REPLACE "|" ";" objects "${OBJECTS}")
foreach(object IN LISTS objects)
  execute_process(COMMAND "${READELF}" --section-headers --wide "${object}"
    OUTPUT_VARIABLE sections ERROR_QUIET)
  if(sections MATCHES "\\.(init_array|ctors)")
    message(FATAL_ERROR "${object} has a static constructor, which would run on any CPU: make the "
      "globals of this *_simd.cpp file constinit.")
  endif()
endforeach()
