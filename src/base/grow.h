/* grow.h - arrays and texts that double their room as they grow; the memory is the caller's (free). */
#ifndef GLLM_BASE_GROW_H
#define GLLM_BASE_GROW_H
#include <stdbool.h>
#include <stddef.h>

/* Room for `need` items of `size` in *data, which holds *capacity. False: no memory; all is as it was. */
bool grow_room(void **data, size_t *capacity, size_t need, size_t size);
/* Appends n bytes to the *len in *data, which has room for *capacity, and keeps a NUL behind them. False: likewise. */
bool grow_text(char **data, size_t *len, size_t *capacity, const char *s, size_t n);
#endif
