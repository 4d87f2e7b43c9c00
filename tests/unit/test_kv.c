/* test_kv.c - who owns which page of the cache: common prefixes, copies before writes, forks, truncation, eviction, exhaustion. After every random step
 * the pages that sequences hold and the free ones are counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/kv.h"

enum { MOST = 64 * KV_PAGE };
static int32_t text[MOST]; /* 0, 1, 2 … */

static struct kv *open_kv(uint32_t n_pages) {
    struct kv *kv;
    gllm_error err;
    for (int32_t i = 0; i < MOST; i++) text[i] = i;
    assert_int_equal(kv_open(&kv, n_pages, &err), GLLM_OK);
    assert_int_equal(kv_pages(kv), n_pages);
    assert_int_equal(kv_free_pages(kv), n_pages);
    return kv;
}
static struct kv_seq *begin(struct kv *kv, const int32_t *tokens, uint32_t n, uint32_t shared) {
    struct kv_seq *s;
    gllm_error err;
    assert_int_equal(kv_begin(kv, tokens, n, &s, &err), GLLM_OK);
    assert_int_equal(s->n_shared, shared);
    assert_int_equal(s->n_tok, shared);
    return s;
}
static struct kv_copy append(struct kv *kv, struct kv_seq *s, const int32_t *tokens, uint32_t n) {
    struct kv_copy copy;
    gllm_error err = {0};
    const uint32_t before = s->n_tok;
    if (kv_append(kv, s, tokens, n, &copy, &err) != GLLM_OK) fail_msg("%s", err.message);
    assert_int_equal(s->n_tok, before + n);
    assert_int_equal(s->n_pages, (s->n_tok + KV_PAGE - 1) / KV_PAGE);
    if (n) assert_memory_equal(s->tokens + before, tokens, n * sizeof *tokens);
    return copy;
}
/* A sequence that holds text[0..n) but begins with `first`, ended and kept. */
static void keep(struct kv *kv, int32_t first, uint32_t n) {
    int32_t own[MOST];
    memcpy(own, text, n * sizeof *own);
    own[0] = first;
    struct kv_seq *s = begin(kv, own, n, 0);
    append(kv, s, own, n);
    kv_end(kv, s, true);
}
static uint32_t shared_with(struct kv *kv, int32_t first, uint32_t n) { /* what a kept sequence offers to one that begins alike */
    int32_t own[MOST];
    struct kv_seq *s;
    gllm_error err;
    memcpy(own, text, n * sizeof *own);
    own[0] = first;
    assert_int_equal(kv_begin(kv, own, n, &s, &err), GLLM_OK);
    const uint32_t shared = s->n_shared;
    kv_end(kv, s, false);
    return shared;
}

static void test_pages(void **state) {
    (void)state;
    struct kv *kv = open_kv(4);
    struct kv_seq *s = begin(kv, text, 5, 0);
    assert_int_equal(kv_free_pages(kv), 4); /* nothing until something is written */
    assert_false(append(kv, s, text, 0).needed);
    assert_int_equal(s->n_pages, 0);
    append(kv, s, text, 1);
    assert_int_equal(s->pages[0], 0); /* low pages first */
    append(kv, s, text + 1, KV_PAGE - 1);
    assert_int_equal(s->n_pages, 1);
    append(kv, s, text + KV_PAGE, 1);
    assert_int_equal(s->n_pages, 2);
    assert_int_equal(kv_free_pages(kv), 2);
    kv_truncate(kv, s, KV_PAGE + 1);
    assert_int_equal(s->n_pages, 2); /* to its own length: nothing */
    kv_truncate(kv, s, KV_PAGE);
    assert_int_equal(s->n_pages, 1);
    assert_int_equal(kv_free_pages(kv), 3);
    kv_truncate(kv, s, 0);
    assert_int_equal(kv_free_pages(kv), 4);
    append(kv, s, text, 3 * KV_PAGE);
    kv_end(kv, s, false);
    kv_end(kv, NULL, true);
    assert_int_equal(kv_free_pages(kv), 4);
    kv_close(kv);
    kv_close(NULL);
}

