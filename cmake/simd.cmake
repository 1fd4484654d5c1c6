# SPDX-License-Identifier: Apache-2.0
# One object library per CPU level. A file core/simd/<family>/<level>.cc is compiled with that level's
# flags alone and reached only through the dispatch table after the CPU was probed, so the rest of the
# binary stays at the ABI floor (x86-64-v2, or armv8-a with NEON).
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(vl_x86 ON)
else()
  set(vl_x86 OFF)
endif()

set(vl_flags_scalar -fno-tree-vectorize -fno-tree-slp-vectorize)
set(vl_flags_neon "")
set(vl_flags_avx2 -march=x86-64-v3)
set(vl_flags_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
set(vl_flags_avx512_vnni ${vl_flags_avx512} -mavx512vnni)
set(vl_flags_avx512_bf16 ${vl_flags_avx512_vnni} -mavx512bf16)
set(vl_flags_amx ${vl_flags_avx512_bf16} -mamx-tile -mamx-int8 -mamx-bf16)
# The same kernels on a software model of the tiles: lets every AVX-512 host test the tile code.
set(vl_flags_amx_model ${vl_flags_avx512_bf16})

function(vectorloom_baseline target)
  if(vl_x86)
    target_compile_options(${target} PRIVATE -march=x86-64-v2)
  endif()
endfunction()

function(vectorloom_simd_levels core)
  set(levels scalar)
  if(vl_x86)
    list(APPEND levels avx2 avx512 avx512_vnni avx512_bf16 amx amx_model)
  else()
    list(APPEND levels neon)
  endif()
  foreach(level IN LISTS levels)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/simd/*/${level}.cc)
    if(sources)
      add_library(vl_simd_${level} OBJECT ${sources})
      target_include_directories(vl_simd_${level} PRIVATE core)
      vectorloom_warnings(vl_simd_${level})
      # GCC 12 sees its own undefined-value idiom in avx512fintrin.h as uninitialised (GCC PR 105593).
      target_compile_options(vl_simd_${level} PRIVATE -Wno-maybe-uninitialized -Wno-uninitialized)
      # Vectors wider than the level's registers are passed between inlined functions alone.
      target_compile_options(vl_simd_${level} PRIVATE -Wno-psabi)
      if(level STREQUAL "scalar")
        vectorloom_baseline(vl_simd_${level})
      endif()
      target_compile_options(vl_simd_${level} PRIVATE ${vl_flags_${level}})
      target_link_libraries(${core} PRIVATE vl_simd_${level})
    endif()
  endforeach()
endfunction()
