# SPDX-License-Identifier: Apache-2.0
# Warnings and sanitizers, the same for every target of ours.
function(vectorloom_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow
                                           -ffp-contract=off)
  if(VECTORLOOM_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(VECTORLOOM_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${VECTORLOOM_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${VECTORLOOM_SANITIZE})
  endif()
endfunction()
