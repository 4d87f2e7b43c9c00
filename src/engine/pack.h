/* pack.h - many texts as ids, one after the other, and their forwards: packed by a budget of tokens, without padding. */
#ifndef GLLM_ENGINE_PACK_H
#define GLLM_ENGINE_PACK_H
#include "engine/engine.h"

struct packed { /* all-zero at first; packed_free at last */
    int32_t *ids;
    uint8_t *types;
    size_t *start;      /* [n + 1] where each text begins in ids */
    size_t n, capacity, room;
    uint32_t pool_from; /* tokens that pooling leaves out at the start of each text */
    uint32_t *seen;     /* [n] how many of a text's first tokens the others attend to; 0: all */
};
gllm_status packed_add(struct packed *p, const struct encoding *e, gllm_error *err); /* as the next text */
gllm_status packed_append(struct packed *p, const int32_t *ids, uint32_t n, gllm_error *err); /* to the last text, which there is */
void packed_free(struct packed *p);

struct text_outputs { /* of one text, borrowed for the call */
    uint32_t n_tok;
    const int32_t *ids;   /* [n_tok] */
    const float *sparse;  /* [n_tok], or [n_vocab] the largest logits, or for a sum [n_tok, n_vocab]; NULL: not wanted */
    const float *tokens;  /* [n_tok, token_dim]; likewise */
};

/* The work of a task whose texts go through forwards without a cache, as many whole ones as fit the budget, at least one. */
struct packed_run {
    struct packed packed;   /* owned */
    enum pool_kind pooling; /* 0: the model's own */
    uint32_t dim;           /* values that the model gives for each text */
    void (*each)(void *user, size_t text, const float *row); /* row [dim]; not called where no pooled vector is wanted */
    void *user;
    uint32_t outputs; /* OUTPUT_*; 0: the pooled vector alone */
    gllm_status (*more)(void *user, size_t text, const struct text_outputs *o, gllm_error *err); /* of the other outputs, texts in order */
    gllm_progress_fn progress; /* NULL: none; false ends with GLLM_CANCELED */
    void *progress_user;
    void (*end)(struct task *t); /* just before done() */
    double compute_ms;      /* of the forwards with texts of this task */
};
/* Submits t, whose texts are in r. On failure r->packed is freed; end() does not come. */
gllm_status packed_submit(struct engine *e, struct task *t, struct packed_run *r, gllm_error *err);
#endif
