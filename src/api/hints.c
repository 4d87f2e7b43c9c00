/* hints.c - what the registry knows of a model, in the model layer's words. */
#include <string.h>

#include "api/api.h"
#include "hub/registry.h"

static uint32_t pooling_of(const char *name) {
    if (!name) return 0;
    return !strcmp(name, "cls") ? POOL_CLS : !strcmp(name, "mean") ? POOL_MEAN : POOL_LAST;
}

static enum hint_task task_of(const char *name) { return !strcmp(name, "embed") ? HINT_TASK_EMBED : !strcmp(name, "rerank") ? HINT_TASK_RERANK : HINT_TASK_GENERATE; }

static enum hint_rerank rerank_of(const char *name) {
    if (!name) return HINT_RERANK_NONE;
    return !strcmp(name, "yes-no") ? HINT_RERANK_YES_NO : !strcmp(name, "listwise") ? HINT_RERANK_LISTWISE : HINT_RERANK_CROSS_ENCODER;
}

static struct model_hints hints_of(const struct registry_model *m) {
    struct model_hints h = {.name = m->aliases[0], .licence = m->licence, .task = task_of(m->task), .pooling = pooling_of(m->pooling), .query_prompt = m->query, .document_prompt = m->document,
                            .instruction = m->instruction, .dims = m->dims, .input_before = m->input_before, .input_after = m->input_after, .rerank = rerank_of(m->rerank)};
    if (m->normalize) h.normalize = strcmp(m->normalize, "on") ? HINT_NORMALIZE_OFF : HINT_NORMALIZE_ON;
    if (m->listwise) {
        const struct registry_listwise *l = m->listwise;
        h.listwise = (struct hint_listwise){l->prefix, l->lead, l->instruction, l->passage, l->query, l->suffix};
    }
    return h;
}

gllm_status api_files_open(struct model_files *f, const char *path, const struct log *log, gllm_error *err) {
    const struct registry_model *m = registry_by_path(path);
    const struct model_hints hints = m ? hints_of(m) : (struct model_hints){0};
    return model_files_open_hinted(f, path, &hints, log, err);
}
