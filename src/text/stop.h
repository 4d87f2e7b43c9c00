/* stop.h - stop strings in streamed text: nothing of one that completes is ever let out, however the text is cut. */
#ifndef GLLM_TEXT_STOP_H
#define GLLM_TEXT_STOP_H
#include "base/error.h"

struct stop_matcher; /* one stream */
struct stop_string {
    const char *text;
    size_t len; /* at least 1 */
};
/* The strings are copied. n 0: a matcher that lets everything through. */
gllm_status stop_open(struct stop_matcher **out, const struct stop_string *list, size_t n, gllm_error *err);
void stop_close(struct stop_matcher *m); /* NULL ok */
/* Takes n bytes; *out, *out_len is what may be shown now, borrowed until the next call. *hit is the index of the string that completed first
 * (of several at one byte the longest), and what stands before it has been let out; -1: none yet. After a hit nothing more comes. */
gllm_status stop_push(struct stop_matcher *m, const char *s, size_t n, const char **out, size_t *out_len, int *hit, gllm_error *err);
void stop_end(struct stop_matcher *m, const char **out, size_t *out_len); /* the end of the stream: what was held back */
#endif
