#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/utf8.h"

struct regex {
    pcre2_code *code;
    bool jit;
};

enum {
    MAX_PATTERN = 1 << 16,
    STEPS = 10000,        /* a match may take STEPS + STEPS_PER_BYTE * length: a run is walked there and back a few times */
    STEPS_PER_BYTE = 16,
    HEAP_KIB = 64 << 10,
    JIT_STACK = 8 << 20,  /* for the rare pattern that needs more than PCRE2's own 32 KiB */
};

gllm_status regex_open(struct regex **out, const char *pattern, size_t len, const char *what, gllm_error *err) {
    *out = NULL;
    if (len > MAX_PATTERN) return err_set(err, GLLM_FORMAT, "%s: found a pattern of %zu bytes, expected at most %d", what, len, MAX_PATTERN);
    struct regex *r = calloc(1, sizeof *r);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    int code = 0;
    PCRE2_SIZE at = 0;
    if (r && context && pcre2_set_newline(context, PCRE2_NEWLINE_LF) == 0)
        r->code = pcre2_compile((PCRE2_SPTR)pattern, len, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK, &code, &at, context);
    pcre2_compile_context_free(context);
    if (r && r->code) {
        r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0; /* where there is no JIT, PCRE2 interprets */
        *out = r;
        return GLLM_OK;
    }
    free(r);
    if (!r || !code || code == PCRE2_ERROR_HEAP_FAILED) return err_nomem(err, what);
    PCRE2_UCHAR said[128] = "";
    pcre2_get_error_message(code, said, sizeof said);
    return err_set(err, GLLM_FORMAT, "%s: pattern \"%.80s\": at byte %zu: %s", what, pattern, (size_t)at, (const char *)said);
}

void regex_free(struct regex *r) {
    if (!r) return;
    pcre2_code_free(r->code);
    free(r);
}

struct scan_data {
    pcre2_match_data *match;
    pcre2_match_context *context;
};

static bool prepare(struct regex_scan *scan) {
    struct scan_data *d = scan->data = calloc(1, sizeof *d);
    if (!d) return false;
    d->match = pcre2_match_data_create(1, NULL); /* the whole match is all that is asked for */
    d->context = pcre2_match_context_create(NULL);
    return d->match && d->context;
}

void regex_begin(struct regex_scan *scan, const struct regex *r, const char *s, size_t len) {
    void *data = scan->data, *stack = scan->stack;
    *scan = (struct regex_scan){.re = r, .s = s, .len = len, .ended = !len, .data = data, .stack = stack};
    if (!data && !prepare(scan)) {
        scan->failed = scan->ended = true;
        return;
    }
    struct scan_data *d = scan->data;
    uint64_t steps = STEPS + (uint64_t)STEPS_PER_BYTE * len;
    pcre2_set_match_limit(d->context, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
    pcre2_set_heap_limit(d->context, HEAP_KIB);
}

/* Searches from scan->search; a JIT that lacks stack is given more, once. */
static int search(struct regex_scan *scan) {
    struct scan_data *d = scan->data;
    for (;;) {
        int n = pcre2_match(scan->re->code, (PCRE2_SPTR)scan->s, scan->len, scan->search, PCRE2_NO_UTF_CHECK, d->match, d->context);
        if (n != PCRE2_ERROR_JIT_STACKLIMIT || scan->stack) return n;
        scan->stack = pcre2_jit_stack_create(64 << 10, JIT_STACK, NULL);
        if (!scan->stack) return PCRE2_ERROR_NOMEMORY;
        pcre2_jit_stack_assign(d->context, NULL, scan->stack);
    }
}

/* Finds the next match that counts, into next_from and next_to. */
static bool find(struct regex_scan *scan) {
    while (scan->search <= scan->len) {
        int n = search(scan);
        if (n < 0) {
            scan->failed = n != PCRE2_ERROR_NOMATCH;
            return false;
        }
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(((struct scan_data *)scan->data)->match);
        size_t from = at[0], to = at[1];
        if (from > to || from < scan->at) from = to = to < scan->at ? scan->at : to; /* \K inside a lookaround can say such things */
        if (from == to && scan->any && to == scan->at) {
            uint32_t cp;
            unsigned k = utf8_read(scan->s + scan->search, scan->len - scan->search, &cp);
            scan->search += k ? k : 1;
            continue;
        }
        scan->next_from = from;
        scan->next_to = scan->search = to;
        scan->any = true;
        return true;
    }
    return false;
}

bool regex_next(struct regex_scan *scan, struct regex_span *out) {
    if (!scan->pending && !scan->ended) {
        scan->pending = find(scan);
        scan->ended = !scan->pending;
    }
    if (scan->failed) return false;
    size_t from = scan->at;
    if (scan->pending && scan->next_from == from) {
        *out = (struct regex_span){from, scan->next_to, true};
        scan->pending = false;
    } else {
        *out = (struct regex_span){from, scan->pending ? scan->next_from : scan->len, false};
        if (from >= out->to) return false;
    }
    scan->at = out->to;
    return true;
}

void regex_end(struct regex_scan *scan) {
    struct scan_data *d = scan->data;
    if (d) {
        pcre2_match_data_free(d->match);
        pcre2_match_context_free(d->context);
        free(d);
    }
    pcre2_jit_stack_free(scan->stack);
    *scan = (struct regex_scan){0};
}
