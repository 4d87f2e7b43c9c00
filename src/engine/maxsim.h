/* maxsim.h - documents by late interaction with a query: for each token vector of the query the largest product with one of the document, summed. */
#ifndef GLLM_ENGINE_MAXSIM_H
#define GLLM_ENGINE_MAXSIM_H
#include "engine/embed.h"

struct maxsim_call { /* texts are borrowed for the submit alone */
    struct task task;
    gllm_str query; /* lengths resolved, UTF-8 checked here */
    const gllm_str *documents; /* [n] likewise */
    size_t n;
    gllm_truncate truncate; /* of the documents; the query is cut at its end, and told */
    gllm_progress_fn progress;
    void *progress_user;
    /* results, the caller's memory: */
    float *scores;                  /* [n] divided by the number of the query's vectors where the model's own formula does (BGE-M3) */
    uint32_t *tokens, *full_tokens; /* [n] of query and document */
    bool *query_cut;                /* [n] */
    double compute_ms;
    struct packed_run run; /* the engine's: the query's text, then the documents' */
    struct gathered vectors[2]; /* likewise: of the query, and of one document after the other */
};
bool maxsim_has(const struct model *m); /* the model gives token vectors */
gllm_status engine_maxsim_submit(struct engine *e, struct maxsim_call *c, gllm_error *err);
#endif
