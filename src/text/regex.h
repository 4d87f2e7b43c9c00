/* regex.h - the regular expressions of a tokenizer.json, on PCRE2 with its JIT compiler.
 *
 * HF `tokenizers` writes patterns for Oniguruma in Ruby's dialect. PCRE2 in UTF and UCP mode reads the same language for what tokenizers use
 * (^ and $ are borders of lines), but that \s \w \d \p{…} are first spelled out, so that they hold what they hold in HF, whose Unicode is
 * newer than the PCRE2 of today's systems.
 * No pattern can hang a caller: the steps that one match may take grow with the text's length only. */
#ifndef GLLM_TEXT_REGEX_H
#define GLLM_TEXT_REGEX_H
#include <stddef.h>

#include "base/error.h"

struct regex;
/* GLLM_FORMAT names the pattern, the place and PCRE2's complaint; `what` is "tokenizer.json: pre_tokenizer Split". Owned: regex_free. */
gllm_status regex_open(struct regex **out, const char *pattern, size_t len, const char *what, gllm_error *err);
void regex_free(struct regex *r); /* accepts NULL */

struct regex_span {
    size_t from, to;
    bool match;
};
struct regex_scan { /* a walk over a text: every match and, between them, what is not matched, in order */
    const struct regex *re;
    const char *s;
    size_t len, at, search, next_from, next_to;
    bool pending, any, ended, failed; /* failed: memory, or the limit of steps */
    void *data, *stack;
};
/* The text is borrowed until regex_end, must be valid UTF-8, and a scan may be begun again after its end. Any number of threads may scan
 * with one regex, each with its own scan. An all-zero scan is valid. */
void regex_begin(struct regex_scan *scan, const struct regex *r, const char *s, size_t len);
/* False at the end. As in HF, an empty match that touches the match before it is not reported; a text of length 0 has no spans. */
bool regex_next(struct regex_scan *scan, struct regex_span *out);
void regex_end(struct regex_scan *scan); /* frees what the scan holds */
#endif
