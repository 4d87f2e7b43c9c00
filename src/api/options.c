/* options.c - what a caller's options mean: where models lie, which backend, how much context; and a model opened by them. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/file.h"
#include "hub/locate.h"
#include "model/adapter.h"

enum { DEFAULT_BATCH_TOKENS = 512, DEFAULT_QUEUE = 1024 };
/* A reranker's holds the longest prompt that is advised, or a block of documents. */
static const uint32_t DEFAULT_CONTEXTS[] = {[RANKER_NONE] = 4096, [RANKER_PAIR] = 8192, [RANKER_LIST] = 16384};

void api_init_sized(void *out, size_t size, const void *defaults, size_t full) {
    memset(out, 0, size);
    memcpy(out, defaults, size < full ? size : full);
}
gllm_status api_copy_sized(const char *name, void *out, size_t full, const void *in, size_t size, gllm_error *err) {
    const unsigned char *bytes = in;
    for (size_t i = full; i < size; i++)
        if (bytes[i]) return err_set(err, GLLM_UNSUPPORTED, "%s: a field at byte %zu of %zu is set, but version %s of the library knows %zu bytes", name, i, size, gllm_version_string(), full);
    memcpy(out, in, size < full ? size : full);
    memcpy(out, &full, sizeof full);
    return GLLM_OK;
}
size_t api_str_len(gllm_str s) { return !s.ptr ? 0 : s.len == GLLM_NTS ? strlen(s.ptr) : s.len; }

gllm_str *api_strs(struct arena *a, const gllm_str *texts, size_t n) {
    gllm_str *list = arena_array(a, n, sizeof *list);
    for (size_t i = 0; list && i < n; i++) list[i] = (gllm_str){texts[i].ptr, api_str_len(texts[i])};
    return list;
}

gllm_status api_home(const char *home, char **out, gllm_error *err) {
    if (!home) home = env("GLLM_HOME");
    if (home) *out = strdup(home);
    else {
        const char *user = env("HOME");
        *out = path_join(user ? user : ".", ".gllm");
    }
    return *out ? GLLM_OK : err_nomem(err, "home");
}

/* $HF_HUB_CACHE or its older name, else hub/ in $HF_HOME, else in $XDG_CACHE_HOME/huggingface, else in ~/.cache/huggingface: as huggingface_hub looks. */
static gllm_status hf_cache(char **out, gllm_error *err) {
    const char *hub = env("HF_HUB_CACHE") ? env("HF_HUB_CACHE") : env("HUGGINGFACE_HUB_CACHE"), *hf = env("HF_HOME"), *cache = env("XDG_CACHE_HOME"), *user = env("HOME");
    if (hub) *out = strdup(hub);
    else if (hf) *out = path_join(hf, "hub");
    else if (cache) *out = path_join(cache, "huggingface/hub");
    else *out = path_join(user ? user : ".", ".cache/huggingface/hub");
    return *out ? GLLM_OK : err_nomem(err, "cache");
}

gllm_status api_places(const char *home, struct api_places *out, gllm_error *err) {
    *out = (struct api_places){0};
    TRY(api_home(home, &out->home, err));
    return hf_cache(&out->cache, err);
}
void api_places_free(struct api_places *p) {
    free(p->home);
    free(p->cache);
}

gllm_status api_locate(const gllm_options *o, char **path, gllm_error *err) {
    struct api_places p;
    *path = NULL;
    gllm_status status = api_places(o->home, &p, err);
    if (status == GLLM_OK) status = hub_locate(o->model, p.home, p.cache, path, err);
    if (status == GLLM_NOT_FOUND) status = api_fetch(o, p.home, path, err);
    api_places_free(&p);
    return status;
}

const char *api_backend(const gllm_options *o) {
    if (o->backend && strcmp(o->backend, "auto")) return o->backend;
    const char *v = env("GLLM_BACKEND");
    return v ? v : "auto";
}

void gllm_options_init_sized(gllm_options *o, size_t size) {
    const gllm_options full = {.struct_size = size, .max_batch_tokens = DEFAULT_BATCH_TOKENS, .max_queue = DEFAULT_QUEUE};
    api_init_sized(o, size, &full, sizeof full);
}