/* The longest common beginning is taken over, but never the last token; a page written by two is copied first. */
static void test_prefix(void **state) {
    (void)state;
    struct kv *kv = open_kv(16);
    const uint32_t n = 2 * KV_PAGE + 7;
    struct kv_seq *a = begin(kv, text, n, 0), *b, *c;
    append(kv, a, text, n);
    b = begin(kv, text, n, 0); /* a is at work, not kept: nothing to share */
    kv_end(kv, b, true);       /* empty: not kept */
    uint32_t pages[3];
    memcpy(pages, a->pages, sizeof pages);
    kv_end(kv, a, true);
    assert_int_equal(kv_free_pages(kv), 16); /* kept pages can be had */

    b = begin(kv, text, n, n - 1);
    assert_memory_equal(b->pages, pages, sizeof pages);
    assert_int_equal(kv_free_pages(kv), 13);
    struct kv_copy copy = append(kv, b, text + n - 1, 1);
    assert_true(copy.needed && copy.from == pages[2] && copy.to == b->pages[2] && copy.to != pages[2]);
    assert_memory_equal(b->pages, pages, 2 * sizeof *pages); /* full pages stay shared */
    assert_false(append(kv, b, text + n, 1).needed);         /* now its own */

    int32_t other[3 * KV_PAGE];
    memcpy(other, text, sizeof other);
    other[KV_PAGE + 3] = -1;
    c = begin(kv, other, 3 * KV_PAGE, KV_PAGE + 3); /* of the kept one, up to the difference */
    assert_int_equal(c->n_pages, 2);
    copy = append(kv, c, other + KV_PAGE + 3, KV_PAGE);
    assert_true(copy.needed && copy.from == pages[1]);
    kv_end(kv, c, false);
    c = begin(kv, text, KV_PAGE + 1, KV_PAGE); /* ends at a page's border: nothing to copy */
    assert_false(append(kv, c, text + KV_PAGE, 5).needed);
    assert_int_not_equal(c->pages[1], pages[1]);
    kv_end(kv, c, false);
    kv_end(kv, b, false);
    b = begin(kv, text, 1, 0); /* one token: it has to be computed */
    kv_end(kv, b, false);
    assert_int_equal(kv_free_pages(kv), 16);
    kv_close(kv); /* the kept one goes with it */
}

/* The longest of several kept beginnings. */
static void test_longest(void **state) {
    (void)state;
    struct kv *kv = open_kv(16);
    int32_t half[2 * KV_PAGE];
    memcpy(half, text, sizeof half);
    half[40] = -1;
    struct kv_seq *s = begin(kv, text, 2 * KV_PAGE, 0);
    append(kv, s, text, 2 * KV_PAGE);
    struct kv_seq *t = begin(kv, half, 2 * KV_PAGE, 0);
    append(kv, t, half, 2 * KV_PAGE);
    kv_end(kv, s, true);
    kv_end(kv, t, true); /* the more recent one shares 40 tokens only */
    s = begin(kv, text, 2 * KV_PAGE, 2 * KV_PAGE - 1);
    kv_end(kv, s, false);
    kv_close(kv);
}

static void test_fork(void **state) {
    (void)state;
    struct kv *kv = open_kv(8);
    struct kv_seq *a = begin(kv, text, KV_PAGE + 4, 0), *b, *c;
    gllm_error err;
    append(kv, a, text, KV_PAGE + 4);
    assert_int_equal(kv_fork(kv, a, &b, &err), GLLM_OK);
    assert_int_equal(kv_fork(kv, b, &c, &err), GLLM_OK);
    assert_int_equal(b->n_tok, KV_PAGE + 4);
    assert_memory_equal(b->tokens, text, (KV_PAGE + 4) * sizeof *text);
    assert_int_equal(kv_free_pages(kv), 6); /* three sequences on two pages */
    struct kv_copy copy = append(kv, b, text, 1);
    assert_true(copy.needed && copy.from == a->pages[1] && copy.to == b->pages[1]);
    assert_int_equal(b->pages[0], a->pages[0]);
    assert_int_equal(c->pages[1], a->pages[1]);
    kv_truncate(kv, b, KV_PAGE); /* gives its own page back, not a's */
    assert_int_equal(kv_free_pages(kv), 6);
    copy = append(kv, a, text, 1); /* c still reads the old page */
    assert_true(copy.needed);
    kv_end(kv, a, false);
    assert_false(append(kv, c, text, 1).needed); /* the last one on it writes in place */
    kv_end(kv, b, false);
    kv_end(kv, c, false);
    assert_int_equal(kv_free_pages(kv), 8);
    kv_close(kv);
}

