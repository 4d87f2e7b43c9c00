#include "base/utf8.h"

unsigned utf8_read(const char *text, size_t len, uint32_t *cp) {
    const unsigned char *s = (const unsigned char *)text;
    if (!len) return 0;
    if (s[0] < 0x80) {
        *cp = s[0];
        return 1;
    }
    /* Table 3-7 of the Unicode standard: the second byte's range depends on the first. */
    unsigned n, low = 0x80, high = 0xBF;
    if (s[0] >= 0xC2 && s[0] <= 0xDF) n = 2;
    else if (s[0] >= 0xE0 && s[0] <= 0xEF) {
        n = 3;
        if (s[0] == 0xE0) low = 0xA0;
        if (s[0] == 0xED) high = 0x9F;
    } else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        n = 4;
        if (s[0] == 0xF0) low = 0x90;
        if (s[0] == 0xF4) high = 0x8F;
    } else return 0;
    if (len < n || s[1] < low || s[1] > high) return 0;
    uint32_t v = s[0] & (0xFFu >> (n + 1));
    for (unsigned i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
        v = v << 6 | (s[i] & 0x3F);
    }
    *cp = v;
    return n;
}

unsigned utf8_write(uint32_t cp, char out[4]) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    unsigned n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (unsigned i = n - 1; i; i--, cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)((0xF00u >> n & 0xFF) | cp);
    return n;
}

bool utf8_valid(const char *s, size_t len, size_t *bad) {
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        unsigned n = utf8_read(s + i, len - i, &cp);
        if (!n) {
            if (bad) *bad = i;
            return false;
        }
        i += n;
    }
    return true;
}

gllm_status utf8_check(const char *s, size_t len, gllm_error *err) {
    size_t bad;
    return utf8_valid(s, len, &bad) ? GLLM_OK : err_set(err, GLLM_INVALID, "byte %zu is not UTF-8 (0x%02x)", bad, (unsigned char)s[bad]);
}

size_t utf8_count(const char *s, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += ((unsigned char)s[i] & 0xC0) != 0x80;
    return n;
}

size_t utf8_cut(const char *s, size_t len, size_t max) {
    if (max >= len) return len;
    while (max && ((unsigned char)s[max] & 0xC0) == 0x80) max--;
    return max;
}
