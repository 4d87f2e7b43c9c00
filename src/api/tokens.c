#include <stdlib.h>
#include <string.h>

#include "api/api.h"

void gllm_tokenize_request_init_sized(gllm_tokenize_request *r, size_t size) {
    gllm_tokenize_request full = {.struct_size = size};
    memset(r, 0, size);
    memcpy(r, &full, size < sizeof full ? size : sizeof full);
}

static gllm_tokens *result(const struct tokenizer *t, const struct encoding *e) {
    size_t n = e->count;
    gllm_tokens *r = calloc(1, sizeof *r + n * (sizeof(gllm_str) + sizeof(uint32_t) + sizeof(int32_t)));
    if (!r) return NULL;
    gllm_str *pieces = (gllm_str *)(void *)(r + 1);
    uint32_t *types = (uint32_t *)(void *)(pieces + n);
    int32_t *ids = (int32_t *)(void *)(types + n);
    for (size_t i = 0; i < n; i++) {
        ids[i] = e->ids[i];
        types[i] = e->types[i];
        pieces[i].ptr = tokenizer_piece(t, ids[i], &pieces[i].len);
    }
    r->count = n, r->ids = ids, r->types = types, r->pieces = pieces;
    return r;
}

static gllm_status tokenize(gllm_client *c, const gllm_tokenize_request *request, gllm_tokens **out, gllm_error *err) {
    gllm_tokenize_request r;
    gllm_tokenize_request_init(&r);
    api_copy_sized(&r, sizeof r, request, request->struct_size);
    const struct model_files *f = &engine_model(c->engine)->files;
    struct encode_options opt = {.add_special = !r.no_special, .parse_special = r.parse_special, .lowercase = f->dir.do_lower_case};
    struct encoding e = {0};
    gllm_status status = tokenizer_encode(f->tokenizer, r.text.ptr ? r.text.ptr : "", api_str_len(r.text), r.pair.ptr, api_str_len(r.pair), &opt, &e, err);
    if (status == GLLM_OK && !(*out = result(f->tokenizer, &e))) status = err_nomem(err, "tokens");
    encoding_free(&e);
    return status;
}

gllm_status gllm_tokenize(gllm_client *c, const gllm_tokenize_request *request, gllm_tokens **out, gllm_error *err) {
    if (!c || !request || !request->struct_size || !out) return err_set(err, GLLM_INVALID, "gllm_tokenize: a client, a request set by gllm_tokenize_request_init and out are required");
    *out = NULL;
    TRY(engine_enter(c->engine, err));
    gllm_status status = tokenize(c, request, out, err);
    engine_leave(c->engine);
    return status;
}
void gllm_tokens_free(gllm_tokens *t) { free(t); }

gllm_status gllm_detokenize(gllm_client *c, const int32_t *ids, size_t n_ids, bool keep_special, char **out, gllm_error *err) {
    if (!c || !out || (n_ids && !ids)) return err_set(err, GLLM_INVALID, "gllm_detokenize: a client, ids and out are required");
    size_t len;
    *out = NULL;
    TRY(engine_enter(c->engine, err));
    gllm_status status = tokenizer_decode(engine_model(c->engine)->files.tokenizer, ids, n_ids, !keep_special, out, &len, err);
    engine_leave(c->engine);
    return status;
}
void gllm_text_free(char *text) { free(text); }
