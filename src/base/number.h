/* number.h - decimal numbers with a point, whatever the process's locale calls one. Any thread; no locale outlives a call. */
#ifndef GLLM_BASE_NUMBER_H
#define GLLM_BASE_NUMBER_H
#include <stddef.h>

#include "base/error.h"

/* snprintf and strtod as in the "C" locale. */
int number_print(char *out, size_t size, const char *format, ...) GLLM_PRINTF(3, 4);
double number_parse(const char *text, char **end); /* end may be NULL */
/* The fewest significant digits, 1 to 17, that read back as v, which is finite: their count, and in `out` the number as "d.ddde+dd". */
int number_digits(double v, char out[32]);
#endif
