/* arch.c - looking an architecture up in the tables. */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

static const struct arch *const TABLES[] = {ARCH_ENCODERS, ARCH_DECODERS};
enum { N_TABLES = sizeof TABLES / sizeof *TABLES, N_TYPES = 4, N_GGUF = 2 };

const struct arch *arch_find(const char *model_type, const char *positions) {
    const struct arch *first = NULL;
    for (unsigned t = 0; t < N_TABLES; t++)
        for (const struct arch *a = TABLES[t]; a->name; a++)
            for (unsigned k = 0; k < N_TYPES && a->model_types[k]; k++) {
                if (strcmp(a->model_types[k], model_type)) continue;
                if (positions && a->positions && !strcmp(positions, a->positions)) return a;
                if (!first) first = a;
            }
    return first;
}

const struct arch *arch_find_gguf(const char *name) {
    for (unsigned t = 0; t < N_TABLES; t++)
        for (const struct arch *a = TABLES[t]; a->name; a++)
            for (unsigned k = 0; k < N_GGUF && a->gguf[k]; k++)
                if (!strcmp(a->gguf[k], name)) return a;
    return NULL;
}

void arch_list(char *buf, size_t size) {
    size_t at = 0;
    if (size) buf[0] = '\0';
    for (unsigned t = 0; t < N_TABLES; t++)
        for (const struct arch *a = TABLES[t]; a->name; a++)
            for (unsigned k = 0; k < N_TYPES && a->model_types[k] && at < size; k++)
                if (arch_find(a->model_types[k], NULL) == a) /* each once */
                    at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "", a->model_types[k]);
}

void arch_list_gguf(char *buf, size_t size) {
    size_t at = 0;
    if (size) buf[0] = '\0';
    for (unsigned t = 0; t < N_TABLES; t++)
        for (const struct arch *a = TABLES[t]; a->name; a++)
            for (unsigned k = 0; k < N_GGUF && a->gguf[k] && at < size; k++)
                at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "", a->gguf[k]);
}
