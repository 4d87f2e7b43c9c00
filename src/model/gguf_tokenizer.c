#include "model/gguf_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "format/gguf.h"

enum { NAME_ROOM = 64 };
struct lists { /* what the tables borrow */
    struct tokenizer_str *tokens, *merges;
    float *scores;
    int32_t *types;
    char model[NAME_ROOM], pre[NAME_ROOM];
};

static gllm_status strings(const struct gguf *g, const char *key, const char *name, struct tokenizer_str **out, size_t *n, gllm_error *err) {
    struct gguf_array a = {0};
    struct gguf_str s;
    bool found = false;
    TRY(gguf_array(g, key, &a, &found, err));
    if (!found) return GLLM_OK;
    if (a.type != GGUF_STRING) return err_set(err, GLLM_FORMAT, "%s: %s: found %s, expected strings", name, key, gguf_type_name(a.type));
    *out = malloc((a.count + 1) * sizeof **out);
    if (!*out) return err_nomem(err, name);
    for (*n = 0; gguf_next_str(&a, &s); ++*n) (*out)[*n] = (struct tokenizer_str){s.data, s.len};
    return GLLM_OK;
}

/* An array of one number a token. */
static gllm_status numbers(const struct gguf *g, const char *key, const char *name, size_t n, struct gguf_array *a, bool *found, gllm_error *err) {
    TRY(gguf_array(g, key, a, found, err));
    if (*found && a->count != n) return err_set(err, GLLM_FORMAT, "%s: %s: found %llu, expected %zu: one a token", name, key, (unsigned long long)a->count, n);
    return GLLM_OK;
}

static gllm_status scores_and_types(const struct gguf *g, const char *name, size_t n, struct lists *l, gllm_error *err) {
    struct gguf_array a;
    bool found;
    TRY(numbers(g, "tokenizer.ggml.scores", name, n, &a, &found, err));
    if (found && !(l->scores = malloc((n + 1) * sizeof *l->scores))) return err_nomem(err, name);
    for (size_t i = 0; found && i < n; i++) {
        double v;
        if (!gguf_at_f64(&a, i, &v)) return err_set(err, GLLM_FORMAT, "%s: tokenizer.ggml.scores: found %s, expected numbers", name, gguf_type_name(a.type));
        l->scores[i] = (float)v;
    }
    TRY(numbers(g, "tokenizer.ggml.token_type", name, n, &a, &found, err));
    if (found && !(l->types = malloc((n + 1) * sizeof *l->types))) return err_nomem(err, name);
    for (size_t i = 0; found && i < n; i++) {
        int64_t v;
        if (!gguf_at_i64(&a, i, &v) || v < 0 || v > 6) return err_set(err, GLLM_FORMAT, "%s: tokenizer.ggml.token_type[%zu]: expected 0 to 6", name, i);
        l->types[i] = (int32_t)v;
    }
    return GLLM_OK;
}

static gllm_status text(const struct gguf *g, const char *key, char out[NAME_ROOM], bool *found, gllm_error *err) {
    struct gguf_str s = {0};
    TRY(gguf_str(g, key, &s, found, err));
    size_t n = s.len < NAME_ROOM - 1 ? s.len : NAME_ROOM - 1;
    if (*found) memcpy(out, s.data, n), out[n] = '\0';
    return GLLM_OK;
}

static gllm_status id_of(const struct gguf *g, const char *key, int32_t *out, gllm_error *err) {
    uint64_t v = 0;
    bool found = false;
    *out = -1;
    const struct gguf_entry *e = gguf_find(g, key);
    int64_t signed_value;
    if (e && gguf_at_i64(&e->value, 0, &signed_value) && signed_value < 0) return GLLM_OK; /* -1: none */
    TRY(gguf_u64(g, key, &v, &found, err));
    if (found && v <= INT32_MAX) *out = (int32_t)v;
    return GLLM_OK;
}

static gllm_status flag(const struct gguf *g, const char *key, int *out, gllm_error *err) {
    bool v = false, found = false;
    TRY(gguf_bool(g, key, &v, &found, err));
    *out = found ? v : -1;
    return GLLM_OK;
}

static gllm_status fill(const struct gguf *g, const char *name, struct lists *l, struct tokenizer_tables *t, gllm_error *err) {
    bool found;
    TRY(text(g, "tokenizer.ggml.model", l->model, &found, err));
    if (!found) return err_set(err, GLLM_FORMAT, "%s: tokenizer.ggml.model: found nothing, expected gpt2, llama, t5 or bert", name);
    t->model = l->model;
    TRY(text(g, "tokenizer.ggml.pre", l->pre, &found, err));
    t->pre = found ? l->pre : NULL;
    TRY(strings(g, "tokenizer.ggml.tokens", name, &l->tokens, &t->n_tokens, err));
    TRY(strings(g, "tokenizer.ggml.merges", name, &l->merges, &t->n_merges, err));
    TRY(scores_and_types(g, name, t->n_tokens, l, err));
    t->tokens = l->tokens, t->merges = l->merges, t->scores = l->scores, t->types = l->types;
    const struct {
        const char *key;
        int32_t *to;
    } IDS[] = {{"tokenizer.ggml.bos_token_id", &t->bos}, {"tokenizer.ggml.eos_token_id", &t->eos}, {"tokenizer.ggml.unknown_token_id", &t->unk}, {"tokenizer.ggml.seperator_token_id", &t->sep},
               {"tokenizer.ggml.padding_token_id", &t->pad}, {"tokenizer.ggml.cls_token_id", &t->cls}};
    for (unsigned i = 0; i < sizeof IDS / sizeof *IDS; i++) TRY(id_of(g, IDS[i].key, IDS[i].to, err));
    const struct {
        const char *key;
        int *to;
    } FLAGS[] = {{"tokenizer.ggml.add_bos_token", &t->add_bos}, {"tokenizer.ggml.add_eos_token", &t->add_eos}, {"tokenizer.ggml.add_sep_token", &t->add_sep}, {"tokenizer.ggml.add_space_prefix", &t->add_space_prefix},
                 {"tokenizer.ggml.normalizer.lowercase", &t->lowercase}, {"tokenizer.ggml.normalizer.strip_accents", &t->strip_accents}};
    for (unsigned i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++) TRY(flag(g, FLAGS[i].key, FLAGS[i].to, err));
    TRY(gguf_bool(g, "tokenizer.ggml.remove_extra_whitespaces", &t->remove_extra_whitespaces, NULL, err));
    struct gguf_array map = {0};
    TRY(gguf_array(g, "tokenizer.ggml.precompiled_charsmap", &map, &found, err));
    if (found && map.type != GGUF_U8 && map.type != GGUF_I8) return err_set(err, GLLM_FORMAT, "%s: tokenizer.ggml.precompiled_charsmap: found %s, expected bytes", name, gguf_type_name(map.type));
    if (found) t->charsmap = (const char *)map.data, t->charsmap_len = map.bytes;
    return GLLM_OK;
}

gllm_status gguf_tokenizer(struct tokenizer **out, const struct weights *w, const char *name, gllm_error *err) {
    struct lists l = {0};
    struct tokenizer_tables t = {0};
    *out = NULL;
    gllm_status status = fill(weights_gguf(w), name, &l, &t, err);
    if (status == GLLM_OK) status = tokenizer_from_tables(out, &t, name, err);
    free(l.tokens);
    free(l.merges);
    free(l.scores);
    free(l.types);
    return status;
}
