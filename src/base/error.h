/* error.h - errors as values: a gllm_status travels by return, the sentence for a human in a gllm_error.
 *
 * Invariant: the first error written to a gllm_error that the caller cleared wins only by convention: err_set
 * overwrites, err_wrap puts context in front of what is there. Messages are one line of valid UTF-8. */
#ifndef GLLM_BASE_ERROR_H
#define GLLM_BASE_ERROR_H
#include <stdarg.h>

#include "gllm.h"

#if defined(__GNUC__)
#define GLLM_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define GLLM_PRINTF(fmt, first)
#endif

/* Writes "text" into err (may be NULL) and returns `status`, so that a function can `return err_set(...)`.
 * Control characters and invalid UTF-8 in the formatted text are shown as \xNN. */
gllm_status err_set(gllm_error *err, gllm_status status, const char *format, ...) GLLM_PRINTF(3, 4);
gllm_status err_setv(gllm_error *err, gllm_status status, const char *format, va_list args) GLLM_PRINTF(3, 0);
/* Puts "prefix: " in front of the message already in err; returns err's status (or `status` when err is NULL). */
gllm_status err_wrap(gllm_error *err, gllm_status status, const char *format, ...) GLLM_PRINTF(3, 4);
gllm_status err_nomem(gllm_error *err, const char *what); /* "out of memory: what" */

/* Leaves the function when `expr` is not GLLM_OK. For code with something to clean up: TRY_GO and a `done:` label. */
#define TRY(expr)                               \
    do {                                        \
        gllm_status try_status_ = (expr);       \
        if (try_status_ != GLLM_OK) return try_status_; \
    } while (0)
#define TRY_GO(expr)                        \
    do {                                    \
        status = (expr);                    \
        if (status != GLLM_OK) goto done;   \
    } while (0)
#endif
