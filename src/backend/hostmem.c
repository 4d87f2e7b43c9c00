#include "backend/hostmem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64 };
#define HUGE_PAGE ((uint64_t)2 << 20)

void *hostmem_pages(uint64_t bytes) {
    uint64_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : ALIGN;
    if (bytes > SIZE_MAX - HUGE_PAGE) return NULL;
    size_t size = (size_t)((bytes + align - 1) / align * align);
    void *p = aligned_alloc((size_t)align, size ? size : ALIGN);
#ifdef MADV_HUGEPAGE
    if (p && align == HUGE_PAGE) madvise(p, size, MADV_HUGEPAGE);
#endif
    return p;
}

gllm_status hostmem_alloc(struct backend *be, uint64_t bytes, enum buffer_kind kind, struct buffer **out, gllm_error *err) {
    (void)be, (void)kind;
    struct hostmem *m = malloc(sizeof *m);
    if (m) *m = (struct hostmem){.base = {.bytes = bytes}, .data = hostmem_pages(bytes)};
    if (!m || !m->data) {
        free(m);
        *out = NULL;
        return err_set(err, GLLM_NOMEM, "out of memory: a buffer of %llu bytes", (unsigned long long)bytes);
    }
    *out = &m->base;
    return GLLM_OK;
}

void hostmem_free(struct backend *be, struct buffer *b) {
    (void)be;
    if (b) free(((struct hostmem *)b)->data);
    free(b);
}

static gllm_status in_range(const struct buffer *b, uint64_t offset, uint64_t n, gllm_error *err) {
    if (offset <= b->bytes && n <= b->bytes - offset) return GLLM_OK;
    return err_set(err, GLLM_INVALID, "bytes %llu + %llu leave a buffer of %llu", (unsigned long long)offset, (unsigned long long)n, (unsigned long long)b->bytes);
}

gllm_status hostmem_write(struct backend *be, struct buffer *b, uint64_t offset, const void *src, uint64_t n, gllm_error *err) {
    (void)be;
    TRY(in_range(b, offset, n, err));
    if (n) memcpy(((struct hostmem *)b)->data + offset, src, n); /* src may be NULL for nothing */
    return GLLM_OK;
}

gllm_status hostmem_read(struct backend *be, struct buffer *b, uint64_t offset, void *dst, uint64_t n, gllm_error *err) {
    (void)be;
    TRY(in_range(b, offset, n, err));
    if (n) memcpy(dst, ((struct hostmem *)b)->data + offset, n);
    return GLLM_OK;
}

gllm_status hostmem_copy(struct backend *be, struct buffer *dst, uint64_t dst_offset, struct buffer *src, uint64_t src_offset, uint64_t n, gllm_error *err) {
    (void)be;
    TRY(in_range(dst, dst_offset, n, err));
    TRY(in_range(src, src_offset, n, err));
    memmove(((struct hostmem *)dst)->data + dst_offset, ((struct hostmem *)src)->data + src_offset, n);
    return GLLM_OK;
}

gllm_status hostmem_fill(struct backend *be, struct buffer *b, uint64_t offset, uint32_t word, uint64_t n, gllm_error *err) {
    (void)be;
    TRY(in_range(b, offset, n, err));
    if (n % 4) return err_set(err, GLLM_INVALID, "fill of %llu bytes, expected a multiple of 4", (unsigned long long)n);
    for (uint64_t i = 0; i < n; i += 4) memcpy(((struct hostmem *)b)->data + offset + i, &word, 4);
    return GLLM_OK;
}

/* The number in a one-line file; false: none ("max" included). */
static bool read_number(const char *path, uint64_t *out) {
    FILE *f = fopen(path, "re");
    if (!f) return false;
    unsigned long long v;
    bool ok = fscanf(f, "%llu", &v) == 1;
    fclose(f);
    if (ok) *out = v;
    return ok;
}

