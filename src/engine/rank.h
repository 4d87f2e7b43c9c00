/* rank.h - documents scored by a causal model (model/ranker.h), on the model's worker thread.
 *
 * One document at a time: all prompts of a call begin alike. What they share is computed once and stays in the cache for the next call; then as many
 * documents as fit a step go on from it together, and give their pages back when they are done. A score has the same bits alone, among any others and
 * whatever the cache held before.
 * Many in one context: blocks of documents, each one forward; a document's score depends on the others of its block. */
#ifndef GLLM_ENGINE_RANK_H
#define GLLM_ENGINE_RANK_H
#include "engine/engine.h"
#include "engine/rank_prompt.h"

struct rank_call { /* texts are borrowed for the submit alone */
    struct task task;
    struct rank_question question; /* lengths resolved, UTF-8 checked here, as the documents. A reranker is not asked to judge: then `judge` becomes false */
    const gllm_str *documents;     /* [n] */
    size_t n;
    gllm_truncate truncate;
    bool unshared;                 /* for measuring: every document computes its whole prompt */
    gllm_progress_fn progress;
    void *progress_user;
    /* results, the caller's memory: */
    float *scores;                  /* [n] out[yes] - out[no], or a cosine */
    uint32_t *tokens, *full_tokens; /* [n] of a document's prompt; RANKER_LIST: of the document alone */
    bool *query_cut;                /* [n] */
    double compute_ms;
};
uint32_t rank_limit(const struct engine *e); /* tokens of a prompt: at most 8192, which the model's authors advise */
/* GLLM_UNSUPPORTED: the model is no reranker and was not asked to judge, or it cannot. GLLM_TOO_LONG: truncate is NONE, or the prompt leaves no room. */
gllm_status engine_rank_submit(struct engine *e, struct rank_call *c, gllm_error *err);
#endif
