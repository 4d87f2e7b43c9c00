#include <stdio.h>
#include <string.h>

#include "backend/backend.h"

static const struct backend_entry ENTRIES[] = {
    {"cuda", NULL, "not in this build: the CUDA backend is not written yet", true},
    {"rocm", NULL, "not in this build: the ROCm backend is not written yet", true},
    {"metal", NULL, "not in this build: the Metal adapter comes with the WebGPU backend", true},
    {"wgpu", NULL, "not in this build: the WebGPU backend is not written yet", true},
    {"cpu", &backend_cpu, NULL, true},
    {"ref", &backend_ref, NULL, false},
};
enum { N_ENTRIES = sizeof ENTRIES / sizeof *ENTRIES };

const struct backend_entry *backend_entries(size_t *n) {
    *n = N_ENTRIES;
    return ENTRIES;
}

static gllm_status choose_auto(const struct log *log, const struct backend_ops **out, gllm_error *err) {
    for (unsigned i = 0; i < N_ENTRIES; i++) {
        const struct backend_entry *e = &ENTRIES[i];
        struct backend_caps caps = {0};
        if (!e->automatic) continue;
        if (!e->ops) log_line(log, GLLM_LOG_DEBUG, "backend %s: %s", e->name, e->absent);
        else if (e->ops->probe(0, &caps) != GLLM_OK) log_line(log, GLLM_LOG_INFO, "backend %s: %s", e->name, caps.detail);
        else {
            *out = e->ops;
            return GLLM_OK;
        }
    }
    return err_set(err, GLLM_DEVICE, "no backend answers on this machine");
}

static gllm_status unknown(const char *name, gllm_error *err) {
    char names[128] = "auto";
    for (unsigned i = 0; i < N_ENTRIES; i++) {
        size_t at = strlen(names);
        snprintf(names + at, sizeof names - at, "%s%s", i + 1 < N_ENTRIES ? ", " : " or ", ENTRIES[i].name);
    }
    return err_set(err, GLLM_UNSUPPORTED, "backend \"%.40s\" is unknown; expected %s", name, names);
}

gllm_status backend_choose(const char *name, const struct log *log, const struct backend_ops **out, gllm_error *err) {
    *out = NULL;
    if (!name || !*name || !strcmp(name, "auto")) return choose_auto(log, out, err);
    const struct backend_entry *e = ENTRIES;
    while (e < ENTRIES + N_ENTRIES && strcmp(e->name, name) != 0) e++;
    if (e == ENTRIES + N_ENTRIES) return unknown(name, err);
    if (!e->ops) return err_set(err, GLLM_UNSUPPORTED, "backend \"%s\": %s", name, e->absent);
    struct backend_caps caps = {0};
    if (e->ops->probe(0, &caps) != GLLM_OK) return err_set(err, GLLM_DEVICE, "backend \"%s\" does not answer: %s", name, caps.detail);
    *out = e->ops;
    return GLLM_OK;
}
