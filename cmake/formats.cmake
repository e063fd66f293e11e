# Generates tensor/format_headers.h, which includes formats/NAME.h for every line of formats.def, so
# that formats.def stays the only list of block formats.
function(tidal_format_headers)
  set(list ${PROJECT_SOURCE_DIR}/src/tensor/formats.def)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list})
  file(STRINGS ${list} lines REGEX "^TIDAL_FORMAT\\(")
  set(text "// Generated from tensor/formats.def.\n#pragma once\n\n")
  foreach(line ${lines})
    string(REGEX REPLACE "^TIDAL_FORMAT\\(([A-Za-z0-9_]+).*" "\\1" name ${line})
    string(TOLOWER ${name} name)
    string(APPEND text "#include \"tensor/formats/${name}.h\"\n")
  endforeach()
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/tensor/format_headers.h
       CONTENT "${text}" @ONLY)
  target_include_directories(tidal_tensor PUBLIC ${PROJECT_BINARY_DIR}/generated)
endfunction()
