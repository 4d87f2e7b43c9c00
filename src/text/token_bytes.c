#include "text/token_bytes.h"

#include <stdlib.h>
#include <string.h>

#include "text/impl.h"

enum { LONGEST = 4096 }; /* a longer token is left out: no grammar step takes it */

/* ---- bytes ---- */

static gllm_status read_bytes(struct token_table *t, const struct tokenizer *tok, bool first, gllm_error *err) {
    struct textbuf text = {0};
    struct decoding *d = decoding_open(tok->decoder, &text);
    const uint32_t n = tokenizer_vocab_size(tok);
    t->at = malloc(((size_t)n + 1) * sizeof *t->at);
    for (uint32_t id = 0; d && t->at && id < n; id++) {
        size_t len;
        bool special = false;
        const char *piece = tokenizer_piece(tok, (int32_t)id, &len);
        t->at[id] = (uint32_t)text.len;
        if (!piece) continue;
        added_form(tok->added, (int32_t)id, &special, &piece, &len);
        if (!special) decoding_token(d, first, piece, len);
        if (text.len - t->at[id] > LONGEST) text.len = t->at[id];
    }
    const bool whole = d && t->at && !text.failed && text.len < UINT32_MAX;
    decoding_close(d);
    t->text = text.data; /* moves */
    if (!whole) return err_nomem(err, "token bytes");
    t->at[n] = (uint32_t)text.len;
    t->n = n;
    return GLLM_OK;
}

static bool same_bytes(const struct token_table *a, const struct token_table *b) {
    return !memcmp(a->at, b->at, ((size_t)a->n + 1) * sizeof *a->at) && (!a->at[a->n] || !memcmp(a->text, b->text, a->at[a->n]));
}

/* ---- trie ---- */

struct key {
    const char *text;
    uint32_t len;
    int32_t id;
};

static int by_bytes(const void *x, const void *y) {
    const struct key *a = x, *b = y;
    const int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    if (order) return order;
    return a->len != b->len ? (a->len < b->len ? -1 : 1) : (a->id > b->id) - (a->id < b->id);
}

static uint32_t shared(const struct key *a, const struct key *b) {
    uint32_t n = 0;
    while (n < a->len && n < b->len && a->text[n] == b->text[n]) n++;
    return n;
}

/* Nodes in preorder from sorted keys. `open` holds the path to the last key. */
static void fill_nodes(struct token_table *t, const struct key *keys, uint32_t n, uint32_t *open) {
    uint32_t depth = 0;
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t keep = k ? shared(&keys[k - 1], &keys[k]) : 0;
        for (; depth > keep; depth--) t->nodes[open[depth - 1]].skip = t->n_nodes;
        for (; depth < keys[k].len; depth++) {
            open[depth] = t->n_nodes;
            t->nodes[t->n_nodes++] = (struct token_node){.first = k, .depth = (uint16_t)(depth + 1), .byte = (uint8_t)keys[k].text[depth]};
        }
        t->ids[k] = keys[k].id;
        if (keys[k].len > t->longest) t->longest = keys[k].len;
    }
    for (; depth; depth--) t->nodes[open[depth - 1]].skip = t->n_nodes;
    t->nodes[t->n_nodes] = (struct token_node){.first = n, .skip = t->n_nodes};
}

static gllm_status build_trie(struct token_table *t, gllm_error *err) {
    struct key *keys = malloc(((size_t)t->n + 1) * sizeof *keys);
    uint32_t *open = malloc(LONGEST * sizeof *open), n = 0, n_nodes = 0;
    gllm_status status = GLLM_OK;
    if (!keys || !open) {
        status = err_nomem(err, "token bytes");
        goto done;
    }
    for (uint32_t id = 0; id < t->n; id++)
        if (t->at[id + 1] > t->at[id]) keys[n++] = (struct key){t->text + t->at[id], t->at[id + 1] - t->at[id], (int32_t)id};
    qsort(keys, n, sizeof *keys, by_bytes);
    for (uint32_t k = 0; k < n; k++) n_nodes += keys[k].len - (k ? shared(&keys[k - 1], &keys[k]) : 0);
    t->nodes = malloc(((size_t)n_nodes + 1) * sizeof *t->nodes);
    t->ids = malloc(((size_t)n + 1) * sizeof *t->ids);
    if (t->nodes && t->ids) fill_nodes(t, keys, n, open);
    else status = err_nomem(err, "token bytes");
done:
    free(keys);
    free(open);
    return status;
}

static void table_free(struct token_table *t) {
    free(t->at);
    free(t->text);
    free(t->nodes);
    free(t->ids);
    *t = (struct token_table){0};
}

gllm_status token_bytes_open(struct token_bytes **out, const struct tokenizer *t, gllm_error *err) {
    *out = NULL;
    if (!decoder_by_token(t->decoder)) return err_set(err, GLLM_UNSUPPORTED, "this tokenizer's decoder joins tokens in a way that a grammar cannot follow");
    struct token_bytes *b = calloc(1, sizeof *b);
    gllm_status status = b ? GLLM_OK : err_nomem(err, "token bytes");
    if (status == GLLM_OK) status = read_bytes(&b->later, t, false, err);
    if (status == GLLM_OK) status = read_bytes(&b->first, t, true, err);
    if (status == GLLM_OK) status = build_trie(&b->later, err);
    if (status == GLLM_OK && same_bytes(&b->later, &b->first)) table_free(&b->first);
    else if (status == GLLM_OK) status = build_trie(&b->first, err);
    if (status != GLLM_OK) token_bytes_close(b);
    else *out = b;
    return status;
}

void token_bytes_close(struct token_bytes *b) {
    if (!b) return;
    table_free(&b->later);
    table_free(&b->first);
    free(b);
}