void hostmem_info(uint64_t *free_bytes, uint64_t *total_bytes) {
    *free_bytes = *total_bytes = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    unsigned long long kib;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemTotal: %llu", &kib) == 1) *total_bytes = (uint64_t)kib * 1024;
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1) *free_bytes = (uint64_t)kib * 1024;
    }
    if (f) fclose(f);
    uint64_t limit, used = 0;
    if (read_number("/sys/fs/cgroup/memory.max", &limit)) read_number("/sys/fs/cgroup/memory.current", &used);
    else if (read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", &limit)) read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes", &used);
    else return;
    if (limit < *total_bytes) *total_bytes = limit;
    uint64_t left = limit > used ? limit - used : 0;
    if (left < *free_bytes) *free_bytes = left;
}

/* The pages of each sequence: enough for its past and new tokens, and in every cache. */
static gllm_status pages_check(const struct tape *t, const uint32_t *s, gllm_error *err) {
    const struct step_layout *l = &t->layout;
    const uint32_t *starts = s + l->starts, *past = s + l->past, *first = s + l->page_first, n_seq = s[STEP_N_SEQ];
    uint32_t n_pages = UINT32_MAX;
    for (size_t i = 0; i < t->n_ops; i++)
        if (t->ops[i].kind == OP_STORE_KV && t->ops[i].store_kv.cache.n_pages < n_pages) n_pages = t->ops[i].store_kv.cache.n_pages;
    if (first[0] != 0 || first[n_seq] > l->cap_pages)
        return err_set(err, GLLM_INVALID, "step: pages %u to %u, expected 0 to at most %u", first[0], first[n_seq], l->cap_pages);
    for (uint32_t i = 0; i < n_seq; i++) {
        uint64_t tokens = (uint64_t)past[i] + starts[i + 1] - starts[i];
        if (first[i] > first[i + 1] || (uint64_t)(first[i + 1] - first[i]) * KV_PAGE < tokens)
            return err_set(err, GLLM_INVALID, "step: sequence %u has pages %u to %u for %llu tokens", i, first[i], first[i + 1], (unsigned long long)tokens);
    }
    for (uint32_t i = 0; i < first[n_seq]; i++)
        if (s[l->pages + i] >= n_pages) return err_set(err, GLLM_INVALID, "step: page %u of %u", s[l->pages + i], n_pages);
    return GLLM_OK;
}

gllm_status step_check(const struct tape *t, gllm_error *err) {
    const uint32_t *s = step_ptr(t), *starts = s + t->layout.starts, n_tok = s[STEP_N_TOK], n_seq = s[STEP_N_SEQ];
    if (n_tok > t->layout.cap_tok || n_seq > t->layout.cap_seq)
        return err_set(err, GLLM_INVALID, "step of %u tokens in %u sequences, expected at most %u in %u", n_tok, n_seq, t->layout.cap_tok, t->layout.cap_seq);
    if (starts[0] != 0 || starts[n_seq] != n_tok)
        return err_set(err, GLLM_INVALID, "step: sequences cover tokens %u to %u, expected 0 to %u", starts[0], starts[n_seq], n_tok);
    for (uint32_t i = 0; i < n_seq; i++) {
        if (starts[i] > starts[i + 1]) return err_set(err, GLLM_INVALID, "step: sequence %u begins at token %u and ends at %u", i, starts[i], starts[i + 1]);
        if (starts[i + 1] - starts[i] > s[STEP_MAX_LEN])
            return err_set(err, GLLM_INVALID, "step: sequence %u has %u tokens, the longest is said to have %u", i, starts[i + 1] - starts[i], s[STEP_MAX_LEN]);
        if (s[t->layout.seen + i] > starts[i + 1] - starts[i])
            return err_set(err, GLLM_INVALID, "step: sequence %u has %u tokens, %u of them are said to be seen", i, starts[i + 1] - starts[i], s[t->layout.seen + i]);
    }
    if (s[STEP_N_OUT] > t->layout.cap_out) return err_set(err, GLLM_INVALID, "step: %u gathered rows, expected at most %u", s[STEP_N_OUT], t->layout.cap_out);
    for (uint32_t i = 0; i < s[STEP_N_OUT]; i++)
        if (s[t->layout.out_rows + i] >= n_tok) return err_set(err, GLLM_INVALID, "step: gathered row %u is token %u of %u", i, s[t->layout.out_rows + i], n_tok);
    return t->layout.cap_pages ? pages_check(t, s, err) : GLLM_OK;
}

