# SPDX-License-Identifier: Apache-2.0
# Succeeds if two units link and run where both have the same flags, and are refused by each linker that the compiler
# has, with our sentence, where the flags of one differ in what core/abi.hpp watches.
# Given with -D: compiler, source (the folder of one_abi_a.cpp and one_abi_b.cpp), include, work (a folder), processor.

set(sentence detrame__all_units_of_a_program_must_be_compiled_with_the_same_vector_and_thread_flags)
set(others -DDETRAME_NO_THREADS -DEIGEN_DONT_ALIGN -DEIGEN_MAX_ALIGN_BYTES=128)
if(processor MATCHES "x86_64|AMD64")
  list(APPEND others -mavx -mfma -march=x86-64-v3)
endif()
file(MAKE_DIRECTORY ${work})

# compile(UNIT OBJECT FLAGS...)
function(compile unit object)
  execute_process(COMMAND ${compiler} -std=c++20 -I${include} ${ARGN} -c ${source}/${unit}.cpp -o ${work}/${object}.o
    COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# link(B FLAGS...): sets status and output.
function(link b)
  execute_process(COMMAND ${compiler} ${ARGN} ${work}/a.o ${work}/${b}.o -o ${work}/program
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(status ${status} PARENT_SCOPE)
  set(output "${output}" PARENT_SCOPE)
endfunction()

set(linkers "")
foreach(common "-O1" "-fPIC;-shared" "-flto")
  set(compiled ${common})
  list(REMOVE_ITEM compiled -shared)
  compile(one_abi_a a ${compiled})
  compile(one_abi_b same ${compiled})
  set(objects "")
  foreach(other IN LISTS others)
    string(MAKE_C_IDENTIFIER "${other}" object)
    compile(one_abi_b ${object} ${compiled} ${other})
    list(APPEND objects ${object})
  endforeach()
  foreach(linker bfd gold lld)
    link(same ${common} -fuse-ld=${linker})
    if(output MATCHES "${sentence}")
      message(FATAL_ERROR "${linker} refuses units of the same flags (${common}):\n${output}")
    elseif(NOT status EQUAL 0)
      continue()  # a linker that is not there, or does not know this compiler's -flto
    endif()
    list(APPEND linkers "${linker}(${common})")
    if(NOT common MATCHES shared)
      execute_process(COMMAND ${work}/program COMMAND_ERROR_IS_FATAL ANY)
    endif()
    foreach(object IN LISTS objects)
      link(${object} ${common} -fuse-ld=${linker})
      if(status EQUAL 0 OR NOT output MATCHES "${sentence}")
        message(FATAL_ERROR "${linker} (${common}) does not refuse ${object} with the sentence:\n${output}")
      endif()
    endforeach()
  endforeach()
endforeach()
if(NOT linkers)
  message(FATAL_ERROR "no linker was tried")
endif()
message("refused by: ${linkers}")
