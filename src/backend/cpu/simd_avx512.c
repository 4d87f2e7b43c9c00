/* simd_avx512.c - the kernels at level "avx512". */
#define KERNELS cpu_kernels_avx512
#define NAME "avx512"
#define MR 12
#define HAS_QTILE
#include "backend/cpu/simd_body.h"