static gllm_status codes_check(const struct weight_desc *d, uint32_t part, gllm_error *err) {
    const struct weight_codes *w = d->parts[part].codes;
    if (d->role == WEIGHT_VECTOR) return err_set(err, GLLM_INVALID, "%s: part %u is a vector of codes", d->name, part);
    for (const struct code_grid *g = &w->codes;; g = &w->zeros) {
        if (g->data && (g->bits < 2 || g->bits > 8 || (g->unit != 4 && (g->unit != 1 || g->bits % 4))))
            return err_set(err, GLLM_INVALID, "%s: part %u has codes of %u bits in words of %u bytes", d->name, part, g->bits, g->unit);
        if (g == &w->zeros) break;
    }
    if (!w->group || !w->scales) return err_set(err, GLLM_INVALID, "%s: part %u has codes without groups or scales", d->name, part);
    return GLLM_OK;
}

static gllm_status scale_check(const struct weight_desc *d, uint32_t part, gllm_error *err) {
    const struct weight_scale *s = &d->parts[part].scale;
    if (!s->data) return GLLM_OK;
    if (d->role == WEIGHT_VECTOR) return err_set(err, GLLM_INVALID, "%s: part %u is a vector with a scale", d->name, part);
    if (s->dtype != DTYPE_F32 && s->dtype != DTYPE_F16 && s->dtype != DTYPE_BF16)
        return err_set(err, GLLM_UNSUPPORTED, "%s: scale of part %u has dtype %s, expected F32, F16 or BF16", d->name, part, (unsigned)s->dtype < DTYPE_COUNT ? dtype_traits(s->dtype)->name : "unknown");
    if (!s->row_block || !s->col_block) return err_set(err, GLLM_INVALID, "%s: scale of part %u is for blocks of %u x %u, expected 1 or more", d->name, part, s->row_block, s->col_block);
    return GLLM_OK;
}

static bool plain_float(enum dtype d) { return d == DTYPE_F32 || d == DTYPE_F16 || d == DTYPE_BF16; }

static gllm_status delta_check(const struct weight_desc *d, uint32_t part, gllm_error *err) {
    const struct weight_delta *x = d->parts[part].delta;
    if (!x) return GLLM_OK;
    if (d->role != WEIGHT_MATRIX || !d->parts[part].data) return err_set(err, GLLM_INVALID, "%s: part %u has a delta, expected none but of a matrix with data", d->name, part);
    if (!x->a || !x->b || !x->rank || !plain_float(x->a_dtype) || !plain_float(x->b_dtype))
        return err_set(err, GLLM_INVALID, "%s: delta of part %u: rank %u, expected 1 or more and values of F32, F16 or BF16", d->name, part, x->rank);
    return GLLM_OK;
}

gllm_status weight_desc_check(const struct weight_desc *d, uint32_t *rows, gllm_error *err) {
    uint64_t total = 0;
    if ((unsigned)d->role > WEIGHT_VECTOR) return err_set(err, GLLM_INVALID, "%s: role %d is unknown", d->name, (int)d->role);
    if (!d->n_parts || d->n_parts > WEIGHT_MAX_PARTS || !d->cols)
        return err_set(err, GLLM_INVALID, "%s: %u parts of %u columns, expected 1 to %d parts", d->name, d->n_parts, d->cols, WEIGHT_MAX_PARTS);
    for (uint32_t i = 0; i < d->n_parts; i++) {
        const struct weight_part *p = &d->parts[i];
        if (p->codes) TRY(codes_check(d, i, err));
        else if (p->data && !dtype_is_weight(p->dtype))
            return err_set(err, GLLM_UNSUPPORTED, "%s: part %u has dtype %s, expected a floating-point or quantised type", d->name, i, (unsigned)p->dtype < DTYPE_COUNT ? dtype_traits(p->dtype)->name : "unknown");
        const uint32_t block = p->data && !p->codes ? dtype_traits(p->dtype)->block : 1, width = d->role == WEIGHT_VECTOR ? p->rows : d->cols;
        TRY(scale_check(d, i, err));
        TRY(delta_check(d, i, err));
        if (width % block) return err_set(err, GLLM_INVALID, "%s: part %u has rows of %u values, %s needs a multiple of %u", d->name, i, width, dtype_traits(p->dtype)->name, block);
        total += p->rows;
    }
    if (d->role == WEIGHT_VECTOR && total != d->cols)
        return err_set(err, GLLM_INVALID, "%s: parts of %llu values, expected %u", d->name, (unsigned long long)total, d->cols);
    if (!total || total > WEIGHT_MAX_SIDE || d->cols > WEIGHT_MAX_SIDE)
        return err_set(err, GLLM_INVALID, "%s: shape [%llu,%u], expected 1 to %d rows and columns", d->name, (unsigned long long)total, d->cols, WEIGHT_MAX_SIDE);
    *rows = d->role == WEIGHT_VECTOR ? 1 : (uint32_t)total;
    return GLLM_OK;
}

