/* hostmem.h - buffers that are host memory: what the backends `ref` and `cpu` share.
 *
 * 64-byte aligned; large ones ask for huge pages. Every access is checked against the buffer's size. */
#ifndef GLLM_BACKEND_HOSTMEM_H
#define GLLM_BACKEND_HOSTMEM_H
#include "backend/tape.h"

struct hostmem {
    struct buffer base;
    unsigned char *data;
};
static inline float *view_ptr(const struct view *v) { return (float *)(void *)(((struct hostmem *)v->buf)->data + v->offset); }
static inline const uint32_t *step_ptr(const struct tape *t) { return (const uint32_t *)(const void *)((struct hostmem *)t->step)->data; }

void *hostmem_pages(uint64_t bytes); /* 64-byte aligned, undefined; NULL: out of memory. Freed with free() */
gllm_status hostmem_alloc(struct backend *be, uint64_t bytes, enum buffer_kind kind, struct buffer **out, gllm_error *err);
void hostmem_free(struct backend *be, struct buffer *b);
gllm_status hostmem_write(struct backend *be, struct buffer *b, uint64_t offset, const void *src, uint64_t n, gllm_error *err);
gllm_status hostmem_read(struct backend *be, struct buffer *b, uint64_t offset, void *dst, uint64_t n, gllm_error *err);
gllm_status hostmem_copy(struct backend *be, struct buffer *dst, uint64_t dst_offset, struct buffer *src, uint64_t src_offset, uint64_t n, gllm_error *err);
gllm_status hostmem_fill(struct backend *be, struct buffer *b, uint64_t offset, uint32_t word, uint64_t n, gllm_error *err);
void hostmem_info(uint64_t *free_bytes, uint64_t *total_bytes); /* of the system, cut by the cgroup's limit */
/* GLLM_INVALID unless the step's counts fit its layout, its sequences cover its tokens in order, gathered rows are tokens and each sequence has
 * pages, present in every cache of the tape, for all of its tokens. O(n_seq + n_out + pages + operations). */
gllm_status step_check(const struct tape *t, gllm_error *err);
/* Checks that every backend makes of a weight's description: role, parts, dtypes, rows. Total rows in *rows. */
enum { WEIGHT_MAX_SIDE = 0x3fffffff }; /* so that bytes and rounded-up rows stay far from wrapping */
/* Where key head `head` of cache page `page` begins: KV_PAGE keys, then KV_PAGE values. */
static inline unsigned char *kv_head(const struct kv_cache *c, uint32_t page, uint32_t head) {
    return ((struct hostmem *)c->buf)->data + (uint64_t)page * kv_page_bytes(c->dtype, c->n_kv, c->d_head) + head * kv_page_bytes(c->dtype, 1, c->d_head);
}
gllm_status weight_desc_check(const struct weight_desc *d, uint32_t *rows, gllm_error *err);
/* out[0..cols) = row `row` of a part with data, as f32, its scale and its delta applied. */
void weight_row(const struct weight_part *p, uint32_t cols, uint32_t row, float *out);
void weight_scale_row(const struct weight_part *p, uint32_t cols, uint32_t row, float *out); /* applies the scale alone */
/* All parts of a weight as f32, row-major: [rows, cols], or [cols] of a vector. */
void weight_values(const struct weight_desc *d, float *out);
#endif
