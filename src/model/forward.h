/* forward.h - the one forward: what every transformer of this project says to a tape. */
#ifndef GLLM_MODEL_FORWARD_H
#define GLLM_MODEL_FORWARD_H
#include "model/bind.h"

/* A view of a whole new buffer, which the caller frees. GLLM_NOMEM: v is as it was. */
gllm_status rows_alloc(struct view *v, struct backend *be, uint32_t rows, uint32_t cols, enum extent extent, enum buffer_kind kind, gllm_error *err);
gllm_status rows_read(const struct view *v, struct backend *be, uint32_t rows, float *out, gllm_error *err); /* its first rows; out [rows, cols] on the host */

struct forward_buffers { /* views of whole buffers, owned: forward_alloc makes them */
    struct view x;    /* [n_tok, d_model] the residual stream */
    struct view h;    /* [n_tok, max(d_model, n_head d_head)] a sublayer's input, the heads' output, a branch */
    struct view wide; /* [n_tok, forward_wide()] q|k|v, then the feed-forward's inside */
    struct view rope[N_ROPES]; /* [n_tok, n_rot] cos|sin; no buffer: not used */
};
uint32_t forward_wide(const struct model_cfg *c); /* columns of `wide` */
uint64_t forward_floats(const struct model_cfg *c); /* of all of these, for one token */
/* Buffers for n_tok tokens. On failure what was made stays in b for forward_free. GLLM_NOMEM */
gllm_status forward_alloc(struct forward_buffers *b, struct backend *be, const struct model_cfg *c, uint32_t n_tok, gllm_error *err);
void forward_free(struct forward_buffers *b, struct backend *be);
/* Records embedding and blocks; the result is in b->x, before any final norm. caches [n_layer]: where keys and values of each layer go and stay;
 * NULL: attention is to the tokens of the batch alone, and causal only where cfg says so. */
void forward_body(struct tape *t, const struct model_cfg *c, const struct model_weights *w, const struct forward_buffers *b, const struct kv_cache *caches);
void forward_final_norm(struct tape *t, const struct model_cfg *c, const struct model_weights *w, struct view x); /* in place; skipped where the model has none */
#endif
