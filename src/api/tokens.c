#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/client.h"

void gllm_tokenize_request_init_sized(gllm_tokenize_request *r, size_t size) {
    const gllm_tokenize_request full = {.struct_size = size};
    api_init_sized(r, size, &full, sizeof full);
}

static gllm_str piece_of(const struct tokenizer *t, int32_t id) {
    gllm_str s = {0};
    s.ptr = tokenizer_piece(t, id, &s.len);
    return s;
}

/* One block: the struct, then the lists, then the bytes of the pieces. */
static gllm_tokens *result(const struct tokenizer *t, const struct encoding *e) {
    const size_t n = e->count;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += piece_of(t, e->ids[i]).len;
    gllm_tokens *r = calloc(1, sizeof *r + n * (sizeof(gllm_str) + sizeof(uint32_t) + sizeof(int32_t)) + bytes);
    if (!r) return NULL;
    gllm_str *pieces = (gllm_str *)(void *)(r + 1);
    uint32_t *types = (uint32_t *)(void *)(pieces + n);
    int32_t *ids = (int32_t *)(void *)(types + n);
    char *text = (char *)(ids + n);
    for (size_t i = 0; i < n; i++) {
        ids[i] = e->ids[i];
        types[i] = e->types[i];
        const gllm_str piece = piece_of(t, ids[i]);
        pieces[i] = (gllm_str){text, piece.len};
        if (piece.len) memcpy(text, piece.ptr, piece.len);
        text += piece.len;
    }
    r->count = n, r->ids = ids, r->types = types, r->pieces = pieces;
    return r;
}

static gllm_status tokenize(const struct model_files *f, const gllm_tokenize_request *r, gllm_tokens **out, gllm_error *err) {
    struct encode_options opt = {.add_special = !r->no_special, .parse_special = r->parse_special, .lowercase = f->dir.do_lower_case};
    struct encoding e = {0};
    gllm_status status = tokenizer_encode(f->tokenizer, r->text.ptr ? r->text.ptr : "", api_str_len(r->text), r->pair.ptr, api_str_len(r->pair), &opt, &e, err);
    if (status == GLLM_OK && !(*out = result(f->tokenizer, &e))) status = err_nomem(err, "tokens");
    encoding_free(&e);
    return status;
}

gllm_status gllm_tokenize(gllm_client *c, const gllm_tokenize_request *request, gllm_tokens **out, gllm_error *err) {
    gllm_tokenize_request r;
    struct use u;
    if (!out) return err_set(err, GLLM_INVALID, "gllm_tokenize: out is NULL");
    *out = NULL;
    if (!c || !request || !request->struct_size) return err_set(err, GLLM_INVALID, "gllm_tokenize: a client and a request set by gllm_tokenize_request_init are required");
    gllm_tokenize_request_init(&r);
    TRY(api_copy_sized("gllm_tokenize_request", &r, sizeof r, request, request->struct_size, err));
    TRY(client_use(c, r.model, &u, err));
    gllm_status status = tokenize(&u.model->files, &r, out, err);
    client_release(&u);
    return status;
}
void gllm_tokens_free(gllm_tokens *t) { free(t); }

gllm_status gllm_detokenize(gllm_client *c, const char *model, const int32_t *ids, size_t n_ids, bool keep_special, char **out, gllm_error *err) {
    if (!out) return err_set(err, GLLM_INVALID, "gllm_detokenize: out is NULL");
    struct use u;
    size_t len;
    *out = NULL;
    if (!c || (n_ids && !ids)) return err_set(err, GLLM_INVALID, "gllm_detokenize: a client and ids are required");
    TRY(client_use(c, model, &u, err));
    gllm_status status = tokenizer_decode(u.model->files.tokenizer, ids, n_ids, !keep_special, out, &len, err);
    client_release(&u);
    return status;
}
void gllm_text_free(char *text) { free(text); }
