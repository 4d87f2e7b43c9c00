#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/number.h"
#include "model/adapter.h"
#include "model/bind_quant.h"

struct info { /* the public struct first */
    gllm_model_info base;
    struct arena arena;
};

static const char *pooling_text(struct arena *a, const struct head *h) {
    char text[128] = "";
    for (uint32_t i = 0, at = 0; i < h->n_modes && at < sizeof text; i++) at += (uint32_t)snprintf(text + at, sizeof text - at, "%s%s", i ? "+" : "", pool_name(h->modes[i]));
    return arena_strdup(a, text);
}

static gllm_status fill_tensors(struct info *i, const struct weights *w, const struct quant_cfg *q, gllm_error *err) {
    size_t n = weights_count(w);
    uint64_t count[DTYPE_COUNT] = {0};
    gllm_tensor_info *list = arena_array(&i->arena, n, sizeof *list);
    if (!list) return err_nomem(err, "tensors");
    for (size_t k = 0; k < n; k++) {
        const struct tensor *t = weights_at(w, k);
        list[k] = (gllm_tensor_info){.dtype = dtype_traits(t->dtype)->name, .rank = t->rank, .bytes = t->bytes};
        list[k].name = arena_strdup(&i->arena, t->name);
        list[k].file = arena_strdup(&i->arena, weights_shard_name(w, t->shard));
        if (!list[k].name || !list[k].file) return err_nomem(err, "tensors");
        memcpy(list[k].shape, t->shape, sizeof list[k].shape);
        count[t->dtype] += tensor_count(t);
        i->base.n_params += quant_params(q, t);
    }
    unsigned most = DTYPE_F32;
    for (unsigned d = 0; d < DTYPE_COUNT; d++)
        if (count[d] > count[most]) most = d;
    i->base.dtype = dtype_traits((enum dtype)most)->name;
    i->base.tensors = list, i->base.n_tensors = n;
    return GLLM_OK;
}

gllm_status api_plan(const gllm_options *o, const struct model *m, const struct backend_ops *ops, uint32_t ctx, uint32_t batch, gllm_memory_plan *p, gllm_error *err) {
    const struct model_cfg *c = &m->files.cfg;
    const bool cached = model_files_cached(&m->files);
    const uint64_t n_tok = (ctx ? ctx : cached ? api_context(o, m) : api_batch_tokens(o)) * (uint64_t)(batch && (ctx || cached) ? batch : 1);
    if (n_tok > UINT32_MAX / 16) return err_set(err, GLLM_INVALID, "ctx %u x batch %u tokens, expected at most %u", ctx, batch, UINT32_MAX / 16);
    *p = (gllm_memory_plan){.cache_dtype = "", .weight_bytes = model_weight_bytes(&m->bindings, ops)};
    const uint32_t workers = o->workers ? o->workers : 1; /* each has its own */
    if (!cached) p->activation_bytes = workers * (model_activation_bytes(c, (uint32_t)n_tok, batch ? batch : 1) + outputs_activation_bytes(m, (uint32_t)n_tok, batch ? batch : 1));
    else {
        struct engine_options e = {.n_ctx = (uint32_t)n_tok, .cache_tokens = ctx ? 0 : o->cache_tokens, .workers = workers};
        TRY(api_kv_dtype(o, m, &e.kv_dtype, err));
        const struct decoder_options d = engine_decoder_options(&e);
        p->activation_bytes = workers * decoder_activation_bytes(&m->files, &d);
        p->cache_bytes = workers * decoder_cache_bytes(c, &d);
        p->cache_dtype = dtype_traits(d.kv_dtype)->name;
    }
    p->total_bytes = p->weight_bytes + p->activation_bytes + p->cache_bytes;
    return GLLM_OK;
}

