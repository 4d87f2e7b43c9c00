/* api.h - what the files behind gllm.h share. Only this layer touches public structs and reads the environment. */
#ifndef GLLM_API_API_H
#define GLLM_API_API_H
#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/generate.h"
#include "text/chat.h"

static inline const char *env(const char *name) { /* NULL: not set, or empty */
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}
/* What every *_init_sized does: a caller's struct of `size` bytes becomes the defaults [full], zeros beyond what this library knows. */
void api_init_sized(void *out, size_t size, const void *defaults, size_t full);
/* Copies min(size, sizeof) of a caller's struct over defaults already in `out`: how older callers stay compatible. GLLM_UNSUPPORTED: a newer one's `name`
 * has a field set that this library does not know. */
gllm_status api_copy_sized(const char *name, void *out, size_t full, const void *in, size_t size, gllm_error *err);
uint32_t api_batch_tokens(const gllm_options *o); /* opt->max_batch_tokens, or the default for 0 */
size_t api_str_len(gllm_str s); /* NULL is the empty text, whatever its length says */
gllm_str *api_strs(struct arena *a, const gllm_str *texts, size_t n); /* with their lengths; NULL: out of memory */
/* opt->home, else $GLLM_HOME, else ~/.gllm; owned by the caller (free). */
gllm_status api_home(const char *home, char **out, gllm_error *err);
struct api_places { /* where models lie; owned, api_places_free also after an error */
    char *home;  /* api_home */
    char *cache; /* of Hugging Face */
};
gllm_status api_places(const char *home, struct api_places *out, gllm_error *err);
void api_places_free(struct api_places *p);
gllm_status api_locate(const gllm_options *o, char **path, gllm_error *err); /* where opt->model lies, fetched if need be; *path owned (free) */
/* opt->model from a hub, when the options and the environment let it be fetched; `err` says already that it is not here. */
gllm_status api_fetch(const gllm_options *o, const char *home, char **path, gllm_error *err);
const char *api_backend(const gllm_options *o); /* opt->backend, else $GLLM_BACKEND, else "auto" */
uint32_t api_context(const gllm_options *o, const struct model *m); /* tokens that a generator's cache holds; tells the log of a cut */
/* What a generator's cache holds, told to the model's log where it is q8_0. GLLM_INVALID, GLLM_UNSUPPORTED as gllm_kv_cache says. */
gllm_status api_kv_dtype(const gllm_options *o, const struct model *m, enum dtype *out, gllm_error *err);
uint32_t api_max_queue(const gllm_options *o);
gllm_status api_engine_options(const gllm_options *o, const struct model *m, struct engine_options *out, gllm_error *err); /* all of them; errors of api_kv_dtype */
/* What a model takes on a device: weights, the buffers of a forward of ctx tokens in `batch` sequences (0: the defaults), and a generator's cache.
 * GLLM_INVALID: too many tokens; errors of api_kv_dtype. */
gllm_status api_plan(const gllm_options *o, const struct model *m, const struct backend_ops *ops, uint32_t ctx, uint32_t batch, gllm_memory_plan *out, gllm_error *err);
const char *api_task(const struct model_files *f); /* "embed" "rerank" "classify" "generate"; static */
/* Reads a model's files with what the registry knows of a model that lies there. */
gllm_status api_files_open(struct model_files *f, const char *path, const struct log *log, gllm_error *err);
/* Opens the backend that `o` asks for, then the model of directory `path` on it. The caller closes the model, then (*m)->backend. */
gllm_status api_model_open(const gllm_options *o, const char *path, const struct log *log, struct model **m, gllm_error *err);
/* The request's messages as the model's chat template writes them (jinja_text_free), and the tokens of that text: special ones are read only
 * in what the template wrote. */
gllm_status api_chat_render(const struct model *m, const gllm_generate_request *r, struct jinja_text *out, gllm_error *err);
gllm_status api_chat_encode(const struct model *m, const struct jinja_text *text, struct encoding *out, gllm_error *err);
#endif
