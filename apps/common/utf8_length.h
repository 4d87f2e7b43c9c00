/* utf8_length.h - characters of UTF-8, as the command line and the server read them. */
#ifndef GLLM_COMMON_UTF8_LENGTH_H
#define GLLM_COMMON_UTF8_LENGTH_H
#include <stddef.h>

/* Of the character at s[0..len), Unicode 15 table 3-7; 0: there is none. len is at least 1. */
static inline size_t utf8_length(const unsigned char *s, size_t len) {
    unsigned char c = s[0], low = 0x80, high = 0xbf;
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (n > len) return 0;
    if (c == 0xe0) low = 0xa0;  /* overlong */
    if (c == 0xed) high = 0x9f; /* surrogates */
    if (c == 0xf0) low = 0x90;
    if (c == 0xf4) high = 0x8f; /* above U+10FFFF */
    for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
        if (s[i] < low || s[i] > high) return 0;
    return n;
}
#endif
