/* sampler.h - from logits to the next token.
 *
 * In this order, each as the reference library (transformers) defines it:
 *   repetition penalty r   l / r for l > 0, else l r, of every token of the last penalty_last_n (prompt and answer)
 *   presence, frequency    l -= presence + frequency count, by the tokens generated (OpenAI)
 *   logit bias             l += bias
 *   allowed                tokens outside the set are impossible
 *   temperature t          l / t;  0: the largest logit, of equal ones the lowest id
 *   top_k                  the k largest        top_p   the fewest whose probability reaches p
 *   min_p                  those with at least p times the largest probability
 *   typical_p              those whose surprise is nearest the expected one, until their probability reaches p
 * Each stage sees the probabilities of what the one before it left. The draw is the inverse of their cumulative sum, most likely first; the
 * random number is Philox4x32-10 of (seed, number of tokens generated): the same seed gives the same text on any machine and thread count.
 * Thread rule: one owner. A step allocates nothing. */
#ifndef GLLM_ENGINE_SAMPLER_H
#define GLLM_ENGINE_SAMPLER_H
#include "base/error.h"

struct logit_bias {
    int32_t id;
    float bias;
};
struct sampler_params {
    float temperature, top_p, min_p, typical_p; /* top_p and typical_p 1, min_p 0: off */
    uint32_t top_k;                             /* 0: off */
    float repetition_penalty, presence_penalty, frequency_penalty; /* 1, 0, 0: off */
    uint32_t penalty_last_n;                    /* 0: all */
    const struct logit_bias *bias;              /* borrowed for sampler_open */
    size_t n_bias;
    uint64_t seed;
    bool logprobs;
    uint32_t n_top;                             /* most likely tokens reported beside the chosen one */
};
extern const struct sampler_params SAMPLER_DEFAULTS; /* greedy, everything off */
struct token_logprob {
    int32_t id;
    float logprob; /* natural, of the model's own distribution */
};
struct sampled {
    int32_t id;
    float logprob;                   /* 0 unless asked for */
    const struct token_logprob *top; /* [n_top] best first; borrowed until the next call */
    uint32_t n_top;
};
struct sampler;
gllm_status sampler_check(const struct sampler_params *p, uint32_t n_vocab, gllm_error *err); /* GLLM_INVALID names a parameter that is out of range */
gllm_status sampler_open(struct sampler **out, const struct sampler_params *p, uint32_t n_vocab, gllm_error *err);
void sampler_close(struct sampler *s); /* NULL ok */
gllm_status sampler_accept(struct sampler *s, int32_t id, bool generated, gllm_error *err); /* tells it the sequence's tokens, in order */
/* allowed: bits by id, or NULL. GLLM_DEVICE: a logit is NaN or all are -inf; GLLM_INVALID: no token is allowed. */
gllm_status sampler_next(struct sampler *s, const float *logits, const uint64_t *allowed, struct sampled *out, gllm_error *err);
#endif
