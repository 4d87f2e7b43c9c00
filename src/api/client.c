#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/file.h"
#include "engine/generate.h"
#include "hub/locate.h"
#include "model/adapter.h"

enum { DEFAULT_BATCH_TOKENS = 512, DEFAULT_QUEUE = 1024 };
/* A reranker's holds the longest prompt that is advised, or a block of documents. */
static const uint32_t DEFAULT_CONTEXTS[] = {[RANKER_NONE] = 4096, [RANKER_PAIR] = 8192, [RANKER_LIST] = 16384};

uint32_t gllm_version(void) { return GLLM_VERSION_MAJOR << 16 | GLLM_VERSION_MINOR << 8 | GLLM_VERSION_PATCH; }
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
const char *gllm_version_string(void) { return TEXT(GLLM_VERSION_MAJOR) "." TEXT(GLLM_VERSION_MINOR) "." TEXT(GLLM_VERSION_PATCH); }

void api_init_sized(void *out, size_t size, const void *defaults, size_t full) {
    memset(out, 0, size);
    memcpy(out, defaults, size < full ? size : full);
}
void api_copy_sized(void *out, size_t full, const void *in, size_t size) {
    size_t n = size < full ? size : full;
    memcpy(out, in, n);
    memcpy(out, &full, sizeof full);
}
size_t api_str_len(gllm_str s) { return !s.ptr ? 0 : s.len == GLLM_NTS ? strlen(s.ptr) : s.len; }

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

static gllm_status start_engine(gllm_client *c, const gllm_options *o, struct model *m, gllm_error *err) {
    struct engine_options e = {.max_batch_tokens = o->max_batch_tokens ? o->max_batch_tokens : DEFAULT_BATCH_TOKENS,
                               .max_queue = o->max_queue ? o->max_queue : DEFAULT_QUEUE, .n_ctx = api_context(o, m)};
    struct backend *be = m->backend;
    gllm_status status = api_kv_dtype(o, m, &e.kv_dtype, err);
    if (status == GLLM_OK) return engine_open(&c->engine, m, be, &e, err);
    model_close(m);
    be->ops->close(be);
    return status;
}

static gllm_status open_model(gllm_client *c, const gllm_options *o, gllm_error *err) {
    struct model *m;
    TRY(api_model_open(o, c->path, &c->log, &m, err));
    c->backend = m->backend->ops->name;
    m->backend->ops->describe(m->backend, &c->caps);
    c->caps.detail[strcspn(c->caps.detail, ",")] = '\0'; /* "avx512, 2 threads": threads has its own field */
    return start_engine(c, o, m, err);
}

gllm_status gllm_client_open(gllm_client **out, const gllm_options *opt, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_client_open: out is NULL");
    *out = NULL;
    if (!opt || !opt->struct_size) return err_set(err, GLLM_INVALID, "gllm_client_open: options were not set by gllm_options_init");
    gllm_options o;
    gllm_options_init(&o);
    api_copy_sized(&o, sizeof o, opt, opt->struct_size);
    double start = clock_ms();
    gllm_client *c = calloc(1, sizeof *c);
    if (!c) return err_nomem(err, "client");
    c->log = (struct log){o.log, o.log_user};
    gllm_status status = api_locate(&o, &c->path, err);
    if (status == GLLM_OK && !(c->name = strdup(o.model))) status = err_nomem(err, "client");
    if (status == GLLM_OK) status = open_model(c, &o, err);
    if (status != GLLM_OK) {
        gllm_client_close(c);
        return status;
    }
    c->load_ms = clock_ms() - start;
    *out = c;
    return GLLM_OK;
}

void gllm_client_close(gllm_client *c) {
    if (!c) return;
    engine_close(c->engine);
    free(c->name);
    free(c->path);
    free(c);
}

gllm_status api_check_name(const gllm_client *c, const char *name, gllm_error *err) {
    return !name || !strcmp(name, c->name) ? GLLM_OK : err_set(err, GLLM_NOT_FOUND, "model \"%.120s\" is not open here; \"%.120s\" is", name, c->name);
}

gllm_status gllm_client_describe(gllm_client *c, const char *model, gllm_client_info *out, gllm_error *err) {
    if (!c || !out || !out->struct_size) return err_set(err, GLLM_INVALID, "gllm_client_describe: a client and out with its struct_size set are required");
    TRY(api_check_name(c, model, err));
    TRY(engine_enter(c->engine, err));
    const struct model *m = engine_model(c->engine);
    gllm_client_info info = {.struct_size = out->struct_size, .model = c->name, .path = c->path, .backend = c->backend, .device = c->caps.device, .isa = c->caps.detail,
                             .precision = c->caps.precision, .threads = c->caps.threads, .dim = m->head.dim, .max_tokens = m->files.max_tokens, .normalize = m->head.normalize, .load_ms = c->load_ms,
                             .n_ctx = model_files_cached(&m->files) ? engine_context(c->engine) : 0};
    memcpy(out, &info, out->struct_size < sizeof info ? out->struct_size : sizeof info);
    engine_leave(c->engine);
    return GLLM_OK;
}
