/* text.h - a growing buffer in which a reply is written: JSON by hand where thousands of numbers go out, since a tree of them costs more than the forward. */
#ifndef GLLM_SERVER_TEXT_H
#define GLLM_SERVER_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text { /* {0} is empty */
    char *ptr; /* owned; NUL-terminated beyond len once something was added */
    size_t len, room;
    bool failed; /* out of memory: what follows is not added */
};
void text_bytes(struct text *t, const void *bytes, size_t n);
void text_put(struct text *t, const char *s);
void text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_json(struct text *t, const char *s, size_t n); /* a JSON string with its quotes; the bytes are UTF-8 */
void text_json_put(struct text *t, const char *s);
void text_float(struct text *t, float v); /* few digits that read back as v; null when it is not finite */
void text_floats(struct text *t, const float *v, size_t n); /* [a,b,…] */
void text_base64(struct text *t, const void *bytes, size_t n); /* with its quotes */
void text_free(struct text *t);
#endif
