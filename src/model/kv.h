/* kv.h - who owns which page of the cache. Pages are numbers here; their contents are the device's.
 *
 * A sequence holds pages of KV_PAGE tokens by reference. A sequence that ends may be kept: a later one that begins with the same tokens takes
 * over the pages of the common prefix and computes only the rest. A page that two sequences share is copied before one of them writes to
 * it. When pages run out, kept sequences go, the one longest unused first.
 * Thread rule: one owner. Memory: kv_close frees all. */
#ifndef GLLM_MODEL_KV_H
#define GLLM_MODEL_KV_H
#include "backend/tape.h"

struct kv;
static inline uint32_t kv_pages_for(uint32_t n_tok) { return n_tok / KV_PAGE + (n_tok % KV_PAGE != 0); } /* that hold n_tok tokens */
struct kv_seq { /* read only for others */
    uint32_t *pages, n_pages;
    int32_t *tokens; /* [n_tok] what the pages hold */
    uint32_t n_tok, n_shared; /* n_shared: tokens taken over at the start */
    uint32_t page_room, token_room;
    struct kv_seq *next, *previous; /* kept sequences, most recent first */
};
struct kv_copy { /* before the next write: page `to` becomes a copy of page `from` */
    uint32_t from, to;
    bool needed;
};
gllm_status kv_open(struct kv **out, uint32_t n_pages, gllm_error *err);
void kv_close(struct kv *kv); /* every sequence was ended before; NULL ok */
/* A sequence about to hold tokens[0..n): takes over the longest kept prefix of at most n - 1 tokens (the last one is computed anew). */
gllm_status kv_begin(struct kv *kv, const int32_t *tokens, uint32_t n, struct kv_seq **out, gllm_error *err);
/* Room for n more tokens, which are noted; *copy says what the device has to do first. GLLM_TOO_LONG: no pages left, nothing changed. */
gllm_status kv_append(struct kv *kv, struct kv_seq *s, const int32_t *tokens, uint32_t n, struct kv_copy *copy, gllm_error *err);
gllm_status kv_fork(struct kv *kv, const struct kv_seq *from, struct kv_seq **out, gllm_error *err); /* shares all pages */
void kv_truncate(struct kv *kv, struct kv_seq *s, uint32_t n_tok); /* forgets the tokens from n_tok on */
void kv_end(struct kv *kv, struct kv_seq *s, bool keep); /* NULL ok */
uint32_t kv_need(const struct kv *kv, const struct kv_seq *s, uint32_t n); /* pages that kv_append of n tokens takes of the free ones */
uint32_t kv_free_pages(const struct kv *kv); /* those that only kept sequences hold counted as free */
uint32_t kv_pages(const struct kv *kv);
#endif