/* Kept sequences go one by one, the longest unused first; a begin that shares counts as use. */
static void test_eviction(void **state) {
    (void)state;
    struct kv *kv = open_kv(6);
    for (int32_t i = 1; i <= 3; i++) keep(kv, -i, 2 * KV_PAGE);
    const uint32_t most = 2 * KV_PAGE - 1;
    assert_int_equal(shared_with(kv, -1, 2 * KV_PAGE), most); /* used: -2 is now the oldest */
    struct kv_seq *s = begin(kv, text, 1, 0);
    append(kv, s, text, 1); /* one page: -2 goes, and frees two */
    assert_int_equal(shared_with(kv, -2, 2 * KV_PAGE), 0);
    assert_int_equal(shared_with(kv, -3, 2 * KV_PAGE), most);
    assert_int_equal(shared_with(kv, -1, 2 * KV_PAGE), most);
    append(kv, s, text + 1, most); /* the other of the two: nothing has to go */
    assert_int_equal(shared_with(kv, -1, 2 * KV_PAGE), most);
    assert_int_equal(shared_with(kv, -3, 2 * KV_PAGE), most);
    append(kv, s, text, KV_PAGE); /* -1 is the oldest */
    assert_int_equal(shared_with(kv, -1, 2 * KV_PAGE), 0);
    assert_int_equal(shared_with(kv, -3, 2 * KV_PAGE), most);
    kv_end(kv, s, false);
    assert_int_equal(kv_free_pages(kv), 6);
    kv_close(kv);
}

/* A sequence whose prefix is another's keeps those pages alive when the other is evicted. */
static void test_eviction_of_shared(void **state) {
    (void)state;
    struct kv *kv = open_kv(4);
    keep(kv, 0, 2 * KV_PAGE);
    struct kv_seq *s = begin(kv, text, 2 * KV_PAGE, 2 * KV_PAGE - 1);
    const uint32_t last = s->pages[1];
    assert_true(append(kv, s, text + 2 * KV_PAGE - 1, 1).needed); /* two free pages: a copy, the kept one stays */
    assert_int_not_equal(s->pages[1], last);
    append(kv, s, text, KV_PAGE);
    append(kv, s, text, KV_PAGE); /* the kept one's last page */
    assert_int_equal(s->n_pages, 4);
    assert_int_equal(shared_with(kv, 0, 2 * KV_PAGE), 0);
    assert_int_equal(kv_free_pages(kv), 0);
    kv_end(kv, s, false);
    assert_int_equal(kv_free_pages(kv), 4);

    keep(kv, 0, KV_PAGE + 5); /* with no room for a copy, the other owner goes and the page is written in place */
    s = begin(kv, text, KV_PAGE + 5, KV_PAGE + 4);
    struct kv_seq *block = begin(kv, text + 9, 1, 0);
    append(kv, block, text, 2 * KV_PAGE);
    assert_false(append(kv, s, text + KV_PAGE + 4, 1).needed);
    kv_end(kv, s, false), kv_end(kv, block, false);
    assert_int_equal(kv_free_pages(kv), 4);
    kv_close(kv);
}

