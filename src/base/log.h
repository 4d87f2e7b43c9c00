/* log.h - where a client's lines go. A NULL sink or a NULL function is silence. */
#ifndef GLLM_BASE_LOG_H
#define GLLM_BASE_LOG_H
#include "base/error.h"

struct log {
    gllm_log_fn fn;
    void *user;
};
void log_line(const struct log *log, gllm_log_level level, const char *format, ...) GLLM_PRINTF(3, 4);
#endif
