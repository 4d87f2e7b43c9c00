#include "base/log.h"

#include <stdio.h>

void log_line(const struct log *log, gllm_log_level level, const char *format, ...) {
    if (!log || !log->fn) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log->fn(log->user, level, text);
}
