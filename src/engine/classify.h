/* classify.h - texts or pairs of texts through a classification head: rerankers (one label) and classifiers (several). */
#ifndef GLLM_ENGINE_CLASSIFY_H
#define GLLM_ENGINE_CLASSIFY_H
#include "engine/pack.h"

struct classify_call { /* texts are borrowed for the submit alone */
    struct task task;
    const gllm_str *texts, *pairs; /* [n] lengths resolved, UTF-8 checked here; pairs NULL: single texts */
    const gllm_str *query;         /* else the first text of every pair; texts then hold the second ones */
    size_t n;
    gllm_truncate truncate;        /* END, START: of the second text; of the first only when it alone is above the limit */
    gllm_progress_fn progress;
    void *progress_user;
    /* results, the caller's memory: */
    float *logits;                  /* [n, n_labels] */
    uint32_t *tokens, *full_tokens; /* [n] */
    bool *first_cut;                /* [n] the first text of the pair was cut too */
    double compute_ms;
    struct packed_run run; /* the engine's */
};
/* GLLM_UNSUPPORTED: the model has no such head. GLLM_TOO_LONG: truncate is NONE. */
gllm_status engine_classify_submit(struct engine *e, struct classify_call *c, gllm_error *err);
/* values [n] become scores, in place. */
void score_apply(enum score_act act, float *values, uint32_t n);
#endif
