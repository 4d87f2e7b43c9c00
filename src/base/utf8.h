/* utf8.h - UTF-8 read strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef GLLM_BASE_UTF8_H
#define GLLM_BASE_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Reads one code point at s[0..len). Returns its length 1..4, or 0 when the bytes are not UTF-8 (or len is 0). */
unsigned utf8_read(const char *s, size_t len, uint32_t *cp);
unsigned utf8_write(uint32_t cp, char out[4]); /* length 1..4; cp must be a scalar value */
/* True when all of s is UTF-8; else *bad (may be NULL) is the offset of the first wrong byte. */
bool utf8_valid(const char *s, size_t len, size_t *bad);
/* GLLM_INVALID: "byte 3 is not UTF-8 (0xff)"; the caller says of what (err_wrap). */
gllm_status utf8_check(const char *s, size_t len, gllm_error *err);
size_t utf8_count(const char *s, size_t len); /* code points of valid UTF-8 */
/* Largest n <= max that does not cut a character of s[0..len). */
size_t utf8_cut(const char *s, size_t len, size_t max);
#endif
