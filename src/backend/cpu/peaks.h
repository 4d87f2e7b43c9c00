/* peaks.h - what this machine's processors can do, measured: the roof beside every figure. */
#ifndef GLLM_BACKEND_CPU_PEAKS_H
#define GLLM_BACKEND_CPU_PEAKS_H
#include "base/error.h"

/* Medians of five short runs on n_threads threads: about 0.3 s. gops_int8 is 0 where the processor has no 8-bit dot product. */
gllm_status cpu_peaks(unsigned n_threads, gllm_peaks *out, gllm_error *err);
#endif
