#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static bool reserve(struct text *t, size_t more) {
    if (t->failed) return false;
    if (more < t->room - t->len) return true; /* one byte stays for the NUL */
    size_t room = t->room ? t->room : 256;
    while (room - t->len <= more && room < SIZE_MAX / 2) room *= 2;
    char *ptr = room - t->len > more ? realloc(t->ptr, room) : NULL;
    if (!ptr) {
        t->failed = true;
        return false;
    }
    t->ptr = ptr, t->room = room;
    return true;
}

void text_bytes(struct text *t, const void *bytes, size_t n) {
    if (!reserve(t, n)) return;
    if (n) memcpy(t->ptr + t->len, bytes, n);
    t->len += n;
    t->ptr[t->len] = '\0';
}
void text_put(struct text *t, const char *s) { text_bytes(t, s, strlen(s)); }

void text_format(struct text *t, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    if (n >= 0 && reserve(t, (size_t)n)) {
        vsnprintf(t->ptr + t->len, (size_t)n + 1, format, again);
        t->len += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void text_json(struct text *t, const char *s, size_t n) {
    static const char HEX[] = "0123456789abcdef";
    if (!reserve(t, 6 * n + 2)) return;
    char *at = t->ptr + t->len;
    *at++ = '"';
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') *at++ = '\\', *at++ = (char)c;
        else if (c == '\n') *at++ = '\\', *at++ = 'n';
        else if (c < 0x20 || c == 0x7f) *at++ = '\\', *at++ = 'u', *at++ = '0', *at++ = '0', *at++ = HEX[c >> 4], *at++ = HEX[c & 15];
        else *at++ = (char)c;
    }
    *at++ = '"';
    *at = '\0';
    t->len = (size_t)(at - t->ptr);
}
void text_json_put(struct text *t, const char *s) { text_json(t, s, strlen(s)); }

/* digits * 10^-point without zeros at the end; both fit, since digits has 9 places and point is at most 22. */
static size_t put_decimal(char *out, uint64_t digits, int point) {
    char places[24];
    int n = 0;
    size_t at = 0;
    while (point > 0 && digits % 10 == 0) digits /= 10, point--;
    for (; digits; digits /= 10) places[n++] = (char)('0' + digits % 10);
    while (n <= point) places[n++] = '0';
    for (int i = n - 1; i >= 0; i--) {
        out[at++] = places[i];
        if (i == point && i > 0) out[at++] = '.';
    }
    return at;
}

/* The nearest decimal of 7, 8 or 9 places, the first that reads back: powers of ten up to 22 are exact in a double, so that the check divides as a reader does. */
void text_float(struct text *t, float v) {
    static const double TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const double size = fabs((double)v);
    if (!isfinite(v)) {
        text_put(t, "null");
        return;
    }
    if (size < 1e-12 || size >= 1e7) { /* rare: and zero */
        text_format(t, "%.9g", (double)v);
        return;
    }
    int whole = 0; /* places before the point; negative: zeros behind it */
    while (size >= TEN[whole]) whole++;
    if (!whole)
        while (size * TEN[1 - whole] < 1) whole--;
    for (int places = 7; places <= 9; places++) {
        const int point = places - whole;
        const double digits = rint(size * TEN[point]);
        if (places < 9 && (float)(digits / TEN[point]) != (float)size) continue;
        if (!reserve(t, 40)) return;
        if (v < 0) t->ptr[t->len++] = '-';
        t->len += put_decimal(t->ptr + t->len, (uint64_t)digits, point);
        t->ptr[t->len] = '\0';
        return;
    }
}

void text_floats(struct text *t, const float *v, size_t n) {
    text_put(t, "[");
    for (size_t i = 0; i < n; i++) {
        if (i) text_bytes(t, ",", 1);
        text_float(t, v[i]);
    }
    text_put(t, "]");
}

void text_base64(struct text *t, const void *bytes, size_t n) {
    static const char SIXBIT[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = bytes;
    if (n > SIZE_MAX / 2 || !reserve(t, (n + 2) / 3 * 4 + 2)) return;
    char *at = t->ptr + t->len;
    *at++ = '"';
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t v = (uint32_t)b[i] << 16 | (left > 1 ? (uint32_t)b[i + 1] << 8 : 0) | (left > 2 ? b[i + 2] : 0u);
        *at++ = SIXBIT[v >> 18];
        *at++ = SIXBIT[v >> 12 & 63];
        *at++ = left > 1 ? SIXBIT[v >> 6 & 63] : '=';
        *at++ = left > 2 ? SIXBIT[v & 63] : '=';
    }
    *at++ = '"';
    *at = '\0';
    t->len = (size_t)(at - t->ptr);
}

void text_free(struct text *t) {
    free(t->ptr);
    *t = (struct text){0};
}
