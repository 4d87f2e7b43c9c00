/* simd_portable.c - the kernels at level "portable". */
#define KERNELS cpu_kernels_portable
#define NAME "portable"
#define MR 6
#include "backend/cpu/simd_body.h"
