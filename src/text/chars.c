/* chars.c - classes of Unicode characters as automata over the bytes of UTF-8.
 *
 * State DEAD refuses, DONE is the end of a character. A class's first state branches on the lead byte; below it a state stands for "v so far,
 * n bytes to come". Whole blocks share the states `any`. Overlong forms, surrogates and what is above U+10FFFF lead to DEAD. */
#include <stdlib.h>
#include <string.h>

#include "text/grammar.h"

static gllm_status add_state(struct chars *c, uint32_t *state, gllm_error *err) {
    if (c->n >= GRAMMAR_MAX_CHARS) return err_set(err, GLLM_INVALID, "the grammar's character classes need more than %d states", GRAMMAR_MAX_CHARS);
    if (c->n + 2 > c->room) {
        const uint32_t room = 2 * c->room + 64;
        uint16_t(*more)[256] = realloc(c->next, room * sizeof *more);
        if (!more) return err_nomem(err, "character classes");
        c->next = more;
        c->room = room;
    }
    if (!c->n) {
        memset(c->next, 0, 2 * sizeof *c->next);
        c->n = 2; /* DEAD and DONE */
    }
    memset(c->next[c->n], 0, sizeof *c->next);
    *state = c->n++;
    return GLLM_OK;
}

static gllm_status any_state(struct chars *c, unsigned n, uint32_t *state, gllm_error *err) {
    if (!n) {
        *state = CHARS_DONE;
        return GLLM_OK;
    }
    if (!c->any[n]) {
        uint32_t below, made;
        TRY(any_state(c, n - 1, &below, err));
        TRY(add_state(c, &made, err));
        for (unsigned b = 0x80; b < 0xC0; b++) c->next[made][b] = (uint16_t)below;
        c->any[n] = (uint16_t)made;
    }
    *state = c->any[n];
    return GLLM_OK;
}

/* The range that holds `at`, or the first one above it; n: none. */
static size_t find(const struct char_range *r, size_t n, uint32_t at) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (r[mid].to < at) low = mid + 1;
        else high = mid;
    }
    return low;
}

/* After a lead byte: `v` so far, n bytes to come; code points below `least` would be overlong. */
static gllm_status tail(struct chars *c, const struct char_range *r, size_t n_ranges, uint32_t v, unsigned n, uint32_t least, uint32_t *state, gllm_error *err) {
    const uint32_t from = v << 6 * n, to = from + (1u << 6 * n) - 1, lowest = from > least ? from : least;
    const size_t i = find(r, n_ranges, lowest);
    *state = CHARS_DEAD;
    if (to < least || i == n_ranges || r[i].from > to) return GLLM_OK;
    if (r[i].from <= from && r[i].to >= to && from >= least) return any_state(c, n, state, err);
    uint32_t made, below;
    TRY(add_state(c, &made, err));
    for (unsigned b = 0x80; b < 0xC0; b++) {
        TRY(tail(c, r, n_ranges, v << 6 | (b & 0x3F), n - 1, least, &below, err));
        c->next[made][b] = (uint16_t)below;
    }
    *state = made;
    return GLLM_OK;
}

gllm_status chars_class(struct chars *c, const struct char_range *ranges, size_t n, uint32_t *state, gllm_error *err) {
    static const struct {
        unsigned from, to, mask, more;
        uint32_t least;
    } LEADS[] = {{0xC2, 0xDF, 0x1F, 1, 0x80}, {0xE0, 0xEF, 0x0F, 2, 0x800}, {0xF0, 0xF4, 0x07, 3, 0x10000}};
    if (map_get(&c->classes, (const char *)ranges, n * sizeof *ranges, state)) return GLLM_OK;
    TRY(add_state(c, state, err));
    for (unsigned b = 0; b < 0x80; b++) {
        const size_t i = find(ranges, n, b);
        if (i < n && ranges[i].from <= b) c->next[*state][b] = CHARS_DONE;
    }
    for (unsigned k = 0; k < 3; k++)
        for (unsigned b = LEADS[k].from; b <= LEADS[k].to; b++) {
            uint32_t below;
            TRY(tail(c, ranges, n, b & LEADS[k].mask, LEADS[k].more, LEADS[k].least, &below, err));
            c->next[*state][b] = (uint16_t)below;
        }
    return map_put(&c->classes, (const char *)ranges, n * sizeof *ranges, *state) ? GLLM_OK : err_nomem(err, "character classes");
}

gllm_status chars_byte(struct chars *c, unsigned char byte, uint32_t *state, gllm_error *err) {
    if (c->bytes[byte]) {
        *state = c->bytes[byte];
        return GLLM_OK;
    }
    TRY(add_state(c, state, err));
    c->next[*state][byte] = CHARS_DONE;
    c->bytes[byte] = (uint16_t)*state;
    return GLLM_OK;
}

static bool same_column(const struct chars *c, unsigned a, unsigned b) {
    for (uint32_t s = 0; s < c->n; s++)
        if (c->next[s][a] != c->next[s][b]) return false;
    return true;
}

gllm_status chars_finish(const struct chars *c, struct grammar *g, gllm_error *err) {
    uint64_t hash[256] = {0};
    unsigned first[256];
    for (uint32_t s = 0; s < c->n; s++)
        for (unsigned b = 0; b < 256; b++) hash[b] = (hash[b] ^ c->next[s][b]) * 0x9E3779B97F4A7C15u;
    g->n_classes = 0;
    for (unsigned b = 0; b < 256; b++) {
        unsigned k = 0;
        while (k < g->n_classes && (hash[first[k]] != hash[b] || !same_column(c, first[k], b))) k++;
        if (k == g->n_classes) first[g->n_classes++] = b;
        g->byte_class[b] = (uint8_t)k;
    }
    g->n_chars = c->n;
    g->chars = arena_array(&g->arena, (size_t)c->n * g->n_classes, sizeof *g->chars);
    if (!g->chars) return err_nomem(err, "character classes");
    for (uint32_t s = 0; s < c->n; s++)
        for (unsigned k = 0; k < g->n_classes; k++) g->chars[(size_t)s * g->n_classes + k] = c->next[s][first[k]];
    return GLLM_OK;
}

void chars_free(struct chars *c) {
    free(c->next);
    map_free(&c->classes);
    *c = (struct chars){0};
}
