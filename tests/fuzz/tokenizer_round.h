/* tokenizer_round.h - what a fuzz target does with a tokenizer that opened: encode and decode, at once and in a stream alike. */
#ifndef TESTS_TOKENIZER_ROUND_H
#define TESTS_TOKENIZER_ROUND_H
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/tokenizer.h"

/* Streaming gives what decoding at once gives. */
static inline void stream(const struct tokenizer *t, const struct encoding *e, bool skip, const char *text, size_t len) {
    struct token_stream *s;
    gllm_error err;
    const char *part;
    size_t n, at = 0;
    if (token_stream_open(&s, t, skip, &err) != GLLM_OK) return;
    for (uint32_t i = 0; i <= e->count; i++) {
        gllm_status status = i < e->count ? token_stream_push(s, e->ids[i], &part, &n, &err) : token_stream_end(s, &part, &n, &err);
        if (status != GLLM_OK || at + n > len || memcmp(text + at, part, n) || !utf8_valid(part, n, NULL)) abort();
        at += n;
    }
    if (at != len) abort();
    token_stream_close(s);
}

/* Closes t. */
static inline void tokenizer_round(struct tokenizer *t, const uint8_t *data, size_t size) {
    static const char TEXT[] = "The caf\xC3\xA9 [SEP] \xE4\xB8\xAD\xE6\x96\x87 e\xCC\x81 don't \xF0\x9F\x98\x80 <s>";
    gllm_error err;
    struct encoding e = {0};
    for (unsigned i = 0; i < 8; i++) {
        struct encode_options opt = {.add_special = i & 1, .parse_special = i & 2, .lowercase = i & 4, .max_tokens = i & 4 ? 5 : 0, .side = i & 1 ? TOKENIZER_CUT_START : TOKENIZER_CUT_END};
        char *text = NULL;
        size_t len;
        if (tokenizer_encode(t, TEXT, sizeof TEXT - 1, i & 2 ? "pair" : NULL, 4, &opt, &e, &err) != GLLM_OK) continue;
        if (tokenizer_decode(t, e.ids, e.count, i & 1, &text, &len, &err) != GLLM_OK) continue;
        stream(t, &e, i & 1, text, len);
        free(text);
    }
    tokenizer_encode(t, (const char *)data, size, NULL, 0, &(struct encode_options){.add_special = true}, &e, &err);
    encoding_free(&e);
    tokenizer_close(t);
}
#endif
