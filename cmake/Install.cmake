# SPDX-License-Identifier: Apache-2.0
# Installs the headers, the CMake package and the files of pkg-config. The installed files may be moved as a whole.

include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/detrame)
set(pkgconfig_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)

install(TARGETS detrame EXPORT detrame-targets
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILE_SET cuda_headers DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT detrame-targets NAMESPACE detrame:: DESTINATION ${package_dir})
foreach(component data io)
  install(TARGETS detrame_${component} EXPORT detrame-${component}-targets
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT detrame-${component}-targets NAMESPACE detrame:: DESTINATION ${package_dir})
endforeach()
install(TARGETS detrame_cuda EXPORT detrame-cuda-targets)  # its headers come with detrame
install(EXPORT detrame-cuda-targets NAMESPACE detrame:: DESTINATION ${package_dir})

configure_package_config_file(cmake/detrame-config.cmake.in detrame-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(detrame-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
    ${CMAKE_CURRENT_BINARY_DIR}/detrame-config.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/detrame-config-version.cmake
    cmake/FindMatio.cmake
  DESTINATION ${package_dir})

file(RELATIVE_PATH pc_prefix /${pkgconfig_dir} /)
string(REGEX REPLACE "/+$" "" pc_prefix "${pc_prefix}")
set(pc_threads -DDETRAME_NO_THREADS)
set(pc_libs "")
if(DETRAME_THREADS AND Threads_FOUND)
  set(pc_threads -pthread)
  set(pc_libs -pthread)
endif()
configure_file(cmake/detrame.pc.in detrame.pc @ONLY)
set(pc_needs_data zlib)
if(Matio_FOUND)
  set(pc_needs_data "zlib, matio")
endif()
set(pc_needs_io nlohmann_json)
foreach(component data io)
  set(pc_needs ${pc_needs_${component}})
  configure_file(cmake/detrame-component.pc.in detrame-${component}.pc @ONLY)
endforeach()
install(FILES
    ${CMAKE_CURRENT_BINARY_DIR}/detrame.pc
    ${CMAKE_CURRENT_BINARY_DIR}/detrame-data.pc
    ${CMAKE_CURRENT_BINARY_DIR}/detrame-io.pc
  DESTINATION ${pkgconfig_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
