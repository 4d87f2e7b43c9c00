/* answer.h - one generation: what its sampler, grammar, stop strings and text are after each token.
 *
 * Thread rule: answer_new on the calling thread, the rest on the worker. */
#ifndef GLLM_ENGINE_ANSWER_H
#define GLLM_ENGINE_ANSWER_H
#include "engine/generate.h"
#include "model/kv.h"

struct answer { /* owned by its task */
    struct generate_call *c;
    struct answer *next;    /* put back */
    struct kv_seq *seq;     /* NULL: it is not in the cache */
    struct sampler *sampler; /* NULL: it has not begun */
    struct token_stream *stream;
    struct stop_matcher *stop;
    struct constraint *constraint; /* NULL: none */
    size_t text_room;
    uint32_t room; /* of tokens and sampled */
    double begun;  /* clock_ms() */
};
/* The grammar is read here. GLLM_INVALID, GLLM_UNSUPPORTED: what is wrong with it or with a parameter. */
gllm_status answer_new(struct answer **out, struct engine *e, struct generate_call *c, gllm_error *err);
void answer_free(struct answer *a); /* NULL ok; its sequence was ended before */
gllm_status answer_begin(struct answer *a, const struct model *m, gllm_error *err);
uint32_t answer_length(const struct answer *a); /* tokens: prompt and answer */
const int32_t *answer_tokens(const struct answer *a, uint32_t at, uint32_t *n); /* those from `at` on that lie side by side, at most *n */
/* The next token from the logits after all that there are. *more false: the answer is complete. */
gllm_status answer_next(struct answer *a, const struct model *m, const float *logits, bool *more, gllm_error *err);
bool answer_heard(struct answer *a); /* a chunk of the prompt is computed; false: the caller wants no more */
/* Lets out what was held back, and closes the times. */
gllm_status answer_finish(struct answer *a, gllm_error *err);
#endif
