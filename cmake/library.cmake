# libtidal: the objects of the given folders and of all below them in one library, shared or static
# as BUILD_SHARED_LIBS says, and what another project needs to find it: headers, tidalConfig.cmake,
# tidal.pc. What it is made of stays inside: no flag, include path or package of the build reaches a
# user, but for the libraries that a static one leaves open.
include(CMakePackageConfigHelpers)

# The folders that `folders` are made of, themselves included, and the outside libraries.
function(tidal_closure folders out_targets out_libs)
  set(targets)
  set(libs)
  while(folders)
    list(POP_FRONT folders folder)
    tidal_target_name(target ${folder})
    if(NOT target IN_LIST targets)
      list(APPEND targets ${target})
      get_target_property(deps ${target} TIDAL_DEPS)
      get_target_property(more ${target} TIDAL_LIBS)
      list(APPEND folders ${deps})
      list(APPEND libs ${more})
    endif()
  endwhile()
  list(REMOVE_DUPLICATES libs)
  set(${out_targets} ${targets} PARENT_SCOPE)
  set(${out_libs} ${libs} PARENT_SCOPE)
endfunction()

function(tidal_library)
  tidal_closure("${ARGN}" targets libs)
  list(REMOVE_ITEM libs nlohmann_json::nlohmann_json)  # headers only
  set(objects)
  foreach(target ${targets})
    get_target_property(type ${target} TYPE)
    if(NOT type STREQUAL INTERFACE_LIBRARY)
      list(APPEND objects $<TARGET_OBJECTS:${target}>)
    endif()
  endforeach()

  add_library(tidal_library ${objects})
  add_library(tidal::tidal ALIAS tidal_library)
  # The C++ interface changes with every minor version while the major one is 0.
  set_target_properties(tidal_library PROPERTIES
    OUTPUT_NAME tidal EXPORT_NAME tidal LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_include_directories(tidal_library INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(tidal_library INTERFACE cxx_std_20)
  target_link_libraries(tidal_library PRIVATE $<BUILD_INTERFACE:tidal_options> ${libs})
  if(BUILD_SHARED_LIBS)
    # Instances of templates from elsewhere, std's among them, stay inside.
    set(map ${PROJECT_SOURCE_DIR}/cmake/libtidal.map)
    target_link_options(tidal_library PRIVATE LINKER:--version-script=${map})
    set_target_properties(tidal_library PROPERTIES LINK_DEPENDS ${map})
  endif()
  tidal_install_library()
  tidal_install_for_python()
endfunction()

# What a Python package takes: `cmake --install --component python`.
function(tidal_install_for_python)
  install(FILES $<TARGET_FILE:tidal_library> DESTINATION tidal RENAME libtidal.so
          COMPONENT python EXCLUDE_FROM_ALL)
endfunction()

function(tidal_install_library)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/tidal)
  install(TARGETS tidal_library EXPORT tidalTargets)
  install(DIRECTORY include/tidal DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT tidalTargets NAMESPACE tidal:: DESTINATION ${package})

  set(generated ${PROJECT_BINARY_DIR}/package)
  configure_package_config_file(cmake/tidalConfig.cmake.in ${generated}/tidalConfig.cmake
                                INSTALL_DESTINATION ${package})
  write_basic_package_version_file(${generated}/tidalConfigVersion.cmake
                                   COMPATIBILITY SameMinorVersion)
  install(FILES ${generated}/tidalConfig.cmake ${generated}/tidalConfigVersion.cmake
          DESTINATION ${package})

  set(pc_requires)
  set(pc_libs)
  if(NOT BUILD_SHARED_LIBS)
    set(pc_requires "fmt spdlog libpcre2-8 libhwy")
    set(pc_libs "-lstdc++ -lm -pthread")
  endif()
  file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  configure_file(cmake/tidal.pc.in ${generated}/tidal.pc @ONLY)
  install(FILES ${generated}/tidal.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
