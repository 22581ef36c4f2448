# SPDX-License-Identifier: Apache-2.0
# Succeeds if `source` is refused by the compiler with the sentence of its first line, "// expect: <sentence>".
# Given with -D: compiler, source, include, system (directories of dependencies, "::" between them).

file(STRINGS ${source} first_line LIMIT_COUNT 1)
if(NOT first_line MATCHES "^// expect: (.*[^ ])")
  message(FATAL_ERROR "${source}: the first line must be '// expect: <sentence>'")
endif()
set(sentence "${CMAKE_MATCH_1}")

string(REPLACE "::" ";" system "${system}")
list(TRANSFORM system PREPEND "-isystem")
execute_process(
  COMMAND ${compiler} -std=c++20 -fsyntax-only -fmessage-length=0 -I${include} ${system} ${source}
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)

if(status EQUAL 0)
  message(FATAL_ERROR "${source} compiles, but must not: \"${sentence}\" was expected")
endif()
string(FIND "${output}" "${sentence}" position)
if(position EQUAL -1)
  message(FATAL_ERROR "${source} is refused, but without the sentence \"${sentence}\":\n${output}")
endif()