static gllm_status fill_plans(struct info *i, const struct model *m, const gllm_options *o, uint32_t ctx, uint32_t batch, gllm_error *err) {
    size_t n;
    const struct backend_entry *e = backend_entries(&n);
    gllm_memory_plan *list = arena_array(&i->arena, n, sizeof *list);
    if (!list) return err_nomem(err, "plans");
    const char *only = api_backend(o);
    for (size_t k = 0; k < n; k++) {
        struct backend_caps caps = {0};
        if (!e[k].ops || (strcmp(only, "auto") ? strcmp(only, e[k].name) : !e[k].automatic) || e[k].ops->probe(0, &caps) != GLLM_OK) continue;
        gllm_memory_plan *p = &list[i->base.n_plans++];
        char text[300];
        snprintf(text, sizeof text, "%s (%s)", caps.device, caps.detail);
        TRY(api_plan(o, m, e[k].ops, ctx, batch, p, err));
        p->backend = e[k].name, p->device = arena_strdup(&i->arena, text), p->free_bytes = caps.mem_free;
        if (!p->device) return err_nomem(err, "plans");
        p->fits = p->total_bytes <= p->free_bytes;
    }
    i->base.plans = list;
    return GLLM_OK;
}

/* "yarn x4 from 32768 tokens, base 1e+06": the kind, how far it stretches, and the base of the frequencies. */
static const char *rope_text(struct arena *a, const struct model_cfg *c) {
    static const char *const KINDS[] = {[ROPE_NTK] = "NTK", [ROPE_DEFAULT] = "plain", [ROPE_LINEAR] = "linear", [ROPE_DYNAMIC] = "dynamic NTK",
                                        [ROPE_LLAMA3] = "llama3", [ROPE_YARN] = "yarn", [ROPE_LONGROPE] = "longrope"};
    const struct rope_cfg *r = &c->ropes[0];
    char text[128];
    if (r->kind == ROPE_NONE) return "";
    size_t at = (size_t)snprintf(text, sizeof text, "%s", KINDS[r->kind]);
    if (r->factor > 0 && r->factor != 1) at += (size_t)number_print(text + at, sizeof text - at, " x%g", r->factor);
    if (r->n_pos_trained) at += (size_t)snprintf(text + at, sizeof text - at, " from %u tokens", r->n_pos_trained);
    number_print(text + at, sizeof text - at, ", base %g", r->theta);
    return arena_strdup(a, text);
}

/* "awq, 4 bits, groups of 128": the method and how its codes are laid out. */
static const char *quantisation_text(struct arena *a, const struct quant_cfg *q) {
    char text[128];
    if (!q->method) return "";
    size_t at = (size_t)snprintf(text, sizeof text, "%s, %u bits", q->method, q->bits);
    if (q->group) snprintf(text + at, sizeof text - at, ", groups of %u", q->group);
    else if (q->row_block) snprintf(text + at, sizeof text - at, ", tiles of %u x %u", q->row_block, q->col_block);
    return arena_strdup(a, text);
}

static uint32_t window_of(const struct model_cfg *c) {
    for (uint32_t k = 0; c->layers && k < c->n_layer; k++)
        if (c->layers[k].window) return c->layers[k].window;
    return 0;
}

static gllm_status fill_generator(struct info *i, const struct model_files *f, gllm_error *err) {
    const char **names = arena_array(&i->arena, f->chat.n_templates, sizeof *names);
    if (!names) return err_nomem(err, "model info");
    for (size_t k = 0; k < f->chat.n_templates; k++)
        if (!(names[k] = arena_strdup(&i->arena, f->chat.templates[k].name))) return err_nomem(err, "model info");
    i->base.chat_templates = names, i->base.n_chat_templates = f->chat.n_templates;
    i->base.window = window_of(&f->cfg);
    return (i->base.rope = rope_text(&i->arena, &f->cfg)) ? GLLM_OK : err_nomem(err, "model info");
}

static gllm_status fill_known(struct info *i, const struct model_hints *h, gllm_error *err) {
    gllm_model_info *b = &i->base;
    b->alias = arena_strdup(&i->arena, h->name ? h->name : "");
    b->dims = h->dims;
    while (h->dims && h->dims[b->n_dims]) b->n_dims++;
    return b->alias ? GLLM_OK : err_nomem(err, "model info");
}

const char *api_task(const struct model_files *f) {
    if (f->generates) return "generate";
    return f->ranker.kind != RANKER_NONE || f->classifier.n_labels == 1 ? "rerank" : f->classifier.n_labels ? "classify" : "embed";
}

