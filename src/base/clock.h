/* clock.h - time that only goes forward. */
#ifndef GLLM_BASE_CLOCK_H
#define GLLM_BASE_CLOCK_H
#include <time.h>

static inline double clock_ms(void) { /* milliseconds since some fixed moment */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
static inline struct timespec clock_time(double ms) { /* clock_ms as the system says it, for waits on CLOCK_MONOTONIC */
    const double seconds = ms < 0 ? 0 : ms * 1e-3;
    return (struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
}
#endif
