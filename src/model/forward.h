/* forward.h - the one forward: what every transformer of this project says to a tape. */
#ifndef GLLM_MODEL_FORWARD_H
#define GLLM_MODEL_FORWARD_H
#include "model/bind.h"

struct forward_buffers {
    struct view x;    /* [n_tok, d_model] the residual stream */
    struct view h;    /* [n_tok, max(d_model, n_head d_head)] a sublayer's input, the heads' output, a branch */
    struct view wide; /* [n_tok, forward_wide()] q|k|v, then the feed-forward's inside */
    struct view rope[N_ROPES]; /* [n_tok, n_rot] cos|sin; no buffer: not used */
};
struct forward_cache { /* decoders */
    const struct kv_cache *layers; /* [n_layer] */
    float rope_scale[N_ROPES];
};
uint32_t forward_wide(const struct model_cfg *c); /* columns of `wide` */
/* Records embedding and blocks; the result is in b->x, before any final norm. cache NULL: an encoder. */
void forward_body(struct tape *t, const struct model_cfg *c, const struct model_weights *w, const struct forward_buffers *b, const struct forward_cache *cache);
#endif
