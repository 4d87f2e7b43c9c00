/* outputs.h - sparse vectors and token vectors of many texts, gathered as they come from packed forwards. */
#ifndef GLLM_ENGINE_OUTPUTS_H
#define GLLM_ENGINE_OUTPUTS_H
#include "engine/pack.h"

struct gathered { /* all-zero at first, then gathered_begin; gathered_free at last */
    const struct model_files *files;
    size_t n;
    size_t *pair_start, *vector_start; /* [n + 1] where each text's begin; texts come in order */
    int32_t *ids;                      /* sparse: ascending in each text */
    float *weights;
    float *vectors;                    /* rows of token_dim */
    size_t room_pairs, room_vectors;
    bool queries;                      /* the texts are queries: late interaction treats them otherwise */
};
gllm_status gathered_begin(struct gathered *g, const struct model_files *files, size_t n, bool queries, gllm_error *err);
/* Text `text` of what the model gave; texts one after the other. */
gllm_status gathered_add(struct gathered *g, size_t text, const struct text_outputs *o, gllm_error *err);
void gathered_free(struct gathered *g);
#endif