static gllm_status fill(struct info *i, const struct model *m, const char *name, gllm_error *err) {
    const struct model_files *f = &m->files;
    const struct model_cfg *c = &f->cfg;
    struct arena *a = &i->arena;
    gllm_model_info *b = &i->base;
    b->name = arena_strdup(a, name);
    b->path = arena_strdup(a, f->dir.dir);
    b->architecture = f->arch.name;
    b->format = weights_format(f->weights);
    b->tokenizer = tokenizer_kind(f->tokenizer);
    b->task = api_task(f);
    b->licence = arena_strdup(a, f->dir.licence ? f->dir.licence : f->hints.licence ? f->hints.licence : "");
    b->quantisation = quantisation_text(a, &c->quant);
    b->pooling = f->classifier.n_labels ? "" : pooling_text(a, &m->head);
    b->similarity = f->dir.similarity && !strcmp(f->dir.similarity, "dot") ? "dot" : "cosine";
    b->file_bytes = weights_file_bytes(f->weights);
    b->n_layer = c->n_layer, b->n_head = c->n_head, b->n_kv = c->n_kv, b->d_model = c->d_model, b->d_head = c->d_head, b->d_ff = c->d_ff, b->n_vocab = c->n_vocab;
    b->max_tokens = f->max_tokens, b->dim = f->classifier.n_labels ? 0 : m->head.dim, b->n_labels = f->classifier.n_labels, b->normalize = m->head.normalize;
    b->outputs = b->n_labels || strcmp(b->task, "embed") ? 0 : f->outputs.available, b->token_dim = f->outputs.token_dim;
    b->default_prompt = arena_strdup(a, f->dir.default_prompt_name ? f->dir.default_prompt_name : "");
    gllm_prompt_info *prompts = arena_array(a, f->dir.n_prompts, sizeof *prompts);
    if (!b->name || !b->path || !b->licence || !b->quantisation || !b->pooling || !b->default_prompt || !prompts) return err_nomem(err, "model info");
    for (size_t k = 0; k < f->dir.n_prompts; k++) {
        prompts[k] = (gllm_prompt_info){arena_strdup(a, f->dir.prompts[k].name), arena_strdup(a, f->dir.prompts[k].text)};
        if (!prompts[k].name || !prompts[k].text) return err_nomem(err, "model info");
    }
    b->prompts = prompts, b->n_prompts = f->dir.n_prompts;
    TRY(fill_known(i, &f->hints, err));
    TRY(fill_generator(i, f, err));
    return fill_tensors(i, f->weights, &c->quant, err);
}

gllm_status gllm_inspect(gllm_model_info **out, const gllm_options *opt, uint32_t ctx, uint32_t batch, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_inspect: out is NULL");
    *out = NULL;
    if (!opt || !opt->struct_size) return err_set(err, GLLM_INVALID, "gllm_inspect: options were not set by gllm_options_init");
    gllm_options o;
    gllm_options_init(&o);
    TRY(api_copy_sized("gllm_options", &o, sizeof o, opt, opt->struct_size, err));
    struct log log = {o.log, o.log_user};
    char *path = NULL;
    struct model_files files;
    struct model *m = NULL;
    struct info *i = NULL;
    gllm_status status = api_locate(&o, &path, err);
    if (status == GLLM_OK) status = api_files_open(&files, path, &log, err);
    if (status == GLLM_OK && (status = tasks_choose(&files, o.adapter, err)) != GLLM_OK) model_files_close(&files);
    if (status == GLLM_OK) status = model_open(&m, &files, NULL, &log, err);
    if (status == GLLM_OK && !(i = calloc(1, sizeof *i))) status = err_nomem(err, "model info");
    if (status == GLLM_OK) status = fill(i, m, o.model, err);
    if (status == GLLM_OK) status = fill_plans(i, m, &o, ctx, batch, err);
    model_close(m);
    free(path);
    if (status != GLLM_OK) gllm_model_info_free(i ? &i->base : NULL);
    else *out = &i->base;
    return status;
}

void gllm_model_info_free(gllm_model_info *info) {
    struct info *i = (struct info *)info;
    if (i) arena_free(&i->arena);
    free(i);
}