/* No pages left: refused by name, and the sequence is as it was and usable. */
static void test_exhaustion(void **state) {
    (void)state;
    struct kv *kv = open_kv(3);
    struct kv_seq *a = begin(kv, text, 1, 0), *b;
    struct kv_copy copy;
    gllm_error err;
    append(kv, a, text, 2 * KV_PAGE + 3);
    assert_int_equal(kv_append(kv, a, text, KV_PAGE, &copy, &err), GLLM_TOO_LONG);
    assert_string_equal(err.message, "the cache is full: 32 more tokens need 1 pages of 32 tokens, found 0 of 3 free");
    assert_false(copy.needed);
    assert_true(a->n_tok == 2 * KV_PAGE + 3 && a->n_pages == 3);
    append(kv, a, text, KV_PAGE - 3); /* what is left of its page */
    assert_int_equal(kv_append(kv, a, text, UINT32_MAX, &copy, &err), GLLM_TOO_LONG);
    assert_int_equal(a->n_tok, 3 * KV_PAGE);
    kv_truncate(kv, a, 2 * KV_PAGE + 1);
    assert_int_equal(kv_fork(kv, a, &b, &err), GLLM_OK);
    assert_int_equal(kv_append(kv, b, text, 1, &copy, &err), GLLM_TOO_LONG); /* the copy has no page */
    assert_true(!copy.needed && b->n_tok == 2 * KV_PAGE + 1 && b->pages[2] == a->pages[2]);
    kv_end(kv, a, false);
    assert_false(append(kv, b, text, 1).needed);
    kv_end(kv, b, false);
    assert_int_equal(kv_free_pages(kv), 3);
    kv_close(kv);
}

/* Many random steps: no more pages are said to be free than are in nobody's hands, and in the end all can be had. */
static void test_random(void **state) {
    (void)state;
    enum { PAGES = 12, SEQS = 4 };
    struct kv *kv = open_kv(PAGES);
    struct kv_seq *live[SEQS] = {0};
    uint32_t rng = 7;
    for (unsigned step = 0; step < 20000; step++) {
        rng = rng * 1664525u + 1013904223u;
        struct kv_seq **s = &live[rng >> 8 & 3];
        const uint32_t what = rng >> 12 & 7, n = 1 + (rng >> 16) % 70;
        struct kv_copy copy;
        gllm_error err;
        if (!*s) {
            struct kv_seq *from = live[rng >> 10 & 3];
            if (from && what < 2) assert_int_equal(kv_fork(kv, from, s, &err), GLLM_OK);
            else assert_int_equal(kv_begin(kv, text + what, n, s, &err), GLLM_OK);
        } else if (what < 4) {
            const uint32_t n_tok = (*s)->n_tok, n_pages = (*s)->n_pages;
            if (n_tok + n < MOST && kv_append(kv, *s, text + n_tok, n, &copy, &err) != GLLM_OK) assert_true((*s)->n_tok == n_tok && (*s)->n_pages == n_pages);
        } else if (what == 4) kv_truncate(kv, *s, n);
        else kv_end(kv, *s, what < 7), *s = NULL;
        bool used[PAGES] = {0};
        uint32_t held = 0;
        for (unsigned i = 0; i < SEQS; i++)
            for (uint32_t p = 0; live[i] && p < live[i]->n_pages; p++) {
                assert_true(live[i]->pages[p] < PAGES);
                held += !used[live[i]->pages[p]];
                used[live[i]->pages[p]] = true;
            }
        assert_true(kv_free_pages(kv) <= PAGES - held);
    }
    for (unsigned i = 0; i < SEQS; i++) kv_end(kv, live[i], false);
    struct kv_seq *all = begin(kv, (const int32_t[]){-5}, 1, 0); /* every page can be had again */
    append(kv, all, text, PAGES * KV_PAGE);
    assert_int_equal(kv_free_pages(kv), 0);
    kv_end(kv, all, false);
    assert_int_equal(kv_free_pages(kv), PAGES);
    kv_close(kv);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages), cmocka_unit_test(test_prefix), cmocka_unit_test(test_longest), cmocka_unit_test(test_fork), cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_eviction_of_shared), cmocka_unit_test(test_exhaustion), cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
