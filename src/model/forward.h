/* forward.h - the one forward: what every transformer of this project says to a tape. */
#ifndef GLLM_MODEL_FORWARD_H
#define GLLM_MODEL_FORWARD_H
#include "model/bind.h"

struct forward_buffers {
    struct view x;    /* [n_tok, d_model] the residual stream */
    struct view h;    /* [n_tok, d_model] a sublayer's input or the heads' output */
    struct view wide; /* [n_tok, max(3 d_model, d_ff, d_embd)] q|k|v, then the feed-forward's inside */
};
uint32_t forward_wide(const struct model_cfg *c); /* columns of `wide` */
/* Records embedding and blocks; the result is in b->x. */
void forward_encode(struct tape *t, const struct model_cfg *c, const struct encoder_weights *w, const struct forward_buffers *b);
#endif
