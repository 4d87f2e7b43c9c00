/* embedding.h - what the routes of embeddings, scores and classes of all families share: texts and options in, a job, its result with its counts. */
#ifndef GLLM_SERVER_EMBEDDING_H
#define GLLM_SERVER_EMBEDDING_H
#include "server.h"

struct ask { /* q->state of these routes; freed with the request */
    const struct served *model;
    gllm_str *texts, *pairs; /* [count] owned arrays; the texts are the body's. pairs NULL: none */
    gllm_ids *ids;           /* [count] in place of texts, owned; NULL: none */
    int32_t *id_block;       /* what ids points into, owned */
    size_t count;
    gllm_embed_request embed;
    gllm_rerank_request rerank;
    gllm_classify_request classify;
    int encoding;            /* the route's own */
    bool by_type, want_text, single;
    unsigned types;
};
struct ask *ask_open(struct request *q, const char *task); /* with its model; NULL: replied */
/* Texts, or lists of token ids in their place: "a", ["a", …], [1, …], [[1, …], …]. */
bool ask_inputs(struct request *q, struct ask *a, const char *key);
/* truncate ("end" "start" "none" in any case, true, false), truncation_direction ("right" "left"). */
bool ask_truncate(struct request *q, gllm_truncate *out);
/* dimensions (by the name `dimensions`), normalize, prompt_name, prompt, input_type, truncate. */
bool ask_embed_options(struct request *q, struct ask *a, const char *dimensions);
void ask_embed(struct request *q, struct ask *a, void (*then)(struct request *q));
/* The result, and into the log and header what was cut; NULL: the failure is replied. Owned. */
gllm_embeddings *ask_embeddings(struct request *q);
gllm_rankings *ask_rankings(struct request *q);
gllm_classes *ask_classes(struct request *q);
/* Vectors as OpenAI and Ollama give them are of length 1, but for models that are compared by their product. */
gllm_normalize ask_unit(const struct ask *a);
void ask_embedding(struct text *t, const gllm_embeddings *e, size_t i); /* [0.1,…] */
#endif
