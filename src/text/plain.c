/* plain.c - which bytes of a normalised text came from the stretches in which no special token is read. */
#include <stdlib.h>
#include <string.h>

#include "text/parts.h"

enum { MAX_WORK = 64 << 20 }; /* bytes normalised again for one piece */

void plain_free(struct plain *p) {
    free(p->room);
    *p = (struct plain){0};
}

static bool reserve(struct plain *p, size_t count) {
    if (count <= p->capacity) return true;
    struct text_span *room = realloc(p->room, count * sizeof *room);
    if (!room) return false;
    p->room = room;
    p->capacity = count;
    return true;
}

/* The bytes that the normal forms of s and of the whole text have in common, from the begin or from the end. */
static size_t shared(const struct normalizer *n, const char *s, size_t len, bool first, const struct textbuf *text, bool from_end) {
    struct textbuf part = {0};
    size_t same = 0;
    if (normalizer_run(n, s, len, first, &part) && !part.failed)
        while (same < part.len && same < text->len && (from_end ? part.data[part.len - 1 - same] == text->data[text->len - 1 - same] : part.data[same] == text->data[same])) same++;
    textbuf_free(&part);
    return same;
}

bool plain_map(struct plain *p, const struct encode_options *opt, const struct normalizer *n, const char *s, size_t at, size_t len, const struct textbuf *text) {
    const bool same = text->len == len && (!len || !memcmp(text->data, s, len));
    size_t first = 0, count = 0;
    while (first < opt->n_plain && opt->plain[first].at + opt->plain[first].len <= at) first++;
    while (first + count < opt->n_plain && opt->plain[first + count].at < at + len) count++;
    p->spans = (struct plain_spans){0};
    if (!count) return true;
    if (!reserve(p, count)) return false;
    p->spans = (struct plain_spans){p->room, count};
    if (!same && (opt->lowercase || count > MAX_WORK / 2 / len)) { /* not to be told, or not in reasonable time */
        p->room[0] = (struct text_span){0, text->len};
        p->spans.count = 1;
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        const struct text_span *raw = &opt->plain[first + i];
        size_t from = raw->at > at ? raw->at - at : 0, to = raw->at + raw->len - at < len ? raw->at + raw->len - at : len;
        if (!same) {
            const size_t tail = shared(n, s + to, len - to, false, text, true);
            from = shared(n, s, from, at == 0, text, false);
            to = text->len - tail > from ? text->len - tail : from;
        }
        p->room[i] = (struct text_span){from, to - from};
    }
    return true;
}
