#include "model/hints.h"

#include <string.h>

#include "model/model.h"

static enum hf_pool hf_pool_of(uint32_t pooling) {
    switch (pooling) {
    case POOL_CLS: return HF_POOL_CLS;
    case POOL_LAST: return HF_POOL_LAST;
    default: return HF_POOL_MEAN;
    }
}

/* The modules that the files of an embedder leave out. */
static gllm_status add_modules(struct model_files *f, const struct log *log, gllm_error *err) {
    const struct model_hints *h = &f->hints;
    struct hfdir *d = &f->dir;
    const bool normalize = h->normalize == HINT_NORMALIZE_ON;
    TRY(hfdir_pool_by(d, hf_pool_of(h->pooling), normalize, err));
    log_line(log, GLLM_LOG_INFO, "%s: the files name no pooling: %s%s, as is known of %s", d->name, pool_name((enum pool_kind)h->pooling), normalize ? " and length 1" : "", h->name);
    return GLLM_OK;
}

/* `text` with `task` in place of the first {task}. */
static const char *with_task(struct arena *a, const char *text, const char *task) {
    const char *hole = strstr(text, "{task}");
    if (!hole || !task) return text;
    const size_t before = (size_t)(hole - text), n = strlen(task);
    char *out = arena_alloc(a, strlen(text) + n + 1);
    if (!out) return NULL;
    memcpy(out, text, before);
    memcpy(out + before, task, n);
    strcpy(out + before + n, hole + strlen("{task}"));
    return out;
}

/* d->prompts has room. A prompt that is empty says nothing: sentence-transformers writes such where nobody gave one. */
static gllm_status add_prompt(struct hfdir *d, const char *name, const char *text, const char *task, gllm_error *err) {
    struct hf_prompt *p = hfdir_prompt(d, name);
    if (!text || (p && *p->text)) return GLLM_OK;
    if (!p) p = &d->prompts[d->n_prompts++];
    *p = (struct hf_prompt){name, with_task(&d->arena, text, task)};
    return p->text ? GLLM_OK : err_nomem(err, d->name);
}

static gllm_status add_prompts(struct model_files *f, gllm_error *err) {
    const struct model_hints *h = &f->hints;
    struct hfdir *d = &f->dir;
    struct hf_prompt *all = arena_array(&d->arena, d->n_prompts + 2, sizeof *all);
    if (!all) return err_nomem(err, d->name);
    if (d->n_prompts) memcpy(all, d->prompts, d->n_prompts * sizeof *all);
    d->prompts = all;
    TRY(add_prompt(d, "query", h->query_prompt, h->instruction, err));
    return add_prompt(d, hfdir_prompt(d, "passage") ? "passage" : "document", h->document_prompt, h->instruction, err);
}

gllm_status hints_apply(struct model_files *f, const struct log *log, gllm_error *err) {
    if (f->hints.task != HINT_TASK_EMBED) return GLLM_OK;
    if (f->hints.pooling && !f->dir.n_modules) TRY(add_modules(f, log, err));
    return add_prompts(f, err);
}
