/* fuzz_grammar.c - any bytes as a grammar and a text. The first byte picks GBNF or a JSON schema; the text follows the first NUL.
 *
 * What is read is matched: at once and byte by byte alike, across trims. Then the text's bytes choose a way through the grammar, which must be
 * open at every step; what comes out whole under a schema is JSON. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/gbnf.h"
#include "text/json_schema.h"
#include "text/matcher.h"

enum { MAX_TEXT = 128, MAX_WALK = 200 };

static void match(const struct grammar *g, const char *text, size_t len) {
    struct matcher *m;
    gllm_error err;
    uint32_t whole, at = MATCHER_START;
    if (matcher_open(&m, g, &err) != GLLM_OK) return;
    gllm_status status = matcher_accept(m, MATCHER_START, text, len, &whole, &err);
    for (size_t i = 0; status == GLLM_OK && i < len; i++) {
        status = matcher_accept(m, at, text + i, 1, &at, &err);
        if (i == len / 2) matcher_trim(m, &at);
    }
    if (status == GLLM_OK && (at != whole || (at && m->states[at].can_end && !utf8_valid(text, len, NULL)))) abort();
    matcher_close(m);
}

static void walk(const struct grammar *g, const char *choice, size_t len, bool json) {
    struct matcher *m;
    gllm_error err;
    char text[MAX_WALK];
    uint32_t at = MATCHER_START, next = MATCHER_DEAD;
    size_t n = 0;
    if (matcher_open(&m, g, &err) != GLLM_OK) return;
    while (n < MAX_WALK && m->states[at].n) {
        const unsigned first = (unsigned char)(n < len ? choice[n] : "\"}]0"[n % 4]);
        unsigned k = 0;
        for (; k < 256; k++) {
            text[n] = (char)(first + k);
            if (matcher_step(m, at, (unsigned char)text[n], &next, &err) != GLLM_OK) goto done;
            if (next != MATCHER_DEAD) break;
        }
        if (k == 256) abort(); /* a dead end */
        at = next;
        n++;
        if (!m->states[at].can_end) continue;
        if (!utf8_valid(text, n, NULL)) abort();
        json_error_t e;
        json_t *v = json ? json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e) : NULL;
        if (json && !v) abort();
        json_decref(v);
    }
done:
    matcher_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const bool json = data[0] & 1;
    const char *source = (const char *)data + 1, *nul = memchr(source, 0, size - 1), *text = nul ? nul + 1 : source;
    const size_t source_len = nul ? (size_t)(nul - source) : size - 1, text_len = nul ? size - 2 - source_len : 0;
    struct grammar *g;
    gllm_error err = {0};
    const gllm_status status = json ? json_schema_read(&g, source, source_len, &err) : gbnf_read(&g, source, source_len, &err);
    if (status != GLLM_OK) {
        if (!err.message[0] || g) abort();
        return 0;
    }
    match(g, text, text_len < MAX_TEXT ? text_len : MAX_TEXT);
    walk(g, text, text_len, json);
    grammar_close(g);
    return 0;
}
