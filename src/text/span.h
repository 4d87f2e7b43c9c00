/* span.h - a stretch of bytes of a text. */
#ifndef GLLM_TEXT_SPAN_H
#define GLLM_TEXT_SPAN_H
#include <stddef.h>

struct text_span { /* bytes [at, at + len) */
    size_t at, len;
};
#endif
