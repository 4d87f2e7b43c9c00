#include "model/kv.h"

#include <stdlib.h>
#include <string.h>

struct kv {
    uint32_t n_pages, n_free;
    uint32_t *free;   /* [n_free] a stack */
    uint32_t *refs;   /* [n_pages] sequences that hold it */
    uint32_t *kept;   /* [n_pages] those of them that are kept */
    uint32_t n_idle;  /* pages that only kept sequences hold */
    struct kv_seq *newest, *oldest; /* kept */
};

gllm_status kv_open(struct kv **out, uint32_t n_pages, gllm_error *err) {
    *out = NULL;
    struct kv *kv = calloc(1, sizeof *kv);
    if (kv) kv->free = calloc(n_pages, sizeof *kv->free), kv->refs = calloc(n_pages, sizeof *kv->refs), kv->kept = calloc(n_pages, sizeof *kv->kept);
    if (!kv || !kv->free || !kv->refs || !kv->kept) {
        kv_close(kv);
        return err_nomem(err, "cache pages");
    }
    kv->n_pages = kv->n_free = n_pages;
    for (uint32_t i = 0; i < n_pages; i++) kv->free[i] = n_pages - 1 - i; /* page 0 first: a short use touches little memory */
    *out = kv;
    return GLLM_OK;
}

/* A page's holders change: so many more of them, and of those that are kept. */
static void hold_page(struct kv *kv, uint32_t page, int holders, int kept) {
    uint32_t *refs = &kv->refs[page], *of_kept = &kv->kept[page];
    kv->n_idle -= *refs && *refs == *of_kept;
    *refs += (uint32_t)holders;
    *of_kept += (uint32_t)kept;
    kv->n_idle += *refs && *refs == *of_kept;
}

static void drop_page(struct kv *kv, uint32_t page) {
    hold_page(kv, page, -1, 0);
    if (!kv->refs[page]) kv->free[kv->n_free++] = page;
}

static void keep_pages(struct kv *kv, const struct kv_seq *s, int kept) {
    for (uint32_t i = 0; i < s->n_pages; i++) hold_page(kv, s->pages[i], 0, kept);
}

static void seq_free(struct kv *kv, struct kv_seq *s) {
    for (uint32_t i = 0; i < s->n_pages; i++) drop_page(kv, s->pages[i]);
    free(s->pages);
    free(s->tokens);
    free(s);
}

static void unlink_kept(struct kv *kv, struct kv_seq *s) {
    *(s->previous ? &s->previous->next : &kv->newest) = s->next;
    *(s->next ? &s->next->previous : &kv->oldest) = s->previous;
    s->next = s->previous = NULL;
}

/* As the most recent one. */
static void link_kept(struct kv *kv, struct kv_seq *s) {
    s->next = kv->newest;
    *(kv->newest ? &kv->newest->previous : &kv->oldest) = s;
    kv->newest = s;
}

/* Frees the kept sequence that was unused the longest. */
static void forget(struct kv *kv) {
    struct kv_seq *s = kv->oldest;
    unlink_kept(kv, s);
    keep_pages(kv, s, -1);
    seq_free(kv, s);
}

void kv_close(struct kv *kv) {
    if (!kv) return;
    while (kv->oldest) forget(kv);
    free(kv->free);
    free(kv->refs);
    free(kv->kept);
    free(kv);
}


/* The last page of s is partly full and also another's: it has to be copied before it is written. */
static bool tail_shared(const struct kv *kv, const struct kv_seq *s) { return s->n_tok % KV_PAGE && kv->refs[s->pages[s->n_pages - 1]] > 1; }

/* Frees kept sequences until s can have `need` more pages; false when they do not suffice. */
static bool make_room(struct kv *kv, const struct kv_seq *s, uint32_t need) {
    while (kv->n_free < need + tail_shared(kv, s) && kv->oldest) forget(kv);
    return kv->n_free >= need + tail_shared(kv, s);
}

static bool grow(struct kv_seq *s, uint32_t n_pages, uint32_t n_tok) {
    if (n_pages > s->page_room) {
        uint32_t room = n_pages + n_pages / 2 + 4, *pages = realloc(s->pages, room * sizeof *pages);
        if (!pages) return false;
        s->pages = pages;
        s->page_room = room;
    }
    if (n_tok > s->token_room) {
        uint32_t room = n_tok + n_tok / 2 + KV_PAGE;
        int32_t *tokens = realloc(s->tokens, room * sizeof *tokens);
        if (!tokens) return false;
        s->tokens = tokens;
        s->token_room = room;
    }
    return true;
}