enum { DELTA_COLS = 256 }; /* columns at once: a row of `a` among them stays in the nearest cache */

static void delta_row(const struct weight_delta *x, uint32_t cols, uint32_t row, float *out) {
    const uint8_t *a = x->a, *b = (const uint8_t *)x->b + row * dtype_row_bytes(x->b_dtype, x->rank);
    float sum[DELTA_COLS], line[DELTA_COLS], factor;
    for (uint32_t first = 0; first < cols; first += DELTA_COLS) {
        const uint32_t n = cols - first < DELTA_COLS ? cols - first : DELTA_COLS;
        memset(sum, 0, sizeof sum);
        for (uint32_t k = 0; k < x->rank; k++) {
            dtype_to_f32(x->b_dtype, b + dtype_row_bytes(x->b_dtype, k), &factor, 1);
            dtype_to_f32(x->a_dtype, a + k * dtype_row_bytes(x->a_dtype, cols) + dtype_row_bytes(x->a_dtype, first), line, n);
            for (uint32_t c = 0; c < n; c++) sum[c] += factor * line[c];
        }
        for (uint32_t c = 0; c < n; c++) out[first + c] += x->scale * sum[c];
    }
}

void weight_row(const struct weight_part *p, uint32_t cols, uint32_t row, float *out) {
    if (p->codes) codes_row(p->codes, cols, row, out);
    else {
        dtype_to_f32(p->dtype, (const uint8_t *)p->data + row * dtype_row_bytes(p->dtype, cols), out, cols);
        weight_scale_row(p, cols, row, out);
    }
    if (p->delta) delta_row(p->delta, cols, row, out);
}

void weight_scale_row(const struct weight_part *p, uint32_t cols, uint32_t row, float *out) {
    const struct weight_scale *s = &p->scale;
    if (!s->data) return;
    const uint32_t n = cols / s->col_block + (cols % s->col_block != 0);
    const uint8_t *at = (const uint8_t *)s->data + (size_t)(row / s->row_block) * dtype_row_bytes(s->dtype, n);
    for (uint32_t c = 0; c < cols;) {
        float scale;
        const uint32_t end = cols - c < s->col_block ? cols : c + s->col_block;
        dtype_to_f32(s->dtype, at, &scale, 1);
        for (; c < end; c++) out[c] *= scale;
        at += dtype_row_bytes(s->dtype, 1);
    }
}

void weight_values(const struct weight_desc *d, float *out) {
    for (uint32_t i = 0; i < d->n_parts; i++) {
        const struct weight_part *p = &d->parts[i];
        const uint32_t cols = d->role == WEIGHT_VECTOR ? 1 : d->cols;
        if (!p->data) memset(out, 0, (size_t)p->rows * cols * sizeof *out);
        else if (d->role == WEIGHT_VECTOR) dtype_to_f32(p->dtype, p->data, out, p->rows);
        else
            for (uint32_t r = 0; r < p->rows; r++) weight_row(p, cols, r, out + (size_t)r * cols);
        out += (size_t)p->rows * cols;
    }
}
