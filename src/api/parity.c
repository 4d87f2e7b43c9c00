#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "engine/embed.h"
#include "backend/trace.h"

static void close_model(struct model *m) {
    if (!m) return;
    struct backend *be = m->backend;
    model_close(m);
    be->ops->close(be);
}

/* One forward on either model: their tapes then hold the same step. */
static gllm_status run_both(struct model *a, struct model *b, gllm_str text, gllm_error *err) {
    const struct model_files *f = &a->files;
    struct encode_options opt = {.add_special = true, .parse_special = true, .lowercase = f->dir.do_lower_case, .max_tokens = f->max_tokens};
    struct encoding e = {0};
    const enum pool_kind pooling = a->files.generates ? POOL_LAST : 0;
    uint32_t dim;
    float *out = NULL;
    gllm_status status = tokenizer_encode(f->tokenizer, text.ptr ? text.ptr : "", api_str_len(text), NULL, 0, &opt, &e, err);
    if (status != GLLM_OK) goto done;
    if (!e.count) status = err_set(err, GLLM_INVALID, "parity: the text has no tokens");
    else status = embed_dim(a, pooling, &dim, err);
    if (status == GLLM_OK && !(out = malloc((size_t)dim * sizeof *out))) status = err_nomem(err, "parity");
    if (status != GLLM_OK) goto done;
    const uint32_t starts[] = {0, (uint32_t)e.count}, pool_from = 0;
    const struct batch batch = {.n_tok = (uint32_t)e.count, .n_seq = 1, .tokens = e.ids, .types = e.types, .starts = starts, .pool_from = &pool_from};
    status = model_run(a, &batch, pooling, out, err);
    if (status == GLLM_OK) status = model_run(b, &batch, pooling, out, err);
done:
    free(out);
    encoding_free(&e);
    return status;
}

gllm_status gllm_check_parity(const gllm_options *opt, gllm_str text, double bound, gllm_parity *out, gllm_error *err) {
    if (!opt || !opt->struct_size || !out || !out->struct_size)
        return err_set(err, GLLM_INVALID, "gllm_check_parity: options set by gllm_options_init and out->struct_size are required");
    gllm_options o, reference;
    gllm_options_init(&o);
    TRY(api_copy_sized("gllm_options", &o, sizeof o, opt, opt->struct_size, err));
    reference = o;
    reference.backend = "ref", reference.precision = GLLM_PRECISION_F32, reference.log = NULL;
    const struct log log = {o.log, o.log_user}, silent = {0};
    gllm_parity answer = {.struct_size = out->struct_size};
    struct trace_drift d;
    struct model *a = NULL, *b = NULL;
    char *path = NULL;
    gllm_status status = api_locate(&o, &path, err);
    if (status == GLLM_OK) status = api_model_open(&o, path, &log, &a, err);
    if (status == GLLM_OK) status = api_model_open(&reference, path, &silent, &b, err);
    if (status == GLLM_OK) status = run_both(a, b, text, err);
    if (status == GLLM_OK)
        status = trace_compare(a->backend, model_tape(a), b->backend, model_tape(b), bound, &d, answer.message, sizeof answer.message, err);
    if (status == GLLM_OK) {
        answer.drifts = d.op != SIZE_MAX;
        answer.worst = d.worst;
        memcpy(out, &answer, out->struct_size < sizeof answer ? out->struct_size : sizeof answer);
    }
    close_model(a);
    close_model(b);
    free(path);
    return status;
}