/* The first n_tok tokens of `from`, its pages shared. */
static gllm_status share(struct kv *kv, const struct kv_seq *from, uint32_t n_tok, struct kv_seq **out, gllm_error *err) {
    struct kv_seq *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s || !grow(s, kv_pages_for(n_tok), n_tok)) {
        if (s) seq_free(kv, s);
        return err_nomem(err, "sequence");
    }
    s->n_tok = s->n_shared = n_tok;
    s->n_pages = kv_pages_for(n_tok);
    for (uint32_t i = 0; i < s->n_pages; i++) hold_page(kv, s->pages[i] = from->pages[i], 1, 0);
    if (n_tok) memcpy(s->tokens, from->tokens, n_tok * sizeof *s->tokens);
    *out = s;
    return GLLM_OK;
}

gllm_status kv_begin(struct kv *kv, const int32_t *tokens, uint32_t n, struct kv_seq **out, gllm_error *err) {
    struct kv_seq *best = NULL;
    uint32_t longest = 0;
    for (struct kv_seq *s = kv->newest; s; s = s->next) {
        uint32_t k = 0, most = n ? n - 1 : 0;
        if (s->n_tok < most) most = s->n_tok;
        while (k < most && s->tokens[k] == tokens[k]) k++;
        if (k > longest) longest = k, best = s;
    }
    if (best) { /* used now */
        unlink_kept(kv, best);
        link_kept(kv, best);
    }
    return share(kv, best ? best : &(struct kv_seq){0}, longest, out, err);
}

gllm_status kv_fork(struct kv *kv, const struct kv_seq *from, struct kv_seq **out, gllm_error *err) { return share(kv, from, from->n_tok, out, err); }

gllm_status kv_append(struct kv *kv, struct kv_seq *s, const int32_t *tokens, uint32_t n, struct kv_copy *copy, gllm_error *err) {
    *copy = (struct kv_copy){0};
    if (n > UINT32_MAX - s->n_tok) return err_set(err, GLLM_TOO_LONG, "a sequence of more than 2^32 tokens");
    const uint32_t need = kv_pages_for(s->n_tok + n) - s->n_pages;
    if (!grow(s, s->n_pages + need, s->n_tok + n)) return err_nomem(err, "sequence");
    if (!n) return GLLM_OK;
    if (!make_room(kv, s, need))
        return err_set(err, GLLM_TOO_LONG, "the cache is full: %u more tokens need %u pages of %d tokens, found %u of %u free", n, need + tail_shared(kv, s), KV_PAGE, kv->n_free, kv->n_pages);
    if (tail_shared(kv, s)) {
        uint32_t *last = &s->pages[s->n_pages - 1];
        *copy = (struct kv_copy){.from = *last, .to = kv->free[--kv->n_free], .needed = true};
        hold_page(kv, copy->to, 1, 0);
        drop_page(kv, *last);
        *last = copy->to;
    }
    for (uint32_t i = 0; i < need; i++) {
        uint32_t page = kv->free[--kv->n_free];
        hold_page(kv, page, 1, 0);
        s->pages[s->n_pages++] = page;
    }
    memcpy(s->tokens + s->n_tok, tokens, n * sizeof *tokens);
    s->n_tok += n;
    return GLLM_OK;
}

void kv_truncate(struct kv *kv, struct kv_seq *s, uint32_t n_tok) {
    if (n_tok >= s->n_tok) return;
    while (s->n_pages > kv_pages_for(n_tok)) drop_page(kv, s->pages[--s->n_pages]);
    s->n_tok = n_tok;
    if (s->n_shared > n_tok) s->n_shared = n_tok;
}

void kv_end(struct kv *kv, struct kv_seq *s, bool keep) {
    if (!s) return;
    if (!keep || !s->n_tok) {
        seq_free(kv, s);
        return;
    }
    keep_pages(kv, s, 1);
    link_kept(kv, s);
}

uint32_t kv_need(const struct kv *kv, const struct kv_seq *s, uint32_t n) { return n ? kv_pages_for(s->n_tok + n) - s->n_pages + tail_shared(kv, s) : 0; }
uint32_t kv_free_pages(const struct kv *kv) { return kv->n_free + kv->n_idle; }
uint32_t kv_pages(const struct kv *kv) { return kv->n_pages; }
