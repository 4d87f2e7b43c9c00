/* embed.h - texts to vectors: tokenise on the caller's thread, pack by token budget, run, cut and normalise. */
#ifndef GLLM_ENGINE_EMBED_H
#define GLLM_ENGINE_EMBED_H
#include "engine/outputs.h"

struct embed_call { /* texts and prompt are borrowed for the submit alone */
    struct task task;
    const gllm_str *inputs; /* lengths resolved, UTF-8 checked here */
    const gllm_ids *ids;   /* [n_inputs] in place of inputs, taken as they are; NULL: none */
    size_t n_inputs;
    gllm_str prompt;       /* glued before each; len 0: none */
    uint32_t dimensions;   /* 0: all */
    bool normalize;
    enum pool_kind pooling; /* 0: the model's */
    uint32_t outputs;       /* OUTPUT_*, of those that the model has: embed_outputs() */
    bool queries;           /* for late interaction */
    uint32_t dim;           /* the pooled vector's width before the cut: embed_dim() */
    gllm_truncate truncate;
    gllm_progress_fn progress;
    void *progress_user;
    /* results, the caller's memory: */
    float *data;           /* [n_inputs, dimensions or dim] with OUTPUT_DENSE */
    struct gathered more;  /* the other outputs; gathered_free also on failure */
    uint32_t *tokens, *full_tokens; /* [n_inputs] */
    double compute_ms;
    struct packed_run run; /* the engine's */
};
/* The width of a vector with this pooling (0: the model's own). GLLM_UNSUPPORTED: a generator, and no pooling. */
gllm_status embed_dim(const struct model *m, enum pool_kind pooling, uint32_t *dim, gllm_error *err);
/* Which outputs a call for `asked` gives (0: the first of dense, sparse and tokens that the model has). GLLM_UNSUPPORTED names one that it lacks. */
gllm_status embed_outputs(const struct model *m, uint32_t asked, uint32_t *out, gllm_error *err);
/* The texts of c as tokens, after those already in p; c->tokens and full_tokens. */
gllm_status embed_encode(const struct model *m, struct embed_call *c, struct packed *p, gllm_error *err);
gllm_status engine_embed_submit(struct engine *e, struct embed_call *c, gllm_error *err);
#endif
