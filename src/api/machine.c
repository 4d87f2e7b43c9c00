#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "backend/cpu/peaks.h"
#include "base/arena.h"

struct machine { /* the public struct first, so that a pointer to one is a pointer to the other */
    gllm_machine base;
    struct arena arena;
};

static gllm_status fill(struct machine *m, gllm_error *err) {
    size_t n;
    const struct backend_entry *e = backend_entries(&n);
    gllm_backend_info *list = arena_array(&m->arena, n, sizeof *list);
    char *home;
    if (!list) return err_nomem(err, "machine");
    TRY(api_home(NULL, &home, err));
    m->base.home = arena_strdup(&m->arena, home);
    free(home);
    for (size_t i = 0; i < n; i++) {
        struct backend_caps caps = {0};
        list[i] = (gllm_backend_info){.name = e[i].name, .built = e[i].ops != NULL, .device = "", .detail = e[i].absent};
        if (!e[i].ops) continue;
        list[i].available = e[i].ops->probe(0, &caps) == GLLM_OK;
        list[i].device = arena_strdup(&m->arena, caps.device);
        list[i].detail = arena_strdup(&m->arena, caps.detail);
        list[i].mem_total = caps.mem_total, list[i].mem_free = caps.mem_free, list[i].threads = caps.threads;
        if (!list[i].device || !list[i].detail) return err_nomem(err, "machine");
        if (!m->base.chosen && e[i].automatic && list[i].available) m->base.chosen = e[i].name;
    }
    m->base.backends = list, m->base.n_backends = n;
    return m->base.home ? GLLM_OK : err_nomem(err, "machine");
}

gllm_status gllm_machine_describe(gllm_machine **out, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_machine_describe: out is NULL");
    *out = NULL;
    struct machine *m = calloc(1, sizeof *m);
    if (!m) return err_nomem(err, "machine");
    gllm_status status = fill(m, err);
    if (status != GLLM_OK) gllm_machine_free(&m->base);
    else *out = &m->base;
    return status;
}

void gllm_machine_free(gllm_machine *machine) {
    struct machine *m = (struct machine *)machine;
    if (m) arena_free(&m->arena);
    free(m);
}

gllm_status gllm_measure_peaks(uint32_t threads, gllm_peaks *out, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_measure_peaks: out is NULL");
    return cpu_peaks(threads, out, err);
}