static gllm_status threads_of(const gllm_options *o, uint32_t *out, gllm_error *err) {
    *out = o->threads;
    const char *v = env("GLLM_THREADS");
    if (*out || !v) return GLLM_OK;
    char *end;
    unsigned long n = strtoul(v, &end, 10);
    if (*end || n < 1 || n > 4096) return err_set(err, GLLM_INVALID, "GLLM_THREADS: found \"%.40s\", expected 1 to 4096", v);
    *out = (uint32_t)n;
    return GLLM_OK;
}

gllm_status api_model_open(const gllm_options *o, const char *path, const struct log *log, struct model **m, gllm_error *err) {
    const struct backend_ops *ops;
    struct backend_options b = {.isa = env("GLLM_CPU_ISA"), .precision = o->precision, .log = *log};
    if (o->exact) {
        if (o->precision != GLLM_PRECISION_AUTO && o->precision != GLLM_PRECISION_F32)
            return err_set(err, GLLM_INVALID, "exact asks for f32, precision for something else");
        b.precision = GLLM_PRECISION_F32;
    }
    TRY(threads_of(o, &b.threads, err));
    TRY(backend_choose(api_backend(o), log, &ops, err));
    if (strcmp(ops->name, "cpu")) b.isa = NULL;
    struct model_files files;
    TRY(api_files_open(&files, path, log, err));
    struct backend *be = NULL;
    gllm_status status = tasks_choose(&files, o->adapter, err);
    if (status == GLLM_OK) status = ops->open(&be, &b, err);
    if (status != GLLM_OK) {
        model_files_close(&files);
        return status;
    }
    status = model_open(m, &files, be, log, err);
    if (status != GLLM_OK) ops->close(be);
    return status;
}

uint32_t api_context(const gllm_options *o, const struct model *m) {
    const uint32_t most = m->files.cfg.n_pos, asked = o->n_ctx ? o->n_ctx : DEFAULT_CONTEXTS[m->files.ranker.kind];
    if (asked <= most) return asked;
    if (o->n_ctx) log_line(&m->log, GLLM_LOG_WARN, "a context of %u tokens is above the model's %u, which count", asked, most);
    return most;
}

gllm_status api_kv_dtype(const gllm_options *o, const struct model *m, enum dtype *out, gllm_error *err) {
    static const enum dtype DTYPES[] = {[GLLM_KV_CACHE_F16] = DTYPE_F16, [GLLM_KV_CACHE_F32] = DTYPE_F32, [GLLM_KV_CACHE_Q8_0] = DTYPE_Q8_0};
    const bool exact = o->exact || o->precision == GLLM_PRECISION_F32;
    if ((unsigned)o->kv_cache > GLLM_KV_CACHE_Q8_0) return err_set(err, GLLM_INVALID, "kv_cache: found %d, expected 0 to %d", (int)o->kv_cache, GLLM_KV_CACHE_Q8_0);
    if (o->exact && o->kv_cache != GLLM_KV_CACHE_AUTO && o->kv_cache != GLLM_KV_CACHE_F32)
        return err_set(err, GLLM_INVALID, "exact asks for a cache of F32, kv_cache for %s", dtype_traits(DTYPES[o->kv_cache])->name);
    *out = o->kv_cache ? DTYPES[o->kv_cache] : exact ? DTYPE_F32 : DTYPE_F16;
    if (!model_files_cached(&m->files)) return GLLM_OK;
    TRY(decoder_check_cache(&m->files.cfg, *out, err));
    if (*out == DTYPE_Q8_0) log_line(&m->log, GLLM_LOG_INFO, "%s: the cache holds keys and values in q8_0", m->files.dir.name);
    return GLLM_OK;
}

uint32_t api_batch_tokens(const gllm_options *o) { return o->max_batch_tokens ? o->max_batch_tokens : DEFAULT_BATCH_TOKENS; }
uint32_t api_max_queue(const gllm_options *o) { return o->max_queue ? o->max_queue : DEFAULT_QUEUE; }

gllm_status api_engine_options(const gllm_options *o, const struct model *m, struct engine_options *out, gllm_error *err) {
    *out = (struct engine_options){.max_batch_tokens = api_batch_tokens(o), .max_queue = api_max_queue(o),
                                   .n_ctx = api_context(o, m), .cache_tokens = o->cache_tokens, .workers = o->workers};
    return api_kv_dtype(o, m, &out->kv_dtype, err);
}
