/* simd_avx2.c - the kernels at level "avx2". */
#define KERNELS cpu_kernels_avx2
#define NAME "avx2"
#define MR 6
#define HAS_QTILE
#include "backend/cpu/simd_body.h"
