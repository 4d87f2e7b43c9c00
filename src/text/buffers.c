#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/utf8.h"
#include "text/parts.h"

char *textbuf_room(struct textbuf *b, size_t n) {
    void *data = b->data;
    if (n > SIZE_MAX - b->len || !grow_room(&data, &b->capacity, b->len + n, 1)) {
        b->failed = true;
        return NULL;
    }
    b->data = data;
    return b->data ? b->data + b->len : NULL;
}

void textbuf_add(struct textbuf *b, const char *s, size_t n) {
    char *to = n ? textbuf_room(b, n) : NULL;
    if (!to) return;
    memcpy(to, s, n);
    b->len += n;
}

void textbuf_add_cp(struct textbuf *b, uint32_t cp) {
    char s[4];
    textbuf_add(b, s, utf8_write(cp, s));
}

void textbuf_free(struct textbuf *b) {
    free(b->data);
    *b = (struct textbuf){0};
}

void pieces_add(struct pieces *p, size_t at, size_t len, int32_t id) {
    void *list = p->list;
    if (!grow_room(&list, &p->capacity, p->count + 1, sizeof *p->list)) {
        p->failed = true;
        return;
    }
    p->list = list;
    p->list[p->count++] = (struct piece){at, len, id};
}

/* Printable Latin-1 stands for itself; the 68 other bytes, in order, are U+0100 and on. */
static bool printable(uint32_t c) { return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xFF && c != 0xAD); }

uint32_t byte_level_char(unsigned char byte) {
    if (printable(byte)) return byte;
    if (byte <= 0x20) return 0x100u + byte;
    return byte == 0xAD ? 0x143 : 0x121u + (byte - 0x7Fu);
}

int byte_level_byte(uint32_t cp) {
    if (printable(cp)) return (int)cp;
    if (cp >= 0x100 && cp <= 0x120) return (int)cp - 0x100;
    if (cp >= 0x121 && cp <= 0x142) return (int)cp - 0x121 + 0x7F;
    return cp == 0x143 ? 0xAD : -1;
}

/* byte_level_char for each byte; none is above U+07FF. */
void byte_level_add(const char *s, size_t len, struct textbuf *out) {
    char *to = textbuf_room(out, 2 * len);
    if (!to) return;
    for (size_t i = 0; i < len; i++) {
        uint32_t cp = byte_level_char((unsigned char)s[i]);
        if (cp < 0x80) *to++ = (char)cp;
        else {
            *to++ = (char)(0xC0 | cp >> 6);
            *to++ = (char)(0x80 | (cp & 63));
        }
    }
    out->len = (size_t)(to - out->data);
}

void pieces_free(struct pieces *p) {
    free(p->list);
    *p = (struct pieces){0};
}

bool encoding_push(struct encoding *e, int32_t id, uint8_t type, bool special) {
    if (e->count == e->capacity) {
        if (e->capacity > UINT32_MAX / 2) return false;
        uint32_t n = e->capacity ? 2 * e->capacity : 64;
        int32_t *ids = realloc(e->ids, n * sizeof *ids);
        if (ids) e->ids = ids;
        uint8_t *types = realloc(e->types, n);
        if (types) e->types = types;
        uint8_t *specials = realloc(e->special, n);
        if (specials) e->special = specials;
        if (!ids || !types || !specials) return false;
        e->capacity = n;
    }
    e->ids[e->count] = id;
    e->types[e->count] = type;
    e->special[e->count++] = special;
    return true;
}

void encoding_free(struct encoding *e) {
    free(e->ids);
    free(e->types);
    free(e->special);
    *e = (struct encoding){0};
}
