/* simd_vnni_avx512.c - the kernels at level "avx512_vnni": those of avx512, and int8 dot products. */
#define KERNELS cpu_kernels_avx512_vnni
#define NAME "avx512_vnni"
#define MR 12
#define HAS_QTILE
#include "backend/cpu/simd_body.h"
