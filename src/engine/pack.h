/* pack.h - many texts as ids, one after the other, and their forwards: packed by a budget of tokens, without padding, those of all waiting calls together. */
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

/* The work of a task whose texts go through forwards without a cache. With `more` or `progress` one worker at a time has texts of it, in order. */
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
    /* the scheduler's, under the engine's lock: */
    size_t taken, done;     /* texts that went into forwards; whose forwards are over */
    size_t in_flight;       /* texts that are in forwards */
    const struct text_batch *holder; /* that took the last of them */
};
/* Submits t, whose texts are in r. On failure r->packed is freed; end() does not come. */
gllm_status packed_submit(struct engine *e, struct task *t, struct packed_run *r, gllm_error *err);

struct text_piece { /* of a forward: a text of a task */
    struct task *task;
    size_t text;
};
struct text_share { /* of a forward: a task with texts in it */
    struct task *task;
    size_t n;
};
struct text_batch { /* a worker's */
    struct text_piece *pieces; /* [n] a task's texts need not be side by side */
    struct text_share *shares; /* [n_shares] */
    size_t n, n_shares, n_tok, room;
    uint32_t budget, good; /* tokens of a forward since memory ran out (0: it did not); forwards that went well since then */
};
struct worker;
/* Locked before and after: one forward over texts that wait, the longest-waiting caller's first. False: there are none. */
bool texts_round(struct worker *w);
bool texts_drop(struct engine *e, struct task *t); /* locked: it takes no more turns; true: texts of it are in forwards, and it ends after them */
gllm_status text_batch_init(struct text_batch *b, uint32_t max_batch_tokens, gllm_error *err);
void text_batch_free(struct text_batch *b);
#endif
