/* generate.h - prompts to text, and texts to log-probabilities, on the model's worker thread.
 *
 * The decoder (cache and plan) is opened at the first call and kept; what a finished call computed stays in the cache for the next prompt that
 * begins alike. */
#ifndef GLLM_ENGINE_GENERATE_H
#define GLLM_ENGINE_GENERATE_H
#include "engine/constraint.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "model/decoder.h"
#include "text/stop.h"

typedef bool (*generate_fn)(void *user, const char *text, size_t len, int32_t token, const struct sampled *s); /* on the worker; false stops */
struct generate_call {
    struct task task;
    const int32_t *prompt; /* [n_prompt] at least 1 */
    uint32_t n_prompt, max_tokens; /* max_tokens 0: until the end or the context is full */
    struct sampler_params sampler;
    const struct stop_string *stop;
    size_t n_stop;
    bool ignore_eos;
    struct constraint_spec constraint; /* of the answer; the end of its text is an end, too */
    bool (*shows)(const void *user, const char *text, size_t len); /* which special tokens are part of the text, by their spelling; NULL: none */
    const void *shows_user;
    generate_fn on_text;   /* may be NULL; also called with an empty text for a token whose text is held back */
    void *user;
    /* results; the arrays are the caller's to free */
    char *text;
    size_t text_len;
    int32_t *tokens;       /* [n_tokens] the end token left out */
    struct sampled *sampled; /* [n_tokens] with logprobs only; top is [n_tokens * n_top] in `top` */
    struct token_logprob *top;
    uint32_t n_tokens, n_cached;
    gllm_finish finish;
    bool context_full;
    int stop_hit;          /* index of the stop string; -1: none */
    double prefill_ms, decode_ms;
};
/* On failure, here or in done(), the call has no arrays. A task that is canceled gives GLLM_OK and what it has; its prompt may not have been read at all. */
gllm_status engine_generate_submit(struct engine *e, struct generate_call *c, gllm_error *err);
void generate_call_free(struct generate_call *c);

struct score_call {
    struct task task;
    const int32_t *tokens; /* [n] */
    uint32_t n;
    float *logprob;        /* [n - 1] of token i + 1 after tokens 0..i; the caller's memory */
    int32_t *best;         /* [n - 1] the most likely token there; likewise */
    double ms;
    struct kv_seq *seq;    /* the engine's */
};
gllm_status engine_score_submit(struct engine *e, struct score_call *c, gllm_error *err);
uint32_t engine_context(const struct engine *e); /* tokens of one sequence */
/* On the worker; nothing where it is open. Where memory does not suffice the cache becomes smaller, which is told; GLLM_NOMEM: not even a small one can be had. */
gllm_status engine_open_decoder(struct model *m, const struct engine *e, gllm_error *err);
struct decoder_options engine_decoder_options(const struct engine_options *o); /* what an engine opens its decoder with */
#endif
